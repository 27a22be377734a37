/** Calls that between them use every way in which a document can be written; each is read, unless it is said what refuses it. */
import { callOf } from './wire.ts';

const EX = 'http://ws.apache.org/xmlrpc/namespaces/extensions';
const member = (name: string, inner: string): string => `<member><name>${name}</name><value>${inner}</value></member>`;
const record = (i: number): string =>
  `<value><struct>${member('id', `<int>${i}</int>`)}${member('text', `<string>Grüße ${i}, 漢字</string>`)}${member('at', '<dateTime.iso8601>20260117T14:08:55</dateTime.iso8601>')}</struct></value>`;
const records = Array.from({ length: 5 }, (_, i) => record(i)).join('');
const pretty = `<array>\n  <data>\n${records.replace(/></g, '>\n    <')}\n  </data>\n</array>`;
const utf16 = Buffer.from(
  `<?xml version="1.0"?>${callOf(`<array><data>${records}<value>😀</value></data></array>`).toString()}`,
  'utf16le',
);

/** What is read. */
export const READ: readonly (readonly [clause: string, body: Buffer])[] = [
  ['an array of structs', callOf(`<array><data>${records}</data></array>`)],
  ['the same with white space between all tags', callOf(pretty)],
  ['with CRLF', callOf(pretty.replace(/\n/g, '\r\n'))],
  [
    'numbers of every form',
    callOf(
      `<array><data>${['<int>0</int>', '<int>-2147483648</int>', '<i4>+7</i4>', '<i8>-9223372036854775808</i8>', '<double>-12.5</double>', '<double>1.</double>', '<double>.5</double>', '<double>0.1000000000000000055511151231257827</double>', '<double>123456789012345.6</double>', '<double>-1.5e-10</double>', '<boolean>1</boolean>', '<nil/>'].map((inner) => `<value>${inner}</value>`).join('')}</data></array>`,
    ),
  ],
  ['texts with references and sections', callOf('a&#65;&amp;<![CDATA[<b>]]>\r\n<!-- c --><?d e?>]]&gt;\r&#13;]ä😀')],
  ['a name with references', callOf(`<struct>${member('a&amp;b', 'x')}${member('c<!-- -->d', 'y')}${member('', 'z')}</struct>`)],
  ['base64 in lines', callOf(`<base64>\n${'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpB\n'.repeat(9)}\nQUI=</base64>`)],
  ['base64 in one piece', callOf(`<base64>${'QUJD'.repeat(400)}QQ==</base64>`)],
  ['base64 with a reference', callOf('<base64>QUJD&#13;\nQUJD<!-- --></base64>')],
  [
    'nothing in everything',
    callOf('<array><data><value/><value></value><value><struct/></value><value><array><data/></array></value></data></array>'),
  ],
  ['blanks in tags', callOf(`<struct ><member ><name >a</name ><value ><int >1</int ></value ></member ></struct >`)],
  ['blanks before a typed value', callOf('\n  <struct>\n</struct>\n')],
  ['the usual namespace', Buffer.from(callOf('<ex:i8>5</ex:i8>').toString().replace('<methodCall>', `<methodCall xmlns:ex="${EX}">`))],
  ['a namespace of its own', callOf(`<array xmlns:n="${EX}"><data>${records}<value><n:i8>5</n:i8></value></data></array>`)],
  [
    'attributes everywhere',
    callOf('<struct a="1"><member b=\'2\'><name c="3">a</name><value d=">"><int e="&lt;">1</int></value></member></struct>'),
  ],
  [
    'tags in comments and sections',
    callOf(
      `<struct><!--${member('b', '<int>1</int>')}</struct></value>--><?p ${member('c', 'x')}?>${member('a', `<![CDATA[</value></member>${member('d', '')}]]>`)}<!-- </struct> </value></param> --></struct><!-- </value> -->`,
    ),
  ],
  ['UTF-16', Buffer.concat([Buffer.from([0xff, 0xfe]), utf16])],
  [
    'comments around it all',
    Buffer.from(`<?xml version="1.0"?><!-- a --><?b c?>\n${callOf('x').toString().replace('</params>', '</params>\n<!-- d --><?e?>')}`),
  ],
];

/** What is refused. */
export const REFUSED: readonly (readonly [clause: string, body: Buffer])[] = [
  ['a member twice', callOf(`<struct>${member('a', 'x')}${member('b', 'x')}${member('a', 'y')}</struct>`)],
  ['text in a struct', callOf(`<struct>${member('a', 'x')} y</struct>`)],
  ['an end of CDATA in text', callOf(`ab]]>c`)],
  ['a control character', callOf('abc\u0001')],
  ['U+FFFF', callOf('abc\uffff')],
  ['a cut reference', callOf('abc&#6')],
  ['base64 with a hyphen', callOf(`<base64>${'QUJD'.repeat(100)}-QUJ</base64>`)],
  ['base64 with a control character', callOf(`<base64>${'QUJD'.repeat(100)}\u0001</base64>`)],
  ['an int of eleven digits', callOf('<int>21474836480</int>')],
  ['a second root', Buffer.concat([callOf('x'), callOf('y')])],
  ['a byte that is not UTF-8', Buffer.concat([callOf('x'), Buffer.from([0xff])])],
];
