/** Delays an action so that many causes in a row lead to few actions: the first soon, the next ones later and later. */

/** The delay doubles with each action that follows soon after another, and falls back after a quiet time. */
export class Throttle {
  #dueAt = Infinity;
  #lastAt = -Infinity;
  #delayMs: number;

  constructor(private readonly range: { readonly minMs: number; readonly maxMs: number }) {
    this.#delayMs = range.minMs;
  }

  /** When the action is due; Infinity if it is not. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Makes the action due, unless it is already. */
  request(now: number): void {
    if (this.#dueAt !== Infinity) return;
    if (now - this.#lastAt > 2 * this.range.maxMs) this.#delayMs = this.range.minMs;
    this.#dueAt = Math.max(now + this.range.minMs, this.#lastAt + this.#delayMs);
  }

  /** True if the action is to be done now; the next one is delayed longer. */
  take(now: number): boolean {
    if (now < this.#dueAt) return false;
    this.#dueAt = Infinity;
    this.#lastAt = now;
    this.#delayMs = Math.min(this.range.maxMs, this.#delayMs * 2);
    return true;
  }
}
