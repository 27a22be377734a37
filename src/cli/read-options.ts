/** The effective options of a start: flag > environment > file > default. */
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { completeOptions, optionKinds } from '../define-config/define-config.ts';
import type { Completed, ConfigSource, OptionKind } from '../define-config/define-config.ts';
import { registerLoader } from '../loader/loader.mjs';
import { clean, reasonOf, RelayError, suggest, systemClock, withinLimit } from '../message/message.ts';
import type { Clock } from '../message/message.ts';
import { configOf, flagName } from './start-options.ts';
import type { StartFlags } from './start-options.ts';

/** One place where options stand, and what it is called in `co2 config show`. */
export interface Place {
  readonly kind: 'file' | 'environment' | 'flag';
  readonly source: ConfigSource;
}

export interface Read {
  readonly completed: Completed;
  /** Those that there are; later ones win. */
  readonly places: readonly Place[];
  /** The file among them. */
  readonly file: ConfigFile | undefined;
  /** Variables whose name begins with CO2_ and that are of somebody else. */
  readonly ignored: readonly string[];
}

export interface ReadParts {
  /** The file to read, instead of the one that is looked for. */
  readonly file?: ConfigFile | undefined;
  /** Measures how long the file takes to load. */
  readonly clock?: Clock | undefined;
}

/** Reads the file anew at each call. Throws a RelayError CONFIG_INVALID. */
export async function readOptions(flags: StartFlags, { file: known, clock = systemClock }: ReadParts = {}): Promise<Read> {
  const directory = process.cwd();
  const environment = environmentSource(process.env, directory);
  const dataDir = flags.data ?? given(process.env.CO2_DATA_DIR) ?? '.co2';
  const found = known ?? findConfigFile(flags.config ?? given(process.env.CO2_CONFIG), directory);
  const file = found && (await loadConfigFile(found, resolve(directory, dataDir, 'cache'), clock));
  // Plugins from npm are installed where the operator's files are, wherever the command is run; anything else that is said wins over that.
  const project: ConfigSource[] = file ? [{ values: { projectDir: '.' }, baseDir: file.baseDir, nameOf: file.nameOf }] : [];
  const line: ConfigSource = { values: configOf(flags), baseDir: directory, nameOf: flagName };
  const places: Place[] = [
    ...(file ? [{ kind: 'file', source: file } as const] : []),
    { kind: 'environment', source: environment },
    { kind: 'flag', source: line },
  ];
  return {
    completed: completeOptions([...project, ...places.map(({ source }) => source)], directory),
    places,
    file: found,
    ignored: environment.ignored,
  };
}

function given(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

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
    module = await withinLimit(
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

type Environment = Readonly<Record<string, string | undefined>>;

// Not options: they name the configuration file, or belong to programs that a relay starts or that ask one.
const OTHER = /^CO2_(CONFIG$|RELAY_URL$|PROTOCOL_VERSIONS$|PLUGIN_|TEST_)/;
// As its flag is called.
const SHORT: Readonly<Record<string, string>> = { CO2_LOG_LEVEL: 'log.level' };

/** The variable that sets the option of this full name. */
export function variableOf(key: string): string {
  return `CO2_${key
    .split('.')
    .map((part) => part.replace(/[A-Z]/g, '_$&').toUpperCase())
    .join('__')}`;
}

export interface EnvironmentSource extends ConfigSource {
  /** Variables that Kubernetes sets for a service whose name begins with co2: they are no options. */
  readonly ignored: readonly string[];
}

/** What the environment sets; an empty variable is none. Throws a RelayError CONFIG_INVALID for an unknown CO2_ name or a text that is no such value. */
export function environmentSource(environment: Environment, baseDir: string): EnvironmentSource {
  const kinds = optionKinds();
  const keys = new Map([...kinds.keys()].map((key) => [variableOf(key), key]).concat(Object.entries(SHORT)) as [string, string][]);
  const values: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const ignored: string[] = [];
  for (const [name, text = ''] of Object.entries(environment)) {
    if (!name.startsWith('CO2_')) continue;
    if (isOfKubernetes(name, text, environment)) {
      ignored.push(name);
      continue;
    }
    const key = keys.get(name);
    if (key === undefined && OTHER.test(name)) continue;
    if (key === undefined) throw unknown(name, [...keys.keys()]);
    if (text === '') continue;
    const twice = names.get(key);
    if (twice !== undefined) throw new RelayError('CONFIG_INVALID', `${twice} and ${name} are the same option; set one`);
    names.set(key, name);
    set(values, key.split('.'), read(name, text, kinds.get(key) ?? 'text'));
  }
  return { values, baseDir, ignored, nameOf: (key) => placeIn(names, key) ?? variableOf(key) };
}

/**
 * True for what Kubernetes tells each container of a service, say `co2-relay`: CO2_RELAY_SERVICE_HOST=10.0.0.1, CO2_RELAY_SERVICE_PORT=2004 and CO2_RELAY_SERVICE_PORT_<NAME>,
 * CO2_RELAY_PORT=tcp://10.0.0.1:2004, and CO2_RELAY_PORT_2004_TCP with _PROTO, _PORT and _ADDR. Only with such a value, so that a misspelt option is still one.
 */
function isOfKubernetes(name: string, text: string, environment: Environment): boolean {
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

function unknown(name: string, known: readonly string[]): RelayError {
  const members = known.filter((other) => other.startsWith(`${name}__`));
  const remedy = members.length > 0 ? `; set its members: ${members.join(', ')}` : suggest(name, known);
  return new RelayError('CONFIG_INVALID', `${clean(name, 80)}: there is no such option${remedy}`);
}

/** The variable that holds the option, or the JSON that it is a part of: `CO2_ACCESS__TOKENS: ci.expires`. An element of a list is told by its value. */
function placeIn(names: ReadonlyMap<string, string>, key: string): string | undefined {
  const [option, name] = [...names].find(([known]) => key === known || key.startsWith(`${known}.`)) ?? [];
  if (option === undefined || name === undefined) return undefined;
  const inside = key.slice(option.length + 1);
  return inside === '' || /^\d+$/.test(inside) ? name : `${name}: ${inside}`;
}

function set(values: Record<string, unknown>, [first = '', second]: readonly string[], value: unknown): void {
  values[first] = second === undefined ? value : { ...(values[first] as object | undefined), [second]: value };
}

function read(name: string, text: string, kind: OptionKind): unknown {
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
      throw wrong(name, text, 'a number');
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true';
      throw wrong(name, text, 'true or false');
    case 'switch':
      return text === 'true' || text === 'false' ? text === 'true' : text;
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw wrong(name, text, 'JSON');
      }
  }
}

function wrong(name: string, text: string, expected: string): RelayError {
  return new RelayError('CONFIG_INVALID', `${name}: found '${clean(text, 80)}', expected ${expected}`);
}
