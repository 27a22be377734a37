/** What is asked of one node whose neighbours a test plays: frames that no honest node sends, and more of them than it can keep. */
import test from 'ava';
import { MeshNode, SeenMessages, idOfKey } from '../../src/mesh-core/mesh-core.ts';
import type { CustodyLimits, Effect, Envelope, Frame, Head, NodeEvent, Signer, Submission } from '../../src/mesh-core/mesh-core.ts';
import { signState } from '../../src/mesh-core/link-state.ts';
import type { LinkState } from '../../src/mesh-core/link-state.ts';
import { encodeHead } from '../../src/mesh-core/message.ts';
import { sealGroup } from '../../src/mesh-core/seal.ts';
import { fakeCrypto, fakeSigner } from '../simulate/fake-crypto.ts';

type Of<T extends Effect['type']> = Effect & { readonly type: T };

const idOf = (signer: Signer): string => idOfKey(fakeCrypto, signer.publicKey);
const ACK = { through: 0, next: 1, hasGap: false, returned: [], seen: 0, window: 256 } as const;

/** A node with a disk that is always quick. */
class Lone {
  readonly id = idOf(fakeSigner(0));
  readonly node: MeshNode;
  readonly effects: Effect[] = [];
  now = 1000;
  #lastChannel = 0;
  #records = 0;

  constructor(limits: Partial<CustodyLimits> = {}) {
    const description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
    const parts = { id: this.id, epoch: 1, signer: fakeSigner(0), crypto: fakeCrypto, random: () => 0.5, description, limits };
    this.node = new MeshNode(parts, this.now);
    this.#perform(this.node.start(this.now));
  }

  event(...events: readonly NodeEvent[]): void {
    this.#perform(this.node.handleAll(events, this.now));
  }

  #perform(effects: readonly Effect[]): void {
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.type !== 'write') continue;
      const appended = effect.operations.filter(({ type }) => type === 'append');
      this.event({ type: 'written', batch: effect.batch, numbers: appended.map(() => ++this.#records) });
    }
  }

  all<T extends Effect['type']>(type: T): Of<T>[] {
    return this.effects.filter((effect): effect is Of<T> => effect.type === type);
  }

  frames<T extends Frame['type']>(type: T): (Frame & { readonly type: T })[] {
    return this.all('send').flatMap(({ frame }) => (frame.type === type ? [frame as Frame & { readonly type: T }] : []));
  }

  /** Passes time, in which the neighbours on these channels are heard of. */
  pass(ms: number, ...channels: readonly number[]): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now = Math.min(end, this.now + 500);
      this.event(...channels.map((channel): NodeEvent => ({ type: 'frame', channel, frame: { type: 'ack', ack: ACK } })), { type: 'tick' });
    }
  }

  /** A link with the neighbour that has this key. */
  link(signer: Signer, more: Partial<LinkState> = {}): number {
    const channel = ++this.#lastChannel;
    const peer = { id: idOf(signer), epoch: 1, instance: idOf(signer) };
    const states = [stateOf(signer, { neighbours: [{ id: this.id, cost: 1 }], ...more })];
    this.event({ type: 'proven', channel, peer }, { type: 'frame', channel, frame: { type: 'states', states, isAnswer: true } });
    return channel;
  }

  submit(change: Partial<Submission>): void {
    const submission = { token: 'a', target: { type: 'all' }, payload: Buffer.alloc(1000), isDurable: false, isOrdered: false } as const;
    const event = { ...submission, hostId: 'h', generation: 0, contentType: 'dict', ...change };
    this.event({ type: 'submit', submission: event, wallMs: 0 });
  }
}

function stateOf(signer: Signer, change: Partial<LinkState> = {}): Buffer {
  const common = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0, isLeaving: false, neighbours: [] };
  return signState({ ...common, id: idOf(signer), epoch: 1, sequence: 1, ...change }, signer, fakeCrypto).bytes;
}

const headOf = (signer: Signer, change: Partial<Head>): Head => ({
  ...{ origin: idOf(signer), epoch: 1, target: undefined, number: 1, low: 1, sentAt: 0, ttlMs: 60_000, isDurable: false, isOrdered: false },
  ...{ hostId: '', generation: 0, ref: '', contentType: 'dict', payloadHash: fakeCrypto.hash(Buffer.from('x')), ...change },
});

function envelopeOf(signer: Signer, by: string, change: Partial<Head>): Envelope {
  const head = encodeHead(headOf(signer, change));
  const [seal = Buffer.alloc(0)] = sealGroup([head], signer, fakeCrypto);
  return { head, seal, payload: Buffer.from('x'), hops: 15, ageMs: 0, via: [by] };
}

test('what is in memory for a neighbour that is away does not keep out what others take', (t) => {
  const lone = new Lone({ cacheBytes: 50_000 });
  const [near, far] = [lone.link(fakeSigner(1)), lone.link(fakeSigner(2))];
  lone.event({ type: 'closed', channel: far, reason: 'reset' });
  for (let count = 1; count <= 300; count++) {
    lone.submit({ ref: String(count) });
    // The one that is there takes everything at once.
    lone.event({ type: 'frame', channel: near, frame: { type: 'ack', ack: { ...ACK, through: count, next: count + 1 } } });
  }
  t.deepEqual(lone.all('refused'), []);
  t.is(lone.frames('push').flatMap(({ items }) => items).length, 300);
  const outcomes = lone.all('outcome');
  t.true(outcomes.length >= 240 && outcomes.every(({ status, node }) => status === 'dropped' && node === idOf(fakeSigner(2))));
  t.deepEqual(
    outcomes.map(({ ref }) => ref),
    outcomes.map((_, index) => String(index + 1)),
    'the oldest first',
  );
});

test('no frame has more entries than neighbours accept, however many link states and lists somebody makes up', (t) => {
  const lone = new Lone();
  const [hostile, honest] = [lone.link(fakeSigner(1)), lone.link(fakeSigner(2))];
  const long = (text: string): string[] => Array.from({ length: 40 }, (_, index) => `method:${text}.${index}.${'x'.repeat(40)}`);
  for (let sequence = 1; sequence <= 3; sequence++) {
    const states = Array.from({ length: 900 }, (_, index) =>
      stateOf(fakeSigner(10 + index), { sequence, capabilities: long(`${index}.${sequence}`) }),
    );
    lone.event({ type: 'frame', channel: hostile, frame: { type: 'states', states, isAnswer: false } });
  }
  lone.pass(25_000, hostile, honest);
  lone.event({ type: 'frame', channel: hostile, frame: { type: 'want', ids: Array.from({ length: 1000 }, () => idOf(fakeSigner(10))) } });
  t.true(lone.frames('want-capabilities').length > 2);
  for (const { hashes } of lone.frames('want-capabilities')) t.true(hashes.length <= 1024, String(hashes.length));
  for (const { states } of lone.frames('states')) t.true(states.length <= 1024, String(states.length));
  t.is(lone.frames('states').at(-1)!.states.length, 1, 'what is asked for twice is sent once');
  t.is(lone.node.links().size, 2);
});

test('a neighbour that is new is remembered also when there were too many before: one that is away gives way', (t) => {
  const lone = new Lone();
  for (let index = 1; index <= 1024; index++) {
    const channel = lone.link(fakeSigner(index));
    lone.event({ type: 'closed', channel, reason: 'reset' });
  }
  lone.link(fakeSigner(2000));
  t.true(lone.node.isNeighbour(idOf(fakeSigner(2000))));
  t.is([...Array(1024).keys()].filter((index) => lone.node.isNeighbour(idOf(fakeSigner(index + 1)))).length, 1023);
  t.regex(lone.all('alarm').at(-1)!.text, /1024 neighbours are remembered/);
});

test('a node to which nothing was sent for long is forgotten, and its numbers are never used again', (t) => {
  const lone = new Lone();
  const to = (index: number): Partial<Submission> => ({ target: { type: 'node', id: idOf(fakeSigner(index)) }, ttlMs: 1000 });
  for (let count = 0; count < 3; count++) lone.submit(to(1));
  lone.submit(to(2));
  for (let index = 3; index <= 4096; index++) lone.submit(to(index));
  lone.pass(60_000);
  lone.submit(to(5000));
  lone.submit(to(2));
  t.is(lone.all('accepted').at(-1)!.id.split('.').at(-1), '4', 'behind all numbers of the streams that were forgotten');
});

test('reports to a node that takes none are bounded, and so is all that waits for nodes that do not exist', (t) => {
  const lone = new Lone({ quotaMessages: 5 });
  const hostile = fakeSigner(1);
  const channel = lone.link(hostile);
  for (let number = 1; number <= 40; number++) {
    const items = [envelopeOf(hostile, idOf(hostile), { target: lone.id, number })];
    lone.event({ type: 'frame', channel, frame: { type: 'push', first: number, items, ack: { ...ACK, window: 0, seen: number - 1 } } });
    const { delivery } = lone.all('deliver').at(-1)!;
    lone.event({ type: 'processed', delivery, outcome: { type: 'rejected', reason: 'not wanted' } });
  }
  t.is(lone.all('deliver').length, 40);
  t.true(lone.node.status().durable <= 5, String(lone.node.status().durable));
  const other = new Lone({ quotaMessages: 5 });
  for (let index = 0; index < 50; index++) other.submit({ target: { type: 'node', id: idOf(fakeSigner(index + 1)) }, isDurable: true });
  t.is(other.all('accepted').length, 20);
  t.deepEqual([...new Set(other.all('refused').map(({ reason }) => reason))], ['quota']);
});

test('a message that somebody recorded is not taken again, after weeks, and after thousands of made-up nodes', (t) => {
  const seen = new SeenMessages();
  const [origin, isKnown] = [fakeSigner(1), (node: string) => node === idOf(fakeSigner(1))];
  seen.add(headOf(origin, { isDurable: true, number: 7 }), 0, isKnown);
  seen.closeOld(9 * 86_400_000);
  for (const number of [1, 7]) t.is(seen.look(headOf(origin, { isDurable: true, number })), 'seen');
  t.is(seen.look(headOf(origin, { isDurable: true, number: 8 })), 'new');
  for (let index = 0; index < 40_000; index++) seen.add(headOf(fakeSigner(2), { epoch: index + 1 }), 1, isKnown);
  t.is(seen.look(headOf(origin, { isDurable: true, number: 7 })), 'seen');
  t.is(seen.look(headOf(fakeSigner(2), { epoch: 1 })), 'new', 'memory is bounded');
  const isEachKnown = (): boolean => true;
  for (let index = 0; index < 40_000; index++) seen.add(headOf(fakeSigner(10 + (index % 1000)), { epoch: index + 1 }), 1, isEachKnown);
  t.is(seen.look(headOf(origin, { isDurable: true, number: 7 })), 'seen', 'also of nodes that make themselves known');
});
