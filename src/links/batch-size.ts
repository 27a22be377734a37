/** Learns how many dicts a request to a server may carry: whether it accepts batches at all, and how large they may be. */
import type { Clock } from '../core/core.ts';

/**
 * Dicts in one request. A relay accepts as many from a peer. At 40 ms a round trip that is 25,000 a second, far more than a relay
 * handles.
 */
export const MAX_BATCH = 1_000;
/**
 * Bytes of dicts in a request of more than one: the other side parses them in about ten milliseconds, and most servers accept bodies of a
 * mebibyte.
 */
export const MAX_BATCH_BYTES = 512 * 1024;

const FIRST_BATCH = 16;
// For a server that gets each dict once: all dicts of a request that times out count as rejected, so the first requests find out how fast
// it is.
const FIRST_CAUTIOUS_BATCH = 2;
const NO_LIMIT = 4;
const TRY_AGAIN_AFTER = 64;
// A batch should take a fraction of the timeout: after a timeout nobody knows which of its dicts the server accepted.
const QUICK_MS = 500;
const SLOW_MS = 2_000;
// After this time a server that accepts no batches is asked again on the same connection; doubled each time, up to an hour.
const ASK_AGAIN_MS = 60_000;
const MAX_ASK_AGAIN_MS = 3_600_000;

export class BatchSize {
  #offers: 'unknown' | 'yes' | 'no' = 'unknown';
  #askAgainAt = 0;
  #askAgainMs = ASK_AGAIN_MS;
  // A server that does not answer the probe must not be probed at every new connection.
  #isSilent = false;
  // Probes in a row at which the connection ended.
  #breaks = 0;
  #limit: number;
  // The largest batch that was answered since one failed, and the smallest one that was too large.
  #good = 1;
  #tooLarge = MAX_BATCH + 1;
  // Batches of the full size since the limit was found.
  #fullBatches = 0;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    isCautious: boolean,
  ) {
    this.#limit = isCautious ? FIRST_CAUTIOUS_BATCH : FIRST_BATCH;
  }

  /** True if the server should be probed for batches, once more than one dict waits for it. */
  get isUnknown(): boolean {
    if (this.#offers === 'no' && this.clock.now() >= this.#askAgainAt) this.#offers = 'unknown';
    return this.#offers === 'unknown';
  }

  /** Number of dicts that the next request may carry. */
  get limit(): number {
    return this.#offers === 'yes' ? this.#limit : 1;
  }

  /** The server accepts batches. */
  offered(): void {
    this.#offers = 'yes';
    this.#askAgainMs = ASK_AGAIN_MS;
    this.#isSilent = false;
    this.#breaks = 0;
  }

  /**
   * The server did not answer the probe. A connection may end once for any reason; if it ends again or times out, the probe is the cause.
   */
  unanswered(isTimeout: boolean): void {
    if (isTimeout || ++this.#breaks > 1) this.refused(true);
  }

  /** The server accepts only single calls. `isSilent`: it did not answer the probe. */
  refused(isSilent = false): void {
    this.#offers = 'no';
    this.#isSilent = isSilent;
    this.#askAgainAt = this.clock.now() + this.#askAgainMs;
    this.#askAgainMs = Math.min(MAX_ASK_AGAIN_MS, 2 * this.#askAgainMs);
  }

  /** The server failed at a batch that it may have run: single calls from now on, and few dicts at once when it is probed again. */
  endsBatches(isSilent = false): void {
    this.#limit = this.#good = 1;
    this.refused(isSilent);
  }

  /** `count` dicts were answered in `ms`. */
  answered(count: number, ms: number): void {
    this.#good = Math.max(this.#good, count);
    if (count > 1 && ms > SLOW_MS) this.#limit = this.#good = count >> 1;
    else if (ms < QUICK_MS && count >= this.#limit) this.#grow();
  }

  /** The server found `count` dicts in one request too many. */
  tooLarge(count: number): void {
    if (count <= this.#good) this.#good = Math.max(1, count >> 1);
    this.#limit = this.#good;
    this.#fullBatches = 0;
    // No server allows fewer: one of these few must be too deep, or too unusual, for a batch.
    this.#tooLarge = count <= NO_LIMIT ? MAX_BATCH + 1 : count;
  }

  /** The connection failed at `count` dicts: sending them one by one shows at which. The server is probed again. */
  failed(count: number): void {
    if (count > 1) this.#limit = this.#good = 1;
    this.#tooLarge = MAX_BATCH + 1;
    if (!this.#isSilent) this.#offers = 'unknown';
  }

  /** The server was restarted: nothing is known of it. */
  forget(): void {
    this.#offers = 'unknown';
    this.#isSilent = false;
    this.#breaks = 0;
  }

  /** Doubles the limit; once a batch was too large, halves the distance to it, stays close to it, and tries a larger one now and then. */
  #grow(): void {
    const limit = this.#limit;
    const room = this.#tooLarge - 1 - limit;
    if (room > limit >> 3) this.#limit = Math.min(2 * limit, limit + Math.ceil(room / 2), MAX_BATCH);
    else if (++this.#fullBatches >= TRY_AGAIN_AFTER) {
      this.#fullBatches = 0;
      this.#tooLarge = Math.min(2 * this.#tooLarge, MAX_BATCH + 1);
    }
  }
}
