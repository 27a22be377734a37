/** Streams: several readers from any offset, ends that all of them see, slow readers, cancellation, and results in a file. */
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { RelayError } from '../../src/core/core.ts';
import { Stream, fileBytes, memoryBytes, memoryItems } from '../../src/streams/streams.ts';
import type { StreamEvent, StreamOptions, StreamStorage } from '../../src/streams/streams.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

interface Kit<Item> {
  readonly stream: Stream<Item>;
  readonly events: StreamEvent[];
  readonly clock: VirtualClock;
}

function streamOn<Item>(storage: StreamStorage<Item>, options: Partial<StreamOptions<Item>> = {}): Kit<Item> {
  const events: StreamEvent[] = [];
  const clock = new VirtualClock();
  return { stream: new Stream({ id: 's1', storage, clock, report: (event) => void events.push(event), ...options }), events, clock };
}

const texts = (overflow: 'drop-oldest' | 'merge' | 'wait', maxItems = 3): StreamStorage<string> =>
  memoryItems({ maxItems, maxBytes: 1_000, bytesOf: (one) => one.length, overflow, keyOf: (one) => one.split('=')[0] });

async function readAll<Item>(stream: Stream<Item>, from = 0): Promise<Item[]> {
  const items: Item[] = [];
  for await (const { item } of stream.read({ from })) items.push(item);
  return items;
}

const errorOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return RelayError.is(error) ? `${error.code}: ${error.message}` : String(error);
};

test('every reader gets every item from the first one on, or from its offset, and ends with the stream', async (t) => {
  const { stream, events } = streamOn(texts('drop-oldest', 10));
  const early = readAll(stream);
  for (const text of ['a', 'b', 'c']) t.is(stream.push(text), undefined);
  const late = readAll(stream, 2);
  await new Promise((resolve) => setImmediate(resolve));
  void stream.push('d');
  stream.end();
  t.deepEqual(await early, ['a', 'b', 'c', 'd']);
  t.deepEqual(await late, ['c', 'd']);
  t.deepEqual(await readAll(stream, 4), []);
  t.deepEqual(events, [
    { type: 'stream.state', id: 's1', state: { type: 'open' }, next: 0 },
    { type: 'stream.state', id: 's1', state: { type: 'ended' }, next: 4 },
  ]);
  t.is(stream.status().readers, 0);
  t.throws(() => stream.push('e'), { code: 'UNAVAILABLE' });
});

test('readers of a stream that failed or was canceled get what was pushed, then the reason; the producer learns of a cancel', async (t) => {
  const failed = streamOn(texts('drop-oldest')).stream;
  void failed.push('a');
  failed.fail('exit code 1');
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { item } of failed.read()) seen.push(item);
  })();
  t.is(await errorOf(reading), 'APPLICATION: exit code 1');
  t.deepEqual(seen, ['a']);

  const controller = new AbortController();
  const { stream, events } = streamOn(texts('drop-oldest'), { signal: controller.signal });
  const waiting = readAll(stream);
  controller.abort(new Error('the caller has gone'));
  t.is(await errorOf(waiting), 'UNAVAILABLE: the stream was canceled: the caller has gone');
  t.true(stream.signal.aborted);
  stream.cancel('again');
  stream.end();
  t.is(events.length, 2);
});

test('the signal of one reader ends that reader alone', async (t) => {
  const { stream } = streamOn(texts('drop-oldest'));
  const controller = new AbortController();
  const other = readAll(stream);
  const reading = (async () => {
    for await (const _ of stream.read({ signal: controller.signal })) t.fail();
  })();
  controller.abort(new RelayError('UNAVAILABLE', 'enough'));
  t.is(await errorOf(reading), 'UNAVAILABLE: enough');
  t.is(stream.status().readers, 1);
  void stream.push('a');
  stream.end();
  t.deepEqual(await other, ['a']);
});

test('drop-oldest: a slow reader misses the oldest items, which are counted', async (t) => {
  const { stream } = streamOn(texts('drop-oldest'));
  for (const text of ['a', 'b', 'c', 'd', 'e']) t.is(stream.push(text), undefined);
  stream.end();
  t.deepEqual(await readAll(stream), ['c', 'd', 'e']);
  t.is(stream.status().missed, 2);
  t.is(stream.status().first, 2);
});

test('merge: a slow reader gets the last state of each thing, however many there were', async (t) => {
  const { stream } = streamOn(texts('merge', 100));
  void stream.push('rare=1');
  for (let count = 0; count < 10_000; count++) void stream.push(`often=${count}`);
  stream.end();
  t.deepEqual(await readAll(stream), ['rare=1', 'often=9999']);
  t.is(stream.status().bytes, 16);
});

test('wait: the producer waits for the slowest reader, and for the first one, and nothing is missed', async (t) => {
  const { stream } = streamOn(texts('wait'));
  for (const text of ['a', 'b', 'c']) t.is(stream.push(text), undefined);
  const room = stream.push('d');
  t.truthy(room);
  const slow = stream.read();
  const fast = readAll(stream);
  t.is((await slow.next()).value?.item, 'a');
  // Asking for the second item says that the first one is done.
  t.is((await slow.next()).value?.item, 'b');
  await room;
  void stream.push('e');
  stream.end();
  const rest: string[] = [];
  for await (const { item } of slow) rest.push(item);
  t.deepEqual(rest, ['c', 'd', 'e']);
  t.deepEqual(await fast, ['a', 'b', 'c', 'd', 'e']);
  t.is(stream.status().missed, 0);
});

test('a canceled stream wakes the producer that waits', async (t) => {
  const { stream } = streamOn(texts('wait', 1));
  void stream.push('a');
  const room = Promise.resolve(stream.push('b'));
  stream.cancel('released');
  t.is(await errorOf(room), 'UNAVAILABLE: the stream was canceled: released');
});

test('a stream that is neither pushed to nor read is canceled after its idle time', async (t) => {
  const { stream, clock } = streamOn(texts('drop-oldest'), { idleMs: 1_000 });
  clock.advance(900);
  void stream.push('a');
  clock.advance(900);
  await stream.page({ from: 0 });
  clock.advance(900);
  t.is(stream.state.type, 'open');
  clock.advance(100);
  t.deepEqual(stream.state, { type: 'canceled', reason: 'nothing was pushed or read for 1000 ms' });
  t.is(clock.pending, 0);
});

test('a page waits for its first item, ends with its time or with the stream, and tells from where to go on', async (t) => {
  const { stream, clock } = streamOn(texts('drop-oldest'));
  const first = stream.page({ waitMs: 5_000 });
  void stream.push('a');
  t.deepEqual(await first, { items: [{ offset: 0, next: 1, item: 'a' }], next: 1, missed: 0, state: { type: 'open' } });
  const empty = stream.page({ from: 1, waitMs: 5_000 });
  clock.advance(5_000);
  t.deepEqual(await empty, { items: [], next: 1, missed: 0, state: { type: 'open' } });
  const last = stream.page({ from: 1, waitMs: 5_000 });
  stream.end();
  t.deepEqual(await last, { items: [], next: 1, missed: 0, state: { type: 'ended' } });
  t.is(clock.pending, 0);
});

const directory = mkdtempSync(join(tmpdir(), 'co2-streams-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});
let files = 0;
const nextPath = (): string => join(directory, String(files++));

const BYTES = {
  memory: async (maxBytes: number) => memoryBytes(maxBytes),
  file: (maxBytes: number) => fileBytes({ path: nextPath(), maxBytes }),
};

async function bytesFrom(stream: Stream<Buffer>, from: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let at = from;
  for await (const { offset, next, item } of stream.read({ from })) {
    if (offset !== at || next !== offset + item.length)
      throw new Error(`an item at ${offset} to ${next} of ${item.length} bytes came at ${at}`);
    at = next;
    parts.push(item);
  }
  return Buffer.concat(parts);
}

for (const [kind, make] of Object.entries(BYTES)) {
  test(`${kind}: readers get the same bytes from any offset, while they are pushed and afterwards`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), fc.nat({ max: 200 }), async (parts, offset) => {
        const { stream } = streamOn(await make(1_000_000));
        const whole = Buffer.concat(parts);
        const from = Math.min(offset, whole.length);
        const live = bytesFrom(stream, from);
        for (const part of parts) await stream.push(Buffer.from(part));
        stream.end();
        t.deepEqual(await live, whole.subarray(from));
        t.deepEqual(await bytesFrom(stream, from), whole.subarray(from));
        t.is(stream.status().missed, 0);
        await stream.close();
      }),
      { numRuns: 40 },
    );
  });

  test(`${kind}: what exceeds the limit is cut at the byte, and counted`, async (t) => {
    const { stream } = streamOn(await make(5));
    for (const text of ['abc', 'def', 'ghi']) await stream.push(Buffer.from(text));
    stream.end();
    t.is((await bytesFrom(stream, 0)).toString(), 'abcde');
    t.is(stream.status().refused, 4);
    await stream.close();
  });
}

test('file: a later run reads what was written, and goes on behind it', async (t) => {
  const path = nextPath();
  const first = streamOn(await fileBytes({ path, maxBytes: 100 })).stream;
  void first.push(Buffer.from('hello '));
  await first.sync();
  t.is(readFileSync(path, 'utf8'), 'hello ');
  await first.close();
  const second = streamOn(await fileBytes({ path, maxBytes: 100 })).stream;
  void second.push(Buffer.from('world'));
  second.end();
  t.is((await bytesFrom(second, 0)).toString(), 'hello world');
  await second.close();
  const state = { type: 'ended' } as const;
  const third = streamOn(await fileBytes({ path, maxBytes: 100 }), { state });
  t.is((await bytesFrom(third.stream, 6)).toString(), 'world');
  t.deepEqual(third.events, []);
  await third.stream.close();
});

test('file: much more than memory holds is streamed with bounded memory, to a reader at its own pace', async (t) => {
  const { stream } = streamOn(await fileBytes({ path: nextPath(), maxBytes: 2 ** 30 }));
  const part = Buffer.alloc(64 * 1024, 'x');
  let largest = 0;
  for (let count = 0; count < 320; count++) {
    await stream.push(part);
    largest = Math.max(largest, stream.status().bytes);
  }
  stream.end();
  let bytes = 0;
  for await (const { item } of stream.read()) bytes += item.length;
  t.is(bytes, 320 * part.length);
  t.true(largest <= 2 * 2 ** 20, `${largest} bytes in memory`);
  await stream.close();
});

test('file: one that is cut behind the back of the relay is an error for the reader, not an endless wait', async (t) => {
  const path = nextPath();
  const { stream } = streamOn(await fileBytes({ path, maxBytes: 2 ** 30 }));
  await stream.push(Buffer.alloc(600 * 1024));
  await stream.sync();
  truncateSync(path, 1_000);
  t.is(
    await errorOf(bytesFrom(stream, 2_000)),
    'STATE_DIRECTORY: the file of a stream cannot be read: it ends before byte 2000, though 614400 were written',
  );
  await stream.close();
});

test('file: a failing disk fails the stream and whoever pushes, and says so to readers', async (t) => {
  if (!hasFullDevice(t)) return;
  const { stream } = streamOn(await fileBytes({ path: '/dev/full', maxBytes: 100 }));
  void stream.push(Buffer.from('a'));
  t.is(await errorOf(readAll(stream)), 'APPLICATION: the file of a stream cannot be written (ENOSPC)');
  t.is(stream.state.type, 'failed');
  t.is(await errorOf(stream.sync()), 'STATE_DIRECTORY: the file of a stream cannot be written (ENOSPC)');
  await stream.close();
});

function hasFullDevice(t: ExecutionContext): boolean {
  if (process.platform === 'linux') return true;
  t.pass('there is no /dev/full');
  return false;
}
