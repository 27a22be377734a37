/** The clock of the machine, which a test can set forward: what is due by then happens, as after a suspension of the process. */
import { systemClock } from '../../src/core/core.ts';
import type { Clock } from '../../src/core/core.ts';

interface Timer {
  readonly at: number;
  readonly due: () => void;
  cancel: () => void;
}

export class JumpingClock implements Clock {
  #offset = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return systemClock.now() + this.#offset;
  }

  after(ms: number, due: () => void): () => void {
    const timer: Timer = {
      at: this.now() + ms,
      due: () => {
        timer.cancel();
        this.#timers.delete(timer);
        due();
      },
      cancel: () => undefined,
    };
    timer.cancel = systemClock.after(ms, timer.due);
    this.#timers.add(timer);
    return () => {
      timer.cancel();
      this.#timers.delete(timer);
    };
  }

  /** Sets the clock forward by `ms`: all timers that are due by then fire once, in order, at the new time. */
  jump(ms: number): void {
    this.#offset += ms;
    const now = this.now();
    const due = [...this.#timers].filter(({ at }) => at <= now).sort((one, other) => one.at - other.at);
    for (const timer of this.#timers) {
      if (due.includes(timer)) continue;
      timer.cancel();
      timer.cancel = systemClock.after(timer.at - now, timer.due);
    }
    for (const timer of due) if (this.#timers.has(timer)) timer.due();
  }
}
