/** A first-in, first-out queue of messages, packed: an entry takes twelve bytes and keeps no message alive. */
import { Fifo } from '../core/core.ts';
import type { Held, HeldTable } from './held-table.ts';

/** Entries of the queue that follow one another. */
interface Block {
  readonly rows: Uint32Array;
  readonly serials: Float64Array;
  begin: number;
  end: number;
}

// Entries of a block: of the first one, and of those that follow when it is full.
const FEW = 16;
const MANY = 512;

/** See the head of this file. Messages that are gone are skipped. */
export class HeldQueue {
  readonly #table: HeldTable;
  readonly #blocks = new Fifo<Block>();
  // The block at the end, which remains when the queue is empty.
  #last: Block;
  #length = 0;

  constructor(table: HeldTable) {
    this.#table = table;
    this.#last = blockOf(FEW);
    this.#blocks.push(this.#last);
  }

  /** Entries, with those that are gone. */
  get length(): number {
    return this.#length;
  }

  push({ row, serial }: Held): void {
    let last = this.#last;
    if (last.end === last.rows.length) this.#blocks.push((last = this.#last = blockOf(MANY)));
    last.rows[last.end] = row;
    last.serials[last.end++] = serial;
    this.#length++;
  }

  /** Takes the oldest. */
  shift(): Held | undefined {
    while (this.#length > 0) {
      const block = this.#blocks.at(this.#blocks.first) ?? this.#last;
      const [row = 0, serial = 0] = [block.rows[block.begin], block.serials[block.begin]];
      block.begin++;
      this.#length--;
      if (block.begin === block.end) this.#empty(block);
      const held = this.#table.find(row, serial);
      if (held) return held;
    }
    return undefined;
  }

  #empty(block: Block): void {
    if (block === this.#last) block.begin = block.end = 0;
    else this.#blocks.shift();
  }
}

function blockOf(length: number): Block {
  return { rows: new Uint32Array(length), serials: new Float64Array(length), begin: 0, end: 0 };
}
