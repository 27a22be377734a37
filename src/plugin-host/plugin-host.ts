/**
 * The plugin host: finds, loads, constructs, sets up and stops the satellites of a plugins directory and of npm packages, and delivers to
 * them.
 */
import { entryOf } from './hooks/hooks.ts';
import type { DependencyContainer } from 'tsyringe';
import { keptBehind } from '../loader/loader.mjs';
import type { Kept } from '../loader/loader.mjs';
import { RelayError, clean, systemClock } from '../core/core.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import { Children } from './children/children.ts';
import type { HostedMethod } from '../rpc/rpc.ts';
import type {
  HostedPlugin,
  PluginEvent,
  PluginStatus,
  PluginProblem,
  RelayPort,
  SatelliteEvent,
  SatelliteStatus,
} from './hosted/hosted.ts';
import type { Found, Look } from './modules/modules.ts';
import { InlinePlugins, Watchdog } from './modules/modules.ts';
import { compare, PluginRegistry } from './hosted/hosted.ts';
import type { PluginHostOptions } from './options.ts';
import { HostPrograms } from './programs/programs.ts';
import type { DeadLetters, PluginToken, Programs, ProgramAnswer, ProgramCall, ProgramSurroundings } from './programs/programs.ts';
import { Pump } from './pump.ts';
import type { RelayPluginOptions } from './hooks/hooks.ts';
import { isInline, stopInTurn } from './stop-in-turn.ts';
import { Watcher } from './watcher.ts';

export { checkPlugins } from './check-plugins.ts';
export { findFiles, isFileName } from './modules/modules.ts';
export { nameModules, noSuchPlugin, whereThrown } from './hosted/hosted.ts';
export { pluginHostDefaults, pluginHostShape } from './options.ts';
export type {
  InboxOptions,
  PluginEvent,
  PluginKind,
  PluginState,
  PluginStatus,
  PluginProblem,
  RelayPort,
  SatelliteEvent,
  SatelliteState,
  SatelliteStatus,
} from './hosted/hosted.ts';
export type { HostedMethod } from '../rpc/rpc.ts';
export type { PluginHostOptions } from './options.ts';
export { PluginLogs } from './plugin-logs.ts';
export type { PluginLine } from './plugin-logs.ts';
export type { DeadLetter, DeadLetters, PluginToken, ProgramAnswer, ProgramCall, ProgramSurroundings } from './programs/programs.ts';
export type { Hook, HookAbout, Replacement, RelayPluginEntry, RelayPluginOptions, Hooks, RelayPluginStatus } from './hooks/hooks.ts';
export { relayPluginDefaults, relayPluginShape, RelayPlugins } from './hooks/hooks.ts';
export type { CallOptions, SendOptions } from '../plugin/for-host.ts';

/** States in which a plugin has imported what it imports, or tried to. */
const LOADED: ReadonlySet<string> = new Set(['ready', 'failed', 'left-out']);
const NO_TOKENS: readonly PluginToken[] = [];

export interface PluginHostParts {
  readonly options: PluginHostOptions;
  /** False: a missing plugins directory means no plugins. True: it is a RelayError CONFIG_INVALID. */
  readonly directoryRequired: boolean;
  /** The app's container; each plugin gets a child of it. */
  readonly container: DependencyContainer;
  /** Version of the relay. */
  readonly relayVersion: string;
  readonly logs: LogSource;
  /** What config.ts names as relay plugins, which are loaded elsewhere. Default none. */
  readonly relayPlugins?: RelayPluginOptions['relayPlugins'] | undefined;
  /** Where compiled plugins are kept; undefined: nowhere. */
  readonly cacheDir: string | undefined;
  /** What programs are given of the relay. Default: there are no programs, whatever the options say. */
  readonly programs?: ProgramSurroundings | undefined;
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** Told of each change of a plugin's or satellite's state. Default: nobody. */
  readonly onEvent?: ((event: HostEvent) => void) | undefined;
}

/** Something happened to a plugin, or to one of its satellites. */
export type HostEvent = PluginEvent | SatelliteEvent;

export interface PluginHostStatus {
  /** Modules in order of their names, then programs. */
  readonly plugins: readonly PluginStatus[];
  /** Those of all plugins. */
  readonly satellites: readonly SatelliteStatus[];
  /** What was left out, and why. */
  readonly problems: readonly PluginProblem[];
  /** What this process keeps of versions of modules that no longer run. */
  readonly kept: Kept;
}

export class PluginHost {
  readonly #parts: PluginHostParts;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #pump: Pump;
  readonly #watchdog: Watchdog;
  readonly #inline: InlinePlugins;
  readonly #children: Children;
  readonly #registry = new PluginRegistry();
  readonly #programs: HostPrograms | undefined;
  /**
   * The files and modules of the relay plugins, without their configurations: those may hold secrets, and a child reads this on its command
   * line.
   */
  readonly #relayPlugins: readonly string[];
  #port: RelayPort | undefined;
  #watcher: Watcher | undefined;
  #starting: Promise<void> | undefined;
  #isStarted = false;
  #stopping: Promise<void> | undefined;

  constructor(parts: PluginHostParts) {
    this.#parts = parts;
    this.#log = parts.logs('plugin-host');
    this.#clock = parts.clock ?? systemClock;
    this.#pump = new Pump(this.#clock);
    this.#watchdog = new Watchdog({ limitMs: parts.options.loopWarningMs, clock: this.#clock, logs: parts.logs });
    this.#relayPlugins = (parts.relayPlugins ?? []).map((entry) => entryOf(entry).use);
    this.#inline = this.#makeInline();
    this.#children = this.#makeChildren();
    if (parts.programs) this.#programs = this.#makePrograms(parts.programs);
  }

  /**
   * Finds, loads and constructs all plugins, then sets them up in order of their names, then starts children, then programs: each has got
   * ready then, or has ended and
   * is tried again. Rejects with a RelayError CONFIG_INVALID or PLUGIN_REFUSED; what was set up by then has been exited. A plugin that does
   * not load or construct is
   * only a problem in the status. From then on the plugins directory is watched, as the options say.
   */
  start(port: RelayPort): Promise<void> {
    this.#starting ??= this.#start(port);
    return this.#starting;
  }

  /**
   * The next call for a program that fetches its calls; undefined if none came within `waitMs`. Rejects with RelayErrors INVALID_PARAMS,
   * UNAVAILABLE, RATE_LIMITED.
   */
  async nextCall(plugin: string, waitMs: number, gone?: AbortSignal): Promise<ProgramCall | undefined> {
    return this.#requirePrograms().nextCall(plugin, waitMs, gone);
  }

  /** What a program answers to a call that it fetched. Throws RelayErrors INVALID_PARAMS and UNAVAILABLE. */
  answerCall(plugin: string, id: string, answer: ProgramAnswer): void {
    this.#requirePrograms().answerCall(plugin, id, answer);
  }

  /** By which programs prove who they are; the same array as long as nothing changed. */
  programTokens(): readonly PluginToken[] {
    return this.#programs?.all.tokens() ?? NO_TOKENS;
  }

  /** Writes a line of a program to its log. Throws a RelayError INVALID_PARAMS. */
  programLog(plugin: string, level: string, text: string): void {
    this.#requirePrograms().log(plugin, level, text);
  }

  /** Messages that killed their receiver again and again. */
  get deadLetters(): DeadLetters {
    return this.#requirePrograms().deadLetters;
  }

  /** Exits the satellites in reverse order, each within its time limit; afterwards nothing is delivered. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Puts the message into the line of every satellite but the one named; returns how many those are. Never throws, never waits. */
  deliver(message: Message, except?: string): number {
    let takers = 0;
    for (const receiver of this.#registry.lines) {
      if (receiver.name === except || !receiver.take(message)) continue;
      takers++;
      if (!receiver.isQueued && receiver.isReady) this.#pump.wake(receiver);
    }
    return takers;
  }

  /** The exposed methods of all running plugins. */
  methods(): readonly HostedMethod[] {
    return this.#registry.all.flatMap(({ methods }) => methods);
  }

  status(): PluginHostStatus {
    const plugins = this.#registry.all.map(({ status }) => status).sort((a, b) => compare(a.name, b.name));
    return {
      plugins,
      satellites: plugins.flatMap(({ satellites }) => satellites),
      problems: [...this.#inline.problems, ...this.#children.problems],
      kept: keptBehind(),
    };
  }

  /**
   * Loads what is new in the plugins directory, reloads what changed, unloads what is gone, as the watch does by itself. Resolves when it
   * has looked.
   */
  async rescan(): Promise<void> {
    await this.#inline.rescan();
  }

  /**
   * Starts a plugin that was stopped, or left out; one that runs goes on. Rejects with a RelayError INVALID_PARAMS if there is none of this
   * name,
   * PLUGIN_REFUSED if it does not start.
   */
  async startPlugin(name: string): Promise<void> {
    const { plugin, port } = this.#lookUp(name);
    await plugin.start(port);
  }

  /** Exits a plugin; it stays stopped until somebody starts it, whatever is saved. Rejects with a RelayError INVALID_PARAMS. */
  async stopPlugin(name: string): Promise<void> {
    await this.#lookUp(name).plugin.stop();
  }

  /**
   * Exits a plugin and starts it as it is by now. Rejects as {@link startPlugin}; a plugin in this process goes on if its new version does
   * not load.
   */
  async restartPlugin(name: string): Promise<void> {
    const { plugin, port } = this.#lookUp(name);
    if (plugin.restart) {
      await plugin.restart();
      return;
    }
    await plugin.stop();
    await plugin.start(port);
  }

  /**
   * Puts the current version of a plugin, changed or not, in the place of the one that runs, which goes on if that fails. Rejects as {@link
   * startPlugin}.
   */
  async reloadPlugin(name: string): Promise<void> {
    const { plugin } = this.#lookUp(name);
    await (plugin.reload ? plugin.reload() : this.restartPlugin(name));
  }

  /**
   * Runs one more program, and remembers it over restarts. Resolves when it is ready, or has ended and is tried again. Rejects with
   * RelayErrors FORBIDDEN (the operator
   * does not allow it), INVALID_PARAMS, STATE_DIRECTORY and PLUGIN_REFUSED, if it can never work as it is; then it is forgotten.
   */
  async addProgram(record: unknown): Promise<string> {
    const { programs, port } = this.#requireRunning();
    return programs.add(record, port);
  }

  /** Stops a program that was added, and forgets it. Rejects with a RelayError INVALID_PARAMS if it was not, or is none. */
  async removeProgram(name: string): Promise<void> {
    const { plugin } = this.#lookUp(name);
    await this.#requireRunning().programs.remove(plugin);
  }

  #requireRunning(): { readonly port: RelayPort; readonly programs: HostPrograms } {
    if (this.#port && this.#programs && !this.#stopping) return { port: this.#port, programs: this.#programs };
    throw new RelayError('UNAVAILABLE', 'the plugin host runs no programs');
  }

  async #start(port: RelayPort): Promise<void> {
    this.#port = port;
    try {
      const found = await this.#inline.prepare(port);
      await this.#children.prepare(this.#inline.children, found.directory);
      await this.#programs?.prepare();
      for (const plugin of this.#registry.all.filter(isInline)) if (plugin.status.state.type !== 'left-out') await plugin.start(port);
      if (!this.#stopping) await this.#children.start(port);
      if (!this.#stopping) await this.#programs?.start(port);
      this.#tellStarted(found);
    } catch (error) {
      await this.#stopAll();
      throw error;
    }
    this.#isStarted = true;
    this.#watch();
  }

  #tellStarted(found: Found): void {
    const running = this.status().satellites.length;
    const { pluginsDir } = this.#parts.options;
    if (found.directory === undefined && found.modules.length === 0) this.#log.info(`no plugins: there is no directory ${pluginsDir}`);
    else this.#log.info(`satellites running: ${running}, from ${placesOf(found).join(', ')}`);
  }

  /** The start does not wait for it. */
  #watch(): void {
    const { watch: mode, pluginsDir: directory } = this.#parts.options;
    if (mode === false || this.#stopping) return;
    const look = (how: Look): Promise<boolean> => this.#inline.rescan(how);
    this.#watcher = new Watcher({ mode, directory, look, clock: this.#clock, log: this.#log });
    void this.#watcher.start();
  }

  #makePrograms(surroundings: ProgramSurroundings): HostPrograms {
    return new HostPrograms({
      ...{ ...this.#parts, surroundings, clock: this.#clock, log: this.#log },
      onEvent: (event) => {
        this.#tell(event);
      },
      registry: this.#registry,
    });
  }

  #requirePrograms(): Programs {
    if (this.#programs) return this.#programs.all;
    throw new RelayError('UNAVAILABLE', 'this relay runs no programs');
  }

  #makeInline(): InlinePlugins {
    return new InlinePlugins({
      ...this.#parts,
      relayPlugins: this.#relayPlugins,
      clock: this.#clock,
      watchdog: this.#watchdog,
      log: this.#log,
      onEvent: (event) => {
        this.#tell(event);
      },
      onReady: (receiver) => {
        this.#pump.wake(receiver);
      },
      registry: this.#registry,
      onChildren: async (modules, directory) => {
        if (this.#port) await this.#children.update(modules, directory, this.#port);
      },
    });
  }

  #makeChildren(): Children {
    return new Children({
      ...this.#parts,
      relayPlugins: this.#relayPlugins,
      clock: this.#clock,
      log: this.#log,
      programs: () => this.#requirePrograms(),
      registry: this.#registry,
    });
  }

  #tell(event: HostEvent): void {
    const what = event.type === 'plugin.state' ? event.plugin : event.satellite;
    if (this.#log.isDebugEnabled()) this.#log.debug(`${what} is ${event.state.type}`);
    this.#parts.onEvent?.(event);
    if (event.type === 'plugin.state' && LOADED.has(event.state.type)) this.#watcher?.followHelpers();
  }

  /** Throws a RelayError INVALID_PARAMS, or UNAVAILABLE while the host starts or stops. */
  #lookUp(name: string): { readonly plugin: HostedPlugin; readonly port: RelayPort } {
    if (!this.#port || this.#stopping) throw new RelayError('UNAVAILABLE', 'the plugin host does not run');
    return { plugin: this.#registry.find(name), port: this.#port };
  }

  async #stop(): Promise<void> {
    // What hangs at its start is not waited for.
    if (!this.#isStarted) for (const plugin of this.#registry.all) if (!isInline(plugin)) void plugin.stop();
    await this.#starting?.catch(() => undefined);
    await this.#watcher?.end();
    await this.#inline.end();
    await this.#pump.settle();
    await this.#stopAll();
    this.#watchdog.stop();
  }

  async #stopAll(): Promise<void> {
    await stopInTurn(this.#registry.all, this.#clock, this.#parts.options.exitTimeoutMs);
    await this.#programs?.all.stop();
  }
}

function placesOf({ directory, modules }: Found): string[] {
  const packages = new Set(modules.map(({ rootName }) => clean(rootName.replace(/\/$/, ''))));
  return [directory ?? '', ...packages].filter((place) => place !== '');
}
