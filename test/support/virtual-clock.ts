/** A clock for tests: its time only passes by a call of `advance`. */
import type { Clock } from '../../src/core/core.ts';
import { Gate } from './gate.ts';

interface Timer {
  readonly at: number;
  readonly due: () => void;
}

export class VirtualClock implements Clock {
  /** The ms of every timer ever set, so that a test can wait until one is set. */
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

  /** The number of timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Resolves as soon as a timer is pending. */
  async whenPending(): Promise<void> {
    while (this.pending === 0) await this.set.first(this.set.all.length + 1);
  }

  /** Advances the time by `ms`; due timers fire in order, each at its own time. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.time = Math.max(this.time, next.at);
      this.#timers.splice(this.#timers.indexOf(next), 1);
      next.due();
    }
    this.time = end;
  }

  /** Advances the time by `ms` while the event loop is blocked: due timers fire at the next `advance`. */
  advanceHeld(ms: number): void {
    this.time += ms;
  }

  #next(end: number): Timer | undefined {
    return this.#timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
  }
}
