/**
 * dateTime.iso8601: its variants in, `YYYYMMDDTHH:MM:SS` out; without a zone it is UTC, an offset is honoured, what no calendar has is
 * refused.
 */
import type { Row } from './rows.ts';
import { both, date, reads, unwritable, utc, writes, wrong } from './rows.ts';

const WRITTEN = [
  ['spec: its own example', '19980717T14:08:55'],
  ['1970', '19700101T00:00:00'],
  ['before 1970', '19691231T23:59:59'],
  ['the year 0', '00000101T00:00:00'],
  ['JavaScript: Date.UTC(99) is 1999', '00990228T23:59:59'],
  ['the last second', '99991231T23:59:59'],
  ['a leap day in 2000', '20000229T12:00:00'],
  ['a leap day', '20240229T00:00:00'],
  ['1900 had none', '19000228T00:00:00'],
  ['beyond 32 bits of seconds', '20380119T03:14:08'],
  ['an hour that Berlin never had', '20240331T02:30:00'],
] as const;
// With hyphens, a zone, and at most milliseconds.
const isoFor = (text: string): string => {
  const [, days = '', time = '', zone = ''] = /^([\d-]+)T([\d:]+(?:\.\d{1,3})?)\d*(.*)$/.exec(text) ?? [];
  return `${days.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3')}T${time}${zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2') || 'Z'}`;
};
const isoOf = (text: string): string => `${text.replace(/^(....)(..)(..)T/, '$1-$2-$3T')}Z`;

const READ: readonly (readonly [from: string, text: string, iso: string])[] = [
  ['Python, XML Schema: hyphens', '1998-07-17T14:08:55', '1998-07-17T14:08:55Z'],
  ['WordPress writes Z', '19980717T14:08:55Z', '1998-07-17T14:08:55Z'],
  ['an offset is honoured', '19980717T14:08:55+02:00', '1998-07-17T12:08:55Z'],
  ['npm xmlrpc: +0200 was read as a fraction', '19980717T14:08:55+0200', '1998-07-17T12:08:55Z'],
  ['an offset without colon', '19980717T14:08:55-0200', '1998-07-17T16:08:55Z'],
  ['India: half an hour', '19980717T14:08:55+05:30', '1998-07-17T08:38:55Z'],
  ['Nepal: three quarters', '19980717T14:08:55+05:45', '1998-07-17T08:23:55Z'],
  ['Newfoundland: a negative half hour', '19980717T14:08:55-03:30', '1998-07-17T17:38:55Z'],
  ['less than an hour to the west', '19980717T14:08:55-00:30', '1998-07-17T14:38:55Z'],
  ['an offset of nothing', '19980717T14:08:55+00:00', '1998-07-17T14:08:55Z'],
  ['an offset of -0', '19980717T14:08:55-00:00', '1998-07-17T14:08:55Z'],
  ['over midnight and New Year', '20000101T00:30:00+01:00', '1999-12-31T23:30:00Z'],
  ['the widest offset', '20000101T14:00:00+14:00', '2000-01-01T00:00:00Z'],
  ['the widest offset to the west', '20000101T10:00:00-14:00', '2000-01-02T00:00:00Z'],
  ['a fraction of one digit', '19980717T14:08:55.5', '1998-07-17T14:08:55.500Z'],
  ['milliseconds', '19980717T14:08:55.123', '1998-07-17T14:08:55.123Z'],
  ['Java: nanoseconds are cut, not rounded', '19980717T14:08:55.123999999', '1998-07-17T14:08:55.123Z'],
  ['.999999999 is not the next second', '19991231T23:59:59.999999999', '1999-12-31T23:59:59.999Z'],
  ['all of it', '1998-07-17T14:08:55.25+02:00', '1998-07-17T12:08:55.250Z'],
  ['a fraction and Z', '1998-07-17T14:08:55.25Z', '1998-07-17T14:08:55.250Z'],
];

// What is read in these forms goes on in the usual one.
const SPELT_DIFFERENTLY: readonly (readonly [from: string, text: string, own: string])[] = [
  ["Java's aXMLRPC: no colons", '19980717T140855', '19980717T14:08:55'],
  ['no colons, midnight', '20000101T000000', '20000101T00:00:00'],
  ['hyphens but no colons', '1998-07-17T140855', '1998-07-17T14:08:55'],
  ['no colons, and Z', '19980717T140855Z', '19980717T14:08:55Z'],
  ['no colons, and an offset', '19980717T140855+0530', '19980717T14:08:55+0530'],
  ['no colons, a fraction and an offset', '19980717T140855.123-03:30', '19980717T14:08:55.123-03:30'],
  ['SQL: a blank for the T', '1998-07-17 14:08:55', '1998-07-17T14:08:55'],
  ['a blank for the T, and nothing else between', '19980717 140855', '19980717T14:08:55'],
  ['ISO 8601 allows a comma', '19980717T14:08:55,5', '19980717T14:08:55.5'],
  ['a comma and an offset', '1998-07-17 140855,123456789+02:00', '1998-07-17T14:08:55.123456789+02:00'],
  ['a blank before', ' 19980717T14:08:55', '19980717T14:08:55'],
  ['a blank after', '19980717T14:08:55 ', '19980717T14:08:55'],
  ['LF around', '\n\t19980717T140855\n', '19980717T14:08:55'],
];

const REFUSED: readonly (readonly [from: string, text: string])[] = [
  ['month 13', '19981317T14:08:55'],
  ['month 0', '19980017T14:08:55'],
  ['day 32', '19980732T14:08:55'],
  ['day 0', '19980700T14:08:55'],
  ['30 February', '19980230T00:00:00'],
  ['29 February of no leap year', '19980229T00:00:00'],
  ['29 February 1900', '19000229T00:00:00'],
  ['31 April', '19980431T00:00:00'],
  ['hour 24: JavaScript reads it as tomorrow', '19980717T24:00:00'],
  ['hour 25', '19980717T25:00:00'],
  ['minute 60', '19980717T14:60:55'],
  ['second 60: a leap second has no place in a Date', '19980717T14:08:60'],
  ['an offset over 14 hours', '19980717T14:08:55+15:00'],
  ['an offset over 14 hours', '19980717T14:08:55-14:01'],
  ['an offset of 60 minutes', '19980717T14:08:55+02:60'],
  ['an offset of one digit', '19980717T14:08:55+2'],
  ['an offset of two digits', '19980717T14:08:55+02'],
  ['Z and an offset', '19980717T14:08:55Z+02:00'],
  ['the name of a zone', '19980717T14:08:55CET'],
  ['no seconds', '19980717T14:08'],
  ['only a date', '19980717'],
  ['only a time', 'T14:08:55'],
  ['one hyphen of two', '1998-0717T14:08:55'],
  ['the other one', '199807-17T14:08:55'],
  ['two blanks for the T', '19980717  14:08:55'],
  ['a tab for the T', '19980717\t14:08:55'],
  ['nothing for the T', '19980717140855'],
  ['a small t', '19980717t14:08:55'],
  ['a small z', '19980717T14:08:55z'],
  ['one colon', '19980717T14:0855'],
  ['the other one', '19980717T1408:55'],
  ['no colons and no seconds', '19980717T1408'],
  ['no colons, and a digit missing', '19980717T14085'],
  ['no colons, and a digit too many', '19980717T1408555'],
  ['no colons, hour 24', '19980717T240000'],
  ['no colons, second 60', '19980717T140860'],
  ['no colons, an offset over 14 hours', '19980717T140855+15:00'],
  ['a blank before the offset', '19980717T14:08:55 +02:00'],
  ['a year of two digits', '980717T14:08:55'],
  ['a year of five digits', '119980717T14:08:55'],
  ['a signed year', '+19980717T14:08:55'],
  ['a day of one digit', '1998-7-7T14:08:55'],
  ['other digits', '199807\u0661\u0667T14:08:55'],
  ['nothing', ''],
  ['a no-break space after', '19980717T14:08:55\u00a0'],
  ['a point without a fraction', '19980717T14:08:55.'],
  ['a comma without a fraction', '19980717T14:08:55,'],
  ['a point and a comma', '19980717T14:08:55.5,5'],
  ['a fraction of ten digits', '19980717T14:08:55.1234567890'],
  ['before the year 0 by its offset', '00000101T00:00:00+01:00'],
  ['after the year 9999 by its offset', '99991231T23:59:59-01:00'],
  ['milliseconds since 1970', '900684535000'],
  ['RFC 822', 'Fri, 17 Jul 1998 14:08:55 GMT'],
  ['a week date', '1998-W29-5T14:08:55'],
  ['an ordinal date', '1998198T14:08:55'],
];

export const dates: readonly Row[] = [
  ...WRITTEN.map(([from, text]) => both(from, date(text), utc(isoOf(text)))),
  ...READ.map(([from, text, iso]) => reads(from, date(text), utc(iso), date(text))),
  ...SPELT_DIFFERENTLY.map(([from, text, own]) => reads(from, date(text), new Date(isoFor(own)), date(own))),
  ...REFUSED.map(([from, text]) => wrong(from, `<dateTime.iso8601>${text}</dateTime.iso8601>`, 19, /dateTime/)),
  writes('milliseconds are cut', utc('1998-07-17T14:08:55.999Z'), date('19980717T14:08:55')),
  writes('before 1970 they are cut downwards', utc('1969-12-31T23:59:59.999Z'), date('19691231T23:59:59')),
  unwritable('an invalid Date', [[new Date(NaN)]], 'params[0][0][0]', /date/),
  unwritable('the year 10000', utc('+010000-01-01T00:00:00Z'), 'params[0]', /0 to 9999/),
  unwritable('the year -1', utc('-000001-12-31T23:59:59Z'), 'params[0]', /0 to 9999/),
];
