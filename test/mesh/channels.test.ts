/** Channels between neighbours: requests that are under way at once, what arrives in slices, and neighbours that are slow or dishonest. */
import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import { RelayError, systemClock } from '../../src/core/core.ts';
import type { Ack, Envelope, Frame } from '../../src/mesh-core/mesh-core.ts';
import { IncomingChannels } from '../../src/mesh/channels.ts';
import type { Channel } from '../../src/mesh/channels.ts';
import { DialledChannel } from '../../src/mesh/dialled-channel.ts';
import { frameOnWire } from '../../src/mesh/frames.ts';
import { Intake } from '../../src/mesh/intake.ts';
import type { Arrived } from '../../src/mesh/intake.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { parseCall, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { startNodes } from '../support/mesh-hosts.ts';
import type { TestNode } from '../support/mesh-hosts.ts';
import { refuses } from '../support/relay-error.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const ack: Ack = { through: 0, next: 1, hasGap: false, returned: [], seen: 0, window: 256 };
const envelope: Envelope = { head: Buffer.from('h'), seal: Buffer.from('s'), payload: Buffer.alloc(10), hops: 3, ageMs: 0, via: [] };

/** A frame with so many messages, the first of which has this number. */
function push(first: number, count: number, payload: Buffer = envelope.payload): Frame {
  return { type: 'push', first, items: Array.from({ length: count }, () => ({ ...envelope, payload })), ack };
}

const firstOf = (frame: Frame): unknown => (frame.type === 'push' ? frame.first : frame.type);

// What arrives

test('what comes at once is taken in slices of 64 messages, a frame of each channel in turn', async (t) => {
  const slices: (readonly Arrived[])[] = [];
  const intake = new Intake((slice) => slices.push(slice));
  const firsts = (): readonly unknown[] => slices.map((slice) => slice.map(([channel, frame]) => [channel, firstOf(frame)]));
  const taken = [intake.add(1, [push(1, 40), push(41, 40), push(81, 40)]), intake.add(2, [push(1, 10), push(11, 64)])];
  t.deepEqual(firsts(), []);
  await nextTurn();
  const first = [
    [1, 1],
    [2, 1],
    [1, 41],
  ];
  t.deepEqual(firsts(), [first]);
  await nextTurn();
  t.deepEqual(firsts(), [first, [[2, 11]]]);
  for (const one of taken) await one;
  t.deepEqual(firsts(), [first, [[2, 11]], [[1, 81]]]);
});

test('a few messages are taken at once, but not more than a slice in one turn of the event loop', async (t) => {
  const taken: unknown[] = [];
  const intake = new Intake((slice) => taken.push(...slice.map(([, frame]) => firstOf(frame))));
  t.is(intake.add(1, [push(1, 60)]), undefined);
  t.deepEqual(taken, [1]);
  const later = intake.add(2, [push(2, 60)]);
  t.deepEqual(taken, [1]);
  await later;
  t.deepEqual(taken, [1, 2]);
});

test('acknowledgements and heartbeats do not wait for messages; a goodbye does', async (t) => {
  const taken: unknown[] = [];
  const intake = new Intake((slice) => taken.push(...slice.map(([, frame]) => firstOf(frame))));
  const beat: Frame = { type: 'beat', at: 1, echo: undefined, heldMs: 0, ack };
  const later = [
    intake.add(1, [push(1, 64), push(65, 64)]),
    intake.add(1, [{ type: 'ack', ack }, beat, { type: 'bye', reason: '', states: [] }]),
  ];
  t.deepEqual(taken, ['ack', 'beat']);
  for (const one of later) await one;
  t.deepEqual(taken, ['ack', 'beat', 1, 65, 'bye']);
});

test('a neighbour that sends more than it has credit for is refused before memory fills up', async (t) => {
  let slices = 0;
  const intake = new Intake(() => slices++);
  const large = push(1, 1, Buffer.alloc(4 * 2 ** 20));
  const full = Array.from({ length: 5 }, () => intake.add(1, [large, push(2, 64)]));
  const error = refuses(t, () => intake.add(1, [large]), 'LIMIT');
  t.regex(error.message, /more than it has credit for/);
  intake.forget(1);
  for (const one of full) await one;
  t.is(slices, 0, 'what is forgotten is not taken');
  await intake.add(1, [large]);
  t.is(slices, 1);
});

test('other work gets its turn between the slices of what a neighbour sends', async (t) => {
  const [a, b] = (await startNodes(t, ['a', 'b'], [[0, 1]])) as [TestNode, TestNode];
  const sent = Array.from({ length: 512 }, (_, index) =>
    a.host.submit({ target: { type: 'all' }, contentType: 'test', payload: Buffer.from(String(index)), isDurable: false }),
  );
  let [before, most] = [0, 0];
  while (b.received.all.length < sent.length) {
    await nextTurn();
    most = Math.max(most, b.received.all.length - before);
    before = b.received.all.length;
  }
  await Promise.all(sent);
  // So many are taken in a turn: 128, and the rest of a bundle.
  t.true(most <= 192, `${most} messages in one turn`);
});

// The end that dials

interface Posted {
  readonly method: string;
  readonly number: number;
  readonly frames: readonly unknown[];
  readonly answer: (value: Value) => void;
  readonly fail: (error: RelayError) => void;
}

/** A dialled channel whose requests the test answers. */
function dialled(): {
  readonly channel: DialledChannel;
  readonly clock: VirtualClock;
  readonly pushes: Gate<Posted>;
  readonly pulls: Gate<Posted>;
  readonly received: Gate<unknown>;
  readonly closed: Gate<string>;
} {
  const [pushes, pulls, received, closed] = [new Gate<Posted>(), new Gate<Posted>(), new Gate<unknown>(), new Gate<string>()];
  const clock = new VirtualClock();
  const channel = new DialledChannel({
    number: -1,
    clock,
    call: (method, params, signal) =>
      new Promise((answer, fail) => {
        setMaxListeners(0, signal);
        signal.addEventListener('abort', () => {
          fail(signal.reason as Error);
        });
        const [, number, frames] = parseCall(serialiseCall(method, params)).params as readonly [
          Value,
          number,
          readonly { first?: unknown; t: unknown }[],
        ];
        const posted = { method, number, frames: method === 'relay.push' ? frames.map(({ first, t }) => first ?? t) : [], answer, fail };
        (method === 'relay.push' ? pushes : pulls).push(posted);
      }),
    user: {
      frames: (_, frames) => {
        for (const frame of frames) received.push(firstOf(frame));
      },
      closed: (_, reason) => {
        closed.push(reason);
      },
    },
  });
  return { channel, clock, pushes, pulls, received, closed };
}

/** A value as the other end answers it. */
const onWire = (value: Sendable): Value => parseCall(serialiseCall('x', [value])).params[0]!;

test('full requests follow one another without waiting for answers, at most eight of them', async (t) => {
  const { channel, pushes } = dialled();
  channel.send(push(1, 16));
  const [opening] = await pushes.first(1);
  channel.send(push(17, 64));
  await nextTurn();
  t.is(pushes.all.length, 1, 'the other end does not know the channel before it has answered');
  opening?.answer({});
  await pushes.first(2);
  for (let at = 0; at < 20; at++) {
    channel.send(push(81 + 64 * at, 64));
    await nextTurn();
  }
  t.deepEqual(
    pushes.all.map(({ number }) => number),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  t.true(pushes.all.slice(1).every(({ frames }) => frames.length === 1));
  pushes.all[1]?.answer({});
  const tenth = (await pushes.first(10))[9];
  t.deepEqual(tenth?.frames, [529, 593, 657, 721], 'what waited goes together, up to 256 messages');
});

test('a few messages wait for the answer to the request before, unless that takes long', async (t) => {
  const { channel, clock, pushes } = dialled();
  channel.send(push(1, 1));
  (await pushes.first(1))[0]?.answer({});
  await nextTurn();
  channel.send(push(2, 1));
  const second = (await pushes.first(2))[1];
  channel.send(push(3, 1));
  await nextTurn();
  t.is(pushes.all.length, 2);
  second?.answer({});
  const third = (await pushes.first(3))[2];
  t.deepEqual(third?.frames, [3]);
  channel.send(push(4, 1));
  await nextTurn();
  t.is(pushes.all.length, 3);
  clock.advance(5);
  channel.send(push(5, 1));
  t.deepEqual((await pushes.first(4))[3]?.frames, [4, 5]);
});

test('answers that overtake each other are taken in their order', async (t) => {
  const { channel, pushes, pulls, received } = dialled();
  channel.send(push(1, 1));
  (await pushes.first(1))[0]?.answer({});
  const [pull] = await pulls.first(1);
  channel.send(push(2, 64));
  channel.send(push(66, 64));
  await pushes.first(2);
  pushes.all[1]?.answer(onWire({ n: 2, frames: [frameOnWire(push(20, 1))] }));
  await nextTurn();
  t.deepEqual(received.all, []);
  pull?.answer(onWire({ n: 1, frames: [frameOnWire(push(10, 1))] }));
  await received.first(2);
  t.deepEqual(received.all, [10, 20]);
});

test('any number of answers may overtake a slow one', async (t) => {
  const { channel, pushes, pulls, received, closed } = dialled();
  channel.send(push(1, 1));
  (await pushes.first(1))[0]?.answer({});
  const [pull] = await pulls.first(1);
  for (let number = 2; number <= 200; number++) {
    channel.send(push(number, 64));
    (await pushes.first(number))[number - 1]?.answer(onWire({ n: number, frames: [frameOnWire(push(10 * number, 1))] }));
    await nextTurn();
  }
  t.deepEqual([received.all, closed.all], [[], []]);
  pull?.answer(onWire({ n: 1, frames: [frameOnWire(push(10, 1))] }));
  t.is((await received.first(200)).at(-1), 2000);
});

test('answers that overtake a slow one do not fill the memory', async (t) => {
  const { channel, pushes, pulls, received, closed } = dialled();
  channel.send(push(1, 1));
  (await pushes.first(1))[0]?.answer({});
  await pulls.first(1);
  for (let number = 2; closed.all.length === 0 && number < 100; number++) {
    channel.send(push(number, 64));
    (await pushes.first(number))[number - 1]?.answer(onWire({ n: number, frames: [frameOnWire(push(1, 1, Buffer.alloc(2 ** 20)))] }));
    await nextTurn();
  }
  t.deepEqual(closed.all, ['the frames of the mesh have the number 26, and 1 was expected']);
  t.deepEqual(received.all, []);
});

test('a channel that closes waits for what is under way, and sends what waits', async (t) => {
  const { channel, pushes, closed } = dialled();
  channel.send(push(1, 1));
  (await pushes.first(1))[0]?.answer({});
  await nextTurn();
  channel.send(push(2, 64));
  channel.send({ type: 'bye', reason: 'the node leaves', states: [] });
  const end = channel.close('it is done');
  let isOut = false;
  void end.then(() => (isOut = true));
  await pushes.first(2);
  t.deepEqual(pushes.all[1]?.frames, [2, 'bye']);
  await nextTurn();
  t.false(isOut);
  pushes.all[1]?.answer({});
  await end;
  t.deepEqual(closed.all, [], 'the user has closed it itself');
});

test('the failure of one request closes the channel once, whatever else is under way', async (t) => {
  const { channel, pushes, closed } = dialled();
  channel.send(push(1, 1));
  (await pushes.first(1))[0]?.answer({});
  await nextTurn();
  channel.send(push(2, 64));
  await pushes.first(2);
  channel.send(push(66, 64));
  await pushes.first(3);
  pushes.all[2]?.fail(new RelayError('TRANSPORT', 'the connection was reset'));
  await closed.first(1);
  await nextTurn();
  t.deepEqual(closed.all, ['the connection was reset']);
  channel.send(push(130, 64));
  await nextTurn();
  t.is(pushes.all.length, 3, 'nothing is sent any more');
});

// The end that was dialled

test('a push is answered when its frames are taken, with what they caused; one that is early waits for the one before', async (t) => {
  const [taking, ends] = [new Gate<{ readonly firsts: readonly unknown[]; readonly done: () => void }>(), new Gate<Channel>()];
  const channels = new IncomingChannels(systemClock, {
    opened: (_, end) => {
      ends.push(end);
    },
    frames: (_, frames) =>
      new Promise((done) => {
        taking.push({ firsts: frames.map(firstOf), done });
      }),
    closed: (_, reason) => {
      t.fail(reason);
    },
  });
  t.teardown(() => {
    channels.stop();
  });
  const caller = { peer: { id: 'a'.repeat(32), epoch: 1, instance: 'x' }, gone: undefined };
  const id = '0'.repeat(32);
  const post = (number: number, frame: Frame): unknown => channels.push([id, number, [onWire(frameOnWire(frame))]], caller);
  const first = post(1, push(1, 64));
  t.deepEqual(post(3, push(129, 64)), {}, 'its frames wait');
  const second = post(2, push(65, 64));
  t.deepEqual(
    taking.all.map(({ firsts }) => firsts),
    [[1], [65, 129]],
  );
  const pull = channels.pull([id, 25_000], caller);
  ends.all[0]?.send({ type: 'ack', ack });
  taking.all[0]?.done();
  t.like(await first, { n: 1, frames: { length: 1 } });
  taking.all[1]?.done();
  t.deepEqual(await second, {});
  ends.all[0]?.send(push(1, 1));
  t.like(await pull, { n: 2, frames: { length: 1 } }, 'a pull gets what no push has caused');
});
