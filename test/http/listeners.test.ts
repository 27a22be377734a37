/** Several addresses, IPv6 and a unix socket: one relay, the same rules on each, and nothing left behind. */
import { EventEmitter, once } from 'node:events';
import { lookup } from 'node:dns/promises';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Listeners } from '../../src/http/listeners.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import { rejects } from '../support/relay-error.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import { PING, everything, exchange, open, request, requestBytes } from './raw.ts';

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((net) => net?.address === '::1');

const ping = async (t: ExecutionContext, url: string): Promise<unknown> => {
  const client = new XmlRpcClient(new URL(url));
  t.teardown(() => client.close());
  return client.call('ping');
};

/** A call over a unix socket. */
async function callOver(path: string, method: string, headers: Readonly<Record<string, string>> = {}): Promise<ParsedResponse> {
  const sent = httpRequest({ socketPath: path, path: '/RPC2', method: 'POST', headers: { 'content-type': 'text/xml', ...headers } });
  sent.end(serialiseCall(method, method === 'notify' ? [{ data: 1 }] : []));
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return parseResponse(Buffer.concat((await answer.toArray()) as Buffer[]));
}

test('every listed address serves the same port with the same rules, and the first one is in the host_id', async (t) => {
  const relay = await startRelay(t, { host: ['127.0.0.2', '::ffff:127.0.0.3', ...(hasIpv6 ? ['[::1]'] : [])], requestTimeoutMs: 1000 });
  const { port, hostname } = new URL(relay.url);
  t.is(hostname, '127.0.0.2');
  t.true(relay.hostId.endsWith(`@127.0.0.2:${port}`));
  const others = [`http://127.0.0.3:${port}`, ...(hasIpv6 ? [`http://[::1]:${port}`] : [])];
  for (const url of [relay.url, ...others]) {
    t.is(await ping(t, url), true);
    t.is((await request(url, { headers: { host: 'evil.example' } })).status, 421);
    t.is((await request(url, { headers: { origin: 'https://evil.example' } })).status, 403);
    t.is((await request(url, { headers: { 'content-type': 'text/plain' } })).status, 415);
  }
  // All at once, so that the test waits for the limit only once.
  const slow = await Promise.all([relay.url, ...others].map((url) => everything(open(url, requestBytes(url).subarray(0, 40)))));
  for (const answer of slow) t.regex(answer.toString(), /^(HTTP\/1\.1 408 .*)?$/s);
  for (const url of others)
    t.is(relay.log.matching(new RegExp(`also listening on ${new URL(url).host.replace(/[[\]]/g, '\\$&')}`)).length, 1);
  await relay.stop();
  for (const url of [relay.url, ...others]) await rejects(t, ping(t, url), 'TRANSPORT', { systemCode: 'ECONNREFUSED' });
});

test('a call in progress on an additional address is answered before the relay stops', async (t) => {
  const relay = await startRelay(t, { host: ['127.0.0.2', '127.0.0.3'] });
  const url = `http://127.0.0.3:${new URL(relay.url).port}`;
  const bytes = requestBytes(url, { headers: { connection: 'keep-alive', expect: '100-continue' } });
  const socket = open(url, bytes.subarray(0, bytes.length - PING.length));
  await once(socket, 'data');
  const answer = everything(socket);
  let isStopped = false;
  const stopped = relay.stop().then(() => (isStopped = true));
  await t.throwsAsync(ping(t, relay.url));
  t.false(isStopped);
  socket.write(PING);
  t.regex((await answer).toString(), /^HTTP\/1\.1 200 /);
  await stopped;
});

test('a host name that the relay listens on is accepted in the Host header', async (t) => {
  const relay = await startRelay(t, { host: ['127.0.0.2', 'localhost'] });
  t.is((await request(relay.url, { headers: { host: 'localhost' } })).status, 200);
});

(hasIpv6 ? test : test.skip)(':: listens on both families, and a caller by IPv4 is known by its IPv4 address', async (t) => {
  const relay = await startRelay(t, { host: '::' });
  const { port } = new URL(relay.url);
  const client = new XmlRpcClient(new URL(`http://127.0.0.1:${port}`));
  t.teardown(() => client.close());
  await client.call('notify', [{ data: 1, host_id: 'a@127.0.0.1:0' }]);
  t.is(await ping(t, `http://[::1]:${port}`), true);
});

test('a unix socket is private to the user and removed at the stop; its callers are local unless a proxy says otherwise', async (t) => {
  const path = join(temporaryDir(t), 'co2.sock');
  const relay = await startRelay(t, { unixSocket: path });
  t.is(statSync(path).mode & 0o777, 0o600);
  t.like(await callOver(path, 'ping'), { kind: 'value', value: true });
  t.like(await callOver(path, 'notify'), { kind: 'value', value: true });
  const [heard] = await relay.received.first(1);
  t.deepEqual(heard?.dict.client_address, ['127.0.0.1', 0]);
  t.like(await callOver(path, 'notify', { 'x-forwarded-for': '192.0.2.1' }), { kind: 'fault', code: 403 });
  t.like(await callOver(path, 'ping', { authorization: 'Bearer wrong' }), { kind: 'fault', code: 401 });
  await relay.stop();
  t.false(existsSync(path));
});

test('the socket file of a killed relay is replaced, but not that of a running relay or any other file', async (t) => {
  const path = join(temporaryDir(t), 'co2.sock');
  const killed = await startCo2(t, { env: { CO2_UNIX_SOCKET: path } });
  killed.kill('SIGKILL');
  await killed.exit;
  t.true(existsSync(path));
  const living = await startRelay(t, { unixSocket: path });
  t.like(await callOver(path, 'ping'), { value: true });
  const used = await rejects(t, startRelay(t, { unixSocket: path }), 'LISTEN_FAILED', { reason: 'locked', path });
  t.regex(used.message, /co2\.sock \(unixSocket\) is in use/);
  t.like(await callOver(path, 'ping'), { value: true });
  await living.stop();
  writeFileSync(path, 'mine');
  const other = await rejects(t, startRelay(t, { unixSocket: path }), 'LISTEN_FAILED', { reason: 'unwritable', path });
  t.regex(other.message, /is not a socket/);
  t.is(statSync(path).size, 4);
});

test('an additional address in use aborts the start and leaves nothing open', async (t) => {
  const holder = createServer().listen(0, '127.0.0.3');
  t.teardown(() => holder.close());
  await once(holder, 'listening');
  const { port } = holder.address() as { port: number };
  const starting = startRelay(t, { host: ['127.0.0.2', '127.0.0.3'], port });
  const error = await rejects(t, starting, 'LISTEN_FAILED', { systemCode: 'EADDRINUSE' });
  t.regex(error.message, new RegExp(`^port ${port} on 127\\.0\\.0\\.3 is in use`));
  await rejects(t, ping(t, `http://127.0.0.2:${port}`), 'TRANSPORT', { systemCode: 'ECONNREFUSED' });
});

const NONSENSE: readonly (readonly [host: unknown, says: RegExp])[] = [
  ['127.0.0.1:2004', /host: found '127\.0\.0\.1:2004', expected an IP address or a name to listen on, without a port/],
  ['http://127.0.0.1', /expected an IP address or a name/],
  ['224.0.0.1', /expected an IP address or a name/],
  ['255.255.255.255', /expected an IP address or a name/],
  ['999.1.1.1', /expected an IP address or a name/],
  ['127.1', /expected an IP address or a name/],
  ['', /expected a non-empty text/],
  [[], /expected at least 1/],
  [['127.0.0.1', ''], /host\.1: found '', expected a non-empty text/],
  [['127.0.0.1', 7], /host\.1: found 7, expected a value of type string/],
  [['127.0.0.1', '::ffff:127.0.0.1'], /expected addresses of which none is or contains another/],
  [['0.0.0.0', '127.0.0.1'], /expected addresses of which none is or contains another/],
];

for (const [host, says] of NONSENSE) {
  test(`host ${JSON.stringify(host)} is invalid`, async (t) => {
    t.regex((await rejects(t, startRelay(t, { host: host as string }), 'CONFIG_INVALID')).message, says);
  });
}

test.serial('--host may be repeated, and CO2_HOST is comma-separated', async (t) => {
  const byFlag = await startCo2(t, { args: ['--host', '127.0.0.2', '--host', '127.0.0.3'] });
  t.is(await ping(t, `http://127.0.0.3:${byFlag.port}`), true);
  const byVariable = await startCo2(t, { env: { CO2_HOST: '127.0.0.2,127.0.0.4' } });
  t.is(await ping(t, `http://127.0.0.4:${byVariable.port}`), true);
  t.like(await runCo2(t, { args: ['--host', '127.0.0.2', '--host', '127.0.0.2'] }).exit, { code: 2 });
});

test('maxConnections counts the connections of all addresses and of the unix socket', async (t) => {
  const path = join(temporaryDir(t), 'co2.sock');
  const relay = await startRelay(t, { host: ['127.0.0.2', '127.0.0.3'], unixSocket: path, maxConnections: 2 });
  const other = `http://127.0.0.3:${new URL(relay.url).port}`;
  const open = await Promise.all([relay.url, other].map((url) => connected(t, url)));
  for (const url of [relay.url, other]) t.deepEqual(await exchange(url, requestBytes(url)), []);
  await t.throwsAsync(callOver(path, 'ping'));
  const [first] = open;
  first?.destroy();
  // The relay learns of it a moment later.
  let answers = await exchange(other, requestBytes(other));
  while (answers.length === 0) answers = await exchange(other, requestBytes(other));
  t.is(answers[0]?.status, 200);
});

test('another machine may use half of the connections across all addresses of its block; this machine may use all', (t) => {
  const target = new EventEmitter();
  new Listeners(target, { maxConnections: 6, isTls: false });
  const connectFrom = (remoteAddress: string | undefined): EventEmitter & { isCut: boolean } => {
    const socket = Object.assign(new EventEmitter(), { remoteAddress, isCut: false, destroy: () => void (socket.isCut = true) });
    target.emit('connection', socket);
    return socket;
  };
  const cutOf = (...addresses: (string | undefined)[]): boolean[] => {
    const sockets = addresses.map(connectFrom);
    const cut = sockets.map(({ isCut }) => isCut);
    for (const socket of sockets) if (!socket.isCut) socket.emit('close');
    return cut;
  };
  t.deepEqual(cutOf('2001:db8::1', '2001:db8::2', '2001:db8::ffff:1', '2001:db8::3', '2001:db8:0:1::1'), [
    false,
    false,
    false,
    true,
    false,
  ]);
  t.deepEqual(cutOf('192.0.2.7', '::ffff:192.0.2.7', '192.0.2.7', '192.0.2.7', '192.0.2.8'), [false, false, false, true, false]);
  t.deepEqual(cutOf('127.0.0.1', '::1', '127.0.0.2', undefined, '127.0.0.1', '::ffff:127.0.0.1', '::1'), [
    ...Array<boolean>(6).fill(false),
    true,
  ]);
});

/** A connection that was answered once and stays open. */
async function connected(t: ExecutionContext, url: string): Promise<Socket> {
  const socket = open(url, requestBytes(url, { headers: { connection: 'keep-alive' } }));
  t.teardown(() => socket.destroy());
  await once(socket, 'data');
  return socket;
}

test('port 0 on several addresses selects a port that is free on all of them', async (t) => {
  // Whatever the system would give away next on 127.0.0.2 is likely to be taken on 127.0.0.3.
  const holders = Array.from({ length: 300 }, () => createServer().listen(0, '127.0.0.3'));
  t.teardown(() => {
    for (const holder of holders) holder.close();
  });
  await Promise.all(holders.map((holder) => once(holder, 'listening')));
  for (let count = 0; count < 20; count++) {
    const relay = await startRelay(t, { host: ['127.0.0.2', '127.0.0.3'] });
    t.is(await ping(t, `http://127.0.0.3:${new URL(relay.url).port}`), true);
    await relay.stop();
  }
});

test('localhost listens on all of its addresses, with the same rules on each', async (t) => {
  const relay = await startRelay(t, { host: 'localhost', maxConnections: 3, requestTimeoutMs: 86_400_000 });
  const { port } = new URL(relay.url);
  const addresses = (await lookup('localhost', { all: true })).filter(({ family }) => family === 4 || hasIpv6);
  const urls = addresses.map(({ address, family }) => `http://${family === 6 ? `[${address}]` : address}:${port}`);
  const many = Array.from({ length: 200 }, () => ['d', ''] as const);
  for (const url of urls) t.is((await request(url, { more: many })).status, 431, url);
  for (let count = 0; count < 3; count++) await connected(t, urls[count % urls.length]!);
  for (const url of urls) t.deepEqual(await exchange(url, requestBytes(url)), [], url);
});
