/** The link to one peer: order, retries, rejections, limits and the end, with a transport and a clock that the test controls. */
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import type { Value } from '../../src/values/values.ts';
import type { Message } from '../../src/message/message.ts';
import { EventStream } from '../../src/events/events.ts';
import { LOGGED_LINK_EVENTS, Link, Notification, Outbox, TRANSIENT_LINK_EVENTS, linkLogger } from '../../src/links/links.ts';
import type { LinkEvent, LinkTransport } from '../../src/links/links.ts';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { EventRecord } from '../support/event-record.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { SELF, dictIn, messageOf } from '../mesh/messages.ts';

const OK: ParsedResponse = {
  kind: 'value',
  value: true,
  extensions: { nil: false, i8: false },
  exact: () => true,
  exactOf: () => undefined,
  faultIn: () => undefined,
};
const fault = (code: number): ParsedResponse => ({ kind: 'fault', code, text: 'because' });
const down = new RelayError('TRANSPORT', 'connection refused');

interface Post {
  readonly data: Value | undefined;
  readonly answer: (answer: ParsedResponse | Error) => void;
}

/** A transport whose answers the test gives one by one. */
class ManualTransport implements LinkTransport {
  readonly posts = new Gate<Post>();
  readonly resets = new Gate<true>();
  closed = 0;

  post(body: Uint8Array): Promise<ParsedResponse> {
    return new Promise((resolve, reject) => {
      const answer = (given: ParsedResponse | Error): void => {
        if (given instanceof Error) reject(given);
        else resolve(given);
      };
      this.posts.push({ data: dictIn(body).data, answer });
    });
  }

  async reset(): Promise<void> {
    this.resets.push(true);
  }

  async close(): Promise<void> {
    this.closed++;
  }

  /** The `number`th post, once it is made. */
  async nth(number: number): Promise<Post> {
    return (await this.posts.first(number)).at(-1)!;
  }
}

function setUp({ maxMessages = 1000, maxBytes = 1_000_000 } = {}) {
  const clock = new VirtualClock();
  const transport = new ManualTransport();
  const log = new LogRecord();
  const options = { outbox: { maxMessages, maxBytes }, retry: { minMs: 100, maxMs: 1000 } };
  const events = new EventStream<LinkEvent>({ clock, transient: TRANSIENT_LINK_EVENTS });
  events.subscribe(linkLogger(log.source, clock), LOGGED_LINK_EVENTS);
  const seen = new EventRecord(events);
  const name = 'http://192.0.2.9:2004';
  const outbox = new Outbox({ name: `peer ${name}`, limits: options.outbox, log: log.source('mesh') });
  const link = new Link({
    ...{ role: 'peer', name, source: outbox, transport, options, clock, events },
    ...{ random: () => 0.5, log: log.source('mesh') },
  });
  const sendMessages = (...messages: readonly Message[]): void => {
    for (const message of messages) {
      outbox.push(new Notification(message, { by: SELF, clock, hops: message.hopsLeft - 1 }));
      link.wake();
    }
  };
  const send = (...data: readonly (string | number)[]): void => {
    sendMessages(...data.map((one) => messageOf(one)));
  };
  return { clock, transport, log, events, seen, link, send, sendMessages };
}

/** Answers every post with true until `count` were made; their data in order. */
async function takeAll(transport: ManualTransport, count: number, from = 1): Promise<readonly (Value | undefined)[]> {
  for (let number = from; number <= count; number++) (await transport.nth(number)).answer(OK);
  return transport.posts.all.map(({ data }) => data);
}

test('dicts are sent in order, one in flight at a time', async (t) => {
  const { transport, link, send } = setUp();
  send(1, 2, 3);
  const first = await transport.nth(1);
  t.is(transport.posts.all.length, 1, 'the second waits for the first answer');
  t.like(link.status(), { state: 'connecting', isSending: true, waiting: 3, forwarded: 0 });
  first.answer(OK);
  await transport.nth(2);
  send(4);
  t.deepEqual(await takeAll(transport, 4, 2), [1, 2, 3, 4]);
  await link.drain(1000);
  t.like(link.status(), { forwarded: 4, waiting: 0, refused: 0, dropped: 0, lastError: undefined });
});

test('after a failure, the same dict is retried on a new connection with growing delays', async (t) => {
  const { clock, transport, log, seen, link, send } = setUp();
  send('a', 'b');
  for (const [index, pause] of [50, 100, 200, 400, 500, 500].entries()) {
    (await transport.nth(index + 1)).answer(down);
    t.is((await clock.set.first(index + 1)).at(-1), pause);
    t.is(transport.resets.all.length, index + 1);
    t.like(link.status(), { state: 'never reached', isSending: false, waiting: 2, lastError: 'connection refused' });
    clock.advance(pause - 1);
    t.is(transport.posts.all.length, index + 1, 'not before the time');
    clock.advance(1);
  }
  t.deepEqual(await takeAll(transport, 8, 7), ['a', 'a', 'a', 'a', 'a', 'a', 'a', 'b']);
  await seen.event('link.state', { state: { type: 'up', attempts: 6 } });
  t.is(log.lines.all.filter(({ level, text }) => level === 'warn' && text.includes('is down')).length, 1, 'an operator is told once');
});

test('a new reason for a peer being down logs another warning, and so does the return of an earlier reason', async (t) => {
  const { clock, transport, log, send } = setUp();
  send('a');
  const reasons = ['connection refused', 'connection refused', 'HTTP status 421', 'HTTP status 421', 'connection refused', 'no answer'];
  for (const [index, reason] of reasons.entries()) {
    (await transport.nth(index + 1)).answer(new RelayError('TRANSPORT', reason));
    await clock.set.first(index + 1);
    // The last two are within a second of each other.
    clock.advance(index < 4 ? 1000 : 500);
  }
  const warned = log.lines.all.filter(({ level, text }) => level === 'warn' && text.includes('is down'));
  t.deepEqual(
    warned.map(({ text }) => /is down \((.*?)\)/.exec(text)?.[1]),
    ['connection refused', 'HTTP status 421', 'connection refused'],
  );
});

test('a dict that cannot be serialized is dropped and does not block later ones', async (t) => {
  const { transport, link, seen, sendMessages } = setUp();
  const bad = messageOf('bad', { source: '<struct><member>' });
  sendMessages(bad, bad, bad, messageOf('good'));
  t.deepEqual(await takeAll(transport, 1), ['good']);
  await link.drain(1000);
  t.like(link.status(), { forwarded: 1, refused: 3, dropped: 0 });
  t.is(seen.matching('link.refused', { role: 'peer', id: bad.id, reason: /cannot be written/ }).length, 3);
});

for (const code of [503, 504, 522, -32300, -32400]) {
  test(`fault ${code} is temporary: the dict is sent again`, async (t) => {
    const { clock, transport, link, send } = setUp();
    send('a');
    (await transport.nth(1)).answer(fault(code));
    await clock.set.first(1);
    clock.advance(50);
    t.deepEqual(await takeAll(transport, 2, 2), ['a', 'a']);
    await link.drain(1000);
    t.like(link.status(), { forwarded: 1, refused: 0 });
  });
}

for (const [what, answer] of [
  ...[403, 401, -32601, -32602, -32500, -32700, 1].map((code) => [`fault ${code}`, fault(code)] as const),
  ['a body that is too large', new RelayError('LIMIT', 'answered HTTP 413')] as const,
]) {
  test(`${what} is permanent: the dict is dropped for the peer and the next one is sent at once`, async (t) => {
    const { clock, transport, log, seen, link, send } = setUp();
    send('bad', 'good');
    (await transport.nth(1)).answer(answer);
    t.deepEqual(await takeAll(transport, 2, 2), ['bad', 'good']);
    t.like(seen.matching('link.refused'), [{ role: 'peer', name: 'http://192.0.2.9:2004', id: 'm.bad' }]);
    t.deepEqual(
      log.lines.all.filter(({ level }) => level === 'warn').map(({ text }) => text.split(',')[0]),
      ['peer http://192.0.2.9:2004 rejected m.bad'],
    );
    await link.drain(1000);
    t.like(link.status(), { forwarded: 1, refused: 1, dropped: 0 });
    t.deepEqual(
      clock.set.all.filter((ms) => ms !== 1000),
      [],
      'no pause',
    );
  });
}

test('a full outbox drops the oldest dicts, counts them and logs it once', async (t) => {
  const { clock, transport, log, link, send } = setUp({ maxMessages: 3 });
  send('in flight');
  (await transport.nth(1)).answer(down);
  await clock.set.first(1);
  send(1, 2, 3, 4, 5, 6);
  t.like(link.status(), { waiting: 4, dropped: 3 });
  clock.advance(50);
  t.deepEqual(await takeAll(transport, 5, 2), ['in flight', 'in flight', 4, 5, 6]);
  t.is(log.matching(/queue of peer .* is full/).length, 1);
  t.is(log.matching(/3 messages were dropped/).length, 1);
});

test('an outbox that reaches its byte limit also drops the oldest dicts', async (t) => {
  const { clock, transport, link, send } = setUp({ maxBytes: 3 * 1024 });
  send('in flight');
  (await transport.nth(1)).answer(down);
  await clock.set.first(1);
  send('x'.repeat(600), 'y'.repeat(600), 'z'.repeat(5000));
  t.like(link.status(), { waiting: 2, dropped: 2 });
  clock.advance(50);
  const sent = await takeAll(transport, 3, 2);
  t.is(sent.at(-1), 'z'.repeat(5000), 'one always fits');
});

test('drain sends the queued dicts, then closes', async (t) => {
  const { clock, transport, link, send } = setUp();
  send(1, 2, 3);
  const drained = link.drain(1000);
  t.deepEqual(await takeAll(transport, 3), [1, 2, 3]);
  await drained;
  t.like(link.status(), { state: 'stopped', forwarded: 3, dropped: 0 });
  t.is(transport.closed, 1);
  t.is(clock.pending, 0, 'no timer stays');
  send(4);
  t.is(transport.posts.all.length, 3, 'closed is closed');
  t.is(link.status().waiting, 0);
});

test('drain of an idle link resolves at once, and so does a second drain', async (t) => {
  const { transport, clock, link } = setUp();
  await Promise.all([link.drain(1000), link.drain(1000)]);
  t.is(transport.posts.all.length, 0);
  t.is(clock.pending, 0);
  t.is(link.status().state, 'stopped');
});

test('drain resolves at once if the peer is down, and logs the lost dicts', async (t) => {
  const { clock, transport, log, seen, link, send } = setUp();
  send(1, 2, 3);
  (await transport.nth(1)).answer(down);
  await clock.set.first(1);
  await link.drain(1_000_000);
  t.is(transport.posts.all.length, 1);
  t.like(link.status(), { state: 'stopped', waiting: 0, dropped: 3 });
  t.is(clock.pending, 0);
  t.like(seen.matching('link.dropped'), [{ count: 3 }]);
  t.is(log.matching(/lost 3 dicts still waiting when the relay stopped/).length, 1);
});

test('drain resolves if the peer fails in the meantime', async (t) => {
  const { transport, link, send } = setUp();
  send(1, 2);
  const post = await transport.nth(1);
  const drained = link.drain(1_000_000);
  post.answer(down);
  await drained;
  t.like(link.status(), { state: 'stopped', forwarded: 0, dropped: 2 });
});

test('drain times out if the peer does not respond, and dicts in flight are counted once', async (t) => {
  const { clock, transport, link, send } = setUp();
  send(1, 2);
  const post = await transport.nth(1);
  const drained = link.drain(500);
  clock.advance(499);
  t.is(link.status().state, 'connecting');
  clock.advance(1);
  await drained;
  t.like(link.status(), { state: 'stopped', forwarded: 0, dropped: 2 });
  post.answer(OK);
  await Promise.resolve();
  const { forwarded, dropped, refused } = link.status();
  t.is(forwarded + dropped + refused, 2);
  t.is(transport.posts.all.length, 1);
});

test('text from a peer is sanitized in the log', async (t) => {
  const { transport, log, seen, send } = setUp();
  send(1);
  (await transport.nth(1)).answer({ kind: 'fault', code: 7, text: `\u001b[2J\n${'x'.repeat(5000)}` });
  await seen.event('link.refused');
  const [text] = log.matching(/rejected/);
  t.regex(text ?? '', /^[\x20-\uffff]{1,600}$/);
});

test('each state change of a link emits one event', async (t) => {
  const { clock, transport, events, link, send } = setUp();
  const states = (): readonly LinkEvent[] => events.kept().map(({ event }) => event);
  const transient: LinkEvent[] = [];
  events.subscribe((event) => transient.push(event), ['link.retry', 'link.refused']);
  send('a', 'b');
  (await transport.nth(1)).answer(down);
  await clock.set.first(1);
  clock.advance(50);
  (await transport.nth(2)).answer(down);
  await clock.set.first(2);
  clock.advance(100);
  (await transport.nth(3)).answer(OK);
  (await transport.nth(4)).answer(fault(403));
  await link.drain(1000);
  const peer = { role: 'peer', name: 'http://192.0.2.9:2004' };
  t.deepEqual(states(), [
    { ...peer, type: 'link.state', state: { type: 'connecting' }, waiting: 1 },
    { ...peer, type: 'link.state', state: { type: 'never reached', attempt: 1, reason: 'connection refused', delayMs: 50 }, waiting: 2 },
    { ...peer, type: 'link.state', state: { type: 'up', attempts: 2 }, waiting: 1 },
    { ...peer, type: 'link.state', state: { type: 'stopped' }, waiting: 0 },
  ]);
  t.deepEqual(transient, [
    { ...peer, type: 'link.retry', attempt: 2, reason: 'connection refused', delayMs: 100, waiting: 2 },
    { ...peer, type: 'link.refused', id: 'm.b', reason: 'fault 403: because', isRepeated: false },
  ]);
});

test('dicts lost at a stop are reported by an event', async (t) => {
  const { transport, events, link, send } = setUp();
  send(1, 2, 3);
  const post = await transport.nth(1);
  const drained = link.drain(1000);
  post.answer(down);
  await drained;
  t.like(await events.next(({ type }) => type === 'link.dropped', { since: 0 }), { count: 3, reason: 'when the relay stopped' });
});
