/** Options from the environment: `maxBodyBytes` is CO2_MAX_BODY_BYTES, `outbox.maxMessages` is CO2_OUTBOX__MAX_MESSAGES. Pure. */
import { isIP } from 'node:net';
import { optionKinds } from '../config/config.ts';
import type { ConfigSource, OptionKind } from '../config/config.ts';
import { RelayError, clean, suggest } from '../core/core.ts';

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
