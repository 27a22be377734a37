/**
 * The waiting line of one receiver: bounded; drops its oldest when it is full, says so once per flood, and counts. Items that are states of one thing (a key)
 * may be merged: the newer one takes the older one's place.
 */
import { Fifo } from './fifo.ts';
import type { Log } from './log.ts';

export interface QueueLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export interface BoundedQueueOptions<T> {
  /** Whose line it is, for the log. */
  readonly name: string;
  readonly limits: QueueLimits;
  /** What an item holds in memory; the same whenever it is asked. */
  readonly bytesOf: (item: T) => number;
  /** Since when an item waits, by the clock that {@link BoundedQueue.status} is asked with. Default: nobody asks. */
  readonly sinceOf?: ((item: T) => number) | undefined;
  /** Of which thing the item is a state; undefined: it is none. Never throws. Default: none is, nothing is merged. */
  readonly keyOf?: ((item: T) => string | undefined) | undefined;
  readonly log: Pick<Log, 'warn'>;
}

/** How a line stands. */
export interface QueueStatus {
  readonly waiting: number;
  /** Of what waits. */
  readonly bytes: number;
  /** ms that the oldest waits; 0 if none does. */
  readonly oldestMs: number;
  /** Since the start: lost to the limits, or when the line was given up. */
  readonly dropped: number;
  /** Since the start: replaced by a newer state of the same thing. */
  readonly merged: number;
}

export class BoundedQueue<T> {
  readonly #parts: BoundedQueueOptions<T>;
  readonly #items = new Fifo<T>();
  readonly #places: MergeKeys | undefined;
  #bytes = 0;
  #dropped = 0;
  #merged = 0;
  // Dropped since the line was last empty.
  #flood = 0;

  constructor(parts: BoundedQueueOptions<T>) {
    this.#parts = parts;
    if (parts.keyOf) this.#places = new MergeKeys();
  }

  get length(): number {
    return this.#items.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Items lost to the limits, or to `clear`, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** `now`: by the clock of `sinceOf`. */
  status(now: number): QueueStatus {
    const oldest = this.#items.at(this.#items.first);
    const since = this.#places?.since(this.#items.first) ?? (oldest === undefined ? now : (this.#parts.sinceOf?.(oldest) ?? now));
    const oldestMs = Math.max(0, Math.round(now - since));
    return { waiting: this.length, bytes: this.#bytes, oldestMs, dropped: this.#dropped, merged: this.#merged };
  }

  /** Adds `item` at the end, or in the place of an older state of the same thing; the oldest go if there is no room. An item larger than the whole line stays alone in it. */
  push(item: T): void {
    const { limits, bytesOf } = this.#parts;
    if (!this.#places || !this.#merge(item, this.#places)) {
      this.#items.push(item);
      this.#bytes += bytesOf(item);
    }
    while (this.length > 1 && (this.length > limits.maxMessages || this.#bytes > limits.maxBytes)) this.#dropOldest();
  }

  /** The oldest, which stays. */
  get first(): T | undefined {
    return this.#items.at(this.#items.first);
  }

  /** Takes the oldest. */
  shift(): T | undefined {
    const item = this.#take();
    if (this.length === 0) this.#endFlood();
    return item;
  }

  /** Drops everything; returns how many that were, which are counted as dropped. */
  clear(): number {
    const { length } = this;
    this.#items.clear();
    this.#places?.clear();
    this.#bytes = 0;
    this.#dropped += length;
    this.#endFlood();
    return length;
  }

  /** True if the item took the place of an older one; else its place is noted, in which it is pushed next. */
  #merge(item: T, places: MergeKeys): boolean {
    const { bytesOf, keyOf, sinceOf } = this.#parts;
    const key = keyOf?.(item);
    if (key === undefined) return false;
    const place = places.find(key);
    const older = place === undefined ? undefined : this.#items.at(place);
    if (place === undefined || older === undefined) {
      this.#bytes += places.add(key, this.#items.first + this.length, sinceOf?.(item) ?? 0);
      return false;
    }
    this.#items.replace(place, item);
    this.#bytes += bytesOf(item) - bytesOf(older);
    this.#merged++;
    return true;
  }

  #take(): T | undefined {
    const place = this.#items.first;
    const item = this.#items.shift();
    if (item !== undefined) this.#bytes -= this.#parts.bytesOf(item) + (this.#places?.forget(place) ?? 0);
    return item;
  }

  #dropOldest(): void {
    this.#take();
    this.#dropped++;
    if (this.#flood++ > 0) return;
    const { name, limits, log } = this.#parts;
    log.warn(`the waiting line of ${name} is full (${limits.maxMessages} messages or ${limits.maxBytes} bytes): the oldest are dropped`);
  }

  #endFlood(): void {
    if (this.#flood === 0) return;
    this.#parts.log.warn(`the waiting line of ${this.#parts.name} is empty again; ${this.#flood} messages were dropped`);
    this.#flood = 0;
  }
}

interface Place {
  readonly key: string;
  /** When its first state came. */
  readonly since: number;
}

export class MergeKeys {
  readonly #numbers = new Map<string, number>();
  readonly #places = new Map<number, Place>();

  /** The number of the place in which this key waits. */
  find(key: string): number | undefined {
    return this.#numbers.get(key);
  }

  /** Answers the bytes that the key holds. */
  add(key: string, number: number, since: number): number {
    // A slice of a text keeps the whole text alive, so the key is copied.
    const own = Buffer.from(key, 'utf16le').toString('utf16le');
    this.#numbers.set(own, number);
    this.#places.set(number, { key: own, since });
    return bytesOf(own);
  }

  /** Since when the place is taken; undefined if it has no key. */
  since(number: number): number | undefined {
    return this.#places.get(number)?.since;
  }

  /** What waited there is taken; answers the bytes that its key held. */
  forget(number: number): number {
    const place = this.#places.get(number);
    if (!place) return 0;
    this.#places.delete(number);
    this.#numbers.delete(place.key);
    return bytesOf(place.key);
  }

  clear(): void {
    this.#numbers.clear();
    this.#places.clear();
  }
}

/** A string has up to two bytes for each of its characters. */
function bytesOf(key: string): number {
  return 2 * key.length;
}
