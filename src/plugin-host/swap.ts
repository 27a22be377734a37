/** Puts a new version of a plugin in the place of the one that runs: nothing is lost or comes twice, and if the new one fails the old one goes on. */
import type { RelayPort } from './satellite.ts';
import { unlessAborted } from './step.ts';
import type { Version } from './version.ts';

export interface SwapParts {
  /** The plugin's name. */
  readonly name: string;
  readonly port: RelayPort;
  /** Gives the swap up; the old version goes on. */
  readonly signal: AbortSignal;
  /** Called in the moment in which messages and calls are to go to the new version. */
  readonly take: () => void;
}

/**
 * `next` is constructed and configured. Resolves when it runs and `old` may be exited; rejects with why it does not run.
 *
 *     old   receives | held: what comes waits ............................ | finishes its calls, exits
 *     new                      handover -> restore -> setup -> methods ->    receives what waited
 */
export async function swap(old: Version, next: Version, { name, port, signal, take }: SwapParts): Promise<void> {
  next.attach(port);
  try {
    await unlessAborted(signal, () => old.hold());
    const states = await old.handOver(signal);
    await next.setUp({ signal, states });
    port.expose(name, next.methods);
  } catch (error) {
    old.resume();
    await next.exit();
    throw error;
  }
  // No await between these: whatever comes goes to one version.
  next.succeed(old);
  take();
}
