/** What waits for one server: the source that its link pulls from, in memory. */
import { BoundedQueue } from '../core/core.ts';
import type { BoundedQueueOptions, QueueLimits } from '../core/core.ts';

/** A call that is to be sent. */
export interface Outgoing {
  readonly id: string;
  /** Memory that it holds while it waits. */
  readonly bytes: number;
  /** Since when it is here, by the clock of the link. Default: unknown. */
  readonly since?: number | undefined;
  /** Writes the call `notify(dict)`. Throws a RelayError if the server cannot be sent this dict. */
  body(): Buffer;
}

/** Where a link gets what it sends. Items stay in the source until they are acknowledged. */
export interface Source {
  /** The oldest items, at most `count`. They have at most `maxBytes` together, except that the first is returned whatever its size is. */
  next(count: number, maxBytes: number): readonly Outgoing[];
  /**
   * Removes items that {@link next} returned, since the server accepted them or rejected them for good. Not by the position of the last
   * one: a server may accept the third dict of a batch and ask for the second again.
   */
  ack(items: readonly Outgoing[]): void;
  /** Number of items that are not acknowledged. */
  size(): number;
  /** Their bytes, and for how long the oldest of them has been here (ms, 0 if there is none or its time is unknown). */
  backlog(now: number): { readonly bytes: number; readonly oldestMs: number };
  /** Ends the source; returns how many items are lost with it. */
  close(): number;
  /** Number of items lost since the start, to the limits or at the end. */
  readonly dropped: number;
}

/** A bounded source in memory: the oldest items are dropped when it is full, but never those that are being sent. */
export class Outbox implements Source {
  readonly #queue: BoundedQueue<Outgoing>;
  // Returned by `next` and not acknowledged, oldest first: at most one batch.
  #pending: readonly Outgoing[] = [];
  #lostAtEnd = 0;
  #isClosed = false;

  /** `name` is for the log: `peer http://192.168.1.7:2004`. */
  constructor({
    name,
    limits,
    log,
  }: {
    readonly name: string;
    readonly limits: QueueLimits;
    readonly log: BoundedQueueOptions<Outgoing>['log'];
  }) {
    this.#queue = new BoundedQueue({ name, limits, bytesOf: ({ bytes }) => bytes, log });
  }

  get dropped(): number {
    return this.#queue.dropped + this.#lostAtEnd;
  }

  /** Adds an item, unless the outbox is closed. */
  push(item: Outgoing): void {
    if (!this.#isClosed) this.#queue.push(item);
  }

  next(count: number, maxBytes: number): readonly Outgoing[] {
    const batch: Outgoing[] = [];
    let bytes = 0;
    while (batch.length < count) {
      const item = this.#pending[batch.length] ?? this.#queue.first;
      if (item === undefined) break;
      bytes += item.bytes;
      if (batch.length > 0 && bytes > maxBytes) break;
      if (batch.length >= this.#pending.length) this.#queue.shift();
      batch.push(item);
    }
    if (batch.length > this.#pending.length) this.#pending = batch;
    return batch;
  }

  ack(items: readonly Outgoing[]): void {
    if (items.length === this.#pending.length) this.#pending = [];
    else {
      const acknowledged = new Set(items);
      this.#pending = this.#pending.filter((item) => !acknowledged.has(item));
    }
  }

  size(): number {
    return this.#pending.length + this.#queue.length;
  }

  backlog(now: number): { readonly bytes: number; readonly oldestMs: number } {
    const since = (this.#pending[0] ?? this.#queue.first)?.since ?? now;
    const bytes = this.#pending.reduce((sum, item) => sum + item.bytes, this.#queue.bytes);
    return { bytes, oldestMs: Math.max(0, Math.round(now - since)) };
  }

  close(): number {
    this.#isClosed = true;
    const lost = this.#pending.length + this.#queue.clear();
    this.#lostAtEnd += this.#pending.length;
    this.#pending = [];
    return lost;
  }
}
