/** A peer whose name resolves to a new address: nothing is lost in either direction, and no other client gains rights. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { RemoteFault, XmlRpcClient } from '../../src/client/internal.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const A_HOST = '127.0.0.1';
const OLD_HOST = '127.0.0.2';
const NEW_HOST = '127.0.0.3';
const NAME = 'relay-b.test';

interface Names {
  /** The address that {@link NAME} resolves to. */
  at: string;
  readonly asked: string[];
  readonly resolve: (hostname: string) => Promise<readonly string[]>;
}

function names(): Names {
  const asked: string[] = [];
  const self: Names = {
    at: OLD_HOST,
    asked,
    resolve: (hostname) => {
      asked.push(hostname);
      return hostname === NAME ? Promise.resolve([self.at]) : Promise.reject(new Error(`no such name: ${hostname}`));
    },
  };
  return self;
}

interface Pair {
  readonly a: TestRelay;
  readonly startB: (host: string) => Promise<TestRelay>;
}

async function startPair(t: ExecutionContext, { resolve }: Names, config: Config = {}, isClassic = true): Promise<Pair> {
  const [aPort, bPort] = await freePorts(2);
  const dataDir = join(temporaryDir(t), 'b');
  // Pings would look up the name as well, and tests count the lookups.
  const common: Config = { drainMs: 2000, retry: { minMs: 5, maxMs: 100 }, peerPingIntervalMs: 0 };
  // Without proofs, since only the address of a classic peer counts.
  const peers = [{ url: `http://${NAME}:${bPort!}`, classic: isClassic }];
  const a = await startRelay(t, { ...common, host: A_HOST, port: aPort!, peers, ...config }, { resolve });
  const startB = (host: string): Promise<TestRelay> =>
    startRelay(t, { ...common, host, port: bPort!, dataDir, allowedHosts: [NAME], peers: [`http://${A_HOST}:${aPort!}`] });
  return { a, startB };
}

const hears = async ({ received }: TestRelay, data: string): Promise<void> => {
  await received.until(({ dict }) => dict.data === data);
};

for (const [title, config] of [
  ['where strangers may send dicts', {}],
  ['where strangers may not', { access: { local: ['read'] } }],
] as const) {
  test.serial(`a peer that moves is recognized at its new address, ${title}`, async (t) => {
    const dns = names();
    const { a, startB } = await startPair(t, dns, config);
    const old = await startB(OLD_HOST);
    await old.call('notify', { data: 'of a client of b, at its old address' });
    await hears(a, 'of a client of b, at its old address');
    await old.stop();
    dns.at = NEW_HOST;
    const b = await startB(NEW_HOST);
    // From a client at another address: only a peer may forward it.
    for (let count = 0; count < 20; count++) await b.call('notify', { data: `of a client of b, ${count}` });
    await b.emit({ data: 'of b' });
    await hears(a, 'of b');
    const heard = a.received.all.map(({ dict }) => dict.data);
    t.deepEqual(heard.slice(1), [...Array.from({ length: 20 }, (_, count) => `of a client of b, ${count}`), 'of b']);
    t.is(a.received.all.at(-1)?.context.verdict, 'vouched');
    t.true(dns.asked.length <= 6, `resolved ${dns.asked.length} times, not once a dict`);
    t.is(b.status().mesh.peers[0]?.refused, 0);
  });
}

test.serial('dicts sent to a peer that moves arrive at its new address', async (t) => {
  const dns = names();
  const { a, startB } = await startPair(t, dns);
  const old = await startB(OLD_HOST);
  await a.emit({ data: 'before' });
  await hears(old, 'before');
  await old.stop();
  dns.at = NEW_HOST;
  await a.emit({ data: 'after' });
  const b = await startB(NEW_HOST);
  await hears(b, 'after');
  t.is(a.status().mesh.peers[0]?.dropped, 0);
});

test.serial('dicts from a peer that moved before its DNS record changed wait, and arrive in order', async (t) => {
  const dns = names();
  const { a, startB } = await startPair(t, dns);
  const b = await startB(NEW_HOST);
  for (let count = 0; count < 5; count++) await b.call('notify', { data: count });
  await b.events.next(
    (event) => event.type === 'link.state' && 'reason' in event.state && event.state.reason.startsWith('fault 503: 127.0.0.3 is not'),
    { since: 0 },
  );
  t.deepEqual(a.received.all, []);
  t.like(b.status().mesh.peers[0], { refused: 0, waiting: 5 });
  dns.at = NEW_HOST;
  await a.received.first(5);
  t.deepEqual(
    a.received.all.map(({ dict }) => dict.data),
    [0, 1, 2, 3, 4],
  );
});

test.serial('the stamp of a peer is rejected from any other client, without a DNS lookup per dict', async (t) => {
  const dns = names();
  const { a, startB } = await startPair(t, dns, { access: { local: ['read'] } });
  const b = await startB(OLD_HOST);
  await b.emit({ data: 'of b' });
  await hears(a, 'of b');
  const before = dns.asked.length;
  const stranger = new XmlRpcClient(new URL(a.url), { localAddress: '127.0.0.9' });
  t.teardown(() => stranger.close());
  const refusal = async (co2: Record<string, string | number>): Promise<number> => {
    const error = await t.throwsAsync(stranger.call('notify', [{ data: 'forged', host_id: b.hostId, co2 }]));
    return RemoteFault.is(error) ? error.code : 0;
  };
  const stamp = { id: 'x.1', hops: 3, age: 0 };
  for (let count = 0; count < 50; count++) t.is(await refusal({ ...stamp, by: b.hostId }), 503);
  t.true(dns.asked.length - before <= 5, `resolved ${dns.asked.length - before} times`);
  t.is(await refusal({ ...stamp, by: 'other@127.0.0.9:9' }), 403, 'no peer has this name or port: final');
  await b.emit({ data: 'the end' });
  await hears(a, 'the end');
  t.deepEqual(
    a.received.all.map(({ dict }) => dict.data),
    ['of b', 'the end'],
  );
});

test.serial('a peer that has proved its key is recognized at any address, and nobody else at its own', async (t) => {
  const dns = names();
  const { a, startB } = await startPair(t, dns, { access: { local: ['read'] } }, false);
  const old = await startB(OLD_HOST);
  await a.notify({ data: 'hello' });
  await hears(old, 'hello');
  await old.stop();
  const b = await startB(NEW_HOST);
  await b.call('notify', { data: 'of a client of b' });
  await hears(a, 'of a client of b');
  t.is(a.received.all.at(-1)?.context.verdict, 'attested');
  const stranger = new XmlRpcClient(new URL(a.url), { localAddress: OLD_HOST });
  t.teardown(() => stranger.close());
  const stamp = { id: 'x.1', hops: 3, age: 0, by: old.hostId };
  const error = await t.throwsAsync(stranger.call('notify', [{ data: 'forged', host_id: old.hostId, co2: stamp }]));
  t.is(RemoteFault.is(error) ? error.code : 0, 403);
});
