/** The bundled work: task.sleep, task.checksum, and task.http with servers on this machine that it may and may not reach. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { checkedLookup, listOf, requirePermitted } from '../../plugins/task/_addresses.ts';

type Struct = Readonly<Record<string, Value>>;

/** How a unit ended. */
interface Ended extends Struct {
  readonly state: string;
  readonly reason: string;
}

async function run(
  relay: TestRelay,
  type: string,
  params: Sendable,
  payload: Sendable = '',
): Promise<{ unit: Ended; items: readonly Value[] }> {
  const { unit } = (await relay.call('work.submit', { type, params, payload })) as { unit: string };
  const status = (await relay.call('work.status', { unit, waitMs: 30_000 })) as Ended;
  const { items } = (await relay.call('work.results', unit)) as { items: readonly Value[] };
  return { unit: status, items };
}

/** A server on this machine; returns its port and the requests that it got. */
async function serve(
  t: ExecutionContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ port: number; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

const relayWith = (t: ExecutionContext, config: Record<string, unknown> = {}): Promise<TestRelay> =>
  startRelay(t, { pluginList: [], bundled: ['task'], plugins: { 'task.http': config } });

test('task.sleep waits, can be canceled, and refuses what is not seconds', async (t) => {
  const relay = await relayWith(t);
  t.deepEqual((await run(relay, 'task.sleep:execute', { seconds: 0.01 })).items, [{ seconds: 0.01 }]);
  t.like(await run(relay, 'task.sleep', { seconds: 0.01 }), {
    unit: { type: 'task.sleep:execute', state: 'succeeded' },
    items: [{ seconds: 0.01 }],
  });
  const unknown = await t.throwsAsync(relay.call('work.submit', { type: 'task.slep' }));
  t.regex(unknown.message, /there is no work 'task\.slep'/);
  t.like((await run(relay, 'task.sleep:execute', { seconds: -1 })).unit, { state: 'failed' });
  const { unit } = (await relay.call('work.submit', { type: 'task.sleep:execute', params: { seconds: 3600 } })) as { unit: string };
  t.like(await relay.call('work.cancel', unit), { state: 'canceled' });
});

test('task.checksum computes checksums of payloads', async (t) => {
  const relay = await relayWith(t);
  const payload = Buffer.alloc(300_000, 'x');
  for (const algorithm of ['sha256', 'md5']) {
    const digest = createHash(algorithm).update(payload).digest('hex');
    t.deepEqual((await run(relay, 'task.checksum:execute', { algorithm }, payload)).items, [{ algorithm, digest, bytes: 300_000 }]);
  }
  t.like((await run(relay, 'task.checksum:execute', {})).items[0], { algorithm: 'sha256', bytes: 0 });
  t.regex((await run(relay, 'task.checksum:execute', { algorithm: 'rot13' })).unit.reason, /algorithm/);
});

test('task.http is off until hosts are listed, and asks no others', async (t) => {
  const { port, seen } = await serve(t, (_request, response) => response.end('secret'));
  const off = await relayWith(t);
  t.regex((await run(off, 'task.http:execute', { url: 'http://example.org/' })).unit.reason, /task\.http is off: list the hosts/);
  const relay = await relayWith(t, { hosts: ['localhost', '*.example.org', `127.0.0.1:${port}`] });
  const refused: readonly (readonly [url: string, reason: RegExp])[] = [
    [`http://127.0.0.1:${port}/`, /127\.0\.0\.1 is not a public address/],
    [`http://0x7f.1:${port}/`, /127\.0\.0\.1 is not a public address/],
    [`http://2130706433:${port}/`, /127\.0\.0\.1 is not a public address/],
    ['http://localhost/', /localhost: (127\.0\.0\.1|::1) is not a public address/],
    [`http://localhost:${port}/`, /is not one of the hosts/],
    ['http://example.org/', /is not one of the hosts/],
    ['http://example.org.evil.test/', /is not one of the hosts/],
    ['http://user:pass@localhost/', /secret_headers/],
    ['file:///etc/passwd', /url/],
  ];
  for (const [url, reason] of refused) {
    const { unit } = await run(relay, 'task.http:execute', { url });
    t.is(unit.state, 'failed', url);
    t.regex(unit.reason, reason, url);
  }
  t.deepEqual(seen, []);
});

test('task.http fetches, sends its payload, and follows redirects only to where it may go', async (t) => {
  const inner = await serve(t, (_request, response) => response.end('inside'));
  const outer = await serve(t, (request, response) => {
    const targets: Record<string, string> = {
      '/again': '/end',
      '/inside': `http://127.0.0.1:${inner.port}/`,
      '/loop': '/loop',
      '/odd': 'gopher://x/',
    };
    const location = targets[request.url ?? ''];
    if (location !== undefined) response.writeHead(302, { location }).end();
    else request.pipe(response.writeHead(201, { 'x-got': request.headers['x-key'] ?? 'nothing' }));
  });
  const at = `http://127.0.0.1:${outer.port}`;
  const relay = await relayWith(t, { hosts: [`127.0.0.1:${outer.port}`], allowAddresses: ['127.0.0.1/32'] });
  const posted = await run(relay, 'task.http:execute', { url: `${at}/end`, method: 'POST', secret_headers: { 'x-key': 'k' } }, 'hello');
  t.is(posted.unit.state, 'succeeded', posted.unit.reason);
  t.like(posted.items[0], { url: `${at}/end`, status: 201, headers: { 'x-got': 'k' } });
  t.is(Buffer.concat(posted.items.slice(1) as Buffer[]).toString(), 'hello');
  t.false(JSON.stringify(posted.unit).includes('"k"'));
  t.like((await run(relay, 'task.http:execute', { url: `${at}/again` })).items[0], { url: `${at}/end`, status: 201 });
  const refused: readonly (readonly [path: string, reason: RegExp])[] = [
    ['/inside', /is not one of the hosts/],
    ['/loop', /more than 5 redirects/],
    ['/odd', /not an HTTP URL/],
  ];
  for (const [path, reason] of refused) t.regex((await run(relay, 'task.http:execute', { url: at + path })).unit.reason, reason);
  t.deepEqual(inner.seen, []);
});

test('loopback, private, link-local, metadata and embedded addresses are not public; the resolver hands on only checked ones', async (t) => {
  const none = listOf([]);
  const inside = (
    '0.0.0.0 127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 168.63.129.16 ' +
    '192.0.0.192 198.18.0.1 224.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:169.254.169.254 ::7f00:1 64:ff9b::7f00:1 ' +
    '64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2001::1 2001:db8::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 100::1 5f00::1'
  ).split(' ');
  for (const address of inside) t.throws(() => requirePermitted(address, none), { message: /is not a public address/ }, address);
  for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) t.notThrows(() => requirePermitted(address, none), address);
  t.notThrows(() => requirePermitted('10.1.2.3', listOf(['10.1.0.0/16'])));
  const looked = (allowed: readonly string[]): Promise<string> =>
    new Promise((resolve) => {
      checkedLookup(listOf(allowed))('localhost', { family: 4 }, (error, address) => resolve(error ? error.message : (address as string)));
    });
  t.regex(await looked([]), /^localhost: 127\.0\.0\.1 is not a public address/);
  t.is(await looked(['127.0.0.0/8']), '127.0.0.1');
});
