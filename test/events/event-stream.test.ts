import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import { EventStream } from '../../src/events/events.ts';
import { rejects } from '../support/relay-error.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

type Sample =
  | { readonly type: 'plugin.state'; readonly plugin: string; readonly state: 'ready' | 'failed' }
  | { readonly type: 'link.state'; readonly peer: string }
  | { readonly type: 'message.accepted'; readonly id: string };

function makeStream(maxKept?: number) {
  const clock = new VirtualClock();
  const events = new EventStream<Sample>({ clock, date: () => 5_000, transient: ['message.accepted'], maxKept });
  return { clock, events };
}

const ready: Sample = { type: 'plugin.state', plugin: 'ham.Spam', state: 'ready' };
const failed: Sample = { type: 'plugin.state', plugin: 'ham.Spam', state: 'failed' };

test('a subscriber gets the events of its types, in order, until it unsubscribes', (t) => {
  const { events } = makeStream();
  const seen: string[] = [];
  const unsubscribe = events.subscribe(({ state }) => seen.push(state), ['plugin.state']);
  events.emit(ready);
  events.emit({ type: 'link.state', peer: 'b' });
  events.emit(failed);
  unsubscribe();
  events.emit(ready);
  t.deepEqual(seen, ['ready', 'failed']);
});

test('transient events are not kept, and are only watched while they have a subscriber', (t) => {
  const { events } = makeStream();
  t.false(events.isWatched('message.accepted'));
  t.true(events.isWatched('plugin.state'));
  const seen: string[] = [];
  const unsubscribe = events.subscribe(({ id }) => seen.push(id), ['message.accepted']);
  t.true(events.isWatched('message.accepted'));
  events.emit({ type: 'message.accepted', id: 'a.1' });
  unsubscribe();
  t.false(events.isWatched('message.accepted'));
  t.deepEqual(seen, ['a.1']);
  t.deepEqual(events.kept(), []);
});

test('next resolves to a kept event after the given number, or to the next one that is emitted', async (t) => {
  const { events } = makeStream();
  events.emit(ready);
  t.is(await events.next(({ type }) => type === 'plugin.state', { since: 0 }), ready);
  const coming = events.next((event) => event.type === 'plugin.state' && event.state === 'failed');
  events.emit(ready);
  events.emit(failed);
  t.is(await coming, failed);
});

test('next rejects when its signal aborts, and when the stream closes', async (t) => {
  const { events } = makeStream();
  const controller = new AbortController();
  const aborted = events.next(() => true, { signal: controller.signal });
  const enough = new Error('enough');
  controller.abort(enough);
  t.is(await t.throwsAsync(aborted), enough);
  const closed = rejects(
    t,
    events.next(() => true),
    'UNAVAILABLE',
  );
  events.close();
  await closed;
});

test('a long poll returns the events since a number, or waits for the first matching one', async (t) => {
  const { events, clock } = makeStream();
  events.emit(ready);
  const first = await events.after(0);
  t.deepEqual(
    first.events.map(({ event }) => event),
    [ready],
  );
  const isFailure = (event: Sample): boolean => event.type === 'plugin.state' && event.state === 'failed';
  const poll = events.after(first.next, { waitMs: 1_000, matches: isFailure });
  events.emit(ready);
  events.emit(failed);
  const { events: found, missed } = await poll;
  t.deepEqual(
    found.map(({ event }) => event),
    [failed],
  );
  t.false(missed);
  const { next } = await events.after(0);
  const nothingCame = events.after(next, { waitMs: 1_000 });
  clock.advance(1_000);
  t.deepEqual(await nothingCame, { events: [], next, missed: false });
});

test('a long poll reports missed events: more than are kept, or numbers of an earlier start', async (t) => {
  const { events } = makeStream(2);
  const { next } = await events.after(0);
  for (let count = 0; count < 3; count++) events.emit(ready);
  t.like(await events.after(next), { missed: true });
  t.like(await events.after(next + 3), { missed: false, events: [] });
  t.like(await events.after(99), { missed: true });
});

test('closing answers the long polls; from then on they do not wait', async (t) => {
  const { events } = makeStream();
  const { next } = await events.after(0);
  const poll = events.after(next, { waitMs: 60_000 });
  events.close();
  t.deepEqual((await poll).events, []);
  t.deepEqual((await events.after(next, { waitMs: 60_000 })).events, []);
});

test('at most 100 long polls wait', async (t) => {
  const { events } = makeStream();
  const { next } = await events.after(0);
  const polls = Array.from({ length: 100 }, () => events.after(next, { waitMs: 1_000 }));
  const error = await t.throwsAsync(events.after(next, { waitMs: 1_000 }));
  t.is(RelayError.is(error) ? error.code : undefined, 'LIMIT');
  t.deepEqual((await events.after(next)).events, []);
  events.emit(ready);
  t.true((await Promise.all(polls)).every(({ events: found }) => found.length === 1));
});

test('for await gets every event until the stream closes', async (t) => {
  const { events } = makeStream();
  const seen: string[] = [];
  const loop = (async () => {
    for await (const { event } of events) seen.push(event.type);
  })();
  events.emit(ready);
  events.emit({ type: 'message.accepted', id: 'a.1' });
  await new Promise(setImmediate);
  events.emit({ type: 'link.state', peer: 'b' });
  events.close();
  await loop;
  t.deepEqual(seen, ['plugin.state', 'message.accepted', 'link.state']);
});

test('a poll notices a restart, however many events came since', async (t) => {
  const before = new EventStream<Sample>({ clock: new VirtualClock(), date: () => 1_792_000_000_000 });
  const after = new EventStream<Sample>({ clock: new VirtualClock(), date: () => 1_792_000_002_500 });
  for (let count = 0; count < 50; count++) before.emit(ready);
  const { next } = await before.after(0);
  for (let count = 0; count < 100; count++) after.emit(ready);
  const batch = await after.after(next, { waitMs: 60_000 });
  t.deepEqual([batch.events.length, batch.missed], [100, true]);
  t.false((await after.after(batch.next)).missed);
});
