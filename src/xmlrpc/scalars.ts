/** The scalar types: from the text of an element to its value, by anchored grammars. */
import type { Value } from '../values/values.ts';
import type { Content } from './content.ts';
import type { XmlRpcLimits } from './limits.ts';
import { readDate } from './read-date.ts';
import { INTEGER, readDouble, readInt64, readInteger } from './read-number.ts';
import { Refusal, refuse } from './refuse.ts';

/** What an element's text is read as; several elements can share one. */
export type ScalarType =
  'string' | 'int' | 'i1' | 'i2' | 'i8' | 'biginteger' | 'double' | 'bigdecimal' | 'boolean' | 'date' | 'base64' | 'nil';

/** How scalars are read. */
export interface ScalarRules {
  readonly limits: Readonly<XmlRpcLimits>;
  /** NaN and infinities in doubles. */
  readonly allowNonFinite: boolean;
  /** See `lenientForms` of ReadOptions. */
  readonly lenientForms: boolean;
  /** A text that is none of its type is no error: see the client's option `answers`. */
  readonly isLenient: boolean;
}

const ZERO = 48;
const LONGEST_WORD = 'false'.length;
const INTEGERS: ReadonlySet<ScalarType> = new Set(['int', 'i1', 'i2', 'i8', 'biginteger']);

/** The value of a scalar other than base64, which is read piece by piece; refuses a text that is none of its type. */
export function readScalar(type: Exclude<ScalarType, 'base64'>, content: Content, rules: ScalarRules): Value {
  if (type === 'string') return content.text();
  const { maxDigits } = rules.limits;
  if (content.length > maxDigits) return refuse('LIMIT', content.at, `a ${type} of more than ${maxDigits} characters`);
  if (rules.lenientForms && type !== 'nil') content.trim();
  if (!rules.isLenient) return readTyped(type, content, rules);
  try {
    return readTyped(type, content, rules);
  } catch (error) {
    if (error instanceof Refusal) return readAnyway(type, content.text());
    throw error;
  }
}

type Typed = Exclude<ScalarType, 'base64' | 'string'>;

/** What a text that is none of its type is taken for: an integer that is too large for itself, all else for the text. */
function readAnyway(type: Typed, text: string): Value {
  if (!INTEGERS.has(type) || !INTEGER.test(text)) return text;
  const near = Number(text);
  return Number.isSafeInteger(near) ? near + 0 : BigInt(text.startsWith('+') ? text.slice(1) : text);
}

function readTyped(type: Typed, content: Content, rules: ScalarRules): Value {
  switch (type) {
    case 'int':
      return readInteger(content, 32);
    case 'double':
    case 'bigdecimal':
      return readDouble(content, rules.allowNonFinite);
    case 'boolean':
      return booleanOf(content, rules.lenientForms);
    case 'date':
      return readDate(content, rules.lenientForms);
    case 'i8':
    case 'biginteger':
      return readInt64(content);
    case 'i1':
      return readInteger(content, 8);
    case 'i2':
      return readInteger(content, 16);
    case 'nil':
      return content.length === 0 ? null : refuse('INVALID_REQUEST', content.at, 'nil has no content');
  }
}

function booleanOf(content: Content, allowWords: boolean): boolean {
  const { bytes, from, length, at } = content;
  const digit = (bytes[from] ?? 0) - ZERO;
  if (length === 1 && (digit === 0 || digit === 1)) return digit === 1;
  const word = allowWords && length <= LONGEST_WORD ? content.text() : '';
  if (word === 'true' || word === 'false') return word === 'true';
  return refuse('INVALID_REQUEST', at, 'a boolean is 0 or 1');
}
