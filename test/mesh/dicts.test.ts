/** Dicts between real relays of a mesh: to chosen nodes, over restarts, with reports to the satellites that sent them. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Value } from '../../src/values/values.ts';
import { Gate } from '../support/gate.ts';
import { freePorts, pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

const TALK = `
import { Exposed, Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Talk extends Plugin {
  setup({ gate }) { this.gate = gate; }
  receive({ data }, { verdict, redelivered }) { this.gate.push({ heard: data, verdict, redelivered }); }
  onDelivery(report) { this.gate.push({ report }); }
  /** Sends a dict. */
  @Exposed()
  say(dict, options) { return this.send(dict, options); }
}
`;

const BYE = `
import { Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Bye extends Plugin {
  setup() {}
  exit() { return this.send({ data: 'the end' }); }
}
`;

const KID = `
import { Exposed, Plugin, Satellite } from 'co2-relay';

@Satellite({ isolation: 'child' })
export class Kid extends Plugin {
  onDelivery({ id, status, node }) { return this.send({ data: [id, status, node] }, { durable: false }); }
  /** Sends a dict. */
  @Exposed()
  say(dict, options) { return this.send(dict, options); }
}

@Satellite({ isolation: 'child' })
export class Sister extends Plugin {
  onDelivery() { throw new Error('this is not mine'); }
  receive() {}
}
`;

const ECHO = `
import { Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Echo extends Plugin {
  async receive({ data }) {
    await Promise.resolve();
    await this.send({ data: data + 1 });
  }
}
`;

interface Said {
  readonly heard?: unknown;
  readonly verdict?: string;
  readonly report?: { readonly id: string; readonly status: string; readonly reason: string; readonly node: string | undefined };
}

interface Node extends TestRelay {
  readonly said: Gate<Said>;
  readonly id: string;
  say(dict: object, options?: object): Promise<Value>;
}

/** A relay that can be started again, with the plugin talk.talk and others. */
class Place {
  readonly #dataDir: string;

  constructor(
    private readonly t: ExecutionContext,
    readonly nick: string,
    readonly port: number,
    private readonly config: Config,
    private readonly files: Readonly<Record<string, string>> = {},
  ) {
    this.#dataDir = join(temporaryDir(t), 'state');
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<Node> {
    const said = new Gate<Said>();
    const { nick, port } = this;
    const relay = await startRelay(this.t, {
      ...{ nick, host: '127.0.0.1', port, dataDir: this.#dataDir, retry: { minMs: 5, maxMs: 20 } },
      pluginsDir: pluginsDir(this.t, { 'talk/talk.ts': TALK, ...this.files }),
      plugins: { 'talk.talk': { gate: said } },
      ...this.config,
    });
    return {
      ...{ ...relay, said, id: relay.status().mesh.node!.id },
      say: (dict, options = {}) => relay.callDirectly('talk.talk.say', dict as never, options as never),
    };
  }
}

/** Places whose relays are all linked in a line. */
async function placesOf(t: ExecutionContext, nicks: readonly string[], config: Config = {}, files = {}): Promise<Place[]> {
  const ports = await freePorts(nicks.length);
  const url = (index: number): string[] => (ports[index] === undefined ? [] : [`http://127.0.0.1:${ports[index]}`]);
  return nicks.map((nick, index) => {
    const { peers = [], ...others } = config;
    return new Place(t, nick, ports[index]!, { ...others, peers: [...url(index - 1), ...url(index + 1), ...peers] }, files);
  });
}

async function startAll(places: readonly Place[]): Promise<Node[]> {
  const nodes = await Promise.all(places.map((place) => place.start()));
  await Promise.all(
    nodes.map((node, index) => node.seen.event('mesh.link', { state: 'up' }, index === 0 || index === nodes.length - 1 ? 1 : 2)),
  );
  return nodes;
}

test('a dict for a node that is down reaches it and no other one, over restarts of both, and its sender learns that', async (t) => {
  const places = await placesOf(t, ['attic', 'cellar', 'garden']);
  const [a, b, c] = (await startAll(places)) as [Node, Node, Node];
  await c.stop();
  const id = await a.say({ data: 'for the garden' }, { to: c.id });
  await a.stop();
  const again = await places[0]!.start();
  const target = await places[2]!.start();
  const [first] = await target.said.first(1);
  t.like(first, { heard: 'for the garden', verdict: 'signed' });
  const [report] = await again.said.first(1);
  t.deepEqual(report, { report: { id: id as string, status: 'delivered', reason: '', node: c.id } });
  t.like(await again.seen.event('message.outcome'), { satellite: 'talk.talk.Talk', id: id as string });
  t.deepEqual(b.said.all, []);
});

test('what a satellite sends in its exit is kept, and arrives after the next start', async (t) => {
  const places = await placesOf(t, ['attic', 'cellar'], {}, { 'bye/bye.ts': BYE });
  const [a, b] = (await startAll(places)) as [Node, Node];
  await a.stop();
  t.deepEqual(a.log.matching(/exit failed/), []);
  t.deepEqual(b.said.all, []);
  await places[0]!.start();
  t.like((await b.said.first(1))[0], { heard: 'the end', verdict: 'signed' });
});

test('nodes are addressed by nick, in groups, and by clients over HTTP; an unknown name is a fault', async (t) => {
  const [a, b, c] = (await startAll(await placesOf(t, ['attic', 'cellar', 'garden']))) as [Node, Node, Node];
  await a.say({ data: 'both' }, { to: { group: ['cellar', c.id] } });
  await a.call('notify', { data: 'one', co2: { to: { node: c.id }, ttl: 60_000, ordered: true } });
  await a.call('notify', { data: 'all' });
  // What goes to one node and what goes to all may overtake each other.
  const heard = async (node: Node, count: number): Promise<unknown[]> => {
    await node.said.first(count);
    return node.said.all.map(({ heard: data }) => data).sort();
  };
  t.deepEqual(
    [await heard(b, 2), await heard(c, 3)],
    [
      ['all', 'both'],
      ['all', 'both', 'one'],
    ],
  );
  const fault = await t.throwsAsync(a.call('notify', { data: 1, co2: { to: 'shed' } }), { code: 404 } as never);
  t.regex(fault.message, /no node is named 'shed'; known: /);
});

test('a satellite in a child learns what became of its dict, and its sister in the same process does not', async (t) => {
  const places = await placesOf(t, ['attic', 'cellar'], {}, { 'kid/kid.ts': KID });
  const [a, b] = (await startAll(places)) as [Node, Node];
  const id = (await a.callDirectly('kid.kid.say', { data: 'hello' }, { to: b.id })) as string;
  const [{ heard }] = (await a.said.first(1)) as [Said];
  t.deepEqual(heard, [id, 'delivered', b.id]);
  t.like(await a.seen.event('message.outcome'), { satellite: 'kid.kid.Kid' });
  t.deepEqual(a.log.matching(/this is not mine/), []);
});

test('satellites of two nodes that answer each other end after 16 answers, with an alarm', async (t) => {
  const places = await placesOf(t, ['attic', 'cellar'], {}, { 'echo/echo.ts': ECHO });
  const nodes = await startAll(places);
  await nodes[0]!.call('notify', { data: 0 });
  const refused = await Promise.any(nodes.map(({ seen }) => seen.event('message.refused')));
  t.like(refused, { code: 'LIMIT', caller: 'echo.echo.Echo' });
  t.true(nodes.some(({ log }) => log.matching(/do satellites answer each other/).length > 0));
  const highest = Math.max(...nodes.flatMap(({ said }) => said.all.map(({ heard }) => heard as number)));
  t.true(highest <= 16, String(highest));
});

test('classic peers and the mesh are one network', async (t) => {
  const classic = await scriptedPeer(t);
  const [a, b] = await placesOf(t, ['attic', 'cellar']);
  const far = new Place(t, 'cellar', b!.port, { peers: [a!.url, { url: classic.url, classic: true }] });
  const [attic, cellar] = (await startAll([a!, far])) as [Node, Node];
  await attic.call('notify', { data: 'from a client', host_id: 'sensor@127.0.0.1:0' });
  const [dict] = await classic.notified.first(1);
  t.like(dict, { data: 'from a client', host_id: 'sensor@127.0.0.1:0' });
  t.like(dict?.co2, { hops: 14, by: cellar.hostId });
  t.deepEqual((dict?.co2 as { via: Value }).via, [attic.hostId]);
  t.like((dict?.co2 as { att: object }).att, { by: attic.hostId, observed_ip: '127.0.0.1' });
  const co2 = { id: 'classic.1', hops: 15, age: 5, by: `classic@127.0.0.1:${classic.port}`, via: [] };
  const from = { data: 'from there', host_id: `classic@127.0.0.1:${classic.port}`, co2 };
  await cellar.call('notify', from);
  await cellar.call('notify', from);
  const heard = await attic.said.until(({ heard: data }) => data === 'from there');
  t.is(heard.length, 1);
});
