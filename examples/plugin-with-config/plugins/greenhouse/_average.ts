/** A helper: the file begins with `_`, so it is no plugin; the class is constructed and injected by the relay. */

export class Average {
  readonly #samples: number[] = [];

  /** Takes a sample in, forgets all but the last `size`, and returns their mean. */
  add(sample: number, size: number): number {
    this.#samples.push(sample);
    this.#samples.splice(0, this.#samples.length - size);
    return this.#samples.reduce((sum, one) => sum + one, 0) / this.#samples.length;
  }
}
