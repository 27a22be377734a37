/**
 * A link sends what waits in one request where the server takes that: fast over a slow network, in order, and each dict with its own
 * outcome. Over real sockets.
 */
import { setInterval as ticks } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { batchServer } from '../support/batch-server.ts';
import type { BatchServer, BatchServerParts } from '../support/batch-server.ts';
import { delayProxy } from '../support/delay-proxy.ts';
import { startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { heard, onOneAddress } from '../journey/topology.ts';

const RETRY = { minMs: 1, maxMs: 20 };
// A request that is held on a busy machine is not late.
// Without pings, the requests are those that the tests cause.
const PATIENT = { retry: RETRY, peerTimeoutMs: 50_000, peerPingIntervalMs: 0 };

/** Numbers from `from` to below `to`. */
const upTo = (to: number, from = 0): number[] => Array.from({ length: to - from }, (_, index) => from + index);

/** A relay with this server as its peer. */
async function linkedTo(
  t: ExecutionContext,
  parts: BatchServerParts = {},
  config: Config = {},
): Promise<{ server: BatchServer; relay: TestRelay }> {
  const server = await batchServer(t, parts);
  return { server, relay: await startRelay(t, { peers: [server.url], ...PATIENT, ...config }) };
}

/** Has the relay forward these while the first of them is on its way, so that the others wait. */
async function emitTogether(relay: TestRelay, server: BatchServer, data: readonly number[]): Promise<void> {
  server.hold();
  await Promise.all(data.map((one) => relay.emit({ data: one })));
  server.release();
}

/** The link to the one peer, once `isReached`. */
async function peerWhen(relay: TestRelay, isReached: (peer: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
  for (;;) {
    const { peers } = relay.status().mesh as unknown as { peers: readonly Record<string, unknown>[] };
    if (isReached(peers[0]!)) return peers[0]!;
    await new Promise(setImmediate);
  }
}

test.serial('2,000 dicts per second at 20 ms latency each way arrive in order with a short queue and without drops', async (t) => {
  t.timeout(60_000);
  const [placeA, placeB] = (await onOneAddress(2)) as [{ host: string; port: number }, { host: string; port: number }];
  const proxyPort = await delayProxy(t, () => placeB.port, 20);
  const b = await startRelay(t, { ...placeB, peers: [`http://127.0.0.1:${placeA.port}`] });
  const outbox = { maxMessages: 3_000, maxBytes: 8 * 1024 * 1024 };
  const a = await startRelay(t, { ...placeA, peers: [`http://127.0.0.1:${proxyPort}`], outbox, retry: RETRY, drainMs: 5_000 });
  const client = new XmlRpcClient(a.url);
  t.teardown(() => client.close());
  let sent = 0;
  for await (const _ of ticks(50)) {
    const calls = upTo(sent + 100, sent).map((data) => ({ methodName: 'notify', params: [{ data, pad: 'x'.repeat(200) }] }));
    t.is((await client.post(serialiseCall('system.multicall', [calls]))).kind, 'value');
    sent += 100;
    if (sent === 6_000) break;
  }
  await b.received.first(sent);
  t.deepEqual(heard(b), upTo(sent), 'each once and in order');
  t.like(await peerWhen(a, ({ waiting }) => waiting === 0), { forwarded: sent, dropped: 0, refused: 0, unreadable: 0 });
});

test('a lone dict is sent at once as a single call, without asking for batch support', async (t) => {
  const { server, relay } = await linkedTo(t);
  for (const data of [1, 2, 3]) {
    await relay.emit({ data });
    await server.taken.first(data);
    await peerWhen(relay, ({ isSending, waiting }) => isSending === false && waiting === 0);
  }
  t.deepEqual(server.requests.all, ['notify', 'notify', 'notify']);
});

test('queued dicts are sent in the next request, in order', async (t) => {
  const { server, relay } = await linkedTo(t);
  await emitTogether(relay, server, upTo(100));
  await server.taken.first(100);
  t.deepEqual(server.taken.all, upTo(100));
  t.deepEqual(server.requests.all.slice(0, 3), ['notify', 'multicall 0', 'multicall 16']);
  t.true(server.requests.all.length <= 10, server.requests.all.join());
});

test('a server that supports only notify is asked for batch support once and gets single calls in order', async (t) => {
  const { server, relay } = await linkedTo(t, { offers: () => false });
  await emitTogether(relay, server, upTo(30));
  await server.taken.first(30);
  await peerWhen(relay, ({ isSending, waiting }) => isSending === false && waiting === 0);
  await emitTogether(relay, server, upTo(60, 30));
  await server.taken.first(60);
  t.deepEqual(server.taken.all, upTo(60));
  t.deepEqual(server.requests.all, ['notify', 'system.multicall', ...upTo(59).map(() => 'notify')]);
});

test('a server is asked for batch support again after a failure', async (t) => {
  let offers = false;
  let isDown = false;
  const { server, relay } = await linkedTo(t, {
    offers: () => offers,
    outcome: () => (isDown ? { code: 503, text: 'starting' } : 'taken'),
  });
  await emitTogether(relay, server, upTo(5));
  await server.taken.first(5);
  await relay.stop();
  const again = await startRelay(t, { peers: [server.url], ...PATIENT });
  isDown = true;
  await again.emit({ data: 5 });
  await peerWhen(again, ({ state }) => state === 'never reached');
  offers = true;
  await emitTogether(again, server, upTo(40, 6));
  isDown = false;
  await server.taken.first(40);
  t.deepEqual(server.taken.all, upTo(40));
  t.true(server.requests.all.includes('multicall 16'));
});

test('a rejected dict does not affect others of its batch; a dict to be retried is sent before later ones', async (t) => {
  let isFull = true;
  const { server, relay } = await linkedTo(t, {
    outcome: (data) => {
      if (data === 5) return { code: 7, text: 'not this one' };
      // As a relay does it: once one is to come later, so are those behind it.
      if (isFull && Number(data) >= 12) return { code: 429, text: 'too many' };
      return 'taken';
    },
  });
  await emitTogether(relay, server, upTo(40));
  await peerWhen(relay, ({ lastError }) => lastError === 'fault 429: too many');
  isFull = false;
  await server.taken.first(39);
  t.deepEqual(
    server.taken.all,
    upTo(40).filter((data) => data !== 5),
  );
  t.like(await peerWhen(relay, ({ waiting }) => waiting === 0), { forwarded: 39, refused: 1, dropped: 0 });
});

for (const [how, answer] of [
  ['a LIMIT fault', { code: 413, text: 'at most 10 calls' }],
  ['HTTP 413', 'http 413'],
] as const) {
  test(`a server that limits a request to ten calls and reports it by ${how} gets no larger batches`, async (t) => {
    const { server, relay } = await linkedTo(t, { wholeBatch: ({ length }) => (length > 10 ? answer : undefined) });
    await emitTogether(relay, server, upTo(200));
    await server.taken.first(200);
    t.deepEqual(server.taken.all, upTo(200));
    const sizes = server.requests.all.map((request) => Number(request.split(' ')[1] ?? 0));
    t.true(sizes.filter((size) => size > 10).length <= 5, sizes.join());
    t.true(sizes.length < 40, sizes.join());
  });
}

test('if one dict causes a whole batch to be rejected, only that dict is rejected in the end', async (t) => {
  const { server, relay } = await linkedTo(t, {
    wholeBatch: (data) => (data.includes(50) ? { code: -32700, text: 'line 7: a double is finite' } : undefined),
    outcome: (data) => (data === 50 ? { code: -32700, text: 'line 1: a double is finite' } : 'taken'),
  });
  await emitTogether(relay, server, upTo(300));
  await server.taken.first(299);
  t.deepEqual(
    server.taken.all,
    upTo(300).filter((data) => data !== 50),
  );
  t.like(await peerWhen(relay, ({ waiting }) => waiting === 0), { forwarded: 299, refused: 1 });
  t.true(server.requests.all.length < 40, server.requests.all.join());
});

test('a server that closes the connection on a batch gets the dicts one by one, then batches again', async (t) => {
  let breaks = 1;
  const { server, relay } = await linkedTo(t, { wholeBatch: () => (breaks-- > 0 ? 'reset' : undefined) });
  await emitTogether(relay, server, upTo(100));
  await server.taken.first(100);
  t.deepEqual(server.taken.all, upTo(100));
  t.is(server.requests.all.filter((request) => request === 'multicall 0').length, 2, 'a new connection is asked anew');
});

test('a server that offers batches but responds that there is no such method gets single calls', async (t) => {
  const { server, relay } = await linkedTo(t, { wholeBatch: () => ({ code: -32601, text: 'gone' }) });
  await emitTogether(relay, server, upTo(20));
  await server.taken.first(20);
  t.deepEqual(server.taken.all, upTo(20));
  t.is(server.requests.all.filter((request) => request.startsWith('multicall')).length, 2);
});

test("a peer's send options apply to batches, too", async (t) => {
  const server = await batchServer(t);
  const relay = await startRelay(t, { peers: [{ url: server.url, send: { doubles: 'exponent' } }], ...PATIENT });
  await emitTogether(relay, server, [1e300, 2e300, 3e300]);
  await server.taken.first(3);
  t.is(server.requests.all.at(-1), 'multicall 2');
  t.regex(server.bodies.at(-1)!, /<double>2e\+?300<\/double>.*<double>3e\+?300<\/double>/i);
});

test('a satellite that offers batches gets them; one that stops is removed with its queue', async (t) => {
  const server = await batchServer(t);
  const relay = await startRelay(t, PATIENT);
  await relay.call('relay.register', { port: server.port });
  await emitTogether(relay, server, upTo(30));
  await server.taken.first(30);
  t.deepEqual(server.taken.all, upTo(30));
  t.true(server.requests.all.includes('multicall 2'), 'it begins with few, to learn how quick the satellite is');
  t.true(server.requests.all.length < 12, server.requests.all.join());
});

for (const [how, whole] of [
  ['a fault', { code: 1, text: 'cannot marshal None' }],
  ['HTTP 500', 'http 500'],
] as const) {
  test(`a satellite that processes a batch and then responds with ${how} gets no duplicates, and only single calls afterwards`, async (t) => {
    const got: unknown[] = [];
    const server = await batchServer(t, {
      wholeBatch: (data) => {
        got.push(...data);
        return whole;
      },
      outcome: (data) => {
        got.push(data);
        return { code: 1, text: 'cannot marshal None' };
      },
    });
    const relay = await startRelay(t, PATIENT);
    await relay.call('relay.register', { port: server.port });
    await emitTogether(relay, server, upTo(30));
    await server.requests.first(30);
    for (;;) {
      const { satellites } = relay.status().satellites as unknown as { satellites: readonly { link: Record<string, unknown> }[] };
      if (satellites[0]?.link.waiting === 0) {
        t.like(satellites[0].link, { refused: 30, forwarded: 0, dropped: 0 });
        break;
      }
      await new Promise(setImmediate);
    }
    t.deepEqual(got, upTo(30));
    t.is(server.requests.all.filter((request) => /^multicall [1-9]/.test(request)).length, 1);
  });
}

test('a satellite that closes the connection on a batch gets one batch, then single calls', async (t) => {
  const server = await batchServer(t, { wholeBatch: () => 'reset' });
  const relay = await startRelay(t, PATIENT);
  await relay.call('relay.register', { port: server.port });
  await emitTogether(relay, server, upTo(30));
  await server.taken.first(30);
  t.deepEqual(server.taken.all, upTo(30));
  t.is(server.requests.all.filter((request) => /^multicall [1-9]/.test(request)).length, 1);
});
