/**
 * A module that runs in this process as a plugin: its lifecycle from the import of its file to its exit, including the replacement of one
 * version by another.
 */
import { clean, nextDelay, RelayError, SerialQueue, unlessAborted } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { retainedVersions, renewChanged, staleImports } from '../../loader/loader.mjs';
import type { HostedMethod } from '../../rpc/rpc.ts';
import {
  failureOf,
  frameRows,
  NO_OFFERS,
  NOT_LOADED,
  NOT_RELOADED,
  placeOf,
  PluginFailure,
  reasonText,
  refusal,
  reportNotLoaded,
  staleText,
  swap,
  whereThrown,
} from '../hosted/hosted.ts';
import type {
  HostedOptions,
  HostedPlugin,
  Offers,
  Inbox,
  PluginProblem,
  PluginRegistry,
  PluginState,
  PluginStatus,
  RelayPort,
  VersionEvent,
} from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { acceptInputs, incompleteFile, incompleteFileProblem, filesOf, inputsOf, renewInputs, noSatellitesProblem } from './inputs.ts';
import { importModule, notLiteralProblem, pickSatellites } from './load.ts';
import type { ImportedModule } from './load.ts';
import type { ModuleOptions } from './options.ts';
import { readConfig } from './plugin-config.ts';
import type { ConfigSources } from './plugin-config.ts';
import { NO_VERSION, Version } from './version.ts';
import type { VersionParts } from './version.ts';

export interface InlinePluginParts extends VersionParts {
  readonly options: ModuleOptions & HostedOptions;
  /** The files and modules that config.ts names as relay plugins; those are loaded separately. */
  readonly relayPlugins: readonly string[];
  /** The current plugins directory. */
  readonly directory: () => string | undefined;
  /** The imported modules of all other plugins. */
  readonly others: () => readonly ImportedModule[];
  readonly registry: Pick<PluginRegistry, 'refreshInboxes'>;
  /** Uniform in [0, 1), for delays. Default Math.random. */
  readonly random?: (() => number) | undefined;
  /** The log of the plugin host. */
  readonly log: Log;
}

// A device or a server that a setup needs is often back within seconds.
const SETUP_BACK_OFF = { firstMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0.5 };

export class InlinePlugin implements HostedPlugin {
  readonly #parts: InlinePluginParts;
  /** Runs starts, stops and reloads one after another. */
  readonly #queue = new SerialQueue();
  /** Its file, as the latest scan found it. */
  #found: FoundModule;
  #state: PluginState = { type: 'stopped' };
  #problems: readonly PluginProblem[] = [];
  #lastError: string | undefined;
  #reloadError: string | undefined;
  /** The module that was imported last, whether it runs or not. */
  #imported: ImportedModule | undefined;
  /** The inputs of the last attempt to import it. */
  #attempted = '';
  /** An import that has not been used yet, and its inputs. */
  #preloaded: { readonly inputs: string; readonly imported: Promise<ImportedModule> } | undefined;
  /** The files of the running version. */
  #files: readonly string[] = [];
  #stale: readonly string[] = [];
  /** Constructed at the start of the host, and not set up yet. */
  #prepared: Version | undefined;
  /** The version that is running, or was last. */
  #version: Version | undefined;
  #isRunning = false;
  /** A check of its inputs is queued. */
  #isUpdateDue = false;
  #port: RelayPort | undefined;
  #restarts = 0;
  /** Setups that failed in a row. */
  #failedSetups = 0;
  #cancelRetry: () => void = () => undefined;

  constructor(found: FoundModule, parts: InlinePluginParts) {
    this.#found = found;
    this.#parts = parts;
  }

  get name(): string {
    return this.#found.module;
  }

  /** Other modules need it to know which class belongs to which module. */
  get imported(): ImportedModule | undefined {
    return this.#imported;
  }

  /** Which parts of it do not run, or why none does. */
  get problems(): readonly PluginProblem[] {
    return this.#problems;
  }

  get inboxes(): readonly Inbox[] {
    return this.#version?.inboxes ?? [];
  }

  get methods(): readonly HostedMethod[] {
    return this.#version?.methods ?? [];
  }

  get offers(): Offers {
    return this.#version?.offers ?? NO_OFFERS;
  }

  get status(): PluginStatus {
    return {
      ...{ name: this.name, kind: 'inline', state: this.#state, file: this.#found.file, version: this.#version?.stated.version },
      ...{ kept: retainedVersions(this.#files), notReloaded: this.#stale, held: this.#parts.watchdog.of(this.name).held },
      ...{ restarts: this.#restarts, lastError: this.#lastError, reloadError: this.#isRunning ? this.#reloadError : undefined },
      satellites: this.#version?.satellites.map(({ satellite }) => satellite.status) ?? [],
    };
  }

  readonly reportDelivery: HostedPlugin['reportDelivery'] = (satellite, report) =>
    (this.#version ?? NO_VERSION).reportDelivery(satellite, report);

  noteFailure(method: string, error: unknown): string {
    const { root } = this.#found;
    const reason = `${reasonText(error, root)}${whereThrown(error, root)}`;
    this.#lastError = `${method}: ${reason}`;
    return reason;
  }

  // The start of the host: all plugins are imported, then all constructed, then all configured, before the first `setup`.

  /** Imports it. Never rejects: if that fails, the plugin is not loaded. */
  async import(): Promise<void> {
    await this.#importCurrent().catch((error: unknown) => {
      const problem = failureOf(error, this.#found);
      this.#addProblem(problem);
      this.#setNotLoaded(problem);
    });
  }

  /** Constructs its satellites, and reports those that cannot be constructed. */
  construct(port: RelayPort): void {
    this.#port = port;
    if (!this.#imported) return;
    const version = this.#construct(this.#imported, (problem) => {
      this.#addProblem(problem);
    });
    const [problem] = this.#problems;
    if (problem && version.satellites.length === 0) this.#setNotLoaded(problem);
    else this.#prepared = this.#version = version;
    version.attach(port);
  }

  /** Reads and checks its configuration. Rejects with a RelayError PLUGIN_REFUSED. */
  async configure(): Promise<void> {
    if (this.#imported && this.#prepared) await this.#configure(this.#prepared, this.#imported);
  }

  start(port: RelayPort): Promise<void> {
    this.#port = port;
    return this.#enqueue(async (_port, signal) => {
      const prepared = this.#prepared;
      this.#prepared = undefined;
      // The failed start of the relay says why.
      if (prepared && this.#parts.options.strictStart) await this.#run(prepared, port, signal);
      else if (prepared) await this.#startVersion(port, signal, () => Promise.resolve(prepared));
      else if (!this.#isRunning) await this.#load(port, signal);
    });
  }

  stop(): Promise<void> {
    this.#cancel();
    return this.#queue.run(async () => {
      this.#setState({ type: 'stopping' });
      await this.#version?.exit();
      this.#port?.expose(this.name, []);
      this.#isRunning = false;
      this.#prepared = undefined;
      this.#setState({ type: 'stopped' });
    });
  }

  /** Stops it for good, because its file is gone. */
  async unload(): Promise<void> {
    await this.stop();
    this.#imported = undefined;
  }

  /** Cancels a reload in progress, so that the running version stays. */
  async cancel(): Promise<void> {
    this.#cancel();
    await this.#queue.idle();
  }

  /** Updates what is known about its file. True if it has to be reloaded; never while it is stopped. */
  async isOutdated(found: FoundModule): Promise<boolean> {
    this.#found = found;
    return this.#state.type !== 'stopped' && (await inputsOf(this.#found, this.#configSources)) !== this.#attempted;
  }

  /**
   * Imports its current version, so that all modules know which class belongs to which before any of them is reloaded. Never rejects: the
   * reload reports the error.
   */
  async preload(): Promise<void> {
    if (this.#found.refused !== undefined) return;
    this.#preloaded = { inputs: await inputsOf(this.#found, this.#configSources), imported: this.#importFile() };
    await this.#preloaded.imported.catch(() => undefined);
  }

  /** Loads its current version, once for all requests that arrive before it begins. Never rejects: failures are reported. */
  async update(): Promise<void> {
    if (this.#isUpdateDue) return;
    this.#isUpdateDue = true;
    await this.#enqueue(async (port, signal) => {
      this.#isUpdateDue = false;
      if (await this.isOutdated(this.#found)) await this.#loadOrReplace(port, signal);
    }).catch(() => {
      this.#isUpdateDue = false;
    });
  }

  /** Reloads it with all its imports, changed or not. Rejects with a RelayError PLUGIN_REFUSED; then the previous version keeps running. */
  reload(): Promise<void> {
    return this.#enqueue(async (port, signal) => {
      if (this.#state.type === 'stopped') throw refusal(this.name, 'it is stopped; start it instead', undefined, { reason: 'stopped' });
      await renewInputs(this.#found, this.#configSources);
      await this.#loadOrReplace(port, signal);
    });
  }

  /**
   * Ends the running version and starts the current one, which gets the waiting messages, but no state. Rejects with a RelayError
   * PLUGIN_REFUSED; if the current version cannot be constructed, the running one stays.
   */
  restart(): Promise<void> {
    return this.#enqueue(async (port, signal) => {
      const old = this.#version;
      if (!this.#isRunning || !old) {
        await this.#load(port, signal);
        return;
      }
      if (!this.#found.exports) await renewChanged(this.#found.root);
      const next = await this.#successor(old, signal).catch((error: unknown) => {
        throw this.#failed(error, 'not restarted, the previous version keeps running', signal);
      });
      await unlessAborted(signal, () => old.pause()).catch((error: unknown) => {
        old.resume();
        throw error;
      });
      next.succeed(old);
      this.#adopt(next);
      this.#problems = [];
      port.expose(this.name, []);
      await old.exit();
      this.#isRunning = false;
      await this.#startVersion(port, signal, () => Promise.resolve(next));
      this.#reportVersion('restarted');
    });
  }

  async #loadOrReplace(port: RelayPort, signal: AbortSignal): Promise<void> {
    await (this.#isRunning && this.#version ? this.#replace(this.#version, port, signal) : this.#load(port, signal));
  }

  /** Loads and starts it. No version of it may be running. */
  async #load(port: RelayPort, signal: AbortSignal): Promise<void> {
    await this.#startVersion(port, signal, async () => {
      this.#setState({ type: 'starting' });
      if (!this.#found.exports) await renewChanged(this.#found.root);
      this.#problems = [];
      const imported = await this.#importCurrent(signal);
      const problems: PluginProblem[] = [];
      const version = this.#construct(imported, (problem) => problems.push(problem));
      // If no satellite is left, the first problem is the reason.
      const fatal = version.satellites.length === 0 ? problems.shift() : undefined;
      for (const problem of problems) this.#addProblem(problem);
      if (fatal) throw new PluginFailure(fatal);
      await this.#configure(version, imported, signal);
      return version;
    });
    this.#reportVersion('loaded');
  }

  /**
   * Replaces `old`, which is running, by the current version. If that fails, everything stays as it is, and this rejects with the reason.
   */
  async #replace(old: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const began = clock.now();
    this.#setState({ type: 'reloading' });
    try {
      const next = await this.#successor(old, signal);
      next.attach(port);
      const onSwitch = (): void => {
        next.succeed(old);
        this.#adopt(next);
      };
      await swap(old, next, { name: this.name, port, clock, signal, onSwitch });
    } catch (error) {
      this.#setState({ type: 'ready' });
      throw this.#failed(error, NOT_RELOADED, signal);
    }
    await this.#accept();
    this.#problems = [];
    this.#setRunning(this.#version);
    this.#reportReloaded(Math.round(clock.now() - began));
    await old.finishCalls();
    await old.exit();
  }

  #reportReloaded(ms: number): void {
    if (this.#imported?.relayPlugins.isInUse === true) {
      const file = clean(this.#found.file);
      this.#parts.log.warn(`${file}: its relay plugins are not reloaded; restart the relay`);
      if (this.inboxes.length + this.methods.length === 0) return;
    }
    this.#reportVersion('reloaded', ms);
  }

  #reportVersion(change: VersionEvent['change'], ms?: number): void {
    this.#parts.events.emit({ type: 'plugin.version', plugin: this.name, change, file: this.#found.file, ms, notReloaded: this.#stale });
  }

  /** Sets up a version that is configured, and exposes its methods. */
  async #run(version: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    version.attach(port);
    this.#adopt(version);
    // It is `starting` already if it has just been loaded.
    if (this.#state.type !== 'starting') this.#setState({ type: 'starting' });
    // Exposed after each satellite, so that the setup of a later one can call it.
    const onRunning = (): void => {
      port.expose(this.name, version.methods);
    };
    try {
      await version.setUp({ signal, onRunning });
    } catch (error) {
      await version.exit();
      port.expose(this.name, []);
      throw error;
    }
    this.#isRunning = true;
    await this.#accept();
    this.#setRunning(version);
  }

  /** The current version runs, which ends the errors of those before it. */
  #setRunning(version: Version | undefined): void {
    this.#lastError = this.#reloadError = undefined;
    const reason = version?.emptyReason;
    this.#setState(reason === undefined ? { type: 'ready' } : { type: 'empty', reason });
  }

  /** Delivers messages to `version` from now on. */
  #adopt(version: Version): void {
    if (this.#version !== version) this.#restarts += Number(this.#isRunning);
    this.#version = version;
    this.#parts.registry.refreshInboxes();
  }

  /**
   * A version that may replace `old`, which is running. Rejects if any of its satellites cannot run, and if its file no longer has any,
   * since then a save is probably incomplete.
   */
  async #successor(old: Version, signal: AbortSignal): Promise<Version> {
    const imported = await this.#importWhole(signal);
    if (old.satellites.length > 0 && imported.exported.size === 0) throw new PluginFailure(await noSatellitesProblem(this.#found));
    const problems: PluginProblem[] = [];
    const version = this.#construct(imported, (problem) => problems.push(problem));
    if (problems[0]) throw new PluginFailure(problems[0]);
    await this.#configure(version, imported, signal);
    return version;
  }

  /** Imports its current version. Rejects with the error of the import, or with the reason why the file must not be executed. */
  async #importCurrent(signal?: AbortSignal): Promise<ImportedModule> {
    this.#attempted = await inputsOf(this.#found, this.#configSources);
    const { module, file, refused } = this.#found;
    if (refused !== undefined) throw new PluginFailure({ module, file: clean(file), reason: refused });
    const preloaded = this.#preloaded;
    this.#preloaded = undefined;
    // A preloaded import is reused even if it hangs: a second import would double the wait.
    if (preloaded?.inputs !== this.#attempted) return this.#importFile(signal);
    return signal ? unlessAborted(signal, () => preloaded.imported) : preloaded.imported;
  }

  /** Like {@link #importCurrent}, but also rejects if one of its files was incomplete. */
  async #importWhole(signal: AbortSignal): Promise<ImportedModule> {
    const importing = await this.#importCurrent(signal).then(
      (imported) => ({ imported }),
      (error: unknown) => ({ error }),
    );
    const incomplete = incompleteFile(await filesOf(this.#found, this.#configSources));
    if (incomplete) throw new PluginFailure(incompleteFileProblem(this.#found, incomplete));
    if ('error' in importing) throw importing.error;
    return importing.imported;
  }

  async #importFile(signal?: AbortSignal): Promise<ImportedModule> {
    const { clock, options, relayPlugins } = this.#parts;
    return (this.#imported = await importModule(this.#found, { clock, timeoutMs: options.setupTimeoutMs, relayPlugins, signal }));
  }

  #construct(imported: ImportedModule, report: (problem: PluginProblem) => void): Version {
    const { others, log, options } = this.#parts;
    const loaded = pickSatellites(imported, { others: others(), log, report });
    const asked = loaded.satellites.find((satellite) => satellite.options.isolation === 'child');
    if (!asked || options.isolation[this.name] === 'inline') return new Version(loaded, this.#parts, report);
    report(notLiteralProblem(this.#found, asked.target.name));
    return new Version({ ...loaded, satellites: [] }, this.#parts, report);
  }

  async #configure(version: Version, imported: ImportedModule, signal?: AbortSignal): Promise<void> {
    if (version.satellites.length === 0) return;
    const { clock, options } = this.#parts;
    await version.configure(await readConfig(imported, this.#configSources, { clock, timeoutMs: options.setupTimeoutMs, signal }));
  }

  /** Records that the module that was imported last is running, so that its files are current. */
  async #accept(): Promise<void> {
    this.#files = await filesOf(this.#found, this.#configSources);
    acceptInputs(this.#files);
    const stale = (await Promise.all(this.#files.map(staleImports))).flat();
    this.#stale = [...new Set(stale.map((one) => staleText(this.#found, one)))];
  }

  get #configSources(): ConfigSources {
    return { directory: this.#parts.directory(), plugins: this.#parts.options.plugins };
  }

  #setState(state: PluginState): void {
    this.#state = state;
    this.#parts.events.emit({ type: 'plugin.state', plugin: this.name, state });
  }

  /** Reports that a part of it does not run. */
  #addProblem(problem: PluginProblem): void {
    this.#problems = [...this.#problems, problem];
    reportNotLoaded(this.#parts.events, problem, frameRows(problem, this.#found));
  }

  #setNotLoaded(problem: PluginProblem): void {
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    this.#setState({ type: 'not-loaded', reason: problem.reason });
  }

  /**
   * Sets up the version that `load` makes. If `load` fails, the plugin is not loaded until its file changes; if the setup fails, it is
   * tried again after a growing delay. Rejects with the result of {@link #failed}.
   */
  async #startVersion(port: RelayPort, signal: AbortSignal, load: () => Promise<Version>): Promise<void> {
    this.#cancelRetry();
    let version: Version | undefined;
    try {
      version = await load();
      await this.#run(version, port, signal);
      this.#failedSetups = 0;
    } catch (error) {
      const problem = failureOf(error, this.#found);
      this.#problems = [problem, ...this.#problems];
      const outcome = version && !signal.aborted ? this.#retryLater() : NOT_LOADED;
      if (outcome === NOT_LOADED) this.#setNotLoaded(problem);
      throw this.#failed(error, outcome, signal);
    }
  }

  /** Tries again after a while. Returns the outcome for the log. */
  #retryLater(): string {
    const { clock, random = Math.random } = this.#parts;
    const delayMs = nextDelay(this.#failedSetups++, SETUP_BACK_OFF, random);
    this.#setState({ type: 'backoff', attempt: this.#failedSetups, until: clock.now() + delayMs });
    this.#cancelRetry = clock.after(delayMs, () => {
      // A failure is reported, and retried later again.
      void this.#enqueue(async (port, signal) => {
        if (!this.#isRunning) await this.#load(port, signal);
      }).catch(() => undefined);
    });
    return `not started, it is tried again in ${(delayMs / 1000).toFixed(1)} s`;
  }

  /** Reports and records a failure. Returns the error to throw. */
  #failed(error: unknown, outcome: string, signal: AbortSignal): unknown {
    // The plugin was stopped meanwhile, so the failure is expected.
    if (signal.aborted) return error;
    const problem = failureOf(error, this.#found);
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    if (this.#isRunning) this.#reloadError = this.#lastError;
    this.#parts.events.emit({ type: 'plugin.problem', problem, outcome, rows: frameRows(problem, this.#found) });
    return RelayError.is(error) && error.code === 'PLUGIN_REFUSED' ? error : refusal(this.name, this.#lastError, error);
  }

  #cancel(): void {
    this.#cancelRetry();
    this.#queue.cancel(new RelayError('UNAVAILABLE', `plugin ${this.name} is being stopped`));
  }

  #enqueue(work: (port: RelayPort, signal: AbortSignal) => Promise<void>): Promise<void> {
    return this.#queue.run((signal) => (this.#port ? work(this.#port, signal) : undefined));
  }
}
