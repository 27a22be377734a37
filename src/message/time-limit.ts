/** The time limit of one piece of work. */
import type { Clock } from './clock.ts';
import { RelayError } from './error.ts';

/** What `work` yields, or a RelayError TIMEOUT with `text` if that takes longer than `ms`; whatever `work` still does then is ignored. */
export async function withinLimit<T>(clock: Clock, ms: number, text: string, work: () => T | Promise<T>): Promise<T> {
  let callOff = (): void => undefined;
  const late = new Promise<never>((_resolve, reject) => {
    callOff = clock.after(ms, () => {
      reject(new RelayError('TIMEOUT', text));
    });
  });
  try {
    return await Promise.race([(async () => work())(), late]);
  } finally {
    callOff();
  }
}
