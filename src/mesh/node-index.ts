/** Finds nodes of the mesh by what is known of them: by a host_id of their server, or by the name that somebody gives them. */
import { RelayError, clean, suggest } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { isNodeId } from '../identity/identity.ts';
import type { LinkState } from '../mesh-core/mesh-core.ts';
import type { MeshPort } from './port.ts';

// A dict is checked against an index that is at most so old.
const MAX_AGE_MS = 1000;
// What is not found is looked for again in a new index, at most this often: clients have host_ids that belong to no node.
const RENEW_MS = 100;
// After a node has joined, dicts are still on their way that others signed because they did not know it yet.
const NEW_MS = 10_000;
// Ids in the text of an error.
const MAX_NAMED = 10;

type Named = Pick<LinkState, 'id' | 'nick' | 'isLeaving'>;

/**
 * The id of the node with this id, or with this nick if only one node has it. With `mayBeAway`, for what waits until the node is there, an
 * id also names a node of which nothing is known, and a nick one that has left. Throws a RelayError NOT_FOUND that says which nodes there
 * are.
 */
export function nodeNamed(name: string, nodes: readonly Named[], { mayBeAway = false } = {}): string {
  if ((mayBeAway && isNodeId(name)) || nodes.some(({ id }) => id === name)) return name;
  // A nick can be anything, also the id of a node that is not known here.
  const named = isNodeId(name) ? [] : nodes.filter(({ nick }) => nick === name);
  const present = named.filter(({ isLeaving }) => !isLeaving);
  const candidates = mayBeAway && present.length === 0 ? named : present;
  const [first, ...others] = candidates;
  if (first && others.length === 0) return first.id;
  const shown = `'${clean(name, 100)}'`;
  if (first) {
    const ids = candidates.map(({ id }) => id).sort();
    throw notFound(`${ids.length} nodes are named ${shown}: use the id of one, ${ids.slice(0, MAX_NAMED).join(' or ')}`);
  }
  if (named.length > 0) throw notFound(`node ${shown} has left the mesh; is its relay running?`);
  const known = new Set(nodes.filter(({ isLeaving }) => !isLeaving).map(({ nick, id }) => (nick === '' || isNodeId(nick) ? id : nick)));
  const hint = suggest(name, [...known].sort());
  const remedy = mayBeAway && !hint.endsWith('?') ? '; a node that is down can be named by its id' : '';
  throw notFound(`no node is named ${shown}${hint}${remedy}`);
}

/** A node for people: `node cellar (xeb3jf4y...)`, or its id alone if its nick is not known. */
export function describeNode(id: string, nodes: readonly Named[]): string {
  const nick = nodes.find((node) => node.id === id)?.nick ?? '';
  return nick === '' ? `node ${id}` : `node ${clean(nick, 60)} (${id})`;
}

function notFound(text: string): RelayError {
  return new RelayError('NOT_FOUND', text, { isForCaller: true });
}

/** The node with a host_id. `joinedAt`: when it became known by joining the mesh; -Infinity if that is not known. */
interface Owner {
  readonly node: string;
  readonly joinedAt: number;
}

/** See the head of this file. */
export class NodeIndex {
  readonly #port: Pick<MeshPort, 'nodes' | 'onNodes'>;
  readonly #clock: Pick<Clock, 'now'>;
  #madeAt = -Infinity;
  #owners = new Map<string, Owner>();
  #hostIds = new Map<string, string>();

  constructor(port: Pick<MeshPort, 'nodes' | 'onNodes'>, clock: Pick<Clock, 'now'>) {
    this.#port = port;
    this.#clock = clock;
    // A node may send as soon as it can be reached.
    port.onNodes(() => {
      this.#make(this.#clock.now());
    });
  }

  /** The id of the node with this host_id; undefined if no known node has it. Of several that claim it, the one that was known first. */
  ownerOf(hostId: string): string | undefined {
    this.#renew(MAX_AGE_MS);
    const owner = this.#owners.get(hostId);
    if (owner) return owner.node;
    this.#renew(RENEW_MS);
    return this.#owners.get(hostId)?.node;
  }

  /** True if the node with this host_id has joined within the last 10 s, and was not known before: others may have to learn of it yet. */
  isNew(hostId: string): boolean {
    const owner = this.#owners.get(hostId);
    return owner !== undefined && this.#clock.now() - owner.joinedAt < NEW_MS;
  }

  /** The host_id of the server of a node; undefined if it is not known. */
  hostIdOf(node: string): string | undefined {
    this.#renew(MAX_AGE_MS);
    return this.#hostIds.get(node);
  }

  /** The id of a node that may be away, as {@link nodeNamed} finds it. */
  resolve(name: string): string {
    return nodeNamed(name, this.#port.nodes(), { mayBeAway: true });
  }

  #renew(maxAgeMs: number): void {
    // What is noticed only now may have been known for long.
    if (this.#clock.now() - this.#madeAt > maxAgeMs) this.#make(-Infinity);
  }

  /** `joinedAt` is that of the nodes that were not known before. */
  #make(joinedAt: number): void {
    this.#madeAt = this.#clock.now();
    const [before, owners] = [this.#owners, new Map<string, Owner>()];
    const hostIds = new Map<string, string>();
    for (const { id, hostIds: own } of this.#port.nodes()) {
      const [first] = own;
      if (first !== undefined) hostIds.set(id, first);
      // A node that claims the host_id of another one later does not get it.
      for (const hostId of own) {
        const earlier = before.get(hostId);
        if (earlier?.node === id) owners.set(hostId, earlier);
        else if (!owners.has(hostId)) owners.set(hostId, { node: id, joinedAt });
      }
    }
    [this.#owners, this.#hostIds] = [owners, hostIds];
  }
}
