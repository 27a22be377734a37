/** A bounded first-in first-out line that drops its oldest when it is full, and counts what it dropped. */

export interface LineLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

export class WaitingLine<T> {
  #items: T[] = [];
  #head = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(
    private readonly limits: LineLimits,
    private readonly bytesOf: (item: T) => number,
  ) {}

  get length(): number {
    return this.#items.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Items lost to the limits since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds `item` at the end; returns how many of the oldest had to go for it. An item larger than the whole line stays alone in it. */
  push(item: T): number {
    this.#items.push(item);
    this.#bytes += this.bytesOf(item);
    let dropped = 0;
    while (this.length > 1 && (this.length > this.limits.maxMessages || this.#bytes > this.limits.maxBytes)) {
      this.shift();
      dropped++;
    }
    this.#dropped += dropped;
    return dropped;
  }

  /** Takes the oldest. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head] as T;
    this.#items[this.#head] = undefined as T;
    this.#head++;
    this.#bytes -= this.bytesOf(item);
    // Cut off what was taken once it is the greater part, so that taking stays cheap and the array small.
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Drops everything; returns how many that were, which are counted as dropped. */
  clear(): number {
    const dropped = this.length;
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#dropped += dropped;
    return dropped;
  }
}
