/** How connections end: the relay frees its socket after the last answer, whatever the client does, and a stop always ends. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectSecurely } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { writeCertificate } from '../support/certificate.ts';
import { startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';
import { socketsOf } from '../support/sockets.ts';
import { requestBytes } from './raw.ts';
import type { RawRequest } from './raw.ts';

interface Served {
  readonly relay: RelayProcess;
  readonly port: number;
  readonly unixSocket: string;
  readonly ping: () => Promise<unknown>;
}

async function serve(t: ExecutionContext, options: Readonly<Record<string, unknown>>): Promise<Served> {
  const unixSocket = join(temporaryDir(t), 's');
  const config = { unixSocket, requestTimeoutMs: 300, ...options };
  const relay = await startCo2(t, { files: { 'config.ts': `export default ${JSON.stringify(config)};` } });
  const client = new XmlRpcClient(new URL('http://localhost/'), { socketPath: unixSocket });
  t.teardown(() => client.close());
  return { relay, port: Number(new URL(relay.url).port), unixSocket, ping: () => client.call('ping', []) };
}

/** A client that never closes, whatever it is sent. */
function stubborn(t: ExecutionContext, socket: Socket, bytes: Buffer | string = ''): Socket {
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined).resume();
  if (bytes.length > 0) socket.write(bytes);
  return socket;
}

const overTcp = ({ port }: Served): Socket => connect({ port, host: '127.0.0.1', allowHalfOpen: true });
const overUnix = ({ unixSocket }: Served): Socket => connect({ path: unixSocket, allowHalfOpen: true });
const overTls = ({ port }: Served): Socket => {
  // Known to Node, and not to its types.
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true };
  return connectSecurely(options);
};

/** Waits until the relay holds `count` sockets, and answers how many it holds in the end. */
async function socketsLeft({ relay, ping }: Served, count: number): Promise<number> {
  for (let looks = 0; looks < 2000 && socketsOf(relay.pid).length > count; looks++) await ping();
  return socketsOf(relay.pid).length;
}

const ENDED: readonly (readonly [what: string, request: RawRequest | string, status: string])[] = [
  ['bytes that are no HTTP', 'hello\r\n\r\n', '400'],
  ['a byte and no more', 'P', '408'],
  ['half of the headers', 'POST / HTTP/1.1\r\nHost: a', '408'],
  ['half of a body', { headers: { 'content-length': '1000', connection: 'keep-alive' } }, '408'],
  ['an announced body that is too large', { headers: { 'content-length': '999999999', connection: 'keep-alive' } }, '413'],
  ['headers that are too long', { headers: { x: 'y'.repeat(20_000), connection: 'keep-alive' } }, '431'],
  ['too many headers', { headers: { connection: 'keep-alive' }, more: Array.from({ length: 500 }, () => ['d', ''] as const) }, '431'],
  ['a call that is the last', {}, '200'],
];

for (const [where, connectTo] of [
  ['TCP', overTcp],
  ['a unix socket', overUnix],
] as const) {
  test(`over ${where}, a client that never closes its connection does not keep a socket of the relay open`, async (t) => {
    // A whole request may take longer than the short limit on a loaded machine.
    const [impatient, patient] = [await serve(t, {}), await serve(t, { requestTimeoutMs: 30_000 })];
    for (const [what, request, status] of ENDED) {
      const served = status === '408' ? impatient : patient;
      await served.ping();
      const before = socketsOf(served.relay.pid).length;
      const bytes = typeof request === 'string' ? request : requestBytes(served.relay.url, request);
      const clients = Array.from({ length: 5 }, () => stubborn(t, connectTo(served), bytes));
      const answers = await Promise.all(clients.map(async (socket) => String((await once(socket, 'data'))[0])));
      t.deepEqual(new Set(answers.map((answer) => answer.slice(0, 12))), new Set([`HTTP/1.1 ${status}`]), what);
      t.is(await socketsLeft(served, before), before, what);
    }
  });
}

test('a TLS client that never closes its connection does not keep a socket of the relay open', async (t) => {
  const served = await serve(t, { tls: writeCertificate(temporaryDir(t)) });
  await served.ping();
  const before = socketsOf(served.relay.pid).length;
  const cases: readonly (readonly [what: string, connectOne: () => Socket])[] = [
    ['no handshake', () => stubborn(t, overTcp(served))],
    ['bytes that are no TLS', () => stubborn(t, overTcp(served), 'hello, hello, hello\r\n\r\n')],
    ['a handshake that stops', () => stubborn(t, overTcp(served), Buffer.from('160301020001', 'hex'))],
    ['a request that stops', () => stubborn(t, overTls(served), 'P')],
    ['bytes that are no HTTP', () => stubborn(t, overTls(served), 'hello\r\n\r\n')],
    ['too many headers', () => stubborn(t, overTls(served), `GET / HTTP/1.1\r\nHost: localhost\r\n${'d:\r\n'.repeat(500)}\r\n`)],
  ];
  for (const [what, connectOne] of cases) {
    const clients = Array.from({ length: 5 }, connectOne);
    await Promise.all(clients.map((socket) => new Promise((resolve) => socket.once('end', resolve).once('close', resolve))));
    t.is(await socketsLeft(served, before), before, what);
  }
});

for (const isSecure of [false, true]) {
  test(`SIGTERM stops a relay with ${isSecure ? 'HTTPS' : 'HTTP'} whose clients never close their connections`, async (t) => {
    const served = await serve(t, { requestTimeoutMs: 86_400_000, ...(isSecure ? { tls: writeCertificate(temporaryDir(t)) } : {}) });
    const half = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Type: text/xml\r\n\r\n';
    const before = socketsOf(served.relay.pid).length;
    for (const connectTo of [overTcp, overUnix, ...(isSecure ? [overTls] : [])]) {
      for (const bytes of ['', 'P', half, 'hello\r\n\r\n']) stubborn(t, connectTo(served), bytes);
    }
    const held = async (): Promise<number> => {
      await served.ping();
      return socketsOf(served.relay.pid).length;
    };
    // All but those that were answered are there when the signal comes.
    while ((await held()) < before + (isSecure ? 8 : 6)) continue;
    served.relay.kill('SIGTERM');
    t.like(await served.relay.exit, { code: 0 });
  });
}

test('connections beyond maxConnections are closed before the TLS handshake, and others are unaffected', async (t) => {
  const served = await serve(t, { maxConnections: 3, requestTimeoutMs: 86_400_000, tls: writeCertificate(temporaryDir(t)) });
  await served.ping();
  const clients = Array.from({ length: 20 }, () => stubborn(t, overTls(served), 'P'));
  let closed = 0;
  await new Promise<void>((resolve) => {
    for (const socket of clients) {
      socket.once('close', () => {
        if (++closed === 18) resolve();
      });
    }
  });
  t.is(await served.ping(), true);
});
