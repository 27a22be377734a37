/** The memory of large bodies and answers over all connections: whoever would take more than its share is asked to come again. */

/** What one request holds of the budget, until `release`. */
export interface Reservation {
  /** Counts `bytes` more, in any case; false if that is more than there is for it now. */
  grow(bytes: number): boolean;
  release(): void;
}

// What is smaller is bounded by the number of connections.
const SMALL_BYTES = 64 * 1024;

export class ByteBudget {
  readonly #byPlace = new Map<string, number>();
  #held = 0;

  /** `maxBytes`: for all requests at once. One place may have half of it, so that no caller alone shuts out the others. */
  constructor(private readonly maxBytes: number) {}

  /** Bytes held by requests that are not small. */
  get held(): number {
    return this.#held;
  }

  /** For a request from `place` that holds nothing yet. */
  open(place: string): Reservation {
    let own = 0;
    return {
      grow: (bytes) => {
        const before = countedOf(own);
        own += bytes;
        return this.#count(place, countedOf(own) - before);
      },
      release: () => {
        this.#count(place, -countedOf(own));
        own = 0;
      },
    };
  }

  #count(place: string, bytes: number): boolean {
    if (bytes === 0) return true;
    const mine = (this.#byPlace.get(place) ?? 0) + bytes;
    this.#held += bytes;
    if (mine === 0) this.#byPlace.delete(place);
    else this.#byPlace.set(place, mine);
    return this.#held <= this.maxBytes && mine <= this.maxBytes / 2;
  }
}

function countedOf(bytes: number): number {
  return bytes > SMALL_BYTES ? bytes : 0;
}
