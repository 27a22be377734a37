/** One satellite of this process: its instance, its state, the methods that it exposes, and its inbox. */
import { isPromise, RelayError, runStep, withTimeout } from '../../core/core.ts';
import type { Clock, Log, MaybePromise } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import { ATTACH } from '../../plugin/internal.ts';
import type {
  ControllerOptions,
  DatasourceOptions,
  DeliveryReport,
  Frame,
  Sender,
  WorkOptions,
  WorkResult,
} from '../../plugin/internal.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { Sendable, Value } from '../../values/values.ts';
import {
  COMMAND_TIMEOUT_MS,
  DATASOURCE_DEFAULTS,
  NO_INBOX,
  NO_OFFERS,
  PluginEnded,
  frameOf,
  notHandedOver,
  reasonText,
  refusal,
  whereThrown,
} from '../hosted/hosted.ts';
import type {
  EndpointOrder,
  HostedController,
  HostedDatasource,
  HostedEndpoint,
  HostedEndpointType,
  HostedWork,
  HostEvent,
  Inbox,
  Offers,
  RelayPort,
  SatelliteState,
  SatelliteStatus,
  WorkOrder,
} from '../hosted/hosted.ts';
import { invokeExposed } from './exposed.ts';
import type { ExposedMethod } from './exposed.ts';
import { iterate } from './generators.ts';
import type { GeneratorMethod } from './generators.ts';
import type { SatelliteInstance } from './load.ts';
import type { Watchdog, Watched } from './watchdog.ts';
import { acceptEndpoint } from './service-endpoints.ts';
import type { EndpointMethod } from './service-endpoints.ts';
import { runWork } from './work.ts';

export interface SatelliteParts {
  readonly name: string;
  readonly module: string;
  readonly file: string;
  readonly directory: string;
  readonly instance: SatelliteInstance;
  /** Undefined for a satellite without a `receive` of its own. */
  readonly inbox: Inbox | undefined;
  readonly methods: readonly (ExposedMethod & { readonly help: string })[];
  readonly work: readonly (GeneratorMethod<WorkOptions> & { readonly help: string })[];
  readonly datasources: readonly (GeneratorMethod<DatasourceOptions> & { readonly help: string })[];
  readonly controllers: readonly (GeneratorMethod<ControllerOptions> & { readonly help: string })[];
  readonly endpoints: readonly (EndpointMethod & { readonly help: string })[];
  /** ms for one `onDelivery`. */
  readonly reportTimeoutMs: number;
  readonly watchdog: Watchdog;
  readonly watched: Watched;
  readonly clock: Clock;
  /** The log of the plugin. */
  readonly log: Log;
  readonly events: EventSink<HostEvent>;
}

export interface SetupLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class Satellite {
  readonly #parts: SatelliteParts;
  #state: SatelliteState = { type: 'constructed' };
  /** The number of calls and units of work in progress. */
  #calls = 0;
  #onLastCall: (() => void) | undefined;
  /** What `setup` was called with. */
  #config: unknown;
  /** Ends each unit of work, recording and command in progress. */
  readonly #endings = new Set<AbortController>();
  /** Aborted when it exits, which ends its endpoints. */
  readonly #exiting = new AbortController();

  constructor(parts: SatelliteParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get status(): SatelliteStatus {
    const { name, module, file, inbox } = this.#parts;
    return { name, module, file, state: this.#state, ...(inbox?.counters ?? NO_INBOX) };
  }

  /** Its methods while it runs. */
  get methods(): readonly HostedMethod[] {
    if (this.#state.type !== 'running') return [];
    return this.#parts.methods.map((method) => ({
      name: method.name,
      help: method.help,
      signature: method.signature,
      paramNames: method.paramNames,
      access: method.options.access ?? 'call',
      invoke: (params) => this.#invoke(method, params),
    }));
  }

  /** What it offers now besides methods. */
  get offers(): Offers {
    if (this.#state.type !== 'running') return NO_OFFERS;
    return { work: this.#work, datasources: this.#datasources, controllers: this.#controllers, endpoints: this.#endpoints };
  }

  get #work(): readonly HostedWork[] {
    return this.#parts.work.map((work) => ({
      ...{ type: work.name, help: work.help, payload: work.options.payload ?? 'bytes' },
      ...{ maxConcurrent: work.options.maxConcurrent, timeoutMs: work.options.timeoutMs, takesParams: work.options.params !== undefined },
      isReady: true,
      run: (order) => this.#runWork(work, order),
    }));
  }

  get #datasources(): readonly HostedDatasource[] {
    return this.#parts.datasources.map((datasource) => ({
      ...{ name: datasource.name, help: datasource.help, timeoutMs: undefined, ...DATASOURCE_DEFAULTS },
      ...defined(datasource.options),
      readiness: 'ready',
      // Not counted as a call: a stop or a reload does not wait for it.
      record: (signal) => this.#frames(datasource, signal, (ends) => [ends]),
    }));
  }

  get #controllers(): readonly HostedController[] {
    return this.#parts.controllers.map((controller) => ({
      ...{ name: controller.name, help: controller.help, timeoutMs: COMMAND_TIMEOUT_MS, maxConcurrent: undefined },
      ...defined(controller.options),
      readiness: 'ready',
      command: (frame, signal) => this.#counted(this.#frames(controller, signal, (ends) => [frame, ends])),
    }));
  }

  get #endpoints(): readonly HostedEndpointType[] {
    return this.#parts.endpoints.map((endpoint) => ({
      ...{ role: endpoint.role, type: endpoint.type, help: endpoint.help, isReady: true },
      accept: (order) => this.#accept(endpoint, order),
    }));
  }

  /** Injects the sender. Classes that do not extend `Plugin` have no `send`. */
  attach(port: RelayPort): void {
    const { name, log, instance, inbox } = this.#parts;
    const sender: Sender = {
      name,
      log,
      send: async (dict, options) => {
        this.#requireAlive();
        return port.send(name, dict, options, inbox?.generation ?? 0);
      },
      call: async (method, params, options) => {
        this.#requireAlive();
        return port.call(name, method, params, options);
      },
    };
    if (typeof instance[ATTACH] === 'function') instance[ATTACH](sender);
  }

  /** Calls its `onDelivery`. Rejects with what that throws, or with a RelayError UNAVAILABLE if it does not run. */
  async reportDelivery(report: DeliveryReport): Promise<void> {
    const { name, instance, reportTimeoutMs: timeoutMs, watchdog, watched, clock } = this.#parts;
    if (this.#state.type !== 'running') throw new RelayError('UNAVAILABLE', `${name} is not running`);
    await withTimeout(clock, timeoutMs, `onDelivery() took longer than ${timeoutMs} ms (receiveTimeoutMs)`, () =>
      watchdog.run(watched, 'onDelivery', () => instance.onDelivery?.(report)),
    );
  }

  /** What its `handover` returns; undefined if it has none. Rejects with a RelayError PLUGIN_REFUSED. */
  async handover({ timeoutMs, signal }: SetupLimits): Promise<unknown> {
    const { name, instance } = this.#parts;
    if (typeof instance.handover !== 'function') return undefined;
    try {
      return await this.#runStep('handover', { timeoutMs, signal }, () => instance.handover?.());
    } catch (error) {
      throw notHandedOver(name, this.#explain(error), error);
    }
  }

  /**
   * Runs its `restore` with the state of the previous version, if there is any, and its `setup`. Messages are delivered from then on.
   * Rejects with a RelayError PLUGIN_REFUSED.
   */
  async setup(config: unknown, limits: SetupLimits, state?: unknown): Promise<void> {
    const { name, instance, inbox } = this.#parts;
    this.#config = config;
    this.#setState({ type: 'setting-up' });
    try {
      if (state !== undefined && typeof instance.restore === 'function')
        await this.#runStep('restore', limits, () => instance.restore?.(state));
      await this.#runStep('setup', limits, () => instance.setup?.(config));
    } catch (error) {
      const reason = this.#explain(error);
      this.#setState({ type: 'refused', reason });
      const file = whereThrown(error, this.#parts.directory) === '' ? ` (${this.#parts.file})` : '';
      throw refusal(name, `it refuses to start: ${reason}${file}`, error);
    }
    this.#setState({ type: 'running' });
    inbox?.open();
  }

  /** Ends deliveries and its work, runs its `exit` if it was set up, then aborts a `receive` that is still running. Never rejects. */
  async exit(timeoutMs: number): Promise<void> {
    const { name, instance, clock, inbox, log, watchdog, watched } = this.#parts;
    inbox?.close();
    const ended = new PluginEnded(`${name} was stopped meanwhile`);
    for (const ending of this.#endings) ending.abort(ended);
    this.#exiting.abort(ended);
    if (this.#state.type === 'running') {
      this.#setState({ type: 'exiting' });
      try {
        await withTimeout(clock, timeoutMs, `exit() took longer than ${timeoutMs} ms`, () =>
          watchdog.run(watched, 'exit', () => instance.exit?.()),
        );
        this.#setState({ type: 'exited' });
      } catch (error) {
        const reason = this.#explain(error);
        log.error(`${name}: exit failed: ${reason}`);
        this.#setState({ type: 'exited', reason });
      }
    }
    inbox?.abort();
  }

  /** Waits for the calls in progress, but not longer than `timeoutMs`. */
  async finishCalls(timeoutMs: number): Promise<void> {
    if (this.#calls === 0) return;
    await withTimeout(this.#parts.clock, timeoutMs, '', () => new Promise<void>((resolve) => (this.#onLastCall = resolve))).catch(
      () => undefined,
    );
  }

  #runStep(step: string, { timeoutMs, signal }: SetupLimits, work: () => unknown): Promise<unknown> {
    const { clock, watchdog, watched } = this.#parts;
    return runStep({ clock, timeoutMs, signal }, `${step}() took longer than ${timeoutMs} ms`, () => watchdog.run(watched, step, work));
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

  async *#runWork(work: GeneratorMethod<WorkOptions>, order: WorkOrder): AsyncGenerator<WorkResult, void, undefined> {
    const { instance, log } = this.#parts;
    const run = (signal: AbortSignal): AsyncIterable<WorkResult> =>
      runWork(work, instance, { ...order, signal }, { config: this.#config, log });
    yield* this.#counted(this.#untilExit(order.signal, run));
  }

  /** The frames that a method yields, called with parameters of which one is the signal that ends it. */
  async *#frames(
    { name, run }: GeneratorMethod<unknown>,
    signal: AbortSignal,
    params: (ends: AbortSignal) => readonly unknown[],
  ): AsyncGenerator<Frame, void, undefined> {
    const frames = (ends: AbortSignal): AsyncIterable<unknown> =>
      iterate(name, Reflect.apply(run, this.#parts.instance, params(ends)), ends);
    for await (const frame of this.#untilExit(signal, frames)) yield frameOf(frame, name, Date.now);
  }

  /** Iterates what `run` returns for a signal that is aborted by the signal of the caller, and when the satellite exits. */
  async *#untilExit<Item>(signal: AbortSignal, run: (ends: AbortSignal) => AsyncIterable<Item>): AsyncGenerator<Item, void, undefined> {
    if (this.#state.type !== 'running') throw new PluginEnded(`${this.name} was stopped meanwhile`);
    // Cheaper than AbortSignal.any, whose signals the one of the satellite would remember for as long as it lives.
    const ending = new AbortController();
    const cancel = (): void => {
      ending.abort(signal.reason);
    };
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    this.#endings.add(ending);
    try {
      yield* run(ending.signal);
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#endings.delete(ending);
    }
  }

  /** Counts as a call: a stop or a reload waits for its end. */
  async *#counted<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item, void, undefined> {
    const { watchdog, watched } = this.#parts;
    this.#calls++;
    watchdog.begin(watched);
    try {
      yield* items;
    } finally {
      this.#callEnded();
    }
  }

  async #accept(endpoint: EndpointMethod, order: EndpointOrder): Promise<HostedEndpoint> {
    const { instance, log, watchdog, watched } = this.#parts;
    const { signal: gone } = this.#exiting;
    try {
      return await watchdog.run(watched, endpoint.method, () => acceptEndpoint(endpoint, instance, order, { log, gone }));
    } catch (error) {
      if (RelayError.is(error)) throw error;
      throw new RelayError('APPLICATION', this.#explain(error), { cause: error });
    }
  }

  readonly #callEnded = (): void => {
    this.#parts.watchdog.end(this.#parts.watched);
    if (--this.#calls === 0) this.#onLastCall?.();
  };

  #explain(error: unknown): string {
    const { directory } = this.#parts;
    return `${reasonText(error, directory)}${whereThrown(error, directory)}`;
  }

  /** Throws if the satellite has ended: work that it left running must not send in its name. */
  #requireAlive(): void {
    const { type } = this.#state;
    if (type === 'exited' || type === 'refused') throw new RelayError('UNAVAILABLE', `${this.name} has been stopped`);
  }

  #setState(state: SatelliteState): void {
    this.#state = state;
    this.#parts.events.emit({ type: 'satellite.state', satellite: this.name, state });
  }
}

function defined<Options extends object>(options: Options): { readonly [Key in keyof Options]: Exclude<Options[Key], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as ReturnType<typeof defined<Options>>;
}
