/** Remembers the ids of recent messages, so that no message circulates between relays. */

/** A bounded set of ids in two generations: the older one is dropped when the younger one is full. */
export class SeenIds {
  #young = new Set<string>();
  #old = new Set<string>();

  /**
   * `generation`: ids per generation. Default 50,000, which take about 8 MB and last, at 1,000 dicts a second, for most of a minute: far
   * longer than a dict needs to come back.
   */
  constructor(private readonly generation = 50_000) {}

  /** Adds `id`; true if it is new. */
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

  /** True if `id` is in the set. */
  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id);
  }

  remove(id: string): void {
    this.#young.delete(id);
    this.#old.delete(id);
  }
}
