/** Limits on how long a piece of work may take: a time, a signal, or both. */
import type { Clock } from './clock.ts';
import { RelayError } from './errors.ts';
import { isPromise } from './maybe-promise.ts';

/**
 * Resolves to what `work` yields. Rejects with a RelayError TIMEOUT with `text` if that takes longer than `ms`;
 * the work itself continues, and its result is ignored.
 */
export function withTimeout<T>(clock: Clock, ms: number, text: string, work: () => T | Promise<T>): Promise<T> {
  // One promise is cheaper than a race of several, and every call of a program waits here.
  return new Promise((resolve, reject) => {
    // The work may throw anything.
    const rejectWith: (thrown: unknown) => void = reject;
    const cancelTimer = clock.after(ms, () => {
      reject(new RelayError('TIMEOUT', text));
    });
    const succeed = (value: T): void => {
      cancelTimer();
      resolve(value);
    };
    const fail = (error: unknown): void => {
      cancelTimer();
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

/** Resolves to what `work` yields, or rejects with the reason of the signal, whichever comes first. */
export function unlessAborted<T>(signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      // Always a RelayError of ours.
      reject(signal.reason as Error);
    };
    if (signal.aborted) {
      giveUp();
      return;
    }
    signal.addEventListener('abort', giveUp, { once: true });
    (async () => work())()
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener('abort', giveUp);
      });
  });
}

/** Resolves to true as soon as the signal is aborted, or to false after `ms`. */
export function abortsWithin(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve(signal.aborted);
    };
    const cancel = clock.after(ms, end);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}

/** The limits of one step of a longer operation. */
export interface StepLimits {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Cancels the step. Default: nothing does. */
  readonly signal?: AbortSignal | undefined;
}

/** As {@link withTimeout}, and rejects with the reason of the signal as soon as that is aborted. */
export function runStep<T>({ clock, timeoutMs, signal }: StepLimits, text: string, work: () => T | Promise<T>): Promise<T> {
  return withTimeout(clock, timeoutMs, text, () => (signal ? unlessAborted(signal, work) : work()));
}
