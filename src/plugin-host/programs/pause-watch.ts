/** Detects when the relay itself was paused (stopped process or machine, blocked event loop), so that programs are not blamed for it. */
import { RateLimitedLog } from '../../core/core.ts';
import type { Clock, Log } from '../../core/core.ts';

const INTERVAL_MS = 1_000;
// A busy event loop is late by tenths of a second. With a longer delay the relay had no chance to read an answer in time.
const MAX_LATE_MS = 1_000;

/** Runs a timer every second while any program has a process. A timer that fires late reveals a pause. */
export class PauseWatch {
  readonly #clock: Clock;
  readonly #warnings: RateLimitedLog;
  #programs = 0;
  #due = Infinity;
  #lastPauseEnd = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, log: Pick<Log, 'warn'>) {
    this.#clock = clock;
    this.#warnings = new RateLimitedLog(log, clock);
  }

  /** Registers a process of a program. Each call needs a matching {@link end}. */
  begin(): void {
    if (++this.#programs === 1) this.#arm();
  }

  end(): void {
    if (--this.#programs > 0) return;
    this.#cancel?.();
    this.#due = Infinity;
  }

  /** True if the relay was paused at some time after `since`. */
  wasPausedSince(since: number): boolean {
    // After a pause all timers are due at the same time, and another one may fire before ours.
    this.#check(this.#clock.now());
    return this.#lastPauseEnd >= since;
  }

  #arm(): void {
    this.#due = this.#clock.now() + INTERVAL_MS;
    this.#cancel = this.#clock.after(INTERVAL_MS, () => {
      this.#check(this.#clock.now());
      this.#arm();
    });
  }

  #check(now: number): void {
    const lateMs = now - this.#due;
    if (lateMs <= MAX_LATE_MS) return;
    const isNew = this.#lastPauseEnd < this.#due;
    this.#lastPauseEnd = now;
    if (isNew)
      this.#warnings.warn(`the relay did not run for about ${Math.round(lateMs)} ms; pings that programs missed in that time do not count`);
  }
}
