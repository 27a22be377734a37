/** Which encoding a body has, its strict decoding, and the place of a byte that is not valid in it. */
import test from 'ava';

import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { CALL_HEAD, CALL_TAIL, errorOf, refusalOf } from './wire.ts';

const declared = (encoding: string): string => `<?xml version="1.0" encoding="${encoding}"?>`;
const document = (text: string, encoding?: string): string =>
  (encoding === undefined ? '' : declared(encoding)) + CALL_HEAD + text + CALL_TAIL;
const bytes = (...parts: (string | number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));
const big = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();
const inside = (head: string, ...inner: number[]): Buffer => bytes(head + CALL_HEAD, inner, CALL_TAIL);

const READ: readonly (readonly [clause: string, body: Buffer, charset: string | undefined, value: string])[] = [
  ['UTF-8 if nobody says anything', Buffer.from(document('ä漢😀')), undefined, 'ä漢😀'],
  ['UTF-8 declared', Buffer.from(document('ä', 'utf-8')), undefined, 'ä'],
  ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${document('ä')}`), undefined, 'ä'],
  ['a mark and a declaration', Buffer.from(`\ufeff${document('ä', 'UTF-8')}`), undefined, 'ä'],
  ['the mark is over the charset', Buffer.from(`\ufeff${document('ä')}`), 'iso-8859-1', 'ä'],
  ['the mark is over the declaration', Buffer.from(`\ufeff${document('ä', 'iso-8859-1')}`), undefined, 'ä'],
  ['the charset is over the declaration', Buffer.from(document('ä', 'iso-8859-1')), 'utf-8', 'ä'],
  ['an unknown declaration under a charset', Buffer.from(document('ä', 'x-unknown')), 'utf-8', 'ä'],
  ['a quoted charset in capitals', Buffer.from(document('ä')), '"UTF-8"', 'ä'],
  ['an empty charset is none', Buffer.from(document('ä')), '', 'ä'],
  ['UTF-16 little', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(document('ä😀'), 'utf16le')]), undefined, 'ä😀'],
  ['UTF-16 big', Buffer.concat([Buffer.from([0xfe, 0xff]), big(document('ä😀'))]), undefined, 'ä😀'],
  [
    'UTF-16 declared and marked',
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(document('ä', 'UTF-16'), 'utf16le')]),
    'utf-16',
    'ä',
  ],
  ['US-ASCII', Buffer.from(document('a', 'US-ASCII')), undefined, 'a'],
  ['US-ASCII by charset', Buffer.from(document('a&#228;')), 'us-ascii', 'aä'],
  ['ISO-8859-1', inside(declared('ISO-8859-1'), 0xe4, 0xff), undefined, 'äÿ'],
  ['ISO-8859-1 is not windows-1252', inside(declared('iso-8859-1'), 0x80, 0x85, 0x9f), undefined, '\u0080\u0085\u009f'],
  ['ISO-8859-1 in single quotes', inside(`<?xml version='1.0' encoding = 'latin1'?>`, 0xe4), undefined, 'ä'],
  ['windows-1250', inside('', 0xf8), 'windows-1250', 'ř'],
  ['windows-1251', inside('', 0xc6), 'cp1251', 'Ж'],
  ['windows-1252', inside(declared('windows-1252'), 0x80, 0x93, 0x99, 0xe4, 0x9f), undefined, '€“™äŸ'],
  ['windows-1253', inside('', 0xe1), 'windows-1253', 'α'],
  ['windows-1254', inside('', 0xfd), 'windows-1254', 'ı'],
  ['windows-1255', inside('', 0xe0), 'windows-1255', 'א'],
  ['windows-1256', inside('', 0xc8), 'windows-1256', 'ب'],
  ['windows-1257', inside('', 0xeb), 'windows-1257', 'ė'],
  ['windows-1258', inside('', 0xd0), 'windows-1258', 'Đ'],
];

for (const [clause, body, charset, value] of READ) {
  test(`read: ${clause}`, (t) => {
    t.deepEqual(parseCall(body, { charset }).params, [value]);
  });
}

const AT = CALL_HEAD.length + 1;
const REFUSED: readonly (readonly [clause: string, body: Buffer, charset: string | undefined, refusal: string])[] = [
  ['an unknown declaration', Buffer.from(document('a', 'x-unknown')), undefined, 'UNSUPPORTED_ENCODING 1:1'],
  ['an unknown charset', Buffer.from(document('a')), 'x-unknown', 'UNSUPPORTED_ENCODING 1:1'],
  ['UTF-7', Buffer.from(document('+AGE-', 'UTF-7')), undefined, 'UNSUPPORTED_ENCODING 1:1'],
  ['UTF-16 declared without a mark', Buffer.from(document('a', 'UTF-16')), undefined, 'UNSUPPORTED_ENCODING 1:1'],
  ['UTF-16 by charset without a mark', Buffer.from(document('a'), 'utf16le'), 'utf-16le', 'UNSUPPORTED_ENCODING 1:1'],
  ['UTF-16 that nobody announces', Buffer.from(document('a'), 'utf16le'), undefined, 'NOT_WELL_FORMED 1:2'],
  ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 60, 0, 0, 0]), undefined, 'UNSUPPORTED_ENCODING 1:1'],
  ['UTF-32 big', Buffer.from([0, 0, 0xfe, 0xff, 0, 0, 0, 60]), undefined, 'UNSUPPORTED_ENCODING 1:1'],
  ['EBCDIC', Buffer.from(document('a', 'cp037')), undefined, 'UNSUPPORTED_ENCODING 1:1'],
  ['UTF-8: a lone byte', inside('', 0x61, 0xe4), undefined, `INVALID_CHARACTER 1:${AT + 1}`],
  ['UTF-8: overlong <', inside('', 0xc0, 0xbc), undefined, `INVALID_CHARACTER 1:${AT}`],
  ['UTF-8: overlong NUL', inside('', 0xc0, 0x80), undefined, `INVALID_CHARACTER 1:${AT}`],
  ['UTF-8: an encoded surrogate', inside('', 0xed, 0xa0, 0x80), undefined, `INVALID_CHARACTER 1:${AT}`],
  ['UTF-8: beyond Unicode', inside('', 0xf4, 0x90, 0x80, 0x80), undefined, `INVALID_CHARACTER 1:${AT}`],
  ['UTF-8: five bytes', inside('', 0xf8, 0x88, 0x80, 0x80, 0x80), undefined, `INVALID_CHARACTER 1:${AT}`],
  ['UTF-8: cut in the middle', inside('', 0xe6, 0xbc), undefined, `INVALID_CHARACTER 1:${AT}`],
  [
    'UTF-8: after two genuine U+FFFD, on line 3',
    inside('<!--\r\n\n-->', 0xef, 0xbf, 0xbd, 0x61, 0xef, 0xbf, 0xbd, 0xf0, 0x9f, 0x98, 0x80, 0xff),
    undefined,
    `INVALID_CHARACTER 3:${AT + 7}`,
  ],
  ['UTF-8 with a mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), inside('', 0xff)]), undefined, `INVALID_CHARACTER 1:${AT}`],
  ['latin1 bytes as UTF-8', inside('', 0xe4), 'utf-8', `INVALID_CHARACTER 1:${AT}`],
  ['US-ASCII with the eighth bit', inside('', 0x61, 0xe4), 'us-ascii', `INVALID_CHARACTER 1:${AT + 1}`],
  ['windows-1252: a byte without a character', inside('', 0x81), 'windows-1252', `INVALID_CHARACTER 1:${AT}`],
  ['windows-1253: a byte without a character', inside('', 0xd2), 'windows-1253', `INVALID_CHARACTER 1:${AT}`],
  [
    'UTF-16: an odd number of bytes',
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('<a', 'utf16le'), Buffer.from([60])]),
    undefined,
    'INVALID_CHARACTER 1:3',
  ],
  ['UTF-16 big: an odd number of bytes', Buffer.from([0xfe, 0xff, 0]), undefined, 'INVALID_CHARACTER 1:1'],
  [
    'UTF-16: half a pair',
    Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(document('a\ud83d'), 'utf16le')]),
    undefined,
    `INVALID_CHARACTER 1:${AT + 1}`,
  ],
  ['two byte order marks', Buffer.from(`\ufeff\ufeff${document('a')}`), undefined, 'NOT_WELL_FORMED 1:1'],
  ['a declaration whose encoding is no name', Buffer.from(document('a', '-')), undefined, 'UNSUPPORTED_ENCODING 1:1'],
];

for (const [clause, body, charset, refusal] of REFUSED) {
  test(`refused: ${clause}`, (t) => {
    t.is(
      refusalOf(() => parseCall(body, { charset })),
      refusal,
    );
  });
}

test('an unknown encoding is named, cleaned and cut', (t) => {
  t.regex(errorOf(() => parseCall(Buffer.from(document('a')), { charset: 'x-odd' })).text, /x-odd of the Content-Type/);
  t.true(errorOf(() => parseCall(Buffer.from(document('a')), { charset: `\u001b${'x'.repeat(999)}` })).text.length < 200);
});

test('a body that is a part of a larger buffer is read by itself', (t) => {
  const body = Buffer.from(`xx${document('ä')}xx`);
  t.deepEqual(parseCall(new Uint8Array(body.buffer, body.byteOffset + 2, body.length - 4)).params, ['ä']);
});
