/** The client with servers that respond, refuse, disconnect, lie or never end: a result or an error within the limits. */
import { gzipSync } from 'node:zlib';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { RelayError } from '../../src/core/core.ts';
import { RemoteFault, XmlRpcClient } from '../../src/client/internal.ts';
import { serialiseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import type { ClientOptions, ErrorCode, ErrorData } from '../../src/client/client.ts';
import { answer, rawServer } from '../support/raw-server.ts';
import { rejects } from '../support/relay-error.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

function clientOf(t: ExecutionContext, url: string, options: ClientOptions = {}): XmlRpcClient {
  const client = new XmlRpcClient(new URL(url), options);
  t.teardown(() => client.close());
  return client;
}

const TRUE = serialiseResponse(true);

test('several calls over one connection', async (t) => {
  const peer = await scriptedPeer(t);
  const client = clientOf(t, peer.url);
  for (let time = 0; time < 3; time++) t.is(await client.call('notify', [{ data: time }]), true);
  t.is(peer.connections(), 1);
  t.deepEqual(
    peer.notified.all.map(({ data }) => data),
    [0, 1, 2],
  );
});

test('concurrent calls get their own responses', async (t) => {
  const { url } = await rawServer(t, (socket, request) => {
    socket.write(answer(serialiseResponse(Number(/<int>(\d+)/.exec(request)?.[1]))));
  });
  const client = clientOf(t, url);
  const numbers = Array.from({ length: 20 }, (_, index) => index);
  t.deepEqual(await Promise.all(numbers.map((number) => client.call('test', [number]))), numbers);
});

test('a fault is thrown by call, and returned by post', async (t) => {
  const peer = await scriptedPeer(t);
  peer.script(42, 42);
  const client = clientOf(t, peer.url);
  t.like(await t.throwsAsync(client.call('notify', [{ data: 1 }]), { instanceOf: RemoteFault }), {
    code: 42,
    message: 'as the script says',
  });
  t.deepEqual(await client.post(serialiseCall('notify', [{ data: 1 }])), { kind: 'fault', code: 42, text: 'as the script says' });
});

test('the request on the wire', async (t) => {
  const server = await rawServer(t, (socket) => socket.write(answer(TRUE)));
  const url = server.url.replace('http://', 'http://us%40er:pa%3Ass%C3%A9@');
  await clientOf(t, url).call('ping');
  await clientOf(t, `${server.url}/deep/path?x=1`).call('ping');
  const [first = '', second = ''] = server.requests;
  t.regex(first, /^POST \/RPC2 HTTP\/1\.1\r\n/);
  t.regex(first, /\r\ncontent-type: text\/xml; charset=utf-8\r\n/i);
  t.regex(first, /\r\ncontent-length: \d+\r\n/i);
  t.notRegex(first, /transfer-encoding|accept-encoding/i);
  t.is(Buffer.from(/authorization: Basic (\S+)/i.exec(first)?.[1] ?? '', 'base64').toString(), 'us@er:pa:ssé');
  t.regex(second, /^POST \/deep\/path\?x=1 /);
  t.notRegex(second, /authorization/i);
});

type Failure = readonly [what: string, bytes: Buffer | 'end', code: ErrorCode, data: ErrorData, text?: RegExp];

const FAILURES: readonly Failure[] = [
  ['HTTP 413', answer('', { status: '413 Payload Too Large' }), 'LIMIT', { reason: 'http-status', status: 413 }],
  [
    'HTTP 404',
    answer('not here', { status: '404 Not Found', type: 'text/html' }),
    'TRANSPORT',
    { reason: 'http-status', status: 404 },
    /answered HTTP 404/,
  ],
  ['HTTP 500 with a right answer', answer(TRUE, { status: '500 Oh' }), 'TRANSPORT', { reason: 'http-status', status: 500 }],
  ['HTTP 503', answer('', { status: '503 Busy' }), 'TRANSPORT', { reason: 'http-status', status: 503 }],
  ['HTTP 204', Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'), 'TRANSPORT', { reason: 'http-status', status: 204 }],
  [
    'a page',
    answer('<html></html>', { type: 'text/html' }),
    'TRANSPORT',
    { reason: 'content-type' },
    /did not answer with XML; is it an XML-RPC server\?/,
  ],
  ['a right answer as plain text', answer(TRUE, { type: 'text/plain' }), 'TRANSPORT', { reason: 'content-type' }],
  ['a type that only begins like one', answer(TRUE, { type: 'text/xml-external-parsed-entity' }), 'TRANSPORT', { reason: 'content-type' }],
  ['garbage', answer('<<<>>>'), 'TRANSPORT', { reason: 'not-xmlrpc' }, /answered something that is not XML-RPC: line 1/],
  ['nothing', answer(''), 'TRANSPORT', { reason: 'not-xmlrpc' }],
  ['half an answer', answer(TRUE.subarray(0, 60)), 'TRANSPORT', { reason: 'not-xmlrpc' }],
  ['a call instead of an answer', answer(serialiseCall('ping', [])), 'TRANSPORT', { reason: 'not-xmlrpc' }],
  ['a DOCTYPE', answer('<!DOCTYPE x [<!ENTITY a "b">]><methodResponse/>'), 'TRANSPORT', { reason: 'not-xmlrpc' }],
  [
    'a fault inside a value',
    answer('<methodResponse><params><param><value><fault/></value></param></params></methodResponse>'),
    'TRANSPORT',
    { reason: 'not-xmlrpc' },
  ],
  [
    '10,000 arrays inside each other',
    answer(`<methodResponse><params><param>${'<value><array><data>'.repeat(10_000)}`),
    'TRANSPORT',
    { reason: 'not-xmlrpc' },
  ],
  ['an unsupported charset', answer(TRUE, { type: 'text/xml; charset=utf-7' }), 'TRANSPORT', { reason: 'not-xmlrpc' }],
  [
    'gzip, which was not requested',
    answer(gzipSync(TRUE), { headers: 'Content-Encoding: gzip\r\n' }),
    'TRANSPORT',
    { reason: 'content-encoding' },
    /Content-Encoding 'gzip'/,
  ],
  ['no HTTP', Buffer.from('SSH-2.0-OpenSSH_9\r\n'), 'TRANSPORT', { reason: 'connection' }],
  [
    'two lengths',
    Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx'),
    'TRANSPORT',
    { reason: 'connection' },
  ],
  ['the end before an answer', 'end', 'TRANSPORT', { reason: 'connection' }],
];

for (const [what, bytes, code, data, text = /./] of FAILURES) {
  test(`${what}: ${code}`, async (t) => {
    const { url } = await rawServer(t, (socket) => (bytes === 'end' ? socket.destroy() : socket.end(bytes)));
    const error = await rejects(t, clientOf(t, url, { timeoutMs: 2000 }).call('ping'), code, data);
    t.regex(error.message, text);
    t.regex(error.message, /^[\x20-\uffff]{1,400}$/);
    t.true(error.message.includes(new URL(url).host), 'it says who');
  });
}

test('after a failure the next call opens a new connection', async (t) => {
  const peer = await scriptedPeer(t);
  peer.script('reset', 'ok');
  const client = clientOf(t, peer.url);
  await t.throwsAsync(client.call('notify', [{ data: 1 }]));
  t.is(await client.call('notify', [{ data: 2 }]), true);
});

test('a connection uses the configured local address', async (t) => {
  const from: (string | undefined)[] = [];
  const { url } = await rawServer(t, (socket) => {
    from.push(socket.remoteAddress);
    socket.write(answer(TRUE));
  });
  await clientOf(t, url, { localAddress: '127.0.0.77' }).call('ping');
  await clientOf(t, url).call('ping');
  t.deepEqual(from, ['127.0.0.77', '127.0.0.1']);
  const error = await t.throwsAsync(clientOf(t, url, { localAddress: '192.0.2.250' }).call('ping'));
  t.true(RelayError.is(error) && error.code === 'TRANSPORT', 'an address that is not ours');
});

test('a redirect is not followed', async (t) => {
  const target = await scriptedPeer(t);
  for (const status of ['301 Moved', '302 Found', '307 Temporary Redirect', '308 Permanent Redirect']) {
    const { url } = await rawServer(t, (socket) => socket.write(answer('', { status, headers: `Location: ${target.url}/RPC2\r\n` })));
    await rejects(t, clientOf(t, url).call('ping'), 'TRANSPORT', { reason: 'http-status', status: Number(status.slice(0, 3)) });
  }
  t.is(target.connections(), 0);
});

test('the charset of the Content-Type is respected', async (t) => {
  const body = Buffer.from(
    '<?xml version="1.0"?><methodResponse><params><param><value>\u00e9</value></param></params></methodResponse>',
    'latin1',
  );
  const { url } = await rawServer(t, (socket) => socket.write(answer(body, { type: 'application/xml; charset="iso-8859-1"' })));
  t.is(await clientOf(t, url).call('x'), '\u00e9');
});

test('a fault with a reserved code is a fault, too', async (t) => {
  const { url } = await rawServer(t, (socket) => socket.write(answer(serialiseFault(-32601, 'none'))));
  t.like(await t.throwsAsync(clientOf(t, url).call('x'), { instanceOf: RemoteFault }), { code: -32601 });
});

// Responses that never end; a limit ends each of them and its connection.
const ENDLESS: readonly (readonly [what: string, head: string, more: string | undefined, everyMs: number])[] = [
  ['silence', '', undefined, 0],
  ['headers without an end', 'HTTP/1.1 200 OK\r\n', `X-Filler: ${'x'.repeat(1000)}\r\n`, 0],
  ['headers that drip', 'HTTP/1.1 200 OK\r\nX-A: ', 'x', 20],
  ['a body without an end', 'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n', 'x'.repeat(10_000), 0],
  ['a length of 10 GB', 'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 10000000000\r\n\r\n', 'x'.repeat(10_000), 0],
  [
    'chunks without an end',
    'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n',
    `1000\r\n${'x'.repeat(4096)}\r\n`,
    0,
  ],
  ['a body that stops', 'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100\r\n\r\nabc', undefined, 0],
  ['a body that drips', 'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n', 'x', 20],
  ['HTTP 500 with a body that drips', 'HTTP/1.1 500 Oh\r\nContent-Type: text/xml\r\n\r\n', 'x', 20],
  ['100 Continue again and again', '', 'HTTP/1.1 100 Continue\r\n\r\n', 5],
];

for (const [what, head, more, everyMs] of ENDLESS) {
  test(`${what}: an error within the limits, and the connection is closed`, async (t) => {
    const { url, closed } = await rawServer(t, (socket) => {
      let over = false;
      socket.on('close', () => (over = true));
      const pour = (): void => {
        if (over || more === undefined) return;
        if (everyMs > 0) socket.write(more, () => setTimeout(pour, everyMs));
        else socket.write(more, () => setImmediate(pour));
      };
      socket.write(head, pour);
    });
    const client = clientOf(t, url, { timeoutMs: 150, maxResponseBytes: 100_000 });
    const error = await t.throwsAsync(client.call('ping'));
    t.true(RelayError.is(error) && /^(TIMEOUT|TRANSPORT)$/.test(error.code), String(error));
    await client.close();
    await closed.first(1);
  });
}

test('errors distinguish a closed port from an unknown name', async (t) => {
  const peer = await scriptedPeer(t);
  await peer.close();
  const closed = await rejects(t, clientOf(t, peer.url).call('ping'), 'TRANSPORT', { systemCode: 'ECONNREFUSED' });
  t.regex(closed.message, /connection refused; is the server running\?/);
  const unknown = await rejects(t, clientOf(t, 'http://no-such-name.invalid/').call('ping'), 'TRANSPORT', { reason: 'connection' });
  t.regex(unknown.data.systemCode ?? '', /^(ENOTFOUND|EAI_AGAIN)$/);
  t.regex(unknown.message, /the name cannot be resolved/);
});

test('close ends a call in flight', async (t) => {
  const peer = await scriptedPeer(t);
  peer.script('silent');
  const client = new XmlRpcClient(new URL(peer.url));
  const call = rejects(t, client.call('notify', [{ data: 1 }]), 'TRANSPORT', { reason: 'client-closed' });
  await peer.notified.first(1);
  await client.close();
  await call;
});

test('errors never contain the credentials of the URL', async (t) => {
  const { url } = await rawServer(t, (socket) => socket.destroy());
  const error = await t.throwsAsync(clientOf(t, url.replace('http://', 'http://user:hunter2@')).call('ping'));
  t.notRegex(error.message, /hunter2/);
});

test('large responses are read and refused like small ones', async (t) => {
  const large = 'ä'.repeat(400_000);
  const whole = serialiseResponse([large]);
  const { url } = await rawServer(t, (socket, request) => {
    socket.write(answer(request.includes('broken') ? Buffer.concat([whole, Buffer.from('<')]) : whole));
  });
  const client = clientOf(t, url);
  t.deepEqual(await client.call('test', []), [large]);
  await rejects(t, client.call('broken', []), 'TRANSPORT', { reason: 'not-xmlrpc' });
});
