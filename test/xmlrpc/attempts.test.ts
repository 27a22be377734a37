/** A part that cannot be written is rolled back and replaced; everything around it stays unchanged. */
import test from 'ava';
import { Attempt } from '../../src/values/values.ts';
import type { Sendable } from '../../src/values/values.ts';
import { parseResponse, serialiseResponse, serialiseResponseInTurns } from '../../src/xmlrpc/xmlrpc.ts';

const MiB = 1024 * 1024;
const LIMITS = { maxBodyBytes: 128 * MiB };
const unsendable = (() => 1) as unknown as Sendable;
const attempt = (value: Sendable): Attempt => new Attempt(value, (error) => ({ failed: (error as Error).message.slice(0, 60) }));

/** `value` after a round trip, written at once and in turns. */
async function both(value: Sendable): Promise<unknown> {
  const atOnce = serialiseResponse(value);
  const inSlices = await serialiseResponseInTurns(value);
  if (!inSlices.equals(atOnce)) throw new Error('writing in turns gives another response');
  const answer = parseResponse(atOnce, { limits: LIMITS });
  return answer.kind === 'value' ? answer.value : answer;
}

const throwing = {
  get bad(): never {
    throw new Error('a secret');
  },
};

const PARTS: readonly (readonly [what: string, value: Sendable, read: string | undefined])[] = [
  ['a valid value', ['x', { a: 1 }], undefined],
  ['a function', unsendable, 'result[1]: a function cannot be sent'],
  ['a function behind others', ['x', { a: [1, unsendable] }], 'result[1][1].a[1]: a function'],
  ['a control character', 'a\u0001', 'result[1]: the text contains a control'],
  ['a control character behind a megabyte', 'a'.repeat(MiB) + '\u0001', 'result[1]: the text contains'],
  ['a function behind several chunks', [Buffer.alloc(3 * MiB), 'y'.repeat(MiB), unsendable], 'result[1][2]: a function'],
  ['a getter that throws', [throwing], 'result[1][0].bad: the value cannot be read'],
  ['a value that exceeds the size limit', Array.from({ length: 70 }, () => 'x'.repeat(MiB)), 'result[1][63]: the message is longer than'],
];

for (const [what, value, read] of PARTS) {
  test.serial(`between two others: ${what}`, async (t) => {
    const [first, part, last] = (await both(['first', attempt(value), 'last'])) as [unknown, unknown, unknown];
    t.deepEqual([first, last], ['first', 'last']);
    if (read === undefined) t.is(JSON.stringify(part), JSON.stringify(value));
    else t.true(JSON.stringify(part).startsWith(`{"failed":"${read}`), JSON.stringify(part));
  });
}

test('attempts as a member, as the whole value, and in a row', async (t) => {
  const failed = attempt(unsendable);
  t.is(JSON.stringify(await both({ a: failed, b: attempt(1), c: failed })).match(/failed/g)?.length, 2);
  t.regex(JSON.stringify(await both(failed)), /^\{"failed":"result: a function/);
  t.is(((await both(Array.from({ length: 200 }, () => failed))) as unknown[]).length, 200);
});

test('a failure outside of an attempt, or in its replacement, fails the whole message', (t) => {
  t.throws(() => serialiseResponse([attempt(1), unsendable]), { code: 'INTERNAL', message: /^result\[1\]: a function/ });
  t.throws(() => serialiseResponse([attempt({}), [unsendable]]), { code: 'INTERNAL', message: /^result\[1\]\[0\]: a function/ });
  t.throws(() => serialiseResponse([new Attempt(unsendable, () => unsendable)]), { code: 'INTERNAL', message: /^result\[0\]: a function/ });
});

test('parts that are rolled back free their memory', async (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const late = [Buffer.alloc(2 * MiB), unsendable];
  const writing = serialiseResponseInTurns(Array.from({ length: 60 }, () => attempt(late)));
  const answer = await writing;
  t.true(answer.length < 20_000);
  t.true(process.memoryUsage().arrayBuffers - before < 40 * MiB);
});
