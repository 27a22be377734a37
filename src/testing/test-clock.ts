/** Time that passes only when a test says so. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../core/core.ts';

interface Timer {
  readonly at: number;
  readonly due: () => void;
}

// Timers that one advance() calls: a timer that sets itself again at once would never let it end.
const MAX_DUE = 100_000;
// Of the event loop, between two moments: a dict goes from one satellite to the next, or to the next relay, in one or two.
const TURNS = 5;

/** The relay's time: its limits, pauses and ages. A plugin's own setTimeout and Date are not among it. */
export class TestClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  /** ms since the clock was made. */
  now(): number {
    return this.#now;
  }

  /** Calls `due` once, when `ms` have passed; the answer takes it back. */
  after(ms: number, due: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), due };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /**
   * Lets `ms` pass, once what is under way has got as far as it can without that. What is due is called in order of its time, at its time,
   * and what it starts may set the next timer. Throws a RangeError for what is no span of time.
   */
  async advance(ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`clock.advance(${ms}): give the ms that pass, 0 or more`);
    const end = this.#now + ms;
    let count = 0;
    await turns();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      if (++count > MAX_DUE) throw new Error(`clock.advance(${ms}): more than ${MAX_DUE} timers were due; one sets itself again at once`);
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next);
      next.due();
      await turns();
    }
    this.#now = Math.max(this.#now, end);
  }

  /**
   * Lets all timers of now expire, the earliest first. An expired one may cancel later ones before they expire; timers that it starts wait.
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
