/** The media type of a Content-Type header: type and parameters, read strictly and in linear time. */
import test from 'ava';
import { parseMediaType } from '../../src/core/core.ts';

const VALID: readonly (readonly [header: string, type: string, parameters: readonly (readonly [string, string])[]])[] = [
  ['text/xml', 'text/xml', []],
  [' Text/XML ', 'text/xml', []],
  ['text/xml;', 'text/xml', []],
  ['text/xml; charset=utf-8', 'text/xml', [['charset', 'utf-8']]],
  ['text/xml;CHARSET=UTF-8', 'text/xml', [['charset', 'UTF-8']]],
  ['text/xml ; charset="iso-8859-1" ;', 'text/xml', [['charset', 'iso-8859-1']]],
  [
    'text/xml; a="; charset=x"; charset=utf-8',
    'text/xml',
    [
      ['a', '; charset=x'],
      ['charset', 'utf-8'],
    ],
  ],
  ['text/xml; charset=""', 'text/xml', [['charset', '']]],
  [
    'application/vnd.x+xml; a=1; a=2',
    'application/vnd.x+xml',
    [
      ['a', '1'],
      ['a', '2'],
    ],
  ],
];

for (const [header, type, parameters] of VALID) {
  test(`accepted: ${header}`, (t) => {
    t.deepEqual(parseMediaType(header), { type, parameters, isWellFormed: true });
  });
}

const MALFORMED: readonly (readonly [header: string, type: string, parameters: readonly (readonly [string, string])[]])[] = [
  ['text/xml; charset', 'text/xml', []],
  ['text/xml; charset = utf-8', 'text/xml', []],
  ['text/xml; charset=', 'text/xml', []],
  ['text/xml charset=utf-8', 'text/xml', []],
  ['text/xml; charset=utf-8, text/plain', 'text/xml', [['charset', 'utf-8']]],
  ['text/xml; charset="utf-8', 'text/xml', []],
  ['text/xml; charset="a\\"b"', 'text/xml', []],
  ['text/xml;; charset=utf-8', 'text/xml', []],
];

for (const [header, type, parameters] of MALFORMED) {
  test(`malformed, with what precedes the error: ${header}`, (t) => {
    t.deepEqual(parseMediaType(header), { type, parameters, isWellFormed: false });
  });
}

test('a header without a type has no media type', (t) => {
  for (const header of ['', ' ', 'text', 'text/', '/xml', ';charset=utf-8', 'text /xml', 'text/ xml', 'täxt/xml']) {
    t.is(parseMediaType(header), undefined, header);
  }
});

test('a long header of any shape takes linear time', (t) => {
  const start = process.cpuUsage();
  for (const part of ['; ', ' ', ';a=b', ';a="', 'text/', '; a=b ', '\t;', 'a']) parseMediaType(`text/xml${part.repeat(100_000)}x`);
  t.true(process.cpuUsage(start).user < 1_000_000);
});
