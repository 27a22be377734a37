/** The caches of earlier messages never change results. */
import test from 'ava';
import type { Dict } from '../../src/values/values.ts';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { XmlRpcLimits } from '../../src/xmlrpc/xmlrpc.ts';
import { CALL_HEAD, callOf, errorOf, read, refusalOf } from './wire.ts';

const member = (name: string, inner: string): string => `<member><name>${name}</name><value>${inner}</value></member>`;
const struct = (...members: string[]): string => `<struct>${members.join('')}</struct>`;
const often = (inner: string): void => {
  for (let count = 0; count < 4; count++) parseCall(callOf(inner));
};

test('a repeated name may have another type, another position and another predecessor', (t) => {
  const [a, b] = [member('a', '<int>1</int>'), member('b', '<string>x</string>')];
  often(struct(a, b));
  t.deepEqual(Object.entries(read(struct(a, b)) as Dict), Object.entries({ a: 1, b: 'x' }));
  t.deepEqual(Object.entries(read(struct(b, a)) as Dict), Object.entries({ b: 'x', a: 1 }));
  t.deepEqual(
    Object.entries(read(struct(member('a', '<double>1</double>'), member('b', '<i4>2</i4>'))) as Dict),
    Object.entries({ a: 1, b: 2 }),
  );
  t.deepEqual(Object.entries(read(struct(a, member('b', ''))) as Dict), Object.entries({ a: 1, b: '' }));
  t.deepEqual(Object.entries(read(struct(a, member('bb', '<string>y</string>'))) as Dict), Object.entries({ a: 1, bb: 'y' }));
  t.deepEqual(Object.entries(read(struct(a, b, member('c', '<boolean>1</boolean>'))) as Dict), Object.entries({ a: 1, b: 'x', c: true }));
});

test('a duplicate member is refused at its position, however often its bytes were read before', (t) => {
  const [a, b] = [member('a', '<int>1</int>'), member('b', '<int>1</int>')];
  often(struct(a, b));
  often(struct(b, a));
  t.is(
    refusalOf(() => parseCall(callOf(struct(a, b, a)))),
    `INVALID_REQUEST 1:${CALL_HEAD.length + struct(a, b).length - '</struct>'.length + '<member><name>'.length + 1}`,
  );
});

test('a document accepted under wide limits is refused under narrow ones', (t) => {
  const wide = struct(member('a_rather_long_name', '<int>123456</int>'), member('b', struct(member('c', '<int>1</int>'))));
  often(wide);
  const narrow: readonly Partial<XmlRpcLimits>[] = [
    { maxNameLength: 10 },
    { maxMembers: 1 },
    { maxValues: 3 },
    { maxDepth: 1 },
    { maxDigits: 5 },
  ];
  for (const limits of narrow) t.is(errorOf(() => parseCall(callOf(wide), { limits })).code, 'LIMIT', JSON.stringify(limits));
});

test('the same bytes mean something else if their prefix does', (t) => {
  const inner = struct(member('a', '<ex:i8>1</ex:i8>'), member('b', '<ex:i8>2</ex:i8>'));
  often(inner);
  const call = callOf(inner).toString();
  const bound = (uri: string): Buffer => Buffer.from(call.replace('<methodCall>', `<methodCall xmlns:ex="${uri}">`));
  t.notThrows(() => parseCall(bound('http://ws.apache.org/xmlrpc/namespaces/extensions')));
  t.is(errorOf(() => parseCall(bound('urn:x'))).code, 'INVALID_REQUEST');
});

test('thousands of names with the same length, start and end are distinguished', (t) => {
  const names = Array.from({ length: 9000 }, (_, i) => `name_${String(i).padStart(5, '0')}_x`);
  const inner = struct(...names.map((name, i) => member(name, `<int>${i}</int>`)));
  for (let count = 0; count < 3; count++) {
    const dict = read(inner) as Dict;
    t.deepEqual(Object.keys(dict), names);
    t.is(dict.name_08999_x, 8999);
  }
});

test('names that are too long for the cache, or not ASCII, are read in full', (t) => {
  const names = ['x'.repeat(39), 'x'.repeat(40), 'x'.repeat(41), 'x'.repeat(42), 'ä', '漢字', 'a\nb', '/>'];
  const inner = struct(...names.map((name) => member(name, '')));
  for (let count = 0; count < 3; count++) t.deepEqual(Object.keys(read(inner) as Dict), names);
  t.deepEqual(Object.keys(read('<struct><member><name/><value/></member></struct>') as Dict), ['']);
});
