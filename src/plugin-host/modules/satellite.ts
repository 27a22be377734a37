/** One satellite of the host: its instance, its state, its voice, its line. */
import { RelayError, isPromise, withTimeout } from '../../core/core.ts';
import type { Clock, Log, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { ATTACH } from '../../plugin/for-host.ts';
import type { Sender } from '../../plugin/for-host.ts';
import { invokeExposed } from './exposed.ts';
import type { ExposedMethod } from './exposed.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { RelayPort, SatelliteEvent, SatelliteState, SatelliteStatus } from '../hosted/hosted.ts';
import type { SatelliteInstance } from './load.ts';
import { reasonText, whereThrown, NO_LINE, notHandedOver, refusal, inStep } from '../hosted/hosted.ts';
import type { Receiver } from './receiver.ts';
import type { Watchdog, Watched } from './watchdog.ts';

export interface SatelliteParts {
  readonly name: string;
  readonly module: string;
  readonly file: string;
  readonly directory: string;
  readonly instance: SatelliteInstance;
  /** Undefined for one that has no `receive` of its own. */
  readonly receiver: Receiver | undefined;
  readonly methods: readonly (ExposedMethod & { readonly help: string })[];
  readonly watchdog: Watchdog;
  readonly watched: Watched;
  readonly clock: Clock;
  /** Of the plugin's category. */
  readonly log: Log;
  readonly onEvent: (event: SatelliteEvent) => void;
}

export class Satellite {
  readonly #parts: SatelliteParts;
  #state: SatelliteState = { type: 'constructed' };
  /** Calls that are under way. */
  #calls = 0;
  #onLastCall: (() => void) | undefined;

  constructor(parts: SatelliteParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get status(): SatelliteStatus {
    const { name, module, file, receiver } = this.#parts;
    const counters = receiver?.counters ?? NO_LINE;
    return { name, module, file, state: this.#state, ...counters };
  }

  /** Its methods while it runs; else none. */
  get methods(): readonly HostedMethod[] {
    if (this.#state.type !== 'running') return [];
    return this.#parts.methods.map((method) => ({
      name: method.name,
      help: method.help,
      signature: method.signature,
      access: method.options.access ?? 'call',
      invoke: (params) => this.#invoke(method, params),
    }));
  }

  /** Gives it its voice; one that does not extend Plugin has none and needs none. */
  attach(port: RelayPort): void {
    const { name, log, instance } = this.#parts;
    const sender: Sender = {
      name,
      log,
      send: async (dict, options) => {
        this.#requireLife();
        return port.send(name, dict, options);
      },
      call: async (method, params, options) => {
        this.#requireLife();
        return port.call(name, method, params, options);
      },
    };
    if (typeof instance[ATTACH] === 'function') instance[ATTACH](sender);
  }

  /** What its `handover` answers; undefined if it has none. Throws a RelayError PLUGIN_REFUSED. */
  async handover(timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
    const { name, instance, clock, directory, watchdog, watched } = this.#parts;
    if (typeof instance.handover !== 'function') return undefined;
    try {
      return await inStep({ clock, timeoutMs, signal }, `handover() took longer than ${timeoutMs} ms`, () =>
        watchdog.run(watched, 'handover', () => instance.handover?.()),
      );
    } catch (error) {
      const reason = `${reasonText(error, directory)}${whereThrown(error, directory)}`;
      throw notHandedOver(name, reason, error);
    }
  }

  /**
   * Runs its `restore` with the state of the version before, if it has one, and its `setup`, then delivers. Throws a RelayError
   * PLUGIN_REFUSED.
   */
  async setup(config: unknown, timeoutMs: number, { signal, state }: { signal?: AbortSignal; state?: unknown } = {}): Promise<void> {
    const { name, instance, clock, directory, receiver, watchdog, watched } = this.#parts;
    const parts = { clock, timeoutMs, signal };
    this.#setState({ type: 'setting-up' });
    try {
      if (state !== undefined && typeof instance.restore === 'function')
        await inStep(parts, `restore() took longer than ${timeoutMs} ms`, () =>
          watchdog.run(watched, 'restore', () => instance.restore?.(state)),
        );
      await inStep(parts, `setup() took longer than ${timeoutMs} ms`, () => watchdog.run(watched, 'setup', () => instance.setup?.(config)));
    } catch (error) {
      const reason = `${reasonText(error, directory)}${whereThrown(error, directory)}`;
      this.#setState({ type: 'refused', reason });
      throw refusal(name, `it refuses to start: ${reason} (${this.#parts.file})`, error);
    }
    this.#setState({ type: 'running' });
    receiver?.open();
  }

  /** Ends deliveries, runs its `exit` if it was set up, then aborts the `receive` that still runs. Never throws. */
  async exit(timeoutMs: number): Promise<void> {
    const { name, instance, clock, directory, receiver, log, watchdog, watched } = this.#parts;
    receiver?.close();
    if (this.#state.type === 'running') {
      this.#setState({ type: 'exiting' });
      try {
        await withTimeout(clock, timeoutMs, `exit() took longer than ${timeoutMs} ms`, () =>
          watchdog.run(watched, 'exit', () => instance.exit?.()),
        );
        this.#setState({ type: 'exited' });
      } catch (error) {
        const reason = `${reasonText(error, directory)}${whereThrown(error, directory)}`;
        log.error(`${name}: exit failed: ${reason}`);
        this.#setState({ type: 'exited', reason });
      }
    }
    receiver?.abort();
  }

  /** Waits for the calls that are under way, but not longer than `timeoutMs`: they end by themselves. */
  async finishCalls(timeoutMs: number): Promise<void> {
    if (this.#calls === 0) return;
    await withTimeout(this.#parts.clock, timeoutMs, '', () => new Promise<void>((resolve) => (this.#onLastCall = resolve))).catch(
      () => undefined,
    );
  }

  #invoke(method: ExposedMethod, params: readonly Value[]): MaybePromise<Sendable | undefined> {
    if (this.#state.type !== 'running') throw new RelayError('UNAVAILABLE', `${method.name}: its satellite has been stopped`);
    const { instance, watchdog, watched } = this.#parts;
    const answer = watchdog.run(watched, method.name, () => invokeExposed(method, instance, params));
    if (!isPromise(answer)) return answer;
    this.#calls++;
    watchdog.begin(watched);
    void answer.then(this.#callEnded, this.#callEnded);
    return answer;
  }

  readonly #callEnded = (): void => {
    this.#parts.watchdog.end(this.#parts.watched);
    if (--this.#calls === 0) this.#onLastCall?.();
  };

  /** What a stopped satellite left running must not speak for it. */
  #requireLife(): void {
    const { type } = this.#state;
    if (type === 'exited' || type === 'refused') throw new RelayError('UNAVAILABLE', `${this.name} has been stopped`);
  }

  #setState(state: SatelliteState): void {
    this.#state = state;
    this.#parts.onEvent({ type: 'satellite.state', satellite: this.name, state });
  }
}
