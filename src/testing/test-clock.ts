/** A clock that a test advances. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../core/core.ts';

interface Timer {
  readonly at: number;
  readonly due: () => void;
}

// Timers that one advance() calls at most: a timer that always restarts itself at once would never let it end.
const MAX_DUE = 100_000;
// Turns of the event loop between two timers: a dict takes one or two to reach the next satellite or relay.
const TURNS = 5;

/** The clock of a relay, for its limits, delays and ages. A plugin's own setTimeout and Date do not use it. */
export class TestClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  /** ms since the clock was made. */
  now(): number {
    return this.#now;
  }

  /** Calls `due` once, when `ms` have passed; the returned function cancels that. */
  after(ms: number, due: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), due };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /**
   * Advances the time by `ms`, after pending work has got as far as it can without that. Timers are called in order, each at its time, and
   * may set further timers. Rejects with a RangeError if `ms` is not a finite number of at least 0.
   */
  async advance(ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`clock.advance(${ms}): expected a number of ms, 0 or more`);
    const end = this.#now + ms;
    let count = 0;
    await turns();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      if (++count > MAX_DUE) throw new Error(`clock.advance(${ms}): more than ${MAX_DUE} timers were due; one restarts itself at once`);
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next);
      next.due();
      await turns();
    }
    this.#now = Math.max(this.#now, end);
  }

  /**
   * Lets all current timers expire, the earliest first. An expired timer may cancel later ones; timers that it starts do not expire.
   */
  async runOut(): Promise<void> {
    for (const timer of [...this.#timers].sort((one, other) => one.at - other.at)) {
      if (!this.#timers.delete(timer)) continue;
      this.#now = Math.max(this.#now, timer.at);
      timer.due();
      await turns();
    }
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (timer.at <= end && (!first || timer.at < first.at)) first = timer;
    return first;
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await nextTurn();
}
