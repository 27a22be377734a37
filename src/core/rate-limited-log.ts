/** Warnings that somebody outside can cause at will: one a second at most, the next one saying how many were left out. */
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

const PAUSE_MS = 1_000;

export class RateLimitedLog {
  #quietUntil = -Infinity;
  #leftOut = 0;

  constructor(
    private readonly log: Pick<Log, 'warn'>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** Warns, unless something was warned of a moment ago; then false. */
  warn(text: string): boolean {
    const now = this.clock.now();
    if (now < this.#quietUntil) {
      this.#leftOut++;
      return false;
    }
    this.#quietUntil = now + PAUSE_MS;
    this.log.warn(this.#leftOut === 0 ? text : `${text} (and ${this.#leftOut} more since the last such line)`);
    this.#leftOut = 0;
    return true;
  }
}
