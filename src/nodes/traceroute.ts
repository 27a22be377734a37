/** Follows the way to a node hop by hop: each one answers where it would send a message for the node next. */
import { RelayError, reasonOf } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { MAX_HOPS } from '../mesh-core/mesh-core.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import type { MeshCalls } from './mesh-calls.ts';
import type { NodeTable } from './node-table.ts';

/** A node on the way. */
export interface Hop {
  readonly node: string;
  readonly nick: string;
  /** The first address at which it says that it can be reached; may be ''. */
  readonly address: string;
  /** Round trip from this node, in ms; -1 if it was not reached. */
  readonly ms: number;
  readonly isReached: boolean;
  /** Why the way ends here without reaching the node; '' if it does not. */
  readonly reason: string;
}

/** A hop, and the id of the next one; undefined: it is the last. */
export interface Step {
  readonly hop: Hop;
  readonly next: string | undefined;
}

export interface TracerouteParts {
  readonly calls: Pick<MeshCalls, 'call'>;
  readonly table: NodeTable;
  readonly clock: Pick<Clock, 'now'>;
}

// A hop that takes longer is as good as unreachable.
const HOP_TIMEOUT_MS = 10_000;

export class Traceroute {
  readonly #parts: TracerouteParts;

  constructor(parts: TracerouteParts) {
    this.#parts = parts;
  }

  /** The hops to a node, which is named by its id, as they are reached. The last one is the node, or says why it is not reached. */
  async *hops(target: string, signal?: AbortSignal): AsyncGenerator<Hop, void> {
    const seen = new Set<string>();
    for (let next: string | undefined; ;) {
      const step: Step = await this.step(target, next, signal);
      const { hop } = step;
      ({ next } = step);
      seen.add(hop.node);
      if (next === undefined) {
        yield hop;
        return;
      }
      const isLoop = seen.has(next);
      if (isLoop || seen.size >= MAX_HOPS) {
        yield {
          ...hop,
          reason: isLoop ? `it would send on to ${this.#parts.table.describe(next)}, which is a loop` : `more than ${MAX_HOPS} hops`,
        };
        return;
      }
      yield hop;
    }
  }

  /** Asks one hop; undefined: the first one. */
  async step(target: string, at: string | undefined, signal?: AbortSignal): Promise<Step> {
    const { table, calls, clock } = this.#parts;
    const node = at ?? this.#firstHop(target);
    if (node === undefined) return { hop: this.#unreached(target, table.whyNoPath(target)), next: undefined };
    const startedAt = clock.now();
    let answer: Value;
    try {
      answer = await calls.call(node, 'relay.get_routes', [target], { timeoutMs: HOP_TIMEOUT_MS, signal });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      return { hop: this.#unreached(node, RelayError.is(error) ? error.message : reasonOf(error)), next: undefined };
    }
    const ms = Math.round((clock.now() - startedAt) * 1000) / 1000;
    const next = node === target ? undefined : nextHop(answer);
    const isLost = node !== target && next === undefined;
    const reason = isLost ? `it knows no path to ${table.describe(target)}` : '';
    return { hop: { node, nick: table.nickOf(node), address: table.addressOf(node), ms, isReached: true, reason }, next };
  }

  #firstHop(target: string): string | undefined {
    const { table } = this.#parts;
    return target === table.self ? target : table.routes().find(({ node }) => node === target)?.hop;
  }

  #unreached(node: string, reason: string): Hop {
    const { table } = this.#parts;
    return { node, nick: table.nickOf(node), address: table.addressOf(node), ms: -1, isReached: false, reason };
  }
}

/** The next hop in the answer of `relay.get_routes`; undefined if there is none. */
function nextHop(answer: Value): string | undefined {
  const [route] = Array.isArray(answer) ? (answer as readonly Value[]) : [];
  return isDict(route) && typeof route.hop === 'string' && route.hop !== '' ? route.hop : undefined;
}
