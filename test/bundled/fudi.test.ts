/** FUDI in the plugin pd.bridge: parsing from any chunks of bytes, and that what is written can be parsed again. */
import test from 'ava';
import fc from 'fast-check';
import { FudiReader, formatFudi } from '../../plugins/pd/_fudi.ts';
import type { Atom } from '../../plugins/pd/_fudi.ts';

interface Reading {
  readonly messages: readonly (readonly Atom[])[];
  readonly refused: readonly string[];
}

/** Parses the chunks as one complete stream. */
function read(pieces: readonly (string | Uint8Array)[], maxMessageBytes = 4096): Reading {
  const refused: string[] = [];
  const reader = new FudiReader({ maxMessageBytes, refuse: (reason) => refused.push(reason) });
  const messages = pieces.flatMap((piece) => [...reader.read(Buffer.from(piece as string))]);
  reader.end();
  return { messages, refused };
}

const TABLE: readonly (readonly [what: string, text: string, messages: Reading['messages']])[] = [
  ['floats and symbols', 'freq 440 0.5 -3 on;\n', [['freq', 440, 0.5, -3, 'on']]],
  ['all blanks', '\r\n a\t1\n 2  ; \n', [['a', 1, 2]]],
  ['several messages in a line', 'you; can; send;', [['you'], ['can'], ['send']]],
  ['a message over lines', 'this\ngoes\non;', [['this', 'goes', 'on']]],
  ['skips empty messages', ';; \n;a;', [['a']]],
  [
    'a comma ends a message',
    'a 1, b 2;',
    [
      ['a', 1],
      ['b', 2],
    ],
  ],
  [
    'escapes',
    'one\\ atom semi\\;colon com\\,ma back\\\\slash new\\\nline;',
    [['one atom', 'semi;colon', 'com,ma', 'back\\slash', 'new\nline']],
  ],
  ['an escaped number is a symbol', '\\440 4\\40 440;', [['440', '440', 440]]],
  ['what Pure Data takes for a float', '1. .5 -.5 1e3 1.5E-2 1.e+2 007;', [[1, 0.5, -0.5, 1000, 0.015, 100, 7]]],
  [
    'and what not',
    '+1 - . 1e 1e+ 0x1F 1,5 NaN inf 1-2 --1;',
    [
      ['+1', '-', '.', '1e', '1e+', '0x1F', 1],
      [5, 'NaN', 'inf', '1-2', '--1'],
    ],
  ],
  ['a float beyond a double is text', '1e999;', [['1e999']]],
  ['UTF-8', 'hé 漢 🐍;', [['hé', '漢', '🐍']]],
  ['names of prototypes', '__proto__ constructor;', [['__proto__', 'constructor']]],
];

for (const [what, text, messages] of TABLE) {
  test(`parses ${what}`, (t) => {
    t.deepEqual(read([text]), { messages, refused: [] });
    t.deepEqual(read([...Buffer.from(text)].map((byte) => Uint8Array.of(byte))), { messages, refused: [] }, 'byte by byte');
  });
}

test('a malformed message is skipped with a reason, and the following ones are read', (t) => {
  t.deepEqual(read(['aaaaa; 12345678; b;'], 6), { messages: [['aaaaa'], ['b']], refused: ['a message of more than 6 bytes'] });
  t.deepEqual(read(['12345678', '90'], 6), { messages: [], refused: ['a message of more than 6 bytes'] });
  t.deepEqual(read([Uint8Array.of(0x61, 0xff, 0x3b, 0x62, 0x3b)]), { messages: [['b']], refused: ['a message that is not UTF-8'] });
  t.deepEqual(read(['a; b 1']), { messages: [['a']], refused: ['a message without a semicolon at its end'] });
  t.deepEqual(read(['a; \n']), { messages: [['a']], refused: [] }, 'blanks at the end are nothing');
});

test('the memory for a message without an end is bounded, and a message of backslashes is read like any other', (t) => {
  const endless = read([Buffer.alloc(5_000_000, 'x'), ';a;']);
  t.deepEqual(endless, { messages: [['a']], refused: ['a message of more than 4096 bytes'] });
  t.deepEqual(read([Buffer.alloc(4000, '\\'), ';a;']), { messages: [['\\'.repeat(2000)], ['a']], refused: [] });
});

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc
    .array(fc.constantFrom('a', '1', '.', 'e', '-', ' ', '\n', ';', ',', '\\', '$', 'é', '🐍'), { maxLength: 80 })
    .map((chars) => Buffer.from(chars.join(''))),
);

test('any split of the bytes yields the same messages and the same errors', (t) => {
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(200), { maxLength: 8 }), fc.constantFrom(16, 4096), (whole, cuts, limit) => {
      const offsets = [0, ...cuts.filter((cut) => cut <= whole.length).sort((a, b) => a - b), whole.length];
      const pieces = offsets.slice(1).map((end, index) => whole.subarray(offsets[index], end));
      t.deepEqual(read(pieces, limit), read([whole], limit));
    }),
    { numRuns: 1000 },
  );
});

const atom = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.constantFrom('440', '-1.5', '1e3', ';', ',', '\\', '$1', '$', ' ', '\n', '\\;', 'a b'),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
);

test('a written message can be parsed again, alone and among others', (t) => {
  fc.assert(
    fc.property(fc.array(fc.array(atom, { minLength: 1, maxLength: 10 }), { maxLength: 5 }), (lists) => {
      const text = Buffer.concat(lists.map((list) => formatFudi(list, 60_000)));
      const expected = lists.map((list) => list.map((one) => (one === 0 ? 0 : one)));
      t.deepEqual(read([text], 60_000), { messages: expected, refused: [] });
    }),
    { numRuns: 1000 },
  );
});

test('an invalid message is not written, and the error says why', (t) => {
  const refusals: readonly (readonly [list: readonly unknown[], reason: RegExp])[] = [
    [[], /^an empty list is not a message$/],
    [['a', true], /^atom 2 is neither a number nor a text$/],
    [[null], /^atom 1 is neither/],
    [[[1]], /^atom 1 is neither/],
    [[NaN], /^atom 1 is neither/],
    [['a', Infinity], /^atom 2 is neither/],
    [[2n ** 60n], /^atom 1 is neither/],
    [[''], /^atom 1 is an empty text/],
    [['x'.repeat(17)], /^the message is longer than 16 bytes/],
    [['é'.repeat(9)], /^the message is longer than 16 bytes/],
    [Array.from({ length: 9 }, () => 1), /^the message is longer than 16 bytes/],
  ];
  for (const [list, message] of refusals) t.throws(() => formatFudi(list, 16), { instanceOf: RangeError, message });
  t.is(String(formatFudi(['x'.repeat(16)], 16)), `${'x'.repeat(16)};\n`, 'as long as may be');
  t.deepEqual(read([formatFudi(['x'.repeat(16)], 16)], 16).messages, [['x'.repeat(16)]]);
  t.is(String(formatFudi([1, 2, 3, 4, 5, 6, 7, 8], 16)), '1 2 3 4 5 6 7 8;\n');
});
