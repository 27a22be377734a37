/** Remote satellites with real relays: registering, notifying, sending and leaving, and slow, dead, forged and restored ones. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { isDict } from '../../src/values/values.ts';
import type { RemoteSatelliteEvent } from '../../src/satellites/satellites.ts';
import { parseHostId } from '../../src/message/message.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { call as callAt } from '../http/raw.ts';
import { startCo2 } from '../support/processes.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import type { ScriptedPeer } from '../support/scripted-peer.ts';

interface Joined extends ScriptedPeer {
  readonly record: Dict;
  readonly token: string;
  /** Calls the relay from the satellite's own address. */
  call(method: string, ...params: Sendable[]): Promise<Value>;
}

/** A satellite at `host`, registered at the relay. */
async function joinRelay(
  t: ExecutionContext,
  relay: { readonly url: string },
  host = '127.0.0.1',
  props: Readonly<Record<string, Sendable>> = {},
): Promise<Joined> {
  const server = await scriptedPeer(t, { host });
  const client = new XmlRpcClient(new URL(relay.url), { localAddress: host });
  t.teardown(() => client.close());
  const call = (method: string, ...params: Sendable[]): Promise<Value> => client.call(method, params);
  const record = (await call('relay.register', { port: server.port, ...props })) as Dict;
  return { ...server, record, token: record.token as string, call };
}

const datas = (dicts: readonly Dict[]): unknown[] => dicts.map(({ data }) => data);

/** Matches the event of a satellite that was dropped. */
function expired({ events }: Pick<TestRelay, 'events'>): Promise<RemoteSatelliteEvent & { readonly type: 'satellite.expired' }> {
  return events.next((event) => event.type === 'satellite.expired', { since: 0 });
}

test('register returns the record and a token; lists and pages show the record under all names, without the token', async (t) => {
  const relay = await startRelay(t);
  const { record, token, port } = await joinRelay(t, relay, '127.0.0.7', { nick: 'seven', path: '/x' });
  const shown = { addr: ['127.0.0.7', port], nick: 'seven', path: '/x', ping_current: -1, ping_count: 0, ping_min: -1, ping_max: -1 };
  t.like(record, { ...shown, ping_avg: -1, ping_fails: 0 });
  t.true(record.ctime instanceof Date);
  t.is(record.host_id, `${parseHostId(record.host_id as string)!.random}@127.0.0.7:${port}`);
  for (const prefix of ['relay', 'co2', 'web']) {
    const { token: _token, ...rest } = record;
    t.deepEqual(await relay.call(`${prefix}.get_satellites`), [{ __proto__: null, ...rest }]);
    t.is(await relay.call(`${prefix}.get_num_satellites`, {}), 1);
  }
  t.like(await relay.call('system.get_properties'), { max_satellites: 100 });
  const text = await (await fetch(relay.url)).text();
  t.regex(text, /1 remote satellites\n\nseven at 127\.0\.0\.7, \d+\n/);
  const json = await (await fetch(relay.url, { headers: { accept: 'application/json' } })).text();
  t.like((JSON.parse(json) as { satellites: object[] }).satellites[0], { nick: 'seven', ping_current: -1 });
  t.false((text + json + JSON.stringify(relay.status())).includes(token));
});

test('notify reaches all satellites; relay.relay and send reach all but the sender; in order, over one connection', async (t) => {
  const peer = await scriptedPeer(t, { host: '127.0.0.9' });
  const relay = await startRelay(t, { peers: [peer.url] });
  const [one, other] = [await joinRelay(t, relay, '127.0.0.7'), await joinRelay(t, relay, '127.0.0.8')];
  await relay.call('notify', { data: 'all' });
  await other.notified.first(1);
  const connections = other.connections();
  await one.call('relay.relay', { data: 'by token', co2: { token: one.token, id: 'forged' }, more: 1.5 });
  await one.call('relay.relay', { data: 'by host_id', host_id: one.record.host_id as string });
  await one.call('relay.relay', { data: 'by no satellite' });
  await relay.emit({ data: 'from here' });
  await relay.call('notify', { data: 'end' });
  t.deepEqual(datas(await other.notified.first(6)), ['all', 'by token', 'by host_id', 'by no satellite', 'from here', 'end']);
  t.deepEqual(datas(await one.notified.first(4)), ['all', 'by no satellite', 'from here', 'end']);
  t.deepEqual(datas(await peer.notified.first(6)), ['all', 'by token', 'by host_id', 'by no satellite', 'from here', 'end']);
  const heard = datas((await relay.received.first(5)).map(({ dict }) => dict));
  t.deepEqual(heard, ['all', 'by token', 'by host_id', 'by no satellite', 'end']);
  const dict = other.notified.all[1]!;
  t.like(dict, { host_id: one.record.host_id, more: 1.5 });
  t.is((dict.client_address as Value[])[0], '127.0.0.7');
  t.true(isDict(dict.co2) && dict.co2.id !== 'forged' && dict.co2.by === relay.hostId);
  t.false(other.bodies.all.join('').includes(one.token), 'tokens are never forwarded');
  t.is(other.connections(), connections);
});

test('what a peer sends reaches all satellites, local and remote', async (t) => {
  const [a, b] = await freePorts(2);
  const url = (port: number | undefined): string => `http://127.0.0.1:${port!}`;
  const [one, two] = await Promise.all([startRelay(t, { port: a!, peers: [url(b)] }), startRelay(t, { port: b!, peers: [url(a)] })]);
  const satellite = await joinRelay(t, two);
  const sender = await joinRelay(t, one);
  await sender.call('relay.relay', { data: 'across', co2: { token: sender.token } });
  t.like((await satellite.notified.first(1))[0], { data: 'across', host_id: sender.record.host_id });
  await two.received.first(1);
  await two.call('notify', { data: 'back' });
  t.deepEqual(datas(await sender.notified.first(1)), ['back'], 'its own did not come back over the peer');
});

test("two satellites at one address are distinct: neither receives its own dicts, each receives the other's", async (t) => {
  const relay = await startRelay(t);
  const [one, other] = [await joinRelay(t, relay), await joinRelay(t, relay)];
  for (const satellite of [one, other]) await satellite.call('relay.relay', { data: satellite.port, co2: { token: satellite.token } });
  for (const satellite of [one, other])
    await satellite.call('relay.relay', { data: -satellite.port, host_id: satellite.record.host_id as string });
  t.deepEqual(datas(await one.notified.first(2)), [other.port, -other.port]);
  t.deepEqual(datas(await other.notified.first(2)), [one.port, -one.port]);
});

test("a wrong token is rejected, also from the satellite's own address, and nothing is delivered", async (t) => {
  const relay = await startRelay(t);
  const [one, other] = [await joinRelay(t, relay, '127.0.0.7'), await joinRelay(t, relay, '127.0.0.8')];
  for (const co2 of [{ token: 'wrong' }, { token: 7 }, { token: one.token }])
    await t.throwsAsync(other.call('relay.relay', { data: 'forged', co2 }), { code: 401 } as never);
  await t.throwsAsync(other.call('relay.unregister', { token: one.token }), { code: 401 } as never);
  t.is(relay.status().relay.wrongTokens, 4);
  await relay.call('notify', { data: 'end' });
  t.deepEqual(datas(await one.notified.first(1)), ['end']);
  t.is(await relay.call('relay.get_num_satellites'), 2);
});

test('slow and dead satellites delay nothing else', async (t) => {
  const relay = await startRelay(t);
  const [slow, dead, quick] = [await joinRelay(t, relay), await joinRelay(t, relay), await joinRelay(t, relay)];
  slow.script('silent');
  await dead.close();
  for (let n = 0; n < 20; n++) t.true(await relay.call('notify', { data: n }));
  t.deepEqual(
    datas(await quick.notified.first(20)),
    Array.from({ length: 20 }, (_, n) => n),
  );
  t.is((await slow.notified.first(1)).length, 1);
  t.is(slow.notified.all.length, 1);
});

test('unregister by token, by port and by host_id; afterwards nothing is delivered', async (t) => {
  const relay = await startRelay(t);
  const satellites = await Promise.all(['127.0.0.6', '127.0.0.7', '127.0.0.8'].map((host) => joinRelay(t, relay, host)));
  const [one, two, three] = satellites as [Joined, Joined, Joined];
  await t.throwsAsync(one.call('relay.unregister', { port: 1 }), { code: -32602, message: /no such satellite/ } as never);
  await t.throwsAsync(one.call('relay.unregister'), { code: -32602, message: /token, port or host_id/ } as never);
  await t.throwsAsync(one.call('relay.unregister', { host_id: two.record.host_id as string }), { code: 403 } as never);
  t.true(await one.call('relay.unregister', { co2: { token: one.token } }));
  t.true(await two.call('relay.unregister', { port: two.port }));
  t.true(await three.call('relay.unregister', { host_id: three.record.host_id as string }));
  t.is(await relay.call('relay.get_num_satellites'), 0);
  await relay.call('notify', { data: 1 });
  await relay.received.first(1);
  await relay.stop();
  t.deepEqual(
    satellites.flatMap(({ notified }) => notified.all),
    [],
  );
});

test("forged host_ids, the relay's own address, a peer and too many satellites are rejected", async (t) => {
  const peer = await scriptedPeer(t, { host: '127.0.0.9' });
  const relay = await startRelay(t, { peers: [peer.url], maxSatellites: 1 });
  const own = Number(new URL(relay.url).port);
  await t.throwsAsync(relay.call('relay.register', { port: 5000, host_id: 'x@10.0.0.1:5000' }), {
    code: 403,
    message: /127\.0\.0\.1/,
  } as never);
  await t.throwsAsync(relay.call('relay.register', { port: 5000, host_id: relay.hostId }), { code: 403, message: /own/ } as never);
  await t.throwsAsync(relay.call('relay.register', { port: own }), { code: -32602, message: /own address/ } as never);
  const fromPeer = new XmlRpcClient(new URL(relay.url), { localAddress: '127.0.0.9' });
  t.teardown(() => fromPeer.close());
  await t.throwsAsync(fromPeer.call('relay.register', [{ port: peer.port }]), { code: -32602, message: /peer/ } as never);
  await joinRelay(t, relay);
  const error = await t.throwsAsync(relay.call('relay.register', { port: 5000 }));
  t.like(error, { code: 413 });
  t.is(await relay.call('relay.get_num_satellites'), 1);
  t.is(relay.status().relay.originRefused, 2);
});

test('a relay that listens on all addresses cannot be registered at any of them', async (t) => {
  const relay = await startRelay(t, { host: '0.0.0.0' });
  const port = Number(new URL(relay.url).port);
  for (const localAddress of ['127.0.0.1', '127.0.0.7']) {
    const client = new XmlRpcClient(new URL(`http://127.0.0.1:${port}`), { localAddress });
    t.teardown(() => client.close());
    await t.throwsAsync(client.call('relay.register', [{ port }]), { code: -32602, message: /own address/ } as never);
  }
});

test('a LAN client may not register or send unless access.anonymous grants message; then it counts as a satellite', async (t) => {
  for (const anonymous of [['read'], ['read', 'message']] as const) {
    const relay = await startRelay(t, { access: { anonymous }, trustedProxies: ['127.0.0.1/32'] });
    const call = async (method: string, dict: Sendable) => {
      const headers = { 'content-type': 'text/xml', 'x-forwarded-for': '192.0.2.55' };
      const answer = await fetch(relay.url, { method: 'POST', headers, body: serialiseCall(method, [dict]) });
      return parseResponse(new Uint8Array(await answer.arrayBuffer()));
    };
    const emit = (): Promise<unknown> => call('test.recorder.emit', { data: 1 });
    t.like(await emit(), { kind: 'fault', code: 403 });
    const registered = await call('relay.register', { port: 5000 });
    if (anonymous.length === 1) {
      t.like(registered, { kind: 'fault', code: 403 });
      t.like(await call('relay.relay', { data: 1 }), { kind: 'fault', code: 403 });
    } else {
      t.like(registered, { kind: 'value', value: { addr: ['192.0.2.55', 5000] } });
      t.like(await emit(), { kind: 'value' });
    }
  }
});

test('a satellite that does not answer is dropped and may register again at once', async (t) => {
  const relay = await startRelay(t, { pingIntervalMs: 10, maxPingFails: 2 });
  const satellite = await joinRelay(t, relay, '127.0.0.7', { nick: 'weak' });
  await satellite.pinged.first(2);
  t.like(((await relay.call('relay.get_satellites')) as Dict[])[0], { ping_fails: 0 });
  await satellite.close();
  const { satellite: endpoint, reason } = await expired(relay);
  t.is(endpoint, `127.0.0.7:${satellite.port}`);
  t.regex(reason, /^it failed 2 times in a row/);
  t.is(await relay.call('relay.get_num_satellites'), 0);
  const back = await scriptedPeer(t, { host: '127.0.0.7', port: satellite.port });
  await satellite.call('relay.register', { port: satellite.port });
  await relay.call('notify', { data: 'again' });
  t.deepEqual(datas(await back.notified.first(1)), ['again']);
});

test('a relay says goodbye at its stop, and one started on the same directory restores its satellites', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const first = await startRelay(t, { dataDir, drainMs: 5000 });
  const satellite = await joinRelay(t, first);
  await first.stop();
  const [goodbye] = await satellite.notified.first(1);
  t.like(goodbye, { host_id: first.hostId });
  t.like(goodbye!.data, { goodbye: first.hostId });
  const second = await startRelay(t, { dataDir });
  await second.call('relay.relay', { data: 'mine', co2: { token: satellite.token } });
  await second.call('notify', { data: 'after' });
  t.deepEqual(datas((await satellite.notified.first(2)).slice(1)), ['after']);
});

test('satellites are also restored after kill -9', async (t) => {
  const files = { 'config.ts': 'export default {};' };
  const first = await startCo2(t, { files });
  const satellite = await joinRelay(t, first);
  first.kill('SIGKILL');
  await first.exit;
  const second = await startCo2(t, { cwd: first.cwd });
  t.like(((await second.call('relay.get_satellites')) as Dict[])[0], { host_id: satellite.record.host_id });
  await second.call('notify', { data: 'after' });
  t.deepEqual(datas(await satellite.notified.first(1)), ['after']);
});

test('a dict that a satellite reads but does not answer in time arrives once, and the following ones arrive too', async (t) => {
  const relay = await startRelay(t, { peerTimeoutMs: 300, retry: { minMs: 1, maxMs: 1 } });
  const satellite = await joinRelay(t, relay);
  satellite.script('silent');
  await relay.call('notify', { data: 'slow' });
  await relay.call('notify', { data: 'next' });
  t.deepEqual(datas(await satellite.notified.first(2)), ['slow', 'next']);
  await relay.seen.event('link.refused', { role: 'satellite', reason: /timed out|no (complete )?response within/ });
  t.like(relay.status().satellites.satellites[0], { link: { refused: 1, dropped: 0 } });
});

test('a dict at which a satellite closes the connection is tried five times, no more', async (t) => {
  const relay = await startRelay(t, { retry: { minMs: 1, maxMs: 1 } });
  const satellite = await joinRelay(t, relay);
  satellite.script('reset', 'reset', 'reset', 'reset', 'reset');
  await relay.call('notify', { data: 'deadly' });
  await relay.call('notify', { data: 'next' });
  t.deepEqual(datas(await satellite.notified.first(6)), [...Array<string>(5).fill('deadly'), 'next']);
  await relay.seen.event('link.refused', { role: 'satellite', reason: /ended 5 times without an answer/ });
});

test('a satellite whose notify always fails is logged once; others are logged with the reason why they were dropped', async (t) => {
  const relay = await startRelay(t, { pingIntervalMs: 20, maxPingFails: 2 });
  const satellite = await joinRelay(t, relay);
  satellite.script(1, 1, 1);
  for (const data of [1, 2, 3, 4]) await relay.call('notify', { data });
  await satellite.notified.first(4);
  t.is(relay.log.lines.all.filter(({ level, text }) => level === 'warn' && text.includes(' rejected ')).length, 1);
  await satellite.close();
  t.regex((await expired(relay)).reason, /2 times in a row \(.*connection refused/);
});

test('a program that sends back what it was notified of does not cause a loop', async (t) => {
  const relay = await startRelay(t);
  // Registered, and every dict is forwarded to our own address, stamp included, as a TCP forwarder would do.
  const mirror = await scriptedPeer(t);
  const client = new XmlRpcClient(new URL(relay.url));
  t.teardown(() => client.close());
  await client.call('relay.register', [{ port: mirror.port }]);
  await client.call('notify', [{ data: 'round' }]);
  const [body] = await mirror.bodies.first(1);
  t.like(await client.post(Buffer.from(body!)), { kind: 'value', value: true });
  await client.call('notify', [{ data: 'end' }]);
  t.deepEqual(datas(await mirror.notified.first(2)), ['round', 'end']);
  t.like(relay.status().relay, { accepted: 2, duplicates: 1 });
});

test('a client behind a local proxy cannot register, unregister or name satellites', async (t) => {
  const relay = await startRelay(t, { access: { anonymous: ['message'] } });
  const { port } = await joinRelay(t, relay);
  const headers = { 'x-forwarded-for': '203.0.113.9' };
  const refused: readonly (readonly [method: string, dict: Sendable])[] = [
    ['relay.register', { port: 9, path: '/admin' }],
    ['relay.unregister', { port }],
    ['notify', { data: 1, host_id: 'root@127.0.0.1:22' }],
  ];
  for (const [method, dict] of refused) t.like(await callAt(relay.url, method, [dict], { headers }), { kind: 'fault', code: 403 }, method);
  t.like(await callAt(relay.url, 'notify', [{ data: 'anonymous' }], { headers }), { value: true });
  t.is(relay.status().satellites.satellites.length, 1);
});

test('satellites of relays in a line are one network, and a relay that stops says goodbye to them and to the other relays', async (t) => {
  const ports = (await freePorts(3)) as [number, number, number];
  const [aUrl, bUrl, cUrl] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string, string];
  const start = (nick: string, port: number, peers: readonly string[]): Promise<TestRelay> =>
    startRelay(t, { nick, port, peers, retry: { minMs: 5, maxMs: 50 }, drainMs: 1000 });
  const a = await start('a', ports[0], [bUrl]);
  await start('b', ports[1], [aUrl, cUrl]);
  const c = await start('c', ports[2], [bUrl]);
  await Promise.all([a.seen.event('node.up', { nick: 'c' }), c.seen.event('node.up', { nick: 'a' })]);
  const [atA, atC] = [await joinRelay(t, a, '127.0.0.7'), await joinRelay(t, c, '127.0.0.8')];
  await atA.call('relay.relay', { data: 'from the satellite of a', co2: { token: atA.token } });
  const [there] = await atC.notified.first(1);
  t.like(there, { data: 'from the satellite of a', host_id: atA.record.host_id });
  await atC.call('relay.relay', { data: 'from the satellite of c', co2: { token: atC.token } });
  t.is((await atA.notified.first(1))[0]?.data, 'from the satellite of c');
  await a.stop();
  t.deepEqual((await atA.notified.first(2))[1]?.data, { __proto__: null, goodbye: a.hostId } as never);
  await c.seen.event('node.down', { nick: 'a', reason: 'left' });
  t.deepEqual(datas(atC.notified.all), ['from the satellite of a'], 'each dict once, and the goodbye of a is for its own satellites');
});
