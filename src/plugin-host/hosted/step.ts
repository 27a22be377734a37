/** One step of a plugin's life: it has a time limit, and is given up when the plugin is to stop. */
import { withTimeout } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';

export interface StepParts {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Aborted with the reason for which the step is given up. Default: never. */
  readonly signal?: AbortSignal | undefined;
}

/** What `work` yields, or a RelayError TIMEOUT with `text`, or the reason of the signal; whatever `work` still does then is ignored. */
export function inStep<T>({ clock, timeoutMs, signal }: StepParts, text: string, work: () => T | Promise<T>): Promise<T> {
  return withTimeout(clock, timeoutMs, text, () => (signal ? unlessAborted(signal, work) : work()));
}

/** What `work` yields, or the signal's reason, whichever is first. */
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
