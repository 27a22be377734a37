/** The memory budget for large bodies and responses over all connections. Requests beyond a share of it are rejected. */

// Smaller bodies are bounded by the number of connections.
export const SMALL_BYTES = 64 * 1024;

/** The share of the budget that a request uses. */
export interface Share {
  /** Where the request comes from: all requests from one place have one share. */
  readonly place: string;
  /** True for a caller that has not identified itself. */
  readonly isUntrusted: boolean;
}

export class ByteBudget<Who> {
  readonly #byPlace = new Map<string, number>();
  #held = 0;
  #heldByUntrusted = 0;

  /**
   * `maxBytes` is for all requests together. One place may use half of it, so that no single caller shuts out the others. All untrusted
   * callers together may use half of it, and one place of theirs a quarter, so that known callers always find room. `shareOf` is called for
   * a request when it is no longer small.
   */
  constructor(
    private readonly maxBytes: number,
    private readonly shareOf: (who: Who) => Share,
  ) {}

  /** Bytes held by large requests. */
  get held(): number {
    return this.#held;
  }

  /** Opens an empty reservation for a request of `who`. */
  open(who: Who): Reservation {
    let share: Share | undefined;
    return new Reservation((bytes) => this.#count((share ??= this.shareOf(who)), bytes));
  }

  #count({ place, isUntrusted }: Share, bytes: number): boolean {
    const mine = (this.#byPlace.get(place) ?? 0) + bytes;
    this.#held += bytes;
    if (mine === 0) this.#byPlace.delete(place);
    else this.#byPlace.set(place, mine);
    if (isUntrusted) this.#heldByUntrusted += bytes;
    const { maxBytes } = this;
    if (this.#held > maxBytes || mine > maxBytes / 2) return false;
    return !isUntrusted || (this.#heldByUntrusted <= maxBytes / 2 && mine <= maxBytes / 4);
  }
}

/** The part of the budget that one request holds until `release`. */
export class Reservation {
  #own = 0;

  constructor(private readonly count: (bytes: number) => boolean) {}

  /** Counts `bytes` more in any case; false if that exceeds its share or the budget. */
  grow(bytes: number): boolean {
    const before = countedOf(this.#own);
    this.#own += bytes;
    const change = countedOf(this.#own) - before;
    return change === 0 || this.count(change);
  }

  release(): void {
    this.grow(-this.#own);
  }
}

function countedOf(bytes: number): number {
  return bytes > SMALL_BYTES ? bytes : 0;
}
