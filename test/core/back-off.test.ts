/** Exponential back-off: growth, limit and jitter. */
import test from 'ava';
import { nextDelay } from '../../src/core/core.ts';

const backOff = { firstMs: 100, factor: 2, maxMs: 1000, jitter: 0 };

test('delays grow by the factor up to the maximum, after a million attempts too', (t) => {
  const delays = [0, 1, 2, 3, 4, 1_000_000].map((attempt) => nextDelay(attempt, backOff, () => 0.5));
  t.deepEqual(delays, [100, 200, 400, 800, 1000, 1000]);
  t.is(
    nextDelay(5, { ...backOff, factor: 1 }, () => 0.5),
    100,
  );
});

test('jitter is the random share of a delay', (t) => {
  t.is(
    nextDelay(1, { ...backOff, jitter: 1 }, () => 0),
    0,
  );
  t.is(
    nextDelay(1, { ...backOff, jitter: 1 }, () => 0.999_999),
    200,
  );
  t.is(
    nextDelay(1, { ...backOff, jitter: 0.5 }, () => 0),
    100,
  );
  t.is(
    nextDelay(1, { ...backOff, jitter: 0.5 }, () => 0.5),
    150,
  );
});
