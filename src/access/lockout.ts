/** Stops password guessing: after too many wrong credentials from one address, none is accepted from there for a while. */
import type { Clock, Log } from '../core/core.ts';

interface Attempts {
  wrong: number;
  readonly since: number;
  lockedUntil: number;
}

const WINDOW_MS = 60_000;
const LOCK_MS = 60_000;
// About 1 MB. Counting does not stop an attacker with more addresses than that; the oldest are evicted first.
const MAX_BLOCKS = 10_000;

/**
 * Counts wrong credentials per address block (see {@link addressBlock}). While another machine is locked out, its credentials are not
 * checked: the lock ends after a minute regardless of further attempts, and an attacker does not learn that a guess was right. This
 * machine is never locked out: valid credentials are still accepted from it.
 */
export class Lockout {
  readonly #blocks = new Map<string, Attempts>();
  #wrong = 0;
  #locks = 0;

  constructor(
    private readonly maxWrong: number,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly maxBlocks = MAX_BLOCKS,
  ) {}

  get counts(): { readonly wrongCredentials: number; readonly lockOuts: number } {
    return { wrongCredentials: this.#wrong, lockOuts: this.#locks };
  }

  /** ms for which no credential is accepted from `block`; 0 if it is not locked out. */
  lockedFor(block: string): number {
    return Math.max(0, (this.#blocks.get(block)?.lockedUntil ?? 0) - this.clock.now());
  }

  /** Counts a wrong credential; the last one allowed in a minute locks the block out and is logged. */
  wrong(block: string): void {
    this.#wrong++;
    const now = this.clock.now();
    const attempts = this.#attempts(block, now);
    attempts.wrong++;
    if (attempts.wrong < this.maxWrong) return;
    attempts.lockedUntil = now + LOCK_MS;
    this.#locks++;
    this.log.warn(
      `${attempts.wrong} wrong credentials from ${block} in a minute: locked out for a minute; valid ones from this machine are still accepted (maxWrongCredentials)`,
    );
  }

  #attempts(block: string, now: number): Attempts {
    const before = this.#blocks.get(block);
    if (before && now - before.since < WINDOW_MS && before.lockedUntil === 0) return before;
    const fresh = { wrong: 0, since: now, lockedUntil: 0 };
    this.#blocks.delete(block);
    this.#blocks.set(block, fresh);
    const [oldest] = this.#blocks.keys();
    if (this.#blocks.size > this.maxBlocks && oldest !== undefined) this.#blocks.delete(oldest);
    return fresh;
  }
}
