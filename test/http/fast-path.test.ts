/** A call on the fast path and one through the router get the same answer and the same line in the access log. */
import test from 'ava';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { startRelay } from '../support/relays.ts';
import type { RawAnswer, RawRequest } from './raw.ts';
import { answersIn, everything, exchange, open, requestBytes } from './raw.ts';

// A query changes nothing but the way.
const LONG = '/RPC2?';

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
  GET: { method: 'GET', headers: { Accept: 'application/json' } },
  PUT: { method: 'PUT' },
};

/** What does not change from one request to the next. */
function comparable({ status, headers, body }: RawAnswer): unknown {
  const { date: _date, ...others } = headers;
  return { status, headers: others, body: body.toString().replace(/"(?:uptime|server_time)":[^,}]+/g, '') };
}

for (const [what, request] of Object.entries(REQUESTS)) {
  test(`the fast and the general path give the same response: ${what}`, async (t) => {
    const { url } = await startRelay(t);
    const short = await exchange(url, requestBytes(url, request));
    const long = await exchange(url, requestBytes(url, { ...request, path: LONG }));
    t.true(short.length > 0);
    t.deepEqual(short.map(comparable), long.map(comparable));
  });
}

test('both paths count calls and reject those over the limit in the same way', async (t) => {
  const relay = await startRelay(t, { limits: { local: { perSecond: 0.001, burst: 2 } } });
  const { url } = relay;
  const answers: RawAnswer[] = [];
  for (const path of ['/RPC2', LONG, '/RPC2', LONG]) answers.push(...(await exchange(url, requestBytes(url, { path }))));
  const faults = answers.map(({ body }) => /<int>(\d+)<\/int>/.exec(body.toString())?.[1]);
  t.deepEqual(faults, [undefined, undefined, '429', '429']);
  t.is(relay.status().relay.rateLimited, 2);
});

test('both paths write the same line to the access log', async (t) => {
  const { url, log } = await startRelay(t);
  for (const path of ['/RPC2', LONG]) await exchange(url, requestBytes(url, { path, body: serialiseCall('no.such', []) }));
  const lines = await Promise.all([log.line(/RPC2 no\.such/), log.line(/RPC2\? no\.such/)]);
  const [short, long] = lines.map(({ text }) => text.replace(/\d+\.\d ms/, 'N ms').replace('?', ''));
  t.regex(short ?? '', /127\.0\.0\.1 POST \/RPC2 no\.such 200 fault -32601 N ms/);
  t.is(short, long);
});

test('calls sent byte by byte, and several pipelined on one connection, are answered in order', async (t) => {
  const { url } = await startRelay(t);
  const call = (id: string, close: boolean): Buffer =>
    requestBytes(url, { body: serialiseCall('system.methodHelp', [id]), headers: { Connection: close ? 'close' : 'keep-alive' } });
  const bytes = Buffer.concat([call('ping', false), call('no.such', false), call('ping', true)]);
  const socket = open(url, bytes.subarray(0, 1));
  socket.setNoDelay(true);
  const answered = everything(socket);
  for (const byte of bytes.subarray(1)) await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
  const bodies = answersIn(await answered).map(({ body }) => body.toString());
  t.is(bodies.length, 3);
  t.is(bodies[0], bodies[2]);
  t.regex(bodies[1] ?? '', /<fault>/);
});
