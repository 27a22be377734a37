/** Responses of a program's server: fragmented anywhere, framed in every way, or hostile. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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
// Far longer than any of these calls takes.
const MS = 30_000;

interface RawServer {
  readonly transport: HttpTransport;
  /** Connections so far. */
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

const COMPLETE: Readonly<Record<string, { text: string; isReused: boolean }>> = {
  'a length': { text: `${HEAD}${LENGTH}\r\n${XML}`, isReused: true },
  'a length, and the end of the connection': { text: `${HEAD}Connection: close\r\n${LENGTH}\r\n${XML}`, isReused: false },
  'HTTP/1.0': { text: `HTTP/1.0 200 OK\r\n${TYPE}${LENGTH}\r\n${XML}`, isReused: false },
  'HTTP/1.0 with a persistent connection': {
    text: `HTTP/1.0 200 OK\r\n${TYPE}Connection: Keep-Alive\r\n${LENGTH}\r\n${XML}`,
    isReused: true,
  },
  'a body that ends with the connection': { text: `${HEAD}\r\n${XML}`, isReused: false },
  'chunks, one with an extension, and a trailer': {
    text: `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n${XML.slice(0, 5)}\r\n${(XML.length - 5).toString(16)};a=b\r\n${XML.slice(5)}\r\n0\r\nTrailer: x\r\n\r\n`,
    isReused: true,
  },
  '100 Continue before the response': { text: `HTTP/1.1 100 Continue\r\n\r\n${HEAD}${LENGTH}\r\n${XML}`, isReused: true },
  '103 Early Hints before the response': { text: `HTTP/1.1 103 Early Hints\r\n\r\n${HEAD}${LENGTH}\r\n${XML}`, isReused: true },
};

for (const [name, { text, isReused }] of Object.entries(COMPLETE)) {
  test(`reads a response with ${name}, whole and in pieces`, async (t) => {
    const sizes = [1, 2, 3, 5, 7, 11, 64, text.length];
    let answered = 0;
    const { transport, connections } = await serverOf(t, (socket) => write(socket, text, sizes[answered++] ?? 1, !isReused));
    for (const size of sizes) t.is(await transport.sendExact(CALL, MS), 'ham', `pieces of ${size} bytes`);
    t.is(connections(), isReused ? 1 : sizes.length);
  });
}

test('a connection with bytes after its response is not used again', async (t) => {
  const { transport, connections } = await serverOf(t, (socket) => socket.write(`${HEAD}${LENGTH}\r\n${XML}HTTP/1.1 200 OK\r\n`));
  t.is(await transport.send(CALL, MS), 'ham');
  t.is(await transport.send(CALL, MS), 'ham');
  t.is(connections(), 2);
});

test('at most eight connections serve any number of calls', async (t) => {
  const { transport, connections } = await serverOf(t, (socket) => write(socket, `${HEAD}${LENGTH}\r\n${XML}`, 50, false));
  const answers = await Promise.all(Array.from({ length: 100 }, () => transport.send(CALL, MS)));
  t.deepEqual(new Set(answers), new Set(['ham']));
  t.is(connections(), 8);
});

test('a call that is late is rejected with TIMEOUT, and frees its connection', async (t) => {
  let isSilent = true;
  const { transport } = await serverOf(t, (socket) => isSilent || socket.write(`${HEAD}${LENGTH}\r\n${XML}`));
  const late = Array.from({ length: 9 }, () => transport.send(CALL, 50));
  for (const call of late) await t.throwsAsync(call, { code: 'TIMEOUT', message: 'echo was not answered in 50 ms' });
  isSilent = false;
  t.is(await transport.send(CALL, MS), 'ham');
});

test('closing rejects the calls under way and all later ones', async (t) => {
  const { transport } = await serverOf(t, () => undefined);
  const calls = Array.from({ length: 10 }, () => transport.send(CALL, MS));
  const all = Promise.allSettled(calls);
  await transport.close();
  for (const { status } of await all) t.is(status, 'rejected');
  await t.throwsAsync(transport.send(CALL, MS), { code: 'TRANSPORT', message: 'ham does not run any more' });
});

const WRONG: Readonly<Record<string, RegExp>> = {
  '': /^ham: the connection ended before the response was complete$/,
  'HTTP/1.1 200 OK': /ended before the response was complete/,
  [`${HEAD}Content-Length: 5\r\n\r\n<x`]: /ham: .*(?:complete|length)/i,
  'SSH-2.0\r\n\r\n': /does not match the HTTP\/1\.1 protocol/,
  'HTTP/2 200\r\n\r\n': /does not match the HTTP\/1\.1 protocol/,
  'HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n': /it answered HTTP 302/,
  'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n': /it did not answer with XML \(Content-Type: text\/html\)/,
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n': /it did not answer with XML \(Content-Type: none\)/,
  [`${HEAD}${TYPE}${LENGTH}\r\n${XML}`]: /it did not answer with XML/,
  [`${HEAD}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n<xml>`]: /Content-Encoding 'gzip', which was not requested/,
  [`${HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\n<xml>`]: /does not match (?:content-length header|the HTTP\/1\.1 protocol)/,
  [`${HEAD}Content-Length: -5\r\n\r\n<xml>`]: /does not match the HTTP\/1\.1 protocol/,
  [`${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`]: /does not match (?:content-length header|the HTTP\/1\.1 protocol)/,
  [`${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`]: /Transfer-Encoding 'gzip, chunked', which was not requested/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\nx\r\n`]: /does not match the HTTP\/1\.1 protocol/,
  [`${HEAD}Content-Length: 1001\r\n\r\n`]: /larger than 1000 bytes/,
  [`${HEAD}Transfer-Encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1_001)}`]: /larger than 1000 bytes/,
  [`${HEAD}\r\n${'x'.repeat(1_001)}`]: /larger than 1000 bytes/,
  [`${HEAD}${'X-Long: x\r\n'.repeat(3_000)}`]: /the headers of the response are too large/,
  [`${HEAD} folded: x\r\n\r\n`]: /does not match the HTTP\/1\.1 protocol|did not answer with XML/,
};

for (const [text, reason] of Object.entries(WRONG)) {
  test(`an error: ${JSON.stringify(text.slice(0, 90))}`, async (t) => {
    for (const size of [text.length || 1, 7]) {
      const { transport } = await serverOf(t, (socket) => write(socket, text, size, true), 1_000);
      await t.throwsAsync(transport.send(CALL, MS), { code: 'TRANSPORT', message: reason });
    }
  });
}

/** Bytes that can still be reached. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('a body in chunks of a few bytes takes its own memory, not that of the pieces', async (t) => {
  const count = 200_000;
  let before = 0;
  const { transport } = await serverOf(t, async (socket) => {
    if (before === 0) {
      socket.write(`${HEAD}${LENGTH}\r\n${XML}`);
      return;
    }
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    const thousand = '8\r\n<a></a>\n\r\n'.repeat(1_000);
    for (let n = 0; n < count / 1_000; n++) if (!socket.write(thousand)) await once(socket, 'drain');
    const grown = heapInUse() - before;
    t.true(grown < 4_000_000, `the heap grew by ${grown} bytes`);
    socket.write('0\r\n\r\n');
  });
  // Loads what the first call needs.
  await transport.send(CALL, MS);
  before = heapInUse();
  await t.throwsAsync(transport.send(CALL, MS), { message: /not XML-RPC/ });
});

for (const [name, text, reason] of [
  ['interim responses without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(50_000), /more than 16 interim responses/],
  [
    'chunks of one byte',
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(300_000)}`,
    /more framing between chunks than content/,
  ],
] as const) {
  test(`${name} are rejected`, async (t) => {
    const { transport } = await serverOf(t, (socket) => write(socket, text, 65_536, false), 1_000_000);
    await t.throwsAsync(transport.send(CALL, MS), { code: 'TRANSPORT', message: reason });
  });
}
