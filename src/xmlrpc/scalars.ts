/** The scalar types: from the text of an element to its value, by anchored grammars. */
import type { Value } from '../message/message.ts';
import { SLASH, isBlankUnit } from './chars.ts';
import { dateOf } from './dates.ts';
import type { XmlRpcLimits } from './limits.ts';
import type { Fail } from './refuse.ts';

/** What an element's text is read as; several elements can share one. */
export type ScalarType =
  'string' | 'int' | 'i1' | 'i2' | 'i8' | 'biginteger' | 'double' | 'bigdecimal' | 'boolean' | 'date' | 'base64' | 'nil';

const INTEGER = /^[+-]?[0-9]+$/;
// `1`, `1.`, `1.5`, `.5`, `-1.5e+10`
const DOUBLE = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?$/;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const BASE64 = base64Table();

/** The value of a scalar; `fail` throws the refusal at its place. */
export function readScalar(type: ScalarType, text: string, limits: Readonly<XmlRpcLimits>, fail: Fail): Value {
  if (type === 'string') return text;
  if (type === 'base64') return bytesOf(text, fail);
  if (text.length > limits.maxDigits) return fail(`a ${type} of more than ${limits.maxDigits} characters`, 'LIMIT');
  switch (type) {
    case 'int':
      return integerOf(text, 32, fail);
    case 'double':
    case 'bigdecimal':
      return doubleOf(text, fail);
    case 'boolean':
      return booleanOf(text, fail);
    case 'date':
      return dateOf(text, fail);
    case 'i8':
    case 'biginteger':
      return int64Of(text, fail);
    case 'i1':
      return integerOf(text, 8, fail);
    case 'i2':
      return integerOf(text, 16, fail);
    case 'nil':
      return text === '' ? null : fail('nil has no content');
  }
}

function integerOf(text: string, bits: 8 | 16 | 32, fail: Fail): number {
  if (!INTEGER.test(text)) fail('an integer is digits with an optional sign, and nothing else');
  const value = Number(text);
  const bound = 2 ** (bits - 1);
  // `-0` is 0: only doubles have two zeros
  return value >= -bound && value < bound ? value | 0 : fail(`the integer does not fit ${bits} bits`);
}

// A number as long as it is exact, else a bigint; `-0` is 0.
function int64Of(text: string, fail: Fail): number | bigint {
  if (!INTEGER.test(text)) fail('an integer is digits with an optional sign, and nothing else');
  const near = Number(text);
  if (Number.isSafeInteger(near)) return near + 0;
  const value = text.startsWith('+') ? BigInt(text.slice(1)) : BigInt(text);
  return value >= INT64_MIN && value <= INT64_MAX ? value : fail('the integer does not fit 64 bits');
}

function doubleOf(text: string, fail: Fail): number {
  if (!DOUBLE.test(text)) fail('a double is a decimal number, with a point and an exponent if need be');
  const value = Number(text);
  return Number.isFinite(value) ? value : fail('the double is too large');
}

function booleanOf(text: string, fail: Fail): boolean {
  if (text === '1') return true;
  return text === '0' ? false : fail('a boolean is 0 or 1');
}

// Groups of four with any white space between them; `=` only at the end. A loop, for the text may be megabytes long.
function bytesOf(text: string, fail: Fail): Buffer {
  let digits = 0;
  let padding = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 128 && BASE64[unit] === 1 && padding === 0) digits++;
    else if (unit === 61) padding++;
    else if (!isBlankUnit(unit)) fail('base64 is A-Z, a-z, 0-9, "+" and "/", with "=" at the end only');
  }
  if ((digits + padding) % 4 !== 0 || padding > 2 || (padding > 0 && digits === 0)) fail('the base64 is cut short or padded wrongly');
  return Buffer.from(text, 'base64');
}

function base64Table(): Uint8Array {
  const table = new Uint8Array(128);
  for (let unit = 0; unit < 128; unit++) if (/[A-Za-z0-9+]/.test(String.fromCharCode(unit))) table[unit] = 1;
  table[SLASH] = 1;
  return table;
}
