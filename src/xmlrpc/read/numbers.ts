/** Reads integers and doubles from the bytes of their text. */
import { LongDecimal, MAX_DIGITS } from './long-decimal.ts';
import { refuse } from './parse-error.ts';
import type { Content } from './text.ts';

const PLUS = 43;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
/** An integer of any size. */
export const INTEGER = /^[+-]?[0-9]+$/;
/** A double: `1`, `1.`, `1.5`, `.5`, `-1.5e+10`. */
export const DOUBLE = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
// The spellings of XML Schema, JavaScript and C.
const NON_FINITE: ReadonlyMap<string, number> = new Map([
  ['NaN', NaN],
  ['nan', NaN],
  ...['INF', 'inf', 'Infinity'].flatMap((name) => [[name, Infinity] as const, [`-${name}`, -Infinity] as const]),
]);
// A decimal of up to this many digits is an exact integer divided by an exact power of ten, so it is rounded only once.
const EXACT_DIGITS = 15;
const long = new LongDecimal();
const POWERS = Array.from({ length: EXACT_DIGITS + 1 }, (_, i) => 10 ** i);

/** Reads an integer of 8, 16 or 32 bits. */
export function readInteger({ bytes, from, to, at }: Content, bits: 8 | 16 | 32): number {
  const sign = bytes[from];
  const first = sign === MINUS || sign === PLUS ? from + 1 : from;
  let value = 0;
  for (let i = first; i < to; i++) {
    const digit = (bytes[i] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return notAnInteger(at);
    value = value * 10 + digit;
  }
  if (first === to) return notAnInteger(at);
  if (sign === MINUS) value = -value;
  const whole = value | 0;
  // `-0` is 0: only doubles have two zeros
  return whole === value && (whole << (32 - bits)) >> (32 - bits) === whole
    ? whole
    : refuse('INVALID_REQUEST', at, `the integer does not fit ${bits} bits`);
}

/** Reads an integer of 64 bits: a number if that is exact, otherwise a bigint; `-0` is 0. */
export function readInt64(content: Content): number | bigint {
  const text = content.text();
  if (!INTEGER.test(text)) return notAnInteger(content.at);
  const near = Number(text);
  if (Number.isSafeInteger(near)) return near + 0;
  const value = text.startsWith('+') ? BigInt(text.slice(1)) : BigInt(text);
  return value >= INT64_MIN && value <= INT64_MAX ? value : refuse('INVALID_REQUEST', content.at, 'the integer does not fit 64 bits');
}

/** Reads a double; NaN and infinities only with `allowNonFinite`. */
export function readDouble(content: Content, allowNonFinite: boolean): number {
  const text = content.text();
  if (!DOUBLE.test(text)) return nonFinite(text, content.at, allowNonFinite);
  const value = Number(text);
  return Number.isFinite(value) ? value : refuse('INVALID_REQUEST', content.at, 'the double is too large');
}

function nonFinite(text: string, at: number, isAllowed: boolean): number {
  const named = NON_FINITE.get(text);
  if (named === undefined) return refuse('INVALID_REQUEST', at, 'a double is a decimal number, with an optional point and exponent');
  return isAllowed ? named : refuse('INVALID_REQUEST', at, 'XML-RPC has only finite numbers; NaN and infinities are not accepted');
}

/** A short decimal: its value, whether it has no point, and the offset after it. */
export interface ShortDecimal {
  value: number;
  isWhole: boolean;
  end: number;
}

/**
 * Reads `12`, `-12.5` or `12.` at `from` by arithmetic on its bytes; false for what has more digits than that can be sure of, or no digit
 * first.
 */
export function readShortDecimal(bytes: Uint8Array, from: number, to: number, into: ShortDecimal): boolean {
  const isNegative = bytes[from] === MINUS;
  const first = isNegative ? from + 1 : from;
  const limit = Math.min(to, first + EXACT_DIGITS + 1);
  let value = 0;
  let point = -1;
  let at = first;
  for (; at < limit; at++) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit >= 0 && digit <= 9) value = value * 10 + digit;
    else if (digit === POINT - ZERO && point === -1) point = at;
    else break;
  }
  if (at === first || point === first) return false;
  if (at === limit) return readLongDecimal(bytes, first, to, isNegative, into);
  const exact = point === -1 ? value : value / (POWERS[at - point - 1] ?? 1);
  into.value = isNegative ? -exact : exact;
  into.isWhole = point === -1;
  into.end = at;
  return true;
}

function readLongDecimal(bytes: Uint8Array, first: number, to: number, isNegative: boolean, into: ShortDecimal): boolean {
  const limit = Math.min(to, first + MAX_DIGITS + 1);
  let point = -1;
  let at = first;
  long.start();
  for (; at < limit; at++) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit >= 0 && digit <= 9) long.add(digit);
    else if (digit === POINT - ZERO && point === -1) point = at;
    else break;
  }
  if (point === -1 && at - first > MAX_DIGITS) return false;
  const value = long.value(point === -1 ? 0 : at - point - 1);
  into.value = isNegative ? -value : value;
  into.isWhole = point === -1;
  into.end = at;
  return !Number.isNaN(value);
}

function notAnInteger(at: number): never {
  return refuse('INVALID_REQUEST', at, 'an integer consists of digits with an optional sign');
}
