/** Messages for all nodes that are sent in one turn of the event loop travel as one, and nobody notices. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ByteWriter } from '../../src/mesh-core/mesh-core.ts';
import { BUNDLE, readBundle } from '../../src/mesh/bundle.ts';
import type { MeshMessage, MeshOutcome } from '../../src/mesh/mesh.ts';
import { Receivers } from '../../src/mesh/receivers.ts';
import { Gate } from '../support/gate.ts';
import { startNodes } from '../support/mesh-hosts.ts';
import type { TestNode } from '../support/mesh-hosts.ts';
import { refuses } from '../support/relay-error.ts';

const message = (text: string, more: Partial<MeshMessage> = {}): MeshMessage => ({
  ...{ target: { type: 'all' }, contentType: 'test', payload: Buffer.from(text), isDurable: false },
  ...more,
});
const textsOf = (node: TestNode): readonly string[] => node.received.all.map(({ payload }) => payload.toString());
const numbers = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => String(index));

async function two(t: ExecutionContext): Promise<readonly [TestNode, TestNode]> {
  return (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
}

/** Sends messages of which none may be refused. */
function send(t: ExecutionContext, node: TestNode, messages: readonly MeshMessage[]): void {
  for (const one of messages) {
    node.host.send(one, (error) => {
      t.fail(error.message);
    });
  }
}

/** The messages that the link to the only neighbour has got across. */
const crossed = (node: TestNode): number => node.host.status()?.neighbours[0]?.sent ?? NaN;

/** Waits until nothing is kept or in flight. */
async function settled(node: TestNode): Promise<void> {
  while (node.host.status()?.kept !== 0) await nextTurn();
}

test('messages of one turn cross a link as few, and arrive as they were sent', async (t) => {
  const [a, b] = await two(t);
  const sent = numbers(100);
  send(
    t,
    a,
    sent.map((text) => message(text, { ref: `ref ${text}`, generation: 3 })),
  );
  await b.received.first(100);
  t.deepEqual(textsOf(b), sent);
  for (const [index, { head, via, isRedelivered, ageMs }] of b.received.all.entries()) {
    t.like(head, { contentType: 'test', ref: `ref ${index}`, generation: 3, hostId: 'a@127.0.0.1:1', isDurable: false });
    t.deepEqual([via, isRedelivered], [[a.id], false]);
    t.true(ageMs >= 0 && ageMs < 30_000);
  }
  await settled(a);
  t.is(crossed(a), 2, '64 and 36');
});

test('only what differs in nothing else than contents travels together, and the order is kept', async (t) => {
  const [a, b] = await two(t);
  const sent = [
    message('0'),
    message('1'),
    message('2', { hostId: 'x@127.0.0.1:2' }),
    message('3', { hostId: 'x@127.0.0.1:2' }),
    message('4', { generation: 1 }),
    message('5', { ttlMs: 5000 }),
    message('6', { isOrdered: true }),
    message('7', { isOrdered: true }),
  ];
  send(t, a, sent);
  const submitted = [a.host.submit(message('8')), a.host.submit(message('9', { isDurable: true }))];
  send(t, a, [message('10'), message('11')]);
  await b.received.first(12);
  const inMemory = b.received.all.filter(({ head }) => !head.isDurable);
  t.deepEqual(
    inMemory.map(({ head, payload }) => [payload.toString(), head.hostId[0], head.generation, head.ttlMs, head.isOrdered].join()),
    [
      ...['0,a,0,30000,false', '1,a,0,30000,false', '2,x,0,30000,false', '3,x,0,30000,false', '4,a,1,30000,false', '5,a,0,5000,false'],
      ...['6,a,0,30000,true', '7,a,0,30000,true', '8,a,0,30000,false', '10,a,0,30000,false', '11,a,0,30000,false'],
    ],
  );
  await Promise.all(submitted);
  await settled(a);
  t.is(crossed(a), 8, '0 and 1; 2 and 3; 4; 5; 6 and 7; 8; 9; 10 and 11');
});

test('durable messages of one turn are one record, are acknowledged together, and wait over restarts', async (t) => {
  const [a, b] = await two(t);
  await b.stop();
  const sent = numbers(10);
  const ids = await Promise.all(sent.map((text) => a.host.submit(message(text, { isDurable: true, ref: text }))));
  t.is(new Set(ids).size, 1);
  t.is(a.host.status()?.kept, 1);
  await a.stop();
  await a.start();
  t.is(a.host.status()?.kept, 1);
  await b.start();
  a.dial(b);
  await b.received.first(10);
  t.deepEqual(
    b.received.all.map(({ head, payload }) => [payload.toString(), head.ref, head.isDurable]),
    sent.map((text) => [text, text, true]),
  );
});

test('large messages share one that stays small; those for one node travel alone', async (t) => {
  const [a, b] = await two(t);
  const large = (kib: number): MeshMessage => message('', { payload: Buffer.alloc(kib * 1024, 1) });
  send(t, a, [large(10), large(10), large(10), large(10), large(40), large(1)]);
  await b.received.first(6);
  await settled(a);
  t.is(crossed(a), 4, '3 x 10 KiB; 10 KiB; 40 KiB; 1 KiB');
  t.deepEqual(
    b.received.all.map(({ payload }) => payload.length / 1024),
    [10, 10, 10, 10, 40, 1],
  );
  const target = { type: 'node', id: b.id } as const;
  send(t, a, [message('x', { target }), message('y', { target })]);
  await b.received.first(8);
  await settled(a);
  t.is(crossed(a), 6);
});

for (const isDurable of [false, true]) {
  test(`each message of a bundle ${isDurable ? 'on disk' : 'in memory'} that expires is reported`, async (t) => {
    const [a, b] = await two(t);
    b.vanish();
    send(
      t,
      a,
      ['one', '', 'three'].map((ref) => message('x', { ref, ttlMs: 1000, isDurable })),
    );
    if (isDurable) {
      while (a.host.status()?.kept !== 1) await nextTurn();
      await a.stop();
      await a.start();
    }
    const outcomes = new Gate<MeshOutcome>();
    a.host.onOutcome((outcome) => {
      outcomes.push(outcome);
    });
    t.deepEqual(
      (await outcomes.first(3)).map(({ status, ref, node }) => [status, ref, node]),
      ['one', '', 'three'].map((ref) => ['expired', ref, b.id]),
    );
  });
}

test('each sender of a bundle that is refused learns it', async (t) => {
  const [a] = await two(t);
  const refused: string[] = [];
  const all = new Promise<void>((resolve) => {
    for (const name of ['one', 'two'])
      a.host.send(message('x', { generation: 17 }), (error) => {
        if (refused.push(`${name}: ${error.code}`) === 2) resolve();
      });
  });
  await all;
  t.deepEqual(refused, ['one: LIMIT', 'two: LIMIT']);
});

test('what was sent in the last turn before a stop still leaves', async (t) => {
  const [a, b] = await two(t);
  send(
    t,
    a,
    numbers(10).map((text) => message(text)),
  );
  await a.stop();
  await b.received.first(10);
  t.deepEqual(textsOf(b), numbers(10));
  await a.start();
});

test('a message of a bundle that a receiver throws at does not harm the others; the slowest one is awaited', async (t) => {
  const [taken, slow] = [[] as string[], new Gate<() => void>()];
  const receivers = new Receivers();
  receivers.set('test', ({ payload }) => {
    const text = payload.toString();
    taken.push(text);
    if (text === 'throw') throw new Error('no');
    return text === 'slow' ? new Promise((resolve) => slow.push(() => resolve({ type: 'done' }))) : { type: 'done' };
  });
  const outcome = Promise.resolve(receivers.take(arrival(bundle('test', ['throw', 'slow', 'last']))));
  t.deepEqual(taken, ['throw', 'slow', 'last']);
  let isOver = false;
  void outcome.then(() => (isOver = true));
  await nextTurn();
  t.false(isOver);
  slow.all[0]?.();
  t.deepEqual(await outcome, { type: 'done' });
});

test('a malformed bundle is rejected as a whole', async (t) => {
  const taken: string[] = [];
  const receivers = new Receivers();
  for (const type of ['test', BUNDLE]) {
    receivers.set(type, ({ payload }) => {
      taken.push(payload.toString());
      return { type: 'done' };
    });
  }
  const whole = bundle('test', ['first', 'second']);
  const ends = new Set([2 + 'test'.length, 2 + 'test'.length + 2 + 'first'.length, whole.length]);
  for (let length = 0; length < whole.length; length++) {
    if (!ends.has(length)) refuses(t, () => readBundle(whole.subarray(0, length)), 'INVALID_PARAMS');
  }
  const tooMany = bundle('test', numbers(65));
  refuses(t, () => readBundle(tooMany), 'INVALID_PARAMS');
  const inner = bundle('test', ['x']);
  const nested = new ByteWriter().byte(1).text(BUNDLE).text('').bytes(inner).end();
  for (const payload of [tooMany, nested, whole.subarray(0, -1), Buffer.alloc(0), Buffer.from([2])])
    t.is((await receivers.take(arrival(payload))).type, 'rejected');
  t.deepEqual(taken, []);
});

test('thousands of messages that come together are taken in some turns of the event loop, in order', async (t) => {
  const taken: string[] = [];
  const receivers = new Receivers();
  receivers.set('test', ({ payload }) => {
    taken.push(payload.toString());
    return { type: 'done' };
  });
  const sent = numbers(3000);
  const outcomes = Array.from({ length: 60 }, (_, index) =>
    Promise.resolve(receivers.take(arrival(bundle('test', sent.slice(50 * index, 50 * index + 50))))),
  );
  let [before, most] = [taken.length, taken.length];
  while (taken.length < sent.length) {
    await nextTurn();
    most = Math.max(most, taken.length - before);
    before = taken.length;
  }
  t.deepEqual(taken, sent);
  t.true(most <= 192, `${most} in one turn`);
  t.deepEqual(await Promise.all(outcomes), Array(60).fill({ type: 'done' }));
});

function bundle(contentType: string, texts: readonly string[]): Buffer {
  const writer = new ByteWriter().byte(1).text(contentType);
  for (const text of texts) writer.text('').bytes(Buffer.from(text));
  return writer.end();
}

function arrival(payload: Buffer): Parameters<Receivers['take']>[0] {
  const head = {
    ...{ origin: 'a'.repeat(32), epoch: 1, target: undefined, number: 1, low: 1, sentAt: 0, ttlMs: 1000, isDurable: false },
    ...{ isOrdered: false, hostId: 'a@127.0.0.1:1', generation: 0, ref: BUNDLE, contentType: BUNDLE, payloadHash: Buffer.alloc(32) },
  };
  return { head, payload, ageMs: 0, via: [], isRedelivered: false };
}
