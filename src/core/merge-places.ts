/** Which key waits in which place of a line, both ways: a newer state is put where the older one waits. */

interface Place {
  readonly key: string;
  /** When its first state came. */
  readonly since: number;
}

export class MergeKeys {
  readonly #numbers = new Map<string, number>();
  readonly #places = new Map<number, Place>();

  /** The number of the place in which this key waits. */
  find(key: string): number | undefined {
    return this.#numbers.get(key);
  }

  /** Answers the bytes that the key holds. */
  add(key: string, number: number, since: number): number {
    // A slice of a text keeps the whole text alive, so the key is copied.
    const own = Buffer.from(key, 'utf16le').toString('utf16le');
    this.#numbers.set(own, number);
    this.#places.set(number, { key: own, since });
    return bytesOf(own);
  }

  /** Since when the place is taken; undefined if it has no key. */
  since(number: number): number | undefined {
    return this.#places.get(number)?.since;
  }

  /** What waited there is taken; answers the bytes that its key held. */
  forget(number: number): number {
    const place = this.#places.get(number);
    if (!place) return 0;
    this.#places.delete(number);
    this.#numbers.delete(place.key);
    return bytesOf(place.key);
  }

  clear(): void {
    this.#numbers.clear();
    this.#places.clear();
  }
}

/** A string has up to two bytes for each of its characters. */
function bytesOf(key: string): number {
  return 2 * key.length;
}
