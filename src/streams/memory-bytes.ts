/** Keeps a stream of bytes in memory, whole, up to a limit: the twin of a file. */
import type { StreamItem, StreamStorage } from './port.ts';

/** Makes the storage of a stream of bytes; offsets count bytes, and what exceeds `maxBytes` is not taken and counted. */
export function memoryBytes(maxBytes: number): StreamStorage<Buffer> {
  return new MemoryBytes(maxBytes);
}

class MemoryBytes implements StreamStorage<Buffer> {
  readonly first = 0;
  readonly isWriting = false;
  readonly failure = undefined;
  #parts: StreamItem<Buffer>[] = [];
  #next = 0;
  #refused = 0;

  constructor(private readonly maxBytes: number) {}

  get next(): number {
    return this.#next;
  }

  get bytes(): number {
    return this.#next;
  }

  get refused(): number {
    return this.#refused;
  }

  start(): void {
    // Everything can be read at once.
  }

  append(item: Buffer): void {
    const taken = item.subarray(0, this.maxBytes - this.#next);
    this.#refused += item.length - taken.length;
    if (taken.length === 0) return;
    this.#parts.push({ offset: this.#next, next: this.#next + taken.length, item: Buffer.from(taken) });
    this.#next += taken.length;
  }

  isFull(): boolean {
    return false;
  }

  read(from: number, maxBytes: number): readonly StreamItem<Buffer>[] {
    const items: StreamItem<Buffer>[] = [];
    let at = from;
    const end = Math.min(this.#next, from + maxBytes);
    for (const { offset, next, item } of this.#parts) {
      if (next <= at || offset >= end) continue;
      const piece = item.subarray(at - offset, end - offset);
      items.push({ offset: at, next: at + piece.length, item: piece });
      at += piece.length;
    }
    return items;
  }

  async sync(): Promise<void> {
    // There is no disk.
  }

  async close(): Promise<void> {
    this.#parts = [];
    this.#next = 0;
  }
}
