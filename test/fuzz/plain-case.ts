/**
 * Connections for the comparison of the fast with the general path: mostly plain calls, nearly plain ones in every direction that a parser
 * and a recognizer could see differently, and how they are split.
 */
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { httpCase } from './http-case.ts';
import { mutateOften } from './mutate.ts';
import type { Random } from './random.ts';

/** What a client does at the end: it half-closes, closes, or does nothing more. */
export type PlainEnding = 'half-close' | 'close' | 'stay';

export interface PlainCase {
  readonly pieces: readonly Buffer[];
  readonly requests: number;
  readonly ending: PlainEnding;
  readonly remoteAddress: string;
  /** True for a client that reads slowly. */
  readonly isSlow: boolean;
  /** True for a client that does not wait between its pieces. */
  readonly isHasty: boolean;
}

type Header = readonly [name: string, value: string];

const ADDRESSES = [
  '127.0.0.1',
  '127.0.0.1',
  '::1',
  '::ffff:127.0.0.1',
  '10.1.2.3',
  '10.1.2.3',
  '::ffff:10.1.2.3',
  '203.0.113.9',
  '2001:db8::7',
];
const PATHS = ['/RPC2', '/RPC2', '/RPC2', '/', '/RPC2?nil=1', '/RPC2?i8=1', '/robot', '/RPC2?nil=1&i8=1'];
const ODD_PATHS = [
  '/RPC2?',
  '/rpc2',
  '/RPC2/',
  '/RPC2?nil=1&',
  '//RPC2',
  '/RPC2#',
  'http://127.0.0.1/RPC2',
  '/%52PC2',
  '/api/ping',
  '/x',
  '*',
  '/RPC2 ',
];
const HOSTS = ['127.0.0.1', 'localhost:2004', '[::1]:80', '10.0.0.1', 'LOCALHOST', '127.0.0.1:99999'];
const TYPES = ['text/xml', 'text/xml; charset=utf-8', 'application/xml', 'Text/XML;charset="utf-8"', 'text/xml; charset=iso-8859-1'];
const ODD_TYPES = [
  'text/plain',
  'application/json',
  'text/xml;',
  'text/xml; charset=klingon',
  'text/xml, text/xml',
  'text/xml; charset=a; charset=b',
  'x',
];
const USUAL: readonly Header[] = [
  ['User-Agent', 'Python-xmlrpc/3.11'],
  ['Accept', '*/*'],
  ['Accept-Encoding', 'gzip'],
  ['accept-language', '*'],
  ['sec-fetch-mode', 'cors'],
  ['Connection', 'keep-alive'],
  ['connection', 'Keep-Alive'],
  ['Cache-Control', 'no-cache'],
  ['Pragma', 'no-cache'],
  ['Accept-Charset', 'utf-8'],
  ['Accept-XMLRPC-Extensions', 'nil, i8'],
  ['Accept-XMLRPC-Extensions', 'x'],
  ['Authorization', 'Bearer right-token-for-the-comparison'],
  ['Authorization', 'bearer  right-token-for-the-comparison'],
  ['Authorization', 'Basic dTpyaWdodC10b2tlbi1mb3ItdGhlLWNvbXBhcmlzb24='],
];
const ODD: readonly Header[] = [
  ['Authorization', 'Bearer wrong'],
  ['Authorization', 'Digest x'],
  ['Authorization', ''],
  ['Connection', 'close'],
  ['Connection', 'keep-alive, close'],
  ['Connection', 'Upgrade'],
  ['Connection', ''],
  ['Upgrade', 'h2c'],
  ['Expect', '100-continue'],
  ['Expect', 'more'],
  ['Transfer-Encoding', 'chunked'],
  ['Transfer-Encoding', 'identity'],
  ['Transfer-Encoding', 'gzip, chunked'],
  ['Content-Encoding', 'gzip'],
  ['Content-Encoding', 'identity'],
  ['Content-Length', '5'],
  ['Content-Length', '+5'],
  ['Content-Length', '0x10'],
  ['Content-Length', '1e1'],
  ['Content-Length', '5, 5'],
  ['Content-Length', '00'],
  ['Content-Length', '70000'],
  ['Content-Length', '99999999'],
  ['Content-Length', '99999999999999999999999'],
  ['Content_Length', '5'],
  ['Host', 'evil.example'],
  ['Host', '127.0.0.1'],
  ['Host', ''],
  ['Host', '0.0.0.0'],
  ['Origin', 'http://evil.example'],
  ['Origin', 'null'],
  ['Sec-Fetch-Site', 'cross-site'],
  ['Sec-Fetch-Site', 'same-origin'],
  ['X-Forwarded-For', '203.0.113.9'],
  ['Forwarded', 'for=203.0.113.9'],
  ['Via', '1.1 a'],
  ['X-Real-IP', '1.2.3.4'],
  ['Content-Type', 'text/xml'],
  ['Content-Type', 'text/plain'],
  ['Trailer', 'Host'],
  ['Cookie', 'a=b'],
  ['X', 'y'.repeat(3000)],
  ['X', 'y'.repeat(17_000)],
  ['__proto__', 'a'],
  ['User-Agent', 'caf\xe9'],
  ['User-Agent', 'a\tb'],
  ['User-Agent', 'a\0b'],
  ['User-Agent', '\x7f'],
];
// Between a name and its value.
const COLONS = [':', ':  ', ': \t', ' : ', ':\t', ':\r\n '];
const LINE_ENDS = ['\n', '\r', '\r\r\n', '\n\r', ' \r\n', '\r\n\r\n', ''];
const METHODS = [
  'ping',
  'ping',
  'ping',
  'test',
  'system.listMethods',
  'system.methodHelp',
  'no.such',
  'notify',
  'notify',
  'relay.get_num_satellites',
];
const OWN_METHODS = ['fuzz.box.wait', 'fuzz.box.add', 'plugin.stop', 'relay.register', 'system.multicall'];
const BODIES = [
  ...METHODS.map((method) => serialiseCall(method, method === 'notify' ? [{ data: 1, note: 'ä' }] : method === 'test' ? ['x'] : [])),
  ...OWN_METHODS.map((method) => serialiseCall(method, method === 'fuzz.box.add' ? [1, 2] : [])),
];
const LARGE_ANSWER = serialiseCall('fuzz.box.large', []);
const LARGE = serialiseCall('test', ['x'.repeat(60_000)]);
const TOO_LARGE = serialiseCall('test', ['x'.repeat(66_000)]);

/** The connection of a number. */
export function plainCase(random: Random, index: number): PlainCase {
  const usual = { remoteAddress: random.pick(ADDRESSES), isSlow: random.once(8), isHasty: random.once(3) };
  const ending = random.once(3) ? 'half-close' : random.once(3) ? 'close' : 'stay';
  if (random.once(40)) {
    const { pieces, requests } = httpCase(random.next(), index, { host: '127.0.0.1', path: '/RPC2' });
    return { ...usual, isHasty: false, pieces, requests, ending };
  }
  const parts: Buffer[] = [];
  let last: Request | undefined;
  for (let count = 1 + random.below(random.once(4) ? 12 : 4); count > 0; count--) {
    last = last && !random.once(3) ? again(last, random) : request(random);
    parts.push(last.bytes);
  }
  const bytes = Buffer.concat(parts);
  const changed = random.once(12) ? mutateOften(bytes, random) : bytes;
  const pieces = random.once(3) && changed === bytes ? parts : split(changed, random);
  // What Node writes for 100 Continue to a client that does not wait depends on the moment.
  const isHasty = usual.isHasty && !bytes.includes('100-continue');
  return { ...usual, isHasty, pieces, requests: parts.length, ending };
}

function split(bytes: Buffer, random: Random): Buffer[] {
  if (random.once(100) && bytes.length < 1000) return Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1));
  const cuts = random.many(random.once(3) ? 12 : 3, () => random.below(bytes.length + 1)).sort((one, other) => one - other);
  return [0, ...cuts].map((from, at) => bytes.subarray(from, cuts[at] ?? bytes.length)).filter((piece) => piece.length > 0);
}

interface Request {
  readonly bytes: Buffer;
  /** Writes the same request with another body. */
  readonly withBody: (body: Buffer) => Buffer;
}

/** The next request of a client: most repeat themselves, with the same head or one that is nearly the same. */
function again(last: Request, random: Random): Request {
  if (!random.once(4)) return last;
  if (random.once(2)) return { ...last, bytes: last.withBody(random.pick(BODIES)) };
  const bytes = Buffer.from(last.bytes);
  const end = Math.max(1, bytes.indexOf('\r\n\r\n'));
  const at = random.once(3) ? end - 1 : random.below(end);
  bytes[at] = random.once(2) ? (bytes[at] ?? 0) ^ 1 : 0x20 + random.below(0x60);
  return { ...last, bytes };
}

function request(random: Random): Request {
  const isOdd = random.once(5);
  const body = random.once(120)
    ? random.pick([LARGE_ANSWER, LARGE, TOO_LARGE])
    : random.once(12)
      ? mutateOften(random.pick(BODIES), random)
      : random.pick(BODIES);
  const difference = isOdd && random.once(6) ? random.pick([-3, 1, 2, 40]) : 0;
  const zero = isOdd && random.once(20) ? '0' : '';
  const LENGTH = 'LENGTH';
  let headers: Header[] = [
    ['Host', random.pick(HOSTS)],
    [random.pick(['Content-Type', 'content-type', 'Content-type']), random.once(30) ? random.pick(ODD_TYPES) : random.pick(TYPES)],
    [random.pick(['Content-Length', 'content-length', 'CONTENT-LENGTH']), LENGTH],
    ...random.many(4, () => random.pick(USUAL)),
  ];
  if (isOdd) headers = odd(headers, random);
  if (random.once(3)) headers.sort(() => random.below(3) - 1);
  const lines = headers.map(([name, value]) => {
    const colon = isOdd && random.once(20) ? random.pick(COLONS) : random.once(30) ? ':' : ': ';
    return `${name}${colon}${value}${isOdd && random.once(60) ? random.pick(LINE_ENDS) : '\r\n'}`;
  });
  const verb = isOdd && random.once(12) ? random.pick(['GET', 'PUT', 'post', 'HEAD', 'OPTIONS', ' POST', '\r\nPOST']) : 'POST';
  const path = isOdd && random.once(8) ? random.pick(ODD_PATHS) : random.pick(PATHS);
  const version = isOdd && random.once(12) ? random.pick(['1.0', '1.0', '2.0', '1.2', '0.9', '1.1 ', '1.11']) : '1.1';
  const end = isOdd && random.once(40) ? random.pick(['\n', '\r', '', '\r\n\r\n']) : '\r\n';
  const first = `${verb} ${path} HTTP/${version}${isOdd && random.once(40) ? random.pick(LINE_ENDS) : '\r\n'}`;
  const head = `${first}${lines.join('')}${end}`;
  const withBody = (content: Buffer): Buffer =>
    Buffer.concat([Buffer.from(head.replaceAll(LENGTH, `${zero}${Math.max(0, content.length + difference)}`), 'latin1'), content]);
  return { bytes: withBody(body), withBody };
}

function odd(headers: readonly Header[], random: Random): Header[] {
  const kept = random.once(8) ? headers.filter(() => !random.once(4)) : [...headers];
  const more = random.once(2) ? [random.pick(ODD)] : random.many(3, () => random.pick(ODD));
  const again = random.once(6) ? [random.pick(headers)] : [];
  const many = random.once(60) ? Array.from({ length: random.pick([90, 110, 1100, 3000]) }, (): Header => ['D', '']) : [];
  return [...kept, ...more, ...again, ...many];
}
