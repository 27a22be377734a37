/** Limits the time of one operation. */
import type { Clock } from './clock.ts';
import { RelayError } from './errors.ts';
import { isPromise } from './maybe-promise.ts';

/** The result of `work`, or a RelayError TIMEOUT with `text` if it takes longer than `ms`; the result of `work` is ignored then. */
export function withTimeout<T>(clock: Clock, ms: number, text: string, work: () => T | Promise<T>): Promise<T> {
  // One promise instead of a race of several, since every call of a program waits here.
  return new Promise((resolve, reject) => {
    const rejectWith: (thrown: unknown) => void = reject;
    const cancel = clock.after(ms, () => {
      reject(new RelayError('TIMEOUT', text));
    });
    const succeed = (value: T): void => {
      cancel();
      resolve(value);
    };
    const fail = (error: unknown): void => {
      cancel();
      rejectWith(error);
    };
    try {
      const value = work();
      if (isPromise(value)) Promise.resolve(value).then(succeed, fail);
      else succeed(value);
    } catch (error) {
      fail(error);
    }
  });
}
