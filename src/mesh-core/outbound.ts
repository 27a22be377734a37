/** Decides which waiting message goes over which link: fair between what is fresh and a backlog, and between nodes. */
import { BACKLOG_BURST, BACKLOG_PER_SECOND, BACKLOG_SHARE, MAX_HOPS, RETRIES_PER_SECOND, RETRY_SHARE, WINDOW_MESSAGES } from './limits.ts';
import type { Held, HeldTable } from './held-table.ts';
import type { Link } from './link.ts';
import type { Path } from './paths.ts';
import { SendQueue } from './send-queue.ts';
import type { Part } from './send-queue.ts';
import type { Topology } from './topology.ts';

/** A message that is to be sent, and what it was taken from. */
export interface Picked {
  readonly held: Held;
  readonly part: Part;
}

/** How many messages may be sent to a neighbour besides fresh ones. */
interface Budget {
  at: number;
  backlog: number;
  retries: number;
}

// Of ten messages two come from the backlog, if fresh ones could fill the link.
const BACKLOG_ONE_IN = 5;

/** See the head of this file. */
export class Outbound {
  readonly #table: HeldTable;
  readonly #topology: Topology;
  readonly #blocked: (held: Held) => void;
  // Broadcasts by neighbour, and messages for one node by that node, wherever the path to it leads.
  readonly #peers = new Map<string, SendQueue>();
  readonly #nodes = new Map<string, SendQueue>();
  // Messages that avoid the usual path, by the neighbour that they go to.
  readonly #detours = new Map<string, SendQueue>();
  readonly #budgets = new Map<string, Budget>();
  /** True if a link may have something to send since {@link pull} was called last. */
  isDirty = false;

  /** `blocked` is called with a message whose paths all lead through nodes it has crossed, or are too long. It is in no queue any more. */
  constructor(table: HeldTable, topology: Topology, blocked: (held: Held) => void) {
    this.#table = table;
    this.#topology = topology;
    this.#blocked = blocked;
  }

  /** What waits for a neighbour (broadcasts) or for a node. */
  queue(kind: 'peer' | 'node', id: string): SendQueue {
    const queues = kind === 'peer' ? this.#peers : this.#nodes;
    let queue = queues.get(id);
    if (!queue) queues.set(id, (queue = new SendQueue(this.#table)));
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
    this.#add(held, 1, held.bytes);
  }

  /** A message no longer waits for anybody, or, if `peer` is given, for this neighbour. */
  uncount(held: Held, peer?: string): void {
    if (peer === undefined) this.#add(held, -1, -held.bytes);
    else add(this.queue('peer', peer), -1, -held.bytes);
  }

  /** Queues a message for all neighbours or for the node that it waits for. */
  enqueue(held: Held, part: Part): void {
    this.isDirty = true;
    const { target } = held.stream;
    if (target !== undefined) this.queue('node', target).push(held, part);
    else for (const peer of held.waitingFor) this.queue('peer', peer).push(held, part);
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
    const budget = this.#budgetOf(link.peer.id, now);
    const left = (): number => room.messages - picks.length;
    const retry = (max: number): void => {
      budget.retries -= take('retry', Math.min(max, left(), Math.floor(budget.retries)));
    };
    let backlogRoom = room.backlog;
    const backlog = (max: number): void => {
      const count = take('backlog', Math.min(max, backlogRoom, left(), Math.floor(budget.backlog)));
      budget.backlog -= count;
      backlogRoom -= count;
    };
    retry(Math.ceil(room.messages * RETRY_SHARE));
    const retries = picks.length;
    backlog(Math.ceil(room.messages / BACKLOG_ONE_IN));
    take('fresh', left());
    backlog(left());
    budget.retries += ((picks.length - retries) * RETRY_SHARE) / (1 - RETRY_SHARE);
    retry(left());
    // The budget grows with time, not with an event.
    const isShort = (part: 'backlog' | 'retries'): boolean => budget[part] < 1;
    const waits = (part: Part): boolean => sources.some(([queue]) => queue.length(part) > 0);
    if ((isShort('backlog') && waits('backlog')) || (isShort('retries') && waits('retry'))) this.isDirty = true;
    return picks;
  }

  /** A neighbour has taken a message that was sent again: the next one may be sent. */
  retrySucceeded(id: string): void {
    const budget = this.#budgets.get(id);
    if (budget) budget.retries++;
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
    this.#budgets.delete(id);
  }

  #add({ stream: { target }, waitingFor }: Held, messages: number, bytes: number): void {
    if (target !== undefined) add(this.queue('node', target), messages, bytes);
    else for (const peer of waitingFor) add(this.queue('peer', peer), messages, bytes);
  }

  /** The queues from which a link takes messages, each with what counts in it. */
  #sourcesOf(id: string): (readonly [SendQueue, (held: Held) => boolean])[] {
    const sources: (readonly [SendQueue, (held: Held) => boolean])[] = [];
    const detours = this.#detours.get(id);
    if (detours?.isEmpty === false) sources.push([detours, isQueued]);
    const broadcasts = this.#peers.get(id);
    if (broadcasts?.isEmpty === false) sources.push([broadcasts, (held) => isForPeer(held, id)]);
    for (const [target, queue] of this.#nodes) {
      if (queue.isEmpty) continue;
      const path = this.#topology.pathTo(target);
      if (path?.hop === id) sources.push([queue, (held) => isQueued(held) && this.#mayGo(held, target, path)]);
    }
    return sources;
  }

  /** Whether the message may go to the usual next node; if not it is queued for a detour, or later for the usual path. */
  #mayGo(held: Held, target: string, { hop, links }: Path): boolean {
    const hopsLeft = MAX_HOPS - held.via.length;
    const isPossible = links <= hopsLeft && !held.via.includes(hop);
    if (isPossible && held.lastHop !== hop) return true;
    const avoid = held.lastHop === undefined ? held.via : [...held.via, held.lastHop];
    const detour = this.#topology.pathTo(target, avoid, hopsLeft)?.hop;
    if (detour === undefined) {
      // The neighbour that failed is better than none; one that the message has crossed, or that is too far from the target, is not.
      if (isPossible) return true;
      this.#blocked(held);
      return false;
    }
    let queue = this.#detours.get(detour);
    if (!queue) this.#detours.set(detour, (queue = new SendQueue(this.#table)));
    queue.push(held, 'retry');
    this.isDirty = true;
    return false;
  }

  #budgetOf(id: string, now: number): Budget {
    let budget = this.#budgets.get(id);
    if (!budget) this.#budgets.set(id, (budget = { at: now, backlog: BACKLOG_BURST, retries: WINDOW_MESSAGES }));
    const seconds = (now - budget.at) / 1000;
    budget.backlog = Math.min(BACKLOG_BURST, budget.backlog + seconds * BACKLOG_PER_SECOND);
    budget.retries = Math.min(WINDOW_MESSAGES, budget.retries + seconds * RETRIES_PER_SECOND);
    budget.at = now;
    return budget;
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
