/** Reads and writes numbers: digits alone are an integer, a point or an exponent makes a double, so both types survive a round trip. */
import { Double, Int64 } from '../values/values.ts';
import type { Fail } from './strings.ts';

/** A number as plugins see it, and `exact` where writing `value` would change its type. */
export interface ReadNumber {
  readonly value: number | bigint;
  readonly exact?: Double | Int64;
}

// `0`, `-12`, `1.5`, `1e400`; the limits bound the length of the text.
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const POINT_OR_EXPONENT = /[.eE]/;
const INT64_TEXT = /^-?(?:0|[1-9][0-9]{0,18})$/;

/** Reads the number in `text`. */
export function numberOf(text: string, fail: Fail): ReadNumber {
  if (!NUMBER.test(text)) return fail('a number is digits with an optional minus, point and exponent, and without leading zeros');
  const near = Number(text);
  if (!Number.isFinite(near)) return fail('the number is too large for a double');
  if (!Object.is(near, -0) && !POINT_OR_EXPONENT.test(text)) return integerOf(text, near, fail);
  return isInt32(near) ? { value: near, exact: new Double(near) } : { value: near };
}

/** Reads an integer of up to nine digits, which most numbers are; undefined for everything else. */
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

/** Reads the text of an `$i8` marker: decimal digits within 64 bits. */
export function int64Of(text: unknown, fail: Fail): ReadNumber {
  const value = typeof text === 'string' && INT64_TEXT.test(text) ? BigInt(text) : fail('"$i8" is a string of decimal digits');
  return isInt64(value) ? ofInt64(value) : fail('the integer does not fit 64 bits');
}

function integerOf(text: string, near: number, fail: Fail): ReadNumber {
  if (isInt32(near)) return { value: near };
  const value = BigInt(text);
  if (isInt64(value)) return ofInt64(value);
  // JavaScript writes doubles up to 1e21 without an exponent, so their digits are exact.
  return BigInt(near) === value ? { value: near } : fail('the integer does not fit 64 bits; write it with an exponent if it is a double');
}

function ofInt64(value: bigint): ReadNumber {
  const near = Number(value);
  return Number.isSafeInteger(near) ? { value: near, exact: new Int64(value) } : { value };
}

/** The text of a finite double or int: `1`, `1.0`, `-0.0`, `1e+300`. */
export function numberText(value: number): string {
  return isInt32(value) ? String(value) : doubleText(value);
}

/** The text of a finite double, always with a point or an exponent. */
export function doubleText(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/**
 * The text of a 64-bit integer: `{"$i8": "..."}` where digits alone would be an int, or exceed what every reader keeps; undefined beyond 64
 * bits.
 */
export function int64Text(value: bigint): string | undefined {
  if (!isInt64(value)) return undefined;
  const near = Number(value);
  return Number.isSafeInteger(near) && !isInt32(near) ? String(value) : `{"$i8":"${String(value)}"}`;
}

/** True for numbers that are sent as int. */
export function isInt32(value: number): boolean {
  return (value | 0) === value && !Object.is(value, -0);
}

function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}
