/** What users see of the mesh: messages reach every node over any path, wait for those that are away, and nothing is lost unsaid. */
import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import { openStore, MemoryDisk } from '../../src/store/store.ts';
import { MESSAGE_LOG, MeshNode, PEER_TABLE, SEEN_TABLE, TIME_TABLE, idOfKey } from '../../src/mesh-core/mesh-core.ts';
import { ByteWriter } from '../../src/mesh-core/bytes.ts';
import type { CustodyLimits, Effect, NodeEvent, OutboxAnswer, OutboxCommand, Submission } from '../../src/mesh-core/mesh-core.ts';
import { encodeHead } from '../../src/mesh-core/message.ts';
import type { Head } from '../../src/mesh-core/message.ts';
import { sealGroup } from '../../src/mesh-core/seal.ts';
import { randomEdges } from '../simulate/chaos.ts';
import { VirtualDisk } from '../simulate/disk.ts';
import { fakeCrypto, fakeSigner } from '../simulate/fake-crypto.ts';
import { World } from '../simulate/world.ts';
import { Random } from '../fuzz/random.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

type Of<T extends Effect['type']> = Effect & { readonly type: T };

interface MeshOptions {
  readonly limits?: Partial<CustodyLimits>;
  readonly capabilities?: (index: number) => readonly string[];
  /** How satellites end a message. */
  readonly outcome?: (NodeEvent & { readonly type: 'processed' })['outcome'];
}

/** A mesh on a virtual network whose nodes are all up. */
class Mesh {
  readonly world: World;
  readonly effects: (readonly [index: number, effect: Effect, at: number])[] = [];
  #sent = 0;

  constructor(nodes: number, edges: readonly (readonly [number, number])[], { outcome = { type: 'done' }, ...options }: MeshOptions = {}) {
    this.world = new World({
      ...{ random: new Random(1), nodes, edges, ...options },
      onEffect: (index, effect) => {
        this.effects.push([index, effect, this.world.now]);
        if (effect.type === 'deliver') this.event(index, { type: 'processed', delivery: effect.delivery, outcome });
      },
    });
    for (let index = 0; index < nodes; index++) this.world.start(index);
    this.run(5000);
  }

  id(index: number): string {
    return this.world.places[index]!.id;
  }

  run(ms: number): void {
    this.world.runUntil(this.world.now + ms);
  }

  event(index: number, event: NodeEvent): void {
    this.world.after(0, () => {
      this.world.event(index, event);
    });
  }

  send(from: number, to: number | 'all', change: Partial<Submission> = {}): void {
    const target = to === 'all' ? ({ type: 'all' } as const) : ({ type: 'node', id: this.id(to) } as const);
    const token = `m${++this.#sent}`;
    const submission = { token, target, payload: Buffer.from(token), isDurable: true, isOrdered: false, hostId: 'h', generation: 0 };
    this.world.event(from, { type: 'submit', submission: { ...submission, contentType: 'dict', ...change }, wallMs: 0 });
  }

  outbox(index: number, command: OutboxCommand): void {
    this.event(index, { type: 'outbox', request: 1, command });
    this.run(20);
  }

  get answers(): OutboxAnswer[] {
    return this.all('outbox').map(([, { answer }]) => answer);
  }

  /** The answer to a command `list`. */
  list(index: number, command: Omit<OutboxCommand & { readonly type: 'list' }, 'type'>): (OutboxAnswer & { readonly type: 'list' })[] {
    this.outbox(index, { type: 'list', ...command });
    return this.answers.slice(-1).filter((answer) => answer.type === 'list');
  }

  /** `node payload`, in order. */
  get delivered(): string[] {
    return this.all('deliver').map(([index, { payload }]) => `${index} ${payload.toString()}`);
  }

  /** `node status about-node`, in order. */
  get outcomes(): string[] {
    const name = (id: string | undefined): number => this.world.places.findIndex((place) => place.id === id);
    return this.all('outcome').map(([index, { status, node }]) => `${index} ${status} ${name(node)}`);
  }

  all<T extends Effect['type']>(type: T): (readonly [number, Of<T>, number])[] {
    return this.effects.filter((one): one is readonly [number, Of<T>, number] => one[1].type === type);
  }
}

const LINE = [[0, 1], [1, 2], [2, 3]] as const; // prettier-ignore

test('a message for one node crosses others, and the sender learns that it arrived', (t) => {
  const mesh = new Mesh(4, LINE);
  mesh.send(0, 3);
  mesh.run(1000);
  t.deepEqual(mesh.delivered, ['3 m1']);
  t.deepEqual(mesh.outcomes, ['0 delivered 3']);
  t.is(mesh.all('accepted').length, 1);
  t.deepEqual(
    mesh.world.places.map(({ node }) => node!.status().durable),
    [0, 0, 0, 0],
    'nobody keeps it',
  );
});

test('a broadcast reaches every other node once, sent at most twice over each link', (t) => {
  const edges = randomEdges(12, new Random(3));
  const mesh = new Mesh(12, edges);
  mesh.send(0, 'all');
  mesh.run(2000);
  const links = new Set(edges.map((pair) => [...pair].sort().join())).size;
  t.true(mesh.world.messages <= 2 * links, `${mesh.world.messages} over ${links} links`);
  t.deepEqual(mesh.delivered.sort(), Array.from({ length: 11 }, (_, index) => `${index + 1} m1`).sort());
});

test('a message waits for a node that is down, over a restart of everybody', (t) => {
  const mesh = new Mesh(4, LINE);
  mesh.world.crash(3, true);
  mesh.run(5000);
  mesh.send(0, 3, { ref: 'message 1' });
  mesh.send(0, 'all');
  mesh.run(1000);
  t.deepEqual(mesh.delivered.sort(), ['1 m2', '2 m2']);
  for (const index of [0, 1, 2]) mesh.world.crash(index, true);
  for (const index of [0, 1, 2, 3]) mesh.world.start(index);
  mesh.run(90_000);
  t.deepEqual(mesh.delivered.filter((one) => one.startsWith('3')).sort(), ['3 m1', '3 m2']);
  t.deepEqual(mesh.outcomes, ['0 delivered 3']);
  t.is(mesh.all('outcome')[0]![1].ref, 'message 1', 'the sender is known after its restart');
});

test('a message to a dead node expires in time, and its sender gets one report', (t) => {
  const mesh = new Mesh(4, LINE);
  mesh.world.crash(3, false);
  mesh.send(0, 3, { ttlMs: 5000 });
  mesh.run(10_000);
  t.deepEqual(mesh.outcomes, ['0 expired 3']);
  mesh.world.start(3);
  mesh.run(90_000);
  t.deepEqual([mesh.delivered, mesh.outcomes.length], [[], 1]);
});

/** A line of 18 nodes: node 16 is as far from node 0 as a message gets. */
const longLine = Array.from({ length: 17 }, (_, index) => [index, index + 1] as const);

test('a message reaches a node that is 16 hops away; one that is farther is refused, and the sender learns why', (t) => {
  const mesh = new Mesh(18, longLine);
  const node = (index: number) => mesh.world.places[index]!.node!;
  mesh.send(0, 16);
  mesh.send(0, 17);
  mesh.send(0, 17, { isDurable: false });
  mesh.send(17, 1);
  mesh.run(2000);
  t.deepEqual(mesh.delivered.sort(), ['1 m4', '16 m1']);
  t.deepEqual(mesh.outcomes.sort(), ['0 delivered 16', '17 delivered 1']);
  for (const [, { reason, text }] of mesh.all('refused')) {
    t.is(reason, 'too-far');
    t.is(text, `node ${mesh.id(17)} is more than 16 hops away, the limit; link it to a nearer node`);
  }
  t.is(mesh.all('refused').length, 2);
  t.like(node(0).path(mesh.id(16)), { hop: mesh.id(1), links: 16 });
  t.is(node(0).path(mesh.id(17)), undefined, 'routing does not promise what cannot arrive');
  t.deepEqual([0, 1].map((index) => node(index).isTooFar(mesh.id(17))), [true, false]); // prettier-ignore
  t.false(mesh.all('node').some(([index, { change }]) => index === 0 && change.id === mesh.id(17)));
  for (const { node: one } of mesh.world.places) t.deepEqual([one!.status().durable, one!.status().volatile], [0, 0]);
  // Receipts and reports have the same way back; nothing is tried again and again.
  const { messages } = mesh.world;
  mesh.run(60_000);
  t.is(mesh.world.messages, messages);
});

test('a broadcast ends 16 hops from its sender', (t) => {
  const mesh = new Mesh(18, longLine);
  mesh.send(0, 'all');
  mesh.run(60_000);
  t.deepEqual(mesh.delivered.sort(), Array.from({ length: 16 }, (_, index) => `${index + 1} m1`).sort());
  for (const { node } of mesh.world.places) t.is(node!.status().durable, 0);
});

test('capabilities beyond 16 hops count as not offered', (t) => {
  const mesh = new Mesh(18, longLine, { capabilities: (index) => (index === 17 ? ['work:render'] : []) });
  for (const from of [0, 1]) mesh.send(from, 'all', { target: { type: 'any', capability: 'work:render' } });
  mesh.run(2000);
  t.deepEqual(mesh.delivered, ['17 m2']);
  t.like(mesh.all('refused')[0]![1], { reason: 'no-candidate' });
});

test('a message that waits while its node is more than 16 hops away arrives over a shorter way, or expires with the reason', (t) => {
  // A ring of 20: without the link between 0 and 19, node 19 is 19 hops away.
  const mesh = new Mesh(
    20,
    Array.from({ length: 20 }, (_, index) => [index, (index + 1) % 20] as const),
  );
  const cut = (change: 'cut' | 'restore'): void => {
    mesh.world[change](0, 19);
    mesh.world[change](19, 0);
  };
  cut('cut');
  mesh.run(1);
  for (const ttlMs of [undefined, 20_000]) mesh.send(0, 19, { ttlMs });
  mesh.run(30_000);
  t.deepEqual([mesh.delivered, mesh.outcomes], [[], ['0 expired 19']]);
  t.is(mesh.all('outcome')[0]![1].reason, `it did not reach ${mesh.id(19)} in time: that is more than 16 hops away, the limit`);
  const [waiting] = mesh.list(0, { limit: 10 });
  t.like(waiting!.entries[0], { state: 'waiting', target: mesh.id(19) });
  t.is(waiting!.entries.length, 1);
  cut('restore');
  mesh.run(90_000);
  t.deepEqual([mesh.delivered, mesh.outcomes], [['19 m1'], ['0 expired 19', '0 delivered 19']]);
});

test('a message takes another path when a link falls silent', (t) => {
  const mesh = new Mesh(4, [[0, 1], [1, 3], [0, 2], [2, 3]]); // prettier-ignore
  const hop = mesh.world.places[0]!.node!.path(mesh.id(3))!.hop === mesh.id(1) ? 1 : 2;
  mesh.world.cut(hop, 3);
  mesh.world.cut(3, hop);
  mesh.run(1);
  mesh.send(0, 3);
  mesh.run(20_000);
  t.deepEqual([mesh.delivered, mesh.outcomes], [['3 m1'], ['0 delivered 3']]);
});

test('a node that leaves says so: the others know within two seconds', (t) => {
  const mesh = new Mesh(4, LINE);
  mesh.event(2, { type: 'leave' });
  mesh.run(2000);
  t.is(mesh.world.places[0]!.node!.path(mesh.id(2)), undefined);
  t.is(mesh.world.places[0]!.node!.path(mesh.id(3)), undefined);
  t.true(mesh.world.places[0]!.node!.nodes().some(({ id, isLeaving }) => id === mesh.id(2) && isLeaving));
});

test('a capability finds a node that offers it, and is refused if nobody does', (t) => {
  const mesh = new Mesh(4, LINE, { capabilities: (index) => (index === 3 ? ['work:render'] : []) });
  mesh.send(0, 'all', { target: { type: 'any', capability: 'work:render' } });
  mesh.send(0, 'all', { target: { type: 'any', capability: 'work:paint' } });
  mesh.run(1000);
  t.deepEqual(mesh.delivered, ['3 m1']);
  t.like(mesh.all('refused')[0]![1], { reason: 'no-candidate', text: 'no node that can be reached offers work:paint' });
});

test('long lists of what nodes offer travel once, and not with each link state', (t) => {
  const methods = (index: number): string[] => Array.from({ length: 200 }, (_, at) => `method:plugin${index}.some_method_${at}`);
  const capabilities = (index: number): string[] => (index < 2 ? methods(0) : methods(index));
  const mesh = new Mesh(4, LINE, { capabilities });
  for (const { node } of mesh.world.places) {
    const lists = mesh.world.places.map(({ id }) => node!.nodes().find((one) => one.id === id)!.capabilities);
    t.deepEqual(lists, [0, 1, 2, 3].map(capabilities)); // prettier-ignore
  }
  mesh.send(0, 'all', { target: { type: 'any', capability: 'method:plugin3.some_method_199' } });
  mesh.run(1000);
  t.deepEqual(mesh.delivered, ['3 m1']);
  t.is(mesh.world.sent.get('capabilities'), 2 + 3 + 3, 'each list crosses each link to a node that lacks it; nodes 0 and 1 share theirs');
  mesh.run(120_000);
  t.is(mesh.world.sent.get('capabilities'), 8);
  mesh.event(3, { type: 'describe', description: { nick: 'n3', addresses: [], hostIds: [], capabilities: methods(9), load: 0 } });
  mesh.run(3000);
  t.is(mesh.world.places[0]!.node!.nodes().find(({ id }) => id === mesh.id(3))!.capabilities[0], 'method:plugin9.some_method_0');
});

test('answers to answers end', (t) => {
  const mesh = new Mesh(2, [[0, 1]]);
  mesh.send(0, 'all', { generation: 16 });
  mesh.send(0, 'all', { generation: 17 });
  mesh.run(1000);
  t.deepEqual(mesh.delivered, ['1 m1']);
  t.is(mesh.all('refused')[0]![1].reason, 'generation');
});

test('what the satellites of the target reject is reported to the sender', (t) => {
  const mesh = new Mesh(4, LINE, { outcome: { type: 'dead-letter', reason: 'ham.spam.Spam crashed five times' } });
  mesh.send(0, 3, { ref: 'message 1' });
  mesh.run(2000);
  t.deepEqual(mesh.outcomes, ['0 delivered 3', '0 dead-letter 3']);
  const [, report] = mesh.all('outcome').map(([, outcome]) => outcome);
  t.like(report, { reason: 'ham.spam.Spam crashed five times', ref: 'message 1' });
});

test('too much for one node is refused; a neighbour that is away loses its oldest broadcasts, with a report', (t) => {
  const mesh = new Mesh(3, [[0, 1], [0, 2]], { limits: { quotaMessages: 3 } }); // prettier-ignore
  mesh.world.crash(2, true);
  mesh.run(1000);
  for (let count = 0; count < 4; count++) {
    mesh.send(0, 2);
    mesh.run(100);
  }
  t.is(mesh.all('refused')[0]![1].reason, 'quota');
  for (let count = 0; count < 4; count++) {
    mesh.send(0, 'all');
    mesh.run(100);
  }
  t.deepEqual(mesh.outcomes, ['0 dropped 2', '0 dropped 2']);
  mesh.world.start(2);
  mesh.run(60_000);
  t.deepEqual(mesh.delivered.filter((one) => one.startsWith('2')).sort(), ['2 m1', '2 m2', '2 m3', '2 m7', '2 m8']);
});

test('a node whose disk fails refuses durable messages, says so, and passes on those in memory', (t) => {
  const mesh = new Mesh(3, [[0, 1], [1, 2]]); // prettier-ignore
  mesh.world.places[1]!.hasBrokenDisk = true;
  mesh.send(1, 2);
  mesh.run(1000);
  mesh.send(1, 2);
  mesh.send(0, 2, { isDurable: false });
  mesh.send(0, 2);
  mesh.run(5000);
  t.deepEqual(
    mesh.all('refused').map(([, { reason }]) => reason),
    ['storage', 'storage'],
  );
  t.deepEqual(
    mesh.all('alarm').map(([index]) => index),
    [1],
  );
  t.deepEqual(mesh.delivered, ['2 m3']);
  mesh.world.places[1]!.hasBrokenDisk = false;
  mesh.world.crash(1, true);
  mesh.world.start(1);
  mesh.run(90_000);
  t.deepEqual(mesh.delivered, ['2 m3', '2 m4'], 'the neighbour kept what was not acknowledged');
});

test('a second node with the same identity raises an alarm, and gets no link', (t) => {
  const mesh = new Mesh(2, [[0, 1]]);
  mesh.event(0, { type: 'proven', channel: 900, peer: { id: mesh.id(1), epoch: 1, instance: 'another' } });
  mesh.event(0, { type: 'proven', channel: 901, peer: { id: mesh.id(0), epoch: 1, instance: 'another' } });
  mesh.run(100);
  t.is(mesh.all('alarm').length, 2);
  t.is(mesh.world.places[0]!.node!.links().size, 1);
});

test('a link stays up if the connection that was to replace it ends before it is used', (t) => {
  const mesh = new Mesh(2, [[0, 1]]);
  const [near, far] = mesh.id(0) > mesh.id(1) ? [0, 1] : [1, 0];
  const { epoch, life, id } = mesh.world.places[far]!;
  mesh.event(near, { type: 'proven', channel: 900, peer: { id, epoch, instance: `${far}.${life}` } });
  mesh.event(near, { type: 'closed', channel: 900, reason: 'refused' });
  mesh.run(10_000);
  t.deepEqual(mesh.all('link').map(([, { state }]) => state), ['up', 'up']); // prettier-ignore
  mesh.send(near, far);
  mesh.run(1000);
  t.deepEqual(mesh.delivered, [`${far} m1`]);
});

test('attempts to reach a neighbour that is down are not reported as losses of its link, and do not change since when it is down', (t) => {
  const mesh = new Mesh(2, [[0, 1]]);
  const { epoch, life, id } = mesh.world.places[1]!;
  mesh.world.crash(1, true);
  mesh.run(1000);
  const status = () => mesh.world.places[0]!.node!.neighbours().map(({ state, since }) => [state, since]);
  const before = status();
  mesh.run(1000);
  for (const channel of [900, 901]) {
    mesh.event(0, { type: 'proven', channel, peer: { id, epoch, instance: `1.${life}` } });
    mesh.event(0, { type: 'closed', channel, reason: 'connection refused' });
  }
  mesh.run(1000);
  t.deepEqual(mesh.all('link').filter(([index]) => index === 0).map(([, { state }]) => state), ['up', 'down']); // prettier-ignore
  t.deepEqual(status(), before);
});

test('a neighbour that is forgotten gets nothing any more', (t) => {
  const mesh = new Mesh(3, [[0, 1], [0, 2]]); // prettier-ignore
  mesh.world.crash(2, true);
  mesh.send(0, 'all');
  mesh.run(1000);
  t.is(mesh.world.places[0]!.node!.status().durable, 1);
  mesh.event(0, { type: 'forget-peer', id: mesh.id(2) });
  mesh.run(1000);
  t.is(mesh.world.places[0]!.node!.status().durable, 0);
});

test('an operator sees what waits for others, in pages, with its content also after a restart', (t) => {
  const mesh = new Mesh(3, [[0, 1], [1, 2]]); // prettier-ignore
  mesh.world.crash(2, true);
  mesh.run(5000);
  mesh.send(0, 2, { ttlMs: 600_000, ref: 'a' });
  mesh.send(0, 'all');
  mesh.send(1, 2, { isDurable: false });
  mesh.run(1000);
  const idOf = (token: string) => mesh.all('accepted').find(([, effect]) => effect.token === token)![1].id;
  const [m1, m2, m3] = ['m1', 'm2', 'm3'].map(idOf);
  const [all] = mesh.list(1, { limit: 10 });
  t.deepEqual(all!.entries.map(({ id, state }) => [id, state]), [[m2, 'waiting'], [m3, 'waiting']]); // prettier-ignore
  t.like(all!.entries[0], { origin: mesh.id(0), target: undefined, waitingFor: [mesh.id(2)], attempts: 0, isDurable: true });
  const [first] = mesh.list(1, { limit: 1 });
  t.deepEqual([first!.entries[0]!.id, first!.hasMore], [m2, true]);
  const [second] = mesh.list(1, { limit: 1, after: first!.entries[0]!.position });
  t.deepEqual([second!.entries[0]!.id, second!.hasMore], [m3, false]);
  t.deepEqual(mesh.list(1, { limit: 10, node: mesh.id(0) })[0]!.entries, []);

  mesh.world.crash(0, true);
  mesh.world.start(0);
  mesh.run(9000);
  const [own] = mesh.list(0, { limit: 10 });
  t.like(own!.entries[0], { id: m1, target: mesh.id(2), state: 'waiting', head: { contentType: 'dict', ref: 'a', ttlMs: 600_000 } });
  const { ageMs = 0, ttlLeftMs } = own!.entries[0]!;
  t.true(Math.abs(ageMs - 10_000) < 500, `${ageMs} ms`);
  t.is(ageMs + ttlLeftMs, 600_000);
  mesh.outbox(0, { type: 'show', id: m1! });
  const shown = mesh.answers.at(-1)!;
  t.is(shown.type === 'message' ? String(shown.payload) : shown.type, 'm1');
  mesh.outbox(0, { type: 'show', id: m2! });
  t.is(mesh.answers.at(-1)!.type, 'unknown', 'node 1 has it');
});

test('a message that is tried again at the wish of an operator need not wait for the next attempt to connect', (t) => {
  const mesh = new Mesh(2, [[0, 1]]);
  mesh.world.crash(1, true);
  mesh.run(300_000);
  mesh.send(0, 1);
  mesh.run(20);
  mesh.world.start(1);
  const [entry] = mesh.list(0, { limit: 1 })[0]!.entries;
  mesh.outbox(0, { type: 'retry', id: entry!.id });
  t.is(mesh.answers.at(-1)!.type, 'done');
  mesh.run(1000);
  t.deepEqual(mesh.delivered, ['1 m1']);
});

test('a message that an operator drops is reported as dropped, by a node on its way to its origin', (t) => {
  const mesh = new Mesh(4, LINE);
  mesh.send(0, 3, { ttlMs: 600_000 });
  mesh.send(1, 3);
  mesh.world.crash(3, true);
  mesh.run(1000);
  const [m1, m2] = [mesh.list(2, { limit: 10 })[0]!.entries, mesh.list(1, { limit: 10 })[0]!.entries].map(
    (entries, index) => entries.find(({ origin }) => origin === mesh.id(index))!.id,
  );
  // A node that has not had the message is not believed.
  const forged = new ByteWriter().byte(4).text('no').bytes(Buffer.alloc(32)).end();
  mesh.send(1, 0, { payload: forged, contentType: 'co2/outcome', ref: m1 });
  mesh.run(1000);
  t.deepEqual(mesh.outcomes.filter((one) => one.startsWith('0')), []); // prettier-ignore
  t.is(mesh.list(0, { limit: 10 })[0]!.entries[0]!.state, 'custody');

  mesh.outbox(2, { type: 'drop', id: m1!, reason: 'dropped by an operator' });
  mesh.outbox(1, { type: 'drop', id: m2!, reason: 'dropped by an operator' });
  mesh.run(1000);
  t.deepEqual(mesh.outcomes.filter((one) => one.includes('dropped')).sort(), ['0 dropped 2', '1 dropped 3']);
  t.is(mesh.all('outcome').find(([index]) => index === 0)![1].reason, 'dropped by an operator');
  mesh.world.start(3);
  mesh.run(300_000);
  t.false(mesh.delivered.includes('3 m1'));
});

test('a node counts what it did, and what it does for each neighbour', (t) => {
  const mesh = new Mesh(3, [[0, 1], [1, 2]]); // prettier-ignore
  mesh.send(0, 2);
  mesh.send(0, 'all');
  mesh.run(1000);
  mesh.world.crash(2, true);
  mesh.run(5000);
  mesh.send(0, 'all');
  mesh.run(1000);
  const counters = mesh.world.places.map(({ node }) => node?.counters());
  t.like(counters[0], { accepted: 3, delivered: 0, forwarded: 0, forged: 0, dropped: 0, expired: 0 });
  // A message for node 2, its receipt, and the first broadcast.
  t.like(counters[1], { accepted: 0, delivered: 2, forwarded: 3 });
  const [first, second] = [0, 2].map((index) => mesh.world.places[1]!.node!.neighbours().find(({ id }) => id === mesh.id(index))!);
  t.like(first, { id: mesh.id(0), state: 'up', waitingMessages: 0, inFlightMessages: 0, sent: 1, received: 3, returned: 0 });
  t.like(second, { id: mesh.id(2), state: 'down', waitingMessages: 1, rttMs: undefined, sent: 2, received: 1 });
  t.true(first!.rttMs! > 0 && second!.waitingBytes > 100 && second!.since! > first!.since!);
});

test('the traffic of an hour ago, sent again, delivers nothing', (t) => {
  const mesh = new Mesh(2, [[0, 1]]);
  const replayed: NodeEvent[] = [];
  const node = mesh.world.places[1]!.node!;
  const handle = node.handle.bind(node);
  node.handle = (event, now) => {
    if (event.type === 'frame' && event.frame.type === 'push') replayed.push(event);
    return handle(event, now);
  };
  for (let count = 0; count < 50; count++) mesh.send(0, count % 2 === 0 ? 'all' : 1);
  // The system has written everything by then, so that nothing is delivered again after the crash.
  mesh.run(10_000);
  t.is(mesh.delivered.length, 50);
  mesh.world.crash(1, true);
  mesh.world.start(1);
  mesh.run(3_600_000);
  const stranger = fakeSigner(7);
  // A neighbour that has kept everything sends it with new numbers of its own link.
  mesh.event(1, { type: 'proven', channel: 900, peer: { id: mesh.id(0), epoch: 2, instance: stranger.publicKey.toString('hex') } });
  let first = 1;
  for (const event of replayed) {
    if (event.type !== 'frame' || event.frame.type !== 'push') continue;
    mesh.event(1, { type: 'frame', channel: 900, frame: { ...event.frame, first } });
    first += event.frame.items.length;
  }
  mesh.run(3000);
  t.true(first > 50);
  t.is(mesh.delivered.length, 50);
});

test('traffic flows again within 5 s after a silent loss, and within 1 s after a reset, with 100 nodes', (t) => {
  t.timeout(120_000);
  for (const [how, limitMs] of [
    ['silent', 5000],
    ['reset', 1000],
  ] as const) {
    const mesh = new Mesh(100, randomEdges(100, new Random(7)));
    mesh.run(20_000);
    const { places } = mesh.world;
    const target = 50;
    const first = places[0]!.node!.path(mesh.id(target))!.hop;
    const hop = places.findIndex(({ id }) => id === first);
    if (how === 'reset') mesh.world.reset(0, hop);
    mesh.world.cut(0, hop);
    mesh.world.cut(hop, 0);
    const start = mesh.world.now;
    mesh.send(0, target);
    while (mesh.delivered.length === 0 && mesh.world.now < start + 30_000) mesh.run(10);
    const healedMs = mesh.world.now - start;
    t.log(`${how}: delivered after ${healedMs} ms`);
    t.true(healedMs < limitMs, `${how}: ${healedMs} ms`);
  }
});

/** A node with one neighbour, that of key 1, whose messages are given to it. Returns the payloads that it delivers until then. */
function neighbourOf(limits: Partial<CustodyLimits> = {}) {
  const [id, peer] = [0, 1].map((key) => idOfKey(fakeCrypto, fakeSigner(key).publicKey)) as [string, string];
  const description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
  const node = new MeshNode({ id, epoch: 1, signer: fakeSigner(0), crypto: fakeCrypto, random: () => 0.5, description, limits }, 0);
  const delivered: string[] = [];
  const event = (one: NodeEvent, now: number): readonly Effect[] => {
    const effects = node.handle(one, now);
    for (const effect of effects) if (effect.type === 'deliver') delivered.push(String(effect.payload));
    return effects;
  };
  event({ type: 'proven', channel: 1, peer: { id: peer, epoch: 1, instance: 'a' } }, 0);
  event({ type: 'frame', channel: 1, frame: { type: 'states', states: [], isAnswer: true } }, 0);
  const ack = { through: 0, next: 1, hasGap: false, returned: [], seen: 0, window: 256 };
  let first = 1;
  /** The message of the neighbour with this number arrives; the payload is its number. */
  const receive = (number: number, isOrdered: boolean, now: number): void => {
    const payload = Buffer.from(String(number));
    const head: Head = {
      ...{ origin: peer, epoch: 1, target: undefined, number, low: 1, sentAt: 0, ttlMs: 60_000, isDurable: false, isOrdered, hostId: 'h' },
      ...{ generation: 0, ref: '', contentType: 'dict', payloadHash: fakeCrypto.hash(payload) },
    };
    const bytes = encodeHead(head);
    const [seal] = sealGroup([bytes], fakeSigner(1), fakeCrypto);
    const items = [{ head: bytes, seal: seal!, payload, hops: 15, ageMs: 0, via: [peer] }];
    event({ type: 'frame', channel: 1, frame: { type: 'push', first: first++, items, ack } }, now);
  };
  return { node, event, delivered, receive };
}

test('an ordered message that overtook another waits for it, at most five seconds, and others do not', (t) => {
  const { node, event, delivered, receive } = neighbourOf();
  // The first broadcast of a node need not wait for those from before this node came.
  receive(100, true, 5);
  receive(103, true, 10);
  receive(102, true, 20);
  receive(105, false, 30);
  t.deepEqual(delivered, ['100', '105']);
  receive(101, true, 40);
  t.deepEqual(delivered, ['100', '105', '101', '102', '103']);
  receive(107, true, 1000);
  receive(108, true, 3000);
  receive(110, true, 4000);
  t.is(node.wakeAt <= 6000, true);
  event({ type: 'tick' }, 5999);
  t.is(delivered.length, 5);
  event({ type: 'tick' }, 6000);
  t.deepEqual(delivered.slice(5), ['107', '108'], 'number 106 does not come');
  receive(109, true, 6500);
  t.deepEqual(delivered.slice(7), ['109', '110']);
});

test('of what a neighbour gives back at most a fifth of the traffic is sent again', (t) => {
  const { event } = neighbourOf();
  let [sent, first, last, repeated, now, token] = [0, 0, 0, 0, 0, 0];
  const seen = new Set<string>();
  const take = (effects: readonly Effect[]): void => {
    for (const effect of effects) {
      if (effect.type !== 'send' || effect.frame.type !== 'push') continue;
      last = effect.frame.first + effect.frame.items.length - 1;
      for (const { head } of effect.frame.items) {
        sent++;
        if (seen.has(head.toString('hex'))) repeated++;
        seen.add(head.toString('hex'));
      }
    }
  };
  const submission = { target: { type: 'all' }, payload: Buffer.from('x'), isDurable: false, isOrdered: false, hostId: 'h' } as const;
  for (; now < 10_000; now += 10) {
    // 1,000 new ones per second, and the neighbour has no room for any.
    for (let count = 0; count < 10; count++) {
      const one = { ...submission, token: String(++token), generation: 0, contentType: 'dict', ttlMs: 600_000 };
      take(event({ type: 'submit', submission: one, wallMs: 0 }, now));
    }
    const returned = Array.from({ length: last - first }, (_, index) => [first + 1 + index, 'quota'] as const);
    const ack = { through: last, next: last + 1, hasGap: false, returned, seen: 0, window: 256 };
    first = last;
    take(event({ type: 'frame', channel: 1, frame: { type: 'ack', ack } }, now));
  }
  t.log(`${sent} sent, ${repeated} of them again`);
  t.true(sent >= 10_000 && repeated > 1000);
  // What may be sent again without other traffic is not much: 100 per second.
  t.true(repeated < 0.2 * sent + 10 * 100 + 256, `${repeated} of ${sent}`);
});

type Step =
  | { readonly type: 'submit'; readonly isBroadcast: boolean }
  | { readonly type: 'drop'; readonly which: number }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'answer'; readonly isLate: boolean }
  | { readonly type: 'crash'; readonly kept: number };

/** A node alone with its disk, whose answers come when they are asked for. What it sends waits for a neighbour that never comes. */
class LoneNode {
  readonly disk = new VirtualDisk();
  readonly accepted = new Map<string, string>();
  /** When each message was done. */
  readonly doneAt = new Map<string, number>();
  now = 1000;
  reads = 0;
  node!: MeshNode;
  #pending: (Effect & { readonly type: 'write' | 'read' })[] = [];
  #unsyncedSince = Infinity;
  #epoch = 0;
  #sent = 0;
  #shown: OutboxAnswer[] = [];

  constructor() {
    this.disk.write([{ type: 'put', table: PEER_TABLE, key: 'c'.repeat(32), value: Buffer.alloc(0) }]);
    this.disk.sync();
    this.start();
  }

  start(): void {
    const id = idOfKey(fakeCrypto, fakeSigner(0).publicKey);
    const description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
    const parts = { id, epoch: ++this.#epoch, signer: fakeSigner(0), crypto: fakeCrypto, random: () => 0.5, description };
    this.node = new MeshNode({ ...parts, limits: { shortLog: 16, cacheBytes: 0 } }, this.now);
    for (const [key] of this.disk.entries(PEER_TABLE)) this.node.restore.peer(key);
    for (const [key, value] of this.disk.entries(SEEN_TABLE)) this.node.restore.seen(key, value);
    for (const [number, value] of this.disk.records(MESSAGE_LOG)) this.node.restore.record(number, value);
    this.#perform(this.node.start(this.now));
  }

  event(event: NodeEvent): void {
    this.#perform(this.node.handle(event, this.now));
  }

  take(step: Step): void {
    if (step.type === 'submit') this.#submit(step.isBroadcast);
    else if (step.type === 'drop') this.#drop([...this.accepted.keys()][step.which % this.accepted.size]);
    else if (step.type === 'wait') this.wait(step.ms);
    else if (step.type === 'answer') this.answer(step.isLate);
    else this.crash(step.kept);
  }

  wait(ms: number): void {
    this.now += ms;
    // The system writes everything within 5 s.
    if (this.now - this.#unsyncedSince >= 5000) this.#sync();
    this.event({ type: 'tick' });
  }

  /** The disk answers the oldest write or read; or the newest. */
  answer(isLate = false): void {
    const effect = isLate ? this.#pending.pop() : this.#pending.shift();
    if (!effect) return;
    if (effect.type === 'read') {
      this.event({ type: 'read', request: effect.request, values: effect.numbers.map((one) => this.disk.record(MESSAGE_LOG, one)) });
      return;
    }
    const numbers = this.disk.write(effect.operations);
    this.#unsyncedSince = Math.min(this.#unsyncedSince, this.now);
    if (effect.durability === 'synced') this.#sync();
    this.event({ type: 'written', batch: effect.batch, numbers });
  }

  /** Writes and drops messages behind one that stays, until the node asks for records that it moves; they are still to be read. */
  churn(): boolean {
    this.#submit(false);
    while (this.#pending.length > 0) this.answer();
    const kept = [...this.accepted.keys()].at(-1);
    const before = this.reads;
    for (let round = 0; round < 50 && this.reads === before; round++) {
      this.#submit(false);
      while (this.#pending.length > 0 && this.reads === before) this.answer();
      for (const id of this.accepted.keys()) if (id !== kept) this.#drop(id);
      this.wait(300);
    }
    return this.reads > before;
  }

  settle(): void {
    for (let quiet = 0; quiet < 8; quiet++) {
      while (this.#pending.length > 0) this.answer();
      this.wait(1000);
    }
  }

  crash(kept: number): void {
    this.disk.crash(Math.min(kept, this.disk.unsynced));
    this.#unsyncedSince = Infinity;
    this.#pending = [];
    this.start();
  }

  /** Its payload; undefined if it does not wait here. */
  show(id: string): string | undefined {
    this.#shown = [];
    this.event({ type: 'outbox', request: 2, command: { type: 'show', id } });
    while (this.#shown.length === 0 && this.#pending.length > 0) this.answer();
    const [answer] = this.#shown;
    return answer?.type === 'message' ? String(answer.payload) : undefined;
  }

  #drop(id: string | undefined): void {
    if (id === undefined || this.doneAt.has(id)) return;
    this.event({ type: 'outbox', request: 1, command: { type: 'drop', id, reason: 'test' } });
    this.doneAt.set(id, this.now);
  }

  #sync(): void {
    this.disk.sync();
    this.#unsyncedSince = Infinity;
  }

  #submit(isBroadcast: boolean): void {
    const token = `t${++this.#sent}`;
    const target = isBroadcast ? ({ type: 'all' } as const) : ({ type: 'node', id: 'a'.repeat(32) } as const);
    const submission = { token, target, payload: Buffer.from(token), isDurable: true, isOrdered: false, hostId: 'h', generation: 0 };
    this.event({ type: 'submit', submission: { ...submission, contentType: 'dict' }, wallMs: 0 });
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'read') this.reads++;
      if (effect.type === 'write' || effect.type === 'read') this.#pending.push(effect);
      if (effect.type === 'accepted') this.accepted.set(effect.id, effect.token);
      if (effect.type === 'outbox' && effect.request === 2) this.#shown.push(effect.answer);
    }
  }
}

test('over crashes nothing that was accepted is lost, what was done long ago stays done, and the log stays short', (t) => {
  t.timeout(120_000);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ type: fc.constant('submit' as const), isBroadcast: fc.boolean() }) },
    { weight: 8, arbitrary: fc.record({ type: fc.constant('drop' as const), which: fc.nat(50) }) },
    { weight: 20, arbitrary: fc.record({ type: fc.constant('answer' as const), isLate: fc.boolean() }) },
    { weight: 5, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(10, 300, 3000) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('crash' as const), kept: fc.nat(5) }) },
  );
  const steps = fc.array(step, { minLength: 75, maxLength: 200, size: 'max' });
  let moved = 0;
  fc.assert(
    fc.property(steps, steps, (before, during) => {
      const lone = new LoneNode();
      for (const one of before) lone.take(one);
      // Chance alone moves records in one of twenty runs; what follows happens while they are moved.
      moved += lone.churn() ? 1 : 0;
      for (const one of during) lone.take(one);
      lone.settle();
      // What was done just before an earlier crash may be there again.
      const gone = [...lone.doneAt.keys()].filter((id) => lone.show(id) === undefined);
      lone.crash(0);
      lone.settle();
      const waiting = [...lone.accepted].filter(([id]) => !lone.doneAt.has(id));
      for (const [id, payload] of waiting) assert.equal(lone.show(id), payload, JSON.stringify([before, during]));
      for (const id of gone) assert.equal(lone.show(id), undefined, JSON.stringify([before, during]));
      const records = lone.disk.records(MESSAGE_LOG).map(([number]) => number);
      const length = (records.at(-1) ?? 0) - (records[0] ?? 0) + 1;
      const { durable } = lone.node.status();
      assert.ok(length <= Math.max(16, 4 * durable) + 8, `${length} records for ${durable} messages`);
    }),
    { numRuns: 300 },
  );
  t.is(moved, 300, 'records were moved in every run');
});

test('a message is found after a crash at any moment while its record is moved, and it is done when it is dropped', (t) => {
  for (let answers = 0; answers < 8; answers++) {
    const lone = new LoneNode();
    t.true(lone.churn());
    const [id, payload] = [...lone.accepted].find(([one]) => !lone.doneAt.has(one))!;
    for (let count = 0; count < answers; count++) lone.answer();
    lone.crash(0);
    t.is(lone.show(id), payload, `after ${answers} answers of the disk`);
    lone.take({ type: 'drop', which: [...lone.accepted.keys()].indexOf(id) });
    lone.settle();
    lone.crash(0);
    t.is(lone.show(id), undefined);
  }
});

test('a node works on the real store: what it accepted is there after a power failure', async (t) => {
  const disk = new MemoryDisk();
  const clock = new VirtualClock();
  const open = () => openStore({ disk, options: { minFreeBytes: 0, minFreePercent: 0 }, clock, report: () => undefined });
  const start = async (epoch: number) => {
    const store = await open();
    const signer = fakeSigner(0);
    const description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
    const id = new World({ random: new Random(1), nodes: 1, edges: [], onEffect: () => undefined }).places[0]!.id;
    const node = new MeshNode({ id, epoch, signer, crypto: fakeCrypto, random: () => 0.5, description }, 1000);
    for await (const { key } of store.entries(PEER_TABLE)) node.restore.peer(key);
    for await (const { key, value } of store.entries(SEEN_TABLE)) node.restore.seen(key, value);
    for await (const { number, value } of store.records(MESSAGE_LOG)) node.restore.record(number, value);
    return { store, node, effects: node.start(1000) };
  };
  const first = await start(1);
  const target = { type: 'node', id: 'a'.repeat(32) } as const;
  const submission = { token: 'a', target, payload: Buffer.from('x'), isDurable: true, isOrdered: false, hostId: 'h', generation: 0 };
  const effects = first.node.handle({ type: 'submit', submission: { ...submission, contentType: 'dict' }, wallMs: 0 }, 1001);
  const write = effects.find((effect): effect is Of<'write'> => effect.type === 'write')!;
  t.deepEqual([write.durability, write.isProgress, effects.some(({ type }) => type === 'accepted')], ['synced', false, false]);
  const numbers = await first.store.write(write.operations, write);
  const after = first.node.handle({ type: 'written', batch: write.batch, numbers }, 1002);
  t.true(after.some(({ type }) => type === 'accepted'));
  disk.crash();
  const second = await start(2);
  t.is(second.node.status().durable, 1);
  t.is(String(await second.store.get(TIME_TABLE, 'now')), '1001', 'the time goes on from there');
  await second.store.close();
});
