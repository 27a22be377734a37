/** The memory of large bodies and answers over all connections: whoever would take more than its share is asked to come again. */

// What is smaller is bounded by the number of connections.
export const SMALL_BYTES = 64 * 1024;

/** Whose share of the budget a request takes from. */
export interface Share {
  /** Where it comes from: requests from one place have one share. */
  readonly place: string;
  /** True for a caller of whom nothing is known. */
  readonly isStranger: boolean;
}

export class ByteBudget<Who> {
  readonly #byPlace = new Map<string, number>();
  #held = 0;
  #heldByStrangers = 0;

  /**
   * `maxBytes`: for all requests at once. One place may have half of it, so that no caller alone shuts out the others. Strangers have half of it
   * together, and half of that from one place: however many they are, callers that are known still get theirs. `shareOf` is asked once a request
   * is not small.
   */
  constructor(
    private readonly maxBytes: number,
    private readonly shareOf: (who: Who) => Share,
  ) {}

  /** Bytes held by requests that are not small. */
  get held(): number {
    return this.#held;
  }

  /** For a request of `who` that holds nothing yet. */
  open(who: Who): Reservation {
    let share: Share | undefined;
    return new Reservation((bytes) => this.#count((share ??= this.shareOf(who)), bytes));
  }

  #count({ place, isStranger }: Share, bytes: number): boolean {
    const mine = (this.#byPlace.get(place) ?? 0) + bytes;
    this.#held += bytes;
    if (mine === 0) this.#byPlace.delete(place);
    else this.#byPlace.set(place, mine);
    if (isStranger) this.#heldByStrangers += bytes;
    const { maxBytes } = this;
    if (this.#held > maxBytes || mine > maxBytes / 2) return false;
    return !isStranger || (this.#heldByStrangers <= maxBytes / 2 && mine <= maxBytes / 4);
  }
}

/** What one request holds of the budget, until `release`. */
export class Reservation {
  #own = 0;

  constructor(private readonly count: (bytes: number) => boolean) {}

  /** Counts `bytes` more, in any case; false if that is more than there is for it now. */
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
