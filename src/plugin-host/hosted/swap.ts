/**
 * Replaces the running version of a plugin by a new one, wherever it runs. No message is lost or delivered twice; if the new version fails,
 * the old one keeps running.
 */
import { RelayError, unlessAborted } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { ExactOf, Sendable, Value } from '../../values/values.ts';
import type { RelayPort } from './hosted-plugin.ts';

/** The outcome in the log and the status for a version that could not replace the running one. */
export const NOT_RELOADED = 'not reloaded, the previous version keeps running';

// Callers hardly notice a second. If a setup takes longer, or calls its own plugin, the old version answers.
const HOLD_CALLS_MS = 1_000;

/** The running version. `State` is what it passes to the next one. */
export interface Outgoing<State> {
  /** True if it passes its state to the next version. The effect of a call that it answered after that would be lost. */
  readonly handsOver: boolean;
  /** The methods that are callable now. */
  readonly methods: readonly HostedMethod[];
  /** Resolves when no call is in progress, or after `timeoutMs`. */
  finishCalls(timeoutMs: number): Promise<void>;
  /** Keeps messages from now on. Resolves when no delivery is in progress. */
  pause(): Promise<void>;
  /** Rejects with a RelayError PLUGIN_REFUSED. */
  handOver(signal: AbortSignal): Promise<State>;
  /** Delivers messages again, because it keeps running. */
  resume(): void;
}

/** The next version: constructed and configured, or a process that has described itself. */
export interface Incoming<State> {
  /** Restores the state and sets it up. Rejects with a RelayError PLUGIN_REFUSED. */
  setUp(parts: { readonly signal: AbortSignal; readonly states: State }): Promise<void>;
  /** Callable once it is set up. */
  readonly methods: readonly HostedMethod[];
  /** Ends it, because the swap failed. Never rejects. */
  exit(): Promise<void>;
}

export interface SwapParts {
  /** The name of the plugin. */
  readonly name: string;
  readonly port: RelayPort;
  readonly clock: Clock;
  /** Cancels the swap; the old version keeps running. */
  readonly signal: AbortSignal;
  /** Called at the moment from which messages and calls go to the new version. It takes over the waiting messages. */
  readonly onSwitch: () => void;
}

/**
 * Resolves when `next` runs and `old` may be exited. Rejects with the reason why `next` does not run.
 *
 *     old   receives | paused: messages wait, and calls if there is state to hand over ... | finishes its calls, exits
 *     new                                      handover -> restore -> setup -> methods ->    receives and answers what waited
 */
export async function swap<State>(
  old: Outgoing<State>,
  next: Incoming<State>,
  { name, port, clock, signal, onSwitch }: SwapParts,
): Promise<void> {
  let calls: HeldCalls | undefined;
  try {
    await unlessAborted(signal, () => old.pause());
    if (old.handsOver) {
      calls = new HeldCalls(old.methods, clock);
      port.expose(name, calls.methods);
      await unlessAborted(signal, () => old.finishCalls(HOLD_CALLS_MS));
    }
    const states = await old.handOver(signal);
    await next.setUp({ signal, states });
    port.expose(name, next.methods);
  } catch (error) {
    if (calls) port.expose(name, old.methods);
    calls?.release(old.methods);
    old.resume();
    await next.exit();
    throw error;
  }
  // There is no await before this: each message and call goes to exactly one version.
  onSwitch();
  calls?.release(next.methods);
}

/** Calls that wait until it is decided which version answers them. After {@link HOLD_CALLS_MS} the old one does. */
class HeldCalls {
  /** The methods of the old version, whose calls wait. */
  readonly methods: readonly HostedMethod[];
  readonly #answering: Promise<readonly HostedMethod[]>;
  /** Lets `methods` answer the calls. */
  readonly release: (methods: readonly HostedMethod[]) => void;

  constructor(old: readonly HostedMethod[], clock: Clock) {
    let release: (methods: readonly HostedMethod[]) => void = () => undefined;
    this.#answering = new Promise((resolve) => (release = resolve));
    const cancelTimer = clock.after(HOLD_CALLS_MS, () => {
      release(old);
    });
    this.release = (methods) => {
      cancelTimer();
      release(methods);
    };
    this.methods = old.map((method) => ({ ...method, invoke: (params, exactOf) => this.#invoke(method.name, params, exactOf) }));
  }

  async #invoke(name: string, params: readonly Value[], exactOf: ExactOf): Promise<Sendable | undefined> {
    const methods = await this.#answering;
    const method = methods.find((one) => one.name === name);
    if (method) return method.invoke(params, exactOf);
    throw new RelayError('NO_SUCH_METHOD', `the method '${name}' no longer exists: its plugin was reloaded while the call waited`);
  }
}
