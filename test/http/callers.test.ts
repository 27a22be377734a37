/** Who a request comes from and what it may: pages, hosts, credentials, proxies, at every endpoint of a running relay. */
import { once } from 'node:events';
import test from 'ava';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { Dict } from '../../src/values/values.ts';
import { startRelay } from '../support/relays.ts';
import { call, everything, answersIn, open, request, requestBytes } from './raw.ts';
import type { RawRequest } from './raw.ts';

const ENDPOINTS: readonly RawRequest[] = [
  { method: 'POST', path: '/' },
  { method: 'POST', path: '/RPC2' },
  { method: 'GET', path: '/' },
  { method: 'GET', path: '/RPC2' },
  { method: 'HEAD', path: '/' },
  { method: 'OPTIONS', path: '/RPC2' },
  { method: 'PUT', path: '/' },
  { method: 'GET', path: '/nowhere' },
  { method: 'POST', path: '/nowhere' },
  { method: 'POST', path: '/api/ping', body: '[]' },
  { method: 'GET', path: '/api/ping' },
  { method: 'OPTIONS', path: '/api/notify' },
  { method: 'POST', path: '/RPC2', body: '{"jsonrpc":"2.0","method":"ping","id":1}' },
];

const PAGES: readonly (readonly [headers: Readonly<Record<string, string>>, status: number])[] = [
  [{ origin: 'null' }, 403],
  [{ origin: 'https://evil.example' }, 403],
  [{ origin: 'http://localhost:1' }, 403],
  [{ 'sec-fetch-site': 'cross-site' }, 403],
  [{ 'sec-fetch-site': 'same-site' }, 403],
  [{ host: 'evil.example' }, 421],
  [{ host: 'evil.example:2004', origin: 'http://evil.example:2004' }, 421],
  [{ host: 'localhost.' }, 421],
  [{ host: '0.0.0.0' }, 421],
  [{ host: '[::]' }, 421],
];

test('foreign web pages and rebound DNS names are rejected at every endpoint, even with a token', async (t) => {
  const { url, adminToken } = await startRelay(t);
  for (const endpoint of ENDPOINTS) {
    for (const [headers, status] of PAGES) {
      for (const authorization of [undefined, `Bearer ${adminToken}`]) {
        const answer = await request(url, { ...endpoint, headers: { ...headers, authorization } });
        t.is(answer.status, status, `${endpoint.method ?? ''} ${endpoint.path ?? ''} ${JSON.stringify(headers)}`);
        t.is(answer.headers['access-control-allow-origin'], undefined);
      }
    }
  }
});

test('foreign web pages and rebound names are rejected before their body is read', async (t) => {
  const { url } = await startRelay(t);
  for (const headers of [{ origin: 'null' }, { host: 'evil.example' }, { 'content-type': 'text/plain' }, { 'content-encoding': 'gzip' }]) {
    for (const path of ['/RPC2', '/nowhere']) {
      const [answer] = answersIn(
        await everything(open(url, requestBytes(url, { path, body: '', headers: { ...headers, 'content-length': '1000' } }))),
      );
      t.true([403, 421, 415, 404].includes(answer?.status ?? 0), JSON.stringify(headers));
    }
  }
});

test('wrong credentials and rate-limited callers are rejected before their body is read, in the format of the endpoint', async (t) => {
  const { url } = await startRelay(t, { limits: { anonymous: { perSecond: 0.001, burst: 1 } } });
  const stranger = { 'x-forwarded-for': '198.51.100.7' };
  t.is((await request(url, { headers: stranger })).status, 200);
  const endpoints = [
    { path: '/RPC2', type: 'text/xml', says: (fault: number) => new RegExp(`<int>${fault}</int>`) },
    { path: '/', type: 'application/json', says: (fault: number) => new RegExp(`"code":${fault}`) },
    { path: '/api/ping', type: 'application/json', says: (fault: number) => new RegExp(`"status":${fault}`) },
  ];
  for (const { path, type, says } of endpoints) {
    for (const [fault, who] of [
      [401, { authorization: 'Bearer wrong' }],
      [429, stranger],
    ] as const) {
      const headers = { ...who, 'content-type': type, 'content-length': '1000000' };
      const socket = open(url, requestBytes(url, { path, headers, body: '' }));
      t.teardown(() => socket.destroy());
      const [answer] = (await once(socket, 'data')) as [Buffer];
      t.regex(answer.toString(), says(fault), `${path} ${type}`);
    }
  }
});

test('our own page, listed origins and host names, and callers that are not browsers are accepted', async (t) => {
  const { url } = await startRelay(t, { allowedOrigins: ['https://panel.example'], allowedHosts: ['relay.example'] });
  const { host, port } = new URL(url);
  for (const headers of [
    { origin: url },
    { origin: 'https://panel.example' },
    { origin: 'https://panel.example', 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'none' },
    { host: `localhost:${port}` },
    { host: 'relay.example' },
    { host: `Relay.Example:${port}` },
    { host },
    { host: '[::1]' },
  ]) {
    for (const method of ['GET', 'POST']) t.is((await request(url, { method, headers })).status, 200, JSON.stringify(headers));
  }
});

test('on this machine, callers without credentials count as local, valid credentials are accepted and wrong ones rejected', async (t) => {
  const { url, adminToken } = await startRelay(t, { maxWrongCredentials: 1000 });
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;
  for (const authorization of [
    undefined,
    `Bearer ${adminToken}`,
    `bearer ${adminToken}`,
    basic(`:${adminToken}`),
    basic(`any user:${adminToken}`),
  ]) {
    t.like(await call(url, 'notify', [{ data: 1 }], { headers: { authorization } }), { kind: 'value' }, authorization);
    t.is((await request(url, { method: 'GET', headers: { authorization } })).status, 200);
  }
  for (const authorization of [
    'Bearer wrong',
    `Bearer ${adminToken}x`,
    'Bearer',
    '',
    'garbage',
    'Basic !!!',
    basic(adminToken),
    basic('a:b'),
    `Digest ${adminToken}`,
  ]) {
    for (const method of ['ping', 'notify', 'no.such']) {
      const answer = await call(url, method, [], { headers: { authorization } });
      t.like(answer, { kind: 'fault', code: 401 }, authorization);
      t.notRegex((answer as { text: string }).text, new RegExp(adminToken));
    }
    const page = await request(url, { method: 'GET', headers: { authorization } });
    t.is(page.status, 401);
    t.truthy(page.headers['www-authenticate']);
    t.false(page.body.includes('host_id'));
  }
});

test('a wrong credential is rejected before the body is parsed', async (t) => {
  const { url } = await startRelay(t);
  const { body } = await request(url, { body: 'garbage', headers: { authorization: 'Bearer wrong' } });
  t.like(parseResponse(body), { kind: 'fault', code: 401 });
});

const FORWARDING: readonly Readonly<Record<string, string>>[] = [
  { 'x-forwarded-for': '198.51.100.7' },
  { 'x-forwarded-for': '127.0.0.1' },
  { forwarded: 'for=127.0.0.1' },
  { 'x-real-ip': '127.0.0.1' },
  { 'x-forwarded-host': 'localhost' },
  { via: '1.1 proxy' },
];

test('a forwarding header from an untrusted sender neither changes the client address nor grants rights', async (t) => {
  const relay = await startRelay(t, { access: { anonymous: ['read', 'message'] } });
  let count = 0;
  for (const headers of FORWARDING) {
    t.like(
      await call(relay.url, 'notify', [{ data: 1, host_id: 'x@198.51.100.7:1' }], { headers }),
      { kind: 'fault', code: 403 },
      JSON.stringify(headers),
    );
    t.like(await call(relay.url, 'test.recorder.emit', [{ data: 1 }], { headers }), { kind: 'fault', code: 403 });
    t.like(await call(relay.url, 'notify', [{ data: headers }], { headers }), { kind: 'value', value: true });
    const { dict } = (await relay.received.first(++count)).at(-1)!;
    t.is((dict.client_address as unknown[])[0], '127.0.0.1');
  }
});

test('behind trusted proxies, the rightmost entry that is not a trusted proxy is the client', async (t) => {
  const { url, received } = await startRelay(t, { trustedProxies: ['127.0.0.0/8'], access: { anonymous: ['read', 'message'] } });
  const cases = [
    ['198.51.100.7', '198.51.100.7'],
    ['127.0.0.1, 198.51.100.7', '198.51.100.7'],
    ['203.0.113.5, 198.51.100.7, 127.0.0.9', '198.51.100.7'],
    ['2001:DB8::1', '2001:db8::1'],
  ] as const;
  for (const [index, [header, address]] of cases.entries()) {
    t.like(await call(url, 'notify', [{ data: index }], { headers: { 'x-forwarded-for': header } }), { kind: 'value' });
    const { dict } = (await received.first(index + 1)).at(-1)!;
    t.is((dict.client_address as unknown[])[0], address);
  }
  for (const header of ['garbage', '198.51.100.7:99999', '198.51.100.7, x', '']) {
    t.like(await call(url, 'ping', [], { headers: { 'x-forwarded-for': header } }), { kind: 'fault', code: 403 });
    t.is((await request(url, { method: 'GET', headers: { 'x-forwarded-for': header } })).status, 403);
  }
});

test('an anonymous caller may read; the fault for a message explains how to get the right', async (t) => {
  const { url, received, adminToken } = await startRelay(t, { trustedProxies: ['127.0.0.0/8'] });
  const stranger = { 'x-forwarded-for': '198.51.100.7' };
  t.like(await call(url, 'ping', [], { headers: stranger }), { kind: 'value', value: true });
  t.like(await call(url, 'system.listMethods', [], { headers: stranger }), { kind: 'value' });
  t.is((await request(url, { method: 'GET', headers: stranger })).status, 200);
  const refused = await call(url, 'notify', [{ data: 1 }], { headers: stranger });
  t.like(refused, { kind: 'fault', code: 403 });
  t.regex((refused as { text: string }).text, /'message'.*token.*access\.anonymous/);
  t.like(await call(url, 'test.recorder.emit', [{ data: 1 }], { headers: stranger }), { kind: 'fault', code: 403 });
  const nested = [{ methodName: 'notify', params: [{ data: 1 }] }];
  const multi = await call(url, 'system.multicall', [nested], { headers: stranger });
  t.like((multi as unknown as { value: Dict[] }).value[0], { faultCode: 403 });
  t.is(received.all.length, 0);
  const known = { ...stranger, authorization: `Bearer ${adminToken}` };
  t.like(await call(url, 'notify', [{ data: 'with the token' }], { headers: known }), { kind: 'value' });
  t.is((await received.first(1))[0]?.dict.data, 'with the token');
});

test("access.anonymous ['message'] allows notify for anonymous callers, but no other calls", async (t) => {
  const { url, received } = await startRelay(t, { trustedProxies: ['127.0.0.0/8'], access: { anonymous: ['message'] } });
  const headers = { 'x-forwarded-for': '198.51.100.7' };
  t.like(await call(url, 'notify', [{ data: 'hello' }], { headers }), { kind: 'value' });
  t.like(await call(url, 'notify', [{ data: 1, host_id: 'forged@203.0.113.5:1' }], { headers }), { kind: 'fault', code: 403 });
  t.like(await call(url, 'test.recorder.emit', [{ data: 1 }], { headers }), { kind: 'fault', code: 403 });
  const [first] = await received.first(1);
  t.regex(first?.dict.host_id as string, /@198\.51\.100\.7:0$/);
});

test('a caller behind a proxy on this machine is not treated as a peer, even if a peer runs on this machine', async (t) => {
  const relay = await startRelay(t, { peers: ['http://127.0.0.1:9'], peerPingIntervalMs: 0 });
  const co2 = { id: 'far.1', hops: 3, age: 0, by: 'p@127.0.0.1:9', via: [] };
  const dict = { data: 1, host_id: 'o@198.51.100.7:1', co2 };
  for (const headers of FORWARDING) {
    t.like(await call(relay.url, 'test.recorder.emit', [{ data: 1 }], { headers }), { kind: 'fault', code: 403 }, JSON.stringify(headers));
    t.like(await call(relay.url, 'notify', [dict], { headers }), { kind: 'fault', code: 403 });
  }
  t.like(await call(relay.url, 'notify', [dict]), { kind: 'value' }, 'the peer itself is believed');
});

test('no endpoint echoes markup or control characters from a request', async (t) => {
  const { url } = await startRelay(t);
  const evil = '<script>\u009b31m';
  for (const what of [
    { method: 'GET', path: `/${encodeURI('<script>')}<script>` },
    { headers: { 'content-type': evil } },
    { headers: { host: evil } },
    { headers: { origin: evil } },
  ]) {
    const answer = await request(url, what);
    t.true(answer.status >= 400);
    t.is(answer.headers['content-type'], 'text/plain; charset=utf-8');
    t.notRegex(answer.body.toString(), /\u009b/);
  }
  const fault = await request(url, { body: serialiseCall('a.b', []).toString().replace('a.b', 'a&lt;b&gt;') });
  t.notRegex(fault.body.toString(), /<b>/);
});
