/** How requests and answers are framed on the wire: every answer has a length, and what has two readings is refused and closed. */
import test from 'ava';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';
import { PING, answersIn, everything, exchange, open, request, requestBytes } from './raw.ts';
import type { RawRequest } from './raw.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const WRONG = { authorization: 'Bearer wrong' };

// Every status of the request checks, at each endpoint.
const ANSWERS: readonly (readonly [what: RawRequest, status: number])[] = [
  [{}, 200],
  [{ body: 'garbage' }, 200],
  [{ headers: WRONG }, 200],
  [{ method: 'GET' }, 200],
  [{ method: 'GET', headers: { accept: 'application/json' } }, 200],
  [{ method: 'GET', headers: WRONG }, 401],
  [{ method: 'HEAD' }, 200],
  [{ method: 'HEAD', path: '/nowhere' }, 404],
  [{ method: 'HEAD', path: '/api/ping' }, 405],
  [{ method: 'OPTIONS' }, 405],
  [{ method: 'PUT', body: 'x' }, 405],
  [{ method: 'PATCH', path: '/' }, 405],
  [{ method: 'DELETE', path: '/api/ping' }, 405],
  [{ method: 'TRACE', path: '/' }, 405],
  [{ method: 'PROPFIND', path: '/' }, 405],
  [{ method: 'GET', path: '/%zz' }, 400],
  [{ method: 'GET', path: '/api/%zz' }, 400],
  [{ method: 'GET', path: `/api/${'x'.repeat(2000)}` }, 405],
  [{ path: `/api/${'x'.repeat(2000)}`, headers: JSON_TYPE, body: '[]' }, 400],
  [{ path: `/api/${'x'.repeat(1000)}`, headers: JSON_TYPE, body: '[]' }, 404],
  [{ path: '/nowhere' }, 404],
  [{ headers: { 'content-type': 'text/plain' } }, 415],
  [{ headers: { 'content-encoding': 'gzip' } }, 415],
  [{ headers: { expect: 'miracles' } }, 417],
  [{ headers: { expect: '100-continue, miracles' } }, 417],
  [{ headers: { expect: 'xyz-100-continue' } }, 417],
  [{ headers: { host: 'evil.example' } }, 421],
  [{ headers: { origin: 'null' } }, 403],
  [{ headers: { host: undefined } }, 400],
  [{ headers: { x: 'y'.repeat(20_000) } }, 431],
  [{ version: '2.0' }, 505],
  [{ headers: { 'content-length': '999999999' } }, 413],
  [{ headers: JSON_TYPE, body: '{"jsonrpc":"2.0","method":"ping","id":1}' }, 200],
  [{ headers: JSON_TYPE, body: 'garbage' }, 200],
  [{ headers: { ...JSON_TYPE, ...WRONG }, body: '[]' }, 401],
  [{ path: '/api/ping', headers: JSON_TYPE, body: '[]' }, 200],
  [{ path: '/api/no.such', headers: JSON_TYPE, body: '[]' }, 404],
  [{ path: '/api/ping', headers: JSON_TYPE, body: '{' }, 400],
];

test('every response has an exact Content-Length and is never chunked, for any status and HTTP version', async (t) => {
  const { url } = await startRelay(t);
  for (const [what, status] of ANSWERS) {
    // HTTP/1.0 knows neither Host nor Expect.
    const versions =
      what.version !== undefined
        ? [what.version]
        : what.headers && ('host' in what.headers || 'expect' in what.headers)
          ? ['1.1']
          : ['1.1', '1.0'];
    for (const version of versions) {
      const [answer, ...others] = await exchange(url, requestBytes(url, { ...what, version }));
      const label = `${version} ${JSON.stringify(what).slice(0, 100)}`;
      t.is(answer?.status, status, label);
      t.is(others.length, 0, label);
      t.is(answer?.headers['transfer-encoding'], undefined, label);
      t.is(
        answer?.headers['content-length'],
        String(what.method === 'HEAD' ? Number(answer?.headers['content-length']) : answer?.body.length),
        label,
      );
      t.is(answer?.headers['access-control-allow-origin'], undefined, label);
    }
  }
});

test('OPTIONS * returns 204 with the supported verbs to permitted callers', async (t) => {
  const { url } = await startRelay(t);
  const all: RawRequest = { method: 'OPTIONS', path: '*' };
  const { status, headers, body } = await request(url, all);
  t.is(status, 204);
  t.is(headers.allow, 'GET, HEAD, POST, PUT');
  t.is(headers['content-length'], undefined);
  t.is(headers['access-control-allow-origin'], undefined);
  t.is(body.length, 0);
  t.is((await request(url, { ...all, headers: { host: 'evil.example' } })).status, 421);
  const twice = Buffer.concat([requestBytes(url, { ...all, headers: { connection: 'keep-alive' } }), requestBytes(url)]);
  t.deepEqual(
    (await exchange(url, twice)).map((answer) => answer.status),
    [204, 200],
  );
});

test('a relay that is starting or stopping responds with 503, a length and Retry-After', async (t) => {
  const relay = await startRelay(t);
  const head = requestBytes(relay.url, { body: '[]', path: '/api/ping', headers: { ...JSON_TYPE, connection: 'keep-alive' } });
  // The connection is busy with a call, so the stop waits for it; what comes next over it is refused.
  const begun = open(relay.url, head.subarray(0, head.length - 1));
  await relay.call('ping');
  const answers = everything(begun);
  const stopped = relay.stop();
  begun.write(Buffer.concat([head.subarray(head.length - 1), head]));
  const all = answersIn(await answers);
  await stopped;
  t.true(all.length >= 1);
  for (const { status, headers, body } of all) {
    t.true(status === 200 || status === 503);
    t.is(headers['content-length'], String(body.length));
    if (status === 503) t.is(headers['retry-after'], '1');
  }
});

const SMUGGLED: readonly (readonly [what: string, head: (host: string) => string])[] = [
  ['two equal lengths', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n`],
  ['a list of lengths', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5, 6\r\n\r\n`],
  ['chunks before a length', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`],
  ['chunked twice', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n`],
  ['another coding before chunked', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['another coding after chunked', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n`],
  ['a bare LF after the first line', (host) => `POST / HTTP/1.1\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`],
  ['a bare LF after a header', (host) => `POST / HTTP/1.1\r\nHost: ${host}\nContent-Length: 0\r\n\r\n`],
  ['a bare LF at the end', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\n`],
  ['a bare CR', (host) => `POST / HTTP/1.1\r\nHost: ${host}\rX: y\r\nContent-Length: 0\r\n\r\n`],
  ['a folded header', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length:\r\n 5\r\n\r\n`],
  ['a name with a blank', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent Length: 5\r\n\r\n`],
  ['no name', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\n: 5\r\n\r\n`],
  ['a length in hexadecimal', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0x5\r\n\r\n`],
  ['an invalid version', (host) => `POST / HTTP/1.2.3\r\nHost: ${host}\r\n\r\n`],
  ['a blank in the path', (host) => `GET / x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  ['two hosts', (host) => `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: ${host}\r\n\r\n`],
  ['another host in the first line', (host) => `GET http://evil.example/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  ['chunks in HTTP/1.0', (host) => `POST / HTTP/1.0\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a verb in lower case', (host) => `post / HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
];

for (const [what, head] of SMUGGLED) {
  test(`${what}: returns 400 and closes; the following bytes are not parsed as a request`, async (t) => {
    const { url } = await startRelay(t);
    const [answer, ...others] = await exchange(url, Buffer.concat([Buffer.from(head(new URL(url).host)), requestBytes(url)]));
    t.is(answer?.status, 400, answer?.body.toString());
    t.is(answer?.headers['content-length'], String(answer?.body.length));
    t.is(answer?.headers.connection, 'close');
    t.is(others.length, 0);
  });
}

for (const [what, chunks] of [
  ['a chunk with an invalid size', 'x\r\nabc\r\n0\r\n\r\n'],
  ['a chunk longer than its size', '2\r\nabc\r\n0\r\n\r\n'],
  ['a negative chunk', '-1\r\nabc\r\n0\r\n\r\n'],
  ['a chunk that ends in a bare LF', '3\nabc\r\n0\r\n\r\n'],
  ['an excessive size', 'fffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
] as const) {
  test(`${what}: returns 400 and closes; the following bytes are not parsed as a request`, async (t) => {
    const { url } = await startRelay(t);
    const chunked = requestBytes(url, { body: '', headers: { 'transfer-encoding': 'chunked', connection: 'keep-alive' } });
    const answers = await exchange(url, Buffer.concat([chunked, Buffer.from(chunks), requestBytes(url)]));
    t.deepEqual(
      answers.map(({ status }) => status),
      [400],
    );
  });
}

test('100 Continue is sent only if the body will be read, and not to rejected callers', async (t) => {
  const { url } = await startRelay(t);
  const expect = { expect: '100-continue' };
  const refused: readonly RawRequest[] = [
    { headers: { ...expect, 'content-type': 'text/plain' } },
    { headers: { ...expect, origin: 'null' } },
    { headers: { ...expect, host: 'evil.example' } },
    { path: '/nowhere', headers: expect },
    { method: 'PUT', headers: { ...expect, 'content-length': '5' } },
    { headers: { ...expect, 'content-encoding': 'gzip' } },
    { headers: { ...expect, 'content-length': '99999999' } },
  ];
  for (const what of refused) {
    const bytes = requestBytes(url, { ...what, body: '', headers: { 'content-length': '1000', ...what.headers } });
    const answers = answersIn(await everything(open(url, bytes)));
    t.is(answers.length, 1, JSON.stringify(what));
    t.true((answers[0]?.status ?? 0) >= 400);
  }
  for (const spelling of ['100-continue', '100-Continue']) {
    const whole = requestBytes(url, { headers: { expect: spelling } });
    const socket = open(url, whole.subarray(0, whole.length - PING.length));
    socket.once('data', () => socket.write(PING));
    t.deepEqual(
      answersIn(await everything(socket)).map(({ status }) => status),
      [100, 200],
    );
  }
});

test('an HTTP/1.0 connection is closed after the response unless keep-alive is requested; HTTP/1.1 is kept unless close is', async (t) => {
  const { url } = await startRelay(t);
  const kept = (version: string, connection: string | undefined): Buffer => requestBytes(url, { version, headers: { connection } });
  const last = requestBytes(url);
  for (const [version, connection, count] of [
    ['1.0', undefined, 1],
    ['1.0', 'close', 1],
    ['1.0', 'keep-alive', 2],
    ['1.0', 'Keep-Alive', 2],
    ['1.1', undefined, 2],
    ['1.1', 'close', 1],
    ['1.1', 'TE, close', 1],
    ['1.1', 'TE', 2],
  ] as const) {
    const answers = await exchange(url, Buffer.concat([kept(version, connection), last]));
    t.is(answers.length, count, `${version} ${connection ?? 'nothing'}`);
    t.true(answers.every(({ status, headers, body }) => status === 200 && headers['content-length'] === String(body.length)));
    if (version === '1.0') t.is(answers[0]?.headers.connection, count === 2 ? 'keep-alive' : 'close');
  }
});

test('a request without a User-Agent, sent one byte at a time, is answered', async (t) => {
  const { url } = await startRelay(t);
  const bytes = requestBytes(url, { body: serialiseCall('test', ['ä']) });
  const socket = open(url, bytes.subarray(0, 1)).setNoDelay(true);
  const answers = everything(socket);
  for (const byte of bytes.subarray(1)) {
    await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
  }
  t.deepEqual(
    answersIn(await answers).map(({ status }) => status),
    [200],
  );
});

test('a path in another notation reaches the same endpoint with the same checks', async (t) => {
  const { url } = await startRelay(t);
  const { host } = new URL(url);
  for (const path of ['/RPC2?x', '/RPC%32', `http://${host}/RPC2`]) {
    t.is((await request(url, { path })).status, 200, path);
    t.is((await request(url, { path, headers: { 'content-type': 'text/plain' } })).status, 415, path);
    t.is((await request(url, { path, headers: { origin: 'null' } })).status, 403, path);
  }
});

test('a call is answered before the malformed request that follows it', async (t) => {
  const source = `
import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Slow extends Plugin<{ readonly begun: () => Promise<void> }> {
  begun = async () => {};
  setup(config) { this.begun = config.begun; }
  /** Waits for the test. */
  @Exposed()
  async wait() { await this.begun(); return 'late'; }
}`;
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const plugins = { 'ham.slow': { begun: () => released } };
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/slow.ts': source }), plugins });
  const call = requestBytes(relay.url, { body: serialiseCall('ham.slow.wait', []), headers: { connection: 'keep-alive' } });
  const answers = everything(open(relay.url, Buffer.concat([call, call, Buffer.from('garbage\r\n\r\n')])));
  await relay.call('ping');
  release();
  const all = answersIn(await answers);
  t.deepEqual(
    all.map(({ status }) => status),
    [200, 200, 400],
  );
  t.regex(all[0]?.body.toString() ?? '', /late/);
});
