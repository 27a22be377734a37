/** A serial queue: order, failures, cancellation, and its limit. */
import test from 'ava';
import { RelayError, SerialQueue } from '../../src/core/core.ts';

/** A promise, and the function that resolves it. */
function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

test('work runs in order, one piece at a time, whatever fails before it', async (t) => {
  const queue = new SerialQueue();
  const seen: string[] = [];
  const first = deferred();
  const failure = new Error('first failed');
  const results = [
    queue.run(async () => {
      seen.push('first begins');
      await first.promise;
      seen.push('first ends');
      throw failure;
    }),
    queue.run(() => {
      seen.push('second');
      return 2;
    }),
  ];
  t.is(queue.length, 2);
  t.deepEqual(seen, [], 'nothing runs within run()');
  first.resolve();
  t.is(await t.throwsAsync(results[0]!), failure);
  t.is(await results[1], 2);
  await queue.idle();
  t.is(queue.length, 0);
  t.deepEqual(seen, ['first begins', 'first ends', 'second']);
});

test('cancel aborts running work and rejects waiting work, but not later work', async (t) => {
  const queue = new SerialQueue();
  const running = deferred();
  let aborted: unknown;
  const first = queue.run(async (signal) => {
    running.resolve();
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        aborted = signal.reason;
        resolve();
      });
    });
    return 'ended';
  });
  const second = queue.run(() => t.fail('it was cancelled before it began'));
  await running.promise;
  const reason = new RelayError('UNAVAILABLE', 'stopping');
  queue.cancel(reason);
  const third = queue.run((signal) => signal.aborted);
  t.is(await first, 'ended');
  t.is(await t.throwsAsync(second), reason);
  t.is(aborted, reason);
  t.false(await third);
});

test('a queue with a limit rejects what exceeds it', async (t) => {
  const queue = new SerialQueue(1);
  const first = queue.run(() => 1);
  const error = await t.throwsAsync(queue.run(() => 2));
  t.like(error, { code: 'LIMIT' });
  t.is(await first, 1);
  await queue.idle();
  t.is(await queue.run(() => 3), 3);
});
