/**
 * The fast path: plain calls are answered without Node's server, everything else reaches it, and a client cannot tell which of the two
 * answered.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { writeCertificate } from '../support/certificate.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import type { RawAnswer, RawRequest } from './raw.ts';
import { PING, answersIn, everything, exchange, open, requestBytes } from './raw.ts';

/** The bytes of a request on a connection that stays open. */
function kept(url: string, request: RawRequest = {}): Buffer {
  return requestBytes(url, { ...request, headers: { Connection: undefined, ...request.headers } });
}

/** Sends each request when there is an answer to the one before, and then ends the connection. */
async function conversation(socket: Socket, requests: readonly Buffer[]): Promise<RawAnswer[]> {
  const all = everything(socket);
  for (const request of requests) {
    if (!socket.writable) break;
    socket.write(request);
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  }
  socket.end();
  return answersIn(await all);
}

const onOneConnection = (url: string, requests: readonly Buffer[]): Promise<RawAnswer[]> =>
  conversation(open(url, Buffer.alloc(0)), requests);

/** A relay with the fast path, and one without. */
async function both(t: ExecutionContext, options: Parameters<typeof startRelay>[1] = {}): Promise<readonly [TestRelay, TestRelay]> {
  return [await startRelay(t, options), await startRelay(t, { ...options, fastPath: false })];
}

/** The requests that Node's server gets while `during` runs, by their URLs. */
async function seenByNode(during: () => Promise<unknown>): Promise<string[]> {
  const urls: string[] = [];
  const note = (message: unknown): void => {
    urls.push((message as { request: { url: string } }).request.url);
  };
  subscribe('http.server.request.start', note);
  try {
    await during();
  } finally {
    unsubscribe('http.server.request.start', note);
  }
  return urls;
}

const REQUESTS: Readonly<Record<string, RawRequest>> = {
  'a call': {},
  'a call with parameters': { body: serialiseCall('system.methodHelp', ['ping']) },
  'an unknown method': { body: serialiseCall('no.such', []) },
  'invalid parameters': { body: serialiseCall('system.methodHelp', []) },
  'a body that is not XML': { body: 'ping' },
  'half of a call': { body: '<methodCall><methodName>ping' },
  'an empty body': { body: '', headers: { 'Content-Length': '0' } },
  'no length': { body: '' },
  'a charset': { headers: { 'Content-Type': 'text/xml; charset=iso-8859-1' }, body: serialiseCall('ping', []).toString('latin1') },
  'an unknown charset': { headers: { 'Content-Type': 'text/xml; charset=klingon' } },
  'another media type': { headers: { 'Content-Type': 'text/plain' } },
  'no media type': { headers: { 'Content-Type': undefined } },
  'JSON-RPC': { headers: { 'Content-Type': 'application/json' }, body: '{"jsonrpc":"2.0","method":"ping","id":1}' },
  'a wrong token': { headers: { Authorization: 'Bearer wrong' } },
  'a Host that is not ours': { headers: { Host: 'evil.example' } },
  'a page of another site': { headers: { Origin: 'http://evil.example' } },
  'Host twice': { more: [['Host', '127.0.0.1']] },
  'HTTP/1.0': { version: '1.0' },
  'no Host': { headers: { Host: undefined } },
  'gzip that is not enabled': { headers: { 'Content-Encoding': 'gzip' } },
  'a supported Expect header': { headers: { Expect: '100-continue' } },
  'an unsupported Expect header': { headers: { Expect: 'more' } },
  'a length that is not a number': { headers: { 'Content-Length': 'x' } },
  GET: { method: 'GET', path: '/healthz' },
  PUT: { method: 'PUT' },
};

/** What does not change from one request to the next. */
function comparable({ status, headers, body }: RawAnswer): unknown {
  const { date: _date, ...others } = headers;
  return { status, headers: others, body: body.toString().replace(/"(?:uptime|server_time)":[^,}]+/g, '') };
}

for (const [what, request] of Object.entries(REQUESTS)) {
  test(`with and without the fast path the answers are the same: ${what}`, async (t) => {
    const [fast, general] = await both(t);
    const [ours, theirs] = await Promise.all(
      [fast, general].map(({ url }) => onOneConnection(url, [kept(url), kept(url, request), kept(url, request), kept(url)])),
    );
    t.true((ours?.length ?? 0) >= 2);
    t.deepEqual(ours?.map(comparable), theirs?.map(comparable));
  });
}

test.serial(
  'a plain call does not reach the server of Node; from the first other request on, everything on the connection does',
  async (t) => {
    const { url } = await startRelay(t);
    const plain = kept(url);
    const pieces = [plain.subarray(0, plain.length - PING.length), PING.subarray(0, 5), PING.subarray(5)];
    const inPieces = async (): Promise<void> => {
      const socket = open(url, Buffer.alloc(0));
      for (const piece of pieces) {
        socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await once(socket, 'data');
      socket.destroy();
    };
    t.deepEqual(await seenByNode(() => onOneConnection(url, [plain, plain, plain])), []);
    t.deepEqual(await seenByNode(inPieces), []);
    const named = kept(url, { headers: { 'User-Agent': 'test', Authorization: 'Bearer wrong', accept: '*/*' }, path: '/?nil=1' });
    t.deepEqual(await seenByNode(() => onOneConnection(url, [named])), []);
    const ofPeer = kept(url, { headers: { 'co2-session': 'of a peer relay' } });
    t.deepEqual(await seenByNode(() => onOneConnection(url, [ofPeer])), []);
    const other = kept(url, { headers: { 'X-Forwarded-For': '192.0.2.1' } });
    t.deepEqual(await seenByNode(() => onOneConnection(url, [plain, other, plain])), ['/RPC2', '/RPC2']);
    const general = await startRelay(t, { fastPath: false });
    t.deepEqual(await seenByNode(() => onOneConnection(general.url, [kept(general.url)])), ['/RPC2']);
  },
);

test.serial('plain calls over TLS take the fast path, and leave it', async (t) => {
  const { url } = await startRelay(t, { tls: writeCertificate(temporaryDir(t)) });
  const requests = [kept(url), kept(url), kept(url, { headers: { 'X-Other': 'a' } }), kept(url)];
  const answers: RawAnswer[] = [];
  const seen = await seenByNode(async () => {
    answers.push(...(await conversation(connectSecurely({ port: Number(new URL(url).port), rejectUnauthorized: false }), requests)));
  });
  t.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  t.deepEqual(seen, ['/RPC2', '/RPC2']);
});

test('both paths count calls and reject those over the limit in the same way', async (t) => {
  const limits = { local: { perSecond: 0.001, burst: 2 } };
  for (const relay of await both(t, { limits })) {
    const { url } = relay;
    const answers = await onOneConnection(url, [kept(url), kept(url), kept(url), kept(url)]);
    const faults = answers.map(({ body }) => /<int>(\d+)<\/int>/.exec(body.toString())?.[1]);
    t.deepEqual(faults, [undefined, undefined, '429', '429']);
    t.is(relay.status().relay.rateLimited, 2);
  }
});

test('both paths write the same line to the access log', async (t) => {
  const lines: string[] = [];
  for (const { url, log } of await both(t)) {
    await onOneConnection(url, [kept(url, { body: serialiseCall('no.such', []) })]);
    lines.push((await log.line(/RPC2 no\.such/)).text.replace(/\d+\.\d ms/, 'N ms'));
  }
  t.regex(lines[0] ?? '', /127\.0\.0\.1 POST \/RPC2 no\.such 200 fault -32601 N ms/);
  t.is(lines[0], lines[1]);
});

test('calls sent byte by byte, and several pipelined on one connection, are answered in order', async (t) => {
  const { url } = await startRelay(t);
  const call = (id: string): Buffer => kept(url, { body: serialiseCall('system.methodHelp', [id]) });
  const bytes = Buffer.concat([call('ping'), call('no.such'), requestBytes(url, { body: serialiseCall('system.methodHelp', ['ping']) })]);
  for (const piece of [1, 300, bytes.length]) {
    const socket = open(url, Buffer.alloc(0));
    socket.setNoDelay(true);
    const answered = everything(socket);
    for (let from = 0; from < bytes.length; from += piece)
      await new Promise((resolve) => socket.write(bytes.subarray(from, from + piece), resolve));
    const bodies = answersIn(await answered).map(({ body }) => body.toString());
    t.is(bodies.length, 3);
    t.is(bodies[0], bodies[2]);
    t.regex(bodies[1] ?? '', /<fault>/);
  }
});

const BROKEN_OFF: readonly (readonly [what: string, parts: (url: string) => readonly Buffer[], statuses: readonly number[]])[] = [
  ['before its first request', () => [], []],
  ['in a body', (url) => [kept(url), kept(url).subarray(0, -5)], [200, 400]],
  ['in a head', (url) => [kept(url), kept(url).subarray(0, 50)], [200, 400]],
  [
    'in the body of a refused call',
    (url) => [kept(url), kept(url, { headers: { Authorization: 'Bearer x' } }).subarray(0, -5)],
    [200, 200, 400],
  ],
];

/** Sends the parts, and waits after each that is answered. */
async function send(socket: Socket, parts: readonly Buffer[], answered: number): Promise<void> {
  for (const [index, part] of parts.entries()) {
    socket.write(part);
    if (index < answered) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  }
}

for (const [what, parts, statuses] of BROKEN_OFF) {
  const answered = statuses.filter((status) => status === 200);

  test(`a client that ends its side ${what} gets the same with and without the fast path`, async (t) => {
    for (const { url } of await both(t)) {
      const socket = open(url, Buffer.alloc(0));
      const all = everything(socket);
      await send(socket, parts(url), answered.length);
      socket.end();
      t.deepEqual(
        answersIn(await all).map(({ status }) => status),
        statuses,
      );
    }
  });

  test(`a client that stops ${what} gets 408 with and without the fast path`, async (t) => {
    for (const { url } of await both(t, { requestTimeoutMs: 1000 })) {
      const socket = open(url, Buffer.alloc(0));
      const all = everything(socket);
      await send(socket, parts(url), answered.length);
      t.deepEqual(
        answersIn(await all).map(({ status }) => status),
        [...answered, 408],
      );
    }
  });
}

test('a wrong credential is refused before its body arrives, and the next call on the connection is answered', async (t) => {
  const { url } = await startRelay(t);
  const wrong = kept(url, { headers: { Authorization: 'Bearer wrong' } });
  const head = wrong.subarray(0, wrong.length - PING.length);
  const answers = await onOneConnection(url, [head, Buffer.concat([PING, kept(url)])]);
  t.deepEqual(
    answers.map(({ body }) => body.includes('the presented token is wrong')),
    [true, false],
  );
});

test('after an answer with Connection: close nothing more is written', async (t) => {
  const { url } = await startRelay(t);
  const twice = kept(url, { more: [['Host', '127.0.0.1']] });
  const answers = await exchange(url, Buffer.concat([kept(url), twice, kept(url), kept(url)]));
  t.deepEqual(
    answers.map(({ status, headers }) => [status, headers.connection]),
    [
      [200, 'keep-alive'],
      [400, 'close'],
    ],
  );
});

test('an answer that is too large to hold is refused in the same way', async (t) => {
  const options = { maxBodyBytes: 20_000, maxBufferedBytes: 1024 };
  const body = `<methodCall><methodName>test</methodName><params><param><value><array><data>${'<value/>'.repeat(2300)}</data></array></value></param></params></methodCall>`;
  const answers: unknown[] = [];
  for (const { url } of await both(t, options))
    answers.push((await onOneConnection(url, [kept(url, { body }), kept(url)])).map(comparable));
  t.deepEqual(answers[0], answers[1]);
  t.like(answers[0], [{ status: 503 }, { status: 200 }]);
});

test('a stop closes connections between calls at once, and answers a call that has begun', async (t) => {
  const relay = await startRelay(t);
  const { url } = relay;
  const idle = [open(url, Buffer.alloc(0)), open(url, kept(url))];
  await Promise.all([once(idle[0]!, 'connect'), once(idle[1]!, 'data')]);
  const closed = idle.map((socket) => new Promise((resolve) => socket.resume().once('end', resolve).once('close', resolve)));
  const begun = open(url, Buffer.alloc(0));
  const answered = everything(begun);
  const bytes = kept(url);
  begun.write(bytes.subarray(0, -5));
  await relay.call('ping');
  const stopped = relay.stop();
  await Promise.all(closed);
  begun.write(bytes.subarray(-5));
  t.is(answersIn(await answered)[0]?.status, 200);
  await stopped;
});
