/**
 * Whole HTTP connections as random bytes: requests that are right, nearly right and wrong, how they are split, and how the client leaves.
 */
import { gzipSync } from 'node:zlib';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { mutateOften } from './mutate.ts';
import { Random } from './random.ts';

/**
 * What a client does after it has sent everything: it waits for the end, half-closes and waits, closes, resets, sends one more request that
 * asks for the end, or never reads.
 */
export type Ending = 'wait' | 'half-close' | 'close' | 'reset' | 'last' | 'deaf';

/** One connection. */
export interface HttpCase {
  /** What is sent, in these pieces. */
  readonly pieces: readonly Buffer[];
  /** How many requests the pieces hold. */
  readonly requests: number;
  readonly ending: Ending;
}

/** The fixed parts of requests to one listener. */
export interface Place {
  readonly host: string;
  readonly path: string;
  /** A credential that the listener accepts. */
  readonly authorization?: string | undefined;
}

type Header = readonly [name: string, value: string];

const VERBS = ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'QUERY', 'PRI', 'M-SEARCH', 'get', 'X'];
const TARGETS = [
  '/',
  '/RPC2',
  '/RPC2?method=ping',
  '/robot',
  '/api/ping',
  '/api/fuzz.target.wait',
  '/api/fuzz.target.large',
  '/api/%zz',
  '*',
];
const ODD_TARGETS = [
  '',
  '//',
  '/..',
  '/RPC2#a',
  '/\xff\xfe',
  'a:443',
  'http://a.example/RPC2',
  '/api/__proto__',
  '/api/',
  '/?a=%00',
  '/%2e%2e',
];
const VERSIONS = ['1.1', '1.1', '1.1', '1.1', '1.0', '1.2', '2.0', '0.9', '9', ''];
const CODINGS = ['gzip', 'gzip', 'gzip', 'x-gzip', 'GZIP', 'deflate', 'br', 'identity', 'gzip, gzip', 'gzip;q=1', ''];
const TYPES = [
  'text/xml',
  'text/xml; charset=utf-16',
  'application/json',
  'application/xml',
  'text/plain',
  'multipart/form-data',
  'a',
  '',
  '/;,',
];
const ODD_HEADERS: readonly Header[] = [
  ['Expect', '100-continue'],
  ['Expect', '100-continue'],
  ['Expect', 'miracles'],
  ['Connection', 'keep-alive'],
  ['Connection', 'close'],
  ['Connection', 'Upgrade'],
  ['Connection', 'Content-Length, Host'],
  ['Upgrade', 'websocket'],
  ['Upgrade', 'h2c'],
  ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
  ['Authorization', 'Bearer guess'],
  ['Authorization', 'Basic !!!'],
  ['Authorization', `Bearer ${'a'.repeat(5000)}`],
  ['Origin', 'null'],
  ['Sec-Fetch-Site', 'cross-site'],
  ['X-Forwarded-For', '203.0.113.9'],
  ['X-Forwarded-For', 'unknown, ,,'],
  ['Forwarded', 'for="[2001:db8::1]:4711"'],
  ['Accept', 'text/html;q=0.1, */*;q=x'],
  ['Accept', ','.repeat(500)],
  ['Accept-Encoding', 'gzip'],
  ['Range', 'bytes=0-1'],
  ['If-None-Match', '*'],
  ['Trailer', 'Host'],
  ['TE', 'trailers'],
  ['Cookie', '='.repeat(1000)],
  ['Keep-Alive', 'timeout=0'],
  ['Content-Length', '-1'],
  ['Content-Length', '1, 1'],
  ['Content-Length', '99999999999999999999'],
  ['Transfer-Encoding', 'identity'],
  ['Transfer-Encoding', 'gzip, chunked'],
  ['Transfer-Encoding', 'chunked, chunked'],
  ['Host', 'evil.example'],
  ['Host', ''],
  ['__proto__', 'a'],
  ['constructor', 'a'],
  ['X\x00', 'a'],
  ['X', '\x01\xff'],
  [' X', 'a'],
  ['', 'a'],
];
const METHODS = [
  'ping',
  'test',
  'system.listMethods',
  'fuzz.target.wait',
  'fuzz.target.large',
  'no.such',
  'system.multicall',
  'relay.call',
];

/** Connection `index` of the run with this seed, which is always the same. */
export function httpCase(seed: number, index: number, place: Place): HttpCase {
  const random = new Random((seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0);
  // More than one client may have under way, now and then.
  const requests = random.once(200) ? 40 : random.once(3) ? 2 + random.below(3) : 1;
  const bytes = Buffer.concat(Array.from({ length: requests }, () => request(random, place)));
  const changed = random.once(6) ? mutateOften(bytes, random) : bytes;
  const ending = endingOf(random);
  const last = Buffer.from(`GET /RPC2 HTTP/1.1\r\nHost: ${place.host}\r\nConnection: close\r\n\r\n`);
  const whole = ending === 'last' ? Buffer.concat([changed, last]) : changed;
  return { pieces: split(whole, random), requests: requests + (ending === 'last' ? 1 : 0), ending };
}

function endingOf(random: Random): Ending {
  // Waiting for the end takes as long as the listener waits for the rest of a request.
  if (random.once(150)) return 'wait';
  return random.pick(['half-close', 'close', 'reset', 'last', 'last', 'last', 'deaf']);
}

function split(bytes: Buffer, random: Random): Buffer[] {
  const cuts = random.once(2) ? [] : random.many(3, () => random.below(bytes.length + 1)).sort((one, other) => one - other);
  return [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length)).filter((piece) => piece.length > 0);
}

function request(random: Random, place: Place): Buffer {
  const verb = random.once(2) ? 'POST' : random.once(2) ? 'GET' : random.pick(VERBS);
  const target = random.once(2) ? place.path : random.once(6) ? random.pick(ODD_TARGETS) : random.pick(TARGETS);
  const version = random.once(12) ? random.pick(VERSIONS) : '1.1';
  const coding = random.once(4) ? random.pick(CODINGS) : undefined;
  const plain = body(random, verb);
  const content = coding !== undefined && !random.once(4) ? encoded(plain, random) : plain;
  const isChunked = random.once(5);
  const headers: Header[] = [
    ['Host', place.host],
    ['Content-Type', random.once(5) ? random.pick(TYPES) : target.startsWith('/api/') ? 'application/json' : 'text/xml'],
    ...(place.authorization === undefined ? [] : [['Authorization', place.authorization] as const]),
    ...(coding === undefined ? [] : [['Content-Encoding', coding] as const]),
    ...(isChunked ? [['Transfer-Encoding', 'chunked'] as const] : lengthOf(content, random)),
    ...(random.once(3) ? random.many(3, () => random.pick(ODD_HEADERS)) : []),
    ...manyHeaders(random),
  ];
  const kept = random.once(6) ? headers.filter(() => !random.once(4)) : headers;
  const lines = kept.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const head = Buffer.from(`${verb} ${target} HTTP/${version}\r\n${lines}\r\n`, 'latin1');
  return Buffer.concat([head, isChunked ? chunked(content, random) : content]);
}

function lengthOf(content: Buffer, random: Random): Header[] {
  if (content.length === 0 && random.once(2)) return [];
  // Longer than what comes, or shorter, so that the rest is read as the next request.
  const length = random.once(15)
    ? content.length + random.pick([1, 1000, 9_000_000])
    : random.once(15)
      ? content.length >> 1
      : content.length;
  return [['Content-Length', String(length)]];
}

function manyHeaders(random: Random): Header[] {
  if (!random.once(40)) return [];
  const count = random.pick([99, 100, 995, 1000, 2000, 4500]);
  return random.once(4) ? [['X', 'y'.repeat(17_000)]] : Array.from({ length: count }, () => ['D', ''] as const);
}

function body(random: Random, verb: string): Buffer {
  if (verb !== 'POST' && random.once(2)) return Buffer.alloc(0);
  switch (random.below(8)) {
    case 0:
      return Buffer.from(random.pick(['[]', '[1]', '{"jsonrpc":"2.0","method":"ping","id":1}', '{', 'null', '[{"jsonrpc":"2.0"}]']));
    case 1:
      return Buffer.from(random.pick(['', 'x', 'xxxx', '<', '\r\n', '\0'.repeat(70_000)]));
    case 2:
      return random.once(20) ? serialiseCall('test', ['x'.repeat(random.pick([66_000, 300_000]))]) : serialiseCall('test', ['x']);
    default:
      return serialiseCall(random.pick(METHODS), random.once(4) ? [[]] : []);
  }
}

/** The body in gzip, valid or corrupted in one of several ways. */
function encoded(plain: Buffer, random: Random): Buffer {
  const whole = random.once(30) ? gzipSync(Buffer.alloc(500_000)) : gzipSync(plain);
  if (random.once(3)) return whole;
  if (random.once(2)) return whole.subarray(0, random.below(whole.length));
  const copy = Buffer.from(whole);
  const at = random.below(copy.length);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return random.once(3) ? Buffer.concat([whole, copy]) : copy;
}

function chunked(content: Buffer, random: Random): Buffer {
  const parts: Buffer[] = [];
  for (let from = 0; from < content.length;) {
    const size = 1 + random.below(random.once(2) ? 10 : 70_000);
    const part = content.subarray(from, from + size);
    const extension = random.once(20) ? `;a="${'b'.repeat(random.pick([1, 20_000]))}"` : '';
    parts.push(Buffer.from(`${part.length.toString(16)}${extension}\r\n`), part, Buffer.from('\r\n'));
    from += size;
    // A body of single bytes says no more than one of a hundred.
    if (parts.length > 300) break;
  }
  const trailers = random.once(10) ? random.pick(['Host: a\r\n', 'X: y\r\n'.repeat(1500), 'Content-Length: 5\r\n', 'broken']) : '';
  const end = random.once(12) ? random.pick(['', '-1\r\n', 'x\r\n', 'fffffffffffffffff\r\n', '0\r\n']) : `0\r\n${trailers}\r\n`;
  return Buffer.concat([...parts, Buffer.from(end)]);
}
