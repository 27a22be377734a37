/** Writing JSON in turns gives the same text as writing it at once, other work runs between them, and failed parts are rolled back. */
import test from 'ava';
import fc from 'fast-check';
import { Attempt } from '../../src/values/values.ts';
import { joinInSlices } from '../../src/core/core.ts';
import type { Sendable } from '../../src/values/values.ts';
import { writeJson, writeJsonInTurns } from '../../src/json/json.ts';
import { turnsDuring } from '../support/turns.ts';
import { anySent } from '../xmlrpc/arbitraries.ts';

const MiB = 1024 * 1024;
const unsendable = (() => 1) as unknown as Sendable;
const attempt = (value: Sendable): Attempt => new Attempt(value, (error) => ({ failed: (error as Error).message.slice(0, 60) }));
const inSlices = async (value: unknown): Promise<string> => (await joinInSlices(await writeJsonInTurns(value, 'x'))).toString();

test('any value, and texts and bytes with lengths around the size of a piece', async (t) => {
  await fc.assert(
    fc.asyncProperty(anySent, async ({ sent }) => (await inSlices(sent)) === writeJson(sent, 'x')),
    { numRuns: 200 },
  );
  const KIB = 1024;
  for (const length of [16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 24 * KIB - 1, 24 * KIB + 1, 48 * KIB, 100_001]) {
    const text = 'a"\n\u00e4\u{1f40d}'.repeat(length).slice(0, length);
    const whole = text.charCodeAt(length - 1) >> 10 === 0x36 ? `${text}\udc0d` : text;
    // At every position of a surrogate pair.
    for (const value of [whole, `b${whole}`]) t.is(await inSlices([value]), JSON.stringify([value]));
    const bytes = Buffer.alloc(length, 'abc');
    t.is(await inSlices(bytes), `{"$base64":"${bytes.toString('base64')}"}`);
    await t.throwsAsync(inSlices([`${'\u{1f40d}'.repeat(length)}\ud83d`]), {
      code: 'INTERNAL',
      message: /^x\[0\]: the text contains a lone surrogate/,
    });
  }
});

const LARGE: readonly (readonly [what: string, value: Sendable, turns: number])[] = [
  ['structs', Array.from({ length: 300_000 }, (_, id) => ({ id, text: 'plain' })), 15],
  ['one text', 'ä"'.repeat(8 * MiB), 30],
  ['bytes', Buffer.alloc(24 * MiB), 50],
  ['ints', Array.from({ length: 999_000 }, () => 7), 10],
];

for (const [what, value, atLeast] of LARGE) {
  test.serial(`many ${what} are written in many turns, with other work between them`, async (t) => {
    const { turns } = await turnsDuring(() => inSlices(value));
    t.true(turns > atLeast, String(turns));
  });
}

test('a part that cannot be written is rolled back, whatever its size', async (t) => {
  const many = Array.from({ length: 999_000 }, () => 7);
  for (const part of [unsendable, ['x'.repeat(MiB), { a: [unsendable] }], [Buffer.alloc(MiB), '\ud800'], [many, many]] as Sendable[]) {
    const [first, stand, last] = JSON.parse(await inSlices(['first', attempt(part), { a: attempt(many) }])) as [
      string,
      object,
      { a: number[] },
    ];
    t.is(first, 'first');
    t.deepEqual(Object.keys(stand), ['failed']);
    t.is(last.a.length, many.length);
  }
  t.is(writeJson(attempt(unsendable), 'x'), '{"failed":"x: a function cannot be sent; omit the member"}');
  await t.throwsAsync(inSlices([attempt(1), unsendable]), { code: 'INTERNAL', message: /^x\[1\]: a function/ });
});

test('bytes that are transferred between two turns are an error', async (t) => {
  const bytes = new Uint8Array(4 * MiB);
  const writing = inSlices(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  await t.throwsAsync(writing, { code: 'INTERNAL', message: /^x: the length of the bytes changed/ });
});
