/** Calls to a program over HTTP: number of connections, timeouts and closing. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/core/core.ts';
import { HttpTransport } from '../../../src/plugin-host/programs/http-transport.ts';
import { requestOf } from '../../../src/plugin-host/programs/transport.ts';
import { serialiseResponse } from '../../../src/xmlrpc/xmlrpc.ts';

const TYPE = 'Content-Type: text/xml; charset=utf-8\r\n';
const HEAD = `HTTP/1.1 200 OK\r\n${TYPE}`;
const XML = serialiseResponse('ham').toString();
const LENGTH = `Content-Length: ${XML.length}\r\n`;
const CALL = requestOf('echo', []);
// This timeout is far longer than any of these calls takes.
const MS = 30_000;

interface RawServer {
  readonly transport: HttpTransport;
  /** Number of connections so far. */
  readonly connections: () => number;
}

/** A server that sends what `respond` writes, in response to each request. */
async function serverOf(t: ExecutionContext, respond: (socket: Socket) => unknown, maxBodyBytes?: number): Promise<RawServer> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    let request = '';
    socket.on('data', (chunk: Buffer) => {
      request += chunk.toString('latin1');
      if (!request.endsWith('</methodCall>')) return;
      request = '';
      void respond(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const transport = new HttpTransport('ham', { port, path: '/token' }, { clock: systemClock, maxBodyBytes });
  t.teardown(async () => {
    await transport.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { transport, connections: () => connections };
}

/** Sends `text` in pieces of `size` bytes. With `ends`, the connection ends after it. */
async function write(socket: Socket, text: string, size: number, ends: boolean): Promise<void> {
  for (let from = 0; from < text.length && !socket.destroyed; from += size) {
    socket.write(text.slice(from, from + size), 'latin1');
    await turn();
  }
  if (ends) socket.end();
}

test('sequential calls use one connection', async (t) => {
  const { transport, connections } = await serverOf(t, (socket) => write(socket, `${HEAD}${LENGTH}\r\n${XML}`, 50, false));
  for (let n = 0; n < 20; n++) t.is(await transport.send(CALL, MS), 'ham');
  t.is(connections(), 1);
});

test('any number of concurrent calls use at most eight connections', async (t) => {
  const { transport, connections } = await serverOf(t, (socket) => write(socket, `${HEAD}${LENGTH}\r\n${XML}`, 50, false));
  const answers = await Promise.all(Array.from({ length: 100 }, () => transport.send(CALL, MS)));
  t.deepEqual(new Set(answers), new Set(['ham']));
  t.is(connections(), 8);
});

test('a late call is rejected with TIMEOUT and frees its connection', async (t) => {
  let isSilent = true;
  const { transport } = await serverOf(t, (socket) => isSilent || socket.write(`${HEAD}${LENGTH}\r\n${XML}`));
  const late = Array.from({ length: 9 }, () => transport.send(CALL, 50));
  for (const call of late) await t.throwsAsync(call, { code: 'TIMEOUT', message: 'echo was not answered in 50 ms' });
  isSilent = false;
  t.is(await transport.send(CALL, MS), 'ham');
});

test('closing rejects the calls in flight and all later ones', async (t) => {
  const { transport } = await serverOf(t, () => undefined);
  const calls = Array.from({ length: 10 }, () => transport.send(CALL, MS));
  const all = Promise.allSettled(calls);
  await transport.close();
  for (const { status } of await all) t.is(status, 'rejected');
  await t.throwsAsync(transport.send(CALL, MS), { code: 'TRANSPORT', message: 'ham does not run any more' });
});
