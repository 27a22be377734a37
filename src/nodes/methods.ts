/** The wire methods for the nodes of the mesh: who is there, what they offer, how to get there, and calls of their methods. */
import { RelayError, clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { isCount, onlyMembers, wrongParams } from '../rpc/rpc.ts';
import type { Method, MethodRegistry } from '../rpc/rpc.ts';
import { Double, isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { MAX_TIMEOUT_MS } from './call-messages.ts';
import type { MeshCalls } from './mesh-calls.ts';
import type { NodeInfo, NodeTable, Route } from './node-table.ts';
import type { Hop, Traceroute } from './traceroute.ts';

export interface NodeMethodsParts {
  readonly calls: Pick<MeshCalls, 'call'>;
  readonly table: NodeTable;
  readonly traceroute: Traceroute;
  readonly clock: Pick<Clock, 'now'>;
  /** Version of this relay. */
  readonly version: string;
  /** Units of work that run here. */
  readonly running: () => number;
}

type Struct = Readonly<Record<string, Sendable>>;

const PING_TIMEOUT_MS = 10_000;

/** Registers the methods. */
export function addNodeMethods(registry: MethodRegistry, parts: NodeMethodsParts): void {
  for (const method of [...tables(parts), ...probes(parts)]) registry.add(method);
}

function tables({ table }: NodeMethodsParts): readonly Method[] {
  return [
    {
      name: 'relay.get_nodes',
      access: 'call',
      help: 'Lists the nodes of the mesh, this relay included: [{node, nick, state, version, load, hop, cost, links, methods, work, addresses, neighbours}]. state is self, reachable, too-far (more than 16 hops away, where no message arrives), unreachable or left; load is 0 to 100; hop is the neighbour on the way to it, cost the ms and links the number of links on that way (-1 if there is none); methods is their number, work the types of work.',
      signatures: [['array'], ['array', 'struct']],
      invoke: (params) => {
        onlyMembers('relay.get_nodes', params, []);
        const routes = new Map(table.routes().map((route) => [route.node, route]));
        return table.list().map((node) => nodeOnWire(node, routes.get(node.id)));
      },
    },
    {
      name: 'relay.get_routes',
      access: 'call',
      help: 'Lists the ways from this relay to all nodes, or to one that is named by id or nick: [{node, nick, hop, hop_nick, cost, links}]. hop is the neighbour to which messages for the node go first, cost the ms and links the number of links. A node to which there is no way is not listed.',
      signatures: [['array'], ['array', 'string']],
      paramNames: ['node'],
      invoke: (params) => {
        const routes = table.routes();
        if (params.length === 0) return routes.map((route) => routeOnWire(route, table));
        const node = table.resolve(nameIn('relay.get_routes', params));
        return routes.filter((route) => route.node === node).map((route) => routeOnWire(route, table));
      },
    },
    {
      name: 'relay.get_network_methods',
      access: 'call',
      help: 'Lists the methods that plugins of all nodes offer, sorted by name: [{method, nodes: [{node, nick}]}]. relay.call(node, method, params) calls one.',
      signatures: [['array'], ['array', 'struct']],
      invoke: (params) => {
        onlyMembers('relay.get_network_methods', params, []);
        const methods = new Map<string, Struct[]>();
        for (const { id, nick, state, methods: names } of table.list()) {
          if (state !== 'self' && state !== 'reachable') continue;
          for (const name of names) methods.set(name, [...(methods.get(name) ?? []), { node: id, nick }]);
        }
        return [...methods.keys()].sort().map((method) => ({ method, nodes: methods.get(method) ?? [] }));
      },
    },
  ];
}

function probes(parts: NodeMethodsParts): readonly Method[] {
  const { table, traceroute } = parts;
  return [
    {
      name: 'relay.ping',
      access: 'read',
      help: 'Measures the round trip to a node, named by id or nick: {node, nick, rtt, version, running, load}. rtt is in ms; running is the number of units of work that run there. Without a node it describes this relay. The time limit is in ms, 10000 by default.',
      signatures: [['struct'], ['struct', 'string'], ['struct', 'string', 'int']],
      paramNames: ['node', 'timeout_ms'],
      invoke: (params) => ping(parts, params),
    },
    {
      name: 'relay.traceroute',
      access: 'call',
      help: 'Follows the way to a node, named by id or nick: [{node, nick, address, ms, reached, reason}], a struct for each hop; the last one is the node, or has the reason why it was not reached. ms is the round trip from this relay. With a struct {node, hop} it asks one hop only, the first one if hop is omitted, and returns {hop: {...}, next}: the id of the next one, or empty.',
      signatures: [
        ['array', 'string'],
        ['struct', 'struct'],
      ],
      paramNames: ['node'],
      invoke: async (params, { gone }) => {
        if (isDict(params[0])) return oneHop(parts, params, gone);
        const hops: Sendable[] = [];
        for await (const hop of traceroute.hops(table.resolve(nameIn('relay.traceroute', params)), gone)) hops.push(hopOnWire(hop));
        return hops;
      },
      async *stream(params, { gone }) {
        for await (const hop of traceroute.hops(table.resolve(nameIn('relay.traceroute', params)), gone)) yield hopOnWire(hop);
      },
    },
  ];
}

async function ping({ calls, table, clock, version, running }: NodeMethodsParts, params: readonly Value[]): Promise<Sendable> {
  const self = table.list().find(({ state }) => state === 'self');
  if (params.length === 0)
    return { node: table.self, nick: self?.nick ?? '', rtt: new Double(0), version, running: running(), load: self?.load ?? 0 };
  const [name, timeoutMs = PING_TIMEOUT_MS, ...more] = params;
  if (!isCount(timeoutMs, 1, MAX_TIMEOUT_MS) || more.length > 0)
    throw wrongParams(`relay.ping takes the id or nick of a node, and ms from 1 to ${MAX_TIMEOUT_MS}`);
  const node = table.resolve(nameIn('relay.ping', [name ?? null]));
  const startedAt = clock.now();
  const answer = await calls.call(node, 'relay.ping', [], { timeoutMs });
  const rtt = milliseconds(clock.now() - startedAt);
  if (!isDict(answer)) throw new RelayError('TRANSPORT', `${table.describe(node)} does not answer relay.ping as a relay does`);
  const { nick = '', version: theirs = '', running: units = 0, load = 0 } = answer;
  return { node, nick, rtt, version: theirs, running: units, load };
}

async function oneHop({ table, traceroute }: NodeMethodsParts, params: readonly Value[], gone: AbortSignal | undefined): Promise<Sendable> {
  const { node, hop: at } = onlyMembers('relay.traceroute', params, ['node', 'hop']);
  if (at !== undefined && typeof at !== 'string') throw wrongParams('relay.traceroute: hop is the id of a node, a string');
  const target = table.resolve(nameIn('relay.traceroute', [node ?? null]));
  const { hop, next = '' } = await traceroute.step(target, at === undefined ? undefined : table.resolve(at), gone);
  return { hop: hopOnWire(hop), next };
}

function nodeOnWire({ id, nick, state, version, load, methods, work, addresses, neighbours }: NodeInfo, route: Route | undefined): Struct {
  return {
    ...{ node: id, nick, state, version, load, hop: route?.hop ?? '', cost: route?.cost ?? -1, links: route?.links ?? -1 },
    ...{ methods: methods.length, work, addresses },
    neighbours: neighbours.map((neighbour) => ({ node: neighbour.id, cost: neighbour.cost })),
  };
}

function routeOnWire({ node, nick, hop, cost, links }: Route, table: NodeTable): Struct {
  return { node, nick, hop, hop_nick: table.nickOf(hop), cost, links };
}

/** A hop as the wire and the streams of `relay.traceroute` have it. */
export function hopOnWire({ node, nick, address, ms, isReached, reason }: Hop): Struct {
  return { node, nick, address, ms: milliseconds(ms), reached: isReached, reason: clean(reason, 500) };
}

// A double, also if it is whole.
function milliseconds(ms: number): Double {
  return new Double(Math.round(ms * 1000) / 1000);
}

function nameIn(method: string, [name, ...more]: readonly Value[]): string {
  if (typeof name === 'string' && name !== '' && more.length === 0) return name;
  throw wrongParams(`${method} takes the id or nick of a node, a string; relay.get_nodes lists them`);
}
