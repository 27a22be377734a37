/** A base64 value has memory of its own, so its ArrayBuffer exposes no other data to plugins. */
import test from 'ava';
import { read } from './wire.ts';

const OWN = {
  nothing: ['', 0],
  'one byte': ['QQ==', 1],
  'two bytes': ['QUI=', 2],
  'three bytes': ['QUJD', 3],
  'one byte and seven million blanks': [`QQ==${' '.repeat(7_000_000)}`, 1],
  'in lines': ['QUJDQUJD\n'.repeat(20_000), 120_000],
  'a long one, padded': [`${'QUJD'.repeat(40_000)}QQ==`, 120_001],
  'with a comment': [`${'QUJD'.repeat(1000)}<!-- -->${'QUJD'.repeat(9000)}<!-- -->QUI=`, 30_002],
  'with a section': [`QUJ<![CDATA[${'DQUJ'.repeat(1000)}]]>&#68;`, 3003],
} as const;

for (const [what, [text, length]] of Object.entries(OWN)) {
  test(`its memory is as long as itself: ${what}`, (t) => {
    const bytes = read(`<base64>${text}</base64>`) as Buffer;
    t.is(bytes.length, length);
    t.is(bytes.toString('latin1'), 'ABC'.repeat(length / 3 + 1).slice(0, length));
    t.is(bytes.buffer.byteLength, length);
    t.is(bytes.byteOffset, 0);
  });
}

test('no two share their memory', (t) => {
  const [one, other] = read(`<array><data>${'<value><base64>QUJD</base64></value>'.repeat(2)}</data></array>`) as [Buffer, Buffer];
  t.deepEqual(one, other);
  t.not(one.buffer, other.buffer);
});
