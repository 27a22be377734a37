/** Results that are available now or later. */

/** A value or a promise of it. Hot paths avoid promises, since one costs as much as a small call. */
export type MaybePromise<T> = T | Promise<T>;

/** A call that has its place in the order of all, though its result is still to come: the next one need not wait for it. */
export class Accepted<T> {
  constructor(readonly result: Promise<T>) {}
}

/** What a call answers, once it is there. */
export function resultOf<T>(answer: T | Accepted<T>): MaybePromise<T> {
  return answer instanceof Accepted ? answer.result : answer;
}

/** True for any promise or thenable. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Calls `next` with the value: now if it is available, otherwise later. */
export function andThen<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return isPromise(value) ? value.then(next) : next(value);
}
