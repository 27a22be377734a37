/** Dicts between relays of a mesh: who gets them, what is known of them there, and what is refused. */
import test from 'ava';
import { Refusal, RelayError, systemClock } from '../../src/core/core.ts';
import type { Message } from '../../src/message/message.ts';
import { Hook } from '../../src/plugin-host/hooks/hook.ts';
import type { HookContext } from '../../src/plugin/relay-plugin.ts';
import { decodeDict, encodeDict } from '../../src/relay/dict-payload.ts';
import type { Dict } from '../../src/values/values.ts';
import { serialiseStructBytes } from '../../src/xmlrpc/xmlrpc.ts';
import { Random } from '../fuzz/random.ts';
import { EventRecord } from '../support/event-record.ts';
import { FakeMesh } from '../support/fake-mesh.ts';
import type { FakePort } from '../support/fake-mesh.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { callerOf, makeHeart, received } from './heart.ts';
import type { Heart, HeartInMesh } from './heart.ts';

interface Node extends Heart {
  readonly port: FakePort;
  readonly seen: EventRecord<Parameters<Heart['events']['emit']>[0]>;
}

const NAMES = ['attic', 'cellar', 'garden', 'garage'] as const;
const hostIdOf = (index: number): string => `r${index}@192.0.2.${index + 1}:2004`;

/** Relays `attic`, `cellar`, `garden` and `garage` that are a mesh; all of them receive. */
function joined(count: number, change: (index: number) => HeartInMesh = () => ({}), clock?: VirtualClock): readonly [FakeMesh, ...Node[]] {
  const mesh = new FakeMesh();
  const nodes = NAMES.slice(0, count).map((name, index) => {
    const port = mesh.add('abcd'[index]!, name, [hostIdOf(index)]);
    const heart = makeHeart({}, [], true, clock, undefined, { meshPort: port, hostId: hostIdOf(index), ...change(index) });
    heart.router.open();
    return { ...heart, port, seen: new EventRecord(heart.events) };
  });
  return [mesh, ...nodes];
}

/** All that has been submitted has arrived. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const dataOf = ({ delivered }: Heart): unknown[] => delivered.map(({ message }) => message.frozen().dict.data);

test('what a satellite sends reaches the satellites and classic peers of every node, signed by its relay', async (t) => {
  const [, a, b, c] = joined(3);
  c!.port.between = [b!.port];
  const id = await a!.router.send('ham.spam.Spam', { data: 'x' });
  await settled();
  t.deepEqual(
    [a, b, c].map((node) => dataOf(node!)),
    [['x'], ['x'], ['x']],
  );
  const { message } = c!.delivered[0]!;
  t.like(message, {
    id,
    hostId: hostIdOf(0),
    verdict: 'signed',
    hopsLeft: 14,
    ageMs: 7,
    via: [hostIdOf(0), hostIdOf(1)],
    destination: 'all',
  });
  t.deepEqual(message.clientAddress, ['192.0.2.2', 2004]);
  t.deepEqual(
    c!.forwarded.map((one) => one.id),
    [id],
  );
  t.is(b!.port.submitted.length + c!.port.submitted.length, 0, 'what came over the mesh is not sent over it again');
  t.like(c!.status(), { accepted: 1 });
});

test('the acknowledgement waits until other nodes cannot miss the dict any more, and fails if that is impossible', async (t) => {
  const [, a] = joined(2);
  let synced: () => void = () => undefined;
  a!.port.disk = new Promise((resolve) => (synced = resolve));
  const order: string[] = [];
  const sent = a!.router.send('ham.spam.Spam', { data: 1 }).then(() => order.push('sent'));
  const notified = a!.call('notify', [received({ data: 2 })], callerOf('local')).then(() => order.push('notified'));
  await a!.router.send('ham.spam.Spam', { data: 3 }, { durable: false });
  t.is(await a!.call('notify', [received({ data: 4, co2: { durable: false } })], callerOf('local')), true);
  order.push('synced');
  synced();
  await Promise.all([sent, notified]);
  t.deepEqual([order[0], ...order.slice(1).sort()], ['synced', 'notified', 'sent']);
  t.deepEqual(
    a!.port.submitted.map(({ isDurable }) => isDurable),
    [true, true, false, false],
  );
  a!.port.refusal = new RelayError('UNAVAILABLE', 'nothing can be stored: the disk is full');
  await t.throwsAsync(a!.router.send('ham.spam.Spam', { data: 5 }), { message: /disk is full/ });
  await t.throwsAsync(a!.call('notify', [received({ data: 6 })], callerOf('local')), { message: /disk is full/ });
  await t.notThrowsAsync(a!.router.send('ham.spam.Spam', { data: 7 }, { durable: false }));
});

test('a dict in memory that other nodes cannot be sent, because too much waits, is in the log', async (t) => {
  const [, a] = joined(2);
  a!.port.refusal = new RelayError('LIMIT', 'memory is full');
  await a!.router.send('ham.spam.Spam', { data: 1 }, { durable: false });
  await a!.router.send('ham.spam.Spam', { data: 2 }, { durable: false });
  await settled();
  const told = a!.log.lines.all.filter(({ level }) => level === 'warn').map(({ text }) => text);
  t.is(told.length, 1, 'once a second');
  t.regex(told[0]!, /is not sent to other nodes: memory is full/);
});

test('nothing is submitted, and nobody waits, while there is no other node', (t) => {
  const [, a] = joined(1);
  t.is(a!.router.accept(received({ data: 1 }), callerOf('local')).constructor, String);
  t.deepEqual(a!.port.submitted, []);
});

test('a copy over a classic link and one over the mesh are one dict', async (t) => {
  const [mesh, a, b] = joined(2);
  await a!.router.send('ham.spam.Spam', { data: 1 });
  await settled();
  const stampOf = (id: string) => ({ id, hops: 15, age: 1, by: hostIdOf(0), via: [] });
  const classic = (id: string) => received({ data: 1, host_id: hostIdOf(0), co2: stampOf(id) });
  const peer = { ...callerOf('peer', '192.0.2.1'), isPeer: true };
  await b!.call('notify', [classic(a!.delivered[0]!.message.id)], peer);
  t.is(b!.delivered.length, 1);
  // The other way round: the classic copy is first.
  await b!.call('notify', [classic('later.1')], peer);
  t.is(b!.delivered.length, 2);
  mesh.change = (_head, payload) => {
    const { id: _id, source, ...rest } = decodeDict(payload);
    return { payload: encodeDict({ ...rest, id: 'later.1', payload: source, via: [], arrivedAt: 0 } as never, hostIdOf(0), 0) };
  };
  await a!.router.send('ham.spam.Spam', { data: 1 });
  await settled();
  t.is(b!.delivered.length, 2);
  t.like(b!.status(), { duplicates: 2 });
  t.is(b!.port.submitted.length, 0, 'a dict of a node is sent over the mesh by that node alone');
});

test('a dict that another node took from a classic peer is not delivered again where it has passed', async (t) => {
  const [, a, b, c] = joined(3);
  // A client of `attic` sent it, and `cellar` got it from there by `notify`.
  const co2 = { id: 'first.1', hops: 15, age: 1, by: hostIdOf(0), via: [] };
  const attest = { by: hostIdOf(0), observedIp: '192.0.2.77', verdict: 'checked' };
  const dict = received({ data: 1, host_id: 'client@192.0.2.77:0', co2: { ...co2, attest } });
  await b!.call('notify', [dict], { ...callerOf('peer', '192.0.2.1'), isPeer: true });
  await settled();
  t.is(b!.port.submitted.length, 1);
  t.deepEqual(
    [a, b, c].map((node) => dataOf(node!)),
    [[], [1], [1]],
  );
  t.like(a!.status(), { duplicates: 1 });
});

test('after a start, a dict of a node that has said nothing yet is delivered, also if its host_id is a loopback address', async (t) => {
  const own = 'r0@127.0.0.2:2004';
  const [, a, b] = joined(2, (index) => (index === 0 ? { hostId: own } : {}));
  a!.port.hostIds = [];
  await a!.router.send('ham.spam.Spam', { data: 1 });
  await settled();
  t.deepEqual(dataOf(b!), [1]);
  t.like(b!.delivered[0]?.message, { hostId: own, verdict: 'vouched' });
});

test('a dict of a client carries what its first relay saw, over the mesh too', async (t) => {
  const [, a, b] = joined(2);
  await a!.call('notify', [received({ data: 1, co2: { id: 'of-the-client.7' } })], callerOf('local', '192.0.2.77'));
  await settled();
  const { message } = b!.delivered[0]!;
  t.like(message, { verdict: 'attested', attestation: { by: hostIdOf(0), observedIp: '192.0.2.77', verdict: 'checked' } });
  t.is(message.claim, 'of-the-client.7');
  t.regex(message.hostId, /@192\.0\.2\.77:0$/);
  t.deepEqual(b!.forwarded[0]?.attestation, message.attestation, 'classic peers there get it as well');
});

test('a copy that a program sends to another node is delivered once, though that node does not know the dict', async (t) => {
  const [, a, b, c] = joined(3);
  c!.port.isDown = true;
  await a!.call('notify', [received({ data: 1 })], callerOf('local', '192.0.2.77'));
  await settled();
  const { id, hostId } = a!.delivered[0]!.message;
  // As a satellite of that node gets it, too.
  const co2 = { id, hops: 15, age: 1, by: hostIdOf(0), via: [] };
  await c!.call('notify', [received({ data: 1, host_id: hostId, co2 })], callerOf('local', '192.0.2.77'));
  await settled();
  t.deepEqual(
    [a, b, c].map((node) => dataOf(node!)),
    [[1], [1], [1]],
  );
  t.like(b!.status(), { accepted: 1, duplicates: 1 });
});

for (const [from, caller] of [
  ['a client', callerOf('local', '192.0.2.1')],
  ['a peer, so that it keeps its id', { ...callerOf('peer', '192.0.2.1'), isPeer: true }],
] as const) {
  test(`a node signs a dict that it got from ${from}, which it does not know as a node yet: that is a copy, not a forgery`, async (t) => {
    const [, a, b, c] = joined(3);
    c!.port.isDown = true;
    await a!.router.send('ham.spam.Spam', { data: 1 });
    await settled();
    const { id, hostId } = a!.delivered[0]!.message;
    const co2 = { id, hops: 15, age: 1, by: hostId, via: [] };
    // `attic` also sends over a classic link, and the news that it is a node comes later.
    c!.port.nodes = () => [];
    await c!.call('notify', [received({ data: 1, host_id: hostId, co2 })], caller);
    await settled();
    t.is(c!.port.submitted.length, 1);
    t.deepEqual(
      [a, b, c].map((node) => dataOf(node!)),
      [[1], [1], [1]],
    );
    for (const node of [a, b]) t.like(node!.status(), { originRefused: 0, duplicates: 1 });
    // An id that nobody has had excuses nothing.
    await c!.call('notify', [received({ data: 2, host_id: hostId, co2: { ...co2, id: `${id}0` } })], caller);
    await settled();
    for (const node of [a, b]) t.like(node!.status(), { originRefused: 1, duplicates: 1 });
    t.deepEqual(dataOf(b!), [1]);
  });
}

test('a dict of a node that could not be reached a moment ago is not signed by another one', async (t) => {
  const [, a, b, c] = joined(3);
  const say = (data: number) =>
    c!.call('notify', [received({ data, host_id: hostIdOf(0), co2: { id: `first.${data}` } })], callerOf('local', '192.0.2.1'));
  c!.port.nodes = () => [];
  await say(1);
  t.is(c!.port.submitted.length, 1);
  c!.port.nodes = () => b!.port.nodes();
  c!.port.nodeChanged({ id: a!.port.id, nick: 'attic', state: 'up' });
  await say(2);
  await settled();
  t.is(c!.port.submitted.length, 1, 'its own node brings it');
  t.deepEqual(dataOf(c!), [1, 2]);
  t.like(b!.status(), { originRefused: 1 });
});

test('what a node sent before it joined the mesh goes on over the classic links to nodes, and nothing else does', async (t) => {
  const [, , , c] = joined(3);
  const stamped = (id: string, hostId: string) => {
    const co2 = { id, hops: 15, age: 1, by: hostId, via: [] };
    const from = { ...callerOf('peer', hostId.slice(hostId.indexOf('@') + 1, -':2004'.length)), isPeer: true };
    return c!.call('notify', [received({ data: id, host_id: hostId, co2 })], from);
  };
  await stamped('first.1', hostIdOf(0));
  await stamped('first.2', 'p@192.0.2.9:2004');
  await c!.router.send('ham.spam.Spam', { data: 'own' });
  // A program on the machine of a node may use its host_id here, but not in the network.
  const address = hostIdOf(0).slice(hostIdOf(0).indexOf('@') + 1, -':2004'.length);
  await c!.call('notify', [received({ data: 'claimed', host_id: hostIdOf(0) })], callerOf('local', address));
  t.deepEqual(dataOf(c!), ['first.1', 'first.2', 'own', 'claimed']);
  t.deepEqual(c!.forwardedToNodes, ['first.1']);
  t.is(c!.forwarded.length, 4);
});

test('what another node signed for a node that has just joined counts for ten seconds, if it saw where the dict came from', async (t) => {
  const clock = new VirtualClock();
  const [, a, b, c] = joined(3, undefined, clock);
  const all = b!.port.nodes();
  // `garden` does not know yet that `attic` is a node; `cellar` learns it before the dicts arrive.
  c!.port.nodes = () => [];
  const say = (data: number) =>
    c!.call('notify', [received({ data, host_id: hostIdOf(0), co2: { id: `first.${data}` } })], callerOf('local', '192.0.2.1'));
  b!.port.nodes = () => all.filter(({ id }) => id !== a!.port.id);
  await b!.router.send('ham.spam.Spam', { data: 0 });
  b!.port.nodes = () => all;
  b!.port.nodeChanged({ id: a!.port.id, nick: 'attic', state: 'up' });
  await say(1);
  await settled();
  t.deepEqual(dataOf(b!), [0, 1]);
  t.is(b!.delivered.at(-1)?.message.verdict, 'attested');
  clock.advance(9_000);
  await say(2);
  const stamp = { id: 'first.9', hops: 15, age: 1, by: 'p@192.0.2.9:2004', via: [] };
  await c!.call('notify', [received({ data: 9, host_id: hostIdOf(0), co2: stamp })], callerOf('peer', '192.0.2.9'));
  await settled();
  clock.advance(1_000);
  await say(3);
  await settled();
  t.deepEqual(dataOf(b!), [0, 1, 2]);
  t.like(b!.status(), { originRefused: 2 }, 'a dict that comes from another address, and the one that comes too late');
  // A change of a node that is known already renews nothing.
  b!.port.nodeChanged({ id: a!.port.id, nick: 'attic', state: 'down', reason: 'lost' });
  b!.port.nodeChanged({ id: a!.port.id, nick: 'attic', state: 'up' });
  await say(4);
  await settled();
  t.deepEqual(dataOf(b!), [0, 1, 2]);
});

test('a dict of a classic peer goes on over the mesh, with the relays that it crossed', async (t) => {
  const [, a, b] = joined(2);
  const co2 = { id: 'far.1', hops: 14, age: 30, by: 'p@192.0.2.9:2004', via: ['o@198.51.100.1:2004', 'not a host_id'] };
  await a!.call('notify', [received({ data: 1, host_id: 'o@198.51.100.1:2004', co2 })], callerOf('peer', '192.0.2.9'));
  await settled();
  t.like(b!.delivered[0]?.message, {
    ...{ id: 'far.1', verdict: 'vouched', hopsLeft: 13, ageMs: 37 },
    via: ['o@198.51.100.1:2004', 'p@192.0.2.9:2004', hostIdOf(0)],
  });
});

test('no node can send in the name of another one', async (t) => {
  const clock = new VirtualClock();
  const [mesh, a, b, c] = joined(3, undefined, clock);
  mesh.change = (head) => (head.origin === c!.port.id ? { head: { hostId: hostIdOf(0) } } : undefined);
  await c!.router.send('ham.spam.Spam', { data: 'forged' }, { to: 'cellar' });
  await settled();
  t.is(b!.delivered.length, 0);
  t.like(b!.status(), { originRefused: 1 });
  t.like(await b!.seen.event('message.refused'), { code: 'ORIGIN_REFUSED', caller: `node ${c!.port.id}` });
  t.is((await c!.seen.event('message.outcome', { status: 'rejected', reason: /belongs to node a{32}/ })).node, b!.port.id);
  mesh.change = () => ({ head: { hostId: 'x@127.0.0.1:2004' } });
  await a!.router.send('ham.spam.Spam', { data: 'loopback' });
  await settled();
  t.is(b!.delivered.length, 0, 'a loopback address says nothing on another machine');
  // A node that claims the host_id of another one afterwards does not get it.
  c!.port.hostIds = [hostIdOf(2), hostIdOf(0)];
  clock.advance(2000);
  mesh.change = (head) => (head.origin === c!.port.id ? { head: { hostId: hostIdOf(0) } } : undefined);
  await c!.router.send('ham.spam.Spam', { data: 'forged' });
  await a!.router.send('ham.spam.Spam', { data: 'genuine' });
  await settled();
  t.deepEqual(dataOf(b!), ['genuine']);
});

test('dicts for chosen nodes reach the satellites of these nodes only', async (t) => {
  const [, a, b, c, d] = joined(4);
  const send = (data: string, to: unknown) => a!.router.send('ham.spam.Spam', { data }, { to } as never);
  await send('by nick', 'cellar');
  await send('by id', b!.port.id);
  await send('node', { node: 'garden' });
  await send('group', { group: ['cellar', 'garden', b!.port.id] });
  await send('here too', { group: ['attic', 'garage'] });
  d!.port.capabilities.push('work:render');
  await send('any', { any: 'work:render' });
  await settled();
  t.deepEqual(
    [a, b, c, d].map((node) => dataOf(node!)),
    [['here too'], ['by nick', 'by id', 'group'], ['node', 'group'], ['here too', 'any']],
  );
  t.deepEqual(
    a!.delivered.map(({ except }) => except),
    ['ham.spam.Spam'],
    'but not the sender itself',
  );
  t.deepEqual(
    [a, b, c, d].flatMap((node) => node!.forwarded),
    [],
    'and no classic peer',
  );
  a!.port.capabilities.push('work:paint');
  await send('any is here', { any: 'work:paint' });
  await settled();
  t.like(a!.delivered[1], { message: { verdict: 'local', via: [] } });
});

test('a client may address its dict in co2, and say how long it lives', async (t) => {
  const [, a, b, c] = joined(3);
  const co2 = { to: { node: 'cellar' }, durable: false, ttl: 5000, ordered: true };
  await a!.call('notify', [received({ data: 1, co2 })], callerOf('local'));
  await settled();
  t.deepEqual(
    [a, b, c].map((node) => dataOf(node!)),
    [[], [1], []],
  );
  t.like(a!.port.submitted[0], { isDurable: false, ttlMs: 5000, isOrdered: true, target: { type: 'node', id: b!.port.id } });
  const stamp = { id: 'far.1', hops: 14, age: 30, by: 'p@192.0.2.9:2004', via: [], to: 'cellar', ttl: 1 };
  await a!.call('notify', [received({ data: 2, host_id: 'o@198.51.100.1:2004', co2: stamp })], callerOf('peer', '192.0.2.9'));
  t.like(a!.port.submitted[1], { target: { type: 'all' }, ttlMs: undefined }, 'a stamp addresses nobody');
});

const WRONG: readonly (readonly [what: string, wanted: object, text: RegExp])[] = [
  ['an unknown nick', { to: 'shed' }, /no node is named 'shed'; known: attic, cellar; a node that is down can be named by its id/],
  ['no name', { to: '' }, /to is the id or nick of a node/],
  ['a number', { to: 5 }, /found 5/],
  ['two kinds', { to: { node: 'cellar', any: 'x' } }, /to is the id/],
  ['an unknown kind', { to: { nodes: ['cellar'] } }, /to is the id .*; found a struct with nodes$/],
  ['an empty group', { to: { group: [] } }, /to is the id/],
  ['a group of other things', { to: { group: [null] } }, /to is the id/],
  ['nobody who offers it', { to: { any: 'work:none' } }, /no node that can be reached offers work:none/],
  ['no time at all', { ttlMs: 0 }, /ms from 1 to 604800000/],
  ['more than a week', { ttlMs: 604_800_001 }, /a week/],
  ['half a ms', { ttlMs: 1.5 }, /whole number/],
  ['an order that is no boolean', { ordered: 1 }, /ordered is true or false/],
  ['a durability that is no boolean', { durable: 'no' }, /durable is true or false/],
];

for (const [what, wanted, text] of WRONG) {
  test(`how a dict is sent: ${what} is refused`, async (t) => {
    const [, a, b] = joined(2);
    const error = await t.throwsAsync(a!.router.send('ham.spam.Spam', { data: 1 }, wanted));
    t.true(RelayError.is(error));
    t.regex(error.message, text);
    t.deepEqual([a!.delivered, b!.delivered], [[], []]);
  });
}

test('a hook may refuse or change what arrives, for the satellites of its relay alone, and sees what is sent', async (t) => {
  const [, a, b] = joined(2);
  const seen: unknown[] = [];
  const hook = (method: (dict: Dict, context: HookContext) => unknown): Hook =>
    new Hook({
      ...{ name: 'ham.H', directory: '/plugins', method, timeoutMs: 1000, maxDictBytes: 1000, clock: systemClock },
      ...{ counters: { passed: 0, transformed: 0, refused: 0, late: 0, failed: 0 }, log: a!.log.source('relay-plugins') },
    });
  a!.setHooks({ onAccept: [], onForward: [hook((_dict, { where, to }) => void seen.push([where, to]))] });
  const onAccept = hook(({ data }, { where, from }) => {
    seen.push([where, from]);
    if (data === 'bad') throw new Refusal('it is bad');
    return { data: [data!, 'changed'] };
  });
  b!.setHooks({ onAccept: [onAccept], onForward: [] });
  await a!.router.send('ham.spam.Spam', { data: 'good' });
  await a!.router.send('ham.spam.Spam', { data: 'bad' }, { to: 'cellar' });
  await settled();
  t.deepEqual(dataOf(b!), [['good', 'changed']]);
  t.is(b!.forwarded[0]?.frozen().dict.data, 'good', 'classic peers get what was sent');
  t.like(await a!.seen.event('message.outcome', { status: 'rejected' }), {
    reason: 'relay plugin ham.H refused the dict: it is bad',
    node: b!.port.id,
  });
  const delivery = ['delivery', { kind: 'peer', name: hostIdOf(0) }];
  const to = ['http://192.0.2.9:2004', 'mesh'];
  t.deepEqual(seen.sort(), [delivery, delivery, ['origin', to], ['origin', [`node:${b!.port.id}`]]].sort());
});

test('a relay without a mesh says that it cannot send to a node', async (t) => {
  const heart = makeHeart();
  await t.throwsAsync(heart.router.send('ham.spam.Spam', { data: 1 }, { to: 'cellar' }), { message: /is in no mesh/ });
});

test('satellites of a node learn what became of what they sent, and nobody else does', async (t) => {
  const [, a, b] = joined(2);
  const id = await a!.router.send('ham.spam.Spam', { data: 1 }, { to: 'cellar' });
  t.like(await a!.seen.event('message.outcome'), { id, satellite: 'ham.spam.Spam', status: 'delivered', node: b!.port.id });
  await a!.call('notify', [received({ data: 1, co2: { to: 'cellar' } })], callerOf('local'));
  await settled();
  t.is(a!.seen.matching('message.outcome').length, 1);
  const ref = `dict:${id} ham.spam.Spam`;
  for (const [meshId, other] of [
    [`${'b'.repeat(32)}.1.b.1`, ref],
    [`${a!.port.id}.1.b.2`, '17'],
    [`${a!.port.id}.1.b.3`, ''],
    [`${a!.port.id}.1.b.4`, 'dict:'],
  ] as const)
    a!.port.report({ id: meshId, status: 'expired', reason: '', node: undefined, ref: other });
  t.is(a!.seen.matching('message.outcome').length, 1);
});

test('what arrives before the satellites are ready waits, and what arrives at the end is left to the next start', async (t) => {
  const mesh = new FakeMesh();
  const port = mesh.add('a', 'attic', [hostIdOf(0)]);
  const other = mesh.add('b', 'cellar', [hostIdOf(1)]);
  const heart = makeHeart({}, [], true, undefined, undefined, { meshPort: port, hostId: hostIdOf(0) });
  const sender = makeHeart({}, [], true, undefined, undefined, { meshPort: other, hostId: hostIdOf(1) });
  await sender.router.send('ham.spam.Spam', { data: 1 });
  await sender.router.send('ham.spam.Spam', { data: 2 });
  await settled();
  t.deepEqual(dataOf(heart), []);
  heart.router.open();
  await settled();
  t.deepEqual(dataOf(heart), [1, 2]);
  heart.router.close();
  await sender.router.send('ham.spam.Spam', { data: 3 });
  await settled();
  t.deepEqual(dataOf(heart), [1, 2]);
});

test('a dict waits here while a durable satellite has no room for it, and those behind it keep their order', async (t) => {
  const clock = new VirtualClock();
  let isFull = true;
  const full = new RelayError('UNAVAILABLE', 'too much is stored for ham.spam.Spam', { retryAfterMs: 500 });
  const keep = (): Promise<void> | undefined => (isFull ? Promise.reject(full) : undefined);
  const [, a, b] = joined(2, (index) => (index === 1 ? { keep } : {}), clock);
  for (const data of [1, 2, 3]) await a!.router.send('ham.spam.Spam', { data });
  await a!.router.send('ham.spam.Spam', { data: 'short' }, { ttlMs: 800, to: 'cellar' });
  await settled();
  t.deepEqual(dataOf(b!), []);
  clock.advance(500);
  await settled();
  t.deepEqual(dataOf(b!), []);
  isFull = false;
  clock.advance(500);
  await settled();
  t.deepEqual(dataOf(b!), [1, 2, 3, 'short']);
  t.like(b!.status(), { accepted: 4, duplicates: 0 });
});

// The payload

function randomMessage(random: Random): Message {
  const text = (): string => `m${random.next().toString(36)}.${random.below(1000)}`;
  const hostId = (): string => `h${random.next().toString(36)}@198.51.100.${1 + random.below(200)}:${random.below(65_536)}`;
  const attestation = { by: hostId(), observedIp: random.once(2) ? '198.51.100.9' : '2001:db8::9', verdict: 'checked' } as const;
  return {
    ...{ id: text(), hostId: hostId(), clientAddress: ['198.51.100.1', 1], destination: 'all', verdict: 'checked' },
    ...{ hopsLeft: random.below(17), ageMs: random.below(1_000_000), arrivedAt: 1000, via: random.many(15, hostId) },
    payload: serialiseStructBytes({ data: random.many(20, () => random.next()) }, {}),
    attestation: random.once(2) ? attestation : undefined,
    claim: random.once(2) ? text() : undefined,
    frozen: () => {
      throw new Error('the dict is not decoded');
    },
  };
}

test('a payload says what was written, whatever that is', (t) => {
  const random = new Random(17);
  for (let run = 0; run < 500; run++) {
    const message = randomMessage(random);
    const { id, hopsLeft, ageMs, via, attestation, claim, payload } = message;
    const expected = { id, hopsLeft, ageMs: ageMs + 20, via: [...via, hostIdOf(0)], attestation, claim, source: payload };
    t.deepEqual(decodeDict(encodeDict(message, hostIdOf(0), 1020)), expected);
  }
});

test('a payload that is damaged or hostile is refused, or read as another one, and nothing else happens', (t) => {
  const random = new Random(18);
  let refused = 0;
  for (let run = 0; run < 3000; run++) {
    const bytes = encodeDict(randomMessage(random), hostIdOf(0), 1020);
    const cut = random.once(3) ? bytes.subarray(0, random.below(bytes.length)) : Buffer.from(bytes);
    for (let change = random.below(4); change >= 0 && cut.length > 0; change--)
      cut[random.below(Math.min(cut.length, 120))] = random.below(256);
    try {
      decodeDict(cut);
    } catch (error) {
      if (!RelayError.is(error) || error.code !== 'INVALID_PARAMS') throw error;
      refused++;
    }
  }
  t.true(refused > 1000);
});

test('a hostile dict from a node is rejected, whatever is wrong with it', async (t) => {
  const [mesh, a, b] = joined(2);
  const good = (source: Buffer) => encodeDict({ ...randomMessage(new Random(1)), payload: source }, hostIdOf(0), 1020);
  const payloads = [
    Buffer.alloc(0),
    Buffer.from('nonsense'),
    good(Buffer.from('')),
    good(Buffer.from('<struct>')),
    good(Buffer.from('<array/>')),
    good(serialiseStructBytes({ date: 1 }, {})),
    good(Buffer.from(`<struct><member><name>data</name><value>${'<array><data><value>'.repeat(500)}`)),
  ];
  for (const payload of payloads) {
    mesh.change = () => ({ payload });
    await a!.router.send('ham.spam.Spam', { data: 1 }, { to: 'cellar' });
  }
  await settled();
  t.is(b!.delivered.length, 0);
  t.is(a!.seen.matching('message.outcome', { status: 'rejected' }).length, payloads.length);
});
