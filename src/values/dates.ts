/** The range of dates that XML-RPC and JSON can carry: the years 0 to 9999. */

/** The first moment of the year 0, in ms since 1970. */
export const FIRST_DATE_MS = new Date('0000-01-01T00:00:00Z').getTime();
/** The last moment of the year 9999, in ms since 1970. */
export const LAST_DATE_MS = new Date('9999-12-31T23:59:59.999Z').getTime();

/**
 * ISO 8601 in UTC, with milliseconds unless they are 0: dates of XML-RPC have whole seconds. Undefined if the date is invalid or out of
 * range.
 */
export function isoText(ms: number): string | undefined {
  return ms >= FIRST_DATE_MS && ms <= LAST_DATE_MS ? new Date(ms).toISOString().replace('.000Z', 'Z') : undefined;
}
