/** Which messages were here already: the end of every loop between relays. */

/** A set of ids that forgets the oldest: two generations, the older one dropped when the younger is full. */
export class SeenIds {
  #young = new Set<string>();
  #old = new Set<string>();

  /**
   * `generation`: ids per generation; 50,000 ids are about 8 MB and, at 1,000 dicts a second, most of a minute, far longer than a dict
   * circles.
   */
  constructor(private readonly generation = 50_000) {}

  /** Notes `id`; true if it was not there before. */
  add(id: string): boolean {
    if (this.#old.has(id)) return false;
    const { size } = this.#young;
    this.#young.add(id);
    if (this.#young.size === size) return false;
    if (this.#young.size >= this.generation) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    return true;
  }

  /** True if `id` was noted and is not forgotten yet. */
  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id);
  }

  /** Forgets `id`: it was refused after all, and may come again. */
  remove(id: string): void {
    this.#young.delete(id);
    this.#old.delete(id);
  }
}
