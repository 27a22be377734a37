/** One endpoint of a service, over all its runs: it is accepted, runs, and starts again after a delay when it ends. */
import { clean, nextDelay, reasonOf, RelayError, runStep } from '../core/core.ts';
import type { BackOff, Clock } from '../core/core.ts';
import type { HostedEndpoint, HostedEndpointType } from '../plugin-host/plugin-host.ts';
import type { EndpointState } from '../relay/relay.ts';
import { findType } from './find-type.ts';
import type { EndpointRecord, ServiceLimits } from './options.ts';

export interface EndpointParts {
  readonly service: string;
  readonly role: HostedEndpointType['role'];
  /** Its name within the service. */
  readonly name: string;
  readonly record: EndpointRecord;
  readonly limits: ServiceLimits;
  /** What the plugins offer now. */
  readonly offered: () => readonly HostedEndpointType[];
  /** Runs an accepted endpoint until the signal is aborted. Rejects with the reason why it failed. */
  readonly run: (endpoint: HostedEndpoint, signal: AbortSignal) => Promise<void>;
  readonly onState: (state: EndpointState) => void;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

const BACK_OFF: BackOff = { firstMs: 500, factor: 2, maxMs: 60_000, jitter: 0.5 };
// After this long, an end is a new problem rather than the old one.
const WELL_MS = 60_000;
// A shorter run is delayed even if its plugin was replaced, so that this cannot go on and on.
const BRIEF_MS = 100;

export class Endpoint {
  readonly #parts: EndpointParts;
  #state: EndpointState = { type: 'stopped' };
  /** What was accepted before the start, for the first run. */
  #accepted: HostedEndpoint | undefined;
  #running: Promise<void> | undefined;
  #stop = new AbortController();
  #onRefresh: () => void = () => undefined;
  /** How often it was started again. */
  restarts = 0;
  /** Why it last ended; `''` if it never did. */
  lastError = '';

  constructor(parts: EndpointParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.name;
  }

  get role(): HostedEndpointType['role'] {
    return this.#parts.role;
  }

  get type(): string {
    return this.#parts.record.type;
  }

  /** The node that runs it; `''`: this relay. */
  get node(): string {
    return this.#parts.record.node ?? '';
  }

  get state(): EndpointState {
    return this.#state;
  }

  /** Has the plugin accept it, unless that is not ready. Rejects with the reason why it is refused. */
  async accept(): Promise<void> {
    const type = this.#find();
    if (type?.isReady === true) this.#accepted = await this.#acceptBy(type);
  }

  /** Runs it from now on. */
  start(): void {
    this.#stop = new AbortController();
    this.#running ??= this.#runOn(this.#stop.signal).finally(() => {
      this.#running = undefined;
      this.#setState({ type: 'stopped' });
    });
  }

  /** The state of a plugin has changed. */
  refresh(): void {
    this.#onRefresh();
  }

  /** Ends it. Resolves when its run has ended. Never rejects. */
  async stop(reason: RelayError): Promise<void> {
    this.#accepted = undefined;
    if (!this.#running) return;
    this.#setState({ type: 'stopping' });
    this.#stop.abort(reason);
    await this.#running;
  }

  async #runOn(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    for (let attempt = 0; !signal.aborted;) {
      const type = this.#find();
      if (type?.isReady !== true) {
        this.#setState({ type: 'waiting' });
        await this.#refreshed(signal);
        continue;
      }
      const began = clock.now();
      const reason = await this.#runOnce(type, signal);
      if (reason === undefined) return;
      this.restarts++;
      this.lastError = reason.text;
      if (clock.now() - began >= WELL_MS) attempt = 0;
      // Another version of its plugin runs, or the plugin is down, for which the endpoint waits.
      if (reason.isGone && (clock.now() - began >= BRIEF_MS || this.#find()?.isReady !== true)) continue;
      attempt++;
      await this.#waitBeforeRestart(attempt, reason.text, signal);
    }
  }

  /** Resolves to why it ended; undefined if it was stopped. */
  async #runOnce(type: HostedEndpointType, signal: AbortSignal): Promise<{ readonly text: string; readonly isGone: boolean } | undefined> {
    const accepted = this.#accepted;
    this.#accepted = undefined;
    let endpoint: HostedEndpoint | undefined;
    try {
      this.#setState({ type: 'starting' });
      endpoint = accepted?.gone.aborted === false ? accepted : await this.#acceptBy(type, signal);
      this.#setState({ type: 'running' });
      await this.#parts.run(endpoint, signal);
      return signal.aborted ? undefined : { text: 'it ended by itself', isGone: false };
    } catch (error) {
      if (signal.aborted) return undefined;
      return { text: clean(reasonOf(error), 500), isGone: endpoint?.gone.aborted === true };
    }
  }

  async #acceptBy(type: HostedEndpointType, signal?: AbortSignal): Promise<HostedEndpoint> {
    const { clock, limits, service, name, record } = this.#parts;
    const { acceptTimeoutMs: timeoutMs } = limits;
    const late = `${type.type} did not accept its configuration in ${timeoutMs} ms (serviceLimits.acceptTimeoutMs)`;
    return runStep({ clock, timeoutMs, signal }, late, () => type.accept({ service, name, config: record.cfg ?? {} }));
  }

  async #waitBeforeRestart(attempt: number, reason: string, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#parts;
    const delayMs = nextDelay(attempt - 1, BACK_OFF, random);
    this.#setState({ type: 'backoff', attempt, until: clock.now() + delayMs, reason });
    await pause(signal, (done) => clock.after(delayMs, done));
  }

  /** Resolves when the state of a plugin has changed, or the signal is aborted. */
  async #refreshed(signal: AbortSignal): Promise<void> {
    await pause(signal, (done) => {
      this.#onRefresh = done;
      return () => undefined;
    });
  }

  #find(): HostedEndpointType | undefined {
    const found = findType(this.#parts.offered(), this.role, this.type);
    return 'reason' in found ? undefined : found;
  }

  #setState(state: EndpointState): void {
    // A stop is reported once, whatever the run still does.
    if (this.#state.type === state.type && state.type !== 'backoff') return;
    if (this.#state.type === 'stopping' && state.type !== 'stopped') return;
    this.#state = state;
    this.#parts.onState(state);
  }
}

/** Resolves when `arrange` calls its argument, or the signal is aborted; then what `arrange` returned is called. */
async function pause(signal: AbortSignal, arrange: (done: () => void) => () => void): Promise<void> {
  let cancel = (): void => undefined;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    cancel = arrange(done);
  });
  cancel();
}
