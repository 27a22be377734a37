/** Removes finished units that are too old or too many, the oldest first. */
import { reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { WorkLimits } from './options.ts';
import { isFinal } from './unit.ts';
import type { Unit } from './unit.ts';
import type { Units } from './units.ts';

export interface CleanUpParts {
  readonly units: Units;
  readonly limits: WorkLimits;
  readonly release: (unit: Unit) => Promise<void>;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly log: Log;
}

// Finished units are looked through this often.
const INTERVAL_MS = 60_000;

/** See the head of this file. */
export class CleanUp {
  readonly #parts: CleanUpParts;
  #isRunning = false;
  #cancelTimer = (): void => undefined;

  constructor(parts: CleanUpParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#isRunning = true;
    this.#later();
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancelTimer();
  }

  #later(): void {
    this.#cancelTimer = this.#parts.clock.after(INTERVAL_MS, () => {
      void this.#run().finally(() => {
        if (this.#isRunning) this.#later();
      });
    });
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { units, limits, release, date, log } = this.#parts;
    const ended = units.all.filter(({ state }) => isFinal(state));
    const excess = ended.length - limits.maxKept;
    const due = ended.filter(({ endedAt = 0 }, index) => index < excess || endedAt + limits.keepMs <= date());
    const failed = (what: string) => (error: unknown) => {
      log.warn(`${what} cannot be cleaned up: ${reasonOf(error)}`);
    };
    for (const unit of due) await release(unit).catch(failed(`the unit ${unit.id}`));
    await units.forgetBarred().catch(failed('the list of units that are gone'));
  }
}
