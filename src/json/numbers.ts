/** Numbers both ways: digits alone are an integer, a point or an exponent makes a double, and what is written says which it was. */
import { Double, Int64 } from '../values/values.ts';
import type { Fail } from './refuse.ts';

/** A number as a plugin sees it, and, where that would be written as another type, the form that keeps its own. */
export interface ReadNumber {
  readonly value: number | bigint;
  readonly exact?: Double | Int64;
}

// `0`, `-12`, `1.5`, `1e400`; the text is as short as the limits say.
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const POINT_OR_EXPONENT = /[.eE]/;
const INT64_TEXT = /^-?(?:0|[1-9][0-9]{0,18})$/;

/** The number that `text` spells. */
export function numberOf(text: string, fail: Fail): ReadNumber {
  if (!NUMBER.test(text)) return fail('a number is digits, with a minus, a point and an exponent if need be, and no leading zero');
  const near = Number(text);
  if (!Number.isFinite(near)) return fail('the number is too large for a double');
  if (!Object.is(near, -0) && !POINT_OR_EXPONENT.test(text)) return integerOf(text, near, fail);
  return isInt32(near) ? { value: near, exact: new Double(near) } : { value: near };
}

/** The integer that these bytes spell if it has up to nine digits, which is nearly always; undefined for everything else. */
export function smallInteger(body: Uint8Array, from: number, end: number): number | undefined {
  const first = body[from] === 0x2d ? from + 1 : from;
  if (end === first || end - first > 9 || (body[first] === 0x30 && (end - first > 1 || first > from))) return undefined;
  let value = 0;
  for (let at = first; at < end; at++) {
    const digit = (body[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return first > from ? -value : value;
}

/** The `$i8` of a marker: decimal digits within 64 bits. */
export function int64Of(text: unknown, fail: Fail): ReadNumber {
  const value = typeof text === 'string' && INT64_TEXT.test(text) ? BigInt(text) : fail('"$i8" is a string of decimal digits');
  return isInt64(value) ? ofInt64(value) : fail('the integer does not fit 64 bits');
}

function integerOf(text: string, near: number, fail: Fail): ReadNumber {
  if (isInt32(near)) return { value: near };
  const value = BigInt(text);
  if (isInt64(value)) return ofInt64(value);
  // JavaScript writes doubles up to 1e21 without an exponent; each of them is meant exactly.
  return BigInt(near) === value ? { value: near } : fail('the integer does not fit 64 bits; write it with an exponent if it is a double');
}

function ofInt64(value: bigint): ReadNumber {
  const near = Number(value);
  return Number.isSafeInteger(near) ? { value: near, exact: new Int64(value) } : { value };
}

/** A finite double or int as it is written: `1`, `1.0`, `-0.0`, `1e+300`. */
export function numberText(value: number): string {
  return isInt32(value) ? String(value) : doubleText(value);
}

/** A finite double, which always has a point or an exponent. */
export function doubleText(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/**
 * An integer as it is written, `{"$i8": "..."}` where digits alone would be an int or more than every reader keeps; undefined beyond 64
 * bits.
 */
export function int64Text(value: bigint): string | undefined {
  if (!isInt64(value)) return undefined;
  const near = Number(value);
  return Number.isSafeInteger(near) && !isInt32(near) ? String(value) : `{"$i8":"${String(value)}"}`;
}

/** True for what goes out as an int. */
export function isInt32(value: number): boolean {
  return (value | 0) === value && !Object.is(value, -0);
}

function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}
