/** An unbounded first-in, first-out queue; BoundedQueue adds limits. */

/** A queue whose operations all take constant time, unlike `Array.shift` beyond some 50,000 elements. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  // Removed items that are no longer in the array.
  #removed = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Appends an item and returns its number: how many were pushed before it. */
  push(item: T): number {
    return this.#removed + this.#items.push(item) - 1;
  }

  /** The number of the oldest item, or of the next one if the queue is empty. */
  get first(): number {
    return this.#removed + this.#head;
  }

  /** The item with this number; undefined if it was removed. */
  at(number: number): T | undefined {
    return this.#items[number - this.#removed];
  }

  /** Replaces the item with this number, which must be in the queue. */
  replace(number: number, item: T): void {
    this.#items[number - this.#removed] = item;
  }

  /** Removes the oldest item. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    // Half of the array is unused, so moving the rest costs one move per item on average.
    if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#removed += this.#head;
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#removed += this.#items.length;
    this.#items = [];
    this.#head = 0;
  }
}
