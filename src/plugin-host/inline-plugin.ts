/** A module of plugins/ that runs in this process: its satellites, set up and exited together. */
import type { Clock } from '../message/message.ts';
import type { Assembled } from './assemble.ts';
import type { HostedMethod } from './exposed.ts';
import type { HostedPlugin, PluginEvent, PluginState, PluginStatus } from './hosted.ts';
import type { LoadedModule } from './load.ts';
import type { PluginHostOptions } from './options.ts';
import { checkConfig, readConfig } from './plugin-config.ts';
import type { Receiver } from './receiver.ts';
import type { RelayPort } from './satellite.ts';
import type { Watchdog } from './watchdog.ts';

export interface InlinePluginParts {
  readonly options: PluginHostOptions;
  /** The plugins directory that is in use. */
  readonly directory: string | undefined;
  readonly clock: Clock;
  readonly watchdog: Watchdog;
  readonly onEvent: (event: PluginEvent) => void;
}

export class InlinePlugin implements HostedPlugin {
  readonly #parts: InlinePluginParts;
  readonly #module: LoadedModule;
  readonly #satellites: readonly Assembled[];
  readonly receivers: readonly Receiver[];
  #configs: readonly unknown[] | undefined;
  #port: RelayPort | undefined;
  #state: PluginState = { type: 'stopped' };

  /** `satellites` are those of `module`, constructed. */
  constructor(module: LoadedModule, satellites: readonly Assembled[], parts: InlinePluginParts) {
    this.#module = module;
    this.#satellites = satellites;
    this.#parts = parts;
    this.receivers = satellites.flatMap(({ receiver }) => receiver ?? []);
  }

  get name(): string {
    return this.#module.module;
  }

  get methods(): readonly HostedMethod[] {
    return this.#satellites.flatMap(({ satellite }) => satellite.methods);
  }

  get status(): PluginStatus {
    const { module: name, file } = this.#module;
    return {
      name,
      kind: 'inline',
      state: this.#state,
      file,
      restarts: 0,
      held: this.#parts.watchdog.of(name).held,
      satellites: this.#satellites.map(({ satellite }) => satellite.status),
    };
  }

  /** Reads and checks the configuration of its satellites, which `start` gives them. Throws a RelayError CONFIG_INVALID. */
  async configure(): Promise<void> {
    const { options, directory, clock } = this.#parts;
    const { plugins, setupTimeoutMs } = options;
    const configs: unknown[] = [];
    for (const { module, declared } of this.#satellites) {
      const raw = await readConfig(module, { directory, plugins, clock, timeoutMs: setupTimeoutMs });
      configs.push(await checkConfig(declared, raw));
    }
    this.#configs = configs;
  }

  /** Gives its satellites their voice; they may be called before they run. */
  attach(port: RelayPort): void {
    this.#port = port;
    for (const { satellite } of this.#satellites) satellite.attach(port);
  }

  async start(port: RelayPort): Promise<void> {
    this.attach(port);
    if (!this.#configs) await this.configure();
    this.#setState({ type: 'starting' });
    for (const [index, { satellite }] of this.#satellites.entries()) {
      await satellite.setup(this.#configs?.[index], this.#parts.options.setupTimeoutMs);
      // At once, so that those after it may call it in their setup.
      port.expose(this.name, this.methods);
    }
    this.#setState({ type: 'ready' });
  }

  async stop(): Promise<void> {
    this.#setState({ type: 'stopping' });
    for (const { satellite } of [...this.#satellites].reverse()) await satellite.exit(this.#parts.options.exitTimeoutMs);
    this.#port?.expose(this.name, []);
    this.#setState({ type: 'stopped' });
  }

  #setState(state: PluginState): void {
    this.#state = state;
    this.#parts.onEvent({ type: 'plugin-state', plugin: this.name, state });
  }
}
