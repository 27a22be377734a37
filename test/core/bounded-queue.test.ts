/** The bounded queue: order, limits and counters. */
import test from 'ava';
import fc from 'fast-check';
import { BoundedQueue } from '../../src/core/core.ts';
import { LogRecord } from '../support/log-record.ts';

interface Item {
  readonly id: number;
  readonly bytes: number;
}

const bytesOf = ({ bytes }: Item): number => bytes;
const lineOf = (maxMessages: number, maxBytes: number, log = new LogRecord()): BoundedQueue<Item> =>
  new BoundedQueue({ name: 'ann', limits: { maxMessages, maxBytes }, bytesOf, log: log.source('test') });
/** The number of items that pushing `item` drops. */
const pushed = (line: BoundedQueue<Item>, one: Item): number => {
  const before = line.dropped;
  line.push(one);
  return line.dropped - before;
};
const item = (id: number, bytes = 1): Item => ({ id, bytes });

test('items leave in the order in which they were pushed, and an empty queue returns undefined', (t) => {
  const line = lineOf(10, 100);
  t.is(line.shift(), undefined);
  for (const id of [1, 2, 3]) t.is(pushed(line, item(id)), 0);
  t.is(line.length, 3);
  t.deepEqual([line.shift()?.id, line.shift()?.id, line.shift()?.id, line.shift()], [1, 2, 3, undefined]);
  t.is(line.length, 0);
  t.is(line.bytes, 0);
  t.is(line.dropped, 0);
});

test('beyond the maximum number of items the oldest is dropped', (t) => {
  const line = lineOf(2, 100);
  t.deepEqual(
    [1, 2, 3, 4].map((id) => pushed(line, item(id))),
    [0, 0, 1, 1],
  );
  t.is(line.dropped, 2);
  t.deepEqual([line.shift()?.id, line.shift()?.id], [3, 4]);
});

test('beyond the maximum bytes as many of the oldest are dropped as necessary', (t) => {
  const line = lineOf(100, 10);
  for (const id of [1, 2, 3]) line.push(item(id, 3));
  t.is(pushed(line, item(4, 7)), 2);
  t.is(line.bytes, 10, 'the limit itself is allowed');
  t.deepEqual([line.shift()?.id, line.shift()?.id], [3, 4]);
});

test('an item that exceeds the limits is queued alone, and dropped by the next one', (t) => {
  const line = lineOf(100, 10);
  line.push(item(1, 3));
  t.is(pushed(line, item(2, 1000)), 1);
  t.is(line.length, 1);
  t.is(pushed(line, item(3, 1)), 1);
  t.is(line.shift()?.id, 3);
  t.is(line.dropped, 2);
});

test('clear drops and counts everything, and the queue can be used again', (t) => {
  const line = lineOf(10, 100);
  for (const id of [1, 2, 3]) line.push(item(id));
  line.shift();
  t.is(line.clear(), 2);
  t.is(line.clear(), 0);
  t.deepEqual([line.length, line.bytes, line.dropped], [0, 0, 2]);
  line.push(item(4));
  t.is(line.shift()?.id, 4);
});

test('an overflow is logged once at its start and once at its end', (t) => {
  const log = new LogRecord();
  const line = lineOf(2, 100, log);
  for (let id = 0; id < 50; id++) line.push(item(id));
  t.is(log.matching(/queue of ann is full/).length, 1);
  t.is(log.lines.all.length, 1);
  line.shift();
  line.shift();
  t.is(log.matching(/queue of ann is empty again; 48 messages were dropped/).length, 1);
});

test('any order of pushes and shifts gives the same result as a plain list', (t) => {
  const act = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 12 }) }, { weight: 2, arbitrary: fc.constant('shift' as const) });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(act, { maxLength: 400 }),
      (count, bytes, acts) => {
        const line = lineOf(count, bytes);
        const model: Item[] = [];
        let dropped = 0;
        for (const [id, what] of acts.entries()) {
          if (what === 'shift') {
            t.is(line.shift(), model.shift());
          } else {
            model.push(item(id, what));
            line.push(model.at(-1)!);
            while (model.length > 1 && (model.length > count || model.reduce((sum, one) => sum + one.bytes, 0) > bytes)) {
              model.shift();
              dropped++;
            }
          }
          t.deepEqual([line.length, line.dropped, line.bytes], [model.length, dropped, model.reduce((sum, one) => sum + one.bytes, 0)]);
        }
      },
    ),
  );
});

test('300,000 items pass in order without growing the queue', (t) => {
  const line = lineOf(1000, 1_000_000);
  let next = 0;
  for (let id = 0; id < 300_000; id++) {
    line.push(item(id));
    if (id % 3 !== 0) {
      const taken = line.shift();
      if (taken!.id < next) t.fail(`${taken!.id} after ${next}`);
      next = taken!.id;
    }
  }
  t.true(line.length <= 1000 && line.dropped > 0 && next > 290_000);
});

interface State {
  readonly of?: string;
  readonly value: number;
  readonly at: number;
}

const statesOf = (maxMessages = 100, maxBytes = 1_000): BoundedQueue<State> =>
  new BoundedQueue({
    ...{ name: 'ann', limits: { maxMessages, maxBytes }, log: new LogRecord().source('test') },
    bytesOf: () => 10,
    sinceOf: ({ at }) => at,
    keyOf: ({ of }) => of,
  });
const rest = (line: BoundedQueue<State>): (number | undefined)[] => {
  const values = [];
  for (let one = line.shift(); one; one = line.shift()) values.push(one.value);
  return values;
};

test('the newest item of a key replaces the oldest in its position; items without a key are never merged', (t) => {
  const line = statesOf();
  for (const [value, of] of [
    [1, 'a'],
    [2, undefined],
    [3, 'b'],
    [4, 'a'],
    [5, undefined],
    [6, 'a'],
  ] as const)
    line.push({ value, of: of!, at: value });
  t.like(line.status(11), { waiting: 4, bytes: 44, oldestMs: 10, merged: 2, dropped: 0 }, 'the place is as old as its first state');
  t.is(line.shift()?.value, 6);
  line.push({ value: 7, of: 'a', at: 7 });
  t.deepEqual(rest(line), [2, 3, 5, 7], 'what was taken is merged no more');
  t.like(line.status(20), { waiting: 0, bytes: 0, oldestMs: 0, merged: 2 });
});

test('a merging queue is bounded, too: the oldest items are dropped together with their keys', (t) => {
  const line = statesOf(2);
  for (const [value, of] of [
    [1, 'a'],
    [2, 'b'],
    [3, 'c'],
    [4, 'a'],
    [5, 'c'],
  ] as const)
    line.push({ value, of, at: value });
  t.like(line.status(5), { waiting: 2, bytes: 24, dropped: 2, merged: 1, oldestMs: 2 });
  t.deepEqual(rest(line), [5, 4]);
  line.push({ value: 6, of: 'a', at: 6 });
  t.is(line.clear(), 1);
  line.push({ value: 7, of: 'a', at: 7 });
  t.deepEqual(rest(line), [7]);
  t.is(line.bytes, 0);
});

test('any order of pushes into a merging queue gives the same result as a list of states', (t) => {
  const step = fc.oneof(fc.constant('shift' as const), fc.constant(undefined), fc.constantFrom('a', 'b', 'c'));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 4 }), (steps, count) => {
      const line = statesOf(count, 1_000_000);
      const model: { of: string | undefined; value: number }[] = [];
      for (const [value, what] of steps.entries()) {
        if (what === 'shift') {
          t.is(line.shift()?.value, model.shift()?.value);
          continue;
        }
        const older = what === undefined ? undefined : model.find(({ of }) => of === what);
        if (older) older.value = value;
        else model.push({ of: what, value });
        if (model.length > count) model.shift();
        line.push(what === undefined ? { value, at: 0 } : { of: what, value, at: 0 });
      }
      t.is(
        line.bytes,
        model.reduce((sum, { of }) => sum + 10 + 2 * (of?.length ?? 0), 0),
      );
      t.deepEqual(
        rest(line),
        model.map(({ value }) => value),
      );
    }),
  );
});
