/** The npm package `xmlrpc`, an independent implementation, as a client, a peer and a satellite. */
import { once } from 'node:events';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import xmlrpc from 'xmlrpc';
import { Gate } from '../support/gate.ts';
import { startRelay } from '../support/relays.ts';

/** Calls a relay through that package. */
function caller(url: string): (method: string, ...params: unknown[]) => Promise<unknown> {
  const client = xmlrpc.createClient({ url: `${url}/RPC2` });
  return (method, ...params) =>
    new Promise((resolve, reject) => {
      client.methodCall(method, params, (error: unknown, value: unknown) => {
        if (error instanceof Error) reject(error);
        else resolve(value);
      });
    });
}

/** A server of that package on a free port, with only the method `notify`. */
async function peerServer(t: ExecutionContext): Promise<{ url: string; notified: Gate<Record<string, unknown>> }> {
  const notified = new Gate<Record<string, unknown>>();
  const server = xmlrpc.createServer({ host: '127.0.0.1', port: 0 });
  server.on('notify', (_error: unknown, [dict]: [Record<string, unknown>], answer: (error: unknown, value: unknown) => void) => {
    notified.push(dict);
    answer(null, true);
  });
  const { httpServer } = server;
  if (!httpServer.listening) await once(httpServer, 'listening');
  t.teardown(() => {
    httpServer.close();
    httpServer.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(httpServer.address() as { port: number }).port}`, notified };
}

test('as a client: method names, values in both directions, a notify and a fault', async (t) => {
  const relay = await startRelay(t);
  const call = caller(relay.url);
  t.true(((await call('system.listMethods')) as string[]).includes('notify'));
  const value = {
    text: 'h\u00e9 <&> \u{1f40d}',
    whole: -7,
    part: 0.25,
    yes: true,
    when: new Date(2024, 1, 3, 4, 5, 6),
    bytes: Buffer.from([0, 1, 255]),
    list: [1, ['two', { three: 3 }], []],
    inner: { empty: '' },
  };
  t.deepEqual(await call('test', value), value);
  t.true(await call('notify', { data: { deep: [1, 2] }, host_id: 'npm@127.0.0.1:1' }));
  const [received] = await relay.received.first(1);
  t.deepEqual(JSON.parse(JSON.stringify(received?.dict.data)), { deep: [1, 2] });
  const fault = await t.throwsAsync(call('no.such.method'));
  t.like(fault, { faultCode: -32601 });
});

test('as a peer with only notify: every dict arrives once and in order', async (t) => {
  const peer = await peerServer(t);
  const relay = await startRelay(t, { peers: [peer.url] });
  const ids: string[] = [];
  for (let n = 0; n < 10; n++) ids.push(await relay.emit({ data: { n, text: 'h\u00e9' } }));
  const dicts = await peer.notified.first(10);
  t.deepEqual(
    dicts.map(({ data }) => data),
    Array.from({ length: 10 }, (_, n) => ({ n, text: 'h\u00e9' })),
  );
  t.true(dicts.every(({ host_id }) => host_id === relay.hostId));
  await relay.seen.event('link.forwarded', { id: ids[9]! });
  t.like(relay.status().mesh.peers[0], { forwarded: 10, refused: 0, dropped: 0 });
});

test('what such a peer sends is accepted, and not sent back to it', async (t) => {
  const peer = await peerServer(t);
  const relay = await startRelay(t, { peers: [peer.url] });
  const port = new URL(peer.url).port;
  t.true(await caller(relay.url)('notify', { data: 'from the peer', host_id: `old@127.0.0.1:${port}` }));
  const [received] = await relay.received.first(1);
  t.is(received?.dict.host_id, `old@127.0.0.1:${port}`);
  await relay.emit({ data: 'the end' });
  const [first] = await peer.notified.first(1);
  t.is(first?.data, 'the end');
});

test('as a satellite with only notify: it gets every dict once and in order, and stays registered although it has no ping', async (t) => {
  const satellite = await peerServer(t);
  const relay = await startRelay(t, { pingIntervalMs: 10, maxPingFails: 2 });
  await relay.call('relay.register', { port: Number(new URL(satellite.url).port) });
  const all = Array.from({ length: 30 }, (_, n) => n);
  await Promise.all(all.map((data) => relay.call('notify', { data })));
  const dicts = await satellite.notified.first(30);
  t.deepEqual(
    dicts.map(({ data }) => data),
    all,
  );
  for (;;) {
    const [record] = (await relay.call('relay.get_satellites')) as { ping_count: number; ping_fails: number }[];
    if (!record) return t.fail('it was dropped');
    t.is(record.ping_fails, 0);
    if (record.ping_count > 5) break;
  }
  t.is(satellite.notified.all.length, 30);
});
