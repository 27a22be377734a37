/**
 * Outgoing messages: what a satellite sends is stamped and goes to all other satellites and to every peer, in order and through failures.
 */
import { createServer } from 'node:http';
import test from 'ava';
import type { Dict } from '../../src/values/values.ts';
import { parseHostId } from '../../src/message/message.ts';
import { Gate } from '../support/gate.ts';
import { freePorts, pluginsDir, startRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

const TALKER = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Talker extends Plugin {
  setup(config: { gate?: { push(dict: unknown): void } }) { this.gate = config.gate; }
  private gate?: { push(dict: unknown): void };
  receive(dict: unknown) { this.gate?.push(dict); }
  @Exposed({ params: ['struct'], returns: 'string' })
  async say(dict: object) { return this.send(dict as never); }
}
`;

test('send stamps the dict, overwrites host_id and co2, and reaches every peer and all satellites except the sender', async (t) => {
  const peers = [await scriptedPeer(t), await scriptedPeer(t)];
  const [one, other] = [new Gate<Dict>(), new Gate<Dict>()];
  const relay = await startRelay(t, {
    pluginsDir: pluginsDir(t, { 'ham/one.ts': TALKER, 'ham/other.ts': TALKER }),
    plugins: { 'ham.one': { gate: one }, 'ham.other': { gate: other } },
    peers: peers.map(({ url }) => url),
  });
  const id = await relay.call('ham.one.say', {
    data: 'mine',
    host_id: 'forged@9.9.9.9:1',
    co2: { id: 'forged' },
    client_address: 'nowhere',
    more: 1,
  });
  const [here] = await other.first(1);
  t.is(here?.host_id, relay.hostId);
  t.deepEqual(here?.client_address, [parseHostId(relay.hostId)!.address, parseHostId(relay.hostId)!.port]);
  t.deepEqual(Object.keys(here ?? {}), ['host_id', 'client_address', 'data', 'more']);
  for (const { notified } of peers) {
    const there = (await notified.first(1))[0]!;
    t.is(there.host_id, relay.hostId);
    t.is(there.data, 'mine');
    t.is(there.more, 1);
    t.false('client_address' in there);
    t.like(there.co2, { id, by: relay.hostId, hops: 15 });
  }
  await relay.call('ham.other.say', { data: 'answer' });
  const [first] = await one.first(1);
  t.is(first?.data, 'answer', 'its own dict never came back');
});

test('sending a dict without data fails with an error that names the member', async (t) => {
  const peer = await scriptedPeer(t);
  const relay = await startRelay(t, { peers: [peer.url] });
  await t.throwsAsync(relay.emit({ dat: 1 }), { code: -32602, message: /'data'/ } as never);
  await relay.emit({ data: 1 });
  const [first] = await peer.notified.first(1);
  t.is(first?.data, 1);
});

test('dicts are sent in order over one kept-alive connection', async (t) => {
  const peer = await scriptedPeer(t);
  const relay = await startRelay(t, { peers: [peer.url] });
  const emit = (n: number): Promise<unknown> => relay.callDirectly('test.recorder.emit', { data: n });
  await emit(0);
  await peer.notified.first(1);
  // The connection of the greeting may have been idle for too long by now.
  const connections = peer.connections();
  await Promise.all(Array.from({ length: 29 }, (_, n) => emit(n + 1)));
  const dicts = await peer.notified.first(30);
  t.deepEqual(
    dicts.map(({ data }) => data),
    Array.from({ length: 30 }, (_, n) => n),
  );
  t.is(peer.connections(), connections);
});

test('a peer that is down gets its dicts in order when it comes back', async (t) => {
  const before = await scriptedPeer(t, { host: '127.0.0.9' });
  await before.close();
  const relay = await startRelay(t, { peers: [before.url], retry: { minMs: 1, maxMs: 5 } });
  for (let n = 0; n < 5; n++) await relay.emit({ data: n });
  await relay.seen.event('link.state', { role: 'peer', state: { type: 'never reached', reason: /connection refused/ } });
  const back = await scriptedPeer(t, { host: '127.0.0.9', port: before.port });
  const dicts = await back.notified.first(5);
  t.deepEqual(
    dicts.map(({ data }) => data),
    [0, 1, 2, 3, 4],
  );
  await relay.events.next((event) => event.type === 'link.state' && event.state.type === 'up' && event.state.attempts > 0, { since: 0 });
});

test('a peer that rejects everything after it was unreachable is logged as a warning again', async (t) => {
  const [port = 0] = await freePorts(1);
  const relay = await startRelay(t, { peers: [`http://127.0.0.1:${port}`], retry: { minMs: 1, maxMs: 5 } });
  await relay.emit({ data: 1 });
  await relay.events.next((event) => event.type === 'link.state' && event.state.type === 'never reached', { since: 0 });
  const other = createServer((_request, response) => response.writeHead(421).end()).listen(port, '127.0.0.1');
  t.teardown(() => {
    other.closeAllConnections();
    other.close();
  });
  await relay.seen.event('link.state', { state: { type: 'never reached', reason: /421/ } });
  t.is(relay.log.lines.all.filter(({ level, text }) => level === 'warn' && /^peer .* is down \(.*421/.test(text)).length, 1);
});

test('a dict is sent again after a reset, HTTP 500 or fault 503; after any other fault the next dict follows', async (t) => {
  const peer = await scriptedPeer(t);
  peer.script('reset', 'http 500', 503, 'ok', 403, 'ok');
  const relay = await startRelay(t, { peers: [peer.url], retry: { minMs: 1, maxMs: 2 } });
  for (const data of ['first', 'second', 'third']) await relay.emit({ data });
  const dicts = await peer.notified.first(6);
  t.deepEqual(
    dicts.map(({ data }) => data),
    ['first', 'first', 'first', 'first', 'second', 'third'],
  );
  await relay.seen.event('link.refused', { role: 'peer', name: peer.url, reason: /^fault 403/ });
});

test('a full outbox drops the oldest dicts, counts and logs them', async (t) => {
  const before = await scriptedPeer(t, { host: '127.0.0.9' });
  await before.close();
  const relay = await startRelay(t, { peers: [before.url], outbox: { maxMessages: 3 }, retry: { minMs: 1, maxMs: 5 } });
  for (let n = 0; n < 10; n++) await relay.emit({ data: n });
  t.like(relay.status().mesh.peers[0], { waiting: 4, dropped: 6, forwarded: 0 });
  t.is(relay.log.matching(/^the queue of peer .* is full \(3 messages or .*\): the oldest are dropped/).length, 1);
  const back = await scriptedPeer(t, { host: '127.0.0.9', port: before.port });
  const dicts = await back.notified.first(4);
  // The first one was in flight already.
  t.deepEqual(
    dicts.map(({ data }) => data),
    [0, 7, 8, 9],
  );
  t.is(relay.log.matching(/6 messages were dropped/).length, 1);
});

test('a slow peer delays neither the satellites nor the other peers', async (t) => {
  const [silent, quick] = [await scriptedPeer(t), await scriptedPeer(t)];
  silent.script('silent');
  const relay = await startRelay(t, { peers: [silent.url, quick.url] });
  for (let n = 0; n < 3; n++) t.true(await relay.call('notify', { data: n }));
  await quick.notified.first(3);
  await relay.received.first(3);
  t.is(silent.notified.all.length, 1);
});
