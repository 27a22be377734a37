/** Time as the plugin host sees it, so that a test may turn the hands; and the time limit of one step. */
import { RelayError } from '../message/message.ts';

export interface Clock {
  /** ms, monotonic; the clock of `Message.arrivedAt`. */
  now(): number;
  /** Calls `action` once after `ms`; the function that it returns calls that off. */
  after(ms: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** What `work` yields, or a RelayError TIMEOUT if that takes longer than `ms`; whatever `work` still does then is ignored. */
export async function withinLimit<T>(clock: Clock, ms: number, step: string, work: () => T | Promise<T>): Promise<T> {
  let callOff = (): void => undefined;
  const late = new Promise<never>((_resolve, reject) => {
    callOff = clock.after(ms, () => {
      reject(new RelayError('TIMEOUT', `${step} took longer than ${ms} ms`));
    });
  });
  try {
    return await Promise.race([(async () => work())(), late]);
  } finally {
    callOff();
  }
}
