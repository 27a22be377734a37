/** Reads dateTime.iso8601 from the bytes of its text; a date without a zone is UTC. */
import { FIRST_DATE_MS, LAST_DATE_MS } from '../../values/values.ts';
import { refuse } from './parse-error.ts';
import type { Content } from './text.ts';

/** The text of a dateTime: a range of bytes, and the offset in the document that an error names. */
type DateText = Pick<Content, 'bytes' | 'from' | 'to' | 'at'>;

const SPACE = 32;
const PLUS = 43;
const COMMA = 44;
const HYPHEN = 45;
const POINT = 46;
const ZERO = 48;
const COLON = 58;
const BIG_T = 84;
const BIG_Z = 90;
const MAX_FRACTION = 9;
// The widest offset in use, and the bound of XML Schema.
const MAX_OFFSET_MINUTES = 14 * 60;
const MINUTE_MS = 60_000;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAYS_BEFORE_MONTH = MONTH_DAYS.map((_, month) => MONTH_DAYS.slice(0, month).reduce((sum, days) => sum + days, 0));
const DAYS_BEFORE_1970 = 719_528;

/**
 * Reads a dateTime: `19980717T14:08:55`, `1998-07-17T14:08:55.123+02:00`; with `isLenient` also `19980717T140855` and
 * `1998-07-17 14:08:55,123`. Fractions beyond milliseconds are truncated.
 */
export function readDate(content: DateText, isLenient: boolean): Date {
  const { bytes, from, to, at } = content;
  const dash = bytes[from + 4] === HYPHEN ? 1 : 0;
  const time = from + 8 + 2 * dash;
  const colon = bytes[time + 3] === COLON ? 1 : 0;
  const hasShape =
    to - from >= 15 + 2 * dash + 2 * colon &&
    (dash === 0 || bytes[from + 7] === HYPHEN) &&
    (bytes[time] === BIG_T || (isLenient && bytes[time] === SPACE)) &&
    (colon === 1 ? bytes[time + 6] === COLON : isLenient);
  if (!hasShape) return malformed(at);
  const local = localMs(content, dash, time, colon);
  const moment = local - zoneMs(content, time + 7 + 2 * colon, isLenient);
  return moment >= FIRST_DATE_MS && moment <= LAST_DATE_MS
    ? new Date(moment)
    : refuse('INVALID_REQUEST', at, 'the dateTime is outside the years 0 to 9999');
}

// The date and time without fraction and zone.
function localMs({ bytes, from, at }: DateText, dash: number, time: number, colon: number): number {
  const year = pair(bytes, from) * 100 + pair(bytes, from + 2);
  const month = pair(bytes, from + 4 + dash);
  const day = pair(bytes, from + 6 + 2 * dash);
  const hour = pair(bytes, time + 1);
  const minute = pair(bytes, time + 3 + colon);
  const second = pair(bytes, time + 5 + 2 * colon);
  if (Math.min(year, month, day, hour, minute, second) < 0) malformed(at);
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = month === 2 && isLeap ? 29 : (MONTH_DAYS[month - 1] ?? 0);
  if (day === 0 || day > days || hour > 23 || minute > 59 || second > 59) {
    refuse('INVALID_REQUEST', at, 'the dateTime does not exist in the calendar');
  }
  return (((daysBefore(year, month, isLeap) + day - 1) * 24 + hour) * 60 + minute) * MINUTE_MS + second * 1000;
}

// Days from 1 January 1970 to the first of the month. Date.UTC maps the years 0 to 99 to 1900 to 1999, and is slower.
function daysBefore(year: number, month: number, isLeap: boolean): number {
  const last = year - 1;
  const leaps = year === 0 ? 0 : 1 + Math.floor(last / 4) - Math.floor(last / 100) + Math.floor(last / 400);
  return year * 365 + leaps + (DAYS_BEFORE_MONTH[month - 1] ?? 0) + (isLeap && month > 2 ? 1 : 0) - DAYS_BEFORE_1970;
}

// The milliseconds that zone and fraction subtract, from the byte after the seconds: `.123`, `Z`, `+02:00`, `-0230`, or nothing.
function zoneMs({ bytes, to, at }: DateText, from: number, allowComma: boolean): number {
  let zone = from;
  let fraction = 0;
  if (zone < to && (bytes[zone] === POINT || (allowComma && bytes[zone] === COMMA))) {
    zone++;
    for (; zone < to && isDigit(bytes[zone]); zone++) {
      // tenths, hundredths and thousandths; the rest is truncated
      if (zone - from <= 3) fraction += ((bytes[zone] ?? 0) - ZERO) * 10 ** (3 - (zone - from));
    }
    const count = zone - from - 1;
    if (count === 0 || count > MAX_FRACTION) malformed(at);
  }
  if (zone === to || (bytes[zone] === BIG_Z && zone + 1 === to)) return -fraction;
  return offsetMs(bytes, zone, to, at) - fraction;
}

function offsetMs(bytes: Uint8Array, from: number, to: number, at: number): number {
  const sign = bytes[from];
  const colon = bytes[from + 3] === COLON ? 1 : 0;
  if ((sign !== PLUS && sign !== HYPHEN) || to - from !== 5 + colon) malformed(at);
  const minute = pair(bytes, from + 3 + colon);
  const total = pair(bytes, from + 1) * 60 + minute;
  if (minute < 0 || total < 0) malformed(at);
  if (minute > 59 || total > MAX_OFFSET_MINUTES) refuse('INVALID_REQUEST', at, 'the offset of the dateTime does not exist');
  return (sign === PLUS ? total : -total) * MINUTE_MS;
}

// The number that two digits form; far below zero if they are not digits.
function pair(bytes: Uint8Array, from: number): number {
  const tens = (bytes[from] ?? 0) - ZERO;
  const ones = (bytes[from + 1] ?? 0) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -10_000;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9;
}

function malformed(at: number): never {
  return refuse('INVALID_REQUEST', at, 'a dateTime is YYYYMMDDTHH:MM:SS, with optional hyphens, fraction, and Z or offset');
}
