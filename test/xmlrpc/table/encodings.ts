/** Which encoding a body has (byte order mark over charset over declaration), and its strict decoding. */
import { CALL_HEAD, CALL_TAIL } from '../wire.ts';
import type { Row } from './rows.ts';
import { accepts, refuses } from './rows.ts';

const declared = (encoding: string): string => `<?xml version="1.0" encoding="${encoding}"?>`;
const document = (text: string, encoding?: string): string =>
  (encoding === undefined ? '' : declared(encoding)) + CALL_HEAD + text + CALL_TAIL;
const utf8 = (text: string, encoding?: string): Buffer => Buffer.from(document(text, encoding));
const utf8Behind = (blanks: number, encoding: string): Buffer =>
  Buffer.from(`<?xml version="1.0"${' '.repeat(blanks)}encoding="${encoding}"?>${document('a')}`);
const little = (text: string): Buffer => Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
const big = (text: string): Buffer => little(text).swap16();
const inside = (head: string, ...inner: readonly number[]): Buffer =>
  Buffer.concat([Buffer.from(head + CALL_HEAD, 'latin1'), Buffer.from(inner), Buffer.from(CALL_TAIL, 'latin1')]);

const is = (from: string, body: Buffer, value: string, charset?: string): Row =>
  accepts(from, 'call', body, { params: [value] }, { charset });
const AT = CALL_HEAD.length + 1;
const unknown = (from: string, body: Buffer, reason: RegExp, charset?: string): Row =>
  refuses(from, 'call', body, 'UNSUPPORTED_ENCODING 1:1', reason, { charset });
const invalid = (from: string, body: Buffer, column: number, reason: RegExp, charset?: string): Row =>
  refuses(from, 'call', body, `INVALID_CHARACTER 1:${column}`, reason, { charset });

// Code page, a byte, and its character.
const PAGES: readonly (readonly [page: string, byte: number, char: string])[] = [
  ['windows-1250', 0xf8, 'ř'],
  ['cp1251', 0xc6, 'Ж'],
  ['windows-1252', 0x80, '€'],
  ['windows-1253', 0xe1, 'α'],
  ['windows-1254', 0xfd, 'ı'],
  ['windows-1255', 0xe0, 'א'],
  ['windows-1256', 0xc8, 'ب'],
  ['windows-1257', 0xeb, 'ė'],
  ['windows-1258', 0xd0, 'Đ'],
];

export const encodings: readonly Row[] = [
  is('XML 4.3.3: UTF-8 by default', utf8('ä漢😀'), 'ä漢😀'),
  is('UTF-8 declared', utf8('ä', 'utf-8'), 'ä'),
  is('UTF-8 with a byte order mark', Buffer.from(`\ufeff${document('ä')}`), 'ä'),
  is('a mark and a declaration', Buffer.from(`\ufeff${document('ä', 'UTF-8')}`), 'ä'),
  is('RFC 7303: the mark is over the charset', Buffer.from(`\ufeff${document('ä')}`), 'ä', 'iso-8859-1'),
  is('the mark is over the declaration', Buffer.from(`\ufeff${document('ä', 'iso-8859-1')}`), 'ä'),
  is('the mark is over an unknown charset', Buffer.from(`\ufeff${document('ä')}`), 'ä', 'x-unknown'),
  is('RFC 7303: the charset is over the declaration', utf8('ä', 'iso-8859-1'), 'ä', 'utf-8'),
  is('an unknown declaration under a charset', utf8('ä', 'x-unknown'), 'ä', 'utf-8'),
  is('a quoted charset in capitals', utf8('ä'), 'ä', '"UTF-8"'),
  is('an empty charset is ignored', utf8('ä'), 'ä', ''),
  is('UTF-16, low byte first', little(document('ä😀')), 'ä😀'),
  is('UTF-16, high byte first', big(document('ä😀')), 'ä😀'),
  is('UTF-16 declared, marked and by charset', little(document('ä', 'UTF-16')), 'ä', 'utf-16'),
  is('UTF-16 with a declaration that lies', big(document('ä', 'UTF-8')), 'ä'),
  is('US-ASCII', utf8('a', 'US-ASCII'), 'a'),
  is('US-ASCII with a reference', utf8('a&#228;'), 'aä', 'us-ascii'),
  is('ISO-8859-1', inside(declared('ISO-8859-1'), 0xe4, 0xff), 'äÿ'),
  is('ISO-8859-1 is not windows-1252, unlike for WHATWG', inside(declared('iso-8859-1'), 0x80, 0x85, 0x9f), '\u0080\u0085\u009f'),
  is('single quotes, blanks around =', inside(`<?xml version='1.0' encoding = 'latin1'?>`, 0xe4), 'ä'),
  is('ISO-8859-1 behind many blanks', inside(`<?xml version="1.0"${' '.repeat(400)}encoding="iso-8859-1"?>`, 0xc3, 0xa4), 'Ã¤'),
  is('bytes that would be UTF-8', inside(declared('iso-8859-1'), 0xc3, 0xa4), 'Ã¤'),
  is('windows-1252, 0x80 to 0x9f', inside(declared('windows-1252'), 0x80, 0x93, 0x99, 0xe4, 0x9f), '€“™äŸ'),
  ...PAGES.map(([page, byte, char]) => is(`${page} by charset`, inside('', byte), char, page)),

  unknown('an unknown declaration', utf8('a', 'x-unknown'), /x-unknown of the XML declaration/),
  unknown('an unknown charset', utf8('a'), /x-odd of the Content-Type/, 'x-odd'),
  unknown('an inherited name', utf8('a'), /constructor/, 'constructor'),
  unknown('UTF-7: scripts in disguise', utf8('+AGE-', 'UTF-7'), /UTF-7/),
  unknown('EBCDIC', utf8('a', 'cp037'), /cp037/),
  unknown('UTF-16 declared without a mark', utf8('a', 'UTF-16'), /byte order mark/),
  unknown('UTF-16 by charset without a mark', Buffer.from(document('a'), 'utf16le'), /byte order mark/, 'utf-16le'),
  unknown('UTF-32, low byte first', Buffer.from([0xff, 0xfe, 0, 0, 60, 0, 0, 0]), /UTF-32/),
  unknown('UTF-32, high byte first', Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 60]), /UTF-32/),
  refuses('a declaration whose encoding is not a name', 'call', utf8('a', '-'), 'NOT_WELL_FORMED 1:1', /declaration/),
  unknown('an encoding behind many blanks', utf8Behind(400, 'nonsense'), /nonsense/),
  unknown('UTF-16 behind many blanks', utf8Behind(400, 'UTF-16'), /byte order mark/),
  refuses('a declaration that is too long', 'call', utf8Behind(480, 'nonsense'), 'NOT_WELL_FORMED 1:1', /declaration/),
  unknown('Shift_JIS: its backslash', utf8('a', 'Shift_JIS'), /Shift_JIS/),
  unknown('ISO-2022-JP: escape sequences', utf8('a'), /ISO-2022-JP/, 'ISO-2022-JP'),
  refuses('UTF-16 without mark and declaration', 'call', Buffer.from(document('a'), 'utf16le'), 'NOT_WELL_FORMED 1:2', /name/),
  refuses('two byte order marks', 'call', Buffer.from(`\ufeff\ufeff${document('a')}`), 'NOT_WELL_FORMED 1:1', /text/),

  invalid('a lone byte: Latin as UTF-8', inside('', 0x61, 0xe4), AT + 1, /UTF-8/),
  invalid('Latin bytes with a UTF-8 charset', inside('', 0xe4), AT, /UTF-8/, 'utf-8'),
  invalid('CVE-2000-0884 (IIS): overlong <', inside('', 0xc0, 0xbc), AT, /UTF-8/),
  invalid('overlong NUL: modified UTF-8 of Java', inside('', 0xc0, 0x80), AT, /UTF-8/),
  invalid('overlong in three bytes', inside('', 0xe0, 0x80, 0xbc), AT, /UTF-8/),
  invalid('overlong in four bytes', inside('', 0xf0, 0x80, 0x80, 0xbc), AT, /UTF-8/),
  invalid('an encoded surrogate', inside('', 0xed, 0xa0, 0x80), AT, /UTF-8/),
  invalid('CESU-8: a pair of them', inside('', 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), AT, /UTF-8/),
  invalid('beyond Unicode', inside('', 0xf4, 0x90, 0x80, 0x80), AT, /UTF-8/),
  invalid('five bytes', inside('', 0xf8, 0x88, 0x80, 0x80, 0x80), AT, /UTF-8/),
  invalid('CVE-2022-25235 (expat): cut in the middle', inside('', 0xe6, 0xbc), AT, /UTF-8/),
  invalid('a lone continuation byte', inside('', 0x80), AT, /UTF-8/),
  invalid('0xff', inside('', 0x61, 0x62, 0xff), AT + 2, /UTF-8/),
  invalid('in a tag', Buffer.concat([Buffer.from('<'), Buffer.from([0xe4, 0x3e])]), 2, /UTF-8/),
  invalid('after a mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), inside('', 0xff)]), AT, /UTF-8/),
  refuses(
    'after two genuine U+FFFD, on line 3',
    'call',
    inside('<!--\r\n\n-->', 0xef, 0xbf, 0xbd, 0x61, 0xef, 0xbf, 0xbd, 0xf0, 0x9f, 0x98, 0x80, 0xff),
    `INVALID_CHARACTER 3:${AT + 7}`,
    /UTF-8/,
  ),
  invalid('US-ASCII with the eighth bit', inside('', 0x61, 0xe4), AT + 1, /US-ASCII/, 'us-ascii'),
  invalid('windows-1252: a byte without a character', inside('', 0x81), AT, /windows-1252/, 'windows-1252'),
  invalid('windows-1253: a byte without a character', inside('', 0xd2), AT, /windows-1253/, 'windows-1253'),
  invalid('UTF-16: an odd number of bytes', Buffer.concat([little('<a'), Buffer.from([60])]), 3, /UTF-16/),
  invalid('UTF-16, high byte first: an odd number', Buffer.from([0xfe, 0xff, 0]), 1, /UTF-16/),
  invalid('UTF-16: a lone surrogate', little(document('a\ud83d')), AT + 1, /UTF-16/),
  invalid('UTF-16: a pair the wrong way round', little(document('\udc00\ud800')), AT, /UTF-16/),
];
