/** Options from the environment: `maxBodyBytes` is CO2_MAX_BODY_BYTES, `outbox.maxMessages` is CO2_OUTBOX__MAX_MESSAGES. Pure. */
import { optionKinds } from '../define-config/define-config.ts';
import type { ConfigSource, OptionKind } from '../define-config/define-config.ts';
import { RelayError, clean, suggest } from '../message/message.ts';

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

/** What the environment sets; an empty variable is none. Throws a RelayError CONFIG_INVALID for an unknown CO2_ name or a text that is no such value. */
export function environmentSource(environment: Environment, baseDir: string): ConfigSource {
  const kinds = optionKinds();
  const keys = new Map([...kinds.keys()].map((key) => [variableOf(key), key]).concat(Object.entries(SHORT)) as [string, string][]);
  const values: Record<string, unknown> = {};
  const names = new Map<string, string>();
  for (const [name, text = ''] of Object.entries(environment)) {
    if (!name.startsWith('CO2_')) continue;
    const key = keys.get(name);
    if (key === undefined && OTHER.test(name)) continue;
    if (key === undefined) throw unknown(name, [...keys.keys()]);
    if (text === '') continue;
    const twice = names.get(key);
    if (twice !== undefined) throw new RelayError('CONFIG_INVALID', `${twice} and ${name} are the same option; set one`);
    names.set(key, name);
    set(values, key.split('.'), read(name, text, kinds.get(key) ?? 'text'));
  }
  return { values, baseDir, nameOf: (key) => placeIn(names, key) ?? variableOf(key) };
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
