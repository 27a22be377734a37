/**
 * The plugin host: runs the modules of a plugins directory and of npm packages, and programs, delivers messages to their satellites, and
 * exposes their methods.
 */
import type { DependencyContainer } from 'tsyringe';
import { RelayError, clean, systemClock } from '../core/core.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { keptBehind } from '../loader/loader.mjs';
import type { Kept } from '../loader/loader.mjs';
import type { Message } from '../message/message.ts';
import type { HostedMethod } from '../rpc/rpc.ts';
import { Children } from './children/children.ts';
import { entryOf, findRelayPlugins } from './hooks/hooks.ts';
import type { RelayPluginOptions } from './hooks/hooks.ts';
import { PluginRegistry, compare } from './hosted/hosted.ts';
import type { HostEvent, HostedPlugin, PluginProblem, PluginStatus, RelayPort, SatelliteStatus } from './hosted/hosted.ts';
import { InlinePlugins, Watchdog, findModules } from './modules/modules.ts';
import type { FindOptions, Found, SatelliteClasses } from './modules/modules.ts';
import type { PluginHostOptions } from './options.ts';
import { HostPrograms, checkPrograms } from './programs/programs.ts';
import type { DeadLetters, PluginToken, ProgramAnswer, ProgramCall, ProgramSurroundings, Programs } from './programs/programs.ts';
import { Pump } from './pump.ts';
import { Watcher } from './watcher.ts';

export { relayPluginDefaults, relayPluginShape, RelayPlugins } from './hooks/hooks.ts';
export type { Hook, HookAbout, Hooks, RelayPluginEntry, RelayPluginOptions, RelayPluginStatus, Replacement } from './hooks/hooks.ts';
export { logHostEvent, nameModules, noSuchPlugin, whereThrown } from './hosted/hosted.ts';
export type {
  HostEvent,
  InboxOptions,
  PluginEvent,
  PluginKind,
  PluginProblem,
  PluginState,
  PluginStatus,
  RelayPort,
  SatelliteState,
  SatelliteStatus,
} from './hosted/hosted.ts';
export { findFiles, isFileName } from './modules/modules.ts';
export type { SatelliteClass, SatelliteClasses } from './modules/modules.ts';
export { pluginHostDefaults, pluginHostShape } from './options.ts';
export type { PluginHostOptions } from './options.ts';
export { PluginLogs } from './plugin-logs.ts';
export type { PluginLine } from './plugin-logs.ts';
export type { DeadLetter, DeadLetters, PluginToken, ProgramAnswer, ProgramCall, ProgramSurroundings } from './programs/programs.ts';
export type { CallOptions, SendOptions } from '../plugin/internal.ts';
export type { HostedMethod } from '../rpc/rpc.ts';

/** States of a plugin that has imported its files, or tried to. */
const LOADED: ReadonlySet<string> = new Set(['ready', 'failed', 'left-out']);
const NO_TOKENS: readonly PluginToken[] = [];
/** A stop lets the exits of this process run one after another for at most so many times `exitTimeoutMs`; then the rest run at once. */
const EXITS_IN_SEQUENCE = 2;

export interface PluginHostParts {
  readonly options: PluginHostOptions;
  /** False: a missing plugins directory means that there are no plugins. True: it is a RelayError CONFIG_INVALID. */
  readonly directoryRequired: boolean;
  /** Classes of the program that runs the relay. Default none. */
  readonly classes?: SatelliteClasses | undefined;
  /** The container of the app. Each plugin gets a child of it. */
  readonly container: DependencyContainer;
  /** The version of the relay. */
  readonly relayVersion: string;
  readonly logs: LogSource;
  readonly events: EventSink<HostEvent>;
  /** The relay plugins of config.ts, which are loaded elsewhere. Default none. */
  readonly relayPlugins?: RelayPluginOptions['relayPlugins'] | undefined;
  /** Where compiled plugins are cached. Undefined: nowhere. */
  readonly cacheDir: string | undefined;
  /** What programs get from the relay. Default: there are no programs, whatever the options say. */
  readonly programs?: ProgramSurroundings | undefined;
  /** Default: the clock of the machine. */
  readonly clock?: Clock | undefined;
}

export interface PluginHostStatus {
  /** Modules in order of their names, then programs. */
  readonly plugins: readonly PluginStatus[];
  /** The satellites of all plugins. */
  readonly satellites: readonly SatelliteStatus[];
  /** What is left out, and why. */
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
  #port: RelayPort | undefined;
  #watcher: Watcher | undefined;
  #starting: Promise<void> | undefined;
  #isStarted = false;
  #stopping: Promise<void> | undefined;

  constructor(parts: PluginHostParts) {
    this.#parts = parts;
    const { options, logs, clock = systemClock, programs: surroundings } = parts;
    this.#log = logs('plugin-host');
    this.#clock = clock;
    this.#pump = new Pump(clock);
    this.#watchdog = new Watchdog({ limitMs: options.loopWarningMs, clock, logs });
    const common = {
      ...parts,
      ...{ clock, log: this.#log, registry: this.#registry, events: this.#events() },
      // Without their configurations: those may hold secrets, and children get this on their command line.
      relayPlugins: (parts.relayPlugins ?? []).map((entry) => entryOf(entry).use),
    };
    this.#inline = new InlinePlugins({
      ...common,
      watchdog: this.#watchdog,
      wake: this.#pump.wake,
      updateChildren: async (modules, directory) => {
        if (this.#port) await this.#children.update(modules, directory, this.#port);
      },
    });
    this.#children = new Children({ ...common, programs: () => this.#requirePrograms() });
    if (surroundings) this.#programs = new HostPrograms({ ...common, surroundings });
  }

  /**
   * Finds, loads and constructs all plugins, then sets them up in order of their names, then starts children, then programs: each has
   * become ready then, or has ended and is tried again. Rejects with a RelayError CONFIG_INVALID or PLUGIN_REFUSED; what was set up by
   * then has been exited. A plugin that does not load or construct is only a problem in the status. From then on the plugins directory is
   * watched, as the options say.
   */
  start(port: RelayPort): Promise<void> {
    this.#starting ??= this.#start(port);
    return this.#starting;
  }

  /**
   * The next call for a program that fetches its calls. Undefined if none came within `waitMs`. Rejects with RelayErrors INVALID_PARAMS,
   * UNAVAILABLE, RATE_LIMITED.
   */
  async nextCall(plugin: string, waitMs: number, gone?: AbortSignal): Promise<ProgramCall | undefined> {
    return this.#requirePrograms().nextCall(plugin, waitMs, gone);
  }

  /** Takes the answer of a program to a call that it fetched. Throws RelayErrors INVALID_PARAMS and UNAVAILABLE. */
  answerCall(plugin: string, id: string, answer: ProgramAnswer): void {
    this.#requirePrograms().answerCall(plugin, id, answer);
  }

  /** The tokens that authenticate programs. The same array as long as nothing changed. */
  programTokens(): readonly PluginToken[] {
    return this.#programs?.all.tokens() ?? NO_TOKENS;
  }

  /** Writes a line of a program to its log. Throws a RelayError INVALID_PARAMS. */
  programLog(plugin: string, level: string, text: string): void {
    this.#requirePrograms().log(plugin, level, text);
  }

  /** Messages that made their recipients end again and again. */
  get deadLetters(): DeadLetters {
    return this.#requirePrograms().deadLetters;
  }

  /** Exits the satellites in reverse order, each within its time limit. Nothing is delivered afterwards. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Puts the message into the inbox of every satellite but `except`. Returns the number of these inboxes. Never throws, never waits. */
  deliver(message: Message, except?: string): number {
    let recipients = 0;
    for (const inbox of this.#registry.inboxes) if (inbox.name !== except && inbox.take(message)) recipients++;
    return recipients;
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
   * Loads what is new in the plugins directory, reloads what changed and unloads what is gone, as the watcher does. Resolves when it has
   * looked.
   */
  async rescan(): Promise<void> {
    await this.#inline.rescan();
  }

  /**
   * Starts a plugin that was stopped, or left out; one that runs goes on. Rejects with a RelayError INVALID_PARAMS if there is none of this
   * name, PLUGIN_REFUSED if it does not start.
   */
  async startPlugin(name: string): Promise<void> {
    const { plugin, port } = this.#lookUp(name);
    await plugin.start(port);
  }

  /** Exits a plugin. It stays stopped until it is started by hand, whatever is saved. Rejects with a RelayError INVALID_PARAMS. */
  async stopPlugin(name: string): Promise<void> {
    await this.#lookUp(name).plugin.stop();
  }

  /**
   * Exits a plugin and starts its current version. Rejects as {@link startPlugin}. A plugin in this process goes on if its new version does
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

  /** Replaces a running plugin by its current version, changed or not. If that fails, what runs goes on. Rejects as {@link startPlugin}. */
  async reloadPlugin(name: string): Promise<void> {
    const { plugin } = this.#lookUp(name);
    await (plugin.reload ? plugin.reload() : this.restartPlugin(name));
  }

  /**
   * Runs one more program, and remembers it over restarts. Resolves to its name when it is ready, or has ended and is tried again. Rejects
   * with RelayErrors FORBIDDEN (the operator does not allow it), INVALID_PARAMS, STATE_DIRECTORY, and PLUGIN_REFUSED if it can never work
   * as it is; then it is forgotten.
   */
  async addProgram(record: unknown): Promise<string> {
    const { programs, port } = this.#requireRunning();
    return programs.add(record, port);
  }

  /** Stops a program that was added, and forgets it. Rejects with a RelayError INVALID_PARAMS if there is none of this name. */
  async removeProgram(name: string): Promise<void> {
    const { plugin } = this.#lookUp(name);
    await this.#requireRunning().programs.remove(plugin);
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
      this.#logStarted(found);
    } catch (error) {
      await this.#stopAll();
      throw error;
    }
    this.#isStarted = true;
    this.#watch();
  }

  #logStarted(found: Found): void {
    const running = this.status().satellites.length;
    const { pluginsDir } = this.#parts.options;
    if (found.directory === undefined && found.modules.length === 0)
      this.#log.info(`no plugins: there is no directory ${pluginsDir}; co2 init writes a first plugin`);
    else this.#log.info(`satellites running: ${running}, from ${placesOf(found).join(', ')}`);
  }

  /** The start does not wait for the watcher. */
  #watch(): void {
    const { watch: mode, pluginsDir: directory } = this.#parts.options;
    if (mode === false || this.#stopping) return;
    this.#watcher = new Watcher({ mode, directory, rescan: (look) => this.#inline.rescan(look), clock: this.#clock, log: this.#log });
    void this.#watcher.start();
  }

  /** Also tells the watcher when a plugin may import other files than before. */
  #events(): EventSink<HostEvent> {
    const { events } = this.#parts;
    return {
      emit: (event) => {
        events.emit(event);
        if (event.type === 'plugin.state' && LOADED.has(event.state.type)) this.#watcher?.followHelpers();
      },
      isWatched: (type) => events.isWatched(type),
    };
  }

  #requirePrograms(): Programs {
    if (this.#programs) return this.#programs.all;
    throw new RelayError('UNAVAILABLE', 'this relay runs no programs');
  }

  #requireRunning(): { readonly port: RelayPort; readonly programs: HostPrograms } {
    if (this.#port && this.#programs && !this.#stopping) return { port: this.#port, programs: this.#programs };
    throw new RelayError('UNAVAILABLE', 'the plugin host runs no programs');
  }

  /** Throws a RelayError INVALID_PARAMS, or UNAVAILABLE while the host starts or stops. */
  #lookUp(name: string): { readonly plugin: HostedPlugin; readonly port: RelayPort } {
    if (!this.#port || this.#stopping) throw new RelayError('UNAVAILABLE', 'the plugin host does not run');
    return { plugin: this.#registry.find(name), port: this.#port };
  }

  async #stop(): Promise<void> {
    // A process that hangs at its start is not waited for.
    if (!this.#isStarted) for (const plugin of this.#registry.all) if (!isInline(plugin)) void plugin.stop();
    await this.#starting?.catch(() => undefined);
    await this.#watcher?.end();
    await this.#inline.end();
    await this.#pump.settle();
    await this.#stopAll();
    this.#watchdog.stop();
  }

  /** Stops all plugins in reverse order, within a limited time however many of them hang. Never rejects. */
  async #stopAll(): Promise<void> {
    const plugins = this.#registry.all;
    // Processes have time limits of their own.
    const processes = Promise.all(plugins.filter((plugin) => !isInline(plugin)).map((plugin) => plugin.stop()));
    const waiting = plugins.filter(isInline).reverse();
    const deadline = this.#clock.now() + EXITS_IN_SEQUENCE * this.#parts.options.exitTimeoutMs;
    while (waiting.length > 0) {
      const next = waiting.splice(0, this.#clock.now() < deadline ? 1 : waiting.length);
      await Promise.all(next.map((plugin) => plugin.stop()));
    }
    await processes;
    await this.#programs?.all.stop();
  }
}

/**
 * Checks what a start would run: the plugins directory, the names in `plugins`, `pluginList` and `relayPlugins`, and the commands of
 * `programs`, which are looked up in `path` (PATH). Returns what would be left out. Rejects with the RelayError CONFIG_INVALID of a start
 * that would fail.
 */
export async function checkPlugins(
  options: FindOptions & RelayPluginOptions & Pick<PluginHostOptions, 'programs'>,
  path: string | undefined,
): Promise<readonly PluginProblem[]> {
  const { modules, problems } = await findModules(options);
  await findRelayPlugins(options);
  checkPrograms(
    options.programs,
    modules.map(({ module }) => module),
    path,
  );
  return problems;
}

function isInline({ status }: HostedPlugin): boolean {
  return status.kind === 'inline';
}

function placesOf({ directory, modules }: Found): string[] {
  const packages = new Set(modules.map(({ rootName }) => clean(rootName.replace(/\/$/, ''))));
  return [directory ?? '', ...packages].filter((place) => place !== '');
}
