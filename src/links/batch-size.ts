/** How many dicts the next request to a server may carry: whether it takes batches at all, and how large they may be. */
import type { Clock } from '../core/core.ts';

/** Dicts in one request. A relay takes as many from a peer. At 40 ms a round trip that is 25,000 a second, far more than a relay handles. */
export const MAX_BATCH = 1_000;
/** Bytes of dicts in one request, if it is more than one: the other side reads so much in some ten milliseconds, and most servers take bodies of a mebibyte. */
export const MAX_BATCH_BYTES = 512 * 1024;

const FIRST_BATCH = 16;
// Of a server that gets each dict once: after a time limit all that were in the request count as refused, so the first ones find out how quick it is.
const FIRST_CAUTIOUS_BATCH = 2;
const NO_LIMIT = 4;
const TRY_AGAIN_AFTER = 64;
// A batch is to take a fraction of the time limit: with all its dicts unanswered after that, nobody knows what the server took.
const QUICK_MS = 500;
const SLOW_MS = 2_000;
// How long a server that offers no batches is not asked again on the same connection; doubled each time, since an hour is soon enough for one that was updated.
const ASK_AGAIN_MS = 60_000;
const MAX_ASK_AGAIN_MS = 3_600_000;

export class BatchSize {
  #offers: 'unknown' | 'yes' | 'no' = 'unknown';
  #askAgainAt = 0;
  #askAgainMs = ASK_AGAIN_MS;
  // A server that answers the question by silence must not be asked at every new connection.
  #isSilent = false;
  // Questions in a row at which the connection ended.
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

  /** True if the server should be asked whether it takes batches, once there is more than one dict for it. */
  get isUnknown(): boolean {
    if (this.#offers === 'no' && this.clock.now() >= this.#askAgainAt) this.#offers = 'unknown';
    return this.#offers === 'unknown';
  }

  /** Dicts that the next request may carry. */
  get limit(): number {
    return this.#offers === 'yes' ? this.#limit : 1;
  }

  offered(): void {
    this.#offers = 'yes';
    this.#askAgainMs = ASK_AGAIN_MS;
    this.#isSilent = false;
    this.#breaks = 0;
  }

  /** The server did not answer whether it takes batches. A connection may end once for any reason; what ends it again, or takes too long, is the question. */
  unanswered(isTimeout: boolean): void {
    if (isTimeout || ++this.#breaks > 1) this.refused(true);
  }

  /** The server takes single calls alone. `isSilent`: it did not even answer the question. */
  refused(isSilent = false): void {
    this.#offers = 'no';
    this.#isSilent = isSilent;
    this.#askAgainAt = this.clock.now() + this.#askAgainMs;
    this.#askAgainMs = Math.min(MAX_ASK_AGAIN_MS, 2 * this.#askAgainMs);
  }

  /** The server failed at a batch that it may have run: single calls from now on, and few dicts at once when it is asked again. */
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
    // No server allows fewer: one of these few is too deep, or too odd, to be in a batch.
    this.#tooLarge = count <= NO_LIMIT ? MAX_BATCH + 1 : count;
  }

  /** The connection failed at `count` dicts: one by one it shows at which. What the server offers is asked again. */
  failed(count: number): void {
    if (count > 1) this.#limit = this.#good = 1;
    this.#tooLarge = MAX_BATCH + 1;
    if (!this.#isSilent) this.#offers = 'unknown';
  }

  /** The server started again: nothing is known of it. */
  forget(): void {
    this.#offers = 'unknown';
    this.#isSilent = false;
    this.#breaks = 0;
  }

  /** Doubles; once a batch was too large, halves the distance to it, rests close to it, and tries again now and then. */
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
