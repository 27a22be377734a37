/**
 * Relays that are each other's satellites, peers or both, and programs that echo what they receive: every dict arrives once, and traffic
 * ends.
 */
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Dict, Sendable } from '../../src/values/values.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { parseCall, serialiseFault, serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { freePorts, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

/** `satellite`: the relay `to` is registered at `from`. `peer`: `to` is a peer in the configuration of `from`. */
interface Edge {
  readonly kind: 'satellite' | 'peer';
  readonly from: number;
  readonly to: number;
}

/** How a program echoes the dict that it was notified of. */
type EchoKind = 'notify' | 'relay.relay' | 'token' | 'no stamp';

/** A program that is registered at the relay `at` and sends what it receives to the relay `to`. */
interface Echo {
  readonly at: number;
  readonly to: number;
  readonly kind: EchoKind;
}

interface Shape {
  readonly relays: number;
  readonly edges: readonly Edge[];
  readonly echoes: readonly Echo[];
}

interface Program {
  readonly at: number;
  readonly heard: unknown[];
  readonly busy: () => number;
}

interface Network {
  readonly relays: readonly TestRelay[];
  readonly programs: readonly Program[];
}

const HOST = '127.0.0.1';
// Relays also listen on this address, so that one that is already a peer can be registered at another address.
const SECOND_HOST = '127.0.0.2';

async function start(t: ExecutionContext, { relays: count, edges, echoes }: Shape): Promise<Network> {
  const ports = await freePorts(count);
  const relays = await Promise.all(
    ports.map((port, index) => {
      const peers = edges.filter(({ kind, from }) => kind === 'peer' && from === index).map(({ to }) => `http://${HOST}:${ports[to]!}`);
      return startRelay(t, { port, host: [HOST, SECOND_HOST], peers, drainMs: 2000, retry: { minMs: 5, maxMs: 20 } });
    }),
  );
  for (const { from, to } of edges.filter(({ kind }) => kind === 'satellite')) {
    if (from === to) await register(t, relays[from]!, await forwarder(t, ports[to]!), HOST);
    else await register(t, relays[from]!, ports[to]!, SECOND_HOST);
  }
  const programs: Program[] = [];
  for (const at of relays.keys()) programs.push(await startProgram(t, relays, { at }));
  for (const { at, to, kind } of echoes) programs.push(await startProgram(t, relays, { at, to, kind }));
  return { relays, programs };
}

/** Returns a port that forwards to the port of a relay, which therefore does not recognize it as its own. */
async function forwarder(t: ExecutionContext, port: number): Promise<number> {
  const server = createTcpServer((socket) => {
    const onward = connect(port, HOST);
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on('error', () => undefined).on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function register(t: ExecutionContext, relay: TestRelay, port: number, host: string): Promise<Dict> {
  const client = new XmlRpcClient(new URL(relay.url), { localAddress: host });
  t.teardown(() => client.close());
  return (await client.call('relay.register', [{ port }])) as Dict;
}

async function startProgram(
  t: ExecutionContext,
  relays: readonly TestRelay[],
  { at, to, kind }: { readonly at: number; readonly to?: number; readonly kind?: EchoKind },
): Promise<Program> {
  const heard: unknown[] = [];
  let busy = 0;
  let token = '';
  const client = to === undefined ? undefined : new XmlRpcClient(new URL(relays[to]!.url));
  t.teardown(() => client?.close());
  const echo = async (dict: Dict): Promise<void> => {
    if (!client || kind === undefined) return;
    const { co2: _co2, ...plain } = dict as Dict & Record<string, Sendable>;
    if (kind === 'token') await client.call('relay.relay', [{ ...plain, co2: { token } }]);
    else if (kind === 'no stamp') await client.call('notify', [plain]);
    else await client.call(kind, [dict]);
  };
  const server = createServer((request, response) => {
    busy++;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { methodName, params } = parseCall(Buffer.concat(chunks));
      if (methodName === 'notify') heard.push((params[0] as Dict).data);
      const echoed = methodName === 'notify' ? echo(params[0] as Dict) : Promise.resolve();
      response.setHeader('content-type', 'text/xml');
      void echoed
        .then(
          () => response.end(serialiseResponse(true)),
          (error: unknown) => response.end(serialiseFault(1, String(error))),
        )
        .finally(() => busy--);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  ({ token } = (await register(t, relays[at]!, (server.address() as AddressInfo).port, HOST)) as unknown as { token: string });
  return { at, heard, busy: () => busy };
}

/**
 * Resolves when all links and programs are idle: all of them are in this process, so nothing is in flight then. Fails on far more traffic
 * than there are dicts.
 */
async function quiet(t: ExecutionContext, { relays, programs }: Network, atMost: number): Promise<void> {
  for (;;) {
    const statuses = relays.map((relay) => relay.status());
    const accepted = statuses.reduce((sum, { relay }) => sum + relay.accepted, 0);
    if (accepted > atMost) {
      t.fail(`message storm: ${accepted} dicts accepted`);
      return;
    }
    const links = statuses.flatMap(({ mesh, satellites }) => [...mesh.peers, ...satellites.satellites.map(({ link }) => link)]);
    const neighbours = statuses.flatMap(({ mesh }) => mesh.node?.neighbours ?? []);
    const isIdle =
      links.every(({ isSending, waiting }) => !isSending && waiting === 0) &&
      neighbours.every(({ waitingMessages, inFlightMessages }) => waitingMessages + inFlightMessages === 0);
    if (isIdle && programs.every(({ busy }) => busy() === 0)) return;
    await new Promise(setImmediate);
  }
}

/** The relays that a dict sent at `from` reaches. */
function reachable(from: number, { edges, echoes }: Shape): Set<number> {
  const ways = [...edges.map((edge) => [edge.from, edge.to] as const), ...echoes.map(({ at, to }) => [at, to] as const)];
  const reached = new Set([from]);
  for (let size = 0; size < reached.size;) {
    size = reached.size;
    for (const [one, other] of ways) if (reached.has(one)) reached.add(other);
  }
  return reached;
}

/** Sends dicts from clients and plugins of each relay; asserts that every reachable recipient gets each one exactly once. */
async function everyDictArrivesOnce(t: ExecutionContext, shape: Shape): Promise<void> {
  const network = await start(t, shape);
  const { relays, programs } = network;
  const sent: { readonly data: string; readonly from: number; readonly isOwn: boolean }[] = [];
  for (const [from, relay] of relays.entries()) {
    sent.push({ data: `client of ${from}`, from, isOwn: false }, { data: `plugin of ${from}`, from, isOwn: true });
    await relay.call('notify', { data: `client of ${from}`, list: [1, 2.5, 'x'], host_id: `sensor@${HOST}:0` });
    await relay.emit({ data: `plugin of ${from}` });
  }
  await quiet(t, network, sent.length * relays.length);
  for (const { data, from, isOwn } of sent) {
    const reached = reachable(from, shape);
    for (const [index, { received }] of relays.entries()) {
      const heard = received.all.filter(({ dict }) => dict.data === data).length;
      t.is(heard, reached.has(index) && !(isOwn && index === from) ? 1 : 0, `'${data}' at the plugin of relay ${index}`);
    }
    for (const { at, heard } of programs) {
      t.is(heard.filter((one) => one === data).length, reached.has(at) ? 1 : 0, `'${data}' at a program of relay ${at}`);
    }
  }
  t.deepEqual(
    relays.map((relay) => relay.status().relay.originRefused),
    relays.map(() => 0),
    'an echo is not a forgery',
  );
  await Promise.all(relays.map((relay) => relay.stop()));
}

const ring = (kind: Edge['kind'], count: number): Edge[] =>
  Array.from({ length: count }, (_, from) => ({ kind, from, to: (from + 1) % count }));
const all = (kind: Edge['kind'], count: number): Edge[] =>
  Array.from({ length: count }, (_, from) => from).flatMap((from) =>
    Array.from({ length: count }, (_, to) => ({ kind, from, to })).filter(({ to }) => to !== from),
  );

const SHAPES: readonly (readonly [title: string, shape: Shape])[] = [
  ['two relays, each a satellite of the other', { relays: 2, edges: all('satellite', 2), echoes: [] }],
  ['a relay that is registered at itself by another port', { relays: 1, edges: [{ kind: 'satellite', from: 0, to: 0 }], echoes: [] }],
  ['three relays in a ring of satellites', { relays: 3, edges: ring('satellite', 3), echoes: [] }],
  ['four relays, each a satellite of all others', { relays: 4, edges: all('satellite', 4), echoes: [] }],
  ['two relays that are peers and satellites at once', { relays: 2, edges: [...all('satellite', 2), ...all('peer', 2)], echoes: [] }],
  [
    'a peer on one side, a satellite on the other',
    {
      relays: 2,
      edges: [
        { kind: 'peer', from: 0, to: 1 },
        { kind: 'satellite', from: 1, to: 0 },
      ],
      echoes: [],
    },
  ],
  [
    'a ring of peers and satellites',
    {
      relays: 3,
      edges: [
        { kind: 'peer', from: 0, to: 1 },
        { kind: 'satellite', from: 1, to: 2 },
        { kind: 'satellite', from: 2, to: 0 },
      ],
      echoes: [],
    },
  ],
  [
    'programs that send back what they get, in every way',
    {
      relays: 1,
      edges: [],
      echoes: (['notify', 'relay.relay', 'token', 'token', 'no stamp'] as const).map((kind) => ({ at: 0, to: 0, kind })),
    },
  ],
  [
    'programs that forward dicts in a cycle between two relays',
    {
      relays: 2,
      edges: all('satellite', 2),
      echoes: [
        { at: 0, to: 1, kind: 'notify' },
        { at: 1, to: 0, kind: 'relay.relay' },
      ],
    },
  ],
];

for (const [title, shape] of SHAPES) {
  test.serial(`${title}: every dict arrives once, and traffic ends`, async (t) => {
    await everyDictArrivesOnce(t, shape);
  });
}

test.serial('any graph of relays and programs that echo: every dict arrives once, and traffic ends', async (t) => {
  t.timeout(120_000);
  const shapes = fc.integer({ min: 2, max: 5 }).chain((relays) => {
    const index = fc.integer({ min: 0, max: relays - 1 });
    const edge = fc.record({ kind: fc.constantFrom('satellite' as const, 'peer' as const), from: index, to: index });
    const echo = fc.oneof(
      fc.record({ at: index, to: index, kind: fc.constantFrom('notify' as const, 'relay.relay' as const) }),
      // Without a stamp, only the relay that sent the dict can recognize it.
      fc.record({ at: index, kind: fc.constantFrom('token' as const, 'no stamp' as const) }).map((one) => ({ ...one, to: one.at })),
    );
    const edges = fc.uniqueArray(edge, { maxLength: 12, selector: ({ kind, from, to }) => `${kind} ${from} ${to}` });
    return fc.record({
      relays: fc.constant(relays),
      edges: edges.map((list) => list.filter(({ kind, from, to }) => from !== to || kind === 'satellite')),
      echoes: fc.array(echo, { maxLength: 4 }),
    });
  });
  await fc.assert(
    fc.asyncProperty(shapes, async (shape) => {
      const result = await t.try((attempt) => everyDictArrivesOnce(attempt, shape));
      const { errors } = result;
      if (result.passed) result.commit({ retainLogs: false });
      else result.discard();
      if (!result.passed) throw new Error(errors.map(({ message }) => message).join('; '));
    }),
    { numRuns: 12, endOnFailure: true },
  );
  t.pass();
});

test.serial('a forged stamp cannot suppress the dict of another sender', async (t) => {
  const [port, peerPort] = await freePorts(2);
  const peer = await startRelay(t, { port: peerPort!, host: SECOND_HOST, peers: [`http://${HOST}:${port!}`] });
  const relay = await startRelay(t, { port: port!, peers: [`http://${SECOND_HOST}:${peerPort!}`] });
  const from = (data: Sendable, co2: Sendable): Promise<unknown> => relay.call('notify', { data, host_id: `sensor@${HOST}:0`, co2 });
  // The caller is not a peer and guesses the ids to come: of a relay that has this one as its satellite, of this relay, and of its peer.
  const [, first] = [await relay.emit({ data: 'first' }), await peer.emit({ data: 'of the peer' })];
  const next = first.replace(/\.(\w+)$/, (_dot, count: string) => `.${(parseInt(count, 36) + 1).toString(36)}`);
  const by = `other@${HOST}:2004`;
  const stamp = { id: 'abc.1', hops: 16, age: 0, by, via: [] };
  const forged: readonly (readonly [data: string, co2: Sendable])[] = [
    ['forged', stamp],
    ['forged without hops', { ...stamp, hops: 0 }],
    ['forged, has passed the peer', { ...stamp, via: [peer.hostId] }],
    ['forged claim', { ...stamp, id: 'abc.2', claim: 'abc.1' }],
    ['forged id of the peer', { ...stamp, id: next }],
    ['forged odd stamp', { id: 7, claim: [], by: 7 }],
  ];
  for (const [data, co2] of forged) await from(data, co2);
  await from('true', stamp);
  await from('true', stamp);
  await peer.emit({ data: 'next of the peer' });
  await relay.received.until(({ dict }) => dict.data === 'next of the peer');
  const wanted = [...forged.map(([data]) => data), 'true'];
  await peer.received.until(({ dict }) => dict.data === 'true');
  for (const { received } of [relay, peer]) {
    const heard = received.all.map(({ dict }) => dict.data).filter((data) => wanted.includes(data as string));
    t.deepEqual(heard, wanted, 'each once, since each says something else');
  }
});
