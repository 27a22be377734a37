/** A plugin's configuration: from config.ts, else from the file beside the module. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { glob } from 'glob';
import { withinLimit } from '../message/message.ts';
import type { Clock } from '../message/message.ts';
import { refusal } from './check-config.ts';
import type { RawConfig } from './check-config.ts';
import { EXTENSIONS } from './names.ts';
import type { ModuleFile } from './names.ts';
import { placeOf, problemOf } from './problem.ts';
import { whyUnsafe } from './safety.ts';

export interface ConfigParts {
  /** The plugins directory; undefined if there is none. */
  readonly directory: string | undefined;
  readonly plugins: Readonly<Record<string, unknown>>;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

const NONE: RawConfig = { value: {}, source: 'no configuration' };

/** The configuration of a module, unchecked; `{}` if there is none. Throws a RelayError PLUGIN_REFUSED if its file does not load. */
export async function readConfig(found: ModuleFile, { directory, plugins, clock, timeoutMs }: ConfigParts): Promise<RawConfig> {
  const { module, folder, stem } = found;
  if (Object.hasOwn(plugins, module) && plugins[module] !== undefined)
    return { value: plugins[module], source: `plugins['${module}'] in config.ts` };
  if (directory === undefined) return NONE;
  const wanted = EXTENSIONS.map((extension) => `${stem}.config.${extension}`);
  const names = (await glob('*.config.*', { cwd: join(directory, folder), nodir: true })).filter((name) => wanted.includes(name)).sort();
  const [name] = names;
  if (name === undefined) return NONE;
  const source = folder === '' ? name : `${folder}/${name}`;
  if (names.length > 1) throw refusal(module, `it has two configuration files, ${names.join(' and ')}; keep one`);
  const unsafe = await whyUnsafe(directory, source);
  if (unsafe !== undefined) throw refusal(module, `its configuration ${source} is not loaded: ${unsafe}`);
  try {
    const path = await realpath(join(directory, source));
    const namespace = await withinLimit(
      clock,
      timeoutMs,
      `loading it took longer than ${timeoutMs} ms`,
      () => import(pathToFileURL(path).href) as Promise<object>,
    );
    if (!('default' in namespace)) throw new Error('it has no default export');
    return { value: namespace.default ?? {}, source };
  } catch (error) {
    const problem = problemOf(error, directory, source);
    throw refusal(module, `its configuration does not load: ${placeOf(problem)}: ${problem.reason}`, error);
  }
}
