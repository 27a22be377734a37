/** Answers that are there at once, or come later. */

/** What is there already need not be waited for: a promise costs as much as a small call. */
export type MaybePromise<T> = T | Promise<T>;

/** True for a promise of whatever make. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
