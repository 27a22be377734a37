/** Invalid, ambiguous and excessive JSON is refused with its position, and values that cannot be written with their path. */
import test from 'ava';
import fc from 'fast-check';
import { Double, Int64 } from '../../src/values/values.ts';
import { RelayError } from '../../src/core/core.ts';
import { readJson, writeJson } from '../../src/json/json.ts';
import type { BodyLimits } from '../../src/core/core.ts';

function refusal(text: string | Uint8Array, limits?: Partial<BodyLimits>): string {
  try {
    readJson(Buffer.from(text), limits);
  } catch (error) {
    return RelayError.is(error) ? `${error.code} ${error.message}` : `not a RelayError: ${String(error)}`;
  }
  return 'accepted';
}

const MALFORMED: readonly (readonly [text: string, place: string])[] = [
  ['', '1:1'],
  [' \n ', '2:2'],
  ['nul', '1:1'],
  ['nulll', '1:5'],
  ['True', '1:1'],
  ['undefined', '1:1'],
  ['NaN', '1:1'],
  ['Infinity', '1:1'],
  ['-Infinity', '1:1'],
  ['+1', '1:1'],
  ['01', '1:1'],
  ['-01', '1:1'],
  ['00', '1:1'],
  ['-', '1:1'],
  ['.5', '1:1'],
  ['1.', '1:1'],
  ['1.e5', '1:1'],
  ['1e', '1:1'],
  ['1e+', '1:1'],
  ['1-2', '1:1'],
  ['0x10', '1:2'],
  ['1e400', '1:1'],
  ['18446744073709551615', '1:1'],
  ['[1,\n  1e999]', '2:3'],
  ['1 2', '1:3'],
  ['{}{}', '1:3'],
  ['[', '1:2'],
  ['[1', '1:3'],
  ['[1,', '1:4'],
  ['[1,]', '1:4'],
  ['[,1]', '1:2'],
  ['[1 2]', '1:4'],
  ['[1}', '1:3'],
  [']', '1:1'],
  ['}', '1:1'],
  ['{', '1:2'],
  ['{"a"', '1:5'],
  ['{"a":', '1:6'],
  ['{"a":}', '1:6'],
  ['{"a" 1}', '1:6'],
  ['{"a":1,}', '1:8'],
  ['{"a":1 "b":2}', '1:8'],
  ['{a:1}', '1:2'],
  ["{'a':1}", '1:2'],
  ['{1:1}', '1:2'],
  ['{,}', '1:2'],
  ['{"a":1]', '1:7'],
  ['"', '1:1'],
  ['"abc', '1:1'],
  ['"a\nb"', '1:3'],
  ['"a\tb"', '1:3'],
  ['"\u0000"', '1:2'],
  ['"\\x41"', '1:2'],
  ['"\\u12"', '1:2'],
  ['"\\u12g4"', '1:2'],
  ['"\\U0041"', '1:2'],
  ['"\\', '1:2'],
  ['"ä\\q"', '1:3'],
  ['"\\ud800"', '1:2'],
  ['"\\ud800\\u0041"', '1:2'],
  ['"\\udc00\\ud800"', '1:2'],
  ['// no\n1', '1:1'],
  ['/* no */1', '1:1'],
  ['1\u00a0', '1:2'],
  ['1\u2028', '1:2'],
  ['\v1', '1:1'],
  ['<methodCall/>', '1:1'],
  ['{"a":1,\r\n "a":2}', '2:2'],
  ['{"a":1,"\\u0061":2}', '1:8'],
  ['{"__proto__":1,"__proto__":2}', '1:16'],
  ['[\r1\r,x]', '3:2'],
  ['{"$date":5}', '1:1'],
  ['[{"$date":"2026-02-30T00:00:00Z"}]', '1:2'],
  ['{"$date":"2026-11-21T24:00:00Z"}', '1:1'],
  ['{"$date":"2026-11-21T09:30:60Z"}', '1:1'],
  ['{"$date":"2026-11-21T09:30:00"}', '1:1'],
  ['{"$date":"2026-11-21"}', '1:1'],
  ['{"$date":"2026-11-21T09:30:00+15:00"}', '1:1'],
  ['{"$date":"2026-11-21T09:30:00+01:60"}', '1:1'],
  ['{"$date":"0000-01-01T00:00:00+01:00"}', '1:1'],
  ['{"$base64":null}', '1:1'],
  ['{"$base64":"AQI"}', '1:1'],
  ['{"$base64":"AQ I="}', '1:1'],
  ['{"$base64":"A-_="}', '1:1'],
  ['{"$base64":"A-=="}', '1:1'],
  ['{"$base64":"A_A="}', '1:1'],
  ['{"$base64":"AA_="}', '1:1'],
  ['{"$base64":"A!=="}', '1:1'],
  ['{"$base64":"QR="}', '1:1'],
  ['{"$base64":"QR==="}', '1:1'],
  ['{"$base64":"QR=R"}', '1:1'],
  ['{"$base64":"Q==="}', '1:1'],
  ['{"$base64":"===="}', '1:1'],
  ['{"$base64":"QR==QR=="}', '1:1'],
  ['{"$i8":5}', '1:1'],
  ['{"$i8":"5.0"}', '1:1'],
  ['{"$i8":"05"}', '1:1'],
  ['{"$i8":"9223372036854775808"}', '1:1'],
  ['{"$i8":""}', '1:1'],
];

for (const [index, [text, place]] of MALFORMED.entries()) {
  test(`${index}: refused at ${place}: ${JSON.stringify(text)}`, (t) => {
    const [line = '', column = ''] = place.split(':');
    t.true(refusal(text).startsWith(`NOT_WELL_FORMED line ${line}, column ${column}: `), refusal(text));
  });
}

test('invalid UTF-8 is refused', (t) => {
  const bad = [[0xff], [0x22, 0xc3, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0xff, 0xfe, 0x31, 0]];
  for (const bytes of bad) t.regex(refusal(Uint8Array.from(bytes)), /^NOT_WELL_FORMED .*UTF-8/);
});

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const objects = (depth: number): string => '{"a":'.repeat(depth) + '1' + '}'.repeat(depth);
const LIMITS: readonly (readonly [what: string, limits: Partial<BodyLimits>, fits: string, exceeds: string])[] = [
  ['bytes', { maxBodyBytes: 4 }, '"ab"', '"abc"'],
  ['depth of arrays', {}, nested(64), nested(65)],
  ['depth of objects', { maxDepth: 3 }, objects(3), objects(4)],
  ['values', { maxValues: 3 }, '[1,2]', '[1,2,3]'],
  ['members', { maxMembers: 2 }, '{"a":1,"b":2}', '{"a":1,"b":2,"c":3}'],
  ['names', { maxNameLength: 2 }, '{"äö":1}', '{"äöü":1}'],
  ['digits', { maxDigits: 12 }, '123456789012', '1234567890123'],
  ['digits of a double', { maxDigits: 12 }, '1.2345678901', '1.23456789012'],
];

for (const [what, limits, fits, exceeds] of LIMITS) {
  test(`the limit of ${what}`, (t) => {
    t.is(refusal(fits, limits), 'accepted');
    t.regex(refusal(exceeds, limits), /^LIMIT /);
  });
}

test('200,000 open brackets, a number of a megabyte and a name of a megabyte are refused early', (t) => {
  t.regex(refusal('['.repeat(200_000)), /^LIMIT line 1, column 65: /);
  t.regex(refusal('{"a":'.repeat(200_000)), /^LIMIT /);
  t.regex(refusal('9'.repeat(1_000_000)), /^LIMIT /);
  t.regex(refusal(`{"${'x'.repeat(1_000_000)}":1}`), /^LIMIT /);
  t.regex(refusal(`[${'1,'.repeat(300_000)}1]`), /^LIMIT .*200000 values/);
});

test('a text truncated at any byte, or with one byte changed, results in a value or a refusal', (t) => {
  const text = Buffer.from('{"a":[1,-2.5e3,"ä\\u00e4",true,{"$date":"2026-11-21T09:30:00Z"}],"b":{"$base64":"AQI="}}');
  for (let end = 0; end < text.length; end++) t.regex(refusal(text.subarray(0, end)), /^NOT_WELL_FORMED /);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(255), (at, byte) => {
      const changed = Buffer.from(text);
      changed[at] = byte;
      t.regex(refusal(changed), /^(accepted|NOT_WELL_FORMED |LIMIT )/);
    }),
    { numRuns: 5_000 },
  );
});

test('JSON.parse accepts every accepted text', (t) => {
  const pieces = fc.array(
    fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '1', '-', '0', '.', 'e', 'true', 'null', ' ', '\\', '"'),
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      const text = parts.join('');
      if (refusal(text) === 'accepted') t.notThrows(() => JSON.parse(text) as unknown);
      else if (!/is repeated|too large/.test(refusal(text))) t.throws(() => JSON.parse(text) as unknown, undefined, text);
    }),
    { numRuns: 20_000 },
  );
});

const circle: unknown[] = [];
circle.push([circle]);
const hostile = {
  get bad(): never {
    throw new Error('secret');
  },
};
const UNWRITABLE: readonly (readonly [value: unknown, text: RegExp])[] = [
  [undefined, /^x: undefined cannot be sent/],
  [{ a: [1, undefined] }, /^x\.a\[1\]: undefined/],
  [NaN, /^x: NaN cannot be sent/],
  [[Infinity], /^x\[0\]: Infinity/],
  [new Double(NaN), /^x: NaN/],
  [() => 1, /^x: a function/],
  [Symbol('s'), /^x: a symbol/],
  [new Date(NaN), /^x: the date is invalid/],
  [new Date('+010000-01-01T00:00:00Z'), /^x: the date is invalid or outside/],
  [2n ** 63n, /^x: the integer does not fit 64 bits/],
  [new Int64(2n ** 64n), /^x: the integer does not fit/],
  ['a\ud800', /^x: the text contains a lone surrogate/],
  [{ ['\udc00']: 1 }, /a lone surrogate/],
  [{ 'odd name': [{ ok: undefined }] }, /^x\["odd name"\]\[0\]\.ok: undefined/],
  [circle, /^x\[0\]\[0\]: the value contains itself/],
  [JSON.parse(nested(65)), /deeper than 64/],
  [new Map([[1, 2]]), /^x: a Map with a key that is not a string/],
  [new URL('http://127.0.0.1/'), /^x: an instance of URL cannot/],
  [hostile, /^x\.bad: the value cannot be read$/],
  [['y'.repeat(200)], /^x\[0\]: the value is longer than 100 bytes/],
  [Buffer.alloc(100), /longer than 100 bytes/],
  [Array.from({ length: 60 }, () => 1), /longer than 100 bytes/],
];

for (const [index, [value, text]] of UNWRITABLE.entries()) {
  test(`cannot be written (${index}): ${String(text)}`, (t) => {
    t.throws(() => writeJson(value, 'x', 100), { code: 'INTERNAL', message: text });
  });
}

test('a value that repeats shared parts exponentially often ends at the limit', (t) => {
  let value: unknown[] = ['x'];
  for (let level = 0; level < 40; level++) value = [value, value];
  t.throws(() => writeJson(value, 'x', 100_000), { code: 'INTERNAL', message: /longer than 100000 bytes/ });
});

test('the number of values is limited, however few bytes they take', (t) => {
  let lists: unknown = [];
  let structs: unknown = {};
  for (let level = 0; level < 60; level++)
    [lists, structs] = [
      [lists, lists],
      new Map([
        ['a', structs],
        ['b', structs],
      ]),
    ];
  for (const shared of [lists, structs, Array.from({ length: 1_000_000 }, () => 1), new Array(2 ** 32 - 1)])
    t.throws(() => writeJson(shared, 'x'), { code: 'INTERNAL', message: /^x.*: more than 1000000 values; send them in parts$/ });
  t.is(
    writeJson(
      Array.from({ length: 999_999 }, () => 1),
      'x',
    ).length,
    2 * 999_999 + 1,
  );
});
