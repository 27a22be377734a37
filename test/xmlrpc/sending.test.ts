/** Whole messages byte by byte, the paths in errors, and the sources of structs. */
import test from 'ava';
import { dictOf } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
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
test('paths in errors name the parameter, the result or the struct', (t) => {
  t.regex(errorOf(() => serialiseCall('m', [1, [NaN]])).text, /^params\[1\]\[0\]: /);
  t.regex(errorOf(() => serialiseResponse({ a: NaN })).text, /^result\.a: /);
  t.regex(errorOf(() => serialiseStruct({ a: NaN })).text, /^struct\.a: /);
  t.regex(errorOf(() => serialiseMembersCall('m', new Map(), { a: [NaN] })).text, /^struct\.a\[0\]: /);
  t.regex(errorOf(() => serialiseStruct([1])).text, /^struct: /);
  t.regex(errorOf(() => serialiseStruct('<struct>')).text, /^struct: /);
});

test('64 levels are written and read; a value that repeats shared parts exponentially often is refused', (t) => {
  const back = parseResponse(serialiseResponse(deep(64) as Sendable));
  t.deepEqual(back.kind === 'value' && back.value, deep(64) as Value);
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

test('an invalid method name is not sent', (t) => {
  for (const name of ['', 'a b', 'a<b', 'ä', 'm\n', 'm'.repeat(1025)]) {
    t.regex(errorOf(() => serialiseCall(name, [])).text, /^methodName: /);
    t.is(errorOf(() => serialiseMembersCall(name, new Map(), {})).code, 'INTERNAL');
  }
});

test('a fault is always written, whatever its code and text', (t) => {
  const fault = (code: unknown, text: unknown): unknown => parseResponse(serialiseFault(code as number, text as string));
  t.deepEqual(fault(-32601, 'no such method'), { kind: 'fault', code: -32601, text: 'no such method' });
  t.deepEqual(fault(0, ''), { kind: 'fault', code: 0, text: '' });
  for (const code of [NaN, 1.5, 2 ** 31, Infinity, undefined, '5']) t.like(fault(code, ''), { code: -32603 });
  t.like(fault(-0, ''), { code: 0 });
  t.like(fault(1, 'a\0b\ud800c\ufffe]]>\r&😀'), { text: 'a\ufffdb\ufffdc\ufffd]]>\r&😀' });
  t.like(fault(1, undefined), { text: 'the relay failed' });
  t.like(fault(1, Symbol('s')), { text: 'the relay failed' });
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

test('the source of a struct is its original text with white space, comments and CR', (t) => {
  const inner = '<struct ><member><name>b</name><value>x\r\n</value></member></struct >';
  const outer = `<struct>\r\n<!-- ä😀 --><member><name>a</name><value>${inner}</value></member><member><name>c</name><value><struct/></value></member></struct>`;
  const call = parseCall(
    Buffer.from(
      `<methodCall><methodName>m</methodName><params><param><value>1</value></param><param><value>${outer}</value></param></params></methodCall>`,
    ),
  );
  const dict = call.params[1] as Dict;
  t.is(call.sourceOf(dict)?.toString(), outer);
  t.is(call.sourceOf(dict.a as Dict)?.toString(), inner);
  t.is(call.sourceOf(dict.c as Dict)?.toString(), '<struct/>');
  t.is(call.sourceOf(dictOf()), undefined);
  t.deepEqual(parseStruct(outer), dict);
});

test('a struct that uses a foreign prefix has no source; one that uses ex: has', (t) => {
  const call = (prefix: string): Buffer | undefined => {
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
  t.deepEqual(parseStruct(call('ex')!), dictOf([['a', null]]));
});

test('own members replace kept ones in their position, new ones follow, and the others stay unchanged', (t) => {
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

test('canonical members have the order of the source, whatever their names', (t) => {
  const member = (name: string): string => `<member><name>${name}</name><value><int>1</int></value></member>`;
  const text = `<struct>${['b', '10', '9', ''].map(member).join('')}</struct>`;
  t.deepEqual([...canonicalMembers(text).keys()], ['b', '10', '9', '']);
  t.is(membersText(canonicalMembers(text), {}), text);
});
