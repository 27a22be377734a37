/** Time as a parameter, so that tests can control it. */
import { performance } from 'node:perf_hooks';

/** A source of time. */
export interface Clock {
  /** Monotonic ms, only for differences. */
  now(): number;
  /** Calls `due` once after `ms`; the returned function cancels that. */
  after(ms: number, due: () => void): () => void;
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
