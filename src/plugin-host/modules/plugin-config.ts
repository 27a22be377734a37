/** A plugin's configuration: from config.ts, else from the file beside the module, checked by the class's schema. */
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { moduleUrl } from '../../loader/loader.mjs';
import { issueText, pathOf, showValue, valueAt, EXTENSIONS, placeOf, problemOf, refusal, whyUnsafe, inStep } from '../hosted/hosted.ts';
import type { SatelliteClass } from './load.ts';
import type { ModuleFile, StepParts } from '../hosted/hosted.ts';

/** A configuration and where it stands, in words for the operator. */
export interface RawConfig {
  readonly value: unknown;
  readonly source: string;
}

export interface ConfigPlace {
  /** The plugins directory; undefined if there is none. */
  readonly directory: string | undefined;
  readonly plugins: Readonly<Record<string, unknown>>;
}

const NONE: RawConfig = { value: {}, source: 'no configuration' };

/** The files that may hold the configuration of a module, relative to the plugins directory; none where config.ts holds it. */
export async function configFilesOf({ module, folder, stem }: ModuleFile, { directory, plugins }: ConfigPlace): Promise<readonly string[]> {
  if (directory === undefined || isConfigured(module, plugins)) return [];
  const wanted = EXTENSIONS.map((extension) => `${stem}.config.${extension}`);
  // Its folder may be gone, and is none of this directory for an npm package.
  const names = await readdir(join(directory, folder)).catch((): string[] => []);
  return names
    .filter((name) => wanted.includes(name))
    .sort()
    .map((name) => (folder === '' ? name : `${folder}/${name}`));
}

function isConfigured(module: string, plugins: ConfigPlace['plugins']): boolean {
  return Object.hasOwn(plugins, module) && plugins[module] !== undefined;
}

/** The configuration of a module, unchecked; `{}` if there is none. Throws a RelayError PLUGIN_REFUSED if its file does not load. */
export async function readConfig(found: ModuleFile, place: ConfigPlace, parts: StepParts): Promise<RawConfig> {
  const { module } = found;
  const { directory = '', plugins } = place;
  if (isConfigured(module, plugins)) return { value: plugins[module], source: `plugins['${module}'] in config.ts` };
  const sources = await configFilesOf(found, place);
  const [source] = sources;
  if (source === undefined) return NONE;
  if (sources.length > 1) throw refusal(module, `it has two configuration files, ${sources.join(' and ')}; keep one`);
  const unsafe = await whyUnsafe(directory, source);
  if (unsafe !== undefined) throw refusal(module, `its configuration ${source} is not loaded: ${unsafe}`);
  const { timeoutMs } = parts;
  try {
    const url = moduleUrl(await realpath(join(directory, source)));
    const namespace = await inStep(parts, `loading it took longer than ${timeoutMs} ms`, () => import(url) as Promise<object>);
    if (!('default' in namespace)) throw new Error('it has no default export');
    return { value: namespace.default ?? {}, source };
  } catch (error) {
    const problem = problemOf(error, directory, source);
    throw refusal(module, `its configuration does not load: ${placeOf(problem)}: ${problem.reason}`, error);
  }
}

/**
 * The configuration as `setup` gets it. Throws a RelayError PLUGIN_REFUSED that names plugin, key, what was found and what was expected.
 */
export async function checkConfig({ name, options }: SatelliteClass, { value, source }: RawConfig): Promise<unknown> {
  if (!options.config) return value;
  const result = await options.config['~standard'].validate(value);
  if (!result.issues) return result.value;
  const reasons = result.issues.slice(0, 5).map((issue) => {
    const path = pathOf(issue);
    const where = path.length === 0 ? 'the configuration' : `key "${path.join('.')}"`;
    return `${issueText(issue, () => where)}, found ${showValue(valueAt(value, path), path)}`;
  });
  throw refusal(name, `${reasons.join('; ')} (${source})`);
}
