/** The XML-RPC endpoint of a running relay: accepted requests, rejections, and every answer on the wire. */
import { once } from 'node:events';
import test from 'ava';
import { createRelay } from '../../src/create-relay.ts';
import { parseCall, parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { LogRecord } from '../support/log-record.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { PING, answersIn, call, everything, exchange, open, request, requestBytes } from './raw.ts';
import type { RawAnswer, RawRequest } from './raw.ts';

const XML = 'text/xml; charset=utf-8';

/** What every answer of XML-RPC has in common. */
function isRpcAnswer({ status, headers, body }: RawAnswer): boolean {
  return (
    status === 200 &&
    headers['content-type'] === XML &&
    headers['content-length'] === String(body.length) &&
    headers['transfer-encoding'] === undefined
  );
}

test('values and faults are returned at / and at /RPC2 with 200, text/xml and an exact length, never chunked', async (t) => {
  const { url } = await startRelay(t);
  const long = { data: 'ä'.repeat(300_000) };
  const bodies = [
    PING,
    serialiseCall('no.such', []),
    serialiseCall('test', [long]),
    serialiseCall('notify', []),
    Buffer.from('<a/>'),
    Buffer.from('garbage'),
  ];
  const kinds = [];
  for (const body of bodies) {
    for (const path of ['/', '/RPC2', '/RPC2?x=1']) {
      const answer = await request(url, { path, body });
      t.true(isRpcAnswer(answer), JSON.stringify(answer.headers));
      const parsed = parseResponse(answer.body);
      if (path === '/') kinds.push(parsed.kind === 'fault' ? parsed.code : 'value');
    }
  }
  t.deepEqual(kinds, ['value', -32601, 'value', -32602, -32600, -32700]);
});

test('a body without a length returns 411 at every endpoint', async (t) => {
  const { url } = await startRelay(t);
  for (const path of ['/', '/RPC2', '/api/ping']) {
    const type = path === '/api/ping' ? 'application/json' : 'text/xml';
    for (const version of ['1.0', '1.1']) {
      const answer = await request(url, { path, version, body: '', headers: { 'content-type': type } });
      t.is(answer.status, 411);
      t.regex(answer.body.toString(), /send Content-Length/);
    }
  }
});

test('an empty body causes a fault that explains what a call is', async (t) => {
  const { url } = await startRelay(t);
  for (const headers of [{ 'content-length': '0' }, { 'transfer-encoding': 'chunked' }] as Record<string, string>[]) {
    const chunked = 'transfer-encoding' in headers;
    const answers = await exchange(url, Buffer.concat([requestBytes(url, { body: '', headers }), Buffer.from(chunked ? '0\r\n\r\n' : '')]));
    t.is(answers.length, 1);
    t.true(isRpcAnswer(answers[0]!));
    const answer = parseResponse(answers[0]!.body);
    t.true(answer.kind === 'fault' && [-32600, -32700].includes(answer.code), JSON.stringify(answer));
  }
});

test('a chunked body is read', async (t) => {
  const { url } = await startRelay(t);
  const chunks = [PING.subarray(0, 30), PING.subarray(30)].map((part) => `${part.length.toString(16)}\r\n${part.toString()}\r\n`).join('');
  const head = requestBytes(url, { body: '', headers: { 'transfer-encoding': 'chunked' } });
  const [answer] = await exchange(url, Buffer.concat([head, Buffer.from(`${chunks}0\r\n\r\n`)]));
  t.like(parseResponse(answer!.body), { kind: 'value', value: true });
});

test('the charset of the Content-Type is honored', async (t) => {
  const { url } = await startRelay(t);
  const body = Buffer.from(
    '<methodCall><methodName>test</methodName><params><param><value>Gr\u00fc\u00dfe</value></param></params></methodCall>',
    'latin1',
  );
  for (const charset of ['iso-8859-1', '"ISO-8859-1"', 'latin1']) {
    const answer = await call(url, 'x', [], { body, headers: { 'content-type': `text/xml; charset=${charset}` } });
    t.like(answer, { kind: 'value', value: 'Gr\u00fc\u00dfe' }, charset);
  }
  t.like(await call(url, 'x', [], { body }), { kind: 'fault', code: -32702 });
  t.like(await call(url, 'x', [], { body, headers: { 'content-type': 'text/xml; charset=utf-7' } }), { kind: 'fault', code: -32701 });
});

const TYPES_IN = [
  'text/xml',
  'TEXT/XML',
  'application/xml',
  'text/xml;',
  'text/xml ;charset=utf-8',
  'text/xml; charset="utf-8"',
  'text/xml; a=b; charset=UTF-8',
  'text/xml;charset=utf-8',
];
const TYPES_OUT = [
  undefined,
  '',
  'text/plain',
  'text/html',
  'text/json',
  'application/json; charset=latin1',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/soap+xml',
  'text/xml, text/plain',
  'text/plain, text/xml',
  'text/xmlx',
  'text/xml charset=utf-8',
  'text/xml; charset=a; charset=b',
  '*/*',
];

test('only the declared media types are accepted', async (t) => {
  const { url } = await startRelay(t);
  for (const type of TYPES_IN) {
    const answer = await request(url, { headers: { 'content-type': type } });
    t.true(isRpcAnswer(answer), `${type}: ${answer.status} ${answer.body.toString()}`);
  }
  for (const type of TYPES_OUT) {
    const answer = await request(url, { headers: { 'content-type': type } });
    t.is(answer.status, 415, String(type));
    t.regex(answer.body.toString(), /send it with Content-Type: text\/xml|UTF-8/, String(type));
  }
});

test('duplicate Content-Type or Host headers are rejected, whatever their values are', async (t) => {
  const { url } = await startRelay(t);
  for (const types of [
    ['text/xml', 'text/plain'],
    ['text/plain', 'text/xml'],
    ['text/xml', 'text/xml'],
  ]) {
    const more = types.map((type) => ['Content-Type', type] as const);
    t.is((await request(url, { headers: { 'content-type': undefined }, more })).status, 400, types.join());
  }
  const { status } = await request(url, { more: [['Host', 'evil.example']] });
  t.is(status, 400);
});

test('an encoded body is rejected', async (t) => {
  const { url } = await startRelay(t);
  for (const encoding of ['gzip', 'deflate', 'br', 'GZIP', 'gzip, gzip']) {
    const answer = await request(url, { headers: { 'content-encoding': encoding } });
    t.is(answer.status, 415);
    t.regex(answer.body.toString(), /send the body unencoded/);
  }
  t.is((await request(url, { headers: { 'content-encoding': 'identity' } })).status, 200);
});

test('a body over the limit returns 413: by its length before it is sent, or as soon as its chunks exceed the limit', async (t) => {
  const { url } = await startRelay(t, { maxBodyBytes: 1024 });
  const fits = serialiseCall('test', ['x'.repeat(700)]);
  t.is((await request(url, { body: fits })).status, 200);
  const announced = answersIn(await everything(open(url, requestBytes(url, { body: '', headers: { 'content-length': '1025' } }))));
  t.is(announced[0]?.status, 413);
  t.regex(announced[0]!.body.toString(), /larger than 1024 bytes \(maxBodyBytes\)/);
  const chunk = `400\r\n${'x'.repeat(1024)}\r\n`;
  const head = requestBytes(url, { body: '', headers: { 'transfer-encoding': 'chunked' } });
  const [chunked] = answersIn(await everything(open(url, Buffer.concat([head, Buffer.from(chunk + chunk)]))));
  t.is(chunked?.status, 413);
});

test('other verbs return 405 with Allow, and other paths 404, for any body', async (t) => {
  const { url } = await startRelay(t);
  const bodies: RawRequest[] = [
    {},
    { body: 'x', headers: { 'content-type': 'text/plain' } },
    { body: PING, headers: { 'content-type': 'text/xml' } },
    { body: 'x', headers: { 'content-type': undefined } },
  ];
  for (const what of bodies) {
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      for (const path of ['/', '/RPC2']) {
        const answer = await request(url, { ...what, method, path });
        t.is(answer.status, 405, `${method} ${path} ${JSON.stringify(what.headers)}`);
        t.is(answer.headers.allow, 'GET, HEAD, POST');
      }
    }
    for (const path of [
      '/RPC',
      '/rpc2',
      '/RPC2/',
      '/RPC2/x',
      '/index.html',
      '/../etc/passwd',
      '/%2e%2e/',
      '//',
      '/constructor',
      '/__proto__',
    ]) {
      for (const method of ['GET', 'POST', 'PUT']) {
        const answer = await request(url, { ...what, method, path });
        t.is(answer.status, 404, `${method} ${path} ${JSON.stringify(what.headers)}`);
      }
    }
  }
});

test('GET returns a page for people or JSON for programs, and HEAD the same without a body', async (t) => {
  const { url, hostId } = await startRelay(t);
  for (const path of ['/', '/RPC2']) {
    const page = await request(url, { method: 'GET', path });
    t.is(page.status, 200);
    t.is(page.headers['content-type'], 'text/plain; charset=utf-8');
    for (const part of [hostId, 'test.recorder.emit', 'Sends a dict to the network.', 'boolean notify(dict: struct)', `${url}/RPC2`])
      t.true(page.body.includes(part), part);
    const json = await request(url, { method: 'GET', path, headers: { accept: 'application/json' } });
    t.regex(json.headers['content-type']!, /^application\/json/);
    const content = JSON.parse(json.body.toString()) as { properties: object; methods: { name: string; help: string; usage: string }[] };
    t.like(content.properties, { host_id: hostId });
    t.like(
      content.methods.find(({ name }) => name === 'test.recorder.emit'),
      { help: 'Sends a dict to the network.', usage: 'string test.recorder.emit(dict: struct)' },
    );
    const head = await exchange(url, requestBytes(url, { method: 'HEAD', path }));
    t.is(head[0]?.status, 200);
    t.is(head[0]?.body.length, 0);
    for (const answer of [page, json, head[0]!]) t.is(answer.headers['access-control-allow-origin'], undefined);
  }
});

test('the curl lines of the page work unmodified, with JSON and with XML-RPC', async (t) => {
  const { url } = await startRelay(t);
  const page = (await request(url, { method: 'GET', path: '/' })).body.toString();
  const lines = [...page.matchAll(/curl -H 'Content-Type: ([^']+)' -d '([^']+)' (\S+)/g)];
  const [[, json = '', params = '', endpoint = ''] = [], [, type = '', body = '', target = ''] = []] = lines;
  t.is(endpoint, `${url}/api/ping`);
  t.like(await request(url, { path: '/api/ping', body: params, headers: { 'content-type': json } }), {
    status: 200,
    body: Buffer.from('true'),
  });
  t.is(target, `${url}/RPC2`);
  t.is(parseCall(Buffer.from(body)).methodName, 'ping');
  t.like(await call(url, 'x', [], { body, headers: { 'content-type': type } }), { kind: 'value', value: true });
});

test('HTTP/1.0 requests, even without a Host, and several calls on a keep-alive connection are answered', async (t) => {
  const { url } = await startRelay(t);
  for (const headers of [{}, { host: undefined }]) t.true(isRpcAnswer(await request(url, { version: '1.0', headers })));
  t.is((await request(url, { headers: { host: undefined } })).status, 400, 'HTTP/1.1 must name a host');
  const keep = requestBytes(url, { headers: { connection: 'keep-alive' } });
  const answers = await exchange(url, Buffer.concat([keep, keep, requestBytes(url)]));
  t.is(answers.length, 3);
  t.true(answers.every(isRpcAnswer));
});

test('Expect: 100-continue is answered before the body', async (t) => {
  const { url } = await startRelay(t);
  const whole = requestBytes(url, { headers: { expect: '100-continue' } });
  const socket = open(url, whole.subarray(0, whole.length - PING.length));
  socket.once('data', () => socket.write(PING));
  const answers = answersIn(await everything(socket));
  t.deepEqual(
    answers.map(({ status }) => status),
    [100, 200],
  );
});

const SMUGGLED: readonly (readonly [what: string, lines: string])[] = [
  ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
  ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
  ['an unknown encoding', 'Transfer-Encoding: xchunked\r\n'],
  ['an invalid length', 'Content-Length: +5\r\n'],
  ['a negative length', 'Content-Length: -5\r\n'],
  ['a header without a colon', 'Nonsense\r\n'],
  ['a blank before the colon', 'Content-Length : 5\r\n'],
  ['a bare LF', 'X: y\nContent-Length: 5\r\n'],
  ['NUL in a header', 'X: a\u0000b\r\n'],
];

for (const [what, lines] of SMUGGLED) {
  test(`${what}: returns 400 and closes the connection`, async (t) => {
    const { url } = await startRelay(t);
    const { host } = new URL(url);
    const answers = await exchange(
      url,
      Buffer.from(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Type: text/xml\r\n${lines}\r\n0\r\n\r\n${requestBytes(url).toString()}`),
    );
    t.is(answers.length, 1);
    t.is(answers[0]?.status, 400);
  });
}

test('a slow sender is disconnected, whether it sends nothing, part of the headers or part of the body', async (t) => {
  const relay = await startRelay(t, { requestTimeoutMs: 1000 });
  const { url } = relay;
  const whole = requestBytes(url);
  const parts = [whole.subarray(0, 0), whole.subarray(0, 1), whole.subarray(0, 40), whole.subarray(0, whole.length - 10)];
  const received = await Promise.all(parts.map((part) => everything(open(url, part))));
  for (const bytes of received) t.true(answersIn(bytes).every(({ status }) => status === 408));
  t.is(await relay.call('ping'), true);
});

test.serial('a thousand slow senders do not delay other callers', async (t) => {
  const relay = await startRelay(t, { requestTimeoutMs: 86_400_000 });
  const half = requestBytes(relay.url, { body: serialiseCall('test', ['x'.repeat(1000)]) });
  const slow = Array.from({ length: 1000 }, (_, index) => open(relay.url, half.subarray(0, index % 2 === 0 ? 30 : half.length - 500)));
  t.teardown(() => {
    for (const socket of slow) socket.destroy();
  });
  await Promise.all(slow.map((socket) => once(socket, 'connect')));
  let ended = 0;
  for (const socket of slow) socket.once('close', () => ended++);
  for (let count = 0; count < 20; count++) t.is(await relay.call('ping'), true);
  t.is(ended, 0, 'they were all still there meanwhile');
});

const LARGE_ANSWERS = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Large extends Plugin {
  @Exposed({ params: [], returns: 'string' })
  text() { return 'x'.repeat(8_000_000); }
}
`;

test.serial(
  'of hundreds of slow readers of large responses, some time out and the rest are rejected; other callers are not delayed',
  async (t) => {
    const clock = new VirtualClock();
    const log = new LogRecord();
    const config = {
      port: 0,
      dataDir: temporaryDir(t),
      pluginsDir: pluginsDir(t, { 'ham/large.ts': LARGE_ANSWERS }),
      requestTimeoutMs: 60_000,
    };
    const relay = await createRelay(config, { clock, logs: log.source });
    t.teardown(() => relay.stop());
    // All connections share a timer from the first one on.
    await request(relay.url);
    const before = clock.pending;
    const wanted = requestBytes(relay.url, { body: serialiseCall('ham.large.text', []), headers: { connection: 'keep-alive' } });
    const readers = Array.from({ length: 300 }, () => open(relay.url, wanted));
    t.teardown(() => {
      for (const socket of readers) socket.destroy();
    });
    const answers = new Gate<string>();
    for (const socket of readers) {
      socket.once('data', (bytes: Buffer) => {
        socket.pause();
        answers.push(bytes.toString('latin1', 0, 20));
      });
    }
    const statuses = (await answers.first(300)).map((answer) => answer.slice(9, 12));
    // Half of 256 MiB is for one address; the buffers of the system hold nearly 4 MB of each.
    t.deepEqual([statuses.filter((status) => status === '503').length, new Set(statuses).size], [300 - 16, 2]);
    t.is((await request(relay.url)).status, 200);
    t.is(clock.pending - before, 16);
    clock.advance(60_000);
    t.is(log.matching(/did not read 8\d{6} bytes of responses in 60000 ms/).length, 16);
  },
);

test.serial('a thousand announced bodies of 8 MiB of which one byte arrives do not block other callers', async (t) => {
  const relay = await startRelay(t, { requestTimeoutMs: 86_400_000 });
  const { url } = relay;
  const large = requestBytes(url, { headers: { 'content-length': String(8 * 1024 * 1024), expect: '100-continue' }, body: 'x' });
  const sockets = Array.from({ length: 1000 }, () => open(url, large));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  const answers = new Gate<string>();
  for (const socket of sockets) socket.once('data', (bytes: Buffer) => answers.push(bytes.toString()));
  t.true((await answers.first(1000)).every((answer) => answer.startsWith('HTTP/1.1 100 ')));
  t.is((await request(url, { body: serialiseCall('test', ['x'.repeat(7_000_000)]) })).status, 200);
});

const chunk = (size: number): string => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;
const ARRIVING = [
  ['chunked', { 'transfer-encoding': 'chunked', 'content-length': undefined }, chunk(900_000)],
  ['of known length', { 'content-length': '900001' }, 'x'.repeat(900_000)],
] as const;

for (const [what, headers, body] of ARRIVING) {
  test(`bodies count toward the budget as they arrive: ${what}`, async (t) => {
    const { url } = await startRelay(t, { maxBodyBytes: 1_000_000, maxBufferedBytes: 1024, requestTimeoutMs: 86_400_000 });
    const [head = ''] = requestBytes(url, { headers }).toString().split('\r\n\r\n');
    const bytes = Buffer.from(`${head}\r\n\r\n${body}`);
    const sockets = [1, 2, 3].map(() => open(url, bytes));
    t.teardown(() => {
      for (const socket of sockets) socket.destroy();
    });
    const first = await Promise.race(sockets.map(async (socket) => String((await once(socket, 'data'))[0])));
    // All wait for their ends; whichever came third is more than there is room for: half of four bodies.
    t.regex(first, /^HTTP\/1\.1 503 .*Retry-After: 1\r\n.*maxBufferedBytes/is);
    t.notRegex(first, /the call was made/);
  });
}

test('anonymous callers never use the memory reserved for known callers', async (t) => {
  const { url } = await startRelay(t, {
    ...{ maxBodyBytes: 1_000_000, maxBufferedBytes: 8_000_000, trustedProxies: ['127.0.0.1/32'], requestTimeoutMs: 86_400_000 },
  });
  const body = 'x'.repeat(950_000);
  const refusals = new Gate<string>();
  const sockets = Array.from({ length: 12 }, (_, index) => {
    const headers = { 'x-forwarded-for': `203.0.113.${index >> 1}`, 'content-length': '950001' };
    const socket = open(url, requestBytes(url, { headers, body }));
    socket.once('data', (bytes: Buffer) => refusals.push(bytes.toString()));
    return socket;
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  // Half of 8 MB holds four of them.
  for (const answer of await refusals.first(8)) {
    t.regex(answer, /^HTTP\/1\.1 503 .*maxBufferedBytes/s);
    t.notRegex(answer, /the call was made/);
  }
  t.is((await request(url, { body: serialiseCall('test', ['x'.repeat(900_000)]) })).status, 200);
});

test('the options may raise the timeouts', async (t) => {
  const { url } = await startRelay(t, { requestTimeoutMs: 86_400_000 });
  t.is((await request(url)).status, 200);
});

test('a connection that closes in the middle of a call does not affect others', async (t) => {
  const relay = await startRelay(t);
  for (const cut of [1, 50, 150]) {
    const socket = open(relay.url, requestBytes(relay.url).subarray(0, cut));
    await new Promise((resolve) => {
      socket.once('connect', () => {
        socket.destroy();
        resolve(undefined);
      });
    });
  }
  t.is(await relay.call('ping'), true);
  t.deepEqual(
    relay.log.lines.all.filter(({ level }) => level === 'error'),
    [],
  );
});

test('while the relay stops, calls in progress are answered and new ones are not served', async (t) => {
  const relay = await startRelay(t);
  const body = serialiseCall('test', ['x']);
  const head = requestBytes(relay.url, { body, headers: { connection: 'keep-alive' } });
  const begun = open(relay.url, head.subarray(0, head.length - 10));
  await relay.call('ping');
  const answers = everything(begun);
  const stopped = relay.stop();
  begun.write(head.subarray(head.length - 10));
  const all = answersIn(await answers);
  await stopped;
  t.true(all.length <= 1 && all.every(({ status }) => status === 200 || status === 503));
  t.deepEqual(await exchange(relay.url, requestBytes(relay.url)), []);
});
