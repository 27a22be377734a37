/** What is refused, with which code, at which line and column; and that no refusal shows the payload. */
import test from 'ava';

import { canonicalMembers, parseCall, parseResponse, parseStruct } from '../../src/xmlrpc/xmlrpc.ts';
import { CALL_HEAD, CALL_TAIL, callOf, errorOf, refusalOf } from './wire.ts';

const GRAMMAR = 'INVALID_REQUEST';
const XML = 'NOT_WELL_FORMED';

type Row = readonly [clause: string, text: string, code: string, column: number];

// Insides of a `<value>`, without a line break before the place of the error; the column counts from the first character.
const VALUES: readonly Row[] = [
  ['int: junk after', '<int>12abc</int>', GRAMMAR, 6],
  ['int: hexadecimal', '<int>0x1F</int>', GRAMMAR, 6],
  ['int: exponent', '<int>1e5</int>', GRAMMAR, 6],
  ['int: blanks', '<int> 12 </int>', GRAMMAR, 6],
  ['int: LF at the end', '<int>12\n</int>', GRAMMAR, 6],
  ['int: empty', '<int></int>', GRAMMAR, 6],
  ['int: empty tag', '<int/>', GRAMMAR, 1],
  ['int: sign alone', '<int>-</int>', GRAMMAR, 6],
  ['int: two signs', '<int>--1</int>', GRAMMAR, 6],
  ['int: point', '<int>1.0</int>', GRAMMAR, 6],
  ['int: other digits', '<int>١٢</int>', GRAMMAR, 6],
  ['int: beyond 32 bits', '<int>2147483648</int>', GRAMMAR, 6],
  ['int: beyond 32 bits', '<i4>-2147483649</i4>', GRAMMAR, 5],
  ['int: far beyond', '<int>99999999999999999999</int>', GRAMMAR, 6],
  ['i8: beyond 64 bits', '<i8>9223372036854775808</i8>', GRAMMAR, 5],
  ['i8: beyond 64 bits', '<i8>-9223372036854775809</i8>', GRAMMAR, 5],
  ['i8: junk', '<i8>5n</i8>', GRAMMAR, 5],
  ['ex:i1 beyond 8 bits', '<ex:i1>128</ex:i1>', GRAMMAR, 8],
  ['ex:i2 beyond 16 bits', '<ex:i2>-32769</ex:i2>', GRAMMAR, 8],
  ['ex:biginteger beyond 64 bits', '<ex:biginteger>9223372036854775808</ex:biginteger>', GRAMMAR, 16],
  ['double: comma', '<double>1,5</double>', GRAMMAR, 9],
  ['double: Infinity', '<double>Infinity</double>', GRAMMAR, 9],
  ['double: inf', '<double>inf</double>', GRAMMAR, 9],
  ['double: NaN', '<double>NaN</double>', GRAMMAR, 9],
  ['double: too large', '<double>1e309</double>', GRAMMAR, 9],
  ['double: empty', '<double></double>', GRAMMAR, 9],
  ['double: point alone', '<double>.</double>', GRAMMAR, 9],
  ['double: exponent alone', '<double>e5</double>', GRAMMAR, 9],
  ['double: exponent without digits', '<double>1e</double>', GRAMMAR, 9],
  ['double: two points', '<double>1.1.1</double>', GRAMMAR, 9],
  ['double: blank', '<double>0.0 </double>', GRAMMAR, 9],
  ['double: hexadecimal', '<double>0x1</double>', GRAMMAR, 9],
  ['double: underscore', '<double>1_0</double>', GRAMMAR, 9],
  ['boolean: 2', '<boolean>2</boolean>', GRAMMAR, 10],
  ['boolean: true', '<boolean>true</boolean>', GRAMMAR, 10],
  ['boolean: empty', '<boolean></boolean>', GRAMMAR, 10],
  ['boolean: blank', '<boolean>1 </boolean>', GRAMMAR, 10],
  ['boolean: 01', '<boolean>01</boolean>', GRAMMAR, 10],
  ['base64: alphabet', '<base64>AQ*D</base64>', GRAMMAR, 9],
  ['base64: URL alphabet', '<base64>-_8=</base64>', GRAMMAR, 9],
  ['base64: cut', '<base64>AQI</base64>', GRAMMAR, 9],
  ['base64: padding inside', '<base64>AA==AAAA</base64>', GRAMMAR, 9],
  ['base64: too much padding', '<base64>A===</base64>', GRAMMAR, 9],
  ['base64: padding alone', '<base64>====</base64>', GRAMMAR, 9],
  ['base64: other letters', '<base64>AQIÄ</base64>', GRAMMAR, 9],
  ['nil: content', '<nil>0</nil>', GRAMMAR, 6],
  ['nil: blank', '<nil> </nil>', GRAMMAR, 6],
  ...[
    '19981317T14:08:55',
    '19980017T14:08:55',
    '19980732T14:08:55',
    '19980700T14:08:55',
    '19980229T00:00:00',
    '19980717T24:00:00',
    '19980717T14:60:55',
  ].map(dateRow),
  ...[
    '19980717T14:08:60',
    '19980717T14:08:55+15:00',
    '19980717T14:08:55+02:60',
    '19980717T14:08:55-14:01',
    '19980717T14:08:55+2',
    '19980717T14:08',
  ].map(dateRow),
  ...[
    '1998-0717T14:08:55',
    '199807-17T14:08:55',
    '19980717 14:08:55',
    '19980717t14:08:55',
    '19980717T140855',
    '19980717T14:08:55z',
    '19980717',
  ].map(dateRow),
  ...[
    '',
    ' 19980717T14:08:55',
    '19980717T14:08:55 ',
    '19980717T14:08:55.',
    '19980717T14:08:55,5',
    '00000101T00:00:00+01:00',
    '99991231T23:59:59-01:00',
  ].map(dateRow),
  ['two typed children', '<int>1</int><int>2</int>', GRAMMAR, 13],
  ['text before a typed child', 'a<int>1</int>', GRAMMAR, 1],
  ['text after a typed child', '<int>1</int>a', GRAMMAR, 13],
  ['text after a typed child, by reference', '<int>1</int>&#65;', GRAMMAR, 13],
  ['text after a typed child, in CDATA', '<int>1</int><![CDATA[a]]>', GRAMMAR, 22],
  ['an unknown type', '<foo>1</foo>', GRAMMAR, 1],
  ['wrong case', '<Int>1</Int>', GRAMMAR, 1],
  ['wrong case', '<STRING>1</STRING>', GRAMMAR, 1],
  ['bare i1', '<i1>1</i1>', GRAMMAR, 1],
  ['bare float', '<float>1</float>', GRAMMAR, 1],
  ['ex:serializable', '<ex:serializable>rO0=</ex:serializable>', GRAMMAR, 1],
  ['ex:dom', '<ex:dom><a/></ex:dom>', GRAMMAR, 1],
  ['an unknown ex: type', '<ex:foo/>', GRAMMAR, 1],
  ['ex bound to something else', '<ex:nil xmlns:ex="urn:x"/>', GRAMMAR, 1],
  ['a prefix bound to nothing', '<n:nil/>', GRAMMAR, 1],
  [
    'a prefix out of its scope',
    '<array><data><value><n:nil xmlns:n="http://ws.apache.org/xmlrpc/namespaces/extensions"/></value><value><n:nil/></value></data></array>',
    GRAMMAR,
    104,
  ],
  ['a type in a type', '<int><int>1</int></int>', GRAMMAR, 6],
  ['an element in a string', '<string><b/></string>', GRAMMAR, 9],
  ['a value in a value', '<value>1</value>', GRAMMAR, 1],
  ['a methodName in a parameter', '<methodName>x</methodName>', GRAMMAR, 1],
  ['params in a parameter', '<params/>', GRAMMAR, 1],
  ['array without data', '<array/>', GRAMMAR, 1],
  ['array without data', '<array></array>', GRAMMAR, 8],
  ['two data', '<array><data/><data/></array>', GRAMMAR, 15],
  ['a value in an array without data', '<array><value>1</value></array>', GRAMMAR, 8],
  ['an int in data', '<array><data><int>1</int></data></array>', GRAMMAR, 14],
  ['text in data', '<array><data>x</data></array>', GRAMMAR, 14],
  ['text in an array', '<array>x<data/></array>', GRAMMAR, 8],
  ['text in a struct', '<struct>x</struct>', GRAMMAR, 9],
  ['a value in a struct', '<struct><value/></struct>', GRAMMAR, 9],
  ['an empty member', '<struct><member/></struct>', GRAMMAR, 9],
  ['a member without value', '<struct><member><name>a</name></member></struct>', GRAMMAR, 31],
  ['a member without name', '<struct><member><value>a</value></member></struct>', GRAMMAR, 17],
  ['value before name', '<struct><member><value>a</value><name>a</name></member></struct>', GRAMMAR, 17],
  ['two names', '<struct><member><name>a</name><name>b</name><value/></member></struct>', GRAMMAR, 31],
  ['two values', '<struct><member><name>a</name><value/><value/></member></struct>', GRAMMAR, 39],
  ['text in a member', '<struct><member>x<name>a</name><value/></member></struct>', GRAMMAR, 17],
  ['an element in a name', '<struct><member><name><b/></name><value/></member></struct>', GRAMMAR, 23],
  ['duplicate members', '<struct><member><name>a</name><value/></member><member><name>a</name><value/></member></struct>', GRAMMAR, 62],
  [
    'duplicate members, spelt otherwise',
    '<struct><member><name>a</name><value/></member><member><name>&#97;</name><value/></member></struct>',
    GRAMMAR,
    62,
  ],
  [
    'duplicate __proto__',
    '<struct><member><name>__proto__</name><value/></member><member><name>__proto__</name><value/></member></struct>',
    GRAMMAR,
    70,
  ],
  [
    'duplicate after a nested struct',
    '<struct><member><name>a</name><value><struct/></value></member><member><name>a</name><value/></member></struct>',
    GRAMMAR,
    78,
  ],
  ['unclosed', '<string>a', XML, 10],
  ['crossed tags', '<array><data></array></data>', XML, 14],
  ['an end tag too many', '</string>', XML, 1],
  ['an end tag that only starts alike', '<int>1</integer>', XML, 7],
  ['an end tag of the same length', '<i4>1</i8>', XML, 6],
  ['an end tag that is too short', '<int>1</in>', XML, 7],
  ['an end tag with an attribute', '<int>1</int a="1">', XML, 7],
  ['an unquoted attribute', '<int a=1>1</int>', XML, 7],
  ['an attribute without a value', '<int a>1</int>', XML, 7],
  ['an attribute that does not end', '<int a="1>1</int>', XML, 8],
  ['a repeated attribute', '<int a="1" a="2">1</int>', XML, 12],
  ['attributes without a blank', '<int a="1"b="2">1</int>', XML, 11],
  ['< in an attribute', '<int a="<">1</int>', XML, 9],
  ['a bare & in an attribute', '<int a="&">1</int>', XML, 9],
  ['an illegal character in an attribute', '<int a="\u0001">1</int>', XML, 9],
  ['a slash in a tag', '<int/ >1</int>', XML, 5],
  ['a blank before the name', '< int>1</int>', XML, 2],
  ['a name that starts with a digit', '<1>1</1>', XML, 2],
  ['a name that starts with a hyphen', '<-a/>', XML, 2],
  ['a bare &', 'a & b', XML, 3],
  ['& at the end', 'a&', XML, 2],
  ['an unknown entity', '&nbsp;', XML, 1],
  ['an entity in capitals', '&LT;', XML, 1],
  ['an entity without semicolon', '&lt', XML, 1],
  ['an entity named like a property', '&constructor;', XML, 1],
  ['an empty reference', '&#;', XML, 1],
  ['an empty reference', '&#x;', XML, 1],
  ['a reference with X', '&#X41;', XML, 1],
  ['a reference without semicolon', '&#65 ', XML, 1],
  ['a hexadecimal digit in a decimal reference', '&#4a;', XML, 1],
  ['a reference beyond Unicode', '&#x110000;', XML, 1],
  ['a reference far beyond Unicode', '&#99999999999999999999;', XML, 1],
  ['a reference to a control character', '&#1;', XML, 1],
  ['a reference to NUL', '&#0;', XML, 1],
  ['a reference to U+FFFE', '&#xFFFE;', XML, 1],
  ['a reference to U+FFFF', '&#65535;', XML, 1],
  ['a reference to a surrogate', '&#xD800;', XML, 1],
  ['a pair of surrogates by reference', '&#xD83D;&#xDE00;', XML, 1],
  ['a control character', 'a\u0001', XML, 2],
  ['NUL', 'a\0b', XML, 2],
  ['U+FFFE', 'ab\ufffe', XML, 3],
  ['U+FFFF', '\uffff', XML, 1],
  ['a control character in a comment', '<!--\u0001-->', XML, 5],
  ['a control character in CDATA', '<![CDATA[a\u0002]]>', XML, 11],
  ['a control character in an instruction', '<?a \u0003?>', XML, 5],
  [']]> in text', 'a]]>b', XML, 2],
  ['-- in a comment', '<!-- a -- b -->', XML, 8],
  ['a comment that ends in three hyphens', '<!-- a --->', XML, 8],
  ['a comment that does not end', '<!-- a', XML, 1],
  ['CDATA that does not end', '<![CDATA[ a', XML, 1],
  ['an instruction that does not end', '<?a ', XML, 1],
  ['an instruction without a target', '<? a?>', XML, 3],
  ['an XML declaration inside', '<?xml version="1.0"?>', XML, 1],
  ['a reserved target', '<?XmL a?>', XML, 1],
  ['cdata in small letters', '<![cdata[a]]>', XML, 1],
  ['an element declaration', '<!ELEMENT a ANY>', XML, 1],
  ['a DOCTYPE inside', '<!DOCTYPE a>', XML, 1],
];

for (const [clause, text, code, column] of VALUES) {
  test(`in a value: ${clause}: ${JSON.stringify(text)}`, (t) => {
    t.is(
      refusalOf(() => parseCall(callOf(text))),
      `${code} 1:${CALL_HEAD.length + column}`,
    );
  });
}

type Document = readonly [clause: string, text: string, refusal: string];
const CALLS: readonly Document[] = [
  ['nothing', '', 'NOT_WELL_FORMED 1:1'],
  ['blanks only', ' \n ', 'NOT_WELL_FORMED 2:2'],
  ['text only', 'hello', 'NOT_WELL_FORMED 1:1'],
  ['a declaration only', '<?xml version="1.0"?>', 'NOT_WELL_FORMED 1:22'],
  ['JSON', '{"a":1}', 'NOT_WELL_FORMED 1:1'],
  ['junk before', `x${CALL_HEAD}${CALL_TAIL}`, 'NOT_WELL_FORMED 1:1'],
  ['junk after, on line 2', '<methodCall><methodName>m</methodName></methodCall>\nx', 'NOT_WELL_FORMED 2:1'],
  ['NUL after', '<methodCall><methodName>m</methodName></methodCall>\0', 'NOT_WELL_FORMED 1:52'],
  ['a reference after', '<methodCall><methodName>m</methodName></methodCall>&#32;', 'NOT_WELL_FORMED 1:52'],
  ['CDATA after', '<methodCall><methodName>m</methodName></methodCall><![CDATA[]]>', 'NOT_WELL_FORMED 1:52'],
  ['a second root', '<methodCall><methodName>m</methodName></methodCall><a/>', 'NOT_WELL_FORMED 1:52'],
  ['an end tag after', '<methodCall><methodName>m</methodName></methodCall></methodCall>', 'NOT_WELL_FORMED 1:52'],
  ['a blank before the declaration', ' <?xml version="1.0"?><methodCall/>', 'NOT_WELL_FORMED 1:2'],
  ['XML 1.1', '<?xml version="1.1"?><methodCall/>', 'NOT_WELL_FORMED 1:1'],
  ['no version', '<?xml encoding="UTF-8"?><methodCall/>', 'NOT_WELL_FORMED 1:1'],
  ['standalone before encoding', '<?xml version="1.0" standalone="yes" encoding="UTF-8"?><methodCall/>', 'NOT_WELL_FORMED 1:1'],
  ['standalone maybe', '<?xml version="1.0" standalone="maybe"?><methodCall/>', 'NOT_WELL_FORMED 1:1'],
  ['a DOCTYPE', '<?xml version="1.0"?>\n<!DOCTYPE methodCall>\n<methodCall/>', 'NOT_WELL_FORMED 2:1'],
  ['a DOCTYPE with an entity', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><methodCall/>', 'NOT_WELL_FORMED 1:1'],
  ['line breaks are CRLF, CR and LF', '<methodCall>\r\n\r\n\r\r\n<x/>', 'INVALID_REQUEST 5:1'],
  ['columns count characters', '<methodCall><!--😀😀--><x/>', 'INVALID_REQUEST 1:22'],
  ['another root', '<foo/>', 'INVALID_REQUEST 1:1'],
  ['a response', '<methodResponse><params><param><value/></param></params></methodResponse>', 'INVALID_REQUEST 1:1'],
  ['wrong case', '<methodcall/>', 'INVALID_REQUEST 1:1'],
  ['no methodName', '<methodCall></methodCall>', 'INVALID_REQUEST 1:13'],
  ['params first', '<methodCall><params/><methodName>m</methodName></methodCall>', 'INVALID_REQUEST 1:13'],
  ['two methodNames', '<methodCall><methodName>m</methodName><methodName>n</methodName></methodCall>', 'INVALID_REQUEST 1:39'],
  ['two params', '<methodCall><methodName>m</methodName><params/><params/></methodCall>', 'INVALID_REQUEST 1:48'],
  [
    'a methodName after params',
    '<methodCall><methodName>m</methodName><params/><methodName>n</methodName></methodCall>',
    'INVALID_REQUEST 1:48',
  ],
  ['an empty methodName', '<methodCall><methodName/></methodCall>', 'INVALID_REQUEST 1:13'],
  ['a blank methodName', '<methodCall><methodName> </methodName></methodCall>', 'INVALID_REQUEST 1:25'],
  ['blanks around the methodName', '<methodCall><methodName> m </methodName></methodCall>', 'INVALID_REQUEST 1:25'],
  ['LF after the methodName', '<methodCall><methodName>m\n</methodName></methodCall>', 'INVALID_REQUEST 1:25'],
  ['an ampersand in the methodName', '<methodCall><methodName>a&amp;b</methodName></methodCall>', 'INVALID_REQUEST 1:25'],
  ['a hyphen in the methodName', '<methodCall><methodName>a-b</methodName></methodCall>', 'INVALID_REQUEST 1:25'],
  ['an element in the methodName', '<methodCall><methodName><b/></methodName></methodCall>', 'INVALID_REQUEST 1:25'],
  ['an empty param', '<methodCall><methodName>m</methodName><params><param/></params></methodCall>', 'INVALID_REQUEST 1:47'],
  [
    'two values in a param',
    '<methodCall><methodName>m</methodName><params><param><value/><value/></param></params></methodCall>',
    'INVALID_REQUEST 1:62',
  ],
  ['a value in params', '<methodCall><methodName>m</methodName><params><value/></params></methodCall>', 'INVALID_REQUEST 1:47'],
  [
    'an int in a param',
    '<methodCall><methodName>m</methodName><params><param><int>1</int></param></params></methodCall>',
    'INVALID_REQUEST 1:54',
  ],
  ['text in params', '<methodCall><methodName>m</methodName><params>x</params></methodCall>', 'INVALID_REQUEST 1:47'],
  ['text in the call', '<methodCall>x<methodName>m</methodName></methodCall>', 'INVALID_REQUEST 1:13'],
];
const FAULT = (inner: string): string => `<methodResponse><fault><value>${inner}</value></fault></methodResponse>`;
const MEMBER = (name: string, value: string): string => `<member><name>${name}</name><value>${value}</value></member>`;
const TEXT = MEMBER('faultString', '<string>s</string>');
const RESPONSES: readonly Document[] = [
  ['a call', '<methodCall><methodName>m</methodName></methodCall>', 'INVALID_REQUEST 1:1'],
  ['empty', '<methodResponse/>', 'INVALID_REQUEST 1:1'],
  ['no param', '<methodResponse><params></params></methodResponse>', 'INVALID_REQUEST 1:25'],
  [
    'two params',
    '<methodResponse><params><param><value/></param><param><value/></param></params></methodResponse>',
    'INVALID_REQUEST 1:48',
  ],
  ['params and fault', '<methodResponse><params><param><value/></param></params><fault/></methodResponse>', 'INVALID_REQUEST 1:57'],
  ['an empty fault', '<methodResponse><fault/></methodResponse>', 'INVALID_REQUEST 1:17'],
  ['a fault that is text', FAULT('x'), 'INVALID_REQUEST 1:17'],
  ['a fault without code', FAULT(`<struct>${TEXT}</struct>`), 'INVALID_REQUEST 1:31'],
  ['a fault without text', FAULT(`<struct>${MEMBER('faultCode', '<int>1</int>')}</struct>`), 'INVALID_REQUEST 1:31'],
  ['a fault with more', FAULT(`<struct>${MEMBER('faultCode', '<int>1</int>')}${TEXT}${MEMBER('x', '')}</struct>`), 'INVALID_REQUEST 1:31'],
  ['a fault code that is a string', FAULT(`<struct>${MEMBER('faultCode', '1')}${TEXT}</struct>`), 'INVALID_REQUEST 1:31'],
  [
    'a fault code that is a double',
    FAULT(`<struct>${MEMBER('faultCode', '<double>1.0</double>')}${TEXT}</struct>`),
    'INVALID_REQUEST 1:31',
  ],
  ['a fault code that is an i8', FAULT(`<struct>${MEMBER('faultCode', '<i8>1</i8>')}${TEXT}</struct>`), 'INVALID_REQUEST 1:31'],
  [
    'a fault text that is an int',
    FAULT(`<struct>${MEMBER('faultCode', '<int>1</int>')}${MEMBER('faultString', '<int>1</int>')}</struct>`),
    'INVALID_REQUEST 1:31',
  ],
];
const STRUCTS: readonly Document[] = [
  ['no struct', '<array><data/></array>', 'INVALID_REQUEST 1:1'],
  ['a value', '<value><struct/></value>', 'INVALID_REQUEST 1:1'],
  ['two structs', '<struct/><struct/>', 'NOT_WELL_FORMED 1:10'],
  ['half a surrogate pair', '<struct><member><name>\ud800</name><value/></member></struct>', 'NOT_WELL_FORMED 1:23'],
  ['half a surrogate pair at the end', '<struct>\udc00</struct>', 'NOT_WELL_FORMED 1:9'],
];

for (const [clause, text, refusal] of CALLS) {
  test(`a call: ${clause}`, (t) => {
    t.is(
      refusalOf(() => parseCall(Buffer.from(text))),
      refusal,
    );
  });
}
for (const [clause, text, refusal] of RESPONSES) {
  test(`a response: ${clause}`, (t) => {
    t.is(
      refusalOf(() => parseResponse(Buffer.from(text))),
      refusal,
    );
  });
}
for (const [clause, text, refusal] of STRUCTS) {
  test(`a struct: ${clause}`, (t) => {
    t.is(
      refusalOf(() => parseStruct(text)),
      refusal,
    );
  });
}

test('duplicate members have no canonical form either, outermost or nested', (t) => {
  const twice = `<struct>${MEMBER('a', '')}${MEMBER('a', '')}</struct>`;
  t.is(
    refusalOf(() => canonicalMembers(twice)),
    'INVALID_REQUEST 1:69',
  );
  t.is(
    refusalOf(() => canonicalMembers(`<struct>${MEMBER('a', twice)}</struct>`)),
    'INVALID_REQUEST 1:106',
  );
});

test('a document cut at any byte is refused', (t) => {
  const body = Buffer.from(
    '<?xml version="1.0" encoding="UTF-8"?>\r\n<!-- ä --><methodCall xmlns:ex="http://ws.apache.org/xmlrpc/namespaces/extensions"><?pi a?>' +
      '<methodName>a.b</methodName><params><param><value>ä&amp;&#x1F600;😀<![CDATA[<]]></value></param><param><value><struct><member>' +
      '<name>n</name><value><array><data><value><ex:nil/></value><value><double>-1.5e3</double></value></data></array></value></member>' +
      '</struct></value></param></params></methodCall>',
  );
  t.notThrows(() => parseCall(body));
  for (let length = 0; length < body.length; length++) {
    t.not(
      refusalOf(() => parseCall(body.subarray(0, length))),
      'accepted',
      `cut after ${length} bytes`,
    );
    t.notRegex(
      refusalOf(() => parseCall(body.subarray(0, length))),
      /^not a RelayError/,
    );
  }
});

test('a refusal says line, column and reason, and shows no payload', (t) => {
  const secret = 'hunter2';
  const documents = [
    ...['int', 'i8', 'double', 'boolean', 'base64', 'dateTime.iso8601', 'nil'].map((type) => `<${type}>${secret}!</${type}>`),
    `${secret}<int>1</int>`,
    `<int a=${secret}>1</int>`,
    `<int a="${secret}<">1</int>`,
    `&${secret};`,
    `<struct>${MEMBER(secret, '')}${MEMBER(secret, '')}</struct>`,
    `<struct>${secret}</struct>`,
    `<!-- ${secret} -- -->`,
  ];
  for (const text of documents) {
    const { code, text: said } = errorOf(() => parseCall(callOf(text)));
    t.not(code, 'NONE', text);
    t.regex(said, /^line \d+, column \d+: ./, text);
    t.notRegex(said, new RegExp(secret), text);
  }
});

test('an element name in a refusal is cleaned and cut', (t) => {
  const { text } = errorOf(() => parseCall(callOf(`<${'a'.repeat(200)}/>`)));
  t.true(text.length < 200, text);
  t.true(text.includes(`<${'a'.repeat(40)}…>`), text);
  t.notRegex(errorOf(() => parseCall(callOf('<a\u200e/>'))).text, /\u200e/);
});

function dateRow(text: string): Row {
  return ['dateTime', `<dateTime.iso8601>${text}</dateTime.iso8601>`, GRAMMAR, '<dateTime.iso8601>'.length + 1];
}
