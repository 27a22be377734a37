/** The grammar of XML-RPC: each element in its place and as often as it may; whole calls, responses, faults and structs. */
import type { Row } from './rows.ts';
import { accepts, dict, member, refuses, wrong } from './rows.ts';

const call = (inner: string): string => `<methodCall>${inner}</methodCall>`;
const named = (name: string): string => call(`<methodName>${name}</methodName>`);
const params = (inner: string): string => call(`<methodName>m</methodName><params>${inner}</params>`);
const response = (inner: string): string => `<methodResponse>${inner}</methodResponse>`;
const fault = (inner: string): string => response(`<fault><value>${inner}</value></fault>`);
const faultStruct = (...members: readonly string[]): string => fault(`<struct>${members.join('')}</struct>`);
const CODE = member('faultCode', '<int>4</int>');
const TEXT = member('faultString', '<string>s</string>');
const FAULT = { kind: 'fault', code: 4, text: 's' };
const SPACED = '<methodResponse xmlns:z="http://ws.apache.org/xmlrpc/namespaces/extensions">';
const SPACED_AT = SPACED.length + '<fault><value>'.length + 1;
const spaced = (code: string): string => faultStruct(code, TEXT).replace('<methodResponse>', SPACED);
const EXACTLY = /exactly the members faultCode/;
const NO = 'INVALID_REQUEST';

const METHOD_NAMES = [
  'm',
  'a.b',
  'examples.getStateName',
  'A-Z'.replace('-', ''),
  'a_Z.0:/',
  '0',
  '.',
  '__proto__',
  'constructor',
  'system.multicall',
];
const BAD_METHOD_NAMES: readonly (readonly [from: string, name: string])[] = [
  ['a blank', ' '],
  ['blanks around', ' m '],
  ['LF after: $ matches before it', 'm\n'],
  ['an ampersand: xmlrpc-c allows it', 'a&amp;b'],
  ['a hyphen', 'a-b'],
  ['a letter outside of ASCII', 'ä'],
  ['a bracket', 'a[0]'],
  ['a quote', `a'b`],
  ['a NUL in disguise', '\u2400'],
  ['a look-alike', '\u0441o2.get'],
  ['PEAR CVE-2005-1921: code', `m');phpinfo();//`],
];

const calls: readonly Row[] = [
  ...METHOD_NAMES.map((name) => accepts('spec <methodName>: A-Z a-z 0-9 _ . : /', 'call', named(name), { methodName: name, params: [] })),
  ...BAD_METHOD_NAMES.map(([from, name]) => refuses(`methodName: ${from}`, 'call', named(name), `${NO} 1:25`, /method name/)),
  accepts('methodName in CDATA, with a comment', 'call', named('<![CDATA[a]]><!-- -->&#46;b'), { methodName: 'a.b' }),
  refuses('an empty methodName', 'call', call('<methodName/>'), `${NO} 1:13`, /method name/),
  refuses('an empty methodName', 'call', named(''), `${NO} 1:25`, /method name/),
  refuses('an element in the methodName', 'call', named('<b/>'), `${NO} 1:25`, /<b>/),
  accepts('spec: "if there are no parameters, params may be left out"', 'call', named('m'), { params: [] }),
  accepts('params as an empty-element tag', 'call', call('<methodName>m</methodName><params/>'), { params: [] }),
  accepts('params with white space', 'call', params(' \n '), { params: [] }),
  accepts('two params', 'call', params('<param><value>a</value></param><param><value><int>1</int></value></param>'), { params: ['a', 1] }),
  accepts(
    'white space, comments and instructions everywhere',
    'call',
    ` ${call(' <!--a--> <methodName>m</methodName> <?b?> <params> <param> <value>a</value> </param> </params> ')} `,
    {
      methodName: 'm',
      params: ['a'],
    },
  ),
  refuses('another root', 'call', '<foo/>', `${NO} 1:1`, /<methodCall>/),
  refuses('wrong case', 'call', '<methodcall/>', `${NO} 1:1`, /<methodCall>/),
  refuses('a response for a call', 'call', response('<params><param><value/></param></params>'), `${NO} 1:1`, /<methodResponse>/),
  refuses('SOAP', 'call', '<soap:Envelope xmlns:soap="urn:x"/>', `${NO} 1:1`, /<methodCall>/),
  refuses('no methodName', 'call', call(''), `${NO} 1:13`, /<methodName>/),
  refuses('an empty-element tag', 'call', '<methodCall/>', `${NO} 1:1`, /<methodName>/),
  refuses('params first', 'call', call('<params/><methodName>m</methodName>'), `${NO} 1:13`, /<params>/),
  refuses(
    'two methodNames: filters in front see one of them',
    'call',
    call('<methodName>m</methodName><methodName>n</methodName>'),
    `${NO} 1:39`,
    /<methodName>/,
  ),
  refuses('two params elements', 'call', call('<methodName>m</methodName><params/><params/>'), `${NO} 1:48`, /<params>/),
  refuses(
    'a methodName after params',
    'call',
    call('<methodName>m</methodName><params/><methodName>n</methodName>'),
    `${NO} 1:48`,
    /<methodName>/,
  ),
  refuses('a param without params', 'call', call('<methodName>m</methodName><param><value/></param>'), `${NO} 1:39`, /<param>/),
  refuses('a fault in a call', 'call', call('<methodName>m</methodName><fault/>'), `${NO} 1:39`, /<fault>/),
  refuses('an empty param', 'call', params('<param/>'), `${NO} 1:47`, /<value>/),
  refuses('two values in a param', 'call', params('<param><value/><value/></param>'), `${NO} 1:62`, /<value>/),
  refuses('a value in params', 'call', params('<value/>'), `${NO} 1:47`, /<value>/),
  refuses('a typed value without <value>', 'call', params('<param><int>1</int></param>'), `${NO} 1:54`, /<int>/),
  refuses('a name for a param', 'call', params('<param><name>a</name><value/></param>'), `${NO} 1:54`, /<name>/),
  refuses('text in params', 'call', params('x'), `${NO} 1:47`, /text/),
  refuses('text in a param', 'call', params('<param>x</param>'), `${NO} 1:54`, /text/),
  refuses('text in the call', 'call', call('x<methodName>m</methodName>'), `${NO} 1:13`, /text/),
  refuses('text after the methodName', 'call', call('<methodName>m</methodName>x'), `${NO} 1:39`, /text/),
];

const values: readonly Row[] = [
  wrong('two typed children', '<int>1</int><int>2</int>', 13, /<int>/),
  wrong('two of different types: parsers take the first or the last', '<int>1</int><string>2</string>', 13, /<string>/),
  wrong('text before a typed child', 'a<int>1</int>', 1, /text/),
  wrong('text after a typed child', '<int>1</int>a', 13, /text/),
  wrong('text after a typed child, by reference', '<int>1</int>&#65;', 13, /text/),
  wrong('text after a typed child, in CDATA', '<int>1</int><![CDATA[a]]>', 22, /text/),
  wrong('text before a typed child, in CDATA', '<![CDATA[a]]><int>1</int>', 10, /text/),
  wrong('an unknown type', '<foo>1</foo>', 1, /<foo>/),
  wrong('bigint is not a type', '<bigint>1</bigint>', 1, /<bigint>/),
  wrong('an inherited name is not a type', '<constructor>1</constructor>', 1, /<constructor>/),
  wrong('__proto__ is not a type', '<__proto__/>', 1, /<__proto__>/),
  wrong('toString is not a type', '<toString/>', 1, /<toString>/),
  wrong('a type in a type', '<int><int>1</int></int>', 6, /<int>/),
  wrong('a value in a value', '<value>1</value>', 1, /<value>/),
  wrong('a methodName in a parameter', '<methodName>x</methodName>', 1, /<methodName>/),
  wrong('params in a parameter', '<params/>', 1, /<params>/),
  wrong('a call in a parameter', '<methodCall/>', 1, /<methodCall>/),
  wrong('a fault in a parameter', '<fault/>', 1, /<fault>/),
  wrong('a member without struct', member('a', ''), 1, /<member>/),
  wrong('data without array', '<data/>', 1, /<data>/),
  wrong('a long unknown name is cut', `<${'a'.repeat(200)}/>`, 1, /<a{40}…>/),
];

const responses: readonly Row[] = [
  accepts('spec: exactly one param', 'response', response('<params><param><value><string>South Dakota</string></value></param></params>'), {
    kind: 'value',
    value: 'South Dakota',
  }),
  accepts(
    'a struct that only looks like a fault',
    'response',
    response(`<params><param><value><struct>${CODE}${TEXT}</struct></value></param></params>`),
    {
      kind: 'value',
      value: dict('faultCode', 4, 'faultString', 's'),
    },
  ),
  accepts('spec: its own fault', 'response', faultStruct(CODE, TEXT), { kind: 'fault', code: 4, text: 's' }),
  accepts('the other order, i4, an untyped text', 'response', faultStruct(member('faultString', 's'), member('faultCode', '<i4>-7</i4>')), {
    ...{ kind: 'fault', code: -7, text: 's' },
  }),
  accepts('a small int of the extensions, under a prefix of its own', 'response', spaced(member('faultCode', '<z:i2>4</z:i2>')), FAULT),
  accepts('an int of the extensions', 'response', faultStruct(member('faultCode', '<ex:i1>4</ex:i1>'), TEXT), FAULT),
  refuses('an i8 of the extensions', 'response', spaced(member('faultCode', '<z:i8>4</z:i8>')), `${NO} 1:${SPACED_AT}`, EXACTLY),
  accepts('white space in a fault', 'response', response(` <fault> <value> <struct> ${CODE} ${TEXT} </struct> </value> </fault> `), {
    kind: 'fault',
    code: 4,
  }),
  refuses('a call for a response', 'response', named('m'), `${NO} 1:1`, /<methodCall>/),
  refuses('empty', 'response', '<methodResponse/>', `${NO} 1:1`, /<params> or <fault>/),
  refuses('no params', 'response', response(''), `${NO} 1:17`, /<params> or <fault>/),
  refuses('no param: the void of some servers', 'response', response('<params></params>'), `${NO} 1:25`, /<param>/),
  refuses('two params', 'response', response('<params><param><value/></param><param><value/></param></params>'), `${NO} 1:48`, /<param>/),
  refuses('params and fault', 'response', response('<params><param><value/></param></params><fault/>'), `${NO} 1:57`, /<fault>/),
  refuses(
    'fault and params',
    'response',
    response(`<fault><value><struct>${CODE}${TEXT}</struct></value></fault><params/>`),
    `${NO} 1:204`,
    /<params>/,
  ),
  refuses('an empty fault', 'response', response('<fault/>'), `${NO} 1:17`, /<value>/),
  refuses('a fault that is text', 'response', fault('x'), `${NO} 1:17`, /struct/),
  refuses('a fault that is an array', 'response', fault('<array><data/></array>'), `${NO} 1:17`, /struct/),
  refuses('a fault without code', 'response', faultStruct(TEXT), `${NO} 1:31`, EXACTLY),
  refuses('a fault without text', 'response', faultStruct(CODE), `${NO} 1:31`, EXACTLY),
  refuses(
    'CVE-2019-17570: a fault with more (Apache, faultCause)',
    'response',
    faultStruct(CODE, TEXT, member('faultCause', '<base64>rO0=</base64>')),
    `${NO} 1:31`,
    EXACTLY,
  ),
  refuses('a fault with nothing', 'response', faultStruct(), `${NO} 1:31`, EXACTLY),
  refuses('a fault code that is a string', 'response', faultStruct(member('faultCode', '4'), TEXT), `${NO} 1:31`, EXACTLY),
  refuses(
    'a fault code that is a double',
    'response',
    faultStruct(member('faultCode', '<double>4.0</double>'), TEXT),
    `${NO} 1:31`,
    EXACTLY,
  ),
  refuses('a fault code that is an i8', 'response', faultStruct(member('faultCode', '<i8>4</i8>'), TEXT), `${NO} 1:31`, EXACTLY),
  refuses(
    'a fault code that is a boolean',
    'response',
    faultStruct(member('faultCode', '<boolean>1</boolean>'), TEXT),
    `${NO} 1:31`,
    EXACTLY,
  ),
  refuses('a fault text that is an int', 'response', faultStruct(CODE, member('faultString', '<int>1</int>')), `${NO} 1:31`, EXACTLY),
  refuses('a fault text that is nil', 'response', faultStruct(CODE, member('faultString', '<nil/>')), `${NO} 1:31`, EXACTLY),
  refuses('names in another case', 'response', faultStruct(member('faultcode', '<int>4</int>'), TEXT), `${NO} 1:31`, EXACTLY),
  refuses('a fault in a value', 'response', response('<params><param><value><fault/></value></param></params>'), `${NO} 1:39`, /<fault>/),
];

const structs: readonly Row[] = [
  accepts('only a struct', 'struct', ` <struct>${member('a', '1')}</struct>\n`, { a: '1' }),
  refuses('an array for a struct', 'struct', '<array><data/></array>', `${NO} 1:1`, /<struct>/),
  refuses('a value around it', 'struct', '<value><struct/></value>', `${NO} 1:1`, /<struct>/),
  refuses('two structs', 'struct', '<struct/><struct/>', 'NOT_WELL_FORMED 1:10', /second root/),
  refuses('duplicates', 'struct', `<struct>${member('a', '')}${member('a', '')}</struct>`, `${NO} 1:69`, /already/),
  refuses(
    'nested duplicates',
    'struct',
    `<struct>${member('a', `<struct>${member('a', '')}${member('a', '')}</struct>`)}</struct>`,
    `${NO} 1:106`,
    /already/,
  ),
];

export const grammar: readonly Row[] = [...calls, ...values, ...responses, ...structs];
