/** The host of a node: messages over real channels and stores, what waits over restarts, and malformed frames. */
import { once } from 'node:events';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Random } from '../fuzz/random.ts';
import type { Envelope, Frame } from '../../src/mesh-core/mesh-core.ts';
import { frameOnWire, readFrame } from '../../src/mesh/frames.ts';
import type { MeshMessage } from '../../src/mesh/mesh.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { parseCall, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { refuses, rejects } from '../support/relay-error.ts';
import { TestNode, startNodes } from '../support/mesh-hosts.ts';
import { pass } from '../support/turns.ts';

const message = (text: string, more: Partial<MeshMessage> = {}): MeshMessage => ({
  ...{ target: { type: 'all' }, contentType: 'test', payload: Buffer.from(text), isDurable: true },
  ...more,
});
const textsOf = (node: TestNode): readonly string[] => node.received.all.map(({ payload }) => payload.toString());

test('a message for all crosses a relay that has no link with its origin the other way', async (t) => {
  const [a, b, c] = (await startNodes(
    t,
    ['a', 'b', 'c'],
    [
      [0, 1],
      [2, 1],
    ],
  )) as [TestNode, TestNode, TestNode];
  const id = await a.host.submit(message('hello'));
  t.true(id.startsWith(`${a.id}.1.b.`));
  const [arrival] = await c.received.first(1);
  t.is(arrival?.payload.toString(), 'hello');
  t.deepEqual(arrival?.via, [a.id, b.id]);
  t.is(arrival?.head.hostId, 'a@127.0.0.1:1');
  await b.received.first(1);
  t.deepEqual(textsOf(a), [], 'its origin does not receive it');
});

test('a message for a node that is away waits over restarts of both', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  await b.stop();
  await a.host.submit(message('waits', { target: { type: 'node', id: b.id } }));
  await a.host.submit(message('for all'));
  await a.stop();
  await a.start();
  await b.start();
  a.dial(b);
  await b.received.first(2);
  t.deepEqual([...textsOf(b)].sort(), ['for all', 'waits']);
  t.is(b.received.all[0]?.isRedelivered, false);
});

test('the outcome of a message for one node is reported once that node has it', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  const outcomes: string[] = [];
  const reported = new Promise<void>((resolve) => {
    a.host.onOutcome(({ id, status, node }) => {
      outcomes.push(`${id} ${status} ${String(node)}`);
      resolve();
    });
  });
  const id = await a.host.submit(message('x', { target: { type: 'node', id: b.id } }));
  await reported;
  t.deepEqual(outcomes, [`${id} delivered ${b.id}`]);
});

test('a kind that nobody receives is rejected, and the origin hears of it', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  const statuses: string[] = [];
  const rejected = new Promise<string>((resolve) => {
    a.host.onOutcome(({ status, reason }) => {
      statuses.push(status);
      if (status === 'rejected') resolve(reason);
    });
  });
  await a.host.submit(message('x', { target: { type: 'node', id: b.id }, contentType: 'unheard-of' }));
  t.regex(await rejected, /does not know messages of the kind unheard-of/);
  t.true(statuses.includes('rejected'));
});

test('while the disk is almost full, durable messages are refused and others are not', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  await a.fillDisk();
  const error = await rejects(t, a.host.submit(message('x')), 'UNAVAILABLE');
  t.regex(error.message, /the disk is almost full/);
  await a.host.submit(message('in memory', { isDurable: false }));
  await b.received.first(1);
  t.deepEqual(textsOf(b), ['in memory']);
});

test('messages that are sent together are signed together and keep their order', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  const texts = Array.from({ length: 500 }, (_, index) => String(index));
  await Promise.all(texts.map((text) => a.host.submit(message(text, { isOrdered: true }))));
  await b.received.first(500);
  t.deepEqual(textsOf(b), texts);
});

test('a link stays up while a connection in the other direction replaces it, however slow that is', async (t) => {
  const [one, other, third] = (await startNodes(t, ['a', 'b', 'c'], [])) as [TestNode, TestNode, TestNode];
  const [lesser, greater] = one.id < other.id ? [one, other] : [other, one];
  third.dial(greater);
  greater.dial(lesser);
  await lesser.seen.event('node.up', { node: third.id });
  await third.seen.event('node.up', { node: lesser.id });
  // The connection of the lesser id is the one that remains.
  lesser.dial(greater, () => pass(50));
  for (const node of [lesser, greater])
    await node.seen.event('mesh.link', { state: 'up', node: node === lesser ? greater.id : lesser.id }, 2);
  await lesser.host.submit(message('hello', { target: { type: 'node', id: third.id } }));
  await third.received.first(1);
  for (const node of [lesser, greater, third]) {
    t.deepEqual(node.seen.matching('mesh.link', { state: 'down' }), []);
    t.deepEqual(node.seen.matching('node.down'), []);
  }
});

test('any number of messages may be submitted in one turn of the event loop, and other work gets its turn', async (t) => {
  const [a] = (await startNodes(t, ['a'], [])) as [TestNode];
  const state = { isOver: false, turns: 0 };
  // Of those that differ none travel together.
  const differing = (index: number): Partial<MeshMessage> => ({ isDurable: false, isOrdered: index % 2 === 0 });
  const submitted = Promise.all(Array.from({ length: 150_000 }, (_, index) => a.host.submit(message('', differing(index)))));
  const over = submitted.then(() => {
    state.isOver = true;
  });
  for (; !state.isOver; state.turns++) await new Promise(setImmediate);
  await over;
  t.true(state.turns > 20, `${state.turns} turns`);
});

test('a node that says goodbye is gone from the others at once', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  await b.stop();
  const { reason } = await a.seen.event('mesh.link', { node: b.id, state: 'down' });
  t.regex(reason, /the node leaves/);
  t.true(a.host.nodes().some((node) => node.id === b.id && node.isLeaving));
});

test('nodes learn which others can be reached, over any number of hops, and why one cannot any more', async (t) => {
  const [a, b, c] = (await startNodes(
    t,
    ['a', 'b', 'c'],
    [
      [0, 1],
      [1, 2],
    ],
  )) as [TestNode, TestNode, TestNode];
  const changes: string[] = [];
  a.host.onNodes(({ id, state }) => changes.push(`${id} ${state}`));
  await a.seen.event('node.up', { node: b.id, nick: 'b' });
  await a.seen.event('node.up', { node: c.id, nick: 'c' });
  await c.stop();
  t.is((await a.seen.event('node.down', { node: c.id, nick: 'c' })).reason, 'left');
  // Without a goodbye.
  b.vanish();
  t.is((await a.seen.event('node.down', { node: b.id })).reason, 'lost');
  t.deepEqual(changes.slice(-2), [`${c.id} down`, `${b.id} down`]);
  t.deepEqual(c.seen.matching('node.down'), [], 'the one that leaves does not report that the others are lost');
});

test('a node that says goodbye while a new connection is about to replace its own has left, also for others behind it', async (t) => {
  const [one, other, third] = (await startNodes(t, ['a', 'b', 'c'], [])) as [TestNode, TestNode, TestNode];
  const [lesser, greater] = one.id < other.id ? [one, other] : [other, one];
  third.dial(lesser);
  greater.dial(lesser);
  await third.seen.event('node.up', { node: greater.id });
  // The connection that would remain is made, but nothing comes through it yet.
  const push = new AbortController();
  lesser.dial(greater, () => once(push.signal, 'abort').then(() => undefined));
  await pass(50);
  await greater.stop();
  push.abort();
  t.is((await third.seen.event('node.down', { node: greater.id })).reason, 'left');
  t.is((await lesser.seen.event('node.down', { node: greater.id })).reason, 'left');
});

test('a dialled node that says goodbye tells the one that dialled it', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[1, 0]])) as [TestNode, TestNode];
  await b.stop();
  const { reason } = await a.seen.event('mesh.link', { node: b.id, state: 'down' });
  t.regex(reason, /the node leaves/);
});

// Frames on the wire

const ack = { through: 5, next: 7, hasGap: true, returned: [[3, 'quota']], seen: 2, window: 256 } as const;

function overTheWire(t: ExecutionContext, frame: Frame): Frame {
  const [value] = parseCall(serialiseCall('relay.push', [frameOnWire(frame)])).params;
  t.truthy(value);
  return readFrame(value);
}

function envelopeOf(random: Random): Envelope {
  const bytes = (max: number): Buffer => Buffer.from(Array.from({ length: random.below(max) }, () => random.below(256)));
  const id = (): string => Array.from({ length: 32 }, () => 'abcdefghijklmnopqrstuvwxyz234567'.charAt(random.below(32))).join('');
  const via = Array.from({ length: random.below(17) }, id);
  return { head: bytes(200), seal: bytes(200), payload: bytes(2000), hops: random.below(17), ageMs: random.below(10 ** 9), via };
}

test('frames are the same after the wire', (t) => {
  const random = new Random(7);
  const id = 'a'.repeat(32);
  const frames: Frame[] = [
    { type: 'sync', versions: [[id, 3, 2 ** 40]] },
    { type: 'versions', versions: [] },
    { type: 'ack', ack },
    { type: 'beat', at: 123_456_789_012.25, echo: undefined, heldMs: 0.5, ack: { ...ack, hasGap: false, returned: [] } },
    { type: 'beat', at: 1, echo: 2 ** 33, heldMs: 3, ack },
    { type: 'states', states: [Buffer.from('one'), Buffer.alloc(0)], isAnswer: true },
    { type: 'summary', summary: 2 ** 32 - 1 },
    { type: 'want', ids: [id] },
    { type: 'want-capabilities', hashes: [Buffer.alloc(32, 7)] },
    { type: 'capabilities', lists: [Buffer.from('a list')] },
    { type: 'bye', reason: 'the node leaves', states: [Buffer.from('last')] },
    ...Array.from({ length: 50 }, (): Frame => {
      const items = Array.from({ length: 1 + random.below(64) }, () => envelopeOf(random));
      return { type: 'push', first: 2 ** 33 + random.below(100), items, ack };
    }),
  ];
  for (const frame of frames) t.deepEqual(overTheWire(t, frame), frame);
});

const malformed: readonly (readonly [string, Sendable])[] = [
  ['no struct', 'beat'],
  ['no type', {}],
  ['an unknown type', { t: 'shutdown' }],
  ['a negative number', { t: 'push', first: -1, items: Buffer.alloc(0), ack: { through: 0, next: 1, seen: 0, window: 1 } }],
  ['a list of messages instead of bytes', { t: 'push', first: 1, items: [], ack: { through: 0, next: 1, seen: 0, window: 1 } }],
  ['a batch that is cut', { t: 'push', first: 1, items: Buffer.from([1, 2]), ack: { through: 0, next: 1, seen: 0, window: 1 } }],
  ['an ack without members', { t: 'ack', ack: {} }],
  ['a node id in capitals', { t: 'want', ids: ['A'.repeat(32)] }],
  ['a reason that is none', { t: 'ack', ack: { through: 0, next: 1, seen: 0, window: 1, returned: [[1, 'because']] } }],
  ['too many ids', { t: 'want', ids: Array.from({ length: 1025 }, () => 'a'.repeat(32)) }],
  ['a link state of 65 KiB', { t: 'states', states: [Buffer.alloc(65 * 1024 + 1)] }],
];
for (const [name, value] of malformed) {
  test(`a frame with ${name} is refused`, (t) => {
    const [read] = parseCall(serialiseCall('relay.push', [value])).params as readonly [Value];
    refuses(t, () => readFrame(read), 'INVALID_PARAMS');
  });
}
