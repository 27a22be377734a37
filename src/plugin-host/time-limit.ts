/** The time limit of one step. */
import { RelayError } from '../message/message.ts';
import type { Clock } from '../message/message.ts';

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
