/**
 * First in, first out, each step in constant time (`Array.shift` is not, from some 50,000 elements on). Without a bound: see BoundedQueue.
 */

export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  // Items that were taken, and no longer stand in the array.
  #gone = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Answers the item's number: how many were pushed before it. */
  push(item: T): number {
    return this.#gone + this.#items.push(item) - 1;
  }

  /** Number of the oldest; of the next to come if there is none. */
  get first(): number {
    return this.#gone + this.#head;
  }

  /** The item of this number; undefined if it was taken. */
  at(number: number): T | undefined {
    return this.#items[number - this.#gone];
  }

  /** Puts `item` in the place of the one of this number, which is there. */
  replace(number: number, item: T): void {
    this.#items[number - this.#gone] = item;
  }

  /** Takes the oldest. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    // Half of the array is behind us: moving the rest now costs each element one move.
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#gone += this.#head;
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#gone += this.#items.length;
    this.#items = [];
    this.#head = 0;
  }
}
