/** Writing values: the options, values larger than the pieces in which they are written, and responses in turns. */
import test from 'ava';
import fc from 'fast-check';
import { Double, Int64 } from '../../src/values/values.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import {
  parseResponse,
  serialiseCall,
  serialiseFault,
  serialiseMembersCall,
  serialiseResponse,
  serialiseResponseInTurns,
  serialiseStruct,
} from '../../src/xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../../src/xmlrpc/xmlrpc.ts';
import { turnsDuring } from '../support/turns.ts';
import { errorOf } from './wire.ts';

const MiB = 1024 * 1024;
const LIMITS = { maxBodyBytes: 128 * MiB, maxValues: 10_000_000 };

/** `value` after a round trip. */
function there(value: Sendable): Value | undefined {
  const answer = parseResponse(serialiseResponse(value, { nil: true, i8: true }), { limits: LIMITS });
  return answer.kind === 'value' ? answer.value : undefined;
}

/** The content of the response's `<value>`. */
function inner(value: unknown, options?: WriteOptions): string {
  const text = serialiseResponse(value as Sendable, options).toString('utf8');
  return text.slice(text.indexOf('<value>') + '<value>'.length, text.lastIndexOf('</value>'));
}

type Row = readonly [what: string, value: unknown, options: WriteOptions | undefined, inner: string];

const WRITTEN: readonly Row[] = [
  ['an int', -2147483648, undefined, '<int>-2147483648</int>'],
  ['the largest int', 2147483647, undefined, '<int>2147483647</int>'],
  ['beyond 32 bits', 2147483648, undefined, '<double>2147483648.0</double>'],
  ['minus zero', -0, undefined, '<double>-0.0</double>'],
  ['minus zero with exponents', -0, { doubles: 'exponent' }, '<double>-0.0</double>'],
  ['a small bigint', 5n, undefined, '<int>5</int>'],
  ['1e21 without an exponent', 1e21, undefined, '<double>1000000000000000000000.0</double>'],
  ['1e21 with one', 1e21, { doubles: 'exponent' }, '<double>1e+21</double>'],
  ['-1.5e-7 without', -1.5e-7, undefined, '<double>-0.00000015</double>'],
  ['-1.5e-7 with', -1.5e-7, { doubles: 'exponent' }, '<double>-1.5e-7</double>'],
  ['a whole double keeps its point', new Double(3), { doubles: 'exponent' }, '<double>3.0</double>'],
  ['the smallest double', 5e-324, undefined, `<double>0.${'0'.repeat(323)}5</double>`],
  ['NaN', NaN, { nonFinite: true }, '<double>NaN</double>'],
  ['Infinity', Infinity, { nonFinite: true }, '<double>Infinity</double>'],
  ['-Infinity in a Double', new Double(-Infinity), { nonFinite: true }, '<double>-Infinity</double>'],
  ['i8', new Int64(5n), { i8: true }, '<i8>5</i8>'],
  ['nil', null, { nil: true }, '<nil/>'],
  ['UTF-8', 'ä€😀', undefined, '<string>ä€😀</string>'],
  ['ASCII', 'aä€😀\ufffd<&>\r\n', { charset: 'ascii' }, '<string>a&#228;&#8364;&#128512;&#65533;&lt;&amp;&gt;&#13;\n</string>'],
  ['ASCII in a name', { ä: 1 }, { charset: 'ascii' }, '<struct><member><name>&#228;</name><value><int>1</int></value></member></struct>'],
  ['no character beyond U+FFFF, and none there', 'ä€', { astral: false }, '<string>ä€</string>'],
  [
    'U+FFFD for characters beyond U+FFFF',
    { 'a😀': '😀b🛰' },
    { astral: 'replace' },
    '<struct><member><name>a\ufffd</name><value><string>\ufffdb\ufffd</string></value></member></struct>',
  ],
  ['the same in ASCII', '😀ä', { astral: 'replace', charset: 'ascii' }, '<string>&#65533;&#228;</string>'],
  ['the same in a long text', '😀'.repeat(20_000), { astral: 'replace' }, `<string>${'\ufffd'.repeat(20_000)}</string>`],
  ['markup in a long text', '<&>\r'.repeat(30), undefined, `<string>${'&lt;&amp;&gt;&#13;'.repeat(30)}</string>`],
  [
    'markup in a name',
    { '<&>': true },
    undefined,
    '<struct><member><name>&lt;&amp;&gt;</name><value><boolean>1</boolean></value></member></struct>',
  ],
  ['U+FFFD that is meant', 'a\ufffdb', undefined, '<string>a\ufffdb</string>'],
  ['before 1970', new Date('1969-12-31T23:59:58.999Z'), undefined, '<dateTime.iso8601>19691231T23:59:58</dateTime.iso8601>'],
  ['the last second', new Date('9999-12-31T23:59:59.999Z'), undefined, '<dateTime.iso8601>99991231T23:59:59</dateTime.iso8601>'],
  [
    'a leap day',
    [new Date('2024-02-29T00:00:00Z')],
    undefined,
    '<array><data><value><dateTime.iso8601>20240229T00:00:00</dateTime.iso8601></value></data></array>',
  ],
  ['an empty text', '', undefined, '<string></string>'],
  ['no bytes', new Uint8Array(), undefined, '<base64></base64>'],
  ['an empty struct in an empty array', [{}], undefined, '<array><data><value><struct></struct></value></data></array>'],
  ['a Map', new Map([['b', 1]]), undefined, '<struct><member><name>b</name><value><int>1</int></value></member></struct>'],
];

for (const [what, value, options, expected] of WRITTEN) {
  test(`written: ${what}`, (t) => {
    t.is(inner(value, options), expected);
  });
}

const REFUSED: readonly (readonly [what: string, value: unknown, options: WriteOptions, reason: RegExp])[] = [
  ['NaN unless it is allowed', [NaN], { doubles: 'exponent' }, /^result\[0\]: NaN cannot be sent/],
  ['a character beyond U+FFFF', { a: 'x😀' }, { astral: false }, /^result\.a: .*beyond U\+FFFF.*option astral/],
  ['the same in ASCII', '😀', { astral: false, charset: 'ascii' }, /^result: .*beyond U\+FFFF/],
  ['the same in a long text', 'x'.repeat(100_000) + '😀', { astral: false }, /^result: .*beyond U\+FFFF/],
  ['the same in a name', { '😀': 1 }, { astral: false }, /^result\["😀"\]: the member name/],
  ['a control character in ASCII', 'ä\u0001', { charset: 'ascii' }, /^result: .*control/],
  ['half a pair in ASCII', '\ud800', { charset: 'ascii' }, /^result: .*surrogate/],
  ['half a pair beside U+FFFD', '\ufffd\udc00', {}, /^result: .*surrogate/],
  ['a control character at the end of a long text', 'x'.repeat(100_000) + '\u0001', {}, /^result: .*control/],
  ['U+FFFF in a long text', 'x'.repeat(60) + '\uffff', {}, /^result: .*control/],
  ['a name that no parse takes', { ['n'.repeat(1025)]: 1 }, {}, /^result\["n{40}…"\]: the member name has more than 1024/],
  ['a text of 65 MiB', ['x'.repeat(65 * MiB)], {}, /^result\[0\]: .*longer than/],
  ['bytes that take 65 MiB', Buffer.alloc(49 * MiB), {}, /^result: .*longer than/],
];

for (const [what, value, options, reason] of REFUSED) {
  test(`refused: ${what}`, (t) => {
    const { code, text } = errorOf(() => serialiseResponse(value as Sendable, options));
    t.is(code, 'INTERNAL');
    t.regex(text, reason);
    t.is(inner(1), '<int>1</int>', 'what was begun is forgotten');
  });
}

test('texts with lengths around the size of a piece survive a round trip, with escaped and wide characters at every position', (t) => {
  for (const unit of ['a', '<', 'ä', '€', '😀', '\ufffd', '\r']) {
    for (const length of [46, 47, 48, 49, 16_381, 16_382, 16_383, 16_384, 16_385, 32_768, 50_000]) {
      const text = 'x'.repeat(length) + unit + 'y';
      t.true(there(text) === text, `${unit} after ${length}`);
      t.true(there(unit + text) === unit + text, `${unit} around ${length}`);
    }
    const many = unit.repeat(40_000);
    t.true(there(many) === many, `many ${unit}`);
  }
});

test('bytes with lengths around the size of a piece survive a round trip', (t) => {
  for (const length of [0, 1, 2, 3, 24_574, 24_575, 24_576, 24_577, 49_152, 49_153, 3 * MiB + 1]) {
    const bytes = Buffer.alloc(length, 0xa5);
    t.deepEqual(there(bytes), bytes);
  }
});

test('values of every type survive a round trip wherever a chunk ends', (t) => {
  const values = [7, 'ä<', true, 2.5, null, 2n ** 60n, new Date(0), Buffer.from('abc'), [1], { a: 1 }].map((value) => [value, value]);
  for (let fill = 0; fill < 64; fill++) {
    const value = ['x'.repeat(MiB - 700 + 11 * fill), ...values] as Value[];
    const back = there(value) as Value[];
    t.deepEqual(back.slice(1), there(values as Value[]) as Value[]);
  }
});

test('more names than the cache holds, and names of every kind, survive a round trip', (t) => {
  const names = Array.from({ length: 3000 }, (_, index) =>
    index % 3 === 0 ? `n${index}` : index % 3 === 1 ? `ä ${index}` : 'n'.repeat(index % 1000),
  );
  const value = Object.fromEntries(names.map((name, index) => [name, index]));
  t.deepEqual(Object.entries(there(value) as object), Object.entries(value));
});

test('a getter may write a message itself', (t) => {
  const value = {
    a: 1,
    get b() {
      return serialiseStruct({ inside: [this.a] });
    },
    c: 3,
  };
  t.deepEqual({ ...(there(value) as object) }, { a: 1, b: serialiseStruct({ inside: [1] }), c: 3 });
});

test('a response does not change when the next one is written', (t) => {
  const first = serialiseResponse('first');
  const text = first.toString();
  serialiseResponse('second');
  serialiseCall('m', [1]);
  t.is(first.toString(), text);
});

test('a long text in a fault or in a kept member is written completely', (t) => {
  const text = 'ä<\u0001'.repeat(20_000);
  t.like(parseResponse(serialiseFault(1, text)), { code: 1, text: text.replaceAll('\u0001', '\ufffd') });
  const xml = `<value><string>${'ä'.repeat(MiB)}</string></value>`;
  t.true(serialiseMembersCall('m', new Map([['k', xml]]), {}).includes(xml));
});

test('writing in turns gives the same bytes as writing at once', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (value) => {
      const options = { nil: true };
      t.deepEqual(await serialiseResponseInTurns(value as Sendable, options), serialiseResponse(value as Sendable, options));
    }),
    { numRuns: 50 },
  );
  const large = [Array.from({ length: 50_000 }, (_, id) => ({ id, text: 'ä<b>' })), 'x'.repeat(3 * MiB), Buffer.alloc(3 * MiB, 1)];
  t.true((await serialiseResponseInTurns(large)).equals(serialiseResponse(large)));
});

const LARGE: readonly (readonly [what: string, value: Sendable])[] = [
  [
    'structs',
    Array.from({ length: 100_000 }, (_, id) => ({
      id,
      name: `sensor-${id}`,
      text: 'plain text',
      at: new Date(id * 1000),
      rest: 'x'.repeat(100),
    })),
  ],
  ['one text', 'ä'.repeat(16 * MiB)],
  ['one text full of markup', '<'.repeat(8 * MiB)],
  ['bytes', Buffer.alloc(24 * MiB)],
];

for (const [what, value] of LARGE) {
  test.serial(`32 MiB of ${what} are written in many turns, with other work between them`, async (t) => {
    const {
      turns,
      result: { length },
    } = await turnsDuring(() => serialiseResponseInTurns(value));
    t.true(length > 30 * MiB, String(length));
    // 512 KiB per turn, and the copy.
    t.true(turns > 60, String(turns));
  });
}

test('a value that cannot be sent is an error in turns, too', async (t) => {
  const value = [...Array.from({ length: 100_000 }, () => 'x'), undefined];
  await t.throwsAsync(async () => serialiseResponseInTurns(value as unknown as Sendable), {
    code: 'INTERNAL',
    message: /^result\[100000\]: undefined/,
  });
});

test('a change to a value between two turns appears in the response, or is an error', async (t) => {
  const list: unknown[] = Array.from({ length: 100_000 }, () => 'x');
  const shrinking = serialiseResponseInTurns(list as Sendable);
  list.length = 90_000;
  await t.throwsAsync(async () => shrinking, { code: 'INTERNAL', message: /^result\[90000\]: undefined/ });
  const bytes = new Uint8Array(4 * MiB);
  const moving = serialiseResponseInTurns(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  await t.throwsAsync(async () => moving, { code: 'INTERNAL', message: /^result: the length of the bytes changed/ });
});
