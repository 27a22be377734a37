/** The source of a link in memory: what it returns, what stays after an acknowledgement, and what is lost. */
import test from 'ava';
import { Outbox } from '../../src/links/links.ts';
import type { Outgoing } from '../../src/links/links.ts';
import { LogRecord } from '../support/log-record.ts';

const item = (id: string, bytes = 10): Outgoing => ({ id, bytes, body: () => Buffer.from(id) });
const ids = (items: readonly Outgoing[]): string => items.map(({ id }) => id).join('');

function outboxOf(text: string, limits = { maxMessages: 100, maxBytes: 10_000 }): Outbox {
  const outbox = new Outbox({ name: 'peer', limits, log: new LogRecord().source('mesh') });
  for (const id of text) outbox.push(item(id));
  return outbox;
}

test('next returns the same items until they are acknowledged, in order', (t) => {
  const outbox = outboxOf('abcd');
  t.is(ids(outbox.next(3, 1000)), 'abc');
  t.is(ids(outbox.next(2, 1000)), 'ab');
  t.is(outbox.size(), 4);
  outbox.ack(outbox.next(1, 1000));
  t.is(ids(outbox.next(10, 1000)), 'bcd');
});

test('items in the middle of a batch may be acknowledged before the first', (t) => {
  const outbox = outboxOf('abcd');
  const [, b, c] = outbox.next(3, 1000);
  outbox.ack([b!, c!]);
  t.is(ids(outbox.next(10, 1000)), 'ad');
});

test('a batch respects the byte limit, but always includes the first item', (t) => {
  const outbox = outboxOf('abc');
  t.is(ids(outbox.next(10, 25)), 'ab');
  t.is(ids(outbox.next(10, 5)), 'a');
});

test('the backlog includes items in flight: their bytes, and the age of the oldest item', (t) => {
  const outbox = outboxOf('');
  t.deepEqual(outbox.backlog(5000), { bytes: 0, oldestMs: 0 });
  outbox.push({ ...item('a', 7), since: 1000 });
  outbox.push({ ...item('b', 5), since: 2000 });
  const batch = outbox.next(1, 1000);
  t.deepEqual(outbox.backlog(5000), { bytes: 12, oldestMs: 4000 });
  outbox.ack(batch);
  t.deepEqual(outbox.backlog(5000), { bytes: 5, oldestMs: 3000 });
});

test('a full outbox drops its oldest items, except those in flight', (t) => {
  const outbox = outboxOf('ab', { maxMessages: 2, maxBytes: 10_000 });
  outbox.next(1, 1000);
  for (const id of 'cde') outbox.push(item(id));
  t.is(ids(outbox.next(10, 1000)), 'ade');
  t.is(outbox.dropped, 2);
});

test('remaining items are counted as lost at the end, and nothing can be added afterwards', (t) => {
  const outbox = outboxOf('abc');
  outbox.next(1, 1000);
  t.is(outbox.close(), 3);
  outbox.push(item('d'));
  t.is(outbox.size(), 0);
  t.is(outbox.dropped, 3);
});
