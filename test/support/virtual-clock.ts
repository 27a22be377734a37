/** Time that passes only when a test says so. */
import type { Clock } from '../../src/core/core.ts';
import { Gate } from './gate.ts';

interface Timer {
  readonly at: number;
  readonly due: () => void;
}

export class VirtualClock implements Clock {
  /** The ms of every timer that was ever set, so that a test can await the moment when one is. */
  readonly set = new Gate<number>();
  #timers: Timer[] = [];

  constructor(private time = 1_000_000) {}

  now(): number {
    return this.time;
  }

  after(ms: number, due: () => void): () => void {
    const timer = { at: this.time + ms, due };
    this.#timers.push(timer);
    this.set.push(ms);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Timers that are neither due nor taken back. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Resolves as soon as there is one that is. */
  async whenPending(): Promise<void> {
    while (this.pending === 0) await this.set.first(this.set.all.length + 1);
  }

  /** Lets `ms` pass; what is due is called in order of its time, at its time. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.time = Math.max(this.time, next.at);
      this.#timers.splice(this.#timers.indexOf(next), 1);
      next.due();
    }
    this.time = end;
  }

  /** Lets `ms` pass in which the event loop does not turn: what is due then is called at the next `advance`. */
  advanceHeld(ms: number): void {
    this.time += ms;
  }

  #next(end: number): Timer | undefined {
    return this.#timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
  }
}
