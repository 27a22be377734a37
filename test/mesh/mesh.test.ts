/** Which peers a dict goes to, what it carries, and which addresses are peers'. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import { Mesh, meshDefaults } from '../../src/mesh/mesh.ts';
import type { MeshOptions } from '../../src/mesh/mesh.ts';
import { ServerAddress, TRANSIENT_LINK_EVENTS, linkDefaults, linkLogger } from '../../src/links/links.ts';
import type { LinkEvent, LinkTransport, Resolve } from '../../src/links/links.ts';
import { dictOf } from '../../src/values/values.ts';
import type { Dict } from '../../src/values/values.ts';
import { canonicalMembers } from '../../src/xmlrpc/xmlrpc.ts';
import { EventStream } from '../../src/events/events.ts';
import { Gate } from '../support/gate.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { SELF, dictIn, messageOf } from './messages.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'c.example': ['192.0.2.13', '::ffff:192.0.2.14'],
  'far.example': ['198.51.100.7'],
};
const resolve: Resolve = async (hostname) => {
  const found = NAMES[hostname];
  if (!found) throw new Error('ENOTFOUND');
  return found;
};

interface Sent {
  readonly to: string;
  readonly body: string;
  readonly dict: Dict;
}

function makeMesh(
  peers: readonly string[],
  { isReachable = () => true, ...options }: Partial<MeshOptions> & { readonly isReachable?: () => boolean } = {},
) {
  const failures = new Gate<string>();
  const sent = new Gate<Sent>();
  const log = new LogRecord();
  const clock = new VirtualClock();
  const transport = (peer: ServerAddress): LinkTransport => ({
    post: async (body) => {
      if (!isReachable()) {
        failures.push(peer.name);
        throw new RelayError('TRANSPORT', 'no route');
      }
      const text = Buffer.from(body).toString();
      sent.push({ to: peer.name, body: text, dict: text.includes('<methodName>ping<') ? dictOf() : dictIn(body) });
      return {
        kind: 'value',
        value: true,
        extensions: { nil: false, i8: false },
        exact: () => true,
        exactOf: () => undefined,
        faultIn: () => undefined,
      };
    },
    reset: async () => undefined,
    close: async () => undefined,
  });
  const events = new EventStream<LinkEvent>({ clock, transient: TRANSIENT_LINK_EVENTS });
  events.subscribe(linkLogger(log.source, clock));
  const mesh = new Mesh({
    options: { ...linkDefaults, ...meshDefaults, peerPingIntervalMs: 0, ...options, peers },
    logs: log.source,
    events,
    clock,
    random: () => 0.5,
    resolve,
    transport,
  });
  return { mesh, sent, log, clock, failures };
}

const A = 'http://192.0.2.11:2004';
const B = 'http://192.0.2.12:2004';
const C = 'http://c.example:2004';

async function reached(peers: readonly string[], hostId: string, via: readonly string[] = []): Promise<readonly string[]> {
  const { mesh, sent } = makeMesh(peers);
  await mesh.start(SELF);
  const count = mesh.forward(messageOf('x', { hostId, via }));
  return (await sent.first(count)).map(({ to }) => to).sort();
}

const TARGETS: readonly (readonly [what: string, hostId: string, via: readonly string[], peers: readonly string[]])[] = [
  ['our own dict is forwarded to all peers', SELF, [], [A, B, C]],
  ['a dict from our client is forwarded to all peers', 'x@203.0.113.5:0', [], [A, B, C]],
  ['a dict from a peer is not sent back to it', 'x@192.0.2.11:2004', [], [B, C]],
  ['a dict from a peer known by name is not sent back to it', 'x@192.0.2.13:2004', [], [A, B]],
  ['a dict from the second address of a peer is not sent back to it', 'x@192.0.2.14:2004', [], [A, B]],
  ['a dict from a peer address in another notation is not sent back to it', 'x@[::ffff:192.0.2.11]:2004', [], [B, C]],
  ['a dict that passed through two peers is not sent back to them', 'x@203.0.113.5:0', ['a@192.0.2.11:2004', 'b@192.0.2.12:2004'], [C]],
  ['a dict that passed through all peers is not forwarded', 'x@192.0.2.13:2004', ['a@192.0.2.11:2004', 'b@192.0.2.12:2004'], []],
  [
    'a dict that passed through another relay on the host of a peer is forwarded to all',
    'x@203.0.113.5:0',
    ['a@192.0.2.11:2005'],
    [A, B, C],
  ],
  ['a dict from a satellite on the host of a peer is forwarded to all', 'x@192.0.2.11:0', [], [A, B, C]],
  ['unknown names in via are ignored', 'x@203.0.113.5:0', ['', 'nobody', 'a@host:2004'], [A, B, C]],
];

for (const [what, hostId, via, peers] of TARGETS) {
  test(what, async (t) => {
    t.deepEqual(await reached([A, B, C], hostId, via), peers);
  });
}

test('a dict without a stamp from the only peer at an address does not go back to it', async (t) => {
  const L = 'http://127.0.0.1:2005';
  for (const [client, peers] of [
    ['192.0.2.11', [B, C]],
    ['192.0.2.13', [A, B]],
    ['198.51.100.1', [A, B, C]],
  ] as const) {
    const { mesh, sent } = makeMesh([A, B, C]);
    await mesh.start(SELF);
    const count = mesh.forward(messageOf('x', { hostId: `x@${client}:0`, clientAddress: [client, 4711] }));
    t.deepEqual((await sent.first(count)).map(({ to }) => to).sort(), peers);
  }
  const { mesh } = makeMesh([L]);
  await mesh.start(SELF);
  t.is(mesh.forward(messageOf('x', { hostId: 'x@127.0.0.1:0', clientAddress: ['127.0.0.1', 4711] })), 1, 'on loopback it may be anybody');
});

test('a peer that is listed twice gets each dict once', async (t) => {
  t.deepEqual(await reached([A, A, `${A}/`], SELF), [A]);
});

test('a dict at the hop limit is not forwarded, but counted and logged', async (t) => {
  const { mesh, log } = makeMesh([A]);
  await mesh.start(SELF);
  t.is(mesh.forward(messageOf('x', { hopsLeft: 0, id: 'old.1' })), 0);
  t.is(mesh.status().hopLimited, 1);
  t.is(log.matching(/old\.1 of .* crossed 16 relays, the hop limit, and is not forwarded/).length, 1);
  t.is(mesh.forward(messageOf('x', { hopsLeft: 1 })), 1);
});

test('nothing is forwarded before the start or without peers', async (t) => {
  t.is(makeMesh([A]).mesh.forward(messageOf('x')), 0);
  const { mesh } = makeMesh([]);
  await mesh.start(SELF);
  t.is(mesh.forward(messageOf('x')), 0);
  t.deepEqual(mesh.status(), { peers: [], hopLimited: 0, node: undefined });
  await mesh.stop();
});

test('a peer gets the dict with scalars unchanged, the host_id of the origin, and our stamp', async (t) => {
  const { mesh, sent, clock } = makeMesh([A]);
  await mesh.start(SELF);
  const source =
    '<struct><member><name>data</name><value><double>1.50</double></value></member><member><name>host_id</name><value>forged</value></member>' +
    '<member><name>big</name><value><i8>5</i8></value></member><member><name>co2</name><value>forged</value></member>' +
    '<member><name>client_address</name><value>forged</value></member><member><name>s</name><value>a&amp;b</value></member></struct>';
  const attestation = { by: 'f@198.51.100.1:1', observedIp: '203.0.113.5', verdict: 'checked' } as const;
  clock.advance(40);
  mesh.forward(
    messageOf('x', { source, id: 'i.1', hostId: 'x@203.0.113.5:0', hopsLeft: 10, ageMs: 60, via: ['a@192.0.2.50:1'], attestation }),
  );
  const [{ dict, body }] = (await sent.first(1)) as [Sent];
  t.is(dict.host_id, 'x@203.0.113.5:0');
  t.like(dict.co2, { id: 'i.1', hops: 9, age: 100, by: SELF, via: ['a@192.0.2.50:1'] });
  t.like((dict.co2 as Dict).att, { by: 'f@198.51.100.1:1', observed_ip: '203.0.113.5', verdict: 'checked' });
  t.deepEqual(Object.keys(dict).sort(), ['big', 'co2', 'data', 'host_id', 's']);
  t.regex(body, /<double>1\.50<\/double>/);
  t.regex(body, /<i8>5<\/i8>/);
  t.regex(body, /a&amp;b/);
  t.true(canonicalMembers(source).has('s'));
});

test('an id from a peer cannot inject a line break into the log', async (t) => {
  const { mesh, log } = makeMesh([A]);
  await mesh.start(SELF);
  mesh.forward(messageOf('x', { id: 'i.1', hostId: 'x@203.0.113.5:0' }));
  await mesh.stop();
  t.true(log.lines.all.every(({ text }) => /^[\x20-\uffff]*$/.test(text)));
});

test('only configured or resolved addresses count as peers', async (t) => {
  const { mesh } = makeMesh([A, C, 'http://[::1]:2004', 'https://[::ffff:192.0.2.20]/RPC2']);
  t.true(mesh.isPeerAddress('192.0.2.11'), 'a written address needs no start');
  t.false(mesh.isPeerAddress('192.0.2.13'));
  await mesh.start(SELF);
  for (const address of ['192.0.2.11', '192.0.2.13', '192.0.2.14', '::1', '192.0.2.20']) t.true(mesh.isPeerAddress(address), address);
  for (const address of ['192.0.2.12', '127.0.0.1', 'c.example', '::', '']) t.false(mesh.isPeerAddress(address), address);
});

test('a host name that does not resolve is logged and blocks nothing', async (t) => {
  const { mesh, log } = makeMesh([A, 'http://gone.example:2004']);
  await t.notThrowsAsync(mesh.start(SELF));
  t.is((await log.line(/gone\.example/)).level, 'warn');
  t.true(mesh.isPeerAddress('192.0.2.11'));
});

test('a relay with a loopback host_id warns only if it has peers on other machines', async (t) => {
  for (const [hostId, peers, warned] of [
    ['s@127.0.0.1:2004', [A], true],
    ['s@127.0.0.1:2004', ['http://127.0.0.1:2005'], false],
    ['s@192.0.2.1:2004', [A], false],
  ] as const) {
    const { mesh, log } = makeMesh(peers);
    await mesh.start(hostId);
    t.is(log.matching(/publicAddress/).length, warned ? 1 : 0, hostId);
  }
});

test('status and log never show credentials', async (t) => {
  const { mesh, log } = makeMesh(['http://user:hunter2@192.0.2.11:2004/RPC2?key=s3cret']);
  await mesh.start('s@127.0.0.1:2004');
  mesh.forward(messageOf('x'));
  await mesh.stop();
  t.is(mesh.status().peers[0]?.peer, 'http://192.0.2.11:2004/RPC2');
  t.notRegex(JSON.stringify([mesh.status(), log.lines.all]), /hunter2|s3cret/);
});

test('a stop sends the queued dicts', async (t) => {
  const { mesh, sent } = makeMesh([A, B]);
  await mesh.start(SELF);
  for (const data of [1, 2, 3]) mesh.forward(messageOf(data));
  await mesh.stop();
  t.is(sent.all.length, 6);
  for (const peer of [A, B])
    t.deepEqual(
      sent.all.filter(({ to }) => to === peer).map(({ dict }) => dict.data),
      [1, 2, 3],
    );
  t.true(mesh.status().peers.every(({ state, forwarded }) => state === 'stopped' && forwarded === 3));
});

test('a peer address has a default port by scheme and canonical IP addresses, and is resolved again at each refresh', async (t) => {
  let answer = ['192.0.2.30', '::FFFF:192.0.2.31', 'nonsense'];
  const peer = new ServerAddress('https://peer.example', async () => answer);
  t.is(peer.port, 443);
  t.deepEqual(peer.addresses, []);
  t.false(peer.is('192.0.2.30', 443));
  await peer.refresh();
  t.deepEqual(peer.addresses, ['192.0.2.30', '192.0.2.31']);
  t.true(peer.is('192.0.2.31', 443));
  t.false(peer.is('192.0.2.31', 80));
  answer = ['127.0.0.1'];
  t.false(peer.isLocal);
  await peer.refresh();
  t.true(peer.isLocal);
  t.is(new ServerAddress('http://192.0.2.1', resolve).port, 80);
  t.deepEqual(new ServerAddress('http://[2001:DB8::0:1]:9', resolve).addresses, ['2001:db8::1']);
});

test('a host name that cannot be resolved causes a transport error, and the previous addresses are kept', async (t) => {
  let fail = false;
  const peer = new ServerAddress('http://peer.example', async () => (fail ? Promise.reject(new Error('ENOTFOUND')) : ['192.0.2.30']));
  await peer.refresh();
  fail = true;
  const error = await t.throwsAsync(peer.refresh());
  t.true(RelayError.is(error) && error.code === 'TRANSPORT' && error.message.includes('peer.example'));
  t.deepEqual(peer.addresses, ['192.0.2.30']);
});

test('a literal IP address is never resolved', async (t) => {
  const peer = new ServerAddress('http://127.0.0.1:1', async () => {
    throw new Error('asked');
  });
  await t.notThrowsAsync(peer.refresh());
});

test('without pings, a peer to which nothing was sent is unused', async (t) => {
  const { mesh, clock } = makeMesh([A]);
  await mesh.start(SELF);
  t.like(mesh.status().peers[0], { state: 'unused', downMs: 0 });
  t.is(clock.pending, 0);
});

test('a peer is pinged at the start, and then only after a minute without a dict', async (t) => {
  const { mesh, sent, clock } = makeMesh([A], { peerPingIntervalMs: 60_000 });
  const methods = (): readonly string[] => sent.all.map(({ body }) => /<methodName>(.*)<\/methodName>/.exec(body)?.[1] ?? '');
  await mesh.start(SELF);
  await sent.first(1);
  await nextTurn();
  t.like(mesh.status().peers[0], { state: 'up', isSending: false, forwarded: 0 });
  clock.advance(59_000);
  mesh.forward(messageOf('x'));
  await sent.first(2);
  await nextTurn();
  clock.advance(1_000);
  await nextTurn();
  t.deepEqual(methods(), ['ping', 'notify']);
  clock.advance(60_000);
  await sent.first(3);
  await nextTurn();
  t.deepEqual(methods(), ['ping', 'notify', 'ping']);
  await mesh.stop();
  t.is(clock.pending, 0, 'no timer stays');
});

test('a peer that does not answer its ping is never reached or down, and a dict for it is sent at the next attempt', async (t) => {
  let isReachable = false;
  const { mesh, sent, clock, failures } = makeMesh([A], { peerPingIntervalMs: 60_000, isReachable: () => isReachable });
  await mesh.start(SELF);
  await failures.first(1);
  await nextTurn();
  clock.advance(50);
  t.like(mesh.status().peers[0], { state: 'never reached', downMs: 50, lastError: 'no route', waiting: 0 });
  isReachable = true;
  mesh.forward(messageOf('x'));
  clock.advance(10_000);
  const [first] = await sent.first(1);
  t.is(first?.dict.data, 'x');
  await nextTurn();
  t.like(mesh.status().peers[0], { state: 'up', downMs: 0, lastError: undefined });
  isReachable = false;
  clock.advance(130_000);
  await failures.first(2);
  await nextTurn();
  t.is(mesh.status().peers[0]?.state, 'down');
});

test('a stop does not wait for a ping that is not answered', async (t) => {
  const clock = new VirtualClock();
  const log = new LogRecord();
  const pinged = new Gate<true>();
  const transport = (): LinkTransport => ({
    post: () => {
      pinged.push(true);
      return new Promise(() => undefined);
    },
    reset: async () => undefined,
    close: async () => undefined,
  });
  const options = { ...linkDefaults, ...meshDefaults, peers: [A] };
  const mesh = new Mesh({ options, logs: log.source, events: new EventStream({ clock }), clock, random: () => 0.5, resolve, transport });
  await mesh.start(SELF);
  await pinged.first(1);
  await mesh.stop();
  t.is(clock.pending, 0);
  t.is(mesh.status().peers[0]?.state, 'stopped');
});

test('a peer that sends, and does not answer even when it is tried again at once, is one-way; that is logged once', async (t) => {
  let isReachable = false;
  const { mesh, sent, log, clock, failures } = makeMesh([A], { isReachable: () => isReachable });
  await mesh.start(SELF);
  mesh.forward(messageOf('x'));
  await failures.first(1);
  await nextTurn();
  clock.advance(10);
  t.like(mesh.status().peers[0], { state: 'never reached', downMs: 10 });
  const warnings = (): readonly string[] => log.lines.all.map((line) => JSON.stringify(line)).filter((line) => line.includes('one-way'));
  for (let n = 0; n < 3; n++) mesh.noteHop('a@192.0.2.11:2004');
  await failures.first(2);
  await nextTurn();
  t.is(failures.all.length, 2, 'one attempt, not one for each dict');
  t.is(mesh.status().peers[0]?.state, 'one-way');
  t.is(warnings().length, 0);
  for (let n = 0; n < 3; n++) {
    clock.advance(1_000);
    await nextTurn();
    mesh.noteHop('a@192.0.2.11:2004');
    await nextTurn();
  }
  t.is(warnings().length, 1);
  t.regex(warnings()[0]!, /peer http:\/\/192\.0\.2\.11:2004 is one-way: it sends to this relay, but has never answered \(no route\)/);
  isReachable = true;
  clock.advance(60_000);
  await sent.first(1);
  await nextTurn();
  t.like(mesh.status().peers[0], { state: 'up', downMs: 0 });
  isReachable = false;
  const before = failures.all.length;
  mesh.forward(messageOf('y'));
  await failures.first(before + 1);
  await nextTurn();
  t.is(mesh.status().peers[0]?.state, 'down');
  mesh.noteHop('a@192.0.2.11:2004');
  t.is(warnings().length, 1);
});
