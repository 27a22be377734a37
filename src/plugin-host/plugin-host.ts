/** The plugin host: finds, loads, constructs, sets up and stops the satellites of a plugins directory and of npm packages, and delivers to them. */
import type { DependencyContainer } from 'tsyringe';
import { registerLoader } from '../loader/loader.mjs';
import { clean, systemClock } from '../message/message.ts';
import type { Clock, Log, LogSource, Message } from '../message/message.ts';
import { assemble } from './assemble.ts';
import type { Assembled } from './assemble.ts';
import type { HostedMethod } from './exposed.ts';
import { findModules } from './find.ts';
import type { Found } from './find.ts';
import { loadModules } from './load.ts';
import type { PluginHostOptions } from './options.ts';
import { checkConfig, readConfig } from './plugin-config.ts';
import { placeOf } from './problem.ts';
import type { PluginProblem } from './problem.ts';
import { Pump } from './pump.ts';
import type { Receiver } from './receiver.ts';
import type { RelayPluginOptions } from './relay-plugin-options.ts';
import type { RelayPort, SatelliteEvent, SatelliteStatus } from './satellite.ts';

export { findModules } from './find.ts';
export { pluginHostDefaults, pluginHostShape } from './options.ts';
export type { InboxOptions, PluginHostOptions } from './options.ts';
export type { HostedMethod } from './exposed.ts';
export type { PluginProblem } from './problem.ts';
export { findRelayPlugins } from './find-relay-plugins.ts';
export type { Hook, HookAbout, Replacement } from './hook.ts';
export { isFileName, relayPluginDefaults, relayPluginShape } from './relay-plugin-options.ts';
export type { RelayPluginEntry, RelayPluginOptions } from './relay-plugin-options.ts';
export { RelayPlugins } from './relay-plugins.ts';
export type { Hooks, RelayPluginStatus } from './relay-plugins.ts';
export type { RelayPort, SatelliteEvent, SatelliteState, SatelliteStatus } from './satellite.ts';
export type { CallOptions, SendOptions } from '../plugin/for-host.ts';

// A stop takes at most one exitTimeoutMs more than so many, however many plugins hang.
const EXITS_IN_TURN = 2;

export interface PluginHostParts {
  readonly options: PluginHostOptions;
  /** False: a missing plugins directory means no plugins. True: it is a RelayError CONFIG_INVALID. */
  readonly directoryRequired: boolean;
  /** The app's container; each plugin gets a child of it. */
  readonly container: DependencyContainer;
  readonly logs: LogSource;
  /** What config.ts names as relay plugins, which are loaded elsewhere. Default none. */
  readonly relayPlugins?: RelayPluginOptions['relayPlugins'] | undefined;
  /** Where compiled plugins are kept; undefined: nowhere. */
  readonly cacheDir: string | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** Told of each change of a satellite's state. Default: nobody. */
  readonly onEvent?: ((event: SatelliteEvent) => void) | undefined;
}

export interface PluginHostStatus {
  /** In order of their names. */
  readonly satellites: readonly SatelliteStatus[];
  /** What was left out, and why. */
  readonly problems: readonly PluginProblem[];
}

export class PluginHost {
  readonly #parts: PluginHostParts;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #pump: Pump;
  readonly #problems: PluginProblem[] = [];
  #assembled: readonly Assembled[] = [];
  #receivers: readonly Receiver[] = [];
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(parts: PluginHostParts) {
    this.#parts = parts;
    this.#log = parts.logs('plugin-host');
    this.#clock = parts.clock ?? systemClock;
    this.#pump = new Pump(this.#clock);
  }

  /**
   * Finds, loads and constructs all plugins, then sets them up in order of their names. Rejects with a RelayError CONFIG_INVALID or
   * PLUGIN_REFUSED; what was set up by then has been exited. A plugin that does not load or construct is only a problem in the status.
   */
  start(port: RelayPort): Promise<void> {
    this.#starting ??= this.#start(port);
    return this.#starting;
  }

  /** Exits the satellites in reverse order, each within its time limit; afterwards nothing is delivered. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Puts the message into the line of every satellite but the one named; returns how many those are. Never throws, never waits. */
  deliver(message: Message, except?: string): number {
    let takers = 0;
    for (const receiver of this.#receivers) {
      if (receiver.name === except || !receiver.take(message)) continue;
      takers++;
      if (!receiver.isQueued && receiver.isReady) this.#pump.wake(receiver);
    }
    return takers;
  }

  /** The exposed methods of all running satellites. */
  methods(): readonly HostedMethod[] {
    return this.#assembled.flatMap(({ satellite }) => satellite.methods);
  }

  status(): PluginHostStatus {
    return { satellites: this.#assembled.map(({ satellite }) => satellite.status), problems: [...this.#problems] };
  }

  async #start(port: RelayPort): Promise<void> {
    const { options, directoryRequired, cacheDir } = this.#parts;
    registerLoader({ cacheDir });
    const { pluginsDir } = options;
    const found = await findModules({ ...options, directoryRequired });
    await this.#load(found);
    try {
      await this.#setUp(found.directory, port);
    } catch (error) {
      await this.#exitAll();
      throw error;
    }
    if (found.directory === undefined && found.modules.length === 0) this.#log.info(`no plugins: there is no directory ${pluginsDir}`);
    else this.#log.info(`satellites running: ${this.#assembled.length}, from ${placesOf(found).join(', ')}`);
  }

  async #load(found: Found): Promise<void> {
    const { options, container, logs, relayPlugins = [], onEvent } = this.#parts;
    const report = (problem: PluginProblem): void => {
      this.#problems.push(problem);
      this.#log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
    };
    found.problems.forEach(report);
    const timing = { clock: this.#clock, timeoutMs: options.setupTimeoutMs };
    const modules = await loadModules(found.modules, { ...timing, log: this.#log, relayPlugins, report });
    this.#assembled = assemble(modules, {
      ...{ options, container, logs, report, clock: this.#clock },
      onReady: (receiver) => {
        this.#pump.wake(receiver);
      },
      onEvent: (event) => {
        if (this.#log.isDebugEnabled()) this.#log.debug(`${event.satellite} is ${event.state.type}`);
        onEvent?.(event);
      },
    });
    this.#receivers = this.#assembled.flatMap(({ receiver }) => receiver ?? []);
  }

  /** Every configuration is checked before the first `setup` runs. */
  async #setUp(directory: string | undefined, port: RelayPort): Promise<void> {
    const { plugins, setupTimeoutMs } = this.#parts.options;
    for (const { satellite } of this.#assembled) satellite.attach(port);
    const configs: unknown[] = [];
    for (const { module, declared } of this.#assembled) {
      const raw = await readConfig(module, { directory, plugins, clock: this.#clock, timeoutMs: setupTimeoutMs });
      configs.push(await checkConfig(declared, raw));
    }
    for (const [index, { satellite }] of this.#assembled.entries()) {
      await satellite.setup(configs[index], setupTimeoutMs);
      // At once, so that the plugins after it may call it in their setup.
      port.expose(satellite.methods);
    }
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    await this.#pump.settle();
    await this.#exitAll();
  }

  /** One after the other as long as they are quick; once they have used up the budget, the rest exits at once. */
  async #exitAll(): Promise<void> {
    const { exitTimeoutMs } = this.#parts.options;
    const waiting = this.#assembled.map(({ satellite }) => satellite).reverse();
    const deadline = this.#clock.now() + EXITS_IN_TURN * exitTimeoutMs;
    while (waiting.length > 0) {
      const next = waiting.splice(0, this.#clock.now() < deadline ? 1 : waiting.length);
      await Promise.all(next.map((satellite) => satellite.exit(exitTimeoutMs)));
    }
  }
}

function placesOf({ directory, modules }: Found): string[] {
  const packages = new Set(modules.map(({ rootName }) => clean(rootName.replace(/\/$/, ''))));
  return [directory ?? '', ...packages].filter((place) => place !== '');
}
