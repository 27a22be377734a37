/** Says in the log what the start waits for, as long as it waits for programs. */
import type { Clock, Log } from '../../message/message.ts';
import type { HostedPlugin } from '../hosted.ts';

// What an interpreter needs at most; whoever looks at a start that takes longer wants to know why.
const EVERY_MS = 5_000;

/** Tells every five seconds which of `plugins` are not ready yet, until the answered function is called. */
export function tellProgress(plugins: readonly HostedPlugin[], { clock, log }: { readonly clock: Clock; readonly log: Log }): () => void {
  const began = clock.now();
  const tell = (): void => {
    const late = plugins.map(({ status }) => status).filter(({ state: { type } }) => type === 'starting' || type === 'stopping');
    const names = late.map(({ name, state: { type } }) => `${name} (${type})`).join(', ');
    if (names !== '') log.info(`the start has waited for programs for ${Math.round((clock.now() - began) / 1000)} s: ${names}`);
    callOff = clock.after(EVERY_MS, tell);
  };
  let callOff = clock.after(EVERY_MS, tell);
  return () => {
    callOff();
  };
}
