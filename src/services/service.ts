/** One service: its watchers report to a book-keeper, and each of its reactors receives the changes from a feed of its own. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isPromise, RelayError, reasonOf, unlessAborted, withTimeout } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { NodeCalls } from '../nodes/nodes.ts';
import type { HostedEndpoint, HostedEndpointType, HostedReactor, HostedWatcher } from '../plugin-host/plugin-host.ts';
import type { EndpointState, ServiceLifeEvent, ServiceState } from '../relay/relay.ts';
import type { ServiceEvent } from '../plugin/plugin.ts';
import { Endpoint } from './endpoint.ts';
import type { EndpointRecord, ServiceLimits, ServiceRecord } from './options.ts';
import { watcherAt } from './other-nodes.ts';
import { BookKeeper, Feed } from './pipeline.ts';
import { readReport } from './report.ts';

export interface ServiceParts {
  readonly name: string;
  readonly record: ServiceRecord;
  readonly limits: ServiceLimits;
  readonly offered: () => readonly HostedEndpointType[];
  /** Reads streams of other nodes. */
  readonly nodes: Pick<NodeCalls, 'stream'>;
  readonly events: EventSink<ServiceLifeEvent>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** Counters of a watcher. */
export interface WatcherStatus extends EndpointStatus {
  readonly reports: number;
  /** Node states that it changed. */
  readonly changes: number;
}

/** Counters of a reactor. */
export interface ReactorStatus extends EndpointStatus {
  /** Changes that it has processed. */
  readonly changes: number;
  /** Node states that wait for it. */
  readonly queued: number;
  /** Changes that were merged because too many waited. */
  readonly merged: number;
}

interface EndpointStatus {
  readonly name: string;
  readonly type: string;
  /** The node that runs it; `''`: this relay. */
  readonly node: string;
  readonly state: EndpointState;
  readonly restarts: number;
  /** `''` if it never failed. */
  readonly lastError: string;
}

export interface ServiceStatus {
  readonly name: string;
  readonly state: ServiceState;
  readonly up: number;
  readonly down: number;
  readonly watchers: readonly WatcherStatus[];
  readonly reactors: readonly ReactorStatus[];
}

interface Watching {
  readonly endpoint: Endpoint;
  reports: number;
  changes: number;
}

interface Reacting {
  readonly endpoint: Endpoint;
  feed: Feed;
  changes: number;
  isBusy: boolean;
  /** Wakes its loop. */
  onChange: () => void;
  /** Called when nothing waits for it any more. */
  onIdle: () => void;
}

// A watcher that always has more to report must not keep everything else from running.
const REPORTS_AT_ONCE = 256;

export class Service {
  readonly #parts: ServiceParts;
  readonly #watchers: readonly Watching[];
  readonly #reactors: readonly Reacting[];
  #book: BookKeeper;
  #state: ServiceState = 'stopped';
  #isStarted = false;
  #stopping: Promise<void> | undefined;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    const { record, limits } = parts;
    this.#book = new BookKeeper(limits.maxNodes);
    this.#watchers = Object.entries(record.watchers ?? {}).map(([name, record]) => {
      const watching: Watching = {
        reports: 0,
        changes: 0,
        endpoint: this.#endpoint('watcher', name, { ...record }, (endpoint, signal) =>
          endpoint.role === 'watcher' ? this.#watch(watching, endpoint, signal) : Promise.resolve(),
        ),
      };
      return watching;
    });
    this.#reactors = Object.entries(record.reactors ?? {}).map(([name, { type, cfg }]) => {
      const idle = { changes: 0, isBusy: false, onChange: () => undefined, onIdle: () => undefined };
      const reacting: Reacting = {
        ...idle,
        feed: new Feed(limits.maxQueued),
        endpoint: this.#endpoint('reactor', name, { type, cfg }, (endpoint, signal) =>
          endpoint.role === 'reactor' ? this.#react(reacting, endpoint, signal) : Promise.resolve(),
        ),
      };
      return reacting;
    });
  }

  get name(): string {
    return this.#parts.name;
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#watchers, ...this.#reactors].map(({ endpoint }) => endpoint);
  }

  get status(): ServiceStatus {
    const { size, up } = this.#book;
    return {
      ...{ name: this.name, state: this.#state, up, down: size - up },
      watchers: this.#watchers.map(({ endpoint, reports, changes }) => ({ ...statusOf(endpoint), reports, changes })),
      reactors: this.#reactors.map(({ endpoint, feed, changes }) => ({
        ...{ ...statusOf(endpoint), changes, queued: feed.length, merged: feed.merges },
      })),
    };
  }

  /** All nodes that it knows. */
  get nodes(): ServiceEvent {
    return this.#book.all();
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** Resolves when a stop in progress has ended. */
  async stopped(): Promise<void> {
    await this.#stopping;
  }

  /** Has its endpoints accepted; nothing starts. Rejects with a RelayError CONFIG_INVALID that names the endpoint that is refused. */
  async accept(): Promise<void> {
    for (const endpoint of this.endpoints) {
      try {
        await endpoint.accept();
      } catch (error) {
        const reason = `${this.name}.${endpoint.role}s.${endpoint.name}: ${endpoint.type} refuses its configuration: ${reasonOf(error)}`;
        throw new RelayError('CONFIG_INVALID', `services: ${reason}`, { cause: error });
      }
    }
  }

  /** Starts its reactors, then its watchers. */
  start(): void {
    if (this.#isStarted) return;
    const { limits } = this.#parts;
    this.#book = new BookKeeper(limits.maxNodes);
    for (const reacting of this.#reactors) reacting.feed = new Feed(limits.maxQueued);
    for (const { endpoint } of [...this.#reactors, ...this.#watchers]) endpoint.start();
    // Before this point most endpoints have yet to start, which is no failure to report.
    this.#isStarted = true;
    this.#update();
  }

  /** Ends its watchers, lets its reactors process what waits, within a time limit, and ends them. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop().finally(() => {
      this.#stopping = undefined;
    });
    return this.#stopping;
  }

  /** The state of a plugin has changed. */
  refresh(): void {
    for (const endpoint of this.endpoints) endpoint.refresh();
  }

  async #stop(): Promise<void> {
    if (!this.#isStarted) return;
    this.#setState('stopping');
    const { clock, limits, log } = this.#parts;
    const reason = new RelayError('UNAVAILABLE', `the service ${this.name} is stopped`);
    await Promise.all(this.#watchers.map(({ endpoint }) => endpoint.stop(reason)));
    const late = 'not all changes were processed';
    await Promise.all(
      this.#reactors.map(async (reacting) => {
        await withTimeout(clock, limits.stopTimeoutMs, late, () => this.#drained(reacting)).catch(() => {
          log.warn(
            `${this.name}: stopped the reactor ${reacting.endpoint.name} with ${reacting.feed.length} node states unprocessed (serviceLimits.stopTimeoutMs)`,
          );
        });
        await reacting.endpoint.stop(reason);
      }),
    );
    this.#isStarted = false;
    this.#book = new BookKeeper(limits.maxNodes);
    this.#setState('stopped');
  }

  /** Resolves when nothing waits for a reactor that runs. */
  #drained(reacting: Reacting): Promise<void> {
    const { endpoint, feed } = reacting;
    if (endpoint.state.type !== 'running' || (feed.length === 0 && !reacting.isBusy)) return Promise.resolve();
    return new Promise((resolve) => (reacting.onIdle = resolve));
  }

  async #watch(watching: Watching, endpoint: HostedWatcher, signal: AbortSignal): Promise<void> {
    const ending = AbortSignal.any([signal, endpoint.gone]);
    const reports = endpoint.watch(ending)[Symbol.asyncIterator]();
    try {
      // A watcher that ignores its signal is left behind; nobody waits for it.
      await unlessAborted(ending, async () => {
        for (let count = 1; ; count++) {
          const next = await reports.next();
          if (next.done === true || ending.aborted) return;
          this.#take(watching, next.value);
          if (count % REPORTS_AT_ONCE === 0) await nextTurn();
        }
      });
    } finally {
      void Promise.resolve(reports.return?.(undefined)).catch(() => undefined);
    }
  }

  #take(watching: Watching, value: unknown): void {
    const change = this.#book.take(watching.endpoint.name, readReport(value));
    watching.reports++;
    if (!change) return;
    watching.changes += change.size;
    for (const reacting of this.#reactors) {
      reacting.feed.put(change);
      reacting.onChange();
    }
    const { events, name } = this.#parts;
    if (change.size > 0 && events.isWatched('service.changed'))
      events.emit({ type: 'service.changed', service: name, nodes: change.nodes });
  }

  async #react(reacting: Reacting, endpoint: HostedReactor, signal: AbortSignal): Promise<void> {
    const { clock, limits } = this.#parts;
    const over = new AbortController();
    const ending = AbortSignal.any([signal, endpoint.gone]);
    try {
      await unlessAborted(ending, async () => {
        await endpoint.open();
        reacting.feed.restart(this.#book.all());
        while (!ending.aborted) await this.#reactOnce(reacting, endpoint, ending, over.signal);
      });
    } finally {
      reacting.isBusy = false;
      reacting.onIdle();
      over.abort(new RelayError('UNAVAILABLE', 'the reactor has ended'));
      const late = 'close() took too long';
      await withTimeout(clock, limits.stopTimeoutMs, late, async () => endpoint.close()).catch(() => undefined);
    }
  }

  /** Processes what waits, or waits for a change. */
  async #reactOnce(reacting: Reacting, endpoint: HostedReactor, ending: AbortSignal, signal: AbortSignal): Promise<void> {
    const { clock, limits } = this.#parts;
    const { feed } = reacting;
    const changes = feed.take(endpoint.maxBatch);
    if (changes.length === 0) {
      reacting.onIdle();
      await new Promise<void>((resolve) => (reacting.onChange = resolve));
      return;
    }
    reacting.isBusy = true;
    const result = endpoint.react(changes, signal);
    if (isPromise(result)) {
      const late = `it did not process a change in ${limits.reactTimeoutMs} ms (serviceLimits.reactTimeoutMs)`;
      await withTimeout(clock, limits.reactTimeoutMs, late, () => result);
    }
    // A reactor that was stopped meanwhile may run again, with the same feed.
    if (ending.aborted) return;
    feed.done();
    reacting.isBusy = false;
    reacting.changes += changes.length;
  }

  #endpoint(
    role: HostedEndpointType['role'],
    name: string,
    record: EndpointRecord,
    run: (endpoint: HostedEndpoint, signal: AbortSignal) => Promise<void>,
  ): Endpoint {
    const { name: service, limits, offered: here, nodes, events, clock, random, log } = this.#parts;
    const { node } = record;
    const there = node === undefined ? undefined : [watcherAt(node, record, nodes)];
    return new Endpoint({
      ...{ service, role, name, record, limits, run, clock, random, offered: there ? () => there : here },
      onState: (state) => {
        if (state.type === 'backoff')
          log.warn(
            `${service}: the ${role} ${name} failed: ${state.reason}; it is started again in ${Math.round(state.until - clock.now())} ms`,
          );
        else if (log.isDebugEnabled()) log.debug(`${service}: the ${role} ${name} is ${state.type}`);
        events.emit({ type: 'service.endpoint', service, role, name, state });
        this.#update();
      },
    });
  }

  /** Reports the state of the service that follows from those of its endpoints. */
  #update(): void {
    if (!this.#isStarted || this.#state === 'stopping') return;
    this.#setState(this.endpoints.every(({ state }) => state.type === 'running') ? 'running' : 'degraded');
  }

  #setState(state: ServiceState): void {
    if (state === this.#state) return;
    this.#state = state;
    const { events, name, log } = this.#parts;
    log.info(`${name} is ${state}`);
    events.emit({ type: 'service.state', service: name, state });
  }
}

function statusOf({ name, type, node, state, restarts, lastError }: Endpoint): EndpointStatus {
  return { name, type, node, state, restarts, lastError };
}
