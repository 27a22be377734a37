/**
 * Puts a new version of a plugin in the place of the one that runs, wherever it runs: nothing is lost or comes twice, and if the new one
 * fails the old one goes on.
 */
import { RelayError } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { RelayPort } from './hosted-plugin.ts';
import { unlessAborted } from './step.ts';

/** What is told of a version that was to be put in the place of another, and was not. */
export const NOT_RELOADED = 'not reloaded, the version before goes on';

// Callers hardly notice a second. A setup that takes longer, or that calls its own plugin, is not waited for: the old version answers then.
const HOLD_CALLS_MS = 1_000;

/** The version that runs. `State` is what it hands over. */
export interface Outgoing<State> {
  /** True if it hands over state: the effect of a call that it answered after that would be lost. */
  readonly handsOver: boolean;
  /** What is callable now. */
  readonly methods: readonly HostedMethod[];
  /** Resolves when no call is under way, or after `timeoutMs`. */
  finishCalls(timeoutMs: number): Promise<void>;
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
  readonly clock: Clock;
  /** Gives the swap up; the old version goes on. */
  readonly signal: AbortSignal;
  /** Called in the moment in which messages and calls are to go to the new version: it takes over what waits. */
  readonly take: () => void;
}

/**
 * Resolves when `next` runs and `old` may be exited; rejects with why it does not run.
 *
 *     old   receives | held: messages wait, and calls if there is state to hand over .... | finishes its calls, exits
 *     new                                      handover -> restore -> setup -> methods ->    receives and answers what waited
 */
export async function swap<State>(
  old: Outgoing<State>,
  next: Incoming<State>,
  { name, port, clock, signal, take }: SwapParts,
): Promise<void> {
  let calls: HeldCalls | undefined;
  try {
    await unlessAborted(signal, () => old.hold());
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
  // No await before it: whatever comes goes to one version.
  take();
  calls?.release(next.methods);
}

/** Calls that wait until it is known which version answers them: at most {@link HOLD_CALLS_MS}, then the old one does. */
class HeldCalls {
  /** Those of the old version, which wait. */
  readonly methods: readonly HostedMethod[];
  readonly #answering: Promise<readonly HostedMethod[]>;
  readonly release: (methods: readonly HostedMethod[]) => void;

  constructor(old: readonly HostedMethod[], clock: Clock) {
    let release: (methods: readonly HostedMethod[]) => void = () => undefined;
    this.#answering = new Promise((resolve) => (release = resolve));
    const cancel = clock.after(HOLD_CALLS_MS, () => {
      release(old);
    });
    this.release = (methods) => {
      cancel();
      release(methods);
    };
    this.methods = old.map((method) => ({ ...method, invoke: (params) => this.#invoke(method.name, params) }));
  }

  async #invoke(name: string, params: readonly Value[]): Promise<Sendable | undefined> {
    const methods = await this.#answering;
    const method = methods.find((one) => one.name === name);
    if (method) return method.invoke(params);
    throw new RelayError('NO_SUCH_METHOD', `no method is named '${name}' any more: its plugin was reloaded while the call waited`);
  }
}
