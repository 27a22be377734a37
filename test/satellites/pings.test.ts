/** What pings amount to, and what is done when one is due: a pure table. */
import test from 'ava';
import { NO_PINGS, afterAnswer, afterFailure, afterSign, whenDue } from '../../src/satellites/pings.ts';

test('before the first answer all times are -1', (t) => {
  t.deepEqual(NO_PINGS, { current: -1, count: 0, min: -1, max: -1, avg: -1, fails: 0 });
  t.deepEqual(afterFailure(NO_PINGS), { ...NO_PINGS, fails: 1 });
});

test('current, min, max and average of answers', (t) => {
  const pings = [4, 10, 1].reduce(afterAnswer, NO_PINGS);
  t.deepEqual(pings, { current: 1, count: 3, min: 1, max: 10, avg: 5, fails: 0 });
});

test('an answer, or a notify that was answered, ends a row of failures; the statistics stay', (t) => {
  const failed = afterFailure(afterFailure(afterAnswer(NO_PINGS, 3)));
  t.like(failed, { fails: 2, current: 3, count: 1 });
  t.like(afterAnswer(failed, 5), { fails: 0, count: 2 });
  t.deepEqual(afterSign(failed), { ...failed, fails: 0 });
});

for (const [isBusy, answered, failed, expected] of [
  [false, false, false, 'ping'],
  [false, true, true, 'ping'],
  [true, false, false, 'nothing'],
  [true, true, false, 'nothing'],
  [true, true, true, 'nothing'],
  [true, false, true, 'failure'],
] as const) {
  test(`${isBusy ? 'busy' : 'idle'}, ${answered ? 'answered' : 'unanswered'}, ${failed ? 'failed' : 'not failed'}: ${expected}`, (t) => {
    t.is(whenDue({ isBusy, answered, failed }), expected);
  });
}
