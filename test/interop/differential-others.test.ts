/**
 * Hundreds of values through Perl's RPC::XML and Ruby's xmlrpc: each reads what we write and writes it again, and we read an equal value.
 */
import { fileURLToPath } from 'node:url';
import { inspect, isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { Double, dictOf } from '../../src/values/values.ts';
import type { Value } from '../../src/values/values.ts';
import { parseCall, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { run } from '../support/processes.ts';
import { text } from '../xmlrpc/arbitraries.ts';
import type { Sent } from '../xmlrpc/arbitraries.ts';

const VALUES = 400;
const same = <T extends Value>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<Sent> => arbitrary.map((value) => ({ sent: value, read: value }));

/** Any value of the specification's types, including `scalars`. */
function values(...scalars: readonly fc.Arbitrary<Sent>[]): fc.Arbitrary<Sent> {
  // Both write CR unescaped, which XML parsers read as LF (XML 1.0, section 2.11).
  const texts = text.filter((one) => !one.includes('\r'));
  const scalar = fc.oneof(
    ...scalars,
    same(fc.integer()),
    same(fc.boolean()),
    same(texts),
    same(fc.date({ min: new Date('1970-01-01T00:00:00Z'), max: new Date('2037-12-31T00:00:00Z'), noInvalidDate: true }).map(toSecond)),
  );
  return fc.letrec<{ value: Sent }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      scalar,
      fc.array(tie('value'), { maxLength: 4 }).map((list) => ({ sent: list.map(({ sent }) => sent), read: list.map(({ read }) => read) })),
      fc.uniqueArray(fc.tuple(texts, tie('value')), { maxLength: 4, selector: ([name]) => name }).map((members) => ({
        sent: new Map(members.map(([name, { sent }]) => [name, sent])),
        read: dictOf(members.map(([name, { read }]) => [name, read] as const)),
      })),
    ),
  })).value;
}

function toSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}

const doubles = (arbitrary: fc.Arbitrary<number>): fc.Arbitrary<Sent> =>
  arbitrary.map((value) => ({ sent: new Double(value), read: value }));
const bytes = fc.uint8Array({ minLength: 1 }).map((list) => Buffer.from(list));
const ascii = fc.uint8Array({ minLength: 1, max: 126 }).map((list) => Buffer.from(list.map((byte) => 32 + (byte % 95))));

const LANGUAGES: readonly (readonly [language: string, command: string, script: string, values: fc.Arbitrary<Sent>])[] = [
  // Perl writes doubles with twenty digits after the decimal point.
  ["Perl's RPC::XML", 'perl', 'differential.pl', values(doubles(fc.integer().map((n) => n / 1024)), same(bytes))],
  // Ruby has one type for bytes and text, and writes as text what it received as base64.
  [
    "Ruby's xmlrpc",
    'ruby',
    'differential.rb',
    values(
      doubles(fc.double({ noNaN: true, noDefaultInfinity: true })),
      ascii.map((list) => ({ sent: list, read: list.toString('latin1') })),
    ),
  ],
];

for (const [language, command, script, arbitrary] of LANGUAGES) {
  test.serial(`${VALUES} values through ${language} and back`, async (t) => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const sample = fc.sample(arbitrary, { numRuns: VALUES, seed });
    const documents = sample.map(({ sent }) => serialiseCall('m', [sent]));
    const input = documents.map((body) => `${body.toString('base64')}\n`).join('');
    const { code, stdout, stderr } = await run(t, command, [fileURLToPath(new URL(script, import.meta.url))], { input }).exit;
    t.is(code, 0, stderr.join('\n'));
    t.is(stdout.length, VALUES);
    sample.forEach(({ read }, at) => {
      const document = Buffer.from(stdout[at]!, 'base64');
      const about = `SEED=${seed}, value ${at}: ${documents[at]!.toString().slice(0, 500)} came back as ${document.toString().slice(0, 700)}`;
      if (!document.toString().includes('<methodCall')) return t.fail(about);
      const again = parseCall(document).params[0];
      if (!isDeepStrictEqual(again, read)) t.fail(`${inspect(again)} for ${inspect(read)}: ${about}`);
    });
  });
}
