/** dateTime.iso8601 both ways; a date without a zone is UTC here. */
import type { Fail } from './refuse.ts';

// 19980717T14:08:55, 1998-07-17T14:08:55.123+02:00
const DATE = /^([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?$/;
// The widest offset in use, and the bound of XML Schema.
const MAX_OFFSET_MINUTES = 14 * 60;
const MINUTE_MS = 60_000;
const FIRST_MS = new Date('0000-01-01T00:00:00Z').getTime();
const LAST_MS = new Date('9999-12-31T23:59:59.999Z').getTime();

/** The moment that a dateTime names; fractions beyond milliseconds are cut off. */
export function dateOf(text: string, fail: Fail): Date {
  const parts = DATE.exec(text);
  if (!parts) return fail('a dateTime is YYYYMMDDTHH:MM:SS, with hyphens, fraction, Z or offset if need be');
  const [, year = '', , month = '', day = '', hour = '', minute = '', second = '', fraction = '', zone = ''] = parts;
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}Z`;
  const ms = new Date(local).getTime();
  // Hour 24 and 30 February are parsed by some engines, so what comes out is held against what went in.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== local) return fail('the dateTime does not exist in the calendar');
  const moment = ms - offsetMs(zone, fail);
  return moment >= FIRST_MS && moment <= LAST_MS ? new Date(moment) : fail('the dateTime is outside the years 0 to 9999');
}

/** `YYYYMMDDTHH:MM:SS` in UTC, or undefined if the date is invalid or outside the years 0 to 9999. */
export function dateText(date: Date): string | undefined {
  const ms = date.getTime();
  if (!(ms >= FIRST_MS && ms <= LAST_MS)) return undefined;
  return new Date(ms).toISOString().slice(0, 19).replace(/-/g, '');
}

function offsetMs(zone: string, fail: Fail): number {
  if (zone === '' || zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(-2));
  const total = hours * 60 + minutes;
  if (minutes > 59 || total > MAX_OFFSET_MINUTES) fail('the offset of the dateTime does not exist');
  return (zone.startsWith('-') ? -total : total) * MINUTE_MS;
}
