/** What cannot be sent, with the place in the value; whole messages byte by byte; and the round trips of random values. */
import test from 'ava';
import fc from 'fast-check';

import { Double, Int64, RelayError, dictOf } from '../../src/message/message.ts';
import type { Dict, Sendable, Value } from '../../src/message/message.ts';
import {
  canonicalMembers,
  parseCall,
  parseResponse,
  parseStruct,
  serialiseCall,
  serialiseFault,
  serialiseMembersCall,
  serialiseResponse,
  serialiseStruct,
} from '../../src/xmlrpc/xmlrpc.ts';
import { errorOf } from './wire.ts';

const XML = '<?xml version="1.0" encoding="UTF-8"?>';
const deep = (levels: number): unknown[] => (levels === 1 ? [] : [deep(levels - 1)]);
const ring: unknown[] = [];
ring.push({ ring });
const revoked = Proxy.revocable({}, {});
revoked.revoke();
class Point {
  x = 1;
}

const REFUSED: readonly (readonly [clause: string, value: unknown, place: string, reason: RegExp])[] = [
  ['undefined', undefined, 'params[0]', /undefined/],
  ['undefined as a member', { a: 1, b: undefined }, 'params[0].b', /undefined/],
  ['undefined in an array', [1, undefined], 'params[0][1]', /undefined/],
  ['a hole in an array', Array(1), 'params[0][0]', /undefined/],
  ['a long sparse array', Array(4e9), 'params[0][0]', /undefined/],
  ['a function', { f: () => 1 }, 'params[0].f', /function/],
  ['a symbol', [Symbol('s')], 'params[0][0]', /symbol/],
  ['NaN', { data: [0, 1, 2, NaN] }, 'params[0].data[3]', /NaN/],
  ['Infinity', Infinity, 'params[0]', /Infinity/],
  ['-Infinity', [-Infinity], 'params[0][0]', /-Infinity/],
  ['Double(NaN)', new Double(NaN), 'params[0]', /NaN/],
  ['Double of no number', new Double('1' as unknown as number), 'params[0]', /./],
  ['Int64 beyond 64 bits', new Int64(2n ** 63n), 'params[0]', /64 bits/],
  ['Int64 of no bigint', new Int64(5 as unknown as bigint), 'params[0]', /64 bits/],
  ['a bigint beyond 64 bits', -(2n ** 63n) - 1n, 'params[0]', /64 bits/],
  ['an invalid date', [[new Date(NaN)]], 'params[0][0][0]', /date/],
  ['the year 10000', new Date('+010000-01-01T00:00:00Z'), 'params[0]', /0 to 9999/],
  ['the year -1', new Date('-000001-12-31T23:59:59Z'), 'params[0]', /0 to 9999/],
  ['a control character', 'a\u0001', 'params[0]', /control/],
  ['NUL', { a: ['\0'] }, 'params[0].a[0]', /control/],
  ['U+FFFE', '\ufffe', 'params[0]', /control/],
  ['half a surrogate pair', 'a\ud800', 'params[0]', /surrogate/],
  ['the other half', '\udc00a', 'params[0]', /surrogate/],
  ['a pair the wrong way round', '\udc00\ud800', 'params[0]', /surrogate/],
  ['a control character in a name', { 'a\u0002': 1 }, 'params[0]["a\ufffd"]', /member name/],
  ['half a surrogate pair in a name', { b: { '\ud800': 1 } }, 'params[0].b[', /member name/],
  ['a cycle', ring, 'params[0][0].ring', /itself/],
  ['a cycle through a Map', ((map) => map.set('m', map))(new Map<string, unknown>()), 'params[0].m', /itself/],
  ['too deep', deep(65), `params[0]${'[0]'.repeat(64)}`, /deeper than 64/],
  ['a Map with a number as key', { m: new Map([[1, 2]]) }, 'params[0].m', /key/],
  ['a Map with undefined', new Map([['a', undefined]]), 'params[0].a', /undefined/],
  ['a Set', new Set(), 'params[0]', /class/],
  ['a class instance', [new Point()], 'params[0][0]', /class/],
  ['a promise', Promise.resolve(1), 'params[0]', /class/],
  ['an error', new Error('x'), 'params[0]', /class/],
  ['a regular expression', /x/, 'params[0]', /class/],
  ['a boxed string', Object('x'), 'params[0]', /class/],
  ['a 16-bit array', new Uint16Array(1), 'params[0]', /class/],
  ['an ArrayBuffer', new ArrayBuffer(1), 'params[0]', /class/],
  ['an object with inherited members', Object.create({ a: 1 }), 'params[0]', /class/],
  [
    'a getter that throws',
    {
      get g() {
        throw new Error('secret');
      },
    },
    'params[0].g',
    /cannot be read/,
  ],
  ['a proxy that is gone', [revoked.proxy], 'params[0][0]', /cannot be read/],
  ['an odd member name', { 'a b': NaN }, 'params[0]["a b"]', /NaN/],
  ['an empty member name', { '': NaN }, 'params[0][""]', /NaN/],
  ['a long member name', { ['x'.repeat(500)]: NaN }, `params[0]["${'x'.repeat(40)}…"]`, /NaN/],
];

for (const [clause, value, place, reason] of REFUSED) {
  test(`refused: ${clause}`, (t) => {
    const { code, text } = errorOf(() => serialiseCall('m', [value as Sendable], { nil: true, i8: true }));
    t.is(code, 'INTERNAL');
    t.is(text.slice(0, place.length), place);
    t.regex(text.slice(place.length), reason);
    t.notRegex(text, /secret/);
    t.true(text.length < 400);
  });
}

test('places name the parameter, the result, the struct', (t) => {
  t.regex(errorOf(() => serialiseCall('m', [1, [NaN]])).text, /^params\[1\]\[0\]: /);
  t.regex(errorOf(() => serialiseResponse({ a: NaN })).text, /^result\.a: /);
  t.regex(errorOf(() => serialiseStruct({ a: NaN })).text, /^struct\.a: /);
  t.regex(errorOf(() => serialiseMembersCall('m', new Map(), { a: [NaN] })).text, /^struct\.a\[0\]: /);
  t.regex(errorOf(() => serialiseStruct([1])).text, /^struct: /);
  t.regex(errorOf(() => serialiseStruct('<struct>')).text, /^struct: /);
});

test('extensions are written only if the options say so, and the error names the extension', (t) => {
  t.regex(errorOf(() => serialiseResponse([null])).text, /^result\[0\]: .*nil/);
  t.regex(errorOf(() => serialiseResponse(2n ** 40n)).text, /^result: .*i8/);
  t.regex(errorOf(() => serialiseResponse(new Int64(5n), { nil: true })).text, /i8/);
  t.regex(errorOf(() => serialiseResponse(null, { i8: true })).text, /nil/);
  t.notThrows(() => serialiseResponse([null, 2n ** 40n], { nil: true, i8: true }));
});

test('64 levels are written and read; a value that shares its parts exponentially is refused', (t) => {
  t.deepEqual(parseResponse(serialiseResponse(deep(64) as Sendable)), {
    kind: 'value',
    value: deep(64) as Value,
    extensions: { nil: false, i8: false },
  });
  let shared: unknown[] = ['x'.repeat(10_000)];
  for (let i = 0; i < 60; i++) shared = [shared, shared];
  t.regex(errorOf(() => serialiseResponse(shared as Sendable)).text, /^result(\[\d\])+: .*longer/);
});

test('messages byte by byte', (t) => {
  t.is(serialiseCall('a.b', []).toString(), `${XML}<methodCall><methodName>a.b</methodName><params></params></methodCall>`);
  t.is(
    serialiseCall('m', [1, 'ä']).toString(),
    `${XML}<methodCall><methodName>m</methodName><params><param><value><int>1</int></value></param><param><value><string>ä</string></value></param></params></methodCall>`,
  );
  t.is(serialiseMembersCall('m', new Map(), {}).toString(), serialiseCall('m', [{}]).toString());
  t.is(
    serialiseResponse(true).toString(),
    `${XML}<methodResponse><params><param><value><boolean>1</boolean></value></param></params></methodResponse>`,
  );
  t.is(
    serialiseFault(4, 'Too many <parameters>.').toString(),
    `${XML}<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member>` +
      '<member><name>faultString</name><value><string>Too many &lt;parameters&gt;.</string></value></member></struct></value></fault></methodResponse>',
  );
  t.is(serialiseStruct({ a: 1 }), '<struct><member><name>a</name><value><int>1</int></value></member></struct>');
});

test('a method name that no server reads is not sent', (t) => {
  for (const name of ['', 'a b', 'a<b', 'ä', 'm\n', 'm'.repeat(1025)]) {
    t.regex(errorOf(() => serialiseCall(name, [])).text, /^methodName: /);
    t.is(errorOf(() => serialiseMembersCall(name, new Map(), {})).code, 'INTERNAL');
  }
});

test('a fault is always written, whatever its code and text are', (t) => {
  const fault = (code: unknown, text: unknown): unknown => parseResponse(serialiseFault(code as number, text as string));
  t.deepEqual(fault(-32601, 'no such method'), { kind: 'fault', code: -32601, text: 'no such method' });
  t.deepEqual(fault(0, ''), { kind: 'fault', code: 0, text: '' });
  for (const code of [NaN, 1.5, 2 ** 31, Infinity, undefined, '5']) t.like(fault(code, ''), { code: -32603 });
  t.like(fault(-0, ''), { code: 0 });
  t.like(fault(1, 'a\0b\ud800c\ufffe]]>\r&😀'), { text: 'a\ufffdb\ufffdc\ufffd]]>\r&😀' });
  t.like(fault(1, undefined), { text: 'the relay failed' });
  t.like(fault(1, Symbol('s')), { text: 'the relay failed' });
});

test('a fault is read in either order of its members, and with i4', (t) => {
  const text = '<member><name>faultString</name><value>s</value></member>';
  const code = '<member><name>faultCode</name><value><i4>7</i4></value></member>';
  const body = Buffer.from(`<methodResponse><fault><value> <struct>${text}${code}</struct></value></fault></methodResponse>`);
  t.deepEqual(parseResponse(body), { kind: 'fault', code: 7, text: 's' });
});

test('which extensions a message used', (t) => {
  const used = (...inner: string[]): unknown => {
    const params = inner.map((value) => `<param><value>${value}</value></param>`).join('');
    return parseCall(Buffer.from(`<methodCall><methodName>m</methodName><params>${params}</params></methodCall>`)).extensions;
  };
  t.deepEqual(used(), { nil: false, i8: false });
  t.deepEqual(used('<int>1</int>', '<ex:i1>1</ex:i1>', '&lt;nil/&gt;'), { nil: false, i8: false });
  t.deepEqual(used('<nil/>'), { nil: true, i8: false });
  t.deepEqual(used('<ex:nil/>'), { nil: true, i8: false });
  t.deepEqual(used('<i8>1</i8>'), { nil: false, i8: true });
  t.deepEqual(used('<array><data><value><ex:i8>1</ex:i8></value></data></array>', '<nil/>'), { nil: true, i8: true });
  t.like(parseResponse(Buffer.from('<methodResponse><params><param><value><nil/></value></param></params></methodResponse>')), {
    extensions: { nil: true, i8: false },
  });
});

test('params may be missing or empty', (t) => {
  t.deepEqual(parseCall(Buffer.from('<methodCall><methodName>m</methodName></methodCall>')).params, []);
  t.deepEqual(parseCall(Buffer.from('<methodCall><methodName>a_Z.0:/</methodName><params/></methodCall>')).methodName, 'a_Z.0:/');
});

test('the source of a struct is what came, white space, comments and CR included', (t) => {
  const inner = '<struct ><member><name>b</name><value>x\r\n</value></member></struct >';
  const outer = `<struct>\r\n<!-- ä😀 --><member><name>a</name><value>${inner}</value></member><member><name>c</name><value><struct/></value></member></struct>`;
  const call = parseCall(
    Buffer.from(
      `<methodCall><methodName>m</methodName><params><param><value>1</value></param><param><value>${outer}</value></param></params></methodCall>`,
    ),
  );
  const dict = call.params[1] as Dict;
  t.is(call.sourceOf(dict), outer);
  t.is(call.sourceOf(dict.a as Dict), inner);
  t.is(call.sourceOf(dict.c as Dict), '<struct/>');
  t.is(call.sourceOf(dictOf()), undefined);
  t.deepEqual(parseStruct(outer), dict);
});

test('a struct that needs a prefix from outside has no source of its own; with ex: it has', (t) => {
  const call = (prefix: string): Dict | string | undefined => {
    const parsed = parseCall(
      Buffer.from(
        `<methodCall xmlns:${prefix}="http://ws.apache.org/xmlrpc/namespaces/extensions"><methodName>m</methodName><params><param><value>` +
          `<struct><member><name>a</name><value><${prefix}:nil/></value></member></struct></value></param></params></methodCall>`,
      ),
    );
    const dict = parsed.params[0] as Dict;
    t.deepEqual(dict, dictOf([['a', null]]));
    return parsed.sourceOf(dict);
  };
  t.is(call('n'), undefined);
  t.deepEqual(parseStruct(call('ex') as string), dictOf([['a', null]]));
});

test('own members replace kept ones in their place, new ones follow, the rest stays as it was written', (t) => {
  const kept = canonicalMembers(
    '<struct><member><name>z</name><value><double>1.0</double></value></member><member><name>host_id</name><value>old</value></member>' +
      '<member><name>&lt;</name><value><i4>7</i4></value></member></struct>',
  );
  kept.delete('z');
  t.is(
    membersText(kept, { host_id: 'new', list: [1] }),
    '<struct><member><name>host_id</name><value><string>new</string></value></member><member><name>&lt;</name><value><int>7</int></value></member>' +
      '<member><name>list</name><value><array><data><value><int>1</int></value></data></array></value></member></struct>',
  );
  t.is(kept.get('host_id'), '<value><string>old</string></value>');
  t.is(membersText(new Map(), {}), '<struct></struct>');
});

/** The struct inside of a call of kept and own members. */
function membersText(kept: ReadonlyMap<string, string>, own: Readonly<Record<string, Sendable>>): string {
  const body = serialiseMembersCall('m', kept, own).toString();
  return body.slice(body.indexOf('<struct>'), body.lastIndexOf('</struct>') + '</struct>'.length);
}

const text = fc.string({ unit: 'binary' }).filter((s) => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(s)); // eslint-disable-line no-control-regex -- what XML cannot carry
const name = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', '0', '1', ''));
const { value: anyValue } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).filter((n) => n > 2n ** 53n || n < -(2n ** 53n)),
    text,
    fc
      .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
      .map((d) => new Date(Math.floor(d.getTime() / 1000) * 1000)),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie('value')), { maxLength: 4 }).map((members) => dictOf(members)),
  ),
}));

test('every value comes back as it was sent; its canonical text is what was sent, and reads the same', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const options = { nil: true, i8: true };
      t.deepEqual(parseCall(serialiseCall('m', [value], options)).params, [value]);
      const struct = serialiseStruct({ value }, options);
      const members = canonicalMembers(struct);
      t.is(membersText(members, {}), struct);
      t.deepEqual(parseStruct(struct), dictOf([['value', value]]));
    }),
    { numRuns: 500 },
  );
});

test('whatever a program hands over is written or is a RelayError', (t) => {
  fc.assert(
    fc.property(
      fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withTypedArray: true,
        withSparseArray: true,
        withNullPrototype: true,
      }),
      (thing) => {
        try {
          parseResponse(serialiseResponse(thing as Sendable));
        } catch (error) {
          t.true(RelayError.is(error) && error.code === 'INTERNAL', String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('whatever text stands in a value is refused or reads back equal from its canonical form', (t) => {
  const piece = fc.constantFrom(
    '<int>',
    '</int>',
    '1',
    '<string>',
    '</string>',
    ' ',
    '&amp;',
    '&#13;',
    '\r',
    '\n',
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
    'a',
    '😀',
    '<nil/>',
    '<array><data>',
    '</data></array>',
    '<value>',
    '</value>',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const source = `<struct><member><name>a</name><value>${pieces.join('')}</value></member></struct>`;
      let dict: Dict;
      try {
        dict = parseStruct(source);
      } catch (error) {
        t.true(RelayError.is(error), String(error));
        t.throws(() => canonicalMembers(source), { message: (error as Error).message });
        return;
      }
      t.deepEqual(parseStruct(membersText(canonicalMembers(source), {})), dict);
    }),
    { numRuns: 3000 },
  );
});
