/** The messages that wait for one neighbour or one node: what was tried before, what is fresh, and a backlog. */
import { HeldQueue } from './held-queue.ts';
import type { Held, HeldTable } from './held-table.ts';

/** Which part of a queue a message is in. */
export type Part = 'retry' | 'fresh' | 'backlog';

/** See the head of this file. The owner decides which messages of it still count: those that do not are skipped. */
export class SendQueue {
  readonly #parts: Readonly<Record<Part, HeldQueue>>;
  /** Messages and bytes that count: what quotas limit. */
  messages = 0;
  bytes = 0;

  constructor(table: HeldTable) {
    this.#parts = { retry: new HeldQueue(table), fresh: new HeldQueue(table), backlog: new HeldQueue(table) };
  }

  /** Entries, with those that do not count any more. */
  length(part: Part): number {
    return this.#parts[part].length;
  }

  get isEmpty(): boolean {
    return this.length('retry') + this.length('fresh') + this.length('backlog') === 0;
  }

  push(held: Held, part: Part): void {
    // What must keep its order does not overtake what waits already.
    const mustWait = part === 'fresh' && held.isOrdered && this.length('backlog') > 0;
    const taken = mustWait ? 'backlog' : part;
    if (taken === 'backlog' && held.isOrdered) this.#joinBacklog();
    this.#parts[taken].push(held);
  }

  /** Fresh messages that nobody has taken are the beginning of a backlog that keeps its order. */
  #joinBacklog(): void {
    const { fresh, backlog } = this.#parts;
    for (let held = fresh.shift(); held; held = fresh.shift()) backlog.push(held);
  }

  /** Takes the oldest that counts. */
  shift(part: Part, counts: (held: Held) => boolean): Held | undefined {
    const fifo = this.#parts[part];
    for (let held = fifo.shift(); held; held = fifo.shift()) if (counts(held)) return held;
    return undefined;
  }

  /** Drops the entries that do not count, if they are the greater part. */
  compact(counts: (held: Held) => boolean): void {
    for (const fifo of Object.values(this.#parts)) {
      if (fifo.length <= 64 || fifo.length <= 2 * this.messages) continue;
      for (let left = fifo.length; left > 0; left--) {
        const held = fifo.shift();
        if (held && counts(held)) fifo.push(held);
      }
    }
  }
}
