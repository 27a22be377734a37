/** The texts of refusals, which never contain the payload, and truncated documents. */
import test from 'ava';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { member } from './table/rows.ts';
import { callOf, errorOf, refusalOf } from './wire.ts';

test('a document that is truncated at any byte is refused', (t) => {
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

test('a refusal has line, column and reason, and no payload', (t) => {
  const secret = 'hunter2';
  const documents = [
    ...['int', 'i8', 'double', 'boolean', 'base64', 'dateTime.iso8601', 'nil'].map((type) => `<${type}>${secret}!</${type}>`),
    `${secret}<int>1</int>`,
    `<int a=${secret}>1</int>`,
    `<int a="${secret}<">1</int>`,
    `&${secret};`,
    `<struct>${member(secret, '')}${member(secret, '')}</struct>`,
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

test('an element name in a refusal is sanitized and shortened', (t) => {
  const { text } = errorOf(() => parseCall(callOf(`<${'a'.repeat(200)}/>`)));
  t.true(text.length < 200, text);
  t.true(text.includes(`<${'a'.repeat(40)}…>`), text);
  t.notRegex(errorOf(() => parseCall(callOf('<a\u200e/>'))).text, /\u200e/);
});

test('the name of an unknown encoding in a refusal is sanitized and shortened', (t) => {
  const said = (charset: string): string => errorOf(() => parseCall(callOf(''), { charset })).text;
  t.true(said(`\u001b${'x'.repeat(999)}`).length < 200);
  for (const char of ['\u001b', '\u202e', '\n']) t.false(said(`x${char}y`).includes(char));
});
