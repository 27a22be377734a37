/** Time as a parameter, so that tests can control it. */
import { performance } from 'node:perf_hooks';

/** A source of time. */
export interface Clock {
  /** Monotonic ms, only for differences. */
  now(): number;
  /** Calls `due` once after `ms`; the returned function cancels that. */
  after(ms: number, due: () => void): () => void;
}

/** A clock that remembers its last reading, for work that takes microseconds and needs the time several times. */
export class LastReading implements Clock {
  readonly #clock: Clock;
  /** What {@link now} returned last. */
  last: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.last = clock.now();
  }

  now(): number {
    this.last = this.#clock.now();
    return this.last;
  }

  after(ms: number, due: () => void): () => void {
    return this.#clock.after(ms, due);
  }
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, due) => {
    const timer = setTimeout(due, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};
