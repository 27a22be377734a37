/** The XML layer alone: documents of any elements, which XML-RPC would refuse. */
import test from 'ava';
import { readXml } from './read-xml.ts';

const WELL_FORMED: readonly (readonly [document: string, text: string])[] = [
  ['<a/>', ''],
  ['<a></a >', ''],
  ['<a>b</a>', 'b'],
  ['<a><b>c</b><b/>d</a>', 'cd'],
  ['<?xml version="1.0" standalone="yes"?><!-- a --><?b?><a/><!-- --><?c d?>', ''],
  ['<ä-漢.1:x ö="&lt;&#x41;">😀</ä-漢.1:x>', '😀'],
  ['<_a/>', ''],
  ['<a b="1" c=\'"\'/>', ''],
  ['<a><![CDATA[<b>]]]]><![CDATA[>]]></a>', '<b>]]>'],
  ['<a>&#x10FFFF;&amp;]]&gt;</a>', '\u{10ffff}&]]>'],
  ['<a><!-- <b> & </a> --></a>', ''],
  ['<a><?b <c> & ?></a>', ''],
];
const NOT_WELL_FORMED: readonly (readonly [document: string, reason: RegExp])[] = [
  ['<a>', /ends inside <a>/],
  ['<a></b>', /<\/a> is missing/],
  ['<a></ab>', /<\/a> is missing/],
  ['<a></A>', /<\/a> is missing/],
  ['<a><b></a></b>', /<\/b> is missing/],
  ['<a/><b/>', /second root/],
  ['<a/>b', /text after/],
  ['b<a/>', /text before/],
  ['<a b="1" b="2"/>', /repeated/],
  ['<a b=1/>', /quoted value/],
  ['<a b="<"/>', /attribute value/],
  ['<1/>', /malformed/],
  ['<a>]]></a>', /"\]\]>" in text/],
  ['<a>\u0001</a>', /does not allow/],
  ['<a><!-- -- --></a>', /inside a comment/],
  ['<a><?xml version="1.0"?></a>', /very start/],
  ['<a><?b', /not closed/],
  ['<!DOCTYPE a><a/>', /not supported/],
  ['<a>&b;</a>', /unknown entity/],
  ['<?xml version="1.1"?><a/>', /only XML 1\.0/],
  ['', /no element/],
];

for (const [document, text] of WELL_FORMED) {
  test(`well-formed: ${document}`, (t) => {
    t.deepEqual(readXml(Buffer.from(document)), { text });
  });
}
for (const [document, reason] of NOT_WELL_FORMED) {
  test(`not well-formed: ${JSON.stringify(document)}`, (t) => {
    const result = readXml(Buffer.from(document));
    t.regex('refused' in result ? result.refused : 'read', reason);
  });
}
