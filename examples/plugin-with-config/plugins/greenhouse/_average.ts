/** A helper: the file begins with `_`, so it is not a plugin. The relay constructs and injects the class. */

export class Average {
  readonly #samples: number[] = [];

  /** Adds a sample, keeps the last `size` samples, and returns their mean. */
  add(sample: number, size: number): number {
    this.#samples.push(sample);
    this.#samples.splice(0, this.#samples.length - size);
    return this.#samples.reduce((sum, one) => sum + one, 0) / this.#samples.length;
  }
}
