/** Writes doubles and dates. */
import { isoText } from '../../values/values.ts';
import type { ByteBuffer } from './byte-buffer.ts';

const MINUS = 0x2d;
const POINT = 0x2e;
const E = 0x65;

// The fast path covers most measurements and counts: few decimals, and below a thousand million.
const FEW = 6;
const SCALE = 10 ** FEW;
const MAX_WHOLE = 1e9;

/**
 * Writes a finite number as the shortest decimal that reads back equal, always with a point, or with an exponent if `mayHaveExponent`. The
 * caller has reserved the space.
 */
export function writeDouble(out: ByteBuffer, value: number, mayHaveExponent: boolean): void {
  const scaled = value * SCALE;
  // Such a decimal has at most 15 digits. No shorter one reads back equal.
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

/** 1.5e+21 -> 1500…0.0, since JavaScript uses exponents only beyond the significant digits; 1.5e-7 -> 0.00000015. */
function withoutExponent(text: string): string {
  const mark = text.indexOf('e');
  const sign = text.startsWith('-') ? '-' : '';
  const digits = text.slice(sign.length, mark).replace('.', '');
  const exponent = Number(text.slice(mark + 1));
  return exponent > 0 ? `${sign}${digits.padEnd(exponent + 1, '0')}.0` : `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
}

const DAY_MS = 86_400_000;
const COLON = 0x3a;
// The dates of one message are usually close together, so the text of the last day is kept.
const lastDay = { number: NaN, text: '' };

/**
 * Writes `YYYYMMDDTHH:MM:SS` in UTC; the caller has reserved the space. Returns false and writes nothing if the date is invalid or outside
 * the years 0 to 9999.
 */
export function writeDate(out: ByteBuffer, date: Date): boolean {
  // Subclasses may override getTime.
  const ms = Date.prototype.getTime.call(date);
  const day = Math.floor(ms / DAY_MS);
  if (day !== lastDay.number) {
    const text = isoText(ms);
    if (text === undefined) return false;
    lastDay.number = day;
    lastDay.text = text.slice(0, 'YYYY-MM-DDT'.length).replaceAll('-', '');
  }
  // 32-bit integers are divided faster than doubles.
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
