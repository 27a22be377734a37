/** The words behind `co2 call METHOD`: JSON, plain text, and key=value pairs, turned into parameters. Pure. */
import { Double, Int64 } from '../values/values.ts';
import { RelayError, clean } from '../core/core.ts';
import type { Sendable } from '../values/values.ts';

const PAIR = /^([A-Za-z_][\w.-]*)=(.*)$/s;
// A string (passed over, whatever is in it) or a number of a text that is JSON.
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
// No text that a person writes has a member of this name.
const NUMBER_MARK = '\u0000number';

/** One parameter for each word; all key=value pairs together are one struct, in the place of the first. Throws a RelayError CONFIG_INVALID. */
export function paramsOf(words: readonly string[]): Sendable[] {
  const params: Sendable[] = [];
  const struct = new Map<string, Sendable>();
  for (const word of words) {
    const [, key, value = ''] = PAIR.exec(word) ?? [];
    if (key === undefined) {
      params.push(valueOf(word));
      continue;
    }
    if (struct.has(key)) throw new RelayError('CONFIG_INVALID', `${key} is given twice; a struct has one member of a name`);
    if (struct.size === 0) params.push(struct);
    struct.set(key, valueOf(value));
  }
  return params;
}

/** The dict of `co2 notify`: key=value pairs or one JSON object, with `data`. Throws a RelayError CONFIG_INVALID. */
export function dictOfWords(words: readonly string[]): Sendable {
  const [dict, ...more] = paramsOf(words);
  const members = dict instanceof Map ? [...dict.keys()] : isObject(dict) ? Object.keys(dict) : undefined;
  if (dict === undefined || members === undefined || more.length > 0)
    throw new RelayError('CONFIG_INVALID', 'notify takes one dict: key=value pairs, or one JSON object');
  if (!members.includes('data')) throw new RelayError('CONFIG_INVALID', 'a dict needs the member data: co2 notify data=hello');
  return dict;
}

/** JSON if the word is that, else the word itself as text. */
export function valueOf(word: string): Sendable {
  try {
    JSON.parse(word);
  } catch {
    return word;
  }
  // JSON.parse makes one kind of number; XML-RPC has three, and 1.0 is not 1.
  const marked = word.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : `{"\\u0000number":"${token}"}`));
  return JSON.parse(marked, (_key, value: unknown) => {
    if (!isObject(value)) return value;
    const token = value[NUMBER_MARK];
    return typeof token === 'string' ? numberOf(token) : new Map(Object.entries(value));
  }) as Sendable;
}

function numberOf(token: string): Sendable {
  if (/[.eE]/.test(token)) {
    const double = Number(token);
    if (!Number.isFinite(double)) throw new RelayError('CONFIG_INVALID', `${clean(token, 40)} is too large for a double`);
    return new Double(double);
  }
  const whole = BigInt(token);
  if (whole === BigInt.asIntN(32, whole)) return Number(whole);
  if (whole === BigInt.asIntN(64, whole)) return new Int64(whole);
  throw new RelayError(
    'CONFIG_INVALID',
    `${clean(token, 40)} does not fit 64 bits, the longest whole number there is; write ${clean(token, 20)}.0 for a double`,
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map) && !Double.is(value);
}
