/** The time limit of one piece of work. */
import type { Clock } from './clock.ts';
import { RelayError } from './errors.ts';
import { isPromise } from './maybe-promise.ts';

/** What `work` yields, or a RelayError TIMEOUT with `text` if that takes longer than `ms`; whatever `work` still does then is ignored. */
export function withTimeout<T>(clock: Clock, ms: number, text: string, work: () => T | Promise<T>): Promise<T> {
  // One promise, not a race of some: every call of a program waits here.
  return new Promise((resolve, reject) => {
    // Whatever the work throws.
    const refuse: (thrown: unknown) => void = reject;
    const callOff = clock.after(ms, () => {
      reject(new RelayError('TIMEOUT', text));
    });
    const succeed = (value: T): void => {
      callOff();
      resolve(value);
    };
    const fail = (error: unknown): void => {
      callOff();
      refuse(error);
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
