/** Doubles and dates as XML-RPC writes them. */
import type { ByteBuffer } from './byte-buffer.ts';
import { dateText } from './dates.ts';

const MINUS = 0x2d;
const POINT = 0x2e;
const E = 0x65;

// What is measured and counted mostly has few decimals, and is below a thousand million.
const FEW = 6;
const SCALE = 10 ** FEW;
const MAX_WHOLE = 1e9;

/**
 * Writes a finite number as the shortest decimal that reads back equal, always with a point; with an exponent only where that
 * `mayHaveExponent`. Room for it is reserved.
 */
export function writeDouble(out: ByteBuffer, value: number, mayHaveExponent: boolean): void {
  const scaled = value * SCALE;
  // Then the decimal has 15 digits at most. No other one as short reads back equal, so this is the shortest.
  const isShort = value > -MAX_WHOLE && value < MAX_WHOLE && scaled === Math.floor(scaled) && scaled / SCALE === value && value !== 0;
  if (isShort) writeShort(out, value, scaled);
  else writeAny(out, value, mayHaveExponent);
}

function writeShort(out: ByteBuffer, value: number, scaled: number): void {
  if (value < 0) out.bytes[out.at++] = MINUS;
  const whole = Math.abs(value) | 0;
  out.int32(whole);
  const { bytes, at } = out;
  let decimals = (Math.abs(scaled) - whole * SCALE) | 0;
  let last = at + FEW;
  for (let tenth = (decimals / 10) | 0; last > at + 1 && tenth * 10 === decimals; tenth = (decimals / 10) | 0) {
    decimals = tenth;
    last--;
  }
  bytes[at] = POINT;
  for (let place = last; place > at; place--) {
    const tenth = (decimals / 10) | 0;
    bytes[place] = 0x30 + decimals - tenth * 10;
    decimals = tenth;
  }
  out.at = last + 1;
}

function writeAny(out: ByteBuffer, value: number, mayHaveExponent: boolean): void {
  const text = Object.is(value, -0) ? '-0' : String(value);
  const { bytes, at } = out;
  let hasPoint = false;
  let hasExponent = false;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    hasPoint ||= unit === POINT;
    hasExponent ||= unit === E;
    bytes[at + index] = unit;
  }
  if (hasExponent && !mayHaveExponent) {
    out.ascii(withoutExponent(text));
    return;
  }
  out.at = at + text.length;
  if (!hasPoint && !hasExponent) out.ascii('.0');
}

/** 1.5e+21 -> 1500…0.0, for JavaScript turns to exponents only where the digits are used up; 1.5e-7 -> 0.00000015. */
function withoutExponent(text: string): string {
  const mark = text.indexOf('e');
  const sign = text.startsWith('-') ? '-' : '';
  const digits = text.slice(sign.length, mark).replace('.', '');
  const exponent = Number(text.slice(mark + 1));
  return exponent > 0 ? `${sign}${digits.padEnd(exponent + 1, '0')}.0` : `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
}

const DAY_MS = 86_400_000;
const COLON = 0x3a;
// Dates of one message mostly lie close together: the calendar is asked once for a day.
const lastDay = { number: NaN, text: '' };

/**
 * Writes `YYYYMMDDTHH:MM:SS` in UTC; room for it is reserved. False, with nothing written, if the date is invalid or outside the years 0 to
 * 9999.
 */
export function writeDate(out: ByteBuffer, date: Date): boolean {
  // Not what a subclass says that its time is.
  const ms = Date.prototype.getTime.call(date);
  const day = Math.floor(ms / DAY_MS);
  if (day !== lastDay.number) {
    const text = dateText(new Date(ms));
    if (text === undefined) return false;
    lastDay.number = day;
    lastDay.text = text.slice(0, 'YYYYMMDDT'.length);
  }
  // As 32-bit integers, which are divided faster than doubles.
  const seconds = ((ms - day * DAY_MS) / 1000) | 0;
  const minutes = (seconds / 60) | 0;
  const hours = (minutes / 60) | 0;
  out.ascii(lastDay.text);
  twoDigits(out, hours, COLON);
  twoDigits(out, minutes - hours * 60, COLON);
  twoDigits(out, seconds - minutes * 60);
  return true;
}

function twoDigits(out: ByteBuffer, value: number, mark?: number): void {
  const { bytes, at } = out;
  const tens = (value / 10) | 0;
  bytes[at] = 0x30 + tens;
  bytes[at + 1] = 0x30 + value - tens * 10;
  out.at = at + 2;
  if (mark !== undefined) bytes[out.at++] = mark;
}
