/** Keeps the items of a live stream in memory, with a declared policy for readers that are slower than the producer. */
import type { StreamItem, StreamStorage } from './port.ts';

/** How much is kept, and what happens beyond. */
export interface MemoryItemsOptions<Item> {
  readonly maxItems: number;
  readonly maxBytes: number;
  /** The memory that an item takes; must not change. */
  readonly bytesOf: (item: Item) => number;
  /**
   * What happens when the limits are reached. `drop-oldest`: a reader that is too slow misses the oldest items. `merge`: of items with the
   * same `keyOf` only the newest is kept, at all times; beyond the limits as `drop-oldest`. `wait`: the producer waits for the slowest
   * reader, and for the first one if there is none.
   */
  readonly overflow: 'drop-oldest' | 'merge' | 'wait';
  /** For `merge`: the thing whose state an item is; undefined if it must not be merged. Must not throw. */
  readonly keyOf?: ((item: Item) => string | undefined) | undefined;
}

/** Makes the storage of a live stream; offsets count items. */
export function memoryItems<Item>(options: MemoryItemsOptions<Item>): StreamStorage<Item> {
  return new MemoryItems(options);
}

interface Entry<Item> {
  readonly offset: number;
  readonly item: Item;
  readonly bytes: number;
  readonly key: string | undefined;
  /** False once it is dropped, or a newer state of the same thing replaced it. */
  isKept: boolean;
}

class MemoryItems<Item> implements StreamStorage<Item> {
  readonly isWriting = false;
  readonly refused = 0;
  readonly failure = undefined;
  readonly #options: MemoryItemsOptions<Item>;
  /** In the order of the offsets; fewer than half of them are not kept, beyond a few. */
  #entries: Entry<Item>[] = [];
  readonly #byKey = new Map<string, Entry<Item>>();
  /** The index of the oldest entry that may be kept. */
  #head = 0;
  #kept = 0;
  #bytes = 0;
  #next = 0;

  constructor(options: MemoryItemsOptions<Item>) {
    this.#options = options;
  }

  get first(): number {
    return this.#oldest()?.offset ?? this.#next;
  }

  get next(): number {
    return this.#next;
  }

  get bytes(): number {
    return this.#bytes;
  }

  start(): void {
    // Everything can be read at once.
  }

  append(item: Item, slowest: number | undefined): void {
    const { overflow, keyOf, bytesOf } = this.#options;
    const key = overflow === 'merge' ? keyOf?.(item) : undefined;
    const older = key === undefined ? undefined : this.#byKey.get(key);
    if (older) this.#drop(older);
    const entry = { offset: this.#next++, item, bytes: bytesOf(item), key, isKept: true };
    this.#entries.push(entry);
    if (key !== undefined) this.#byKey.set(key, entry);
    this.#kept++;
    this.#bytes += entry.bytes;
    this.#shrink(overflow === 'wait' ? slowest : this.#next);
  }

  isFull(slowest: number | undefined): boolean {
    if (this.#options.overflow !== 'wait') return false;
    this.#shrink(slowest);
    return this.#isOver();
  }

  read(from: number, maxBytes: number): readonly StreamItem<Item>[] {
    const items: StreamItem<Item>[] = [];
    let bytes = 0;
    for (let index = this.#indexOf(from); index < this.#entries.length && (items.length === 0 || bytes < maxBytes); index++) {
      const entry = this.#entries[index];
      if (!entry?.isKept) continue;
      items.push({ offset: entry.offset, next: entry.offset + 1, item: entry.item });
      bytes += entry.bytes;
    }
    return items;
  }

  async sync(): Promise<void> {
    // There is no disk.
  }

  async close(): Promise<void> {
    // The memory is freed with the object.
  }

  #isOver(): boolean {
    // The newest item is always kept, however large it is.
    return this.#kept > 1 && (this.#kept > this.#options.maxItems || this.#bytes > this.#options.maxBytes);
  }

  /** Drops the oldest items before the offset `end`, as many as are too many. */
  #shrink(end: number | undefined): void {
    if (end === undefined) return;
    while (this.#isOver()) {
      const oldest = this.#oldest();
      if (!oldest || oldest.offset >= end) return;
      this.#drop(oldest);
    }
  }

  #drop(entry: Entry<Item>): void {
    entry.isKept = false;
    this.#kept--;
    this.#bytes -= entry.bytes;
    if (entry.key !== undefined && this.#byKey.get(entry.key) === entry) this.#byKey.delete(entry.key);
    // More than half is not kept: moving the rest costs one move per item on average.
    if (this.#entries.length < 2 * this.#kept + 64) return;
    this.#entries = this.#entries.filter(({ isKept }) => isKept);
    this.#head = 0;
  }

  #oldest(): Entry<Item> | undefined {
    while (this.#entries[this.#head]?.isKept === false) this.#head++;
    return this.#entries[this.#head];
  }

  /** The index of the first entry at or after this offset. */
  #indexOf(offset: number): number {
    let [low, high] = [this.#head, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.offset ?? Infinity) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
