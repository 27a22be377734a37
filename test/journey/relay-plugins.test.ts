/** Relay plugins in the path of real dicts: across three relays, over a custom transport, and at a stop. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { RelayPluginEntry } from '../../src/plugin-host/plugin-host.ts';
import { PROJECT_DIR, runCo2 } from '../support/processes.ts';
import { rejects } from '../support/relay-error.ts';
import { freePorts, pluginsDir, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import { heard, heardInTheEnd, isMarker, onOneAddress } from './topology.ts';

const QUICK = { drainMs: 2000, retry: { minMs: 5, maxMs: 20 } } as const;

/** Records where it sees a dict; changes or refuses some, as its configuration says. */
const TRACER = `
import { Refusal, RelayPlugin } from 'co2-relay';

@RelayPlugin()
export class Tracer {
  setup({ name, changes = [], refuses = [] }) { Object.assign(this, { name, changes, refuses }); }
  onAccept(dict, context) { return this.meet(dict, context); }
  onForward(dict, context) { return this.meet(dict, context); }
  async meet(dict, { where, to }) {
    await new Promise(setImmediate);
    if (String(dict.data).startsWith('the end')) return undefined;
    if (this.refuses.includes(where)) throw new Refusal('not here');
    return this.changes.includes(where) ? { data: dict.data + ' ' + this.name + '/' + where, n: dict.n, host_id: 'forged@1.2.3.4:5' } : undefined;
  }
}
`;

interface Traced {
  readonly changes?: readonly string[];
  readonly refuses?: readonly string[];
}

/** Starts a chain A - B - C with the tracer on each relay. Its links are classic: over the mesh, relays do not see what they pass on. */
async function chain(t: ExecutionContext, ...traced: readonly Traced[]): Promise<TestRelay[]> {
  const use = join(pluginsDir(t, { 'tracer.ts': TRACER }), 'tracer.ts');
  const addresses = await onOneAddress(traced.length);
  const url = (index: number): { url: string; classic: boolean }[] =>
    addresses[index] ? [{ url: `http://127.0.0.1:${addresses[index].port}`, classic: true }] : [];
  return Promise.all(
    traced.map((config, index) =>
      startRelay(t, {
        ...{ ...addresses[index], ...QUICK, peers: [...url(index - 1), ...url(index + 1)] },
        relayPlugins: [{ use, config: { ...config, name: 'ABC'[index] } }],
      }),
    ),
  );
}

test('across three relays, hooks may change a dict at its origin and at delivery; in between it stays as it was', async (t) => {
  const relays = await chain(t, { changes: ['origin', 'delivery'] }, { changes: ['delivery'] }, {});
  const [a, b, c] = relays as [TestRelay, TestRelay, TestRelay];
  for (let n = 0; n < 20; n++) await a.call('notify', { data: `x${n}`, n });
  const sent = Array.from({ length: 20 }, (_, n) => `x${n} A/origin`);
  t.deepEqual(await heardInTheEnd(relays), [sent.map((data) => `${data} A/delivery`), sent.map((data) => `${data} B/delivery`), sent]);
  for (const relay of [a, b, c]) {
    for (const { dict } of relay.received.all.filter((received) => !isMarker(received.dict.data)))
      t.regex(dict.host_id as string, /^[0-9a-f]{16}@127\.0\.0\.1:0$/, 'not forged');
  }
  t.like(a.status().relayPlugins[0], { name: 'tracer.Tracer', transformed: 40, refused: 0, late: 0, failed: 0 });
  t.like(b.status().relayPlugins[0], { transformed: 20, failed: 0 });
});

test('a relay in the middle may inspect and hold back forwarded dicts, but not change them', async (t) => {
  const relays = await chain(t, {}, { changes: ['through'] }, {});
  const [a, b] = relays as [TestRelay, TestRelay];
  await a.call('notify', { data: 'x' });
  t.deepEqual(await heardInTheEnd(relays), [['x'], ['x'], []]);
  t.like(b.status().relay, { heldBack: 1, refusedByHooks: 0 });
  t.like(b.status().relayPlugins[0], { failed: 1, transformed: 0 });
  t.is(b.log.matching(/\(through\), since tracer\.Tracer failed: it returned a dict for one that goes through/).length, 1);

  const holding = await chain(t, {}, { refuses: ['through'] }, {});
  await holding[0]?.call('notify', { data: 'y' });
  t.deepEqual(await heardInTheEnd(holding), [['y'], ['y'], []]);
  t.like(holding[1]?.status().relayPlugins[0], { refused: 1, failed: 0 });
});

test('a dict that a relay refuses to accept stops there, and the previous relay counts it as refused', async (t) => {
  const relays = await chain(t, {}, { refuses: ['delivery'] }, {});
  const [a, b] = relays as [TestRelay, TestRelay];
  await a.call('notify', { data: 'x' });
  t.deepEqual(await heardInTheEnd(relays), [['x'], [], []]);
  const [link] = a.status().mesh.peers;
  t.is(link?.refused, 1);
  t.like(a.seen.matching('link.refused'), [{ role: 'peer', reason: 'fault 403: relay plugin tracer.Tracer refused the dict: not here' }]);
  t.like(b.status().relay, { refusedByHooks: 1 });
  const own = (await chain(t, { refuses: ['origin'] }))[0]!.emit({ data: 'own' });
  await t.throwsAsync(own, { code: 403, message: /not here/ } as never, 'the sending satellite gets the error, too');
});

test('a hook that only looks leaves the text of every scalar unchanged', async (t) => {
  const peer = await scriptedPeer(t);
  const use = join(pluginsDir(t, { 'tracer.ts': TRACER }), 'tracer.ts');
  const relay = await startRelay(t, { ...QUICK, peers: [peer.url], relayPlugins: [{ use, config: { name: 'A' } }] });
  const body = `<methodCall><methodName>notify</methodName><params><param><value><struct><member><name>data</name><value><double>1.50</double></value></member></struct></value></param></params></methodCall>`;
  await fetch(`${relay.url}/RPC2`, { method: 'POST', headers: { 'content-type': 'text/xml' }, body });
  t.regex((await peer.bodies.first(1))[0]!, /<double>1\.50<\/double>/);
});

test('what a satellite sends in exit passes the hooks and is forwarded before the relay stops', async (t) => {
  const peer = await scriptedPeer(t);
  const directory = pluginsDir(t, {
    'tracer.ts': TRACER,
    'plugins/test/last.ts': `import { Plugin, Satellite } from 'co2-relay'; @Satellite() export class Last extends Plugin { exit() { void this.send({ data: 'bye', n: 1 }); } }`,
  });
  const relayPlugins = [{ use: join(directory, 'tracer.ts'), config: { name: 'A', changes: ['origin'] } }];
  const relay = await startRelay(t, { ...QUICK, peers: [peer.url], pluginsDir: join(directory, 'plugins'), relayPlugins });
  await relay.stop();
  t.deepEqual(
    peer.notified.all.map(({ data }) => data),
    ['bye A/origin'],
  );
});

const MEMORY = join(PROJECT_DIR, 'examples/relay-plugins/memory.ts');

/** The options of a relay `name` that is linked with `other`, which listens on `port`, over the in-memory transport. */
function carried(
  name: string,
  other: string,
  port: number,
): { relayPlugins: RelayPluginEntry[]; peers: { url: string; address: string }[] } {
  return { relayPlugins: [{ use: MEMORY, config: { name } }], peers: [{ url: `memory://${other}`, address: `127.0.0.1:${port}` }] };
}

test.serial('over an in-memory transport, dicts arrive in both directions, in order, and after a restart of one relay', async (t) => {
  const [portA, portB] = (await freePorts(2)) as [number, number];
  const start = (name: string, other: string, port: number, otherPort: number): Promise<TestRelay> =>
    startRelay(t, { port, ...QUICK, ...carried(name, other, otherPort) });
  const a = await start('a', 'b', portA, portB);
  for (let n = 0; n < 50; n++) await a.emit({ data: `before ${n}` });
  t.is(a.status().mesh.peers[0]?.waiting, 50, 'they wait for a peer that is not there yet');
  const b = await start('b', 'a', portB, portA);
  await b.received.first(50);
  for (let n = 0; n < 50; n++) await b.emit({ data: `back ${n}` });
  await a.received.first(50);
  t.deepEqual(
    heard(b),
    Array.from({ length: 50 }, (_, n) => `before ${n}`),
  );
  t.deepEqual(
    heard(a),
    Array.from({ length: 50 }, (_, n) => `back ${n}`),
  );
  t.like(b.received.all[0]?.dict, { host_id: a.hostId });
  await b.stop();
  await a.emit({ data: 'while b is away' });
  const again = await start('b', 'a', portB, portA);
  t.is((await again.received.first(1))[0]?.dict.data, 'while b is away');
  t.deepEqual(
    a.status().mesh.peers.map(({ peer, refused, dropped }) => ({ peer, refused, dropped })),
    [{ peer: 'memory://b', refused: 0, dropped: 0 }],
  );
});

test.serial('a peer over a custom transport does not make HTTP clients at its address peers', async (t) => {
  const [portA, portB] = (await freePorts(2)) as [number, number];
  const a = await startRelay(t, { port: portA, ...QUICK, ...carried('a2', 'b2', portB) });
  const co2 = { id: 'far.1', hops: 3, age: 0, by: `b@127.0.0.1:${portB}`, via: [] };
  await t.throwsAsync(a.call('notify', { data: 1, host_id: 'o@198.51.100.1:1', co2 }), { code: 403 } as never);
  await a.call('notify', { data: 2, co2 });
  const [first] = await a.received.first(1);
  t.is(first?.dict.data, 2);
  t.not(first?.context.id, 'far.1', 'its stamp is not believed');
});

test.serial("a dict whose host_id does not match the peer's address is rejected", async (t) => {
  const [portA, portB] = (await freePorts(2)) as [number, number];
  const a = await startRelay(t, {
    port: portA,
    ...QUICK,
    ...carried('a3', 'b3', portB),
    peers: [{ url: 'memory://b3', address: `127.0.0.9:${portB}` }],
  });
  const b = await startRelay(t, { port: portB, ...QUICK, ...carried('b3', 'a3', portA) });
  await b.emit({ data: 'forged' });
  await b.seen.event('link.refused', { name: /^memory:\/\/a3/, reason: /co2\.by .* does not belong to 127\.0\.0\.9/ });
  t.deepEqual(heard(a), []);
  t.is(a.status().relay.originRefused, 1);
});

test.serial('a peer URL without a transport stops the start, with an error that names the remedy', async (t) => {
  const { message } = await rejects(t, startRelay(t, { peers: [{ url: 'nats://b', address: '127.0.0.1:2005' }] }), 'CONFIG_INVALID', {
    option: 'peers',
  });
  t.regex(message, /^createRelay: peers: nothing carries nats: URLs; name a relay plugin in relayPlugins that carries 'nats'$/);
});

test.serial('co2 config reports errors in relayPlugins and hides their secrets', async (t) => {
  const files = {
    'filters/key.ts': TRACER,
    'config.ts': `export default { relayPlugins: [{ use: './filters/key.ts', config: { password: 'hunter2', level: 3 } }], pluginsDir: 'filters' };`,
    'wrong.ts': `export default { relayPlugins: ['./filters/kye.ts'] };`,
  };
  const cwd = pluginsDir(t, files);
  const shown = await runCo2(t, { args: ['config', 'show', '--json'], cwd }).exit;
  const { relayPlugins, hookTimeoutMs } = JSON.parse(shown.stdout.join('\n')) as Record<string, { value: unknown; from: string }>;
  t.deepEqual(relayPlugins, {
    value: [{ use: join(cwd, 'filters/key.ts'), config: { password: '(hidden)', level: 3 } }],
    from: 'config.ts',
  });
  t.deepEqual(hookTimeoutMs, { value: 1000, from: 'default' });
  t.is((await runCo2(t, { args: ['config', 'check'], cwd }).exit).code, 0);
  const wrong = await runCo2(t, { args: ['config', 'check', '--config', 'wrong.ts'], cwd }).exit;
  t.is(wrong.code, 2);
  t.regex(wrong.stderr.join('\n'), /wrong\.ts: relayPlugins: there is no file .*kye\.ts/);
});
