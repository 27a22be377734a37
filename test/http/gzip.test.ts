/** Bodies in gzip where the operator accepts them: bounded while they are inflated, at every endpoint. */
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { startRelay } from '../support/relays.ts';
import { PING, answersIn, everything, open, request, requestBytes } from './raw.ts';
import type { RawAnswer, RawRequest } from './raw.ts';

const GZIP = { 'content-encoding': 'gzip' };

test('gzip bodies are rejected unless the operator allows them', async (t) => {
  const { url } = await startRelay(t);
  const answer = await request(url, { body: gzipSync(PING), headers: GZIP });
  t.is(answer.status, 415);
  t.regex(answer.body.toString(), /acceptGzip/);
});

test('if allowed, gzip bodies are read at every endpoint, whole and in chunks, as are plain bodies', async (t) => {
  const { url } = await startRelay(t, { acceptGzip: true });
  const long = serialiseCall('test', [Array.from({ length: 5000 }, (_, index) => `${index * 7919} sheep`)]);
  for (const [body, headers] of [
    [gzipSync(PING), GZIP],
    [gzipSync(PING), { 'content-encoding': 'X-Gzip' }],
    [gzipSync(long), GZIP],
    [gzipSync(long, { level: 0 }), GZIP],
    [PING, {}],
    [PING, { 'content-encoding': 'identity' }],
  ] as const) {
    const answer = await request(url, { body, headers });
    t.is(answer.status, 200);
    t.is(parseResponse(answer.body).kind, 'value');
  }
  const json = gzipSync('["ä"]');
  const rest = await request(url, { path: '/api/test', body: json, headers: { ...GZIP, 'content-type': 'application/json' } });
  t.is(rest.body.toString(), '"ä"');
  const bytes = requestBytes(url, { body: gzipSync(PING), headers: GZIP });
  const socket = open(url, bytes.subarray(0, 10)).setNoDelay(true);
  const answers = everything(socket);
  for (let at = 10; at < bytes.length; at += 7) await new Promise((resolve) => socket.write(bytes.subarray(at, at + 7), resolve));
  t.is(answersIn(await answers)[0]?.status, 200);
});

test('several codings and other codings are rejected even if gzip is allowed', async (t) => {
  const { url } = await startRelay(t, { acceptGzip: true });
  for (const encoding of ['gzip, gzip', 'gzip,identity', 'deflate', 'br', 'zstd', 'compress'])
    t.is((await request(url, { body: gzipSync(PING), headers: { 'content-encoding': encoding } })).status, 415, encoding);
  const twice: RawRequest = { body: gzipSync(gzipSync(PING)), headers: GZIP, more: [['Content-Encoding', 'gzip']] };
  t.is((await request(url, twice)).status, 400);
});

const CASES: readonly (readonly [what: string, body: Buffer, status: number, text: RegExp])[] = [
  ['not gzip', PING, 400, /not valid gzip/],
  ['truncated', gzipSync(PING).subarray(0, 60), 400, /not valid gzip/],
  ['a wrong checksum', changed(gzipSync(PING)), 400, /not valid gzip/],
  ['too large when inflated', gzipSync(noise(150_000).toString('hex')), 413, /larger than 262144 bytes \(maxBodyBytes\) when inflated/],
  ['a bomb', gzipSync(Buffer.alloc(200_000, 0x20)), 413, /grows more than 100 times/],
];

for (const [what, body, status, text] of CASES) {
  test(`${what}: returns ${status}, and the relay continues to serve`, async (t) => {
    const relay = await startRelay(t, { acceptGzip: true, maxBodyBytes: 262_144 });
    const answer: RawAnswer = await request(relay.url, { body, headers: GZIP });
    t.is(answer.status, status, answer.body.toString());
    t.regex(answer.body.toString(), text);
    t.is(answer.headers['content-length'], String(answer.body.length));
    t.is(await relay.call('ping'), true);
    t.deepEqual(
      relay.log.lines.all.filter(({ level }) => level === 'error'),
      [],
    );
  });
}

test('the inflated size of bodies counts toward their shared memory budget', async (t) => {
  const { url } = await startRelay(t, { acceptGzip: true, maxBodyBytes: 1_000_000, maxBufferedBytes: 1024 });
  const body = gzipSync(noise(450_000).toString('hex'));
  const unfinished = requestBytes(url, { body, headers: GZIP }).subarray(0, -1);
  const answers = [1, 2, 3].map(() => everything(open(url, unfinished)));
  // All lack their last byte; whichever is read third is more than there is room for: half of four bodies.
  t.regex((await Promise.race(answers)).toString(), /^HTTP\/1\.1 503 .*maxBufferedBytes/s);
});

test('a sender that disconnects in the middle of a body does not affect others', async (t) => {
  const relay = await startRelay(t, { acceptGzip: true });
  const bytes = requestBytes(relay.url, { body: gzipSync(noise(100_000)), headers: GZIP });
  const socket = open(relay.url, bytes.subarray(0, 50_000));
  await new Promise((resolve) => socket.write(bytes.subarray(50_000, 60_000), resolve));
  socket.destroy();
  t.is(await relay.call('ping'), true);
  t.deepEqual(
    relay.log.lines.all.filter(({ level }) => level === 'error'),
    [],
  );
});

function changed(gzip: Buffer): Buffer {
  const at = gzip.length - 5;
  gzip[at] = (gzip[at] ?? 0) ^ 0xff;
  return gzip;
}

/** Bytes that hardly shrink, the same in every run. */
function noise(length: number): Buffer {
  let state = 1;
  return Buffer.from(Uint8Array.from({ length }, () => (state = (state * 48271) % 2147483647) & 0xff));
}
