/** Hostile and broken servers: the client fails within its limits, and close() leaves no connection. */
import type { Socket } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { RemoteFault, createClient } from '../../src/client/client.ts';
import type { ClientOptions, ErrorData, XmlRpcClient } from '../../src/client/client.ts';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { answer, rawServer } from '../support/raw-server.ts';
import type { RawServer } from '../support/raw-server.ts';
import { rejects } from '../support/relay-error.ts';

const TRUE = serialiseResponse(true);
const BOUNDS: ClientOptions = { timeoutMs: 2000, maxResponseBytes: 100_000, maxHeaderBytes: 8192 };

function clientOf(t: ExecutionContext, url: string, options: ClientOptions = BOUNDS): XmlRpcClient {
  const client = createClient(url, options);
  t.teardown(() => client.close());
  return client;
}

const response = (inner: string): string => `<?xml version="1.0"?><methodResponse>${inner}</methodResponse>`;
const fault = (members: string): string => response(`<fault><value><struct>${members}</struct></value></fault>`);
const CODE = '<member><name>faultCode</name><value><int>1</int></value></member>';
const TEXT = '<member><name>faultString</name><value><string>x</string></value></member>';

const LIES: readonly (readonly [what: string, body: string])[] = [
  ['a fault whose code is a text', fault(CODE.replaceAll('int>', 'string>') + TEXT)],
  ['a fault whose code is a double', fault(CODE.replaceAll('int>', 'double>') + TEXT)],
  ['a fault whose text is an int', fault(CODE + TEXT.replace('<string>x</string>', '<int>1</int>'))],
  ['a fault whose text is an array', fault(CODE + TEXT.replace('<string>x</string>', '<array><data></data></array>'))],
  ['a fault without a text', fault(CODE)],
  ['a fault with a member more', fault(`${CODE}${TEXT}<member><name>stack</name><value>x</value></member>`)],
  ['a fault with two codes', fault(CODE + TEXT + CODE)],
  ['a fault that is an array', response('<fault><value><array><data></data></array></value></fault>')],
  ['a fault in a fault', response(`<fault><fault><value><struct>${CODE}${TEXT}</struct></value></fault></fault>`)],
  [
    'a fault after a value',
    response(`<params><param><value>1</value></param></params><fault><value><struct>${CODE}${TEXT}</struct></value></fault>`),
  ],
  ['two values', response('<params><param><value>1</value></param><param><value>2</value></param></params>')],
  ['no value', response('<params></params>')],
  ['two answers', response('<params><param><value>1</value></param></params>').repeat(2)],
  [
    'entities',
    '<!DOCTYPE x SYSTEM "file:///etc/passwd"><methodResponse><params><param><value>&x;</value></param></params></methodResponse>',
  ],
  [
    '65 arrays inside each other',
    response(`<params><param>${'<value><array><data>'.repeat(65)}${'</data></array></value>'.repeat(65)}</param></params>`),
  ],
];

for (const [what, body] of LIES) {
  test(`${what}: not XML-RPC`, async (t) => {
    const { url } = await rawServer(t, (socket) => socket.write(answer(body)));
    const call = clientOf(t, url, { ...BOUNDS, answers: 'strict' }).call('x');
    const { message } = await rejects(t, call, 'TRANSPORT', { reason: 'not-xmlrpc' });
    t.regex(message, /^127\.0\.0\.1:\d+ answered something that is not XML-RPC: line 1, /);
  });
}

/** Writes `more` again and again until the other side is gone. */
function pour(socket: Socket, more: string): void {
  const next = (): void => {
    if (!socket.destroyed) socket.write(more, () => setImmediate(next));
  };
  next();
}

type Behaviour = readonly [what: string, behave: (socket: Socket) => void, data: ErrorData];

const BEHAVIOURS: readonly Behaviour[] = [
  [
    '10 GB, announced',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 10737418240\r\n\r\n');
      pour(socket, 'x'.repeat(65_536));
    },
    { reason: 'connection', systemCode: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' },
  ],
  [
    'a body without an end',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n');
      pour(socket, 'x'.repeat(65_536));
    },
    { reason: 'connection', systemCode: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' },
  ],
  [
    'an error page without an end',
    (socket) => {
      socket.write('HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\n\r\n');
      pour(socket, 'x'.repeat(65_536));
    },
    { reason: 'connection', systemCode: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' },
  ],
  [
    'a page of another type without an end, of which nothing is read',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n');
      pour(socket, 'x'.repeat(65_536));
    },
    { reason: 'content-type' },
  ],
  [
    'one header without an end',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nX-Long: ');
      pour(socket, 'x'.repeat(4096));
    },
    { reason: 'connection', systemCode: 'UND_ERR_HEADERS_OVERFLOW' },
  ],
  [
    'headers without an end',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      pour(socket, 'X-Many: x\r\n'.repeat(100));
    },
    { reason: 'connection', systemCode: 'UND_ERR_HEADERS_OVERFLOW' },
  ],
  ['the end in the middle of the answer', (socket) => socket.end(answer(TRUE).subarray(0, -5)), { reason: 'connection' }],
  [
    'a reset in the middle of the answer',
    (socket) => socket.write(answer(TRUE).subarray(0, -5), () => socket.resetAndDestroy()),
    { reason: 'connection' },
  ],
  [
    'gzip by another name',
    (socket) => socket.write(answer('\x1f\x8b', { headers: 'Content-Encoding: x-gzip\r\n' })),
    { reason: 'content-encoding' },
  ],
  [
    'a switch of the protocol',
    (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
    { reason: 'connection' },
  ],
];

for (const [what, behave, data] of BEHAVIOURS) {
  test(`${what}: an error within the limits, and close() leaves no connection`, async (t) => {
    const server = await rawServer(t, behave);
    const client = clientOf(t, server.url);
    const { message } = await rejects(t, client.call('x'), 'TRANSPORT', data);
    t.true(message.length < 400);
    t.true(message.startsWith('127.0.0.1:'), 'it says who');
    await allClosed(t, client, server);
  });
}

test('a response that is rejected by its head is not read further, and its connection is closed', async (t) => {
  const server = await rawServer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>');
  });
  const client = clientOf(t, server.url, { ...BOUNDS, timeoutMs: 600_000 });
  await rejects(t, client.call('x'), 'TRANSPORT', { reason: 'content-type' });
  await server.closed.first(1);
});

test('endless interim responses end with the timeout for the headers', async (t) => {
  const server = await rawServer(t, (socket) => {
    pour(socket, 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n');
  });
  const client = clientOf(t, server.url, { timeoutMs: 200 });
  await rejects(t, client.call('x'), 'TIMEOUT');
  await allClosed(t, client, server);
});

test('a response before the end of the request is valid, and surplus bytes belong to no other call', async (t) => {
  let served = 0;
  const { url } = await rawServer(t, (socket) => {
    served++;
    // The second of two responses to one request belongs to no call.
    socket.write(Buffer.concat([answer(serialiseResponse(served)), answer(serialiseResponse('stray'))]));
  });
  const client = clientOf(t, url);
  t.is(await client.call('x'), 1);
  const second = await client.call('x').catch((error: unknown) => error);
  t.not(second, 'stray');
});

test('after a fault and after an error the connection, or a new one, serves the next call', async (t) => {
  const script = [fault(CODE + TEXT), 'garbage', '', response('<params><param><value><int>5</int></value></param></params>')];
  const server = await rawServer(t, (socket) => socket.write(answer(script.shift() ?? TRUE)));
  const client = clientOf(t, server.url);
  t.true(RemoteFault.is(await t.throwsAsync(client.call('a'))));
  for (const name of ['b', 'c']) await rejects(t, client.call(name), 'TRANSPORT', { reason: 'not-xmlrpc' });
  t.is(await client.call('d'), 5);
  t.is(server.connections(), 1);
});

test('a connection that the server closes while it is idle fails no call', async (t) => {
  const server = await rawServer(t, (socket) => socket.end(answer(TRUE)));
  const client = clientOf(t, server.url);
  for (let time = 1; time <= 5; time++) {
    t.true(await client.call('x'));
    await server.closed.first(time);
  }
});

test('the limits on the content of responses are options of the client', async (t) => {
  const { url } = await rawServer(t, (socket) => socket.write(answer(serialiseResponse([[1, 2, 3]]))));
  for (const limits of [{ maxDepth: 1 }, { maxValues: 3 }]) {
    const { cause } = await rejects(t, clientOf(t, url, { limits }).call('x'), 'TRANSPORT', { reason: 'not-xmlrpc' });
    t.like(cause, { code: 'LIMIT' });
  }
  t.deepEqual(await clientOf(t, url, { limits: { maxDepth: 2 } }).call('x'), [[1, 2, 3]]);
});

/** Waits until the server has seen all connections end after close(). */
async function allClosed(t: ExecutionContext, client: XmlRpcClient, server: RawServer): Promise<void> {
  await client.close();
  await server.closed.first(server.connections());
  t.is(server.open(), 0);
}

test('errors that quote the server never contain our password', async (t) => {
  const { url } = await rawServer(t, (socket, request) => {
    const line = request.replaceAll('\r\n', ' ');
    socket.write(`HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: ${line.length}\r\n\r\n${line}`);
  });
  for (const [at, options] of [
    [url.replace('://', '://ann:hunter2-and-more@'), {}],
    [url, { token: 'hunter2-and-more' }],
  ] as const) {
    const client = createClient(at, options);
    t.teardown(() => client.close());
    const { message } = await rejects(t, client.call('x'), 'TRANSPORT', { reason: 'http-status', status: 500 });
    t.regex(message, /answered HTTP 500: POST \/RPC2/);
    t.notRegex(message, /hunter2|YW5uOmh1/);
  }
});
