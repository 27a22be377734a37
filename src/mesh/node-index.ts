/** Finds nodes of the mesh by what is known of them: by a host_id of their server, or by the name that somebody gives them. */
import { RelayError, clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { isNodeId } from '../identity/identity.ts';
import type { MeshPort } from './port.ts';

// A dict is checked against an index that is at most so old.
const MAX_AGE_MS = 1000;
// What is not found is looked for again in a new index, at most this often: clients have host_ids that belong to no node.
const RENEW_MS = 100;
// Names in the text of an error.
const MAX_NAMED = 8;

/** See the head of this file. */
export class NodeIndex {
  readonly #port: Pick<MeshPort, 'nodes'>;
  readonly #clock: Pick<Clock, 'now'>;
  #madeAt = -Infinity;
  #owners = new Map<string, string>();
  #hostIds = new Map<string, string>();
  #nicks = new Map<string, readonly string[]>();

  constructor(port: Pick<MeshPort, 'nodes'>, clock: Pick<Clock, 'now'>) {
    this.#port = port;
    this.#clock = clock;
  }

  /** The id of the node with this host_id; undefined if no known node has it. Of several that claim it, the one that was known first. */
  ownerOf(hostId: string): string | undefined {
    this.#renew(MAX_AGE_MS);
    const owner = this.#owners.get(hostId);
    if (owner !== undefined) return owner;
    this.#renew(RENEW_MS);
    return this.#owners.get(hostId);
  }

  /** The host_id of the server of a node; undefined if it is not known. */
  hostIdOf(node: string): string | undefined {
    this.#renew(MAX_AGE_MS);
    return this.#hostIds.get(node);
  }

  /**
   * The id of the node with this nick, if only one known node has it. An id names its node, also while nothing is known of it. Throws a
   * RelayError NOT_FOUND that names the nodes in question.
   */
  resolve(name: string): string {
    if (isNodeId(name)) return name;
    this.#renew(0);
    const [id, ...others] = this.#nicks.get(name) ?? [];
    if (id === undefined)
      throw new RelayError(
        'NOT_FOUND',
        `no known node has the name '${clean(name, 60)}' (known: ${named([...this.#nicks.keys()])}); is its relay running? A node that is down can be named by its id`,
      );
    if (others.length > 0)
      throw new RelayError('NOT_FOUND', `several nodes have the name '${clean(name, 60)}'; use an id: ${named([id, ...others])}`);
    return id;
  }

  #renew(maxAgeMs: number): void {
    const now = this.#clock.now();
    if (now - this.#madeAt <= maxAgeMs) return;
    this.#madeAt = now;
    const [before, owners] = [this.#owners, new Map<string, string>()];
    const [hostIds, nicks] = [new Map<string, string>(), new Map<string, readonly string[]>()];
    for (const { id, nick, hostIds: own } of this.#port.nodes()) {
      nicks.set(nick, [...(nicks.get(nick) ?? []), id]);
      const [first] = own;
      if (first !== undefined) hostIds.set(id, first);
      // A node that claims the host_id of another one later does not get it.
      for (const hostId of own) if (!owners.has(hostId) || before.get(hostId) === id) owners.set(hostId, id);
    }
    [this.#owners, this.#hostIds, this.#nicks] = [owners, hostIds, nicks];
  }
}

function named(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).map((name) => clean(name, 60));
  return [...shown, ...(names.length > MAX_NAMED ? [`${names.length - MAX_NAMED} more`] : [])].join(', ');
}
