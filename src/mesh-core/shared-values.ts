/** Values that many rows of a table have in common: each is kept once, under a small number, for as long as a row uses it. */

interface Entry<T, K> {
  readonly key: K;
  readonly value: T;
  uses: number;
}

/** See the head of this file. `K` is what equal values have in common. */
export class SharedValues<T, K = T> {
  readonly #entries: (Entry<T, K> | undefined)[];
  readonly #numbers = new Map<K, number>();
  readonly #free: number[] = [];

  /** `none` always has the number 0. */
  constructor(private readonly none: T) {
    this.#entries = [undefined];
  }

  /** The number of a value for one more row. */
  use(value: T, key: K): number {
    const known = this.#numbers.get(key);
    const entry = known === undefined ? undefined : this.#entries[known];
    if (known !== undefined && entry) {
      entry.uses++;
      return known;
    }
    const number = this.#free.pop() ?? this.#entries.length;
    this.#entries[number] = { key, value, uses: 1 };
    this.#numbers.set(key, number);
    return number;
  }

  /** A row no longer uses the value with this number. */
  release(number: number): void {
    const entry = this.#entries[number];
    if (!entry || --entry.uses > 0) return;
    this.#entries[number] = undefined;
    this.#numbers.delete(entry.key);
    this.#free.push(number);
  }

  at(number: number): T {
    return this.#entries[number]?.value ?? this.none;
  }

  /** The numbers of the values that meet a condition. */
  where(meets: (value: T) => boolean): ReadonlySet<number> {
    return new Set(this.#entries.flatMap((entry, number) => (entry && meets(entry.value) ? [number] : [])));
  }

  /** How many values are kept. */
  get size(): number {
    return this.#numbers.size;
  }
}
