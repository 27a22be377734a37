/** Finds and loads the operator's configuration file. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ConfigSource } from '../config/config.ts';
import { registerLoader } from '../loader/loader.mjs';
import { RelayError, reasonOf, withTimeout } from '../core/core.ts';
import type { Clock } from '../core/core.ts';

export interface ConfigFile {
  /** As the operator calls it. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
}

// A file that asks a server for something may take a while; one that waits for ever would hold every reload after it.
const LOAD_LIMIT_MS = 30_000;
const NAMES = ['config.ts', 'config.mts', 'config.js', 'config.mjs'];

let reads = 0;

/** The configuration file `named`, or config.ts in `directory` if there is one. Throws a RelayError CONFIG_INVALID if the named one is not there. */
export function findConfigFile(named: string | undefined, directory: string): ConfigFile | undefined {
  const name = named ?? NAMES.find((known) => existsSync(resolve(directory, known)));
  if (name === undefined) return undefined;
  const path = resolve(directory, name);
  if (!existsSync(path)) throw new RelayError('CONFIG_INVALID', `${name}: there is no such file (--config)`);
  return { name, path };
}

/** What stands in it now. Throws a RelayError CONFIG_INVALID if it is gone, cannot be loaded, or is not loaded in time. */
export async function loadConfigFile({ name, path }: ConfigFile, cacheDir: string, clock: Clock): Promise<ConfigSource> {
  // What was found once may be gone at a reload; the defaults are not what the operator wants then.
  if (!existsSync(path))
    throw new RelayError('CONFIG_INVALID', `${name} is gone: ${path} was read at the start; put it back, or start anew`);
  registerLoader({ cacheDir });
  const values = await importDefault(path, name, clock);
  return { values, baseDir: dirname(path), nameOf: (key) => (key === '' ? name : `${name}: ${key}`) };
}

async function importDefault(file: string, name: string, clock: Clock): Promise<unknown> {
  let module: { default?: unknown };
  try {
    // A module is loaded once for each URL; a reload wants what stands in the file now.
    const again = reads++ === 0 ? '' : `?read=${reads}`;
    const late = `it took longer than ${LOAD_LIMIT_MS / 1000} s; is there an await in it that never ends?`;
    module = await withTimeout(
      clock,
      LOAD_LIMIT_MS,
      late,
      () => import(pathToFileURL(file).href + again) as Promise<{ default?: unknown }>,
    );
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `${name} does not load: ${whereAndWhy(error, file)}`, { cause: error });
  }
  if (module.default !== undefined) return module.default;
  throw new RelayError('CONFIG_INVALID', `${name}: found no default export, expected export default defineConfig({ ... })`);
}

function whereAndWhy(error: unknown, file: string): string {
  const { line, column, reason } = error as { line?: number; column?: number; reason?: string };
  if (line !== undefined) return `line ${line}, column ${column ?? 0}: ${reason ?? reasonOf(error)}`;
  const thrownIn = RelayError.is(error) ? undefined : lineIn(file, error);
  return thrownIn === undefined ? reasonOf(error) : `line ${thrownIn}: ${reasonOf(error)}`;
}

/** The line of `file` that stands first in the stack of what was thrown. */
function lineIn(file: string, thrown: unknown): string | undefined {
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : '';
  for (const name of [pathToFileURL(file).href, file]) {
    const [, after] = stack.split(`${name}:`, 2);
    if (after !== undefined) return /^\d+/.exec(after)?.[0];
  }
  return undefined;
}
