/** The plugin host: finds, loads, constructs, sets up and stops the satellites of a plugins directory and of npm packages, and delivers to them. */
import type { DependencyContainer } from 'tsyringe';
import { registerLoader } from '../loader/loader.mjs';
import { clean, systemClock } from '../message/message.ts';
import type { Clock, Log, LogSource, Message } from '../message/message.ts';
import { assemble } from './assemble.ts';
import type { HostedMethod } from './exposed.ts';
import { findModules } from './find.ts';
import type { Found } from './find.ts';
import type { HostedPlugin, PluginEvent, PluginStatus } from './hosted.ts';
import { InlinePlugin } from './inline-plugin.ts';
import { loadModules } from './load.ts';
import type { PluginHostOptions } from './options.ts';
import { placeOf } from './problem.ts';
import type { PluginProblem } from './problem.ts';
import { Pump } from './pump.ts';
import type { Receiver } from './receiver.ts';
import type { RelayPort, SatelliteEvent, SatelliteStatus } from './satellite.ts';
import { Watchdog } from './watchdog.ts';

export { findModules } from './find.ts';
export { pluginHostDefaults, pluginHostShape } from './options.ts';
export type { InboxOptions, PluginHostOptions } from './options.ts';
export type { HostedMethod } from './exposed.ts';
export type { PluginEvent, PluginKind, PluginState, PluginStatus } from './hosted.ts';
export type { PluginProblem } from './problem.ts';
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
  /** Where compiled plugins are kept; undefined: nowhere. */
  readonly cacheDir: string | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** Told of each change of a plugin's or satellite's state. Default: nobody. */
  readonly onEvent?: ((event: HostEvent) => void) | undefined;
}

/** Something happened to a plugin, or to one of its satellites. */
export type HostEvent = PluginEvent | SatelliteEvent;

export interface PluginHostStatus {
  /** In order of their names. */
  readonly plugins: readonly PluginStatus[];
  /** Those of all plugins. */
  readonly satellites: readonly SatelliteStatus[];
  /** What was left out, and why. */
  readonly problems: readonly PluginProblem[];
}

export class PluginHost {
  readonly #parts: PluginHostParts;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #pump: Pump;
  readonly #watchdog: Watchdog;
  readonly #problems: PluginProblem[] = [];
  readonly #plugins = new Map<string, HostedPlugin>();
  #receivers: readonly Receiver[] = [];
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(parts: PluginHostParts) {
    this.#parts = parts;
    this.#log = parts.logs('plugin-host');
    this.#clock = parts.clock ?? systemClock;
    this.#pump = new Pump(this.#clock);
    this.#watchdog = new Watchdog({ limitMs: parts.options.loopWarningMs, clock: this.#clock, logs: parts.logs });
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

  /** The exposed methods of all running plugins. */
  methods(): readonly HostedMethod[] {
    return this.#all().flatMap(({ methods }) => methods);
  }

  status(): PluginHostStatus {
    const plugins = this.#all().map(({ status }) => status);
    return { plugins, satellites: plugins.flatMap(({ satellites }) => satellites), problems: [...this.#problems] };
  }

  async #start(port: RelayPort): Promise<void> {
    const { options, directoryRequired, cacheDir } = this.#parts;
    registerLoader({ cacheDir });
    const { pluginsDir } = options;
    const found = await findModules({ ...options, directoryRequired });
    const inline = await this.#load(found);
    for (const plugin of inline) this.#plugins.set(plugin.name, plugin);
    this.#takeLines();
    try {
      // All may be called before one runs, and every configuration is checked before the first `setup`.
      for (const plugin of inline) plugin.attach(port);
      for (const plugin of inline) await plugin.configure();
      for (const plugin of this.#all()) await plugin.start(port);
    } catch (error) {
      await this.#stopAll();
      throw error;
    }
    const running = this.status().satellites.length;
    if (found.directory === undefined && found.modules.length === 0) this.#log.info(`no plugins: there is no directory ${pluginsDir}`);
    else this.#log.info(`satellites running: ${running}, from ${placesOf(found).join(', ')}`);
  }

  /** The modules that load and construct; what does not is a problem. */
  async #load(found: Found): Promise<readonly InlinePlugin[]> {
    const { options, container, logs } = this.#parts;
    const report = (problem: PluginProblem): void => {
      this.#problems.push(problem);
      this.#log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
    };
    found.problems.forEach(report);
    const timing = { clock: this.#clock, timeoutMs: options.setupTimeoutMs };
    const modules = await loadModules(found.modules, { ...timing, log: this.#log, report });
    const onEvent = (event: HostEvent): void => {
      this.#tell(event);
    };
    const parts = {
      ...{ options, container, logs, report, onEvent, clock: this.#clock, watchdog: this.#watchdog },
      onReady: (receiver: Receiver) => {
        this.#pump.wake(receiver);
      },
    };
    return modules.map((module) => new InlinePlugin(module, assemble(module, parts), { ...parts, directory: found.directory }));
  }

  #tell(event: HostEvent): void {
    const what = event.type === 'plugin-state' ? event.plugin : event.satellite;
    if (this.#log.isDebugEnabled()) this.#log.debug(`${what} is ${event.state.type}`);
    this.#parts.onEvent?.(event);
  }

  /** In order of their names. */
  #all(): readonly HostedPlugin[] {
    return [...this.#plugins.values()];
  }

  /** To be called after plugins came, went or got other satellites. */
  #takeLines(): void {
    this.#receivers = this.#all().flatMap(({ receivers }) => receivers);
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    await this.#pump.settle();
    await this.#stopAll();
    this.#watchdog.stop();
  }

  /** One after the other as long as they are quick; once they have used up the budget, the rest at once. */
  async #stopAll(): Promise<void> {
    const { exitTimeoutMs } = this.#parts.options;
    const waiting = [...this.#all()].reverse();
    const deadline = this.#clock.now() + EXITS_IN_TURN * exitTimeoutMs;
    while (waiting.length > 0) {
      const next = waiting.splice(0, this.#clock.now() < deadline ? 1 : waiting.length);
      await Promise.all(next.map((plugin) => plugin.stop()));
    }
  }
}

function placesOf({ directory, modules }: Found): string[] {
  const packages = new Set(modules.map(({ rootName }) => clean(rootName.replace(/\/$/, ''))));
  return [directory ?? '', ...packages].filter((place) => place !== '');
}
