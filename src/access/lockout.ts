/** Stops guessers: too many wrong credentials from one place, and none is taken from there for a while. */
import type { Clock, Log } from '../core/core.ts';

interface Attempts {
  wrong: number;
  readonly since: number;
  lockedUntil: number;
}

const WINDOW_MS = 60_000;
const LOCK_MS = 60_000;
// About 1 MB. Who has more places to guess from than that is not stopped by counting; the oldest are forgotten first.
const MAX_PLACES = 10_000;

/**
 * Counts wrong credentials per place (an address, see {@link addressBlock}). While another machine is locked out nothing from there is judged, so the lock ends
 * after its minute whatever is tried, and a guesser does not learn that a guess was right. This machine is never locked out: right ones go on passing there.
 */
export class Lockout {
  readonly #places = new Map<string, Attempts>();
  #wrong = 0;
  #locks = 0;

  constructor(
    private readonly maxWrong: number,
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly maxPlaces = MAX_PLACES,
  ) {}

  get counts(): { readonly wrongCredentials: number; readonly lockOuts: number } {
    return { wrongCredentials: this.#wrong, lockOuts: this.#locks };
  }

  /** ms for which no credential is taken from `place`; 0 if it is not locked. */
  lockedFor(place: string): number {
    return Math.max(0, (this.#places.get(place)?.lockedUntil ?? 0) - this.clock.now());
  }

  /** Notes a wrong credential; the last one that is allowed in a minute locks, and is logged. */
  wrong(place: string): void {
    this.#wrong++;
    const now = this.clock.now();
    const attempts = this.#attempts(place, now);
    attempts.wrong++;
    if (attempts.wrong < this.maxWrong) return;
    attempts.lockedUntil = now + LOCK_MS;
    this.#locks++;
    this.log.warn(
      `${attempts.wrong} wrong credentials from ${place} in a minute: for a minute none is taken from there, but for right ones on this machine (maxWrongCredentials)`,
    );
  }

  #attempts(place: string, now: number): Attempts {
    const before = this.#places.get(place);
    if (before && now - before.since < WINDOW_MS && before.lockedUntil === 0) return before;
    const fresh = { wrong: 0, since: now, lockedUntil: 0 };
    this.#places.delete(place);
    this.#places.set(place, fresh);
    const [oldest] = this.#places.keys();
    if (this.#places.size > this.maxPlaces && oldest !== undefined) this.#places.delete(oldest);
    return fresh;
  }
}
