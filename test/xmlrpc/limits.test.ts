/** The limits as options; the table tests what each of them refuses. */
import test from 'ava';
import { DEFAULT_LIMITS, canonicalMembers, parseCall, parseStruct } from '../../src/xmlrpc/xmlrpc.ts';
import type { XmlRpcLimits } from '../../src/xmlrpc/xmlrpc.ts';
import { callOf, canonicalUnder, refusalOf } from './wire.ts';

const arrays = (depth: number): string => '<array><data><value>'.repeat(depth) + '</value></data></array>'.repeat(depth);

test('an explicit undefined means the default, and the defaults are frozen', (t) => {
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
  t.is(
    refusalOf(() => canonicalUnder('<struct/>', { maxBodyBytes: 8 })),
    'LIMIT',
  );
});
