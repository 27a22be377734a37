/** Answers that are there at once, or come later. */

/** What is there already need not be waited for: a promise costs as much as a small call. */
export type MaybePromise<T> = T | Promise<T>;

/** True for a promise of whatever make. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** `next` of the value: now if it is there, else when it comes. */
export function andThen<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return isPromise(value) ? value.then(next) : next(value);
}
