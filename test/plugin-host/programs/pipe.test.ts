/** The pipe to a child, and calls over it: parts, order, limits, and another side that is slow, silent or broken. */
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { RelayError, systemClock } from '../../../src/core/core.ts';
import { FIRST_CHILD_CALL, Pipe } from '../../../src/plugin-host/pipe/pipe.ts';
import type { PipeOptions } from '../../../src/plugin-host/pipe/pipe.ts';
import { RelayClient } from '../../../src/plugin-host/children/relay-client.ts';
import { PipeTransport } from '../../../src/plugin-host/programs/pipe-transport.ts';
import type { AnswerChild } from '../../../src/plugin-host/programs/pipe-transport.ts';
import { MAX_CALLS, requestOf } from '../../../src/plugin-host/programs/transport.ts';
import { parseCall, serialiseCall, serialiseFault, serialiseResponse } from '../../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../../support/gate.ts';
import { rejects } from '../../support/relay-error.ts';
import { temporaryDir } from '../../support/relays.ts';

const PART = 64 * 1024;
const MS = 30_000;
const NOTHING = (): void => undefined;

/** A part as it is on the wire. */
function part(kind: number, id: number, content: Buffer | string, size = Buffer.byteLength(content)): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(kind * 2 ** 24 + size, 0);
  head.writeUInt32BE(id, 4);
  return Buffer.concat([head, Buffer.from(content)]);
}

/** A stream that records what is written to it, and emits what the test pushes. With `holdsBack`, each write waits for {@link drain}. */
class Recording extends Duplex {
  readonly writes: Buffer[] = [];
  /** Continues after a write; undefined while none is held back. */
  go: (() => void) | undefined;

  constructor(private readonly holdsBack = false) {
    super({ autoDestroy: false });
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(bytes);
    if (this.holdsBack) this.go = done;
    else done();
  }

  /** Lets the other side read everything that is written until nothing is left. */
  async drain(): Promise<void> {
    while (this.go) {
      const { go } = this;
      this.go = undefined;
      go();
      await turn();
      await turn();
    }
  }
}

function pipeOf(options: Partial<PipeOptions> = {}, holdsBack = false) {
  const stream = new Recording(holdsBack);
  const documents: [number, string][] = [];
  const ends: string[] = [];
  const pipe = new Pipe(stream, {
    onDocument: (id, document) => documents.push([id, document.toString()]),
    onEnd: ({ message }) => ends.push(message),
    ...options,
  });
  return { pipe, stream, documents, ends };
}

/** Both ends of a real socket. */
async function socketPair(t: ExecutionContext): Promise<readonly [Socket, Socket]> {
  const path = join(temporaryDir(t), 'pipe');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const ours = connect(path);
  const [theirs] = await accepted;
  server.close();
  for (const socket of [ours, theirs]) socket.on('error', NOTHING);
  t.teardown(() => {
    ours.destroy();
    theirs.destroy();
  });
  return [ours, theirs];
}

test('all documents of one turn are sent in one write, and the next ones in another', async (t) => {
  const { pipe, stream } = pipeOf();
  for (let id = 1; id <= 100; id++) pipe.send(id, Buffer.from(`<${id}/>`));
  t.is(stream.writes.length, 0);
  await turn();
  t.is(stream.writes.length, 1);
  pipe.send(101, Buffer.from('next'));
  await turn();
  t.deepEqual(stream.writes[1], part(0, 101, 'next'));
});

test('documents of every size arrive unchanged, however the bytes are cut', async (t) => {
  const sizes = fc.constantFrom(0, 1, 7, 8, 9, 500, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 5);
  await fc.assert(
    fc.asyncProperty(
      fc.array(sizes, { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1 }),
      async (all, cuts) => {
        const { pipe, stream } = pipeOf();
        const sent = all.map((size, id) => [id, Buffer.alloc(size, 97 + id).toString()] as const);
        for (const [id, text] of sent) pipe.send(id, Buffer.from(text));
        await turn();
        const bytes = Buffer.concat(stream.writes);
        const other = pipeOf();
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const size = cuts[n % cuts.length] ?? 1;
          other.stream.push(bytes.subarray(at, at + size));
          at += size;
        }
        await turn();
        t.deepEqual(
          other.documents.sort(([one], [two]) => one - two),
          sent.map(([id, text]) => [id, text]),
        );
        t.deepEqual(other.ends, []);
      },
    ),
    { numRuns: 60 },
  );
});

test('a small document overtakes a large one, and large ones take turns', async (t) => {
  const { pipe, stream } = pipeOf({}, true);
  pipe.send(1, Buffer.alloc(4 * PART, 'a'));
  pipe.send(2, Buffer.alloc(4 * PART, 'b'));
  await turn();
  pipe.send(3, Buffer.from('small'));
  await stream.drain();
  const other = pipeOf();
  other.stream.push(Buffer.concat(stream.writes));
  await turn();
  t.deepEqual(
    other.documents.map(([id]) => id),
    [3, 1, 2],
  );
  // One part of each in turns: both end together.
  t.deepEqual(
    stream.writes.map((bytes) => bytes.at(-1)),
    [...Buffer.from('ab'.repeat(4))],
  );
});

test('nothing more is written than one turn while the other side does not read, and what is withdrawn is never sent', async (t) => {
  const { pipe, stream } = pipeOf({}, true);
  pipe.send(1, Buffer.alloc(3 * PART));
  await turn();
  for (let id = 2; id <= 1_000; id++) pipe.send(id, Buffer.alloc(10_000));
  pipe.send(1_001, Buffer.alloc(2 * PART));
  await turn();
  t.is(stream.writes.length, 1);
  t.true(stream.writableLength <= PART + 8);
  for (let id = 1; id <= 1_001; id++) if (id !== 500) pipe.withdraw(id);
  await stream.drain();
  t.deepEqual(Buffer.concat(stream.writes.slice(1)), Buffer.concat([part(2, 1, ''), part(0, 500, Buffer.alloc(10_000))]));
});

test('the receiver forgets a document that was withdrawn, so its id and its memory are free', async (t) => {
  const { stream, documents, ends } = pipeOf();
  const some = Buffer.alloc(PART);
  for (let id = 1; id <= 20; id++) stream.push(Buffer.concat([part(1, id, some), part(2, id, '')]));
  stream.push(part(0, 20, 'whole'));
  await turn();
  t.deepEqual([documents, ends], [[[20, 'whole']], []]);
});

const WRONG: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
  'text that someone printed': [Buffer.from('hello, world\n'), /not a part of a document/],
  'an unknown kind': [part(3, 1, 'x'), /not a part/],
  'a part that is too large': [part(0, 1, '', PART + 1), /not a part/],
  'a small part that others follow': [part(1, 1, 'x'), /not a part/],
  'a withdrawal with content': [part(2, 1, 'x'), /not a part/],
  'nine large documents at a time': [
    Buffer.concat(Array.from({ length: 9 }, (_, id) => part(1, id, Buffer.alloc(PART)))),
    /more than 8 large documents/,
  ],
};

for (const [what, [bytes, reason]] of Object.entries(WRONG)) {
  test(`the pipe ends on ${what}`, async (t) => {
    const { pipe, stream, documents, ends } = pipeOf();
    stream.push(Buffer.concat([part(0, 7, 'good'), bytes, part(0, 8, 'too late')]));
    await turn();
    t.deepEqual(documents, [[7, 'good']]);
    t.is(ends.length, 1);
    t.regex(ends[0] ?? '', reason);
    t.true(stream.destroyed);
    t.false(pipe.isOpen);
  });
}

test('a document over the limit is skipped, whether it comes in one part or in many, and the pipe goes on', async (t) => {
  const large: number[] = [];
  const { stream, documents, ends } = pipeOf({ maxDocumentBytes: PART + 10, onTooLarge: (id) => large.push(id) });
  const full = Buffer.alloc(PART);
  stream.push(Buffer.concat([part(1, 1, full), part(1, 1, full), part(1, 1, full), part(0, 1, 'end'), part(0, 2, 'small')]));
  stream.push(Buffer.concat([part(1, 3, full), part(0, 3, 'x'.repeat(11)), part(1, 4, full), part(0, 4, 'x'.repeat(10))]));
  await turn();
  t.deepEqual(large, [1, 3]);
  t.deepEqual(
    documents.map(([id]) => id),
    [2, 4],
  );
  t.deepEqual(ends, []);
});

test('finish() sends everything that waits before it ends', async (t) => {
  const { pipe, stream } = pipeOf({}, true);
  const done = new Gate<true>();
  pipe.send(1, Buffer.alloc(5 * PART, 'a'));
  pipe.finish(() => done.push(true));
  await turn();
  t.is(done.all.length, 0);
  await stream.drain();
  await done.until(() => true);
  const other = pipeOf();
  other.stream.push(Buffer.concat(stream.writes));
  await turn();
  t.is(other.documents[0]?.[1].length, 5 * PART);
});

interface Called {
  readonly transport: PipeTransport;
  /** The other side. */
  readonly theirs: Socket;
  readonly broken: Gate<string>;
}

/** A transport over a real socket, on which `answer` says what the child responds to each call. */
async function called(
  t: ExecutionContext,
  answer?: (id: number, method: string, pipe: Pipe) => void,
  maxBodyBytes?: number,
): Promise<Called> {
  const [ours, theirs] = await socketPair(t);
  const broken = new Gate<string>();
  const transport = new PipeTransport('ham', ours, { clock: systemClock, maxBodyBytes, onBroken: (reason) => broken.push(reason) });
  if (answer) {
    const pipe: Pipe = new Pipe(theirs, {
      onDocument: (id, document) => {
        answer(id, (parseCall(document) as { methodName: string }).methodName, pipe);
      },
      onEnd: NOTHING,
    });
  }
  t.teardown(() => transport.close());
  return { transport, theirs, broken };
}

async function errorsOf(calls: readonly Promise<unknown>[]): Promise<readonly unknown[]> {
  return (await Promise.allSettled(calls)).map((result) => (result.status === 'rejected' ? (result.reason as unknown) : undefined));
}

test('calls are answered in any order, each with its own result', async (t) => {
  const { transport } = await called(t, (id, method, pipe) => {
    setTimeout(() => {
      pipe.send(id, method === 'bad' ? serialiseFault(42, 'no such room') : serialiseResponse(method));
    }, Math.random() * 5);
  });
  const names = Array.from({ length: 200 }, (_, n) => `m${n}`);
  t.deepEqual(await Promise.all(names.map((name) => transport.send(requestOf(name, []), MS))), names);
  t.like(await t.throwsAsync(transport.send(requestOf('bad', []), MS)), { code: 42, message: 'no such room' });
  await transport.ping(MS);
});

test('a large result and a small one do not wait for each other', async (t) => {
  const large = 'x'.repeat(20 * PART);
  const { transport } = await called(t, (id, method, pipe) => {
    pipe.send(id, serialiseResponse(method === 'large' ? large : 'small'));
  });
  const order: string[] = [];
  const note = async (name: string): Promise<unknown> => {
    const result = await transport.send(requestOf(name, [name === 'large' ? large : '']), MS);
    order.push(name);
    return result;
  };
  const [one] = await Promise.all([note('large'), note('small')]);
  t.is(one, large);
  t.deepEqual(order, ['small', 'large']);
});

test('a call without an answer in time fails alone, and its late answer is ignored', async (t) => {
  const late = new Gate<number>();
  const { transport } = await called(t, (id, method, pipe) => {
    if (method === 'late') late.push(id);
    else {
      // The late answer arrives before this one.
      for (const other of late.all) pipe.send(other, serialiseResponse('late'));
      pipe.send(id, serialiseResponse(method));
    }
  });
  const error = await t.throwsAsync(transport.send(requestOf('late', []), 30));
  t.like(error, { code: 'TIMEOUT', message: 'late was not answered in 30 ms' });
  t.is(await transport.send(requestOf('next', []), MS), 'next');
});

test('a result over the limit fails that call alone, and one that is not XML-RPC as well', async (t) => {
  const { transport, broken } = await called(
    t,
    (id, method, pipe) => {
      pipe.send(id, method === 'odd' ? Buffer.from('<html>') : serialiseResponse('x'.repeat(method === 'large' ? 200_000 : 10)));
    },
    100_000,
  );
  t.like(await t.throwsAsync(transport.send(requestOf('large', []), MS)), {
    code: 'TRANSPORT',
    message: 'ham: its response is larger than 100000 bytes',
  });
  const odd = await rejects(t, transport.send(requestOf('odd', []), MS), 'TRANSPORT', { reason: 'not-xmlrpc' });
  t.regex(odd.message, /^ham answered something that is not XML-RPC/);
  t.is(await transport.send(requestOf('small', []), MS), 'x'.repeat(10));
  t.deepEqual(broken.all, []);
});

test('if the other side ends or breaks the pipe, all calls in flight fail at once and later ones as well', async (t) => {
  for (const [damage, reason] of [
    [(socket: Socket) => socket.destroy(), /^ham: the connection ended without an answer$/],
    [(socket: Socket) => socket.write('Segmentation fault\n'), /^ham: it sent something that is not a part of a document$/],
  ] as const) {
    const { transport, theirs, broken } = await called(t);
    const calls = Array.from({ length: 50 }, () => transport.send(requestOf('wait', []), MS));
    damage(theirs);
    for (const error of await errorsOf(calls)) {
      t.true(RelayError.is(error) && error.code === 'TRANSPORT');
      t.regex((error as Error).message, reason);
    }
    await t.throwsAsync(transport.send(requestOf('more', []), MS), { code: 'TRANSPORT', message: reason });
    t.is(broken.all.length, 1);
  }
});

test('a child that stops reading gets a bounded number of calls, and answers those that still wait when it reads again', async (t) => {
  const { transport, theirs } = await called(t);
  theirs.pause();
  const body = 'x'.repeat(20_000);
  const expired = Array.from({ length: MAX_CALLS - 1 }, () => transport.send(requestOf('old', [body]), 50));
  const waiting = transport.send(requestOf('young', [body]), MS);
  t.like(await t.throwsAsync(transport.send(requestOf('more', []), MS)), { code: 'RATE_LIMITED' });
  for (const error of await errorsOf(expired)) t.true(RelayError.is(error) && error.code === 'TIMEOUT');
  const methods: string[] = [];
  const pipe: Pipe = new Pipe(theirs, {
    onDocument: (id, document) => {
      methods.push((parseCall(document) as { methodName: string }).methodName);
      pipe.send(id, serialiseResponse('done'));
    },
    onEnd: NOTHING,
  });
  theirs.resume();
  t.is(await waiting, 'done');
  // Only those that were in the buffers of the system arrive; the others were withdrawn.
  t.true(methods.length < 100, `${methods.length} calls arrived`);
});

test('closing rejects the calls in flight, and reports no broken pipe', async (t) => {
  const { transport, broken } = await called(t);
  const call = transport.send(requestOf('wait', []), MS);
  await transport.close();
  t.like(await t.throwsAsync(call), { code: 'TRANSPORT', message: 'ham does not run any more' });
  await t.throwsAsync(transport.send(requestOf('wait', []), MS), { code: 'TRANSPORT' });
  t.deepEqual(broken.all, []);
});

/** A child that calls the relay, which answers by `answer`. */
async function calling(t: ExecutionContext, answer: AnswerChild, maxBodyBytes?: number) {
  const [ours, theirs] = await socketPair(t);
  const broken = new Gate<string>();
  const transport = new PipeTransport('ham', ours, {
    ...{ clock: systemClock, maxBodyBytes, answer },
    onBroken: (reason) => broken.push(reason),
  });
  t.teardown(() => transport.close());
  const client = new RelayClient((id, document) => {
    pipe.send(id, document);
  });
  const pipe: Pipe = new Pipe(theirs, {
    onDocument: (id, document) => {
      if (id >= FIRST_CHILD_CALL) client.answered(id, document);
      else pipe.send(id, serialiseResponse('from the child'));
    },
    onEnd: NOTHING,
  });
  return { transport, client, pipe, broken };
}

test('both sides call at the same time, and each call gets its own answer', async (t) => {
  const { transport, client } = await calling(t, async (document) => {
    await turn();
    const { methodName, params } = parseCall(document);
    return methodName === 'bad' ? serialiseFault(42, 'no such room') : serialiseResponse(params[0] ?? '');
  });
  const numbers = Array.from({ length: 300 }, (_, n) => n);
  const large = 'x'.repeat(20 * PART);
  const answers = Promise.all([
    Promise.all(numbers.map((n) => client.call('echo', [n]))),
    Promise.all(numbers.map(() => transport.send(requestOf('any', []), MS))),
    client.call('echo', [large]),
  ]);
  t.deepEqual(await answers, [numbers, numbers.map(() => 'from the child'), large]);
  t.like(await t.throwsAsync(client.call('bad', [])), { code: 42, message: 'no such room' });
});

test('a call of a child over the limit is refused alone, and calls learn that their child has ended', async (t) => {
  const gone = new Gate<string>();
  const { transport, client } = await calling(
    t,
    (document, signal) => {
      if (parseCall(document).methodName === 'short') return serialiseResponse('done');
      signal.addEventListener('abort', () => {
        gone.push('gone');
      });
      return new Promise(NOTHING);
    },
    2 * PART,
  );
  const refused = client.call('echo', ['x'.repeat(5 * PART)]);
  const small = client.call('short', []);
  t.like(await t.throwsAsync(refused), { code: 'LIMIT' });
  t.is(await small, 'done');
  void client.call('long', []);
  t.is(await client.call('short', []), 'done');
  t.deepEqual(gone.all, []);
  await transport.close();
  t.deepEqual(gone.all, ['gone']);
});

test('a child that makes calls without end loses its pipe', async (t) => {
  const { pipe, broken } = await calling(t, () => new Promise(NOTHING));
  for (let n = 0; n < 3 * MAX_CALLS; n++) pipe.send(FIRST_CHILD_CALL + n, serialiseCall('any', []));
  t.deepEqual(await broken.first(1), ['it makes more than 2000 calls at a time']);
});
