/** Time as a parameter, so that tests run it by hand. */
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** ms, monotonic: for differences alone. */
  now(): number;
  /** Calls `due` once after `ms`; the answer takes it back. */
  after(ms: number, due: () => void): () => void;
}

/** The machine's. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, due) => {
    const timer = setTimeout(due, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};
