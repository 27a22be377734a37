/** Bodies that nobody reads, or stops reading, and that are broken: the relay goes on, on one connection after the other. */
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { startCo2 } from '../support/processes.ts';
import { exchange, requestBytes } from './raw.ts';
import type { RawRequest } from './raw.ts';

const GZIP = { 'content-encoding': 'gzip', 'content-type': 'text/xml' };
const BROKEN = { method: 'GET', headers: GZIP, body: 'xxxx' };
const chunk = (size: number): string => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;

function brokenAt(position: number, body: Buffer): Buffer {
  body[position] = (body[position] ?? 0) ^ 0xff;
  return body;
}

const CASES: readonly (readonly [what: string, request: RawRequest])[] = [
  ['GET with a body that is not gzip', BROKEN],
  ['GET of the page with it', { ...BROKEN, path: '/' }],
  ['HEAD with it', { ...BROKEN, method: 'HEAD' }],
  ['OPTIONS * with it', { ...BROKEN, method: 'OPTIONS', path: '*' }],
  ['DELETE with it', { ...BROKEN, method: 'DELETE' }],
  ['GET that expects 100-continue with it', { ...BROKEN, headers: { ...GZIP, expect: '100-continue' } }],
  ['GET whose gzip is cut short', { ...BROKEN, body: gzipSync('x'.repeat(1000)).subarray(0, 12) }],
  [
    'GET in chunks, larger than all bodies may be',
    { method: 'GET', headers: { 'transfer-encoding': 'chunked', 'content-length': undefined }, body: `${chunk(200_000)}0\r\n\r\n` },
  ],
  ['GET with a body larger than one may be', { method: 'GET', headers: { 'content-type': 'text/xml' }, body: 'x'.repeat(200_000) }],
  ['POST of an empty body that is gzip', { headers: { ...GZIP, 'content-length': '0' }, body: '' }],
  [
    'POST that is too large when inflated, and broken behind that',
    {
      headers: GZIP,
      body: brokenAt(2000, gzipSync(Buffer.from(Array.from({ length: 60_000 }, (_, at) => (at * at * 7919) & 0xff)), { level: 0 })),
    },
  ],
  ['POST to a wrong method of JSON', { path: '/api/no.such', headers: { ...GZIP, 'content-type': 'application/json' }, body: 'xxxx' }],
];

for (const acceptGzip of [false, true]) {
  test(`an unread body does not break the connection, ${acceptGzip ? 'with' : 'without'} acceptGzip`, async (t) => {
    const config = { acceptGzip, maxBodyBytes: 20_000, maxBufferedBytes: 1024 };
    const relay = await startCo2(t, { files: { 'config.ts': `export default ${JSON.stringify(config)};` } });
    for (const [what, request] of CASES) {
      const kept = requestBytes(relay.url, { ...request, headers: { ...request.headers, connection: 'keep-alive' } });
      const [answer] = await exchange(relay.url, Buffer.concat([kept, requestBytes(relay.url, { method: 'GET' })]));
      t.true((answer?.status ?? 0) >= 100, what);
      t.is(await relay.call('ping'), true, what);
    }
    relay.kill('SIGTERM');
    const { code, stderr } = await relay.exit;
    t.is(code, 0);
    t.deepEqual(
      stderr.filter((line) => line.includes(' ERROR ')),
      [],
    );
  });
}
