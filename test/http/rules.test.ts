/** The request checks as pure functions: media types, hosts and origins, addresses behind proxies, credentials. */
import { createHash } from 'node:crypto';
import test from 'ava';
import { forwardedClient, trustedProxies } from '../../src/http/client-address.ts';
import { credentialCheck } from '../../src/access/credentials.ts';
import { checkEncoding, makeHostCheck } from '../../src/http/request-checks.ts';
import { readMediaType } from '../../src/http/media-type.ts';
import { canonicalAddress } from '../../src/message/message.ts';

const IN: readonly (readonly [header: string, charset: string | undefined])[] = [
  ['text/xml', undefined],
  ['application/xml', undefined],
  ['TEXT/XML', undefined],
  ['Text/Xml', undefined],
  ['Application/XML', undefined],
  ['text/xml;', undefined],
  ['text/xml ; charset=utf-8', 'utf-8'],
  ['text/xml; charset=utf-8', 'utf-8'],
  ['text/xml;charset=utf-8', 'utf-8'],
  ['text/xml;charset="utf-8"', 'utf-8'],
  ['text/xml; Charset=UTF-8', 'UTF-8'],
  ['text/xml;\tcharset=iso-8859-1', 'iso-8859-1'],
  ['application/xml; charset=us-ascii', 'us-ascii'],
  ['text/xml; charset=""', ''],
  ['text/xml; q=1; charset=utf-8', 'utf-8'],
  ['text/xml; charset=utf-8; boundary=x', 'utf-8'],
  ['text/xml; note="a;b=c, text/plain"', undefined],
  ['text/xml; xcharset=latin1', undefined],
  ['text/xml; x="; charset=latin1"', undefined],
  ['text/xml; x="; charset=latin1"; charset="utf-8"', 'utf-8'],
  ['text/xml; x=";charset=latin1;"; y="; charset="', undefined],
];

const OUT = [
  undefined,
  '',
  ' ',
  'text/plain',
  'text/html',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'multipart/form-data; boundary=text/xml',
  'text/plain; charset=text/xml',
  'text/plain, text/xml',
  'text/xml, text/plain',
  'text/xml,text/xml',
  'text/xml; charset=utf-8, text/plain',
  'text/xml/',
  'text/xmlx',
  'text/xml+x',
  'xtext/xml',
  'text /xml',
  'text/ xml',
  'text\\xml',
  'text/xml charset=utf-8',
  'text/xml; charset',
  'text/xml; charset=',
  'text/xml; =utf-8',
  'text/xml; charset=utf 8',
  'text/xml; charset="utf-8',
  'text/xml; charset=utf-8; charset=utf-7',
  'text/xml; charset=utf-8; CHARSET="utf-8"',
  'application/xhtml+xml',
  'application/xml-dtd',
  'application/soap+xml',
  'application/atom+xml',
  'image/svg+xml',
  'text/xml-external-parsed-entity',
  'application/octet-stream',
  '*/*',
  'text/*',
  'xml',
  'text/xml\u0000',
  '"text/xml"',
  'text/xml; a=' + 'b'.repeat(400),
  'text/xml' + '; a=b'.repeat(200),
];

for (const [header, charset] of IN) {
  test(`Content-Type ${JSON.stringify(header)} is accepted`, (t) => {
    t.deepEqual(readMediaType(header, ['xml', 'json']), { kind: 'xml', charset });
    t.like(readMediaType(header, ['json']), { status: 415 });
  });
}

for (const header of [
  'application/json',
  'Application/JSON',
  'application/json;',
  'application/json; charset=utf-8',
  'application/json;charset="UTF-8"',
  'application/json ; a=b',
  'application/json; x="; charset=latin1"',
]) {
  test(`Content-Type ${JSON.stringify(header)} is accepted at endpoints that read JSON`, (t) => {
    for (const kinds of [['json'], ['xml', 'json']] as const) t.deepEqual(readMediaType(header, kinds), { kind: 'json' });
    t.like(readMediaType(header, ['xml']), { status: 415 });
  });
}

const NO_JSON = [
  'text/json',
  'application/json-rpc',
  'application/jsonrequest',
  'application/problem+json',
  'application/vnd.api+json',
  'application/jsonx',
  'application/x-json',
  'application/json, text/plain',
  'text/plain, application/json',
  'application/json charset=utf-8',
  'application/json; charset',
  'application/json; charset=utf-16',
  'application/json; charset=""',
  'application/json; charset=utf-8; charset=utf-8',
];

for (const header of [...OUT, ...NO_JSON]) {
  test(`Content-Type ${JSON.stringify(header?.slice(0, 60))} returns 415 with a text that names the accepted types`, (t) => {
    const refusal = readMediaType(header, ['xml', 'json']);
    t.like(refusal, { status: 415 });
    t.regex((refusal as { text: string }).text, /send it with Content-Type: text\/xml for XML-RPC, application\/json for JSON$|UTF-8/);
    t.regex((refusal as { text: string }).text, /^[\x20-\uffff]{1,300}$/);
  });
}

test('only the identity encoding is read, and gzip where it is allowed, but never several encodings', (t) => {
  for (const acceptGzip of [false, true]) {
    for (const header of [undefined, 'identity', 'Identity']) t.is(checkEncoding(header, acceptGzip), undefined);
    for (const header of ['deflate', 'br', 'zstd', 'gzip, identity', 'identity, gzip', 'gzip, gzip', 'gzip,gzip', '', 'utf-8', 'gzip;q=1'])
      t.like(checkEncoding(header, acceptGzip), { status: 415 }, header);
    for (const header of ['gzip', 'GZIP', 'x-gzip']) t.is(checkEncoding(header, acceptGzip)?.status, acceptGzip ? undefined : 415, header);
  }
});

const [PORT, UNIX] = [{}, {}];
const guard = makeHostCheck(['Relay.Example', '2001:db8::5'], ['https://panel.example'], (socket) => socket === UNIX);

for (const host of [
  '127.0.0.1',
  '127.0.0.1:2004',
  '192.168.1.7:80',
  '[::1]',
  '[::1]:2004',
  '[2001:db8::5]:2004',
  '[fe80::1]:1',
  'localhost',
  'LOCALHOST:2004',
  'relay.example',
  'RELAY.EXAMPLE:2004',
  undefined,
]) {
  test(`Host ${host ?? 'missing'} is accepted`, (t) => {
    t.is(guard({ host }, PORT), undefined);
  });
}

for (const host of [
  'evil.example',
  'relay.example.',
  'localhost.',
  '127.0.0.1.',
  '127.0.0.1.nip.io',
  'localhost.evil.example',
  'evil-localhost',
  'relay.example.evil.example',
  'xrelay.example',
  '0.0.0.0',
  '0.0.0.0:2004',
  '[::]',
  '[::]:2004',
  '[::ffff:0.0.0.0]',
  '0',
  '2130706433',
  '0x7f.0.0.1',
  '127.1',
  '017700000001',
  '::1',
  '[::1',
  '[::1]x',
  '127.0.0.1:',
  '127.0.0.1:999999',
  '127.0.0.1:80:80',
  '127.0.0.1, evil.example',
  'evil.example@127.0.0.1',
  'user@localhost',
  'localhost/',
  'localhost#',
  ' ',
  '',
  'localhost\u0000',
]) {
  test(`Host ${JSON.stringify(host)} returns 421`, (t) => {
    t.like(guard({ host }, PORT), { status: 421 });
    t.is(guard({ host }, UNIX), undefined, 'no page can make a name lead to the unix socket');
    // A browser cannot open the socket, so a proxy did.
    t.like(guard({ host, origin: `http://${host}` }, UNIX), { status: 421 });
    t.like(guard({ host, 'sec-fetch-site': 'same-origin' }, UNIX), { status: 421 });
  });
}

const HOST = '127.0.0.1:2004';

for (const headers of [
  {},
  { origin: 'http://127.0.0.1:2004' },
  { origin: 'https://127.0.0.1:2004' },
  { origin: 'https://panel.example' },
  { origin: 'https://panel.example', 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'none' },
  { 'sec-fetch-site': 'same-origin' },
]) {
  test(`a page may send a request with ${JSON.stringify(headers)}`, (t) => {
    for (const socket of [PORT, UNIX]) t.is(guard({ host: HOST, ...headers }, socket), undefined);
  });
}

for (const headers of [
  { origin: 'null' },
  { origin: '' },
  { origin: 'http://127.0.0.1' },
  { origin: 'http://127.0.0.1:2005' },
  { origin: 'http://localhost:2004' },
  { origin: 'http://evil.example' },
  { origin: 'http://panel.example' },
  { origin: 'https://panel.example:8443' },
  { origin: 'https://panel.example.evil.example' },
  { origin: 'https://panel.example/' },
  { origin: 'https://panel.example, https://evil.example' },
  { origin: 'ws://127.0.0.1:2004' },
  { origin: 'http://127.0.0.1:2004.evil.example' },
  { origin: 'file://' },
  { origin: '*' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { 'sec-fetch-site': '' },
  { 'sec-fetch-site': 'none, cross-site' },
]) {
  test(`a page may not send a request with ${JSON.stringify(headers)}`, (t) => {
    for (const socket of [PORT, UNIX]) t.like(guard({ host: HOST, ...headers }, socket), { status: 403 });
  });
}

const PROXIES = ['10.0.0.0/8', '2001:db8::/32', '127.0.0.1/32'];
const isTrusted = trustedProxies(PROXIES);

const BEHIND: readonly (readonly [socket: string, forwardedFor: string | undefined, client: string | undefined])[] = [
  ['203.0.113.5', undefined, '203.0.113.5'],
  ['203.0.113.5', '198.51.100.7', '203.0.113.5'],
  ['203.0.113.5', '127.0.0.1', '203.0.113.5'],
  ['203.0.113.5', 'garbage', '203.0.113.5'],
  ['11.0.0.1', '198.51.100.7', '11.0.0.1'],
  ['10.0.0.1', undefined, '10.0.0.1'],
  ['10.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['::ffff:10.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['2001:db8::9', '198.51.100.7', '198.51.100.7'],
  ['10.0.0.1', '::ffff:198.51.100.7', '198.51.100.7'],
  ['10.0.0.1', '[2001:DB9::1]', '2001:db9::1'],
  ['10.0.0.1', '1.1.1.1, 198.51.100.7', '198.51.100.7'],
  ['10.0.0.1', '127.0.0.2,198.51.100.7', '198.51.100.7'],
  ['10.0.0.1', '198.51.100.7, 10.2.3.4', '198.51.100.7'],
  ['10.0.0.1', '198.51.100.7 ,\t10.2.3.4 , 10.9.9.9', '198.51.100.7'],
  ['10.0.0.1', '10.2.3.4', '10.2.3.4'],
  ['10.0.0.1', '198.51.100.7, garbage', undefined],
  ['10.0.0.1', 'garbage, 198.51.100.7', '198.51.100.7'],
  ['10.0.0.1', '', undefined],
  ['10.0.0.1', '198.51.100.7,', undefined],
  ['10.0.0.1', 'unknown', undefined],
  ['10.0.0.1', '198.51.100.7:4711', '198.51.100.7 4711'],
  ['10.0.0.1', '0xc6.51.100.7', undefined],
  ['', '198.51.100.7', undefined],
];

/** The client as `address` or `address port`, undefined if nobody knows it. */
function clientBehind(socket: string, forwardedFor: string | undefined, forwarded?: string): string | undefined {
  const address = canonicalAddress(socket);
  if (address === undefined) return undefined;
  const client = forwardedClient(address, { forwardedFor, forwarded }, isTrusted) ?? { address, port: undefined };
  if ('problem' in client) return undefined;
  return client.port === undefined ? client.address : `${client.address} ${client.port}`;
}

for (const [socket, forwardedFor, client] of BEHIND) {
  test(`socket ${socket || 'gone'}, X-Forwarded-For ${forwardedFor ?? 'missing'}: the client is ${client ?? 'unknown'}`, (t) => {
    t.is(clientBehind(socket, forwardedFor), client);
  });
}

/** Behind 10.0.0.1, which is trusted; the same entry in both headers means the same. */
const NODES: readonly (readonly [node: string, client: string | undefined])[] = [
  ['203.0.113.9', '203.0.113.9'],
  ['203.0.113.9:4711', '203.0.113.9 4711'],
  ['203.0.113.9:0', '203.0.113.9 0'],
  ['203.0.113.9:65535', '203.0.113.9 65535'],
  ['203.0.113.9:_hidden', '203.0.113.9'],
  ['[2001:db9::1]', '2001:db9::1'],
  ['[2001:DB9::1]:4711', '2001:db9::1 4711'],
  ['[::ffff:203.0.113.9]:4711', '203.0.113.9 4711'],
  ['2001:db9::1', '2001:db9::1'],
  ['203.0.113.9:65536', undefined],
  ['203.0.113.9:', undefined],
  ['203.0.113.9:-1', undefined],
  ['203.0.113.9:80:80', undefined],
  ['203.0.113:80', undefined],
  ['[203.0.113.9]:80:80', undefined],
  ['[2001:db9::1', undefined],
  ['[2001:db9::1]4711', undefined],
  ['0xcb.0.113.9:80', undefined],
  ['client.example:80', undefined],
  ['unknown', undefined],
  ['unknown:80', undefined],
  ['_hidden', undefined],
  ['_hidden:80', undefined],
  ['', undefined],
];

for (const [node, client] of NODES) {
  test(`the node ${JSON.stringify(node)} is the client ${client ?? 'unknown'}`, (t) => {
    t.is(clientBehind('10.0.0.1', node), client);
    t.is(clientBehind('10.0.0.1', `198.51.100.1, ${node}`), client);
    t.is(clientBehind('10.0.0.1', undefined, `for="${node}"`), client);
    t.is(clientBehind('10.0.0.1', undefined, `for=${node}`), client);
    t.is(clientBehind('10.0.0.1', undefined, `for=198.51.100.1, by=10.0.0.1;For="${node}";proto=http`), client);
    t.is(clientBehind('192.0.2.1', node, `for="${node}"`), '192.0.2.1', 'the header of a socket that nobody trusts');
  });
}

/** Behind 10.0.0.1, which is trusted. */
const FORWARDED: readonly (readonly [forwarded: string, client: string | undefined])[] = [
  ['for=198.51.100.7', '198.51.100.7'],
  ['FOR=198.51.100.7', '198.51.100.7'],
  ['for="198.51.100.7"', '198.51.100.7'],
  ['for="\\198.51.100.7"', '198.51.100.7'],
  ['proto=https;for=198.51.100.7;host=relay.example', '198.51.100.7'],
  ['proto=https; for=198.51.100.7 ; by="_x"', '198.51.100.7'],
  ['for=198.51.100.7;ext="a,b;c\\"d"', '198.51.100.7'],
  ['for=1.1.1.1, for=198.51.100.7', '198.51.100.7'],
  ['for=1.1.1.1,for=198.51.100.7,for=10.2.3.4', '198.51.100.7'],
  ['for=unknown, for=198.51.100.7', '198.51.100.7'],
  ['garbage, for=198.51.100.7', '198.51.100.7'],
  ['for=1.1.1.1, for=unknown, for=10.2.3.4', undefined],
  ['for=10.2.3.4', '10.2.3.4'],
  ['', undefined],
  ['for', undefined],
  ['for=', undefined],
  ['proto=https', undefined],
  ['for=1.1.1.1, proto=https', undefined],
  ['for=1.1.1.1,', undefined],
  ['for=1.1.1.1;for=198.51.100.7', undefined],
  ['for =198.51.100.7', undefined],
  ['for= 198.51.100.7', undefined],
  ['for=198.51.100.7 x', undefined],
  ["for='198.51.100.7'", undefined],
  ['for="198.51.100.7', undefined],
  ['for="198.51.100.7"x', undefined],
  // A quote that the client opened must not hide what the proxy appended.
  ['for=1.1.1.1;x=", for=198.51.100.7', undefined],
  ['for=1.1.1.1;x=", for="198.51.100.7"', undefined],
  ['for=1.1.1.1;x=", for=198.51.100.7;host=";y="z"', undefined],
];

for (const [forwarded, client] of FORWARDED) {
  test(`Forwarded: ${forwarded} means that the client is ${client ?? 'unknown'}`, (t) => {
    t.is(clientBehind('10.0.0.1', undefined, forwarded), client);
    t.is(clientBehind('192.0.2.1', undefined, forwarded), '192.0.2.1');
  });
}

test('if both headers are present, they must name the same client, because the client may have sent one of them', (t) => {
  t.is(clientBehind('10.0.0.1', '198.51.100.7', 'for=198.51.100.7'), '198.51.100.7');
  t.is(clientBehind('10.0.0.1', '198.51.100.7:80', 'for=198.51.100.7'), '198.51.100.7 80');
  t.is(clientBehind('10.0.0.1', '198.51.100.7, 10.0.0.2', 'for=198.51.100.7'), '198.51.100.7');
  t.is(clientBehind('10.0.0.1', '198.51.100.7', 'for=127.0.0.1'), undefined);
  t.is(clientBehind('10.0.0.1', '127.0.0.2', 'for=198.51.100.7'), undefined);
  t.is(clientBehind('10.0.0.1', '198.51.100.7', 'for=unknown'), undefined);
  t.is(clientBehind('10.0.0.1', 'garbage', 'for=198.51.100.7'), undefined);
  t.is(clientBehind('192.0.2.1', '198.51.100.7', 'for=127.0.0.1'), '192.0.2.1');
});

test('parsing a long header of either kind takes linear time', (t) => {
  const begin = process.cpuUsage();
  for (const text of ['for=1.1.1.1;', 'for="a\\"', ',', ';', '"', 'a=b;', 'for=10.0.0.2,', ' ', '=']) {
    const header = text.repeat(Math.ceil(16_384 / text.length));
    clientBehind('10.0.0.1', undefined, header);
    clientBehind('10.0.0.1', header);
  }
  t.true(process.cpuUsage(begin).user < 2_000_000);
});

test('no proxy is trusted unless one is listed', (t) => {
  const nobody = trustedProxies([]);
  const forwarding = { forwardedFor: '198.51.100.7', forwarded: 'for=198.51.100.7' };
  for (const socket of ['127.0.0.1', '::1', '10.0.0.1']) t.is(forwardedClient(socket, forwarding, nobody), undefined);
});

const TOKEN = 'abc_DEF-123';
const KNOWN = [{ name: 'ci', sha256: createHash('sha256').update(TOKEN).digest('hex'), classes: ['read'], methods: ['ham.*'] }] as const;
const check = credentialCheck([() => [], () => KNOWN], () => 0);
const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

test('a valid credential is accepted in each form', (t) => {
  for (const header of [
    `Bearer ${TOKEN}`,
    `bearer ${TOKEN}`,
    `BEARER   ${TOKEN}`,
    ` Bearer ${TOKEN} `,
    basic(`:${TOKEN}`),
    basic(`anybody:${TOKEN}`),
    `basic ${basic(`x:${TOKEN}`).slice(6)}`,
  ]) {
    t.like(check(header), { kind: 'token', name: 'ci' }, header);
  }
});

test('a request without a credential is anonymous', (t) => {
  t.deepEqual(check(undefined), { kind: 'none' });
});

for (const header of [
  '',
  ' ',
  'Bearer',
  TOKEN,
  `Bearer ${TOKEN}x`,
  `Bearer x${TOKEN}`,
  `Bearer ${TOKEN.slice(0, -1)}`,
  `Bearer ${TOKEN.toLowerCase()}`,
  `Bearer ${TOKEN} ${TOKEN}`,
  `Bearer ${TOKEN}, Bearer x`,
  `Bearer "${TOKEN}"`,
  `Bearer:${TOKEN}`,
  `Token ${TOKEN}`,
  `Digest ${TOKEN}`,
  basic(TOKEN),
  basic(`${TOKEN}:`),
  basic(`${TOKEN}:x`),
  basic(`user:${TOKEN}:`),
  basic(`user: ${TOKEN}`),
  'Basic ',
  'Basic ====',
  `Basic ${TOKEN}`,
  `Bearer ${'x'.repeat(100_000)}`,
  `Bearer ${' '.repeat(5000)}${TOKEN}`,
]) {
  test(`Authorization ${JSON.stringify(header.length > 60 ? `${header.slice(0, 9)}... ${header.length}` : header)} is rejected`, (t) => {
    t.deepEqual(check(header), { kind: 'wrong' });
  });
}
