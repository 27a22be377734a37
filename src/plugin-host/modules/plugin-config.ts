/** The configuration of a plugin: from config.ts, or else from the file beside the module, checked by the schema of the class. */
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { clean, runStep } from '../../core/core.ts';
import type { StepLimits } from '../../core/core.ts';
import { moduleUrl } from '../../loader/loader.mjs';
import { describeValue, showValue } from '../../values/values.ts';
import { EXTENSIONS, placeOf, problemOf, refusal } from '../hosted/hosted.ts';
import type { ModuleFile } from '../hosted/hosted.ts';
import type { SatelliteClass } from './load.ts';
import { whyUnsafe } from './safety.ts';

/** A configuration, and a description of its source for the operator. */
export interface RawConfig {
  readonly value: unknown;
  readonly source: string;
}

/** Where the configuration of a plugin may be. */
export interface ConfigSources {
  /** Undefined if there is no plugins directory. */
  readonly directory: string | undefined;
  readonly plugins: Readonly<Record<string, unknown>>;
}

const NONE: RawConfig = { value: {}, source: 'no configuration' };

/** The files that may hold the configuration of a module, relative to the plugins directory. None if config.ts has it. */
export async function configFilesOf(
  { module, folder, stem }: ModuleFile,
  { directory, plugins }: ConfigSources,
): Promise<readonly string[]> {
  if (directory === undefined || isConfigured(module, plugins)) return [];
  const wanted = EXTENSIONS.map((extension) => `${stem}.config.${extension}`);
  // The folder may be gone, or belong to an npm package.
  const names = await readdir(join(directory, folder)).catch((): string[] => []);
  return names
    .filter((name) => wanted.includes(name))
    .sort()
    .map((name) => (folder === '' ? name : `${folder}/${name}`));
}

function isConfigured(module: string, plugins: ConfigSources['plugins']): boolean {
  return Object.hasOwn(plugins, module) && plugins[module] !== undefined;
}

/** The unchecked configuration of a module; `{}` if there is none. Rejects with a RelayError PLUGIN_REFUSED if its file does not load. */
export async function readConfig(found: ModuleFile, place: ConfigSources, parts: StepLimits): Promise<RawConfig> {
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
    const namespace = await runStep(parts, `loading it took longer than ${timeoutMs} ms`, () => import(url) as Promise<object>);
    if (!('default' in namespace)) throw new Error('it has no default export');
    return { value: namespace.default ?? {}, source };
  } catch (error) {
    const problem = problemOf(error, directory, source);
    throw refusal(module, `its configuration does not load: ${placeOf(problem)}: ${problem.reason}`, error);
  }
}

/** The configuration for `setup`. Rejects with a RelayError PLUGIN_REFUSED that names plugin, key, what was found and what was expected. */
export async function checkConfig({ name, options }: SatelliteClass, { value, source }: RawConfig): Promise<unknown> {
  if (!options.config) return value;
  const result = await options.config['~standard'].validate(value);
  if (!result.issues) return result.value;
  const reasons = result.issues.slice(0, 5).map((issue) => {
    const path = pathOf(issue);
    const where = path.length === 0 ? 'the configuration' : `key "${path.join('.')}"`;
    return `${issueText(issue, () => where)}, found ${showConfigured(valueAt(value, path), path)}`;
  });
  throw refusal(name, `${reasons.join('; ')} (${source})`);
}

/** An issue of a Standard Schema. */
interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** `<where>: <issue>`, as one sanitized line. */
export function issueText(issue: Issue, where: (path: readonly PropertyKey[]) => string): string {
  return clean(`${where(pathOf(issue))}: ${issue.message}`);
}

/** The keys that lead to the invalid value. */
function pathOf({ path = [] }: Issue): readonly PropertyKey[] {
  return path.map((step) => (typeof step === 'object' ? step.key : step));
}

/** The value at the end of `path`; undefined if there is none. */
function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

const SECRET = /pass|secret|token|key|credential|auth/i;

/** Shows a value of a configuration to the operator. A possible secret is only described. */
function showConfigured(value: unknown, path: readonly PropertyKey[]): string {
  if (value === undefined) return 'nothing';
  return path.some((key) => SECRET.test(String(key))) ? describeValue(value) : showValue(value);
}
