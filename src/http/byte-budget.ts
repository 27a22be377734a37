/** The memory of large bodies and answers over all connections: whoever would take more than its share is asked to come again. */

// What is smaller is bounded by the number of connections.
const SMALL_BYTES = 64 * 1024;

export class ByteBudget<Who> {
  readonly #byPlace = new Map<string, number>();
  #held = 0;

  /**
   * `maxBytes`: for all requests at once. One place may have half of it, so that no caller alone shuts out the others. `placeOf` names the
   * place of a request that is not small.
   */
  constructor(
    private readonly maxBytes: number,
    private readonly placeOf: (who: Who) => string,
  ) {}

  /** Bytes held by requests that are not small. */
  get held(): number {
    return this.#held;
  }

  /** For a request of `who` that holds nothing yet. */
  open(who: Who): Reservation {
    return new Reservation((bytes) => this.#count(this.placeOf(who), bytes));
  }

  #count(place: string, bytes: number): boolean {
    const mine = (this.#byPlace.get(place) ?? 0) + bytes;
    this.#held += bytes;
    if (mine === 0) this.#byPlace.delete(place);
    else this.#byPlace.set(place, mine);
    return this.#held <= this.maxBytes && mine <= this.maxBytes / 2;
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
