/** dateTime.iso8601 as it is written: in UTC. */

/** The first moment that a dateTime can name: the year 0. */
export const FIRST_MS = new Date('0000-01-01T00:00:00Z').getTime();
/** The last one: the year 9999. */
export const LAST_MS = new Date('9999-12-31T23:59:59.999Z').getTime();

/** `YYYYMMDDTHH:MM:SS` in UTC, or undefined if the date is invalid or outside the years 0 to 9999. */
export function dateText(date: Date): string | undefined {
  const ms = date.getTime();
  if (!(ms >= FIRST_MS && ms <= LAST_MS)) return undefined;
  return new Date(ms).toISOString().slice(0, 19).replace(/-/g, '');
}
