/** Decides which waiting message goes over which link: fair between what is fresh and a backlog, and between nodes. */
import { BACKLOG_BURST, BACKLOG_PER_SECOND, BACKLOG_SHARE } from './limits.ts';
import type { Held } from './held.ts';
import type { Link } from './link.ts';
import { SendQueue } from './send-queue.ts';
import type { Part } from './send-queue.ts';
import type { Topology } from './topology.ts';

/** A message that is to be sent, and what it was taken from. */
export interface Picked {
  readonly held: Held;
  readonly part: Part;
}

// Of ten messages two come from the backlog, if fresh ones could fill the link.
const BACKLOG_ONE_IN = 5;

/** See the head of this file. */
export class Outbound {
  readonly #topology: Topology;
  readonly #blocked: (held: Held) => void;
  // Broadcasts by neighbour, and messages for one node by that node, wherever the path to it leads.
  readonly #peers = new Map<string, SendQueue>();
  readonly #nodes = new Map<string, SendQueue>();
  // Messages that avoid the usual path, by the neighbour that they go to.
  readonly #detours = new Map<string, SendQueue>();
  readonly #tokens = new Map<string, { at: number; tokens: number }>();
  /** True if a link may have something to send since {@link pull} was called last. */
  isDirty = false;

  /** `blocked` is called with a message that has no path but through nodes that it has crossed. It is in no queue any more. */
  constructor(topology: Topology, blocked: (held: Held) => void) {
    this.#topology = topology;
    this.#blocked = blocked;
  }

  /** What waits for a neighbour (broadcasts) or for a node. */
  queue(kind: 'peer' | 'node', id: string): SendQueue {
    const queues = kind === 'peer' ? this.#peers : this.#nodes;
    let queue = queues.get(id);
    if (!queue) queues.set(id, (queue = new SendQueue()));
    return queue;
  }

  /** Messages and bytes that wait for this node: broadcasts if it is a neighbour, and messages for itself. */
  waitingFor(id: string): { readonly messages: number; readonly bytes: number } {
    const [broadcasts, others] = [this.#peers.get(id), this.#nodes.get(id)];
    return {
      messages: (broadcasts?.messages ?? 0) + (others?.messages ?? 0),
      bytes: (broadcasts?.bytes ?? 0) + (others?.bytes ?? 0),
    };
  }

  /** Counts a message in the quotas of those that it waits for. */
  count(held: Held): void {
    for (const queue of this.#queuesOf(held)) add(queue, 1, held.bytes);
  }

  /** A message no longer waits for anybody, or, if `peer` is given, for this neighbour. */
  uncount(held: Held, peer?: string): void {
    const queues = peer === undefined ? this.#queuesOf(held) : [this.queue('peer', peer)];
    for (const queue of queues) add(queue, -1, -held.bytes);
  }

  /** Queues a message for all neighbours or for the node that it waits for. */
  enqueue(held: Held, part: Part): void {
    this.isDirty = true;
    for (const queue of this.#queuesOf(held)) queue.push(held, part);
  }

  /** Queues a broadcast again for one neighbour. */
  enqueueFor(held: Held, peer: string): void {
    this.isDirty = true;
    this.queue('peer', peer).push(held, 'retry');
  }

  /** Takes what a link may send now. */
  pull(link: Link<Held>, now: number): readonly Picked[] {
    const room = link.room(BACKLOG_SHARE);
    const picks: Picked[] = [];
    if (room.messages === 0 || room.bytes === 0) return picks;
    const sources = this.#sourcesOf(link.peer.id);
    let { bytes } = room;
    const take = (part: Part, max: number): number => {
      let count = 0;
      for (let isAny = true; isAny && count < max && bytes > 0;) {
        isAny = false;
        for (const [queue, counts] of sources) {
          if (count >= max || bytes <= 0) break;
          const held = queue.shift(part, counts);
          if (!held) continue;
          isAny = true;
          count++;
          bytes -= held.bytes;
          picks.push({ held, part });
        }
      }
      return count;
    };
    take('retry', room.messages);
    const tokens = this.#tokensOf(link.peer.id, now);
    const backlog = (): number => Math.min(room.backlog, room.messages - picks.length, Math.floor(tokens.tokens));
    tokens.tokens -= take('backlog', Math.min(backlog(), Math.ceil(room.messages / BACKLOG_ONE_IN)));
    take('fresh', room.messages - picks.length);
    tokens.tokens -= take('backlog', backlog());
    // The bucket fills with time, not with an event.
    if (tokens.tokens < 1 && sources.some(([queue]) => queue.length('backlog') > 0)) this.isDirty = true;
    return picks;
  }

  /** The link to a neighbour is down: what was to take a detour over it is queued for its node again. */
  linkDown(id: string): void {
    const queue = this.#detours.get(id);
    this.#detours.delete(id);
    for (let held = queue?.shift('retry', isQueued); held; held = queue?.shift('retry', isQueued)) this.enqueue(held, 'retry');
  }

  /** Drops what does not count any more, after many messages have expired. */
  compact(): void {
    for (const [id, queue] of this.#peers) queue.compact((held) => isForPeer(held, id));
    for (const queue of [...this.#nodes.values(), ...this.#detours.values()]) queue.compact(isQueued);
    for (const [id, queue] of this.#nodes) if (queue.isEmpty && queue.messages === 0) this.#nodes.delete(id);
  }

  /** Forgets the queue of a neighbour. */
  forgetPeer(id: string): void {
    this.#peers.delete(id);
    this.#tokens.delete(id);
  }

  *#queuesOf({ stream: { target }, waitingFor }: Held): Iterable<SendQueue> {
    if (target !== undefined) yield this.queue('node', target);
    else for (const peer of waitingFor) yield this.queue('peer', peer);
  }

  /** The queues from which a link takes messages, each with what counts in it. */
  #sourcesOf(id: string): (readonly [SendQueue, (held: Held) => boolean])[] {
    const sources: (readonly [SendQueue, (held: Held) => boolean])[] = [];
    const detours = this.#detours.get(id);
    if (detours?.isEmpty === false) sources.push([detours, isQueued]);
    const broadcasts = this.#peers.get(id);
    if (broadcasts?.isEmpty === false) sources.push([broadcasts, (held) => isForPeer(held, id)]);
    for (const [target, queue] of this.#nodes) {
      if (queue.isEmpty || this.#topology.pathTo(target)?.hop !== id) continue;
      sources.push([queue, (held) => isQueued(held) && this.#mayGo(held, target, id)]);
    }
    return sources;
  }

  /** Whether the message may go to the usual next node; if not it is queued for a detour, or later for the usual path. */
  #mayGo(held: Held, target: string, hop: string): boolean {
    if (!held.via.includes(hop) && held.lastHop !== hop) return true;
    const avoid = held.lastHop === undefined ? held.via : [...held.via, held.lastHop];
    const detour = this.#topology.pathTo(target, avoid)?.hop;
    if (detour === undefined) {
      // The neighbour that failed is better than none; one that the message has crossed is not.
      if (!held.via.includes(hop)) return true;
      this.#blocked(held);
      return false;
    }
    let queue = this.#detours.get(detour);
    if (!queue) this.#detours.set(detour, (queue = new SendQueue()));
    queue.push(held, 'retry');
    this.isDirty = true;
    return false;
  }

  #tokensOf(id: string, now: number): { tokens: number } {
    let bucket = this.#tokens.get(id);
    if (!bucket) this.#tokens.set(id, (bucket = { at: now, tokens: BACKLOG_BURST }));
    bucket.tokens = Math.min(BACKLOG_BURST, bucket.tokens + ((now - bucket.at) * BACKLOG_PER_SECOND) / 1000);
    bucket.at = now;
    return bucket;
  }
}

function isQueued({ state }: Held): boolean {
  return state === 'queued';
}

function isForPeer({ state, waitingFor }: Held, peer: string): boolean {
  return state !== 'gone' && waitingFor.includes(peer);
}

function add(queue: SendQueue, messages: number, bytes: number): void {
  queue.messages += messages;
  queue.bytes += bytes;
}
