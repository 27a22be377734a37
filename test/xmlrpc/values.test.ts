/** The table text <-> value: rows that hold in both directions, rows that are only read, rows that are only written. */
import test from 'ava';

import { Double, Int64, dictOf } from '../../src/message/message.ts';
import type { Sendable, Value } from '../../src/message/message.ts';
import { parseResponse, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { RESPONSE_HEAD, RESPONSE_TAIL, canonical, read } from './wire.ts';

type Both = readonly [clause: string, text: string, value: Value];
type In = readonly [clause: string, text: string, value: Value, canonical: string];
type Out = readonly [clause: string, value: Sendable, text: string];

const int = (text: string): string => `<int>${text}</int>`;
const i8 = (text: string): string => `<i8>${text}</i8>`;
const double = (text: string): string => `<double>${text}</double>`;
const string = (text: string): string => `<string>${text}</string>`;
const date = (text: string): string => `<dateTime.iso8601>${text}</dateTime.iso8601>`;
const base64 = (text: string): string => `<base64>${text}</base64>`;
const value = (inner: string): string => `<value>${inner}</value>`;
const array = (...inner: string[]): string => `<array><data>${inner.map(value).join('')}</data></array>`;
const struct = (...members: (readonly [string, string])[]): string =>
  `<struct>${members.map(([name, inner]) => `<member><name>${name}</name>${value(inner)}</member>`).join('')}</struct>`;
const utc = (iso: string): Date => new Date(iso);

const INTEGERS = [
  0, 1, -1, 7, 42, -42, 127, 128, 255, 256, -32768, 32767, 65536, 1000000, 16777217, -999999999, 2147483646, 2147483647, -2147483648,
];
const DOUBLES: readonly (readonly [number, string])[] = [
  [-0, '-0.0'],
  [0.5, '0.5'],
  [-0.5, '-0.5'],
  [1.5, '1.5'],
  [-1.25, '-1.25'],
  [0.1, '0.1'],
  [1 / 3, '0.3333333333333333'],
  [Math.PI, '3.141592653589793'],
  [0.1 + 0.2, '0.30000000000000004'],
  [2147483648, '2147483648.0'],
  [-2147483649, '-2147483649.0'],
  [4294967296, '4294967296.0'],
  [2 ** 53, '9007199254740992.0'],
  [2 ** 53 - 1, '9007199254740991.0'],
  [123456789.125, '123456789.125'],
  [1e20, '100000000000000000000.0'],
  [1e21, '1000000000000000000000.0'],
  [-1e21, '-1000000000000000000000.0'],
  [1.5e21, '1500000000000000000000.0'],
  [1.2345678901234566e25, '12345678901234566000000000.0'],
  [1e-6, '0.000001'],
  [1e-7, '0.0000001'],
  [-1.5e-7, '-0.00000015'],
  [1.234e-10, '0.0000000001234'],
  [5e-324, `0.${'0'.repeat(323)}5`],
  [Number.MAX_VALUE, `17976931348623157${'0'.repeat(292)}.0`],
];
const STRINGS: readonly (readonly [string, string, string])[] = [
  ['empty', '', ''],
  ['one space', ' ', ' '],
  ['white space is kept', '  a b  ', '  a b  '],
  ['tab and LF are kept', '\t\n', '\t\n'],
  ['CR is sent as a reference', 'a\rb', 'a&#13;b'],
  ['CRLF', 'a\r\nb', 'a&#13;\nb'],
  ['only CR', '\r', '&#13;'],
  ['less than', 'a<b', 'a&lt;b'],
  ['greater than', 'a>b', 'a&gt;b'],
  ['ampersand', 'a&b', 'a&amp;b'],
  ['an entity as text', '&lt;', '&amp;lt;'],
  ['end of CDATA', ']]>', ']]&gt;'],
  ['CDATA as text', '<![CDATA[x]]>', '&lt;![CDATA[x]]&gt;'],
  ['markup as text', '</string></value>', '&lt;/string&gt;&lt;/value&gt;'],
  ['a comment as text', '<!-- -->', '&lt;!-- --&gt;'],
  ['quotes are not escaped', `"it's"`, `"it's"`],
  ['brackets', ']]', ']]'],
  ['Latin', 'äöüß', 'äöüß'],
  ['C1 control, legal', '\u0085\u009f', '\u0085\u009f'],
  ['DEL, legal', '\u007f', '\u007f'],
  ['Greek', 'αβγ', 'αβγ'],
  ['CJK', '漢字', '漢字'],
  ['four bytes', '😀', '😀'],
  ['four bytes beside markup', '😀<😀', '😀&lt;😀'],
  ['the last character', '\u{10ffff}', '\u{10ffff}'],
  ['U+FFFD', '\ufffd', '\ufffd'],
  ['U+FEFF inside', 'a\ufeffb', 'a\ufeffb'],
  ['before and after the surrogates', '\ud7ff\ue000', '\ud7ff\ue000'],
  ['line separators', '\u2028\u2029', '\u2028\u2029'],
  ['a number as text', '12', '12'],
];
const DATES = [
  '19980717T14:08:55',
  '19700101T00:00:00',
  '00000101T00:00:00',
  '00990228T23:59:59',
  '99991231T23:59:59',
  '20000229T12:00:00',
  '20240229T00:00:00',
  '19000228T00:00:00',
];
const isoOf = (text: string): string => text.replace(/^(....)(..)(..)T/, '$1-$2-$3T') + 'Z';
const BYTES: readonly (readonly [number[], string])[] = [
  [[], ''],
  [[0], 'AA=='],
  [[255], '/w=='],
  [[251, 255], '+/8='],
  [[1, 2, 3], 'AQID'],
  [[0, 0, 0, 0], 'AAAAAA=='],
  [[...Array(48).keys()], 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v'],
];
const NAMES = [
  '',
  '0',
  '1',
  '-1',
  '007',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'then',
  'length',
  'a b',
  ' a ',
  '\t',
  'ä',
  '漢',
  '😀',
  '4294967295',
];

const BOTH: readonly Both[] = [
  ...INTEGERS.map((n): Both => ['int within 32 bits', int(String(n)), n]),
  ...DOUBLES.map(([n, text]): Both => ['double: shortest, no exponent, a point', double(text), n]),
  ...STRINGS.map(([clause, plain, text]): Both => [`string: ${clause}`, string(text), plain]),
  ...DATES.map((text): Both => ['dateTime in UTC', date(text), utc(isoOf(text))]),
  ...BYTES.map(([bytes, text]): Both => ['base64', base64(text), Buffer.from(bytes)]),
  ...NAMES.map((name): Both => ['member names are plain data', struct([name, int('1')]), dictOf([[name, 1]])]),
  ['member names are escaped', struct(['&lt;&amp;&gt;&#13;', int('1')]), dictOf([['<&>\r', 1]])],
  ['boolean', '<boolean>1</boolean>', true],
  ['boolean', '<boolean>0</boolean>', false],
  ['nil', '<nil/>', null],
  ['i8 beyond 2^53 is a bigint', i8('9007199254740992'), 9007199254740992n],
  ['i8 beyond 2^53 is a bigint', i8('-9007199254740993'), -9007199254740993n],
  ['the largest i8', i8('9223372036854775807'), 9223372036854775807n],
  ['the smallest i8', i8('-9223372036854775808'), -9223372036854775808n],
  ['an empty array is no empty struct', array(), []],
  ['an empty struct is no empty array', struct(), dictOf()],
  ['array', array(int('1'), string('a'), '<boolean>1</boolean>'), [1, 'a', true]],
  ['array in array', array(array(), array(array())), [[], [[]]]],
  [
    'struct',
    struct(['a', int('1')], ['b', string('')]),
    dictOf([
      ['a', 1],
      ['b', ''],
    ]),
  ],
  [
    'member order',
    struct(['z', int('1')], ['a', int('2')]),
    dictOf([
      ['z', 1],
      ['a', 2],
    ]),
  ],
  ['struct in struct', struct(['a', struct(['a', struct()])]), dictOf([['a', dictOf([['a', dictOf()]])]])],
  ['struct after struct in an array', array(struct(['a', int('1')]), struct(['a', int('2')])), [dictOf([['a', 1]]), dictOf([['a', 2]])]],
  [
    'a member after a nested struct',
    struct(['a', struct(['b', int('1')])], ['c', int('2')]),
    dictOf([
      ['a', dictOf([['b', 1]])],
      ['c', 2],
    ]),
  ],
  ['nil in containers', array('<nil/>', struct(['a', '<nil/>'])), [null, dictOf([['a', null]])]],
];

const IN: readonly In[] = [
  ['untyped is a string', 'text', 'text', string('text')],
  ['untyped keeps white space', '  text\n', '  text\n', string('  text\n')],
  ['untyped white space alone', ' \n ', ' \n ', string(' \n ')],
  ['untyped empty', '', '', string('')],
  ['white space around a typed element', ' \r\n\t<int>1</int>\n ', 1, int('1')],
  ['a comment beside a typed element', '<!--a--><int>1</int><!--b-->', 1, int('1')],
  ['a processing instruction beside a typed element', '<?a b?><int>1</int><?c?>', 1, int('1')],
  ['an empty-element tag', '<string/>', '', string('')],
  ['an empty-element tag with a blank', '<string />', '', string('')],
  ['blanks in an end tag', '<string>a</string \n>', 'a', string('a')],
  ['attributes are ignored', `<string a="1" b='>'>x</string>`, 'x', string('x')],
  ['an attribute with references', '<string a="&lt;&#65;&quot;">x</string>', 'x', string('x')],
  ['an attribute with blanks around =', '<string a = "1">x</string>', 'x', string('x')],
  ['i4', '<i4>5</i4>', 5, int('5')],
  ['a plus sign', int('+5'), 5, int('+5')],
  ['leading zeros', int('007'), 7, int('007')],
  ['-0 is an int 0', int('-0'), 0, int('-0')],
  ['i8 that a number holds', i8('5'), 5, i8('5')],
  ['i8 with sign and zeros', i8('-0005'), -5, i8('-0005')],
  ['-0 is an i8 0', i8('-0'), 0, i8('-0')],
  ['i8, plus sign, beyond 2^53', i8('+9223372036854775807'), 9223372036854775807n, i8('+9223372036854775807')],
  ['i8 at the edge of number', i8('9007199254740991'), 9007199254740991, i8('9007199254740991')],
  ['i8 at the edge of number', i8('-9007199254740991'), -9007199254740991, i8('-9007199254740991')],
  ['1.0 is 1, its text stays', double('1.0'), 1, double('1.0')],
  ['double without a point', double('1'), 1, double('1')],
  ['double with a point at the end', double('1.'), 1, double('1.')],
  ['double with a point at the start', double('.5'), 0.5, double('.5')],
  ['double with a plus sign', double('+1.5'), 1.5, double('+1.5')],
  ['double: exponent', double('1e3'), 1000, double('1e3')],
  ['double: exponent', double('1.5E+3'), 1500, double('1.5E+3')],
  ['double: exponent', double('-25e-1'), -2.5, double('-25e-1')],
  ['double: underflow is 0', double('1e-999'), 0, double('1e-999')],
  ['double: underflow keeps its sign', double('-1e-999'), -0, double('-1e-999')],
  ['double: -0', double('-0'), -0, double('-0')],
  ['double: zeros after the point stay', double('2.500'), 2.5, double('2.500')],
  ['dateTime with hyphens', date('1998-07-17T14:08:55'), utc('1998-07-17T14:08:55Z'), date('1998-07-17T14:08:55')],
  ['dateTime Z', date('19980717T14:08:55Z'), utc('1998-07-17T14:08:55Z'), date('19980717T14:08:55Z')],
  ['dateTime: offset honoured', date('19980717T14:08:55+02:00'), utc('1998-07-17T12:08:55Z'), date('19980717T14:08:55+02:00')],
  ['dateTime: offset without colon', date('19980717T14:08:55-0200'), utc('1998-07-17T16:08:55Z'), date('19980717T14:08:55-0200')],
  ['dateTime: half-hour zone', date('19980717T14:08:55+05:30'), utc('1998-07-17T08:38:55Z'), date('19980717T14:08:55+05:30')],
  ['dateTime: negative half-hour zone', date('19980717T14:08:55-03:30'), utc('1998-07-17T17:38:55Z'), date('19980717T14:08:55-03:30')],
  ['dateTime: offset over midnight', date('20000101T00:30:00+01:00'), utc('1999-12-31T23:30:00Z'), date('20000101T00:30:00+01:00')],
  ['dateTime: widest offset', date('20000101T14:00:00+14:00'), utc('2000-01-01T00:00:00Z'), date('20000101T14:00:00+14:00')],
  ['dateTime: fraction', date('19980717T14:08:55.5'), utc('1998-07-17T14:08:55.500Z'), date('19980717T14:08:55.5')],
  ['dateTime: fraction', date('19980717T14:08:55.123'), utc('1998-07-17T14:08:55.123Z'), date('19980717T14:08:55.123')],
  ['dateTime: fraction is cut', date('19980717T14:08:55.123999999'), utc('1998-07-17T14:08:55.123Z'), date('19980717T14:08:55.123999999')],
  ['dateTime: all of it', date('1998-07-17T14:08:55.25+02:00'), utc('1998-07-17T12:08:55.250Z'), date('1998-07-17T14:08:55.25+02:00')],
  ['base64 with white space', base64('\r\n A Q\tI\nD '), Buffer.from([1, 2, 3]), base64('AQID')],
  ['base64 with CR references', base64('AQ&#13;ID'), Buffer.from([1, 2, 3]), base64('AQID')],
  ['base64 with blanks in the padding', base64('AA= ='), Buffer.from([0]), base64('AA==')],
  ['base64 of white space alone', base64(' \n'), Buffer.alloc(0), base64('')],
  ['nil as a pair of tags', '<nil></nil>', null, '<nil/>'],
  ['nil with a comment', '<nil><!-- --></nil>', null, '<nil/>'],
  ['ex:nil', '<ex:nil/>', null, '<nil/>'],
  ['ex:i8', '<ex:i8>5</ex:i8>', 5, i8('5')],
  ['ex:i8', '<ex:i8>9223372036854775807</ex:i8>', 9223372036854775807n, i8('9223372036854775807')],
  ['ex:i1', '<ex:i1>-128</ex:i1>', -128, int('-128')],
  ['ex:i2', '<ex:i2>32767</ex:i2>', 32767, int('32767')],
  ['ex:int', '<ex:int>5</ex:int>', 5, int('5')],
  ['ex:float', '<ex:float>1.5</ex:float>', 1.5, double('1.5')],
  ['ex:float', '<ex:float>1.0E10</ex:float>', 1e10, double('1.0E10')],
  ['ex:bigdecimal', '<ex:bigdecimal>1.10</ex:bigdecimal>', 1.1, double('1.10')],
  ['ex:biginteger', '<ex:biginteger>5</ex:biginteger>', 5, i8('5')],
  ['ex:biginteger', '<ex:biginteger>-9223372036854775808</ex:biginteger>', -9223372036854775808n, i8('-9223372036854775808')],
  ['ex:dateTime', '<ex:dateTime>1998-07-17T14:08:55.123Z</ex:dateTime>', utc('1998-07-17T14:08:55.123Z'), date('1998-07-17T14:08:55.123Z')],
  ['ex: declared', '<ex:nil xmlns:ex="http://ws.apache.org/xmlrpc/namespaces/extensions"/>', null, '<nil/>'],
  ['ex: undeclared, beside an attribute', '<array a="1"><data><value><ex:nil/></value></data></array>', [null], array('<nil/>')],
  ['another prefix for ex:', '<n:i8 xmlns:n="http://ws.apache.org/xmlrpc/namespaces/extensions">5</n:i8>', 5, i8('5')],
  [
    'another prefix, from outside',
    '<array xmlns:n="http://ws.apache.org/xmlrpc/namespaces/extensions"><data><value><n:nil/></value></data></array>',
    [null],
    array('<nil/>'),
  ],
  ['CDATA', '<string><![CDATA[<a>&amp;]]></string>', '<a>&amp;', string('&lt;a&gt;&amp;amp;')],
  ['CDATA joined with text', 'a<![CDATA[b]]>c', 'abc', string('abc')],
  ['CDATA empty', 'a<![CDATA[]]>c', 'ac', string('ac')],
  ['CDATA in a number', '<int>1<![CDATA[2]]></int>', 12, int('12')],
  ['CDATA of ]]', '<![CDATA[]]]]>', ']]', string(']]')],
  ['CDATA beside an element, blank', '<![CDATA[ ]]><int>1</int>', 1, int('1')],
  ['a comment in text', 'a<!-- b -->c', 'ac', string('ac')],
  ['a comment in a number', '<int>1<!-- -->2</int>', 12, int('12')],
  ['a processing instruction in text', 'a<?b c?>d', 'ad', string('ad')],
  ['CRLF is LF', 'a\r\nb', 'a\nb', string('a\nb')],
  ['CR is LF', 'a\rb\r', 'a\nb\n', string('a\nb\n')],
  ['CR CR LF is two LF', 'a\r\r\nb', 'a\n\nb', string('a\n\nb')],
  ['CRLF in CDATA is LF', '<![CDATA[a\r\nb]]>', 'a\nb', string('a\nb')],
  ['&#13; stays CR', 'a&#13;b', 'a\rb', string('a&#13;b')],
  ['&#xD; then LF', 'a&#xD;\nb', 'a\r\nb', string('a&#13;\nb')],
  ['the five entities', '&lt;&gt;&amp;&quot;&apos;', `<>&"'`, string(`&lt;&gt;&amp;"'`)],
  ['an entity is not read twice', '&amp;lt;', '&lt;', string('&amp;lt;')],
  ['decimal reference', '&#65;&#228;', 'Aä', string('Aä')],
  ['hexadecimal reference', '&#x41;&#xe4;&#xE4;', 'Aää', string('Aää')],
  ['a reference beyond the BMP', '&#x1F600;&#128512;', '😀😀', string('😀😀')],
  ['the last character by reference', '&#x10FFFF;', '\u{10ffff}', string('\u{10ffff}')],
  ['leading zeros in a reference', '&#00000000000000000065;', 'A', string('A')],
  ['a reference in a number', '<int>1&#50;</int>', 12, int('12')],
  ['a reference to white space', '&#9;&#10;&#32;', '\t\n ', string('\t\n ')],
  ['> alone in text', 'a>b', 'a>b', string('a&gt;b')],
  [']] alone in text', 'a]]b', 'a]]b', string('a]]b')],
  [']>', ']>', ']>', string(']&gt;')],
  ['white space in containers', ' <array> <data> <value> <int>1</int> </value> </data> </array> ', [1], array(int('1'))],
  [
    'white space in structs',
    '<struct>\n<member>\n<name>a</name>\n<value>x</value>\n</member>\n</struct>',
    dictOf([['a', 'x']]),
    struct(['a', string('x')]),
  ],
  [
    'white space in names is kept',
    '<struct><member><name> a </name><value>x</value></member></struct>',
    dictOf([[' a ', 'x']]),
    struct([' a ', string('x')]),
  ],
  ['an empty name tag', '<struct><member><name/><value/></member></struct>', dictOf([['', '']]), struct(['', string('')])],
  [
    'numeric names in member order',
    struct(['2', int('2')], ['1', int('1')]),
    dictOf([
      ['1', 1],
      ['2', 2],
    ]),
    struct(['2', int('2')], ['1', int('1')]),
  ],
  ['data as an empty-element tag', '<array><data/></array>', [], array()],
  ['struct as an empty-element tag', '<struct/>', dictOf(), struct()],
];

const OUT: readonly Out[] = [
  ['Double', new Double(1), double('1.0')],
  ['Double', new Double(-0), double('-0.0')],
  ['Double', new Double(1e21), double('1000000000000000000000.0')],
  ['Double', new Double(0.5), double('0.5')],
  ['Int64', new Int64(5n), i8('5')],
  ['Int64', new Int64(-9223372036854775808n), i8('-9223372036854775808')],
  ['bigint within 32 bits', 5n, int('5')],
  ['bigint at 32 bits', 2147483647n, int('2147483647')],
  ['bigint at 32 bits', -2147483648n, int('-2147483648')],
  ['bigint beyond 32 bits', 2147483648n, i8('2147483648')],
  ['bigint beyond 32 bits', -2147483649n, i8('-2147483649')],
  ['Uint8Array is base64', new Uint8Array([1, 2, 3]), base64('AQID')],
  ['a view into a larger buffer', new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4), base64('AQID')],
  [
    'Map is a struct',
    new Map<string, Sendable>([
      ['b', 1],
      ['1', 'x'],
    ]),
    struct(['b', int('1')], ['1', string('x')]),
  ],
  ['an empty Map', new Map(), struct()],
  ['Map in Map', new Map([['a', new Map([['b', 1]])]]), struct(['a', struct(['b', int('1')])])],
  ['a literal object', { a: 1, b: [true] }, struct(['a', int('1')], ['b', array('<boolean>1</boolean>')])],
  ['an own __proto__', JSON.parse('{"__proto__":1}') as Sendable, struct(['__proto__', int('1')])],
  ['milliseconds are cut', utc('1998-07-17T14:08:55.999Z'), date('19980717T14:08:55')],
  ['one object twice is no cycle', ((shared) => [shared, shared])([1]), array(array(int('1')), array(int('1')))],
];

let labels = 0;

for (const [clause, text, plain] of BOTH) {
  test(`both ways: ${clause}: ${label(text)}`, (t) => {
    t.deepEqual(read(text), plain);
    t.is(serialised(plain), text);
    t.is(canonical(text), text);
  });
}

for (const [clause, text, plain, own] of IN) {
  test(`read: ${clause}: ${label(text)}`, (t) => {
    t.deepEqual(read(text), plain);
    t.is(canonical(text), own);
    t.deepEqual(read(own), plain);
  });
}

for (const [clause, sent, text] of OUT) {
  test(`written: ${clause}: ${label(text)}`, (t) => {
    t.is(serialised(sent), text);
  });
}

test('the order of canonical members is the order of the source, whatever the names', (t) => {
  t.is(canonical(struct(['b', int('1')], ['10', int('2')], ['9', int('3')])), struct(['b', int('1')], ['10', int('2')], ['9', int('3')]));
});

// A test's title must be unique and of one line.
function label(text: string): string {
  labels++;
  return `${JSON.stringify(text.slice(0, 60))} (${labels})`;
}

function serialised(sent: Sendable): string {
  const body = serialiseResponse(sent, { nil: true, i8: true });
  const text = body.toString().slice('<?xml version="1.0" encoding="UTF-8"?>'.length);
  parseResponse(body);
  return text.slice(RESPONSE_HEAD.length, -RESPONSE_TAIL.length);
}
