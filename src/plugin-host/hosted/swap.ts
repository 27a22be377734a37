/** Puts a new version of a plugin in the place of the one that runs, wherever it runs: nothing is lost or comes twice, and if the new one fails the old one goes on. */
import type { HostedMethod, RelayPort } from './hosted-plugin.ts';
import { unlessAborted } from './step.ts';

/** What is told of a version that was to be put in the place of another, and was not. */
export const NOT_RELOADED = 'not reloaded, the version before goes on';

/** The version that runs. `State` is what it hands over. */
export interface Outgoing<State> {
  /** From now on messages collect; resolves when none is under way. */
  hold(): Promise<void>;
  /** Throws a RelayError PLUGIN_REFUSED. */
  handOver(signal: AbortSignal): Promise<State>;
  /** It goes on: messages are delivered again. */
  resume(): void;
}

/** The version that is to run: constructed and configured, or its process has told what it is. */
export interface Incoming<State> {
  /** Restores the state and sets it up. Throws a RelayError PLUGIN_REFUSED. */
  setUp(parts: { readonly signal: AbortSignal; readonly states: State }): Promise<void>;
  /** Callable once it is set up. */
  readonly methods: readonly HostedMethod[];
  /** It is not to run after all. Never rejects. */
  exit(): Promise<void>;
}

export interface SwapParts {
  /** The plugin's name. */
  readonly name: string;
  readonly port: RelayPort;
  /** Gives the swap up; the old version goes on. */
  readonly signal: AbortSignal;
  /** Called in the moment in which messages and calls are to go to the new version: it takes over what waits. */
  readonly take: () => void;
}

/**
 * Resolves when `next` runs and `old` may be exited; rejects with why it does not run.
 *
 *     old   receives | held: what comes waits ............................ | finishes its calls, exits
 *     new                      handover -> restore -> setup -> methods ->    receives what waited
 */
export async function swap<State>(old: Outgoing<State>, next: Incoming<State>, { name, port, signal, take }: SwapParts): Promise<void> {
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
  // No await before it: whatever comes goes to one version.
  take();
}
