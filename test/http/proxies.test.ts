/** What a relay accepts from a proxy: the client's address in dicts and in the access log, by either header and over any socket. */
import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import test from 'ava';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { call, request } from './raw.ts';

const TRUSTED = { trustedProxies: ['127.0.0.0/8'], access: { anonymous: ['read', 'message'] } } as const;

/** The address and port that satellites see of a dict sent with these headers. */
async function seenClient({ url, received }: TestRelay, headers: Readonly<Record<string, string>>): Promise<unknown> {
  const before = received.all.length;
  await call(url, 'notify', [{ data: 1 }], { headers });
  const dicts = await received.first(before + 1);
  return dicts.at(-1)?.dict.client_address;
}

test('X-Forwarded-For with ports and every form of Forwarded identify the same client', async (t) => {
  const relay = await startRelay(t, TRUSTED);
  const cases: readonly (readonly [headers: Readonly<Record<string, string>>, client: readonly [string, number]])[] = [
    [{ 'x-forwarded-for': '203.0.113.9' }, ['203.0.113.9', 0]],
    [{ 'x-forwarded-for': '203.0.113.9:4711' }, ['203.0.113.9', 4711]],
    [{ 'x-forwarded-for': '127.0.0.1, [2001:db8::1]:4711' }, ['2001:db8::1', 4711]],
    [{ forwarded: 'for=203.0.113.9' }, ['203.0.113.9', 0]],
    [{ Forwarded: 'For="[2001:db8::1]:4711";proto=https;by=127.0.0.1' }, ['2001:db8::1', 4711]],
    [{ forwarded: 'for=127.0.0.1, for="203.0.113.9:_port", for=127.0.0.7' }, ['203.0.113.9', 0]],
    [{ forwarded: 'for=203.0.113.9', 'x-forwarded-for': '203.0.113.9:4711' }, ['203.0.113.9', 4711]],
  ];
  for (const [headers, client] of cases) t.deepEqual(await seenClient(relay, headers), client, JSON.stringify(headers));
});

test('requests are rejected for every kind of caller if no header names the client or two headers differ', async (t) => {
  const { url, adminToken } = await startRelay(t, TRUSTED);
  const cases: readonly (readonly [headers: Readonly<Record<string, string>>, says: RegExp])[] = [
    [{ forwarded: 'for=unknown' }, /does not name the address of its client in Forwarded/],
    [{ forwarded: 'for=_hidden' }, /does not name the address of its client in Forwarded/],
    [{ forwarded: 'proto=https' }, /does not name the address of its client in Forwarded/],
    [{ 'x-forwarded-for': 'unknown' }, /does not name the address of its client in X-Forwarded-For/],
    [{ 'x-forwarded-for': '203.0.113.9', forwarded: 'for=127.0.0.1' }, /name different clients/],
    [{ 'x-forwarded-for': '127.0.0.1', forwarded: 'for=203.0.113.9' }, /name different clients/],
  ];
  for (const [headers, says] of cases) {
    for (const authorization of [undefined, `Bearer ${adminToken}`]) {
      const answer = await call(url, 'ping', [], { headers: { ...headers, authorization } });
      t.like(answer, { kind: 'fault', code: 403 }, JSON.stringify(headers));
      t.regex((answer as { text: string }).text, says);
    }
  }
});

test('repeated headers form one list, and the last entry counts', async (t) => {
  const relay = await startRelay(t, TRUSTED);
  for (const name of ['Forwarded', 'X-Forwarded-For']) {
    const node = (address: string): string => (name === 'Forwarded' ? `for=${address}` : address);
    const more = [
      [name, node('127.0.0.1')],
      [name.toLowerCase(), node('203.0.113.9')],
    ] as const;
    await call(relay.url, 'notify', [{ data: name }], { more });
    const { dict } = (await relay.received.until(({ dict: { data } }) => data === name))[0];
    t.deepEqual(dict.client_address, ['203.0.113.9', 0]);
  }
});

test('for every kind of request, the access log names the client behind a trusted proxy and never a forged one', async (t) => {
  const relay = await startRelay(t, { ...TRUSTED, maxWrongCredentials: 1000 });
  const untrusted = await startRelay(t);
  const headers = { 'x-forwarded-for': '10.9.9.9, 203.0.113.9:4711' };
  const requests = [
    [{ path: '/RPC2' }, 200],
    [{ path: '/RPC2?x=1' }, 200],
    [{ path: '/', method: 'GET' }, 200],
    [{ path: '/nowhere' }, 404],
    [{ path: '/RPC2', headers: { host: 'evil.example' } }, 421],
    [{ path: '/RPC2', headers: { authorization: 'Bearer wrong' } }, 200],
    [{ path: '/', method: 'GET', headers: { authorization: 'Bearer wrong' } }, 401],
  ] as const;
  for (const [index, [what, status]] of requests.entries()) {
    const own: Readonly<Record<string, string>> = 'headers' in what ? what.headers : {};
    t.is((await request(relay.url, { ...what, headers: { ...headers, ...own } })).status, status);
    t.is((await request(untrusted.url, { ...what, headers: { ...headers, ...own } })).status, status);
    for (const [{ log }, client] of [
      [relay, '203.0.113.9'],
      [untrusted, '127.0.0.1'],
    ] as const) {
      const lines = await log.lines.until(({ category }) => category === 'access', index + 1);
      t.true(lines.at(-1)?.text.startsWith(`${client} `), lines.at(-1)?.text);
    }
  }
  // Where nobody knows the client the log names the proxy.
  await request(relay.url, { headers: { forwarded: 'for=unknown' } });
  const lines = await relay.log.lines.until(({ category }) => category === 'access', requests.length + 1);
  t.true(lines.at(-1)?.text.startsWith('127.0.0.1 '));
});

test('the unix socket accepts any Host, and a trusted proxy may forward for its clients there, too', async (t) => {
  const socketPath = join(temporaryDir(t), 'co2.sock');
  const relay = await startRelay(t, { ...TRUSTED, unixSocket: socketPath });
  const post = async (headers: Readonly<Record<string, string>>): Promise<readonly [status: number | undefined, body: Buffer]> => {
    const sent = httpRequest({ socketPath, path: '/RPC2', method: 'POST', headers: { 'content-type': 'text/xml', ...headers } });
    sent.end(serialiseCall('notify', [{ data: headers.host ?? '' }]));
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return [answer.statusCode, Buffer.concat((await answer.toArray()) as Buffer[])];
  };
  for (const host of ['evil.example', 'docker', 'co2.sock', '0.0.0.0', '', 'a b', 'x'.repeat(300)]) {
    const [status, body] = await post({ host });
    t.is(status, 200, host);
    t.like(parseResponse(body), { kind: 'value', value: true });
    // A browser cannot open the socket: a proxy passed its request on, and the rules for pages hold.
    t.true([403, 421].includes((await post({ host, origin: 'https://evil.example' }))[0] ?? 0), host);
  }
  t.is((await post({ host: 'localhost', origin: 'https://evil.example' }))[0], 403);
  const [status] = await post({ host: 'behind', 'x-forwarded-for': '203.0.113.9' });
  t.is(status, 200);
  const [{ dict }] = await relay.received.until(({ dict: { data } }) => data === 'behind');
  t.deepEqual(dict.client_address, ['203.0.113.9', 0]);
});
