/** Finds and loads the operator's configuration file. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ConfigSource } from '../define-config/define-config.ts';
import { registerLoader } from '../loader/loader.mjs';
import { RelayError, reasonOf } from '../message/message.ts';

let reads = 0;

const NAMES = ['config.ts', 'config.mts', 'config.js', 'config.mjs'];

/** The configuration file `named`, or config.ts in `directory` if there is one. Throws a RelayError CONFIG_INVALID if it cannot be loaded. */
export async function loadConfigFile(named: string | undefined, directory: string, cacheDir: string): Promise<ConfigSource | undefined> {
  const found = named ?? NAMES.find((name) => existsSync(resolve(directory, name)));
  if (found === undefined) return undefined;
  const file = resolve(directory, found);
  if (!existsSync(file)) throw new RelayError('CONFIG_INVALID', `${found}: there is no such file (--config)`);
  registerLoader({ cacheDir });
  const values = await importDefault(file, found);
  return { values, baseDir: dirname(file), nameOf: (key) => (key === '' ? found : `${found}: ${key}`) };
}

async function importDefault(file: string, name: string): Promise<unknown> {
  let module: { default?: unknown };
  try {
    // A module is loaded once for each URL; a reload wants what stands in the file now.
    const again = reads++ === 0 ? '' : `?read=${reads}`;
    module = (await import(pathToFileURL(file).href + again)) as { default?: unknown };
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `${name} does not load: ${whereAndWhy(error, file)}`, { cause: error });
  }
  if (module.default !== undefined) return module.default;
  throw new RelayError('CONFIG_INVALID', `${name}: found no default export, expected export default defineConfig({ ... })`);
}

function whereAndWhy(error: unknown, file: string): string {
  const { line, column, reason } = error as { line?: number; column?: number; reason?: string };
  if (line !== undefined) return `line ${line}, column ${column ?? 0}: ${reason ?? reasonOf(error)}`;
  const thrownIn = lineIn(file, error);
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
