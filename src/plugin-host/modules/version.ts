/** One version of a plugin's module: its satellites, constructed, then configured, set up and ended together. */
import type { HostedOptions, ModuleFile, RelayPort, StatedVersion } from '../hosted/hosted.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { ModuleOptions } from './options.ts';
import type { Clock } from '../../core/core.ts';
import { statedOf } from './assemble.ts';
import type { Assembled } from './assemble.ts';
import { checkConfig, readConfig } from './plugin-config.ts';
import type { Receiver } from './receiver.ts';

export interface VersionParts {
  readonly options: ModuleOptions & HostedOptions;
  /** The plugins directory that is in use. */
  readonly directory: string | undefined;
  readonly clock: Clock;
}

export interface SetUpParts {
  readonly signal: AbortSignal;
  /** What satellites of the version before handed over, by name. */
  readonly states?: ReadonlyMap<string, unknown>;
  /** Called after each satellite that runs. */
  readonly onRunning?: () => void;
}

export class Version {
  readonly #parts: VersionParts;
  readonly satellites: readonly Assembled[];
  readonly receivers: readonly Receiver[];
  #configs: readonly unknown[] = [];

  constructor(satellites: readonly Assembled[], parts: VersionParts) {
    this.satellites = satellites;
    this.#parts = parts;
    this.receivers = satellites.flatMap(({ receiver }) => receiver ?? []);
  }

  /** What its first satellite that says so says of the version. */
  get stated(): StatedVersion {
    return statedOf(this.satellites);
  }

  get methods(): readonly HostedMethod[] {
    return this.satellites.flatMap(({ satellite }) => satellite.methods);
  }

  /** Reads and checks the configuration of its satellites, which `setUp` gives them. Throws a RelayError PLUGIN_REFUSED. */
  async configure(module: ModuleFile, signal?: AbortSignal): Promise<void> {
    const { options, directory, clock } = this.#parts;
    const { plugins, setupTimeoutMs: timeoutMs } = options;
    if (this.satellites.length === 0) return;
    const raw = await readConfig(module, { directory, plugins }, { clock, timeoutMs, signal });
    const configs: unknown[] = [];
    for (const { declared } of this.satellites) configs.push(await checkConfig(declared, raw));
    this.#configs = configs;
  }

  /** Gives its satellites their voice; they may be called before they run. */
  attach(port: RelayPort): void {
    for (const { satellite } of this.satellites) satellite.attach(port);
  }

  /** Sets its satellites up, in order. Throws a RelayError PLUGIN_REFUSED; those that ran by then are to be exited. */
  async setUp({ signal, states, onRunning }: SetUpParts): Promise<void> {
    const { setupTimeoutMs } = this.#parts.options;
    for (const [index, { satellite }] of this.satellites.entries()) {
      await satellite.setup(this.#configs[index], setupTimeoutMs, { signal, state: states?.get(satellite.name) });
      onRunning?.();
    }
  }

  /** True if one of its satellites has state for its successor. */
  get handsOver(): boolean {
    return this.satellites.some(({ instance }) => typeof instance.handover === 'function');
  }

  /** What each satellite hands over to the one of its name. Throws a RelayError PLUGIN_REFUSED. */
  async handOver(signal: AbortSignal): Promise<ReadonlyMap<string, unknown>> {
    const { exitTimeoutMs } = this.#parts.options;
    const states = new Map<string, unknown>();
    for (const { satellite } of this.satellites) states.set(satellite.name, await satellite.handover(exitTimeoutMs, signal));
    return states;
  }

  /** From now on messages collect; resolves when no `receive` is under way. */
  async hold(): Promise<void> {
    await Promise.all(this.receivers.map((receiver) => receiver.hold()));
  }

  /** Delivers again after {@link hold}. */
  resume(): void {
    for (const receiver of this.receivers) receiver.open();
  }

  /** Lets its lines take over what waits in those of the same names of `old`, which are held. */
  succeed(old: Version): void {
    for (const receiver of this.receivers) {
      const before = old.receivers.find(({ name }) => name === receiver.name);
      if (before) receiver.succeed(before);
    }
  }

  /** Waits for calls that are under way, at most `timeoutMs`; default: the time limit of an exit. */
  async finishCalls(timeoutMs = this.#parts.options.exitTimeoutMs): Promise<void> {
    await Promise.all(this.satellites.map(({ satellite }) => satellite.finishCalls(timeoutMs)));
  }

  /** Exits the satellites that run, in reverse order, each within its time limit. Never rejects. */
  async exit(): Promise<void> {
    for (const { satellite } of [...this.satellites].reverse()) await satellite.exit(this.#parts.options.exitTimeoutMs);
  }
}
