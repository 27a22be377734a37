/** Limits warnings that outsiders can cause at will to one per second; the next one says how many were suppressed. */
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

const PAUSE_MS = 1_000;

/** A rate-limited log. */
export class RateLimitedLog {
  #quietUntil = -Infinity;
  #suppressed = 0;

  constructor(
    private readonly log: Pick<Log, 'warn'>,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** Logs a warning; returns false if it was suppressed. */
  warn(text: string): boolean {
    const now = this.clock.now();
    if (now < this.#quietUntil) {
      this.#suppressed++;
      return false;
    }
    this.#quietUntil = now + PAUSE_MS;
    this.log.warn(this.#suppressed === 0 ? text : `${text} (and ${this.#suppressed} more since the last such line)`);
    this.#suppressed = 0;
    return true;
  }
}
