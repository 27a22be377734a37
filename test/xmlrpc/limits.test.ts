/** Each limit: what is just within it is read, one more is refused with LIMIT at its place. */
import test from 'ava';

import { DEFAULT_LIMITS, canonicalMembers, parseCall, parseStruct } from '../../src/xmlrpc/xmlrpc.ts';
import type { XmlRpcLimits } from '../../src/xmlrpc/xmlrpc.ts';
import { CALL_HEAD, callOf, refusalOf } from './wire.ts';

const arrays = (depth: number): string => '<array><data><value>'.repeat(depth) + '</value></data></array>'.repeat(depth);
const structs = (depth: number): string => '<struct><member><name/><value>'.repeat(depth) + '</value></member></struct>'.repeat(depth);
const values = (count: number): string => `<array><data>${'<value/>'.repeat(count)}</data></array>`;
const members = (count: number): string =>
  `<struct>${Array.from({ length: count }, (_, i) => `<member><name>${i}</name><value/></member>`).join('')}</struct>`;
const attributes = (count: number): string => `<nil${Array.from({ length: count }, (_, i) => ` a${i}=""`).join('')}/>`;

const ROWS: readonly (readonly [clause: string, limits: Partial<XmlRpcLimits>, within: string, beyond: string, column: number])[] = [
  ['depth of arrays, default', {}, arrays(64), arrays(65), 64 * 20 + 1],
  ['depth of structs, default', {}, structs(64), structs(65), 64 * 30 + 1],
  ['depth', { maxDepth: 2 }, arrays(2), arrays(3), 41],
  ['values', { maxValues: 4 }, values(3), values(4), 14 + 3 * 8],
  ['values, default', {}, values(199_999), values(200_000), 14 + 199_999 * 8],
  ['members', { maxMembers: 2 }, members(2), members(3), 0],
  ['members of one struct, not of all', { maxMembers: 1 }, structs(20), members(2), 0],
  ['members, default', {}, members(10_000), members(10_001), 0],
  [
    'member name',
    { maxNameLength: 10 },
    `<struct><member><name>${'a'.repeat(10)}</name><value/></member></struct>`,
    `<struct><member><name>${'a'.repeat(11)}</name><value/></member></struct>`,
    23,
  ],
  ['element name', {}, '<nil/>', `<${'a'.repeat(1025)}/>`, 2],
  ['attribute name', {}, `<nil ${'a'.repeat(1024)}=""/>`, `<nil ${'a'.repeat(1025)}=""/>`, 6],
  ['attributes', {}, attributes(32), attributes(33), 0],
  ['digits of an int', {}, `<int>${'0'.repeat(1199)}1</int>`, `<int>${'0'.repeat(1200)}1</int>`, 6],
  ['digits of an i8', {}, `<i8>${'0'.repeat(1199)}1</i8>`, `<i8>${'0'.repeat(1200)}1</i8>`, 5],
  ['digits of a double', { maxDigits: 3 }, '<double>1.5</double>', '<double>1.55</double>', 9],
];

for (const [clause, limits, within, beyond, column] of ROWS) {
  test(`the limit of ${clause}`, (t) => {
    t.notThrows(() => parseCall(callOf(within), { limits }));
    const refusal = refusalOf(() => parseCall(callOf(beyond), { limits }));
    t.regex(refusal, /^LIMIT 1:\d+$/);
    if (column > 0) t.is(refusal, `LIMIT 1:${CALL_HEAD.length + column}`);
  });
}

test('the limit of bytes, and of characters for a text', (t) => {
  const body = callOf('ä');
  t.notThrows(() => parseCall(body, { limits: { maxBodyBytes: body.length } }));
  t.is(
    refusalOf(() => parseCall(body, { limits: { maxBodyBytes: body.length - 1 } })),
    'LIMIT',
  );
  t.is(
    refusalOf(() => parseStruct('<struct/>', { limits: { maxBodyBytes: 8 } })),
    'LIMIT',
  );
  t.is(
    refusalOf(() => canonicalMembers('<struct/>', { limits: { maxBodyBytes: 8 } })),
    'LIMIT',
  );
  t.is(
    refusalOf(() => parseCall(Buffer.alloc(DEFAULT_LIMITS.maxBodyBytes + 1, 32))),
    'LIMIT',
  );
});

test('the limit of the method name', (t) => {
  const call = (length: number): Buffer => Buffer.from(`<methodCall><methodName>${'m'.repeat(length)}</methodName></methodCall>`);
  t.is(parseCall(call(1024)).methodName.length, 1024);
  t.is(
    refusalOf(() => parseCall(call(1025))),
    'LIMIT 1:25',
  );
});

test('an explicit undefined means the default, and the defaults cannot be changed', (t) => {
  t.is(refusalOf(() => parseCall(callOf(arrays(65)), { limits: { maxDepth: undefined as unknown as number } })).slice(0, 5), 'LIMIT');
  t.throws(() => {
    (DEFAULT_LIMITS as XmlRpcLimits).maxDepth = 1e9;
  });
});

test('a text and its canonical form have the same limits', (t) => {
  const deep = `<struct><member><name>a</name><value>${arrays(64)}</value></member></struct>`;
  t.is(
    refusalOf(() => parseStruct(deep)),
    refusalOf(() => canonicalMembers(deep)),
  );
  t.regex(
    refusalOf(() => parseStruct(deep)),
    /^LIMIT/,
  );
});

test('depth is how deep, not how many', (t) => {
  t.notThrows(() =>
    parseCall(callOf(`<array><data>${`<value>${arrays(1)}</value>`.repeat(100)}</data></array>`), { limits: { maxDepth: 2 } }),
  );
});
