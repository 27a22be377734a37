/** The nodes of the mesh as the rest of the relay uses them: calls of their methods, and what is known of them. */
import type { Clock, LogSource, Step } from '../core/core.ts';
import { writeJson } from '../json/json.ts';
import type { MeshPort } from '../mesh/mesh.ts';
import type { NeighbourStatus } from '../mesh-core/mesh-core.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import { MeshCalls } from './mesh-calls.ts';
import { addNodeMethods, hopOnWire } from './methods.ts';
import { NodeTable } from './node-table.ts';
import type { NodeInfo } from './node-table.ts';
import { Offer } from './offer.ts';
import { Traceroute } from './traceroute.ts';

export { lonelyPort } from './lonely-port.ts';
export { MeshCalls } from './mesh-calls.ts';
export type { NodeCallCounts, NodeCallFor } from './mesh-calls.ts';
export type { NodeCallOptions, NodeCalls } from './node-calls.ts';
export { NodeTable } from './node-table.ts';
export type { NodeInfo, Route } from './node-table.ts';
export { Offer } from './offer.ts';
export { Traceroute } from './traceroute.ts';
export type { Hop, Step } from './traceroute.ts';

/** A node at a glance. */
export interface NodeOverview extends Omit<NodeInfo, 'methods' | 'epoch' | 'neighbours' | 'id' | 'addresses'> {
  readonly node: string;
  /** The nick of the neighbour on the way to it, and the ms and links of that way; undefined if there is none. */
  readonly way: { readonly hop: string; readonly cost: number; readonly links: number } | undefined;
  /** The number of methods that its plugins offer. */
  readonly methods: number;
  /** ms; undefined unless it is a neighbour with a link. */
  readonly rtt: number | undefined;
  /** Messages that wait here for it; undefined unless it is a neighbour. */
  readonly waiting: number | undefined;
}

/** A server-sent event; `data` is one line of JSON. */
interface NodeEvent {
  readonly type: 'hop' | 'end';
  /** After which nothing follows. */
  readonly id: string | undefined;
  readonly data: string;
}

export interface NodesParts {
  readonly port: MeshPort;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly logs: LogSource;
  /** Version of this relay. */
  readonly version: string;
  /** Types of work that this relay offers. */
  readonly work: () => readonly string[];
  /** Units of work that run here. */
  readonly running: () => number;
}

/** All that a relay has for the nodes of its mesh. */
export class Nodes {
  readonly table: NodeTable;
  readonly calls: MeshCalls;
  readonly traceroute: Traceroute;
  readonly offer: Offer;

  /** Makes it, before the mesh starts, and registers its methods. */
  constructor({ port, dispatcher, clock, logs, version, work, running }: NodesParts) {
    const log = logs('nodes');
    const { registry } = dispatcher;
    this.table = new NodeTable(port);
    this.calls = new MeshCalls({ port, table: this.table, runner: dispatcher, clock, log });
    this.traceroute = new Traceroute({ calls: this.calls, table: this.table, clock });
    const methods = (): readonly string[] =>
      registry
        .exposed()
        .filter(({ access }) => access !== 'admin')
        .map(({ name }) => name);
    this.offer = new Offer({ port, version, methods, work, running, clock, log });
    addNodeMethods(registry, { calls: this.calls, table: this.table, traceroute: this.traceroute, clock, version, running });
  }

  /** The id of a node with this id or nick. Throws a RelayError NOT_FOUND. */
  resolve(name: string): string {
    return this.table.resolve(name);
  }

  /** All nodes at a glance, as {@link NodeTable.list} sorts them. */
  overview(neighbours: readonly NeighbourStatus[]): readonly NodeOverview[] {
    const links = new Map(neighbours.map((neighbour) => [neighbour.id, neighbour]));
    const routes = new Map(this.table.routes().map((route) => [route.node, route]));
    return this.table.list().map(({ id, nick, state, version, load, methods, work }) => {
      const [link, route] = [links.get(id), routes.get(id)];
      return {
        ...{ node: id, nick, state, version, load, methods: methods.length, work },
        way: route && { hop: this.table.nickOf(route.hop), cost: route.cost, links: route.links },
        rtt: link?.state === 'up' ? link.rttMs : undefined,
        waiting: link?.waitingMessages,
      };
    });
  }

  /** The hops to a node as server-sent events: `hop` as soon as each has answered, then `end`. */
  async *events(node: string, signal: AbortSignal): AsyncGenerator<NodeEvent, void> {
    for await (const hop of this.traceroute.hops(node, signal))
      yield { type: 'hop', id: undefined, data: writeJson(hopOnWire(hop), 'hop') };
    yield { type: 'end', id: 'end', data: '{}' };
  }

  /** Tells the other nodes what this one offers, from the start on. */
  get step(): Step {
    return {
      name: 'nodes',
      start: () => {
        this.offer.start();
      },
      stop: () => {
        this.stop();
      },
    };
  }

  /** Ends all calls, in both directions. */
  stop(): void {
    this.offer.stop();
    this.calls.stop();
  }
}
