/** Relays on sockets that are a mesh: which way dicts take, what becomes of them when relays stop, and what clocks and suspensions do. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { SILENT, systemClock } from '../../src/core/core.ts';
import type { RelayEnvironment } from '../../src/create-relay.ts';
import type { Config } from '../../src/config/config.ts';
import { NodeStore } from '../../src/mesh/node-store.ts';
import { MemoryDisk, openStore } from '../../src/store/store.ts';
import type { Store } from '../../src/store/store.ts';
import type { Dict, Value } from '../../src/values/values.ts';
import { Gate } from '../support/gate.ts';
import { JumpingClock } from '../support/jumping-clock.ts';
import { startCo2 } from '../support/processes.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** Relays that a test starts, stops and starts again: each with its port, its state directory and its neighbours. */
class Net {
  readonly #relays = new Map<string, TestRelay>();
  readonly #dirs = new Map<string, string>();

  private constructor(
    private readonly t: ExecutionContext,
    private readonly links: Readonly<Record<string, readonly string[]>>,
    private readonly ports: ReadonlyMap<string, number>,
  ) {}

  /** `links` are the relays that each one lists. */
  static async of(t: ExecutionContext, links: Readonly<Record<string, readonly string[]>>): Promise<Net> {
    const names = Object.keys(links);
    const ports = await freePorts(names.length);
    return new Net(t, links, new Map(names.map((name, index) => [name, ports[index] ?? 0])));
  }

  peersOf(name: string): readonly string[] {
    return this.links[name]?.map((other) => `http://127.0.0.1:${this.ports.get(other) ?? 0}`) ?? [];
  }

  async start(name: string, config: Config = {}, environment: RelayEnvironment = {}): Promise<TestRelay> {
    const port = this.ports.get(name) ?? 0;
    const dataDir = this.#dirs.get(name) ?? join(temporaryDir(this.t), 'state');
    this.#dirs.set(name, dataDir);
    const relay = await startRelay(this.t, { nick: name, port, peers: this.peersOf(name), dataDir, ...config }, environment);
    this.#relays.set(name, relay);
    return relay;
  }

  async startAll(): Promise<void> {
    await Promise.all(Object.keys(this.links).map((name) => this.start(name)));
    for (const [name, others] of Object.entries(this.links)) await this.sees(name, others);
  }

  get(name: string): TestRelay {
    const relay = this.#relays.get(name);
    if (!relay) throw new Error(`${name} does not run`);
    return relay;
  }

  async stop(name: string): Promise<void> {
    await this.get(name).stop();
  }

  async nodes(name: string): Promise<readonly Dict[]> {
    return (await this.get(name).callDirectly('relay.get_nodes')) as readonly Dict[];
  }

  /** Id of a node, as `name` knows it. */
  async idOf(name: string, nick: string): Promise<string> {
    return (await this.nodes(name)).find((node) => node.nick === nick)?.node as string;
  }

  /** Waits until `name` has links to exactly these neighbours, and a way to all of `reachable`. */
  async sees(name: string, neighbours: readonly string[], reachable: readonly string[] = neighbours): Promise<void> {
    const relay = this.get(name);
    for (;;) {
      const nodes = await this.nodes(name);
      const nickOf = (id: Value | undefined): string => nodes.find(({ node }) => node === id)?.nick as string;
      const own = nodes.find(({ state }) => state === 'self')?.neighbours as readonly Dict[] | undefined;
      const linked = own?.map(({ node }) => nickOf(node)).sort() ?? [];
      const far = nodes.filter(({ state }) => state === 'reachable').map(({ nick }) => nick);
      if (linked.join() === [...neighbours].sort().join() && reachable.every((nick) => far.includes(nick))) return;
      // Paths are computed some time after the events of links.
      await relay.events.next(() => true, { signal: AbortSignal.timeout(100) }).catch(() => undefined);
    }
  }
}

/** The port at which the server listens until the test ends. */
async function listening(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const datas = (relay: TestRelay): readonly unknown[] => relay.received.all.map(({ dict }) => dict.data);
const got = (relay: TestRelay, data: Value): Promise<unknown> => relay.received.until(({ dict }) => dict.data === data);

test.serial('of two ways, traffic takes the one that is there; then the other one', async (t) => {
  const net = await Net.of(t, { a: ['b', 'c'], b: ['a', 'd'], c: ['a', 'd'], d: ['b', 'c'] });
  await net.startAll();
  await net.sees('a', ['b', 'c'], ['b', 'c', 'd']);
  const hopTo = async (): Promise<unknown> => ((await net.get('a').callDirectly('relay.get_routes', 'd')) as readonly Dict[])[0]?.hop_nick;
  for (const [gone, left] of [
    ['b', 'c'],
    ['c', 'b'],
  ] as const) {
    await net.stop(gone);
    await net.sees('a', [left], ['d']);
    // Paths are computed at most once a second.
    while ((await hopTo()) !== left) await new Promise(setImmediate);
    await net.get('a').emit({ data: `by ${left}` });
    await got(net.get('d'), `by ${left}`);
    await net.start(gone);
    await net.sees('a', ['b', 'c'], ['b', 'c', 'd']);
    await net.sees('d', ['b', 'c'], ['a']);
  }
  await net.get('a').emit({ data: 'both' });
  await Promise.all(['b', 'c', 'd'].map((name) => got(net.get(name), 'both')));
  t.deepEqual(datas(net.get('d')), ['by c', 'by b', 'both'], 'each arrived once, in order');
  t.deepEqual(datas(net.get('a')), [], 'nothing comes back to its sender');
});

test.serial('a relay that starts again is accepted by all neighbours, and gets what it missed once', async (t) => {
  const net = await Net.of(t, { hub: ['a', 'b', 'c'], a: ['hub'], b: ['hub'], c: ['hub'] });
  await net.startAll();
  const id = await net.idOf('a', 'hub');
  for (const start of [2, 3]) {
    await net.stop('hub');
    for (const name of ['a', 'b', 'c']) {
      await net.sees(name, []);
      await net.get(name).emit({ data: `${name}${start}` });
    }
    const hub = await net.start('hub');
    await net.sees('hub', ['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) {
      await net.get(name).seen.event('mesh.link', { node: id, state: 'up' }, start);
      await got(hub, `${name}${start}`);
    }
    t.is(datas(hub).length, 3);
    await Promise.all(['a', 'b', 'c'].map((name) => got(net.get(name), name === 'a' ? `b${start}` : `a${start}`)));
  }
  for (const name of ['a', 'b', 'c']) t.is(datas(net.get(name)).length, 4, 'those of both others, in both rounds');
});

test.serial('in a ring, each relay gets a dict once, and it dies', async (t) => {
  const net = await Net.of(t, { a: ['b', 'c'], b: ['c', 'a'], c: ['a', 'b'] });
  await net.startAll();
  for (let index = 0; index < 20; index++) await net.get('a').emit({ data: index });
  for (const name of ['b', 'c']) {
    await got(net.get(name), 19);
    t.deepEqual(datas(net.get(name)), [...Array(20).keys()]);
    for (const { context } of net.get(name).received.all) t.true(context.hops === 1 || context.hops === 2);
  }
  t.deepEqual(datas(net.get('a')), []);
});

test.serial('a dict that lives 5 s, for a node that is down, expires, and its sender learns it in time', async (t) => {
  const net = await Net.of(t, { a: ['b'], b: ['a'] });
  const clock = new JumpingClock();
  await net.start('a', {}, { clock });
  await net.start('b');
  await net.sees('a', ['b']);
  const { received } = net.get('b');
  await net.stop('b');
  await net.sees('a', []);
  const a = net.get('a');
  const id = (await a.callDirectly('test.recorder.emitWith', { data: 'late' }, { to: 'b', ttlMs: 5000 })) as string;
  clock.jump(4900);
  t.deepEqual(a.seen.matching('message.outcome'), []);
  clock.jump(200);
  await a.seen.event('message.outcome', { id, status: 'expired', satellite: 'test.recorder.Recorder', node: await net.idOf('a', 'b') });
  await net.start('b');
  await net.sees('a', ['b']);
  await a.emit({ data: 'after' });
  await got(net.get('b'), 'after');
  t.deepEqual(
    [...received.all, ...net.get('b').received.all].map(({ dict }) => dict.data),
    ['after'],
  );
});

test.serial('a suspension of a minute makes nobody dead, and lets nothing expire', async (t) => {
  const net = await Net.of(t, { a: ['b'], b: ['a'] });
  const clock = new JumpingClock();
  const a = await net.start('a', {}, { clock });
  const b = await net.start('b');
  await net.sees('a', ['b']);
  clock.jump(60_000);
  await a.callDirectly('test.recorder.emitWith', { data: 'before' }, { to: 'b' });
  clock.jump(60_000);
  await a.emit({ data: 'after' });
  await got(b, 'after');
  t.deepEqual([...datas(b)].sort(), ['after', 'before']);
  // Both dial at the start, and one of the two connections gives way.
  for (const { seen } of [a, b]) t.deepEqual(seen.matching('mesh.link', { state: 'down', reason: /heard|time/ }), []);
  t.deepEqual(a.seen.matching('message.outcome', { status: 'expired' }), []);
});

test.serial('a machine that starts in 1970 and learns the date later loses nothing that waits, over restarts too', async (t) => {
  const net = await Net.of(t, { a: ['b'], b: ['a'] });
  const clock = new JumpingClock();
  let today = 0;
  const date = (): number => today + clock.now();
  const start = (): Promise<TestRelay> => net.start('a', {}, { clock, date });
  await start();
  await net.start('b');
  await net.sees('a', ['b']);
  await net.stop('b');
  await net.sees('a', []);
  await net.get('a').callDirectly('test.recorder.emitWith', { data: 'waits' }, { to: 'b' });
  // The time server answers, and nothing is sent for a while.
  today = Date.UTC(2026, 10, 30);
  clock.jump(60_000);
  await net.stop('a');
  await start();
  // The machine starts again without its date, and gets one that is wrong by days.
  today = 0;
  await net.stop('a');
  await start();
  today = Date.UTC(2026, 11, 24);
  clock.jump(60_000);
  t.deepEqual(net.get('a').seen.matching('message.outcome', { status: 'expired' }), []);
  await net.start('b');
  await got(net.get('b'), 'waits');
});

test.serial('a date that is set while nothing is written does not count as time that the node was down', async (t) => {
  const disk = new MemoryDisk();
  const open = (): Promise<Store> =>
    openStore({ disk, options: { minFreeBytes: 0, minFreePercent: 0 }, clock: systemClock, report: () => undefined });
  const clock = new VirtualClock(0);
  let today = 0;
  const date = (): number => today + clock.now();
  const first = await open();
  const before = new NodeStore({ store: first, clock, date, log: SILENT });
  await before.begin();
  await before.write({ type: 'write', batch: 1, operations: [], durability: 'written', isProgress: false });
  today = Date.UTC(2026, 10, 30);
  clock.advance(60_000);
  const now = before.now();
  before.stop();
  await first.close();
  const second = await open();
  const after = new NodeStore({ store: second, clock, date, log: SILENT });
  await after.begin();
  t.true(after.now() >= now && after.now() < now + 1000, `${after.now() - now} ms have passed`);
  after.stop();
  await second.close();
});

test.serial('a relay that is killed before it has noticed that its machine learned the date lets nothing expire', async (t) => {
  const disk = new MemoryDisk();
  const clock = new VirtualClock(0);
  let today = 0;
  const begun = async (): Promise<{ readonly nodeStore: NodeStore; readonly store: Store }> => {
    const options = { minFreeBytes: 0, minFreePercent: 0 };
    const store = await openStore({ disk, options, clock: systemClock, report: () => undefined });
    const nodeStore = new NodeStore({ store, clock, date: () => today + clock.now(), log: SILENT });
    await nodeStore.begin();
    return { nodeStore, store };
  };
  const before = await begun();
  await before.nodeStore.write({ type: 'write', batch: 1, operations: [], durability: 'synced', isProgress: false });
  const now = before.nodeStore.now();
  today = Date.UTC(2026, 10, 30);
  before.nodeStore.stop();
  await before.store.close();
  const after = await begun();
  t.true(after.nodeStore.now() >= now && after.nodeStore.now() < now + 1000, `${after.nodeStore.now() - now} ms have passed`);
  after.nodeStore.stop();
  await after.store.close();
});

test.serial('a client cannot send in the name of a node, here or at another node', async (t) => {
  const net = await Net.of(t, { a: ['b'], b: ['a', 'c'], c: ['b'] });
  await net.startAll();
  await net.sees('a', ['b'], ['c']);
  const { hostId } = net.get('c');
  // The address of the client is that of all these relays, so only the nodes tell them apart.
  await net
    .get('a')
    .call('notify', { data: 'forged', host_id: hostId })
    .catch(() => undefined);
  await net
    .get('c')
    .call('notify', { data: 'forged', host_id: hostId })
    .catch(() => undefined);
  await net.get('c').emit({ data: 'genuine' });
  await Promise.all(['a', 'b'].map((name) => got(net.get(name), 'genuine')));
  for (const name of ['b', 'c']) t.false(datas(net.get(name)).includes('forged'), name);
  t.is(net.get('a').received.all.find(({ dict }) => dict.data === 'genuine')?.dict.host_id, hostId);
});

test.serial('frames need the session of a peer, whatever headers say about their sender', async (t) => {
  const net = await Net.of(t, { a: ['b'], b: ['a'] });
  await net.startAll();
  const { url } = net.get('a');
  const call = (method: string): string =>
    `<methodCall><methodName>${method}</methodName><params><param><value>${'0'.repeat(32)}</value></param><param><value><int>1</int></value></param></params></methodCall>`;
  for (const method of ['relay.push', 'relay.pull']) {
    const headers = { 'content-type': 'text/xml', 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1' };
    const answer = await (await fetch(url, { method: 'POST', headers, body: call(method) })).text();
    t.regex(answer, /<int>403<\/int>|<int>401<\/int>/, answer);
    const forged = await (await fetch(url, { method: 'POST', headers: { ...headers, 'co2-session': 'x' }, body: call(method) })).text();
    t.notRegex(forged, /<name>n<\/name>/);
  }
  t.is(net.get('a').seen.matching('mesh.link', { state: 'down' }).length, 0);
});

test.serial('a peer that redirects is not followed, and a node that is only heard of is not called', async (t) => {
  const requests: string[] = [];
  const redirected = new Gate<undefined>();
  const other = createServer((request, response) => {
    requests.push(request.url ?? '');
    response.end();
  });
  const port = await listening(t, other);
  const redirecting = await listening(
    t,
    createServer((_request, response) => {
      redirected.push(undefined);
      response.writeHead(307, { location: `http://127.0.0.1:${port}/RPC2` }).end();
    }),
  );
  const net = await Net.of(t, { a: ['b'], b: ['a', 'c'], c: ['b'] });
  await Promise.all(['b', 'c'].map((name) => net.start(name)));
  const [b] = net.peersOf('a');
  const a = await net.start('a', { peers: [b!, `http://127.0.0.1:${redirecting}`] });
  await net.sees('a', ['b'], ['c']);
  // Redirected once, and asked again.
  await redirected.first(2);
  t.deepEqual(requests, []);
  await a.emit({ data: 'over b' });
  await got(net.get('c'), 'over b');
  const id = await net.idOf('c', 'a');
  t.deepEqual(net.get('c').seen.matching('peer.proven', { node: id }), [], 'no relay calls an address that a link state names');
});

for (const [who, dials] of [
  ['the relay that stops', [false, true]],
  ['the other one', [true, false]],
  ['each of them', [true, true]],
] as const) {
  test(`a relay that stops has left, and is not lost, if ${who} dialled`, async (t) => {
    const [aPort = 0, bPort = 0] = await freePorts(2);
    const [aUrl, bUrl] = [aPort, bPort].map((port) => `http://127.0.0.1:${port}`);
    const common = { trust: 'insecure' } as const;
    const a = await startRelay(t, { ...common, port: aPort, nick: 'a', peers: dials[0] ? [bUrl!] : [] });
    const b = await startRelay(t, { ...common, port: bPort, nick: 'b', peers: dials[1] ? [aUrl!] : [] });
    await Promise.all([a.seen.event('node.up', { nick: 'b' }), b.seen.event('node.up', { nick: 'a' })]);
    await b.stop();
    t.is((await a.seen.event('node.down', { nick: 'b' })).reason, 'left');
  });
}

test('a relay that has no time to drain still says goodbye, and relays behind its neighbours know', async (t) => {
  const [aPort = 0, bPort = 0, cPort = 0] = await freePorts(3);
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  const a = await startRelay(t, { port: aPort, nick: 'a', trust: 'insecure', peers: [url(bPort)] });
  await startRelay(t, { port: bPort, nick: 'b', trust: 'insecure', peers: [url(aPort), url(cPort)] });
  const config = { nick: 'c', trust: 'insecure', drainMs: 0, peers: [url(bPort)] };
  const files = { 'config.ts': `export default ${JSON.stringify(config)};` };
  const c = await startCo2(t, { files, args: ['--port', String(cPort)] });
  const { node } = await a.seen.event('node.up', { nick: 'c' });
  c.kill('SIGTERM');
  t.is((await c.exit).code, 0);
  t.is((await a.seen.event('node.down', { node })).reason, 'left');
  t.is(((await a.callDirectly('relay.get_nodes')) as readonly Dict[]).find((one) => one.node === node)?.state, 'left');
});
