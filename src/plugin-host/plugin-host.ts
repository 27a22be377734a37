/**
 * The plugin host: runs the modules of a plugins directory and of npm packages, and programs, delivers messages to their satellites, and
 * exposes their methods.
 */
import type { DependencyContainer } from 'tsyringe';
import { LastReading, RelayError, clean, reasonOf, systemClock } from '../core/core.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { retainedVersions } from '../loader/loader.mjs';
import type { RetainedVersions } from '../loader/loader.mjs';
import type { Message } from '../message/message.ts';
import type { HostedMethod, MethodFailure } from '../rpc/rpc.ts';
import type { DeliveryReport } from '../plugin/internal.ts';
import { Children } from './children/children.ts';
import { DeliveryReports } from './delivery-reports.ts';
import { DurableMessages } from './durable/durable.ts';
import type { DurableMessagesParts, KeptCursor } from './durable/durable.ts';
import { entryOf, findRelayPlugins } from './hooks/hooks.ts';
import type { RelayPluginOptions } from './hooks/hooks.ts';
import { PluginRegistry, compare } from './hosted/hosted.ts';
import type {
  HostEvent,
  HostedController,
  HostedDatasource,
  HostedEndpointType,
  HostedPlugin,
  HostedWork,
  Inbox,
  Offers,
  PluginProblem,
  PluginStatus,
  RelayPort,
  SatelliteStatus,
} from './hosted/hosted.ts';
import { InlinePlugins, Watchdog, findModules } from './modules/modules.ts';
import type { FindOptions, Found, SatelliteClasses, ScanMode } from './modules/modules.ts';
import type { PluginHostOptions } from './options.ts';
import { HostPrograms, checkPrograms } from './programs/programs.ts';
import type {
  DeadLetters,
  ItemBatch,
  PluginToken,
  ProgramAnswer,
  ProgramCall,
  ProgramSurroundings,
  Programs,
} from './programs/programs.ts';
import { Pump } from './pump.ts';
import { Watcher } from './watcher.ts';

export { relayPluginDefaults, relayPluginShape, RelayPlugins } from './hooks/hooks.ts';
export type { Hook, HookAbout, Hooks, RelayPluginEntry, RelayPluginOptions, RelayPluginStatus, Replacement } from './hooks/hooks.ts';
export { LOGGED_HOST_EVENTS, TRANSIENT_HOST_EVENTS, hostLogger, nameModules, noSuchPlugin, whereThrown } from './hosted/hosted.ts';
export { PluginEnded, findOffer, frameOf, isNameOf, moduleOf, requireOffer } from './hosted/hosted.ts';
export type { NotOffered, Readiness, WorkOrder, WorkSource } from './hosted/hosted.ts';
export type {
  HostedController,
  HostedDatasource,
  HostedEndpoint,
  HostedEndpointType,
  HostedReactor,
  HostedWatcher,
  HostedWork,
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
export type {
  DeadLetter,
  DeadLetters,
  ItemBatch,
  PluginToken,
  ProgramAnswer,
  ProgramCall,
  ProgramSurroundings,
} from './programs/programs.ts';
export type { CallOptions, DeliveryReport, Frame, SendOptions } from '../plugin/internal.ts';
export type { HostedMethod } from '../rpc/rpc.ts';
export { OrphanWatch, findExecutable } from './programs/programs.ts';

/** States of a plugin that has imported its files, or tried to. */
const LOADED: ReadonlySet<string> = new Set(['ready', 'empty', 'backoff', 'failed', 'not-loaded']);
const NO_TOKENS: readonly PluginToken[] = [];
/** When the host stops, the plugins of this process exit one by one for this many times `exitTimeoutMs`; the rest then exit at once. */
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
  /** The relay plugins of config.ts, which the plugin host does not load. Default none. */
  readonly relayPlugins?: RelayPluginOptions['relayPlugins'] | undefined;
  /** Where compiled plugins are cached. Undefined: they are not cached. */
  readonly cacheDir: string | undefined;
  /** What programs get from the relay. Default: there are no programs, whatever the options say. */
  readonly programs?: ProgramSurroundings | undefined;
  /** Where the messages of durable satellites are stored. Default: no satellite is durable, whatever it says. */
  readonly storage?: Pick<DurableMessagesParts, 'store' | 'restore' | 'date'> | undefined;
  /** Default: the clock of the machine. */
  readonly clock?: Clock | undefined;
}

export interface PluginHostStatus {
  /** Modules in order of their names, then programs. */
  readonly plugins: readonly PluginStatus[];
  /** The satellites of all plugins. */
  readonly satellites: readonly SatelliteStatus[];
  /** What is not loaded, and why. */
  readonly problems: readonly PluginProblem[];
  /** The messages that are kept for durable satellites that are not there any more. */
  readonly keptMessages: readonly KeptCursor[];
  /** What this process retains of module versions that no longer run. */
  readonly kept: RetainedVersions;
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
  readonly #durable: DurableMessages | undefined;
  readonly #reports: DeliveryReports;
  #port: RelayPort | undefined;
  #watcher: Watcher | undefined;
  #starting: Promise<void> | undefined;
  #isStarted = false;
  #stopping: Promise<void> | undefined;

  constructor(parts: PluginHostParts) {
    this.#parts = parts;
    const { options, logs, programs: surroundings, storage } = parts;
    const clock = new LastReading(parts.clock ?? systemClock);
    this.#log = logs('plugin-host');
    this.#clock = clock;
    this.#pump = new Pump(clock);
    this.#reports = new DeliveryReports(this.#registry, clock, this.#log);
    this.#watchdog = new Watchdog({ limitMs: options.loopWarningMs, clock, logs });
    if (storage) this.#durable = this.#makeDurable(storage, clock);
    const common = {
      ...parts,
      durable: this.#durable,
      ...{ clock, log: this.#log, registry: this.#registry, events: this.#events() },
      // Without their configurations, which may hold secrets, because children get this on their command line.
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
    if (surroundings)
      this.#programs = new HostPrograms({
        ...common,
        surroundings,
        deliverTo: (name, message) => this.#inboxOf(name)?.take(message) ?? false,
      });
  }

  /**
   * Finds, loads and constructs all plugins, then sets them up in order of their names, then starts children, then programs. When this
   * resolves, each is ready, or has ended and will be retried. Rejects with a RelayError CONFIG_INVALID or PLUGIN_REFUSED, after exiting
   * the plugins that were set up. A plugin that does not load or construct is only a problem in the status. Then watches the plugins
   * directory, if the options say so.
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

  /** Takes items that a program pushed to one of its streams. Resolves to false if no more are wanted. */
  async pushItems(plugin: string, stream: string, batch: ItemBatch): Promise<boolean> {
    return this.#requirePrograms().pushItems(plugin, stream, batch);
  }

  /** Writes a line of a program to its log. Throws a RelayError INVALID_PARAMS. */
  programLog(plugin: string, level: string, text: string): void {
    this.#requirePrograms().log(plugin, level, text);
  }

  /** Messages that made their recipients end repeatedly. */
  get deadLetters(): DeadLetters {
    return this.#requirePrograms().deadLetters;
  }

  /** Exits the satellites in reverse order, each within its time limit. Nothing is delivered afterwards. Never rejects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * Stores a message for the durable satellites other than `except`. Undefined if none of them wants it, so that nothing has to be awaited.
   * Resolves once it is synced, and may be acknowledged and delivered. Rejects with a RelayError: UNAVAILABLE if as much is stored for one
   * of them as may be, STATE_DIRECTORY if nothing can be stored.
   */
  keep(message: Message, except?: string): Promise<void> | undefined {
    return this.#durable?.keep(message, except);
  }

  /**
   * Puts the message into the inbox of every satellite but `except`; with `isKept`, durable ones have it already. Returns the number of
   * these inboxes. Never throws, never waits.
   */
  deliver(message: Message, except?: string, isKept = false): number {
    let recipients = 0;
    for (const inbox of this.#registry.inboxes)
      if (inbox.name !== except && ((isKept && inbox.isDurable) || inbox.take(message))) recipients++;
    return recipients;
  }

  /** Reports to the satellite of this name, or a program, what became of a message that it sent. */
  reportDelivery(satellite: string, report: DeliveryReport): void {
    this.#reports.add(satellite, report);
  }

  /** The generation of what a program sends now: one more than that of the message that it is receiving; 0 if it receives none. */
  generationOf(program: string): number {
    if (!this.#registry.has(program)) return 0;
    return Math.max(0, ...this.#registry.find(program).inboxes.map(({ generation }) => generation));
  }

  /** Reports that a method of a plugin failed. Returns the reason, with the place in the plugin's code. */
  methodFailed({ plugin, method, error, id }: MethodFailure): string {
    const reason = this.#registry.has(plugin) ? this.#registry.find(plugin).noteFailure(method, error) : clean(reasonOf(error), 500);
    const stack = error instanceof Error ? error.stack : undefined;
    this.#parts.events.emit({ type: 'plugin.method_failed', plugin, method, reason, id, stack });
    return reason;
  }

  /** The work that all running plugins offer, by type. */
  work(): ReadonlyMap<string, HostedWork> {
    return new Map(this.#offers('work').map((one) => [one.type, one]));
  }

  /** The watchers and reactors that all running plugins offer. */
  endpoints(): readonly HostedEndpointType[] {
    return this.#offers('endpoints');
  }

  /** The datasources that all running plugins offer, by name. */
  datasources(): ReadonlyMap<string, HostedDatasource> {
    return new Map(this.#offers('datasources').map((one) => [one.name, one]));
  }

  /** The controllers that all running plugins offer, by name. */
  controllers(): ReadonlyMap<string, HostedController> {
    return new Map(this.#offers('controllers').map((one) => [one.name, one]));
  }

  #offers<Kind extends keyof Offers>(kind: Kind): Offers[Kind][number][] {
    return this.#registry.all.flatMap(({ offers }) => [...offers[kind]]);
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
      keptMessages: this.#durable?.kept ?? [],
      kept: retainedVersions(),
    };
  }

  /**
   * Loads what is new in the plugins directory, reloads what changed and unloads what is gone, as the watcher does. Resolves when the
   * directory has been scanned.
   */
  async rescan(): Promise<void> {
    await this.#inline.rescan();
  }

  /**
   * Starts a plugin that was stopped, or not loaded; does nothing to one that runs. Rejects with a RelayError INVALID_PARAMS if there is
   * none of this name, PLUGIN_REFUSED if it does not start.
   */
  async startPlugin(name: string): Promise<void> {
    const { plugin, port } = this.#lookUp(name);
    await plugin.start(port);
  }

  /** Exits a plugin. It stays stopped until `startPlugin`, even if its file is saved. Rejects with a RelayError INVALID_PARAMS. */
  async stopPlugin(name: string): Promise<void> {
    await this.#lookUp(name).plugin.stop();
  }

  /**
   * Exits a plugin and starts its current version. Rejects as {@link startPlugin} does. A plugin in this process keeps running if its new
   * version does not load.
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
   * Replaces a running plugin by its current version, changed or not; if that fails, it keeps running. Rejects as {@link startPlugin}
   * does.
   */
  async reloadPlugin(name: string): Promise<void> {
    const { plugin } = this.#lookUp(name);
    await (plugin.reload ? plugin.reload() : this.restartPlugin(name));
  }

  /**
   * Runs one more program, and remembers it across restarts. Resolves to its name when it is ready, or has ended and will be retried.
   * Rejects with RelayErrors FORBIDDEN (the operator does not allow it), INVALID_PARAMS, STATE_DIRECTORY, and PLUGIN_REFUSED if it can
   * never work as it is; then it is removed again.
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
      await this.#durable?.load();
      const found = await this.#inline.prepare(port);
      await this.#children.prepare(this.#inline.children, found.directory);
      await this.#programs?.prepare();
      await this.#startInline(port);
      if (!this.#stopping) await this.#children.start(port);
      if (!this.#stopping) await this.#programs?.start(port);
      this.#logStarted(found);
    } catch (error) {
      await this.#stopAll();
      throw error;
    }
    this.#isStarted = true;
    this.#reports.start();
    this.#durable?.sweep();
    this.#watch();
  }

  /** One after another, so that a plugin may call those that started before it. */
  async #startInline(port: RelayPort): Promise<void> {
    const { strictStart } = this.#parts.options;
    for (const plugin of this.#registry.all.filter(isInline)) {
      const { state, file } = plugin.status;
      if (state.type !== 'not-loaded') {
        // The failure is reported, and the plugin tries again.
        await plugin.start(port).catch((error: unknown) => {
          if (strictStart || this.#stopping) throw error;
        });
      } else if (strictStart) throw new RelayError('PLUGIN_REFUSED', `${file}: ${state.reason} (strictStart)`);
    }
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
    const { events } = this.#parts;
    const rescan = (scan: ScanMode): Promise<boolean> => this.#inline.rescan(scan);
    this.#watcher = new Watcher({ mode, directory, rescan, events, clock: this.#clock, log: this.#log });
    void this.#watcher.start();
  }

  /** Also lets the watcher follow other files when the imports of a plugin may have changed. */
  #events(): EventSink<HostEvent> {
    const { events } = this.#parts;
    return {
      emit: (event) => {
        events.emit(event);
        if (event.type === 'plugin.state' && LOADED.has(event.state.type)) this.#watcher?.followHelpers();
        if (event.type === 'plugin.version' && this.#isStarted) this.#durable?.sweep();
      },
      isWatched: (type) => events.isWatched(type),
    };
  }

  #makeDurable(storage: NonNullable<PluginHostParts['storage']>, clock: Clock): DurableMessages {
    const { options, events } = this.#parts;
    return new DurableMessages({
      ...{ ...storage, clock, options, events, log: this.#log },
      present: () => new Map(this.#registry.all.flatMap(({ name, inboxes }) => inboxes.map((inbox) => [inbox.name, name] as const))),
      setAside: (satellite, message, deaths) => {
        const reason = 'the relay ended during its delivery';
        this.#programs?.all.deadLetters.add({ satellite, message, deaths, reason });
        events.emit({
          type: 'inbox.dead-letter',
          plugin: this.#inboxOf(satellite)?.plugin ?? satellite,
          satellite,
          id: message.id,
          deaths,
        });
      },
    });
  }

  #inboxOf(satellite: string): Inbox | undefined {
    return this.#registry.inboxes.find(({ name }) => name === satellite);
  }

  #requirePrograms(): Programs {
    if (this.#programs) return this.#programs.all;
    throw new RelayError('UNAVAILABLE', 'this relay does not run programs');
  }

  #requireRunning(): { readonly port: RelayPort; readonly programs: HostPrograms } {
    if (this.#port && this.#programs && !this.#stopping) return { port: this.#port, programs: this.#programs };
    throw new RelayError('UNAVAILABLE', 'the plugin host is not running, or does not run programs');
  }

  /** Throws a RelayError INVALID_PARAMS, or UNAVAILABLE while the host starts or stops. */
  #lookUp(name: string): { readonly plugin: HostedPlugin; readonly port: RelayPort } {
    if (!this.#port || this.#stopping) throw new RelayError('UNAVAILABLE', 'the plugin host is not running');
    return { plugin: this.#registry.find(name), port: this.#port };
  }

  async #stop(): Promise<void> {
    // A process that hangs at its start is not waited for.
    if (!this.#isStarted) for (const plugin of this.#registry.all) if (!isInline(plugin)) void plugin.stop();
    await this.#starting?.catch(() => undefined);
    this.#reports.stop();
    await this.#watcher?.end();
    await this.#inline.end();
    await this.#pump.settle();
    await this.#stopAll();
    await this.#durable?.close();
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
 * `programs`, which are looked up in `path` (PATH). Returns what would not be loaded. Rejects with the RelayError CONFIG_INVALID with which
 * a start would fail.
 */
export async function checkPlugins(
  options: FindOptions & RelayPluginOptions & Pick<PluginHostOptions, 'programs'>,
  path: string | undefined,
): Promise<{ readonly problems: readonly PluginProblem[]; readonly names: readonly string[] }> {
  const { modules, problems } = await findModules(options);
  await findRelayPlugins(options);
  const names = modules.map(({ module }) => module);
  checkPrograms(options.programs, names, path);
  const broken = problems.flatMap(({ module }) => module ?? []);
  return { problems, names: [...names, ...broken, ...options.programs.map(({ name }) => name)] };
}

function isInline({ status }: HostedPlugin): boolean {
  return status.kind === 'inline';
}

function placesOf({ directory, modules }: Found): string[] {
  const packages = new Set(modules.map(({ rootName }) => clean(rootName.replace(/\/$/, ''))));
  return [directory ?? '', ...packages].filter((place) => place !== '');
}
