/**
 * What JSON has no form for is an object of one member: `{"$base64": "AQI="}`, `{"$date": "2026-11-21T09:30:00.000Z"}`, `{"$i8":
 * "9007199254740993"}`.
 * A struct that looks like one gets a `$` more: `{"$$date": 1}` is the struct `{"$date": 1}`, `{"$$$date": 1}` the struct `{"$$date": 1}`.
 */
import type { Fail } from './refuse.ts';

const LOOKS = /^\$+(?:base64|date|i8)$/;
// 2026-11-21T09:30:00Z, 2026-11-21T09:30:00.123+02:00
const DATE = /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))$/;
const BASE64_DIGIT = /^[A-Za-z0-9+/]$/;
const MINUTE_MS = 60_000;
const MAX_OFFSET_MINUTES = 14 * 60;
const FIRST_MS = new Date('0000-01-01T00:00:00Z').getTime();
const LAST_MS = new Date('9999-12-31T23:59:59.999Z').getTime();

/** True if an object with this one member is a marker, or a struct that was escaped. */
export function looksMarked(name: string): boolean {
  return name.charCodeAt(0) === 36 && LOOKS.test(name);
}

/**
 * The bytes of a `$base64`: in the standard alphabet, padded, without blanks; bits of the last digit that mean nothing may be set, as in
 * XML-RPC.
 */
export function bytesOf(text: unknown, fail: Fail): Buffer {
  if (typeof text === 'string') {
    const bytes = Buffer.from(text, 'base64');
    // The decoder passes over what is no base64, so what comes out is held against what went in.
    const written = bytes.toString('base64');
    if (written === text || isSameButLastDigit(written, text)) return bytes;
  }
  return fail('"$base64" is a string of base64 with its padding; a struct with this member is written {"$$base64": ...}');
}

function isSameButLastDigit(written: string, text: string): boolean {
  const last = text.indexOf('=') - 1;
  return (
    last >= 0 &&
    BASE64_DIGIT.test(text.charAt(last)) &&
    written.length === text.length &&
    written.slice(0, last) === text.slice(0, last) &&
    written.slice(last + 1) === text.slice(last + 1)
  );
}

/** The moment of a `$date`; fractions beyond milliseconds are cut off. */
export function dateOf(text: unknown, fail: Fail): Date {
  const parts = typeof text === 'string' ? DATE.exec(text) : null;
  if (!parts) return fail('"$date" is a string like 2026-11-21T09:30:00Z; a struct with this member is written {"$$date": ...}');
  const [, local = '', fraction = '', sign, hours, minutes] = parts;
  const written = `${local}.${fraction.slice(0, 3).padEnd(3, '0')}Z`;
  const ms = new Date(written).getTime();
  // 30 February is parsed by some engines, so what comes out is held against what went in.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== written) return fail('the date does not exist in the calendar');
  const offset = Number(hours ?? 0) * 60 + Number(minutes ?? 0);
  if (offset > MAX_OFFSET_MINUTES || Number(minutes ?? 0) > 59) return fail('the offset of the date does not exist');
  const moment = ms - (sign === '-' ? -offset : offset) * MINUTE_MS;
  return isWritable(moment) ? new Date(moment) : fail('the date is outside the years 0 to 9999');
}

/** The text of a `$date`; undefined if the date is invalid or outside the years 0 to 9999. */
export function dateText(date: Date): string | undefined {
  const ms = date.getTime();
  return isWritable(ms) ? new Date(ms).toISOString() : undefined;
}

function isWritable(ms: number): boolean {
  return ms >= FIRST_MS && ms <= LAST_MS;
}
