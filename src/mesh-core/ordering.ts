/** Holds back ordered messages that overtook earlier ones of their stream on another path, until those have come or for a bounded time. */
import type { Held } from './held-table.ts';
import { ORDER_WAIT_MS } from './limits.ts';
import type { Head } from './message.ts';
import type { SeenMessages } from './seen.ts';
import type { Sending } from './sending.ts';

export interface OrderingParts {
  readonly seen: SeenMessages;
  readonly sending: Sending;
  /** `head` is that of the message, unless it was held back. */
  readonly deliver: (held: Held, head?: Head) => void;
}

/** The messages of one stream that are held back, in the order of their numbers. */
interface HeldBack {
  readonly waiting: { readonly held: Held; readonly number: number; readonly until: number }[];
  isReading: boolean;
  isTimed: boolean;
}

// Messages that are held back for one stream. One more ends the wait for what is missing.
const MAX_WAITING = 1000;
// Streams whose missing numbers are remembered. When they are forgotten, one message of each waits again.
const MAX_GIVEN_UP = 4096;

/** See the head of this file. */
export class Ordering {
  readonly #parts: OrderingParts;
  readonly #heldBack = new Map<string, HeldBack>();
  // By stream, the number up to which what is missing is no longer waited for.
  readonly #givenUp = new Map<string, number>();

  constructor(parts: OrderingParts) {
    this.#parts = parts;
  }

  /** Delivers a message that is stored here, now or when it is its turn. */
  deliver(held: Held, head: Head, now: number): void {
    const { key } = held.stream;
    let back = this.#heldBack.get(key);
    const isFree = !held.isOrdered || held.isOwn || (!back && this.#isNext(held));
    if (isFree) this.#parts.deliver(held, head);
    else {
      if (!back) this.#heldBack.set(key, (back = { waiting: [], isReading: false, isTimed: false }));
      const { waiting } = back;
      const { number } = held;
      const later = waiting.findIndex((one) => one.number > number);
      waiting.splice(later === -1 ? waiting.length : later, 0, { held, number, until: now + ORDER_WAIT_MS });
      if (waiting.length > MAX_WAITING) this.#giveUp(key, waiting[0]?.number ?? 0);
    }
    if (back) this.#release(key, back);
  }

  /** True if nothing earlier of its stream is missing that is still waited for. */
  #isNext({ stream: { key }, number }: Held): boolean {
    return this.#parts.seen.hasAllBetween(key, this.#givenUp.get(key) ?? 0, number);
  }

  /** Delivers those whose turn it is. */
  #release(key: string, back: HeldBack): void {
    if (back.isReading) return;
    const { waiting } = back;
    const ready: Held[] = [];
    for (let first = waiting[0]; first && this.#isNext(first.held); first = waiting[0]) {
      waiting.shift();
      if (first.held.state !== 'gone') ready.push(first.held);
    }
    if (ready.every(({ arrival }) => arrival)) {
      for (const held of ready) this.#parts.deliver(held);
      if (waiting.length === 0) this.#heldBack.delete(key);
      else this.#limitWait(key, back);
      return;
    }
    back.isReading = true;
    this.#parts.sending.read(ready, () => {
      back.isReading = false;
      for (const held of ready) this.#parts.deliver(held);
      this.#release(key, back);
    });
  }

  /** Ends the wait for what is missing before the first message when its time is over. */
  #limitWait(key: string, back: HeldBack): void {
    const until = back.waiting[0]?.until;
    if (until === undefined || back.isTimed) return;
    back.isTimed = true;
    this.#parts.sending.at(until, () => {
      if (this.#heldBack.get(key) !== back) return;
      back.isTimed = false;
      const [first] = back.waiting;
      if (first && first.until <= until) this.#giveUp(key, first.number);
      this.#release(key, back);
    });
  }

  #giveUp(key: string, before: number): void {
    if (this.#givenUp.size >= MAX_GIVEN_UP) this.#givenUp.clear();
    this.#givenUp.set(key, before - 1);
  }
}
