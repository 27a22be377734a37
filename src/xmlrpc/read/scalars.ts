/** Reads the scalar types: from the text of an element to its value. */
import type { Value } from '../../values/values.ts';
import type { Leniency, XmlRpcLimits } from '../options.ts';
import { readDate } from './dates.ts';
import { INTEGER, readDouble, readInt64, readInteger } from './numbers.ts';
import { ParseError, refuse } from './parse-error.ts';
import type { Content } from './text.ts';

/** How the text of an element is read; several elements can share one type. */
export type ScalarType =
  'string' | 'int' | 'i1' | 'i2' | 'i8' | 'biginteger' | 'double' | 'bigdecimal' | 'boolean' | 'date' | 'base64' | 'nil';

/** How scalars are read. */
export interface ScalarRules {
  readonly limits: Readonly<XmlRpcLimits>;
  /** Accepts NaN and infinities in doubles. */
  readonly allowNonFinite: boolean;
  readonly leniency: Leniency;
}

const ZERO = 48;
const LONGEST_WORD = 'false'.length;
const INTEGERS: ReadonlySet<ScalarType> = new Set(['int', 'i1', 'i2', 'i8', 'biginteger']);

/** The value of a scalar. Base64 is not read here, since it is decoded piece by piece. Refuses a text that does not match its type. */
export function readScalar(type: Exclude<ScalarType, 'base64'>, content: Content, rules: ScalarRules): Value {
  if (type === 'string') return content.text();
  const { maxDigits } = rules.limits;
  if (content.length > maxDigits) return refuse('LIMIT', content.at, `a ${type} of more than ${maxDigits} bytes`);
  if (rules.leniency !== 'none' && type !== 'nil') content.trim();
  if (rules.leniency !== 'values') return readTyped(type, content, rules);
  try {
    return readTyped(type, content, rules);
  } catch (error) {
    if (error instanceof ParseError) return readMismatch(type, content.text());
    throw error;
  }
}

type Typed = Exclude<ScalarType, 'base64' | 'string'>;

/** The value of a text that does not match its type: a larger integer for integers out of range, otherwise the text. */
function readMismatch(type: Typed, text: string): Value {
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
      return booleanOf(content, rules.leniency !== 'none');
    case 'date':
      return readDate(content, rules.leniency !== 'none');
    case 'i8':
    case 'biginteger':
      return readInt64(content);
    case 'i1':
      return readInteger(content, 8);
    case 'i2':
      return readInteger(content, 16);
    case 'nil':
      return content.length === 0 ? null : refuse('INVALID_REQUEST', content.at, 'nil must be empty');
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
