/** Calls between the nodes of a mesh, over any number of relays: pings, traces, results, faults, streams, and nodes that go away. */
import test from 'ava';
import { nodeNamed } from '../../src/mesh/mesh.ts';
import { Fault, RelayError } from '../../src/core/core.ts';
import { Double } from '../../src/values/values.ts';
import type { Dict, Value } from '../../src/values/values.ts';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { randomEdges } from '../simulate/chaos.ts';
import { Random } from '../fuzz/random.ts';
import { Gate } from '../support/gate.ts';
import { MemoryMesh } from './memory-mesh.ts';

const NODES = 13;
const SHAPES = {
  flat: Array.from({ length: NODES - 1 }, (_, index) => [index + 1, 0] as const),
  tree: Array.from({ length: NODES - 1 }, (_, index) => [index + 1, Math.floor(index / 3)] as const),
  random: randomEdges(NODES, new Random(7)),
};
const LINE = [[0, 1], [1, 2], [2, 3]] as const; // prettier-ignore

for (const [shape, edges] of Object.entries(SHAPES)) {
  test(`in a ${shape} mesh of 13 nodes all pairs ping, every traceroute is the way that messages take, and all routes agree`, async (t) => {
    const mesh = new MemoryMesh(NODES, edges);
    const linked = new Set((edges as readonly (readonly [number, number])[]).flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]));
    const indexOf = (id: Value | undefined): number => mesh.nodes.findIndex((node) => node.id === id);
    const known = mesh.nodes.map(({ nodes }) => nodes.table.list().map(({ id, neighbours }) => [id, neighbours]));
    for (const one of known) t.deepEqual(one, known[0], 'all nodes know the same links, with the same costs');
    for (const [from, { id: origin, nodes, dispatcher }] of mesh.nodes.entries()) {
      const call = (method: string, to: string): Promise<Value> => dispatcher.callFromProgram(method, [to]);
      const pongs = (await mesh.until(Promise.all(mesh.nodes.map((_, to) => call('relay.ping', `n${to}`))))) as readonly Dict[];
      for (const [to, pong] of pongs.entries()) {
        t.like(pong, { node: mesh.nodes[to]!.id, nick: `n${to}`, version: `1.0.${to}`, running: to });
        t.true((pong.rtt as number) > 0 || to === from);
      }
      const routes = new Map(nodes.table.routes().map((route) => [indexOf(route.node), route]));
      t.is(routes.size, NODES - 1);
      const traces = (await mesh.until(
        Promise.all(mesh.nodes.map(({ id }) => call('relay.traceroute', id))),
      )) as readonly (readonly Dict[])[];
      for (const [to, hops] of traces.entries()) {
        const way = hops.map(({ node }) => indexOf(node));
        t.is(way.at(-1), to);
        t.true(
          hops.every(({ reached, reason, node, address }) => reached === true && reason === '' && address === `http://n${indexOf(node)}`),
        );
        if (to === from) continue;
        for (const [index, hop] of way.entries()) t.true(linked.has(`${index === 0 ? from : way[index - 1]!} ${hop}`));
        const last = mesh.delivered.findLast((one) => one.to === to && one.head.origin === origin && one.head.contentType === 'request');
        t.deepEqual([...last!.via.slice(1).map(indexOf), to], way, `${from} to ${to}`);
        t.is(routes.get(to)!.links, hops.length);
        t.is(way[0], indexOf(routes.get(to)!.hop));
      }
    }
  });
}

test('a node that is added is pinged and traced, and a node that is removed is not', async (t) => {
  const mesh = new MemoryMesh(5, [...LINE, [3, 4]]);
  mesh.world.crash(4, true);
  await mesh.run(3000);
  const ping = (): Promise<Value> => mesh.until(mesh.nodes[0]!.dispatcher.callFromProgram('relay.ping', ['n4', 8000]));
  await t.throwsAsync(ping(), { code: 'TRANSPORT', message: /node n4 .* there is no path to it/ });
  mesh.world.start(4);
  await mesh.run(12_000);
  t.like(await ping(), { nick: 'n4' });
});

test('a traceroute says where the way to a node ends', async (t) => {
  const mesh = new MemoryMesh(4, LINE);
  mesh.world.crash(2, false);
  const hops = (): Promise<readonly Dict[]> => mesh.until(mesh.nodes[0]!.dispatcher.callFromProgram('relay.traceroute', ['n3'])) as never;
  const early = await hops();
  t.deepEqual(early.map(({ nick, reached }) => [nick, reached]), [['n1', true], ['n2', false]]); // prettier-ignore
  t.regex(early.at(-1)!.reason as string, /no path to it/);
  await mesh.run(10_000);
  t.like((await hops())[0], { nick: 'n3', reached: false, ms: -1, reason: 'there is no path to it; is its relay running?' });
});

test('a node is called over 16 hops; of one that is farther, calls, pings and traceroutes say so at once', async (t) => {
  const mesh = new MemoryMesh(
    18,
    Array.from({ length: 17 }, (_, index) => [index, index + 1] as const),
  );
  const call = (method: string, node: string): Promise<Value> => mesh.until(mesh.nodes[0]!.dispatcher.callFromProgram(method, [node]));
  t.like(await call('relay.ping', 'n16'), { node: mesh.nodes[16]!.id, nick: 'n16' });
  const hops = (await call('relay.traceroute', 'n16')) as readonly Dict[];
  t.deepEqual(hops.map(({ nick, reason }) => [nick, reason]), Array.from({ length: 16 }, (_, index) => [`n${index + 1}`, ''])); // prettier-ignore
  const startedAt = mesh.world.now;
  const why = 'it is more than 16 hops away, the limit; link it to a nearer node';
  const message = `relay.ping of node n17 (${mesh.nodes[17]!.id}) cannot be called: ${why}`;
  await t.throwsAsync(call('relay.ping', 'n17'), { code: 'UNAVAILABLE', message });
  t.like(await call('relay.traceroute', 'n17'), [{ nick: 'n17', reached: false, ms: -1, reason: why }]);
  t.true(mesh.world.now - startedAt < 100, 'nobody waits for what cannot arrive');
  const { table } = mesh.nodes[0]!.nodes;
  t.deepEqual(table.list().flatMap(({ nick, state }) => (state === 'reachable' || state === 'self' ? [] : [[nick, state]])), [['n17', 'too-far']]); // prettier-ignore
  t.is(table.routes().length, 16);
  t.like(await mesh.until(mesh.nodes[1]!.dispatcher.callFromProgram('relay.ping', ['n17'])), { nick: 'n17' });
});

test('one hop at a time gives the same hops as the whole traceroute, and as its stream', async (t) => {
  const mesh = new MemoryMesh(4, LINE);
  const { dispatcher, nodes } = mesh.nodes[0]!;
  const seen: string[] = [];
  for (let next: Value | undefined; next !== '';) {
    const step = (await mesh.until(
      dispatcher.callFromProgram('relay.traceroute', [{ node: 'n3', ...(next !== undefined && { hop: next }) }]),
    )) as Dict;
    seen.push((step.hop as Dict).nick as string);
    next = step.next!;
  }
  t.deepEqual(seen, ['n1', 'n2', 'n3']);
  const streamed: Value[] = [];
  const read = async (): Promise<void> => {
    for await (const hop of nodes.calls.stream('n3', 'relay.traceroute', ['n0'])) streamed.push((hop as Dict).nick!);
  };
  await mesh.until(read());
  t.deepEqual(streamed, ['n2', 'n1', 'n0']);
});

test('results, faults and errors of a far method arrive as they were, and errors name the node', async (t) => {
  const mesh = new MemoryMesh(4, LINE, {
    methods: () => [
      { name: 'ham.spam.echo', invoke: (params, exactOf) => ((exactOf(params) as Value[] | undefined) ?? params)[0]! },
      { name: 'ham.spam.fault', invoke: () => Promise.reject(new Fault(42, 'no such sensor')) },
      {
        name: 'ham.spam.full',
        invoke: () => Promise.reject(new RelayError('LIMIT', 'too much', { data: { option: 'maxBodyBytes', path: '/secret' } })),
      },
      {
        name: 'ham.spam.typed',
        signature: [['double', 'double']],
        invoke: (params, exactOf) => Double.is((exactOf(params) as readonly unknown[] | undefined)?.[0]),
      },
    ],
  });
  const { nodes } = mesh.nodes[0]!;
  const call = (method: string, ...params: never[]): Promise<Value> => mesh.until(nodes.calls.call('n3', `ham.spam.${method}`, params));
  const values = [1, 'x', true, null, 2n ** 60n, Buffer.from([0, 255]), new Date(0), [1, [2]], { a: { b: 'c' } }, '\u{1f600}']; // prettier-ignore
  for (const value of values) t.deepEqual(JSON.stringify(await call('echo', value as never), big), JSON.stringify(value, big));
  t.deepEqual(await mesh.until(nodes.calls.callExact('n3', 'ham.spam.echo', [new Double(1)])), new Double(1));
  const typed = (plainNumbers: boolean) => mesh.until(nodes.calls.callExact('n3', 'ham.spam.typed', [2], { plainNumbers }));
  t.deepEqual([await typed(true), await typed(false)], [true, false], 'the signature decides about numbers of JavaScript');
  t.like(await t.throwsAsync(call('fault')), { code: 42, message: 'no such sensor', name: 'Fault' });
  const full = await t.throwsAsync<RelayError>(call('full'));
  t.like(full, { code: 'LIMIT', message: `node n3 (${mesh.nodes[3]!.id}): too much` });
  t.deepEqual(full.data, { option: 'maxBodyBytes' }, 'a path stays on its machine');
  await t.throwsAsync(call('nobody'), { code: 'NO_SUCH_METHOD', message: /^node n3 .*no method is named 'ham\.spam\.nobody'/ });
  await t.throwsAsync(mesh.until(nodes.calls.call('n9', 'ping', [])), {
    code: 'NOT_FOUND',
    message: /no node is named 'n9'; did you mean "n0"/,
  });
});

function big(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

test('what does not fit into a message is refused, with its size, in both directions', async (t) => {
  const mesh = new MemoryMesh(2, [[0, 1]], { methods: () => [{ invoke: ([size]) => 'x'.repeat(size as number) }] });
  const { calls } = mesh.nodes[0]!.nodes;
  const large = (await mesh.until(calls.call('n1', 'ham.spam.run', [4_000_000]))) as string;
  t.is(large.length, 4_000_000);
  await t.throwsAsync(mesh.until(calls.call('n1', 'ham.spam.run', [4_200_000])), {
    ...{
      code: 'LIMIT',
      message: /node n1 .*the result of ham\.spam\.run take[s]? 42\d+ bytes; a call between nodes carries at most 4194304/,
    },
  });
  await t.throwsAsync(mesh.until(calls.call('n1', 'ham.spam.run', ['x'.repeat(4_200_000)])), {
    code: 'LIMIT',
    message: /^the parameters of/,
  });
  t.deepEqual(calls.open, { outgoing: 0, incoming: 0 });
});

test('a call that takes too long, or is canceled, ends at both nodes', async (t) => {
  const started = new Gate<AbortSignal>();
  const mesh = new MemoryMesh(3, LINE.slice(0, 2));
  for (const { dispatcher } of mesh.nodes)
    dispatcher.registry.add({
      ...{ name: 'test.wait', access: 'call', help: '', signatures: undefined },
      invoke: (_params, { gone }) =>
        new Promise((resolve) => {
          started.push(gone!);
          gone!.addEventListener('abort', () => {
            resolve(true);
          });
        }),
    });
  const { calls } = mesh.nodes[0]!.nodes;
  await t.throwsAsync(mesh.until(calls.call('n2', 'test.wait', [], { timeoutMs: 500 })), {
    code: 'TIMEOUT',
    message: /node n2 .* did not answer test\.wait in 500 ms/,
  });
  await mesh.run(100);
  t.true(started.all[0]!.aborted);
  const cancel = new AbortController();
  const canceled = calls.call('n2', 'test.wait', [], { signal: cancel.signal });
  canceled.catch(() => undefined);
  await mesh.run(100);
  t.false(started.all[1]!.aborted);
  cancel.abort(new RelayError('UNAVAILABLE', 'enough'));
  await t.throwsAsync(mesh.until(canceled), { message: 'enough' });
  await mesh.run(100);
  t.true(started.all[1]!.aborted);
  for (const { nodes } of mesh.nodes) t.deepEqual(nodes.calls.open, { outgoing: 0, incoming: 0 });
  await t.throwsAsync(calls.call('n2', 'test.wait', [], { timeoutMs: 0 }), { code: 'INVALID_PARAMS' });
});

test('the caller learns early that a node is gone, has restarted or has left', async (t) => {
  const mesh = new MemoryMesh(4, LINE, { methods: () => [{ invoke: () => new Promise(() => undefined) }] });
  const { calls } = mesh.nodes[0]!.nodes;
  const failing = async (happens: () => void): Promise<{ readonly error: Error; readonly ms: number }> => {
    const open = calls.call('n3', 'ham.spam.run', [], { timeoutMs: 120_000 });
    open.catch(() => undefined);
    await mesh.run(200);
    const begin = mesh.world.now;
    happens();
    const error = await t.throwsAsync(mesh.until(open), { code: 'TRANSPORT' });
    return { error, ms: mesh.world.now - begin };
  };
  const left = await failing(() => {
    mesh.world.event(3, { type: 'leave' });
  });
  t.regex(left.error.message, /ham\.spam\.run of node n3 .* was not answered: it has left the mesh/);
  t.true(left.ms < 2000, `${left.ms}`);
  mesh.world.crash(3, true);
  mesh.world.start(3);
  await mesh.run(10_000);
  const restarted = await failing(() => {
    mesh.world.crash(3, true);
    mesh.world.start(3);
  });
  t.regex(restarted.error.message, /it was restarted; whether it ran the call is not known/);
  t.true(restarted.ms < 6000, `${restarted.ms}`);
  await mesh.run(10_000);
  const gone = await failing(() => {
    mesh.world.crash(3, false);
  });
  t.regex(gone.error.message, /there is no path to it/);
  t.true(gone.ms < 12_000, `${gone.ms}`);
});

test('a node that comes back does not run what its caller was told has failed', async (t) => {
  const ran: number[] = [];
  const mesh = new MemoryMesh(4, LINE, { methods: () => [{ invoke: (params) => ran.push(params[0] as number) }] });
  const { calls } = mesh.nodes[0]!.nodes;
  t.is(await mesh.until(calls.call('n3', 'ham.spam.run', [1])), 1);
  mesh.world.crash(3, false);
  await mesh.run(5000);
  const lost = calls.call('n3', 'ham.spam.run', [2], { timeoutMs: 120_000 });
  await t.throwsAsync(mesh.until(lost), { code: 'TRANSPORT', message: /there is no path to it/ });
  mesh.world.start(3);
  await mesh.run(10_000);
  t.is(await mesh.until(calls.call('n3', 'ham.spam.run', [3])), 2);
  t.deepEqual(ran, [1, 3]);
});

test('a request that its cancellation overtakes is not run', async (t) => {
  let ran = 0;
  const mesh = new MemoryMesh(2, [[0, 1]], { methods: () => [{ invoke: () => ++ran }] });
  const { port } = mesh.nodes[1]!;
  const deliver = port.deliver.bind(port);
  const late: Parameters<typeof deliver>[0][] = [];
  port.deliver = (arrival) => {
    if (arrival.head.contentType === 'request') late.push(arrival);
    else deliver(arrival);
  };
  const { calls } = mesh.nodes[0]!.nodes;
  await t.throwsAsync(mesh.until(calls.call('n1', 'ham.spam.run', [], { timeoutMs: 500 })), { code: 'TIMEOUT' });
  await mesh.run(100);
  t.is(late.length, 1);
  deliver(late[0]!);
  await mesh.run(100);
  t.is(ran, 0);
  port.deliver = deliver;
  t.is(await mesh.until(calls.call('n1', 'ham.spam.run', [])), 1);
});

test('a request that arrives twice runs once, and an answer that others send is ignored', async (t) => {
  let ran = 0;
  const mesh = new MemoryMesh(3, LINE.slice(0, 2), { methods: () => [{ invoke: () => ++ran }] });
  const [near, , far] = mesh.nodes;
  const twice = far!.port.deliver.bind(far!.port);
  far!.port.deliver = (arrival) => {
    twice(arrival);
    twice(arrival);
  };
  t.is(await mesh.until(near!.nodes.calls.call('n2', 'ham.spam.run', [])), 1);
  await mesh.run(100);
  t.is(ran, 1);
  const open = near!.nodes.calls.call('n2', 'ham.spam.run', []);
  const take = near!.port.deliver.bind(near!.port);
  near!.port.deliver = (arrival) => {
    take({
      ...arrival,
      head: { ...arrival.head, origin: mesh.nodes[1]!.id },
      payload: serialiseResponse({ number: 0, last: true, value: 99 }),
    });
    mesh.world.after(50, () => {
      take(arrival);
    });
  };
  t.is(await mesh.until(open), 2);
});

test('no node takes more calls at a time than its limit, and the caller learns why', async (t) => {
  const mesh = new MemoryMesh(2, [[0, 1]], { methods: () => [{ invoke: () => new Promise(() => undefined) }] });
  const { calls } = mesh.nodes[0]!.nodes;
  const open = Array.from({ length: 256 }, () =>
    calls.call('n1', 'ham.spam.run', [], { timeoutMs: 5000 }).catch((error: unknown) => (error as RelayError).code),
  );
  await t.throwsAsync(calls.call('n1', 'ham.spam.run', []), { code: 'LIMIT', message: /node n1 .* has not answered 256 calls/ });
  await mesh.run(500);
  t.is(mesh.nodes[1]!.nodes.calls.open.incoming, 256);
  t.deepEqual(new Set(await mesh.until(Promise.all(open))), new Set(['TIMEOUT']));
  // What a plugin began goes on, until its own time limit (callTimeoutMs).
  await mesh.run(60_000);
  t.is(mesh.nodes[1]!.nodes.calls.open.incoming, 0);
});

test('a far call has the rights that both the peer and the caller have, and nobody calls what belongs to a connection', async (t) => {
  const methods = () => [
    {},
    { name: 'ham.spam.operate', access: 'admin' as const },
    { name: 'ham.spam.traffic', access: 'message' as const },
  ];
  const mesh = new MemoryMesh(2, [[0, 1]], { methods, access: { peer: ['read', 'message', 'call', 'admin'] } });
  const { calls } = mesh.nodes[0]!.nodes;
  const call = (method: string, rights?: readonly ('call' | 'admin')[]): Promise<Value> =>
    mesh.until(calls.callExact('n1', method, [], { rights, as: 'ham.eggs' })) as Promise<Value>;
  t.true(await call('ham.spam.operate'));
  await t.throwsAsync(call('ham.spam.operate', ['call']), {
    code: 'FORBIDDEN',
    message: /needs the right 'admin', which node n0 .* for ham\.eggs does not have/,
  });
  await t.throwsAsync(call('ham.spam.traffic', ['call']), { code: 'FORBIDDEN' });
  const { registry } = mesh.nodes[1]!.dispatcher;
  registry.add({ name: 'test.of', access: 'read', isOfConnection: true, help: '', signatures: undefined, invoke: () => true });
  registry.add({ name: 'test.all', access: 'read', isForAll: true, help: '', signatures: undefined, invoke: () => true });
  for (const name of ['test.of', 'test.all']) {
    await t.throwsAsync(call(name), { code: 'FORBIDDEN', message: /cannot be called through the mesh/ });
    const [inner] = (await mesh.until(calls.call('n1', 'system.multicall', [[{ methodName: name, params: [] }]]))) as readonly Dict[];
    t.is(inner!.faultCode, 403);
  }
  const strict = new MemoryMesh(2, [[0, 1]], { methods, access: { peer: ['read'] } });
  await t.throwsAsync(strict.until(strict.nodes[0]!.nodes.calls.call('n1', 'ham.spam.run', [])), { code: 'FORBIDDEN' });
});

test('a stream arrives whole and in order, waits for its reader, and ends with it', async (t) => {
  const mesh = new MemoryMesh(4, LINE);
  let made = 0;
  let ended = 0;
  mesh.nodes[3]!.dispatcher.registry.add({
    ...{ name: 'test.count', access: 'call', help: '', signatures: undefined, invoke: () => true },
    async *stream([until]) {
      try {
        for (let item = 0; item < (until as number); item++) {
          made++;
          yield { item };
        }
        if (until === 5) throw new Fault(7, 'five is enough');
      } finally {
        ended++;
      }
    },
  });
  const { calls } = mesh.nodes[0]!.nodes;
  const read = async (until: number, max = Infinity): Promise<number[]> => {
    const items: number[] = [];
    for await (const item of calls.stream('n3', 'test.count', [until])) {
      items.push((item as Dict).item as number);
      if (items.length >= max) break;
    }
    return items;
  };
  t.deepEqual(
    await mesh.until(read(1000)),
    Array.from({ length: 1000 }, (_, index) => index),
  );
  t.deepEqual([made, ended], [1000, 1]);
  await t.throwsAsync(mesh.until(read(5)), { name: 'Fault', message: 'five is enough' } as never);
  made = 0;
  t.deepEqual(await mesh.until(read(1000, 3)), [0, 1, 2]);
  await mesh.run(200);
  t.true(made <= 12, `${made} were made for a reader of three`);
  t.is(ended, 3);
  await t.throwsAsync(mesh.until(calls.stream('n3', 'relay.ping', [])[Symbol.asyncIterator]().next()), { code: 'INVALID_PARAMS' });
  for (const { nodes } of mesh.nodes) t.deepEqual(nodes.calls.open, { outgoing: 0, incoming: 0 });
});

test('all nodes know the methods of all, as plugins come and go', async (t) => {
  const mesh = new MemoryMesh(4, LINE, {
    methods: (index) => [{ name: `ham.spam.m${index % 2}` }, { name: `ham.spam.a${index}`, access: 'admin' }],
  });
  const { dispatcher } = mesh.nodes[0]!;
  const methods = async (): Promise<unknown> => {
    const list = (await mesh.until(dispatcher.callFromProgram('relay.get_network_methods', []))) as readonly Dict[];
    return list.map(({ method, nodes }) => `${method as string}: ${(nodes as Dict[]).map(({ nick }) => nick as string).join(' ')}`);
  };
  t.deepEqual(await methods(), ['ham.spam.m0: n0 n2', 'ham.spam.m1: n1 n3']);
  const far = mesh.nodes[3]!;
  far.dispatcher.expose('ham.spam', []);
  far.nodes.offer.refresh();
  await mesh.run(1000);
  t.deepEqual(await methods(), ['ham.spam.m0: n0 n2', 'ham.spam.m1: n1']);
});

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32)) as [string, string, string, string];
const NAMED = [
  { id: A, nick: 'attic', isLeaving: false },
  { id: B, nick: 'cellar', isLeaving: true },
  { id: C, nick: 'cellar', isLeaving: false },
  { id: 'e'.repeat(32), nick: 'shed', isLeaving: true },
  { id: 'f'.repeat(32), nick: D, isLeaving: false },
  { id: 'g'.repeat(32), nick: 'twin', isLeaving: false },
  { id: 'h'.repeat(32), nick: 'twin', isLeaving: false },
];
const FOUND: readonly (readonly [what: string, name: string, now: string | RegExp, later: string | RegExp])[] = [
  ['an id', A, A, A],
  ['a nick', 'attic', A, A],
  ['a nick of which one node has left', 'cellar', C, C],
  ['a node that has left', 'shed', /node 'shed' has left the mesh; is its relay running\?/, 'e'.repeat(32)],
  ['an unknown id that is the nick of another node', D, /no node is named 'd+'; known: attic, cellar, f+, twin$/, D],
  ['a nick of two nodes', 'twin', /2 nodes are named 'twin': use the id of one, g+ or h+$/, /2 nodes are named 'twin'/],
  ['a misspelt nick', 'atic', /no node is named 'atic'; did you mean "attic"\?$/, /did you mean "attic"\?$/],
  ['another name', 'garden', /no node is named 'garden'; known: .*twin$/, /; a node that is down can be named by its id$/],
];

for (const [what, name, now, later] of FOUND) {
  test(`nodes are found by name: ${what}`, (t) => {
    const check = (wanted: string | RegExp, mayBeAway: boolean): void => {
      if (typeof wanted === 'string') t.is(nodeNamed(name, NAMED, { mayBeAway }), wanted);
      else t.throws(() => nodeNamed(name, NAMED, { mayBeAway }), { code: 'NOT_FOUND', message: wanted });
    };
    check(now, false);
    check(later, true);
  });
}
