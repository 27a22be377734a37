/** Calls between real relays over sockets: a line of three, of which the ends know each other only through the one between. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { runCo2 } from '../support/processes.ts';
import { freePorts, pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const PLUGIN = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin {
  /** Adds. */
  @Exposed() add(a: number, b: number): number { return a + b; }
  @Exposed() fail() { throw new Fault(42, 'no such sensor'); }
  @Exposed() crash() { throw new Error('secret /path'); }
  @Exposed({ access: 'admin' }) operate() { return 1; }
  @Exposed() far(node: string, method: string, params: any[]) { return this.call(method, params, { node }); }
}`;

interface Line {
  readonly relays: readonly [TestRelay, TestRelay, TestRelay];
  readonly ids: readonly string[];
}

/** Three relays n0, n1 and n2 in a line, which know each other. */
async function line(t: ExecutionContext, overrides: Config = {}): Promise<Line> {
  const ports = await freePorts(3);
  const url = (index: number): string => `http://127.0.0.1:${ports[index]!}`;
  const dir = pluginsDir(t, {
    'ham/spam.ts': PLUGIN,
    'ham/child.ts': PLUGIN.replace('@Satellite()', "@Satellite({ isolation: 'child' })"),
  });
  const start = (index: number, peers: readonly string[]): Promise<TestRelay> =>
    startRelay(t, {
      ...{ nick: `n${index}`, port: ports[index]!, peers, pluginsDir: dir, dataDir: join(temporaryDir(t), 'state') },
      ...overrides,
    });
  const relays = [await start(0, [url(1)]), await start(1, [url(0), url(2)]), await start(2, [url(1)])] as const;
  await Promise.all(relays.map((relay) => known(relay, 3)));
  const nodes = (await relays[0].call('relay.get_nodes')) as readonly Dict[];
  return { relays: [...relays], ids: nodes.map(({ node }) => node as string) };
}

/** Resolves once the relay reaches that many nodes, itself included, and knows methods of all. */
async function known(relay: TestRelay, count: number): Promise<void> {
  for (;;) {
    const nodes = (await relay.call('relay.get_nodes')) as readonly Dict[];
    if (nodes.filter(({ state, methods }) => (state === 'reachable' || state === 'self') && (methods as number) > 0).length === count)
      return;
    await relay.events.next(() => true, { signal: AbortSignal.timeout(200) }).catch(() => undefined);
  }
}

test('a client calls, pings and traces a node that its relay knows only through another one', async (t) => {
  const { relays, ids } = await line(t);
  const [near, , far] = relays;
  const call = (method: string, ...params: Sendable[]): Promise<Value> => near.call(method, ...params);
  t.is(await call('relay.call', 'n2', 'ham.spam.add', [2, 3]), 5);
  t.is(await call('relay.call', ids[2]!, 'ham.spam.add', [2, 3], 5000), 5);
  t.is(await call('relay.call', 'n0', 'ham.spam.add', [1, 1]), 2, 'a relay calls itself under its own name');
  await t.throwsAsync(call('relay.call', 'n2', 'ham.spam.fail', []), { code: 42, message: /no such sensor/ } as never);
  const crash = await t.throwsAsync(call('relay.call', 'n2', 'ham.spam.crash', []), { code: -32500 } as never);
  t.regex(crash.message, /node n2 .*ham\.spam\.crash failed \(error [0-9a-f]{8}\)/);
  t.notRegex(crash.message, /secret/);
  await t.throwsAsync(call('relay.call', 'n2', 'ham.spam.operate', []), { code: 403 } as never);
  await t.throwsAsync(call('relay.call', 'n2', 'notify', [{ data: 1 }]), {
    code: 403,
    message: /cannot be called through the mesh/,
  } as never);
  await t.throwsAsync(call('relay.call', 'n9', 'ping', []), { code: 404, message: /no node is named 'n9'; did you mean/ } as never);
  const pong = (await call('relay.ping', 'n2')) as Dict;
  t.like(pong, { node: ids[2], nick: 'n2', running: 0 });
  t.true((pong.rtt as number) > 0);
  const hops = (await call('relay.traceroute', 'n2')) as readonly Dict[];
  t.deepEqual(hops.map(({ nick, reached, address }) => [nick, reached, address]), relays.slice(1).map(({ url }, index) => [`n${index + 1}`, true, url])); // prettier-ignore
  const methods = (await far.call('relay.get_network_methods')) as readonly Dict[];
  t.deepEqual(
    (methods.find(({ method }) => method === 'ham.spam.add')!.nodes as readonly Dict[]).map(({ nick }) => nick),
    ['n0', 'n1', 'n2'],
  );
  t.false(methods.some(({ method }) => method === 'ham.spam.operate'));
  t.like(await call('relay.get_routes', 'n2'), [{ nick: 'n2', hop_nick: 'n1', links: 2 }]);
});

test('a traceroute streams its hops as server-sent events, and the metrics and the log name the node', async (t) => {
  const { relays, ids } = await line(t);
  const [near, , far] = relays;
  const get = (path: string, token = near.adminToken): Promise<Response> =>
    fetch(`${near.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
  const text = await (await get('/nodes/n2/traceroute')).text();
  const events = [...text.matchAll(/^event: (\w+)\n(?:id: (\w+)\n)?data: (.*)$/gm)].map(
    ([, type, id, data = '']) => [type, id, JSON.parse(data) as Dict] as const,
  );
  t.deepEqual(events.map(([type, id, data]) => [type, id, data.nick]), [['hop', undefined, 'n1'], ['hop', undefined, 'n2'], ['end', 'end', undefined]], text); // prettier-ignore
  t.is((await get('/nodes/n9/traceroute')).status, 404);
  t.is((await get('/nodes/n2/traceroute?x=1')).status, 400);
  t.is((await get('/nodes/n2/traceroute', 'wrong')).status, 401);
  t.is(await near.call('relay.call', 'n2', 'ham.spam.add', [2, 3]), 5);
  await t.throwsAsync(near.call('relay.call', 'n2', 'ham.spam.fail', []));
  const counts = async (relay: TestRelay): Promise<string> => {
    const metrics = await (await fetch(`${relay.url}/metrics`)).text();
    return metrics.match(/^co2_node_calls_total.*$/gm)?.join('\n') ?? '';
  };
  t.regex(await counts(near), new RegExp(`node="${ids[2]!}",direction="out",outcome="failed"\\} 1$`, 'm'));
  t.regex(await counts(far), new RegExp(`node="${ids[0]!}",direction="in",outcome="answered"\\} [2-9]$`, 'm'));
});

test('plugins call other nodes, in the process of the relay and in a child, and those see the plugin in their log', async (t) => {
  const { relays } = await line(t);
  const [near, , far] = relays;
  for (const plugin of ['ham.spam', 'ham.child']) {
    t.is(await near.call(`${plugin}.far`, 'n2', 'ham.spam.add', [2, 3]), 5);
    const line = new RegExp(`node n0 \\(.*\\) calls ham\\.spam\\.add for ${plugin}`);
    t.true(
      far.log.lines.all.some((entry) => line.test(JSON.stringify(entry))),
      plugin,
    );
  }
  await t.throwsAsync(near.call('ham.spam.far', 'n2', 'ham.spam.operate', []), { code: 403 } as never);
});

test('a node that stops answers nobody any more, and callers learn why', async (t) => {
  const { relays, ids } = await line(t);
  const [near, , far] = relays;
  await far.stop();
  const gone = { message: /(node n2 .*|node 'n2') (has left the mesh|was not answered: (it has left the mesh|there is no path to it))/ };
  await t.throwsAsync(near.call('relay.call', 'n2', 'ham.spam.add', [2, 3]), gone);
  await t.throwsAsync(near.call('relay.call', ids[2]!, 'ham.spam.add', [2, 3]), { ...gone, code: -32300 } as never);
  const hops = (await near.call('relay.traceroute', ids[2]!)) as readonly Dict[];
  t.like(hops.at(-1), { nick: 'n2', reached: false });
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly json: unknown;
}

/** Runs commands as the admin of a relay. */
function runner(t: ExecutionContext, { url, adminToken }: TestRelay): (...args: readonly string[]) => Promise<Ran> {
  return async (...args) => {
    const { code, stdout, stderr } = await runCo2(t, { args: [...args, '--url', url, '--token', adminToken] }).exit;
    const out = [...stdout, ...stderr].join('\n');
    return { code, out, json: args.includes('--json') && code === 0 ? (JSON.parse(stdout.join('\n')) as unknown) : undefined };
  };
}

test('co2 shows nodes, routes, pings, traces and methods of the mesh, and calls methods of a node', async (t) => {
  const { relays, ids } = await line(t);
  const [near] = relays;
  const co2 = runner(t, near);
  t.regex((await co2('nodes')).out, new RegExp(`^nick +node +state .*\n(.*\n)*n2 +${ids[2]!} +reachable `));
  t.regex((await co2('nodes')).out, /\nn0 +\w{32} +self +\S+ +\d+ +- +- +- +\d.*\nn1 .*\nn2 +\w{32} +reachable +\S+ +\d+ +2 +\d+ +n1 /);
  t.is(((await co2('nodes', '--json')).json as unknown[]).length, 3);
  t.regex((await co2('status')).out, /\nmesh +3 nodes, 2 reachable\n/);
  t.is((await co2('work', 'types')).out, 'this relay offers no work; co2 nodes shows what the others of its mesh offer');
  t.is((await co2('routes', 'n0')).out, 'there is no way to n0 at present; co2 nodes shows its state');
  t.regex((await co2('routes')).out, /^nick +node +hop_nick .*\nn1 +\w{32} +n1 .*\nn2 +\w{32} +n1 /);
  t.like((await co2('routes', 'n2', '--json')).json, [{ nick: 'n2', links: 2 }]);
  t.regex((await co2('ping', 'n2')).out, /^n2 answered in \d+(\.\d)? ms \(co2-relay \d.*, 0 units of work run\)$/);
  t.like((await co2('ping', 'n2', '--json')).json, { nick: 'n2', running: 0 });
  const trace = await co2('traceroute', 'n2');
  t.regex(trace.out, /^ 1 {2}n1 {2}\w{32} {2}http:\S+ {2}\d+\.\d ms\n 2 {2}n2 {2}\w{32} {2}http:\S+ {2}\d+\.\d ms$/);
  t.is(trace.code, 0);
  t.is((await co2('call', '--node', 'n2', 'ham.spam.add', '2', '3')).out, '5');
  t.is((await co2('call', '--node', 'n2', '--json', 'ham.spam.add', '2', '3')).json, 5);
  t.regex((await co2('methods', '--network', 'ham.spam')).out, /^method +nodes\nham\.spam\.add +n0, n1, n2\n/);
  t.regex((await co2('methods', '--network', 'ham.eggs')).out, /no plugin of a node offers a method that matches 'ham\.eggs'/);
  const missing = await co2('traceroute', 'n9');
  t.regex(missing.out, /^co2: fault 404: no node is named 'n9'; did you mean "n0"\?$/);
  t.is(missing.code, 1);
});

test('co2 outbox shows what waits for a node by its nick, the dict in it, and drops it; unknown names are errors', async (t) => {
  const { relays, ids } = await line(t);
  const [near, , far] = relays;
  const co2 = runner(t, near);
  t.is((await co2('outbox')).out, 'nothing waits for other nodes');
  await far.stop();
  await co2('notify', '{"data": {"nothing": null, "text": "later"}, "co2": {"to": {"node": "n2"}}}');
  const { messages } = (await co2('outbox', 'list', '--node', 'n2', '--json')).json as { readonly messages: readonly Dict[] };
  const own = messages.filter(({ kind }) => kind === 'dict');
  t.like(own, [{ target: ids[2], waiting_for: [ids[2]], durable: true }]);
  t.is(own.length, 1);
  const id = own[0]!.id as string;
  t.regex((await co2('outbox', 'list', '--node', 'n2')).out, /^id +state +waiting for .*\n(?:.*\n)*\S+ +\S+ +n2 +dict /);
  t.is((await co2('outbox', 'list', '--node', 'n1')).out, 'nothing waits for other nodes');
  t.regex((await co2('outbox', 'list', '--node', 'n9')).out, /^co2: fault 404: no node is named 'n9'/);
  const shown = (await co2('outbox', 'show', id)).out;
  t.regex(shown, /\ndict\n +data\n +nothing +null\n +text +later$/, 'without payload, and without the address that the client wrote');
  // A caller that reads no nil gets the bytes.
  const xml = await (await fetch(`${near.url}/RPC2`, { method: 'POST', headers: { 'content-type': 'text/xml', authorization: `Bearer ${near.adminToken}` }, body: `<methodCall><methodName>outbox.show</methodName><params><param><value><string>${id}</string></value></param></params></methodCall>` })).text(); // prettier-ignore
  t.true(xml.includes('<name>payload</name>') && !xml.includes('<name>dict</name>') && !xml.includes('<fault>'), xml);
  t.regex((await co2('status')).out, /\nmesh +3 nodes, 1 reachable, .*1 message kept \(co2 outbox\)\n/);
  t.is((await co2('outbox', 'drop', id)).out, `dropped: ${id}`);
  t.regex(
    (await co2('outbox', 'show', id)).out,
    /^co2: fault -32602: no message '.*' waits here; outbox\.list \(co2 outbox\) shows those that do$/,
  );
});
