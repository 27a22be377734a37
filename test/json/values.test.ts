/** JSON and values: one table tested in both directions, and properties of generated values. */
import test from 'ava';
import fc from 'fast-check';
import { Double, Int64, dictOf, isDict } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { readJson, writeJson } from '../../src/json/json.ts';

/** The value of a text that keeps the types of its numbers. */
function exact(text: string): Sendable | undefined {
  const document = readJson(Buffer.from(`[${text}]`));
  const list = document.value as readonly Value[];
  return ((document.exactOf(list) ?? list) as readonly Sendable[])[0];
}

const plain = (text: string): Value => readJson(Buffer.from(text)).value;
const struct = (members: Readonly<Record<string, Value>>): Dict => dictOf(Object.entries(members));

// Each value is written as this text, which is read as the same value.
const BOTH_WAYS: readonly (readonly [text: string, value: Sendable])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
  ['0', 0],
  ['-1', -1],
  ['2147483647', 2147483647],
  ['-2147483648', -2147483648],
  ['2147483648', new Int64(2147483648n)],
  ['9007199254740991', new Int64(9007199254740991n)],
  ['{"$i8":"9007199254740992"}', 9007199254740992n],
  ['{"$i8":"9223372036854775807"}', 9223372036854775807n],
  ['{"$i8":"-9223372036854775808"}', -9223372036854775808n],
  ['{"$i8":"5"}', new Int64(5n)],
  ['1.0', new Double(1)],
  ['-7.0', new Double(-7)],
  ['-0.0', -0],
  ['1.5', 1.5],
  ['2147483648.0', 2147483648],
  ['1e+300', 1e300],
  ['5e-324', 5e-324],
  ['0.1', 0.1],
  ['""', ''],
  ['"a"', 'a'],
  ['"\\"\\\\/\\b\\f\\n\\r\\t\\u0000"', '"\\/\b\f\n\r\t\0'],
  ['"Grüße 👋 ]]> </script>"', 'Grüße 👋 ]]> </script>'],
  ['{"$base64":""}', Buffer.alloc(0)],
  ['{"$base64":"AAH/"}', Buffer.from([0, 1, 255])],
  ['{"$date":"2026-11-21T09:30:00.123Z"}', new Date('2026-11-21T09:30:00.123Z')],
  ['{"$date":"0000-01-01T00:00:00Z"}', new Date('0000-01-01T00:00:00Z')],
  ['{"$date":"9999-12-31T23:59:59.999Z"}', new Date('9999-12-31T23:59:59.999Z')],
  ['[]', []],
  ['[[],[[]]]', [[], [[]]]],
  ['{}', struct({})],
  ['{"a":{"b":[1,{"c":null}]}}', struct({ a: struct({ b: [1, struct({ c: null })] }) })],
  ['{"0":2,"":1,"a b":3}', struct({ '0': 2, '': 1, 'a b': 3 })],
  ['{"$$date":1}', struct({ $date: 1 })],
  ['{"$$base64":"AAH/"}', struct({ $base64: 'AAH/' })],
  ['{"$$i8":{"$i8":"5"}}', { $i8: new Int64(5n) }],
  ['{"$$$date":[1.0]}', { $$date: [new Double(1)] }],
  ['{"$$i8":1.0}', { $i8: new Double(1) }],
  ['{"$date":1,"b":2}', struct({ $date: 1, b: 2 })],
  ['{"$ref":"x"}', struct({ $ref: 'x' })],
  ['{"$":"x"}', struct({ $: 'x' })],
  ['{"$$other":"x"}', struct({ $$other: 'x' })],
];

for (const [text, value] of BOTH_WAYS) {
  test(`both ways: ${text}`, (t) => {
    t.deepEqual(normal(exact(text)!), normal(value));
    t.is(writeJson(value, 'x'), text);
  });
}

// Other accepted spellings, and the values that plugins see.
const READ: readonly (readonly [text: string, value: Value])[] = [
  [' \t\r\n[ 1 , 2 ] \n', [1, 2]],
  ['\ufeff1', 1],
  ['1.0', 1],
  ['1e0', 1],
  ['1E+2', 100],
  ['-0', -0],
  ['-0.0', -0],
  ['1e-400', 0],
  ['9007199254740993', 9007199254740993n],
  ['-9223372036854775808', -9223372036854775808n],
  ['100000000000000000000', 1e20],
  ['{"$i8":"-0"}', 0],
  ['{"$base64":"QR=="}', Buffer.from('A')],
  ['{"$base64":"AAH/QUJ="}', Buffer.from([0, 1, 255, 65, 66])],
  ['"\\u00e4\\uD83D\\uDC4B\\/"', 'ä👋/'],
  ['{"$date":"2026-11-21T09:30:00Z"}', new Date('2026-11-21T09:30:00Z')],
  ['{"$date":"2026-11-21T09:30:00+02:00"}', new Date('2026-11-21T07:30:00Z')],
  ['{"$date":"2026-11-21T09:30:00.123456-00:30"}', new Date('2026-11-21T10:00:00.123Z')],
  ['{"\\u0024date":"2026-11-21T09:30:00Z"}', new Date('2026-11-21T09:30:00Z')],
];

for (const [text, value] of READ) {
  test(`read: ${text}`, (t) => {
    t.deepEqual(plain(text), value);
  });
}

test('names of inherited properties are plain data', (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '0', 'then', 'toJSON'];
  const text = `{${names.map((name, index) => `${JSON.stringify(name)}:{"x":${index}}`).join()}}`;
  const value = plain(text) as Dict;
  t.is(Object.getPrototypeOf(value), null);
  t.deepEqual([...Object.keys(value)].sort(), [...names].sort());
  for (const [index, name] of names.entries()) t.is((value[name] as Dict).x, index);
  t.is(({} as Record<string, unknown>).x, undefined);
  t.deepEqual(plain(writeJson(value, 'x')), value);
});

test('Map, plain object, Uint8Array and small bigint are written with their types', (t) => {
  t.is(writeJson(new Map<string, Sendable>([['a', new Map([['$i8', 1n]])]]), 'x'), '{"a":{"$$i8":1}}');
  t.is(writeJson({ a: Uint8Array.of(1) }, 'x'), '{"a":{"$base64":"AQ=="}}');
  t.is(writeJson([5n, -2147483648n, 2147483648n], 'x'), '[5,-2147483648,2147483648]');
});

test('a part of a document keeps the types of its numbers, and is only copied if it has any', (t) => {
  const document = readJson(Buffer.from('{"params":[{"a":1.0,"deep":[[{"b":2147483648}]]},{"c":1}]}'));
  const [first, second] = (document.value as Dict).params as readonly Dict[];
  t.is(writeJson(document.exactOf(first!), 'x'), '{"a":1.0,"deep":[[{"b":2147483648}]]}');
  t.is(writeJson(document.exactOf(second!), 'x'), '{"c":1}');
  t.is(first!.a, 1);
  const without = readJson(Buffer.from('{"a":[1,1.5,"x"]}'));
  t.is(without.exactOf(without.value as Dict), undefined);
});

test('the text of a named member is kept only in the outermost object, or in the objects of the outermost array', (t) => {
  const at = (text: string, find: (value: Value) => Value): string | undefined => {
    const document = readJson(Buffer.from(text), { keepTextOf: 'ä' });
    return document.textOf(find(document.value) as Dict);
  };
  t.is(
    at('{ "ä" : 1e22 , "b":2}', (value) => value),
    '1e22',
  );
  t.is(
    at('\ufeff{"\\u00e4":"ö\\u00e4"}', (value) => value),
    '"ö\\u00e4"',
  );
  t.is(
    at('[{"ä":{"$i8": "7"}},{"ä":[1, {"ä":2}]}]', (value) => (value as readonly Value[])[0]!),
    '{"$i8": "7"}',
  );
  t.is(
    at('[{"ä":{"$i8": "7"}},{"ä":[1, {"ä":2}]}]', (value) => (value as readonly Value[])[1]!),
    '[1, {"ä":2}]',
  );
  t.is(
    at('[[{"ä":1}]]', (value) => (value as readonly (readonly Value[])[])[0]![0]!),
    undefined,
  );
  t.is(
    at('{"b":1}', (value) => value),
    undefined,
  );
  const unnamed = readJson(Buffer.from('{"ä":1}'));
  t.is(unnamed.textOf(unnamed.value as Dict), undefined);
});

/** Arbitrary values in the form in which they are read; equal values are deepEqual. */
function normal(value: Sendable): unknown {
  if (Array.isArray(value)) return (value as readonly Sendable[]).map(normal);
  if (isDict(value)) return Object.entries(value).map(([name, part]) => [name, normal(part)]);
  if (Double.is(value)) return ['double', value.value];
  if (Int64.is(value)) return ['i8', value.value];
  if (typeof value === 'bigint') return ['i8', value];
  if (typeof value === 'number' && (!Number.isInteger(value) || Object.is(value, -0) || (value | 0) !== value)) return ['double', value];
  return value;
}

const name = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('$date', '$base64', '$i8', '$$date', '$$$i8', '__proto__', 'a', '0'),
);
const scalar: fc.Arbitrary<Sendable> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer().map((value) => new Double(value)),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((value) => new Int64(value)),
  fc.integer().map((value) => new Int64(BigInt(value))),
  fc.string({ unit: 'binary' }),
  fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
);
const { value: anyValue } = fc.letrec<{ value: Sendable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 6 }),
    fc.uniqueArray(fc.tuple(name, tie('value')), { maxLength: 6, selector: ([key]) => key }).map((entries) => dictOf(entries as never)),
  ),
}));

test('any value -> JSON -> the same value, types included', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const text = writeJson(value, 'x');
      t.deepEqual(normal(exact(text)!), normal(value));
      t.is(writeJson(exact(text), 'x'), text);
    }),
    { numRuns: 3_000 },
  );
});

/** Without prototypes, and with the negative zero that JSON.parse reads. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== 'object' || value === null) return value;
  return dictOf(Object.entries(value).map(([key, part]) => [key, bare(part) as Value]));
}

test('plain JSON in any layout is read like JSON.parse reads it, and JSON.parse reads our output', (t) => {
  // Digits beyond 2^53 are an i8 for us, and a double for JSON.parse.
  const ours = /"\$+(?:date|base64|i8)"|(?<![.\d])\d{16,21}(?![.\de])/;
  const json = fc.jsonValue({ maxDepth: 5 }).filter((value) => !ours.test(JSON.stringify(value)));
  fc.assert(
    fc.property(json, fc.constantFrom('', ' ', '\t', '\n  '), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      t.deepEqual(plain(text), bare(JSON.parse(text)));
      t.deepEqual(bare(JSON.parse(writeJson(plain(text), 'x'))), bare(JSON.parse(text)));
    }),
    { numRuns: 3_000 },
  );
});
