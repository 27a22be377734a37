/** The effective options of a start. In order of precedence: flags, environment, configuration file, defaults. */
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { completeOptions, optionKinds } from '../config/config.ts';
import type { Completed, ConfigSource, OptionKind } from '../config/config.ts';
import { registerLoader } from '../loader/loader.mjs';
import { clean, reasonOf, RelayError, suggest, systemClock, withTimeout } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { CONFIG_NAMES, OTHER_VARIABLES, configOf, flagName } from './start-options.ts';
import type { StartFlags } from './start-options.ts';

/** One source of options, as shown by `co2 config show`. */
export interface OptionSource {
  readonly kind: 'file' | 'environment' | 'flag';
  readonly source: ConfigSource;
}

/** The result of {@link readOptions}. */
export interface ReadOptions {
  readonly completed: Completed;
  /** The sources in order of precedence: later ones override earlier ones. */
  readonly sources: readonly OptionSource[];
  /** The configuration file, if there is one. */
  readonly file: ConfigFile | undefined;
  /** CO2_ variables that Kubernetes set. */
  readonly ignored: readonly string[];
}

interface ReadSettings {
  /** Reads this file instead of searching for one. */
  readonly file?: ConfigFile | undefined;
  /** Used for the timeout of the configuration file. */
  readonly clock?: Clock | undefined;
  /** True for a command that only queries a relay and must not create a state directory. */
  readonly isClient?: boolean;
}

/** Reads flags, environment and file; the file is read again at each call. Throws a RelayError CONFIG_INVALID. */
export async function readOptions(
  flags: StartFlags,
  { file: knownFile, clock = systemClock, isClient = false }: ReadSettings = {},
): Promise<ReadOptions> {
  const directory = process.cwd();
  const environment = environmentSource(process.env, directory);
  const dataDir = resolve(directory, flags.data ?? nonEmpty(process.env.CO2_DATA_DIR) ?? '.co2');
  const cacheDir = isClient && !existsSync(dataDir) ? undefined : resolve(dataDir, 'cache');
  const found = knownFile ?? findConfigFile(flags.config ?? nonEmpty(process.env.CO2_CONFIG), directory);
  const file = found && (await loadConfigFile(found, cacheDir, clock));
  // npm plugins are installed beside the configuration file, wherever the command runs; every other source overrides this default.
  const project: ConfigSource[] = file ? [{ values: { projectDir: '.' }, baseDir: file.baseDir, nameOf: file.nameOf }] : [];
  const line: ConfigSource = { values: configOf(flags), baseDir: directory, nameOf: flagName };
  const sources: OptionSource[] = [
    ...(file ? [{ kind: 'file', source: file } as const] : []),
    { kind: 'environment', source: environment },
    { kind: 'flag', source: line },
  ];
  return {
    completed: completeOptions([...project, ...sources.map(({ source }) => source)], directory),
    sources,
    file: found,
    ignored: environment.ignored,
  };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

interface ConfigFile {
  /** The path as the user typed it. */
  readonly name: string;
  /** The absolute path. */
  readonly path: string;
}

// Leaves time for a file that sends a request to a server, and protects later reloads from a file that never finishes loading.
const LOAD_LIMIT_MS = 30_000;

let reads = 0;

/**
 * The configuration file `named`, or config.ts in `directory` if it exists. Throws a RelayError CONFIG_INVALID if `named` does not exist.
 */
function findConfigFile(named: string | undefined, directory: string): ConfigFile | undefined {
  const name = named ?? CONFIG_NAMES.find((known) => existsSync(resolve(directory, known)));
  if (name === undefined) return undefined;
  const path = resolve(directory, name);
  if (!existsSync(path)) throw new RelayError('CONFIG_INVALID', `${name}: no such file (--config)`);
  return { name, path };
}

/** Loads the current content of the file. Throws a RelayError CONFIG_INVALID if it is missing, fails to load, or times out. */
export async function loadConfigFile({ name, path }: ConfigFile, cacheDir: string | undefined, clock: Clock): Promise<ConfigSource> {
  // A missing file at a reload is an error: silently falling back to the defaults would surprise the operator.
  if (!existsSync(path))
    throw new RelayError('CONFIG_INVALID', `${name} no longer exists: ${path} was read at the start; restore it, or restart the relay`);
  registerLoader({ cacheDir });
  const values = await importDefault(path, name, clock);
  return { values, baseDir: dirname(path), nameOf: (key) => (key === '' ? name : `${name}: ${key}`) };
}

async function importDefault(file: string, name: string, clock: Clock): Promise<unknown> {
  let module: { default?: unknown };
  try {
    // Node caches modules by URL; a reload needs the current content.
    const again = reads++ === 0 ? '' : `?read=${reads}`;
    const late = `it took longer than ${LOAD_LIMIT_MS / 1000} s; does it await something that never settles?`;
    module = await withTimeout(
      clock,
      LOAD_LIMIT_MS,
      late,
      () => import(pathToFileURL(file).href + again) as Promise<{ default?: unknown }>,
    );
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `cannot load ${name}: ${whereAndWhy(error, file)}`, { cause: error });
  }
  if (module.default !== undefined) return module.default;
  throw new RelayError('CONFIG_INVALID', `${name} has no default export; expected export default defineConfig({ ... })`);
}

function whereAndWhy(error: unknown, file: string): string {
  const { line, column, reason } = error as { line?: number; column?: number; reason?: string };
  if (line !== undefined) return `line ${line}, column ${column ?? 0}: ${reason ?? reasonOf(error)}`;
  const thrownIn = RelayError.is(error) ? undefined : lineIn(file, error);
  return thrownIn === undefined ? reasonOf(error) : `line ${thrownIn}: ${reasonOf(error)}`;
}

/** Finds the first location in `file` in the stack of the error. */
function lineIn(file: string, thrown: unknown): string | undefined {
  const stack = thrown instanceof Error ? (thrown.stack ?? '') : '';
  for (const name of [pathToFileURL(file).href, file]) {
    const [, after] = stack.split(`${name}:`, 2);
    if (after !== undefined) return /^\d+/.exec(after)?.[0];
  }
  return undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

// Variables named after the flag instead of the option.
const SHORT: Readonly<Record<string, string>> = { CO2_LOG_LEVEL: 'log.level' };

/** The variable that sets an option: `maxBodyBytes` is CO2_MAX_BODY_BYTES, `outbox.maxMessages` is CO2_OUTBOX__MAX_MESSAGES. */
export function variableOf(key: string): string {
  return `CO2_${key
    .split('.')
    .map((part) => part.replace(/[A-Z]/g, '_$&').toUpperCase())
    .join('__')}`;
}

/** The options set by environment variables. */
export interface EnvironmentSource extends ConfigSource {
  /** Variables that Kubernetes sets for a service with a name like co2-relay: they are not options. */
  readonly ignored: readonly string[];
}

/** Reads the CO2_ variables, ignoring empty ones. Unknown names and invalid values are its problems. */
export function environmentSource(environment: Environment, baseDir: string): EnvironmentSource {
  const kinds = optionKinds();
  const keys = new Map([...kinds.keys()].map((key) => [variableOf(key), key]).concat(Object.entries(SHORT)) as [string, string][]);
  const values: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const ignored: string[] = [];
  const problems: RelayError[] = [];
  for (const [name, text = ''] of Object.entries(environment)) {
    if (!name.startsWith('CO2_')) continue;
    if (isFromKubernetes(name, text, environment)) {
      ignored.push(name);
      continue;
    }
    const key = keys.get(name);
    if (key === undefined && OTHER_VARIABLES.test(name)) continue;
    if (key === undefined) {
      problems.push(unknownVariable(name, [...keys.keys()]));
      continue;
    }
    if (text === '') continue;
    const other = names.get(key);
    if (other !== undefined) {
      problems.push(new RelayError('CONFIG_INVALID', `${other} and ${name} set the same option; remove one`));
      continue;
    }
    names.set(key, name);
    const value = parseValue(name, text, kinds.get(key) ?? 'text');
    if (RelayError.is(value)) problems.push(value);
    else set(values, key.split('.'), value);
  }
  return { values, baseDir, ignored, problems, nameOf: (key) => variableFor(names, key) ?? variableOf(key) };
}

/**
 * True for the variables that Kubernetes sets in each container for a service, say `co2-relay`: CO2_RELAY_SERVICE_HOST=10.0.0.1,
 * CO2_RELAY_SERVICE_PORT=2004 and CO2_RELAY_SERVICE_PORT_<NAME>, CO2_RELAY_PORT=tcp://10.0.0.1:2004, and CO2_RELAY_PORT_2004_TCP with
 * _PROTO, _PORT and _ADDR. Their values are checked too, so that a misspelled option is still reported.
 */
function isFromKubernetes(name: string, text: string, environment: Environment): boolean {
  if (name.endsWith('_SERVICE_HOST')) return isIP(text) !== 0;
  const [, service] = /^(.+)_SERVICE_PORT(?:_[A-Z0-9_]+)?$/.exec(name) ?? [];
  if (service !== undefined) return isIP(environment[`${service}_SERVICE_HOST`] ?? '') !== 0 && /^\d{1,5}$/.test(text);
  const port = /_PORT(?:_\d{1,5}_(?:TCP|UDP|SCTP)(?:_(?<part>PROTO|PORT|ADDR))?)?$/.exec(name);
  switch (port?.groups?.part) {
    case 'ADDR':
      return isIP(text) !== 0;
    case 'PORT':
      return /^\d{1,5}$/.test(text);
    case 'PROTO':
      return /^(?:tcp|udp|sctp)$/.test(text);
    default:
      return port !== null && /^(?:tcp|udp|sctp):\/\/[^/]+:\d{1,5}$/.test(text);
  }
}

function unknownVariable(name: string, known: readonly string[]): RelayError {
  const members = known.filter((other) => other.startsWith(`${name}__`));
  const remedy = members.length > 0 ? `; set its fields: ${members.join(', ')}` : suggest(name, known);
  return new RelayError('CONFIG_INVALID', `${clean(name, 80)}: unknown option${remedy}`);
}

/** The variable that sets the option, with the path inside its JSON: `CO2_ACCESS__TOKENS: ci.expires`. Elements of lists have no path. */
function variableFor(names: ReadonlyMap<string, string>, key: string): string | undefined {
  const [option, name] = [...names].find(([known]) => key === known || key.startsWith(`${known}.`)) ?? [];
  if (option === undefined || name === undefined) return undefined;
  const inside = key.slice(option.length + 1);
  return inside === '' || /^\d+$/.test(inside) ? name : `${name}: ${inside}`;
}

function set(values: Record<string, unknown>, [first = '', second]: readonly string[], value: unknown): void {
  values[first] = second === undefined ? value : { ...(values[first] as object | undefined), [second]: value };
}

/** The value, or the RelayError that says what is wrong with it. */
function parseValue(name: string, text: string, kind: OptionKind): unknown {
  switch (kind) {
    case 'text':
      return text;
    case 'list':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
    case 'number':
      if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
      return invalidValue(name, text, 'a number');
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true';
      return invalidValue(name, text, 'true or false');
    case 'switch':
      return text === 'true' || text === 'false' ? text === 'true' : text;
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return invalidValue(name, text, 'JSON');
      }
  }
}

function invalidValue(name: string, text: string, expected: string): RelayError {
  return new RelayError('CONFIG_INVALID', `${name}: found '${clean(text, 80)}', expected ${expected}`);
}
