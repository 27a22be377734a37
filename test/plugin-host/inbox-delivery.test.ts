/** An inbox with a recipient that the test controls: interruptions, pauses, and deliveries that are not waited for any more. */
import test from 'ava';
import { BoundedQueue } from '../../src/core/core.ts';
import type { RelayError } from '../../src/core/core.ts';
import type { Message } from '../../src/message/message.ts';
import { EventStream } from '../../src/events/events.ts';
import { Inbox } from '../../src/plugin-host/hosted/hosted.ts';
import type { HostEvent } from '../../src/plugin-host/plugin-host.ts';
import { shareDict } from '../../src/values/values.ts';
import { EventRecord } from '../support/event-record.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { messageOf } from './kit.ts';

interface Begun {
  readonly data: unknown;
  readonly redelivered: boolean;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

/** An open inbox that delivers at once, and what its recipient was called with. */
function inboxOf(timeoutMs = 1_000) {
  const clock = new VirtualClock(0);
  const record = new LogRecord();
  const log = record.source('plugin-host');
  const events = new EventStream<HostEvent>({ clock });
  const seen = new EventRecord(events);
  const begun: Begun[] = [];
  const ended: (RelayError | undefined)[] = [];
  const limits = { maxMessages: 10, maxBytes: 1e6 };
  const queue = new BoundedQueue<Message>({ name: 'ham', limits, bytesOf: () => 1, log });
  const inbox = new Inbox({
    ...{ name: 'ham', plugin: 'ham', queue, timeoutMs, clock, log, events },
    recipient: {
      deliver: (message, redelivered) =>
        new Promise<void>((finish, fail) => begun.push({ data: shareDict(message.frozen()).data, redelivered, finish, fail })),
      ended: (reason) => ended.push(reason),
      explain: (error) => (error as Error).message,
    },
    wake: (ready) => {
      ready.next();
    },
  });
  inbox.open();
  return { inbox, begun, ended, clock, seen };
}

/** Lets the outcome of a delivery arrive. */
const settled = (): Promise<void> => new Promise(setImmediate);

test('an interrupted message is delivered again before all others, and counted while it waits', async (t) => {
  const { inbox, begun } = inboxOf();
  inbox.take(messageOf('first'));
  inbox.take(messageOf('second'));
  t.like(inbox.counters, { waiting: 1 });
  t.like(inbox.interrupt(true), { deaths: 1 });
  t.like(inbox.counters, { waiting: 2 });
  begun[0]?.finish();
  await settled();
  t.like(inbox.counters, { delivered: 0 }, 'an outcome that comes too late does not count');
  inbox.open();
  t.deepEqual(
    begun.map(({ data, redelivered }) => [data, redelivered]),
    [
      ['first', false],
      ['first', true],
    ],
  );
  t.like(inbox.interrupt(false), { deaths: 1 });
  inbox.dropInterrupted();
  inbox.open();
  t.is(begun[2]?.data, 'second');
  begun[2]?.finish();
  await settled();
  t.like(inbox.counters, { delivered: 1, failed: 1, waiting: 0 });
  t.is(inbox.interrupt(true), undefined, 'nothing is under way');
});

test('a message that was taken from the mesh before the last end of the relay is marked as redelivered', (t) => {
  const { inbox, begun } = inboxOf();
  inbox.take({ ...messageOf('again'), isRedelivered: true });
  t.like(begun, [{ data: 'again', redelivered: true }]);
});

test('an interrupted delivery that fails late does not end the next delivery of its message', async (t) => {
  const { inbox, begun, seen } = inboxOf();
  inbox.take(messageOf('first'));
  inbox.interrupt(true);
  inbox.open();
  begun[0]?.fail(new Error('the connection ended'));
  await settled();
  t.deepEqual(seen.matching('inbox.failed'), []);
  t.like(inbox.interrupt(true), { deaths: 2 }, 'it is still under way');
  inbox.open();
  begun[1]?.finish();
  await settled();
  t.like(inbox.counters, { delivered: 0, failed: 0 });
  begun[2]?.finish();
  await settled();
  t.like(inbox.counters, { delivered: 1, failed: 0, waiting: 0 });
});

test('a pause resolves when the delivery in progress has ended, and keeps new messages', async (t) => {
  const { inbox, begun } = inboxOf();
  inbox.take(messageOf(1));
  let isPaused = false;
  const paused = inbox.pause().then(() => (isPaused = true));
  inbox.take(messageOf(2));
  await settled();
  t.false(isPaused);
  begun[0]?.fail(new Error('no'));
  await paused;
  t.is(begun.length, 1);
  inbox.resume();
  t.is(begun[1]?.data, 2);
});

test('a delivery that takes too long or is aborted is not waited for', async (t) => {
  const { inbox, begun, ended, clock, seen } = inboxOf(500);
  inbox.take(messageOf(1, { id: 'id.1' }));
  inbox.take(messageOf(2));
  clock.advance(500);
  t.is(begun[1]?.data, 2, 'the next message is delivered');
  inbox.close();
  inbox.abort();
  await settled();
  t.deepEqual(
    ended.map((reason) => reason?.code),
    ['TIMEOUT', 'UNAVAILABLE'],
  );
  t.like(inbox.counters, { failed: 1, delivered: 0 });
  t.false(inbox.take(messageOf(3)));
  t.is(seen.matching('inbox.failed', { satellite: 'ham', id: 'id.1', reason: /it took longer than 500 ms/ }).length, 1);
  t.is(clock.pending, 0);
});

test('an inbox whose satellite receives nothing takes no messages, and drops those that wait', (t) => {
  const { inbox, seen } = inboxOf();
  inbox.take(messageOf(1));
  inbox.take(messageOf(2));
  inbox.interrupt(false);
  inbox.open();
  inbox.take(messageOf(3));
  inbox.interrupt(false);
  inbox.open(false);
  t.false(inbox.take(messageOf(4)));
  t.like(inbox.counters, { waiting: 0, refused: 0 });
  t.deepEqual(seen.matching('inbox.dropped'), [], 'the satellite never said that it would receive them');
});
