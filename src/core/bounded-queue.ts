/**
 * The bounded queue of one recipient. A full queue drops its oldest items, with one warning per overflow, and counts them. Items that are
 * states of the same thing, identified by a key, can be merged: a newer item replaces the older one in its position.
 */
import { Fifo } from './fifo.ts';
import type { Log } from './log.ts';

/** The limits of a queue. */
export interface QueueLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/** The options of a queue. */
export interface BoundedQueueOptions<T> {
  /** The recipient, for the log. */
  readonly name: string;
  readonly limits: QueueLimits;
  /** The memory that an item takes; must not change. */
  readonly bytesOf: (item: T) => number;
  /** When an item was queued, by the clock of {@link BoundedQueue.status}. Default: unknown. */
  readonly sinceOf?: ((item: T) => number) | undefined;
  /** The key of the thing whose state the item is; undefined if it must not be merged. Must not throw. Default: nothing is merged. */
  readonly keyOf?: ((item: T) => string | undefined) | undefined;
  readonly log: Pick<Log, 'warn'>;
}

/** The state of a queue. */
export interface QueueStatus {
  readonly waiting: number;
  /** Bytes of the waiting items. */
  readonly bytes: number;
  /** ms that the oldest item has waited; 0 if the queue is empty. */
  readonly oldestMs: number;
  /** Items dropped since the start, by overflow or by `clear`. */
  readonly dropped: number;
  /** Items replaced by a newer state of the same thing since the start. */
  readonly merged: number;
}

/** A queue; see the head of this file. */
export class BoundedQueue<T> {
  readonly #options: BoundedQueueOptions<T>;
  readonly #items = new Fifo<T>();
  readonly #keys: MergeKeys | undefined;
  #bytes = 0;
  #dropped = 0;
  #merged = 0;
  // Items dropped since the queue was last empty.
  #overflow = 0;

  constructor(options: BoundedQueueOptions<T>) {
    this.#options = options;
    if (options.keyOf) this.#keys = new MergeKeys();
  }

  get length(): number {
    return this.#items.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Items dropped since the start, by overflow or by `clear`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The state of the queue; `now` is by the clock of `sinceOf`. */
  status(now: number): QueueStatus {
    const oldest = this.#items.at(this.#items.first);
    const since = this.#keys?.since(this.#items.first) ?? (oldest === undefined ? now : (this.#options.sinceOf?.(oldest) ?? now));
    const oldestMs = Math.max(0, Math.round(now - since));
    return { waiting: this.length, bytes: this.#bytes, oldestMs, dropped: this.#dropped, merged: this.#merged };
  }

  /**
   * Appends `item`, or replaces an older state of the same thing; drops the oldest items if the queue is full. An item that exceeds the
   * limits is queued alone.
   */
  push(item: T): void {
    const { limits, bytesOf } = this.#options;
    if (!this.#keys || !this.#merge(item, this.#keys)) {
      this.#items.push(item);
      this.#bytes += bytesOf(item);
    }
    while (this.length > 1 && (this.length > limits.maxMessages || this.#bytes > limits.maxBytes)) this.#dropOldest();
  }

  /** The oldest item, without removing it. */
  get first(): T | undefined {
    return this.#items.at(this.#items.first);
  }

  /** Removes the oldest item. */
  shift(): T | undefined {
    const item = this.#take();
    if (this.length === 0) this.#endOverflow();
    return item;
  }

  /** Drops all items and returns their number; they are counted as dropped. */
  clear(): number {
    const { length } = this;
    this.#items.clear();
    this.#keys?.clear();
    this.#bytes = 0;
    this.#dropped += length;
    this.#endOverflow();
    return length;
  }

  /** True if the item replaced an older one; otherwise records the position at which the caller appends it. */
  #merge(item: T, keys: MergeKeys): boolean {
    const { bytesOf, keyOf, sinceOf } = this.#options;
    const key = keyOf?.(item);
    if (key === undefined) return false;
    const position = keys.find(key);
    const older = position === undefined ? undefined : this.#items.at(position);
    if (position === undefined || older === undefined) {
      this.#bytes += keys.add(key, this.#items.first + this.length, sinceOf?.(item) ?? 0);
      return false;
    }
    this.#items.replace(position, item);
    this.#bytes += bytesOf(item) - bytesOf(older);
    this.#merged++;
    return true;
  }

  #take(): T | undefined {
    const position = this.#items.first;
    const item = this.#items.shift();
    if (item !== undefined) this.#bytes -= this.#options.bytesOf(item) + (this.#keys?.forget(position) ?? 0);
    return item;
  }

  #dropOldest(): void {
    this.#take();
    this.#dropped++;
    if (this.#overflow++ > 0) return;
    const { name, limits, log } = this.#options;
    log.warn(`the queue of ${name} is full (${limits.maxMessages} messages or ${limits.maxBytes} bytes): the oldest are dropped`);
  }

  #endOverflow(): void {
    if (this.#overflow === 0) return;
    this.#options.log.warn(`the queue of ${this.#options.name} is empty again; ${this.#overflow} messages were dropped`);
    this.#overflow = 0;
  }
}

/** A queued item with a key. */
interface MergeEntry {
  readonly key: string;
  /** When its first state was queued. */
  readonly since: number;
}

/** Finds the position of a key in the queue and the key at a position. Positions are the item numbers of {@link Fifo}. */
class MergeKeys {
  readonly #positions = new Map<string, number>();
  readonly #entries = new Map<number, MergeEntry>();

  /** The position of a key. */
  find(key: string): number | undefined {
    return this.#positions.get(key);
  }

  /** Records the position of a key and returns the bytes that the key takes. */
  add(key: string, position: number, since: number): number {
    // A substring keeps the whole text alive, so the key is copied.
    const own = Buffer.from(key, 'utf16le').toString('utf16le');
    this.#positions.set(own, position);
    this.#entries.set(position, { key: own, since });
    return bytesOf(own);
  }

  /** When the first state at a position was queued; undefined if it has no key. */
  since(position: number): number | undefined {
    return this.#entries.get(position)?.since;
  }

  /** Removes a position and returns the bytes that its key took. */
  forget(position: number): number {
    const entry = this.#entries.get(position);
    if (!entry) return 0;
    this.#entries.delete(position);
    this.#positions.delete(entry.key);
    return bytesOf(entry.key);
  }

  clear(): void {
    this.#positions.clear();
    this.#entries.clear();
  }
}

/** A string takes up to two bytes per UTF-16 unit. */
function bytesOf(key: string): number {
  return 2 * key.length;
}
