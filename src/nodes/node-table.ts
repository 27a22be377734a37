/** What is known of the nodes of the mesh, by id and by name: from the link states that they send each other. */
import { describeNode, nodeNamed } from '../mesh/mesh.ts';
import type { MeshPort } from '../mesh/mesh.ts';
import { MAX_HOPS } from '../mesh-core/mesh-core.ts';

/** A node of the mesh, as seen from this one. */
export interface NodeInfo {
  readonly id: string;
  readonly nick: string;
  readonly addresses: readonly string[];
  /** This node; a node with a path to it; one with longer paths only than messages go; one with none; one that said that it leaves. */
  readonly state: 'self' | 'reachable' | 'too-far' | 'unreachable' | 'left';
  /** Version of its relay; '' if it does not say. */
  readonly version: string;
  /** Methods of plugins that it offers, sorted. */
  readonly methods: readonly string[];
  /** Types of work that it offers, sorted. */
  readonly work: readonly string[];
  /** How busy it is, 0 to 100. */
  readonly load: number;
  /** Which start of it this is. */
  readonly epoch: number;
  /** Its links that are up, with costs in ms. */
  readonly neighbours: readonly { readonly id: string; readonly cost: number }[];
}

/** The way from this node to another one. */
export interface Route {
  readonly node: string;
  readonly nick: string;
  /** The neighbour to which messages for it go first. */
  readonly hop: string;
  /** ms, rounded to buckets, of all links on the way. */
  readonly cost: number;
  /** Links on the way. */
  readonly links: number;
}

/** Capabilities as the nodes tell each other. */
export const METHOD = 'method:';
export const WORK = 'work:';
export const VERSION = 'version:';

export class NodeTable {
  readonly self: string;
  readonly #port: Pick<MeshPort, 'nodes' | 'path' | 'isTooFar' | 'links'>;

  constructor(port: Pick<MeshPort, 'id' | 'nodes' | 'path' | 'isTooFar' | 'links'>) {
    this.self = port.id;
    this.#port = port;
  }

  /** All nodes, sorted by nick, then by id. */
  list(): readonly NodeInfo[] {
    return this.#port
      .nodes()
      .map(({ id, nick, addresses, capabilities, load, epoch, neighbours, isLeaving }) => ({
        ...{ id, nick, addresses, load, epoch, neighbours },
        state: this.#stateOf(id, isLeaving),
        version: namesIn(capabilities, VERSION)[0] ?? '',
        methods: namesIn(capabilities, METHOD),
        work: namesIn(capabilities, WORK),
      }))
      .sort((one, other) => (one.nick === other.nick ? (one.id < other.id ? -1 : 1) : one.nick < other.nick ? -1 : 1));
  }

  /** The paths to all nodes that can be reached, sorted as {@link list}. */
  routes(): readonly Route[] {
    return this.list().flatMap(({ id, nick, state }) => {
      const path = state === 'reachable' ? this.#port.path(id) : undefined;
      return path ? [{ node: id, nick, ...path }] : [];
    });
  }

  /** The id of the node with this id, or with this nick if only one node has it. Throws a RelayError NOT_FOUND. */
  resolve(name: string): string {
    return name === this.self ? name : nodeNamed(name, this.#port.nodes());
  }

  /** The node for a log line or an error: its nick and id. */
  describe(id: string): string {
    return describeNode(id, this.#port.nodes());
  }

  /** '' if it is not known. */
  nickOf(id: string): string {
    return this.#state(id)?.nick ?? '';
  }

  /** The first address at which it says that it can be reached; '' if it says none. */
  addressOf(id: string): string {
    return this.#state(id)?.addresses[0] ?? '';
  }

  /** Which start of the node is known; undefined if none is. */
  epochOf(id: string): number | undefined {
    return this.#state(id)?.epoch;
  }

  hasLeft(id: string): boolean {
    return this.#state(id)?.isLeaving === true;
  }

  isTooFar(id: string): boolean {
    return this.#port.isTooFar(id);
  }

  /** Why there is no path to a node, for an error. */
  whyNoPath(id: string): string {
    if (this.isTooFar(id)) return `it is more than ${MAX_HOPS} hops away, the limit; link it to a nearer node`;
    return 'there is no path to it; is its relay running?';
  }

  #state(id: string): ReturnType<MeshPort['nodes']>[number] | undefined {
    return this.#port.nodes().find((state) => state.id === id);
  }

  #stateOf(id: string, isLeaving: boolean): NodeInfo['state'] {
    if (id === this.self) return 'self';
    if (isLeaving) return 'left';
    if (this.#port.path(id)) return 'reachable';
    return this.#port.isTooFar(id) ? 'too-far' : 'unreachable';
  }
}

function namesIn(capabilities: readonly string[], kind: string): readonly string[] {
  return capabilities.filter((one) => one.startsWith(kind)).map((one) => one.slice(kind.length));
}
