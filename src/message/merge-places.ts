/** Which key waits in which place of a line, both ways: a newer state is put where the older one waits. */

interface Place {
  readonly key: string;
  /** When its first state came. */
  readonly since: number;
}

export class MergePlaces {
  readonly #numbers = new Map<string, number>();
  readonly #places = new Map<number, Place>();

  /** The number of the place in which this key waits. */
  find(key: string): number | undefined {
    return this.#numbers.get(key);
  }

  add(key: string, number: number, since: number): void {
    this.#numbers.set(key, number);
    this.#places.set(number, { key, since });
  }

  /** Since when the place is taken; undefined if it has no key. */
  since(number: number): number | undefined {
    return this.#places.get(number)?.since;
  }

  /** What waited there is taken; answers how long its key was. */
  forget(number: number): number {
    const place = this.#places.get(number);
    if (!place) return 0;
    this.#places.delete(number);
    this.#numbers.delete(place.key);
    return place.key.length;
  }

  clear(): void {
    this.#numbers.clear();
    this.#places.clear();
  }
}
