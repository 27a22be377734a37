/**
 * The relay keeps its side of the carriers' contract, whatever a carrier does: when it connects, sends and closes, and what it makes of
 * failures.
 */
import test from 'ava';
import { Refusal, RelayError } from '../../src/core/core.ts';
import type { Carrier, CarrierPeer, Receive } from '../../src/plugin/plugin.ts';
import { CarrierTransport, LOGGED_LINK_EVENTS, linkLogger } from '../../src/links/links.ts';
import { parseResponse, serialiseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import type { LinkEvent } from '../../src/links/links.ts';
import { EventStream } from '../../src/events/events.ts';
import { Gate } from '../support/gate.ts';
import { EventRecord } from '../support/event-record.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const TRUE = serialiseResponse(true);
const DOCUMENT = serialiseCall('notify', [{ data: 1 }]);

interface Behaviour {
  readonly connect?: () => Promise<void>;
  readonly send?: (document: Uint8Array) => unknown;
  readonly close?: () => Promise<void>;
}

interface Made {
  readonly peer: CarrierPeer;
  readonly receive: Receive;
}

/** A carrier transport whose connections behave as given, in turn; the last behaviour applies to all that follow. */
function setUp(...behaviours: Behaviour[]) {
  const clock = new VirtualClock();
  const log = new LogRecord();
  const did: string[] = [];
  const made = new Gate<Made>();
  let count = 0;
  const make = (): Carrier => {
    const { connect, send, close } = behaviours[Math.min(count, behaviours.length - 1)] ?? {};
    const number = ++count;
    return {
      connect: (peer, receive) => {
        did.push(`connect ${number}`);
        made.push({ peer, receive });
        return connect ? connect() : Promise.resolve();
      },
      send: async (document) => {
        did.push(`send ${number}`);
        return (send ? await send(document) : TRUE) as Uint8Array;
      },
      close: () => {
        did.push(`close ${number}`);
        return close ? close() : Promise.resolve();
      },
    };
  };
  const events = new EventStream<LinkEvent>({ clock });
  events.subscribe(linkLogger(log.source, clock), LOGGED_LINK_EVENTS);
  const seen = new EventRecord(events);
  const carrier = new CarrierTransport({
    ...{
      role: 'peer',
      name: 'memory://b',
      events,
      url: new URL('memory://b'),
      self: () => 's@192.0.2.1:2004',
      make,
      clock,
      log: log.source('mesh'),
    },
    ...{ receive: async (document) => document, timeoutMs: 1000, retry: { minMs: 100, maxMs: 1000 }, random: () => 0.5 },
  });
  return { clock, log, events, seen, did, made, carrier };
}

const never = (): Promise<never> => new Promise<never>(() => undefined);

test('the transport connects before there is anything to send, reuses that connection, and closes it once', async (t) => {
  const { carrier, did, made } = setUp({ send: (document) => (Buffer.from(document).equals(DOCUMENT) ? TRUE : serialiseFault(1, 'no')) });
  carrier.open();
  const [{ peer, receive }] = (await made.first(1)) as [Made];
  t.is(peer.url.href, 'memory://b');
  t.is(peer.self, 's@192.0.2.1:2004');
  t.deepEqual(await receive(Buffer.from('x')), Buffer.from('x'));
  t.like(await carrier.post(DOCUMENT), { kind: 'value', value: true });
  t.like(await carrier.post(Buffer.from('other')), { kind: 'fault', code: 1 });
  await carrier.close();
  await carrier.close();
  t.deepEqual(did, ['connect 1', 'send 1', 'send 1', 'close 1']);
  t.true(peer.signal.aborted);
  const late = parseResponse(await receive(Buffer.from('x')));
  t.like(late, { kind: 'fault', code: 503 }, 'what comes afterwards is not taken');
  await t.throwsAsync(carrier.post(DOCUMENT), { code: 'TRANSPORT', message: /closed/ });
});

test('a failed connection attempt is closed and retried with a growing back-off', async (t) => {
  const refuse = { connect: () => Promise.reject(new Error('nobody there')) };
  const { carrier, did, clock, log, seen, made } = setUp(refuse, refuse, refuse, {});
  carrier.open();
  for (const [index, pause] of [100, 200, 400].entries()) {
    t.is((await clock.set.first(3 * (index + 1))).at(-1), pause);
    t.is(made.all.length, index + 1);
    clock.advance(pause);
    await made.first(index + 2);
  }
  await seen.event('link.carrier', { role: 'peer', name: 'memory://b', state: 'connected', attempts: 3 });
  t.deepEqual(did, ['connect 1', 'close 1', 'connect 2', 'close 2', 'connect 3', 'close 3', 'connect 4']);
  const lines = log.lines.all.filter(({ text }) => text === 'peer memory://b: cannot connect: nobody there');
  t.deepEqual(
    lines.map(({ level }) => level),
    ['warn', 'debug', 'debug'],
  );
  await carrier.close();
  t.is(clock.pending, 0);
});

test('a post connects at once instead of waiting for the back-off', async (t) => {
  const { carrier, did, clock, events } = setUp({ connect: () => Promise.reject(new Error('nobody there')) }, {});
  carrier.open();
  await events.next((event) => event.type === 'link.carrier' && event.state === 'failed', { since: 0 });
  await carrier.reset();
  t.like(await carrier.post(DOCUMENT), { value: true });
  t.deepEqual(did, ['connect 1', 'close 1', 'connect 2', 'send 2']);
  t.is(clock.pending, 0);
  await carrier.close();
});

test('a new connection is opened only after the previous one has closed', async (t) => {
  const ends = new Gate<() => void>();
  const { carrier, did, made } = setUp(
    {
      close: () =>
        new Promise((resolve) => {
          ends.push(resolve);
        }),
    },
    {},
  );
  carrier.open();
  await made.first(1);
  const reset = carrier.reset();
  const post = carrier.post(DOCUMENT);
  const [end] = await ends.first(1);
  t.deepEqual(did, ['connect 1', 'close 1']);
  end?.();
  await reset;
  t.like(await post, { value: true });
  t.deepEqual(did.slice(2), ['connect 2', 'send 2']);
  await carrier.close();
});

const FAILURES: readonly (readonly [what: string, behaviour: Behaviour, code: string, text: RegExp])[] = [
  ['rejects', { send: () => Promise.reject(new Error('cable cut')) }, 'TRANSPORT', /cable cut/],
  [
    'throws at once',
    {
      send: () => {
        throw new Error('not now');
      },
    },
    'TRANSPORT',
    /not now/,
  ],
  ['returns nothing', { send: () => undefined }, 'TRANSPORT', /did not return a document/],
  ['returns a string', { send: () => TRUE.toString() }, 'TRANSPORT', /did not return a document/],
  ['returns garbage', { send: () => Buffer.from('rubbish') }, 'TRANSPORT', /not a readable XML-RPC response/],
  ['returns a call', { send: () => DOCUMENT }, 'TRANSPORT', /not a readable XML-RPC response/],
  ['returns a response over the size limit', { send: () => Buffer.alloc(2 * 1024 * 1024) }, 'TRANSPORT', /not a readable XML-RPC response/],
  [
    'rejects a document for good',
    { send: () => Promise.reject(new Refusal('too large for a postcard')) },
    'LIMIT',
    /too large for a postcard/,
  ],
  ['did not connect', { connect: () => Promise.reject(new Error('no line')) }, 'TRANSPORT', /no line/],
  [
    'rejects with a RelayError',
    { send: () => Promise.reject(new RelayError('LIMIT', 'a limit of its own')) },
    'TRANSPORT',
    /a limit of its own/,
  ],
];

for (const [what, behaviour, code, text] of FAILURES) {
  test(`a carrier that ${what} causes the error ${code}`, async (t) => {
    const { carrier } = setUp(behaviour);
    const error = await t.throwsAsync(carrier.post(DOCUMENT));
    t.like(error, { code });
    t.regex(error.message, text);
    await carrier.close();
  });
}

for (const what of ['connect', 'send', 'close'] as const) {
  test(`${what} times out if the carrier never finishes it`, async (t) => {
    const { carrier, clock, made, log } = setUp({ [what]: never });
    const post = carrier.post(DOCUMENT);
    const outcome = post.then(
      () => 'answered',
      (error: unknown) => (error as Error).message,
    );
    const [{ peer }] = (await made.first(1)) as [Made];
    if (what === 'close') {
      t.is(await outcome, 'answered');
      const closed = carrier.close();
      t.true(peer.signal.aborted, 'it is told before it is closed');
      clock.advance(1000);
      await closed;
      t.is(log.matching(/did not close in 1000 ms/).length, 1);
      return;
    }
    await clock.set.first(what === 'connect' ? 1 : 2);
    clock.advance(1000);
    t.is(
      await outcome,
      what === 'connect' ? 'it did not connect in 1000 ms (peerTimeoutMs)' : 'it did not answer in 1000 ms (peerTimeoutMs)',
    );
    await carrier.close();
    t.true(peer.signal.aborted);
  });
}

test('if a carrier reports a lost connection, pending posts reject and it reconnects even with nothing to send', async (t) => {
  const { carrier, did, made, clock, seen } = setUp({ send: never }, {});
  carrier.open();
  const post = carrier.post(DOCUMENT);
  const [{ peer }] = (await made.first(1)) as [Made];
  await clock.set.first(2);
  peer.lost('the other side hung up');
  peer.lost('twice');
  t.like(await t.throwsAsync(post), { code: 'TRANSPORT' });
  t.like(seen.matching('link.carrier', { state: 'lost' }), [{ name: 'memory://b', reason: 'the other side hung up' }]);
  await clock.set.first(4);
  clock.advance(1000);
  await made.first(2);
  peer.lost('long ago');
  t.like(await carrier.post(DOCUMENT), { value: true });
  t.deepEqual(did, ['connect 1', 'send 1', 'close 1', 'connect 2', 'send 2']);
  await carrier.close();
});

test('a plugin that returns no carrier, or an incomplete one, is handled like any other failure', async (t) => {
  for (const made of [undefined, {}, { connect: 5 }]) {
    const { log, events } = setUp();
    const carrier = new CarrierTransport({
      ...{
        role: 'peer',
        name: 'memory://b',
        events,
        url: new URL('memory://b'),
        self: () => '',
        make: () => made as unknown as Carrier,
        clock: new VirtualClock(),
      },
      ...{
        receive: async (document) => document,
        timeoutMs: 1000,
        retry: { minMs: 1, maxMs: 1 },
        random: () => 0.5,
        log: log.source('mesh'),
      },
    });
    t.like(await t.throwsAsync(carrier.post(DOCUMENT)), { code: 'TRANSPORT' });
    await t.notThrowsAsync(carrier.close());
  }
});
