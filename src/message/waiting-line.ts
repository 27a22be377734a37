/** The waiting line of one receiver: bounded, drops its oldest when it is full, counts what it dropped, and says so once per flood. */
import { Fifo } from './fifo.ts';
import type { Log } from './log.ts';

export interface LineLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export interface LineParts<T> {
  /** Whose line it is, for the log. */
  readonly name: string;
  readonly limits: LineLimits;
  readonly bytesOf: (item: T) => number;
  readonly log: Pick<Log, 'warn'>;
}

export class WaitingLine<T> {
  readonly #parts: LineParts<T>;
  readonly #items = new Fifo<T>();
  #bytes = 0;
  #dropped = 0;
  // Dropped since the line was last empty.
  #flood = 0;

  constructor(parts: LineParts<T>) {
    this.#parts = parts;
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

  /** Adds `item` at the end; the oldest go if there is no room. An item larger than the whole line stays alone in it. */
  push(item: T): void {
    const { limits, bytesOf } = this.#parts;
    this.#items.push(item);
    this.#bytes += bytesOf(item);
    while (this.length > 1 && (this.length > limits.maxMessages || this.#bytes > limits.maxBytes)) this.#dropOldest();
  }

  /** Takes the oldest. */
  shift(): T | undefined {
    const item = this.#items.shift();
    if (item !== undefined) this.#bytes -= this.#parts.bytesOf(item);
    if (this.length === 0) this.#endFlood();
    return item;
  }

  /** Drops everything; returns how many that were, which are counted as dropped. */
  clear(): number {
    const { length } = this;
    this.#items.clear();
    this.#bytes = 0;
    this.#dropped += length;
    this.#endFlood();
    return length;
  }

  #dropOldest(): void {
    const oldest = this.#items.shift() as T;
    this.#bytes -= this.#parts.bytesOf(oldest);
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
