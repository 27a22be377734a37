/**
 * A module that runs in this process as a plugin: its life from the import of its file to its exit, and how one version replaces another.
 */
import { clean, RelayError, SerialQueue, unlessAborted } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { keptBehind, renewChanged, staleBehind } from '../../loader/loader.mjs';
import type { HostedMethod } from '../../rpc/rpc.ts';
import {
  failureOf,
  frameRows,
  LEFT_OUT,
  NOT_RELOADED,
  placeOf,
  PluginFailure,
  refusal,
  reportLeftOut,
  staleText,
  swap,
} from '../hosted/hosted.ts';
import type {
  HostedOptions,
  HostedPlugin,
  Inbox,
  PluginProblem,
  PluginRegistry,
  PluginState,
  PluginStatus,
  RelayPort,
  VersionEvent,
} from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { acceptInputs, cutShortAmong, cutShortProblem, filesOf, inputsOf, renewInputs, withoutSatellites } from './inputs.ts';
import { importModule, pickSatellites } from './load.ts';
import type { ImportedModule } from './load.ts';
import type { ModuleOptions } from './options.ts';
import { readConfig } from './plugin-config.ts';
import type { ConfigPlace } from './plugin-config.ts';
import { Version } from './version.ts';
import type { VersionParts } from './version.ts';

export interface InlinePluginParts extends VersionParts {
  readonly options: ModuleOptions & HostedOptions;
  /** The files and modules that config.ts names as relay plugins; those are loaded elsewhere. */
  readonly relayPlugins: readonly string[];
  /** The plugins directory in use. */
  readonly directory: () => string | undefined;
  /** The imported modules of all other plugins. */
  readonly others: () => readonly ImportedModule[];
  readonly registry: Pick<PluginRegistry, 'refreshInboxes'>;
  /** Of the plugin host. */
  readonly log: Log;
}

export class InlinePlugin implements HostedPlugin {
  readonly #parts: InlinePluginParts;
  /** Starts, stops and reloads, one after another. */
  readonly #queue = new SerialQueue();
  /** How its file was found last. */
  #found: FoundModule;
  #state: PluginState = { type: 'stopped' };
  #problems: readonly PluginProblem[] = [];
  #lastError: string | undefined;
  /** The module that was imported last, whether it runs or not. */
  #imported: ImportedModule | undefined;
  /** The inputs of the last attempt to import it. */
  #attempted = '';
  /** An import that has not been used yet, and its inputs. */
  #preloaded: { readonly inputs: string; readonly imported: Promise<ImportedModule> } | undefined;
  /** The files that what runs was made of. */
  #files: readonly string[] = [];
  #stale: readonly string[] = [];
  /** Constructed at the start of the host, and not set up yet. */
  #prepared: Version | undefined;
  /** The version that runs, or ran last. */
  #version: Version | undefined;
  #isRunning = false;
  /** A check of its inputs is queued. */
  #isUpdateDue = false;
  #port: RelayPort | undefined;
  #restarts = 0;

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

  /** What is left out of what runs, or why nothing runs. */
  get problems(): readonly PluginProblem[] {
    return this.#problems;
  }

  get inboxes(): readonly Inbox[] {
    return this.#version?.inboxes ?? [];
  }

  get methods(): readonly HostedMethod[] {
    return this.#version?.methods ?? [];
  }

  get status(): PluginStatus {
    return {
      ...{ name: this.name, kind: 'inline', state: this.#state, file: this.#found.file },
      version: this.#version?.stated.version,
      ...{ kept: keptBehind(this.#files), notReloaded: this.#stale },
      ...{ restarts: this.#restarts, lastError: this.#lastError, held: this.#parts.watchdog.of(this.name).held },
      satellites: this.#version?.satellites.map(({ satellite }) => satellite.status) ?? [],
    };
  }

  // The start of the host: all plugins are imported, then all constructed, then all configured, before the first `setup`.

  /** Imports it. Never rejects: if that fails, the plugin is left out. */
  async import(): Promise<void> {
    await this.#importCurrent().catch((error: unknown) => {
      const problem = failureOf(error, this.#found);
      this.#leaveOut(problem);
      this.#becomeLeftOut(problem);
    });
  }

  /** Constructs what was imported. Satellites that cannot be constructed are left out. */
  construct(port: RelayPort): void {
    this.#port = port;
    if (!this.#imported) return;
    const version = this.#construct(this.#imported, (problem) => {
      this.#leaveOut(problem);
    });
    const [problem] = this.#problems;
    if (problem && version.satellites.length === 0) this.#becomeLeftOut(problem);
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
      if (prepared) await this.#run(prepared, port, signal);
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

  /** Cancels a reload that is under way, so that the present version goes on. */
  async cancel(): Promise<void> {
    this.#cancel();
    await this.#queue.idle();
  }

  /** Notes how its file was found. True if it has to be loaded again; never while it is stopped by hand. */
  async isOutdated(found: FoundModule): Promise<boolean> {
    this.#found = found;
    return this.#state.type !== 'stopped' && (await this.#inputs()) !== this.#attempted;
  }

  /**
   * Imports its current version, so that other modules know which class belongs to which before any of them is reloaded. Never rejects: the
   * reload does.
   */
  async preload(): Promise<void> {
    if (this.#found.refused !== undefined) return;
    const inputs = await this.#inputs();
    const imported = this.#importFile();
    this.#preloaded = { inputs, imported };
    await imported.catch(() => undefined);
  }

  /** Loads its current version, once for all requests that come before that begins. Never rejects: failures are reported. */
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

  /** Loads it again with all that it imports, changed or not. Rejects with a RelayError PLUGIN_REFUSED; then the version before goes on. */
  reload(): Promise<void> {
    return this.#enqueue(async (port, signal) => {
      if (this.#state.type === 'stopped') throw refusal(this.name, 'it is stopped; start it instead');
      await renewInputs(this.#found, this.#configPlace);
      await this.#loadOrReplace(port, signal);
    });
  }

  /**
   * Ends what runs and starts the current version, which gets the messages that wait, and no state. Rejects with a RelayError
   * PLUGIN_REFUSED; if the current version cannot be constructed, what ran goes on.
   */
  restart(): Promise<void> {
    return this.#enqueue(async (port, signal) => {
      const old = this.#version;
      if (!this.#isRunning || !old) {
        await this.#load(port, signal);
        return;
      }
      if (!this.#found.exports) await renewChanged(this.#found.root);
      const next = await this.#successor(old, signal).catch(async (error: unknown) => {
        throw await this.#failed(error, 'not restarted, what runs goes on', signal);
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
      await this.#orLeaveOut(signal, () => this.#run(next, port, signal));
      this.#reportVersion('restarted');
    });
  }

  async #loadOrReplace(port: RelayPort, signal: AbortSignal): Promise<void> {
    await (this.#isRunning && this.#version ? this.#replace(this.#version, port, signal) : this.#load(port, signal));
  }

  /** Loads and starts it while nothing of it runs. */
  async #load(port: RelayPort, signal: AbortSignal): Promise<void> {
    await this.#orLeaveOut(signal, async () => {
      this.#setState({ type: 'starting' });
      if (!this.#found.exports) await renewChanged(this.#found.root);
      this.#problems = [];
      const imported = await this.#importCurrent(signal);
      const problems: PluginProblem[] = [];
      const version = this.#construct(imported, (problem) => problems.push(problem));
      // If nothing is left, the first problem is the reason.
      const fatal = version.satellites.length === 0 ? problems.shift() : undefined;
      for (const problem of problems) this.#leaveOut(problem);
      if (fatal) throw new PluginFailure(fatal);
      await this.#configure(version, imported, signal);
      await this.#run(version, port, signal);
    });
    this.#reportVersion('loaded');
  }

  /** Replaces `old`, which runs, by the current version. If that fails everything stays as it is, and the reason is thrown. */
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
      throw await this.#failed(error, NOT_RELOADED, signal);
    }
    await this.#accept();
    this.#problems = [];
    this.#setState({ type: 'ready' });
    this.#reportReloaded(Math.round(clock.now() - began));
    await old.finishCalls();
    await old.exit();
  }

  #reportReloaded(ms: number): void {
    if (this.#imported?.relayPlugins.isInUse === true) {
      const file = clean(this.#found.file);
      this.#parts.log.warn(`${file}: its relay plugins go on as they were when the relay started; restart the relay`);
      if (this.inboxes.length + this.methods.length === 0) return;
    }
    this.#reportVersion('reloaded', ms);
  }

  #reportVersion(change: VersionEvent['change'], ms?: number): void {
    const { name } = this;
    this.#parts.events.emit({ type: 'plugin.version', plugin: name, change, file: this.#found.file, ms, notReloaded: this.#stale });
  }

  /** Sets up a version that is configured, and exposes its methods. */
  async #run(version: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    version.attach(port);
    this.#adopt(version);
    // It is `starting` already if it was loaded just now.
    if (this.#state.type !== 'starting') this.#setState({ type: 'starting' });
    // After each satellite, so that those after it may call it in their setup.
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
    this.#setState({ type: 'ready' });
  }

  /** From now on `version` is the one that messages are delivered to. */
  #adopt(version: Version): void {
    if (this.#version !== version) this.#restarts += Number(this.#isRunning);
    this.#version = version;
    this.#parts.registry.refreshInboxes();
  }

  /**
   * A version that may replace `old`, which runs. Rejects if anything of it would be left out, and if its file has no satellites any more,
   * since then a save is probably incomplete.
   */
  async #successor(old: Version, signal: AbortSignal): Promise<Version> {
    const imported = await this.#importWhole(signal);
    if (old.satellites.length > 0 && imported.exported.size === 0) throw new PluginFailure(await withoutSatellites(this.#found));
    const problems: PluginProblem[] = [];
    const version = this.#construct(imported, (problem) => problems.push(problem));
    if (problems[0]) throw new PluginFailure(problems[0]);
    await this.#configure(version, imported, signal);
    return version;
  }

  /** Imports its current version. Rejects with what the import throws, or with why the file must not be executed. */
  async #importCurrent(signal?: AbortSignal): Promise<ImportedModule> {
    this.#attempted = await this.#inputs();
    const { module, file, refused } = this.#found;
    if (refused !== undefined) throw new PluginFailure({ module, file: clean(file), reason: refused });
    const preloaded = this.#preloaded;
    this.#preloaded = undefined;
    // A second import of a module that hangs would be waited for twice.
    if (preloaded?.inputs !== this.#attempted) return this.#importFile(signal);
    return signal ? unlessAborted(signal, () => preloaded.imported) : preloaded.imported;
  }

  /** As {@link #importCurrent}, but rejects if one of its files was incomplete. */
  async #importWhole(signal: AbortSignal): Promise<ImportedModule> {
    const importing = await this.#importCurrent(signal).then(
      (imported) => ({ imported }),
      (error: unknown) => ({ error }),
    );
    const cutShort = cutShortAmong(await filesOf(this.#found, this.#configPlace));
    if (cutShort) throw new PluginFailure(cutShortProblem(this.#found, cutShort));
    if ('error' in importing) throw importing.error;
    return importing.imported;
  }

  async #importFile(signal?: AbortSignal): Promise<ImportedModule> {
    const { clock, options, relayPlugins } = this.#parts;
    return (this.#imported = await importModule(this.#found, { clock, timeoutMs: options.setupTimeoutMs, relayPlugins, signal }));
  }

  #construct(imported: ImportedModule, report: (problem: PluginProblem) => void): Version {
    const { others, log } = this.#parts;
    return new Version(pickSatellites(imported, { others: others(), log, report }), this.#parts, report);
  }

  async #configure(version: Version, imported: ImportedModule, signal?: AbortSignal): Promise<void> {
    if (version.satellites.length === 0) return;
    const { clock, options } = this.#parts;
    await version.configure(await readConfig(imported, this.#configPlace, { clock, timeoutMs: options.setupTimeoutMs, signal }));
  }

  /** The module that was imported last runs: its files are current. */
  async #accept(): Promise<void> {
    this.#files = await filesOf(this.#found, this.#configPlace);
    acceptInputs(this.#files);
    const stale = (await Promise.all(this.#files.map(staleBehind))).flat();
    this.#stale = [...new Set(stale.map((one) => staleText(this.#found, one)))];
  }

  get #configPlace(): ConfigPlace {
    return { directory: this.#parts.directory(), plugins: this.#parts.options.plugins };
  }

  #inputs(): Promise<string> {
    return inputsOf(this.#found, this.#configPlace);
  }

  #setState(state: PluginState): void {
    this.#state = state;
    this.#parts.events.emit({ type: 'plugin.state', plugin: this.name, state });
  }

  /** Something of it does not run. */
  #leaveOut(problem: PluginProblem): void {
    this.#problems = [...this.#problems, problem];
    reportLeftOut(this.#parts.events, problem);
  }

  /** Nothing of it runs. */
  #becomeLeftOut(problem: PluginProblem): void {
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    this.#setState({ type: 'left-out', reason: problem.reason });
  }

  /** Does `work`. If that fails, nothing of it runs, and this rejects with the result of {@link #failed}. */
  async #orLeaveOut(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const problem = failureOf(error, this.#found);
      this.#problems = [problem, ...this.#problems];
      this.#becomeLeftOut(problem);
      throw await this.#failed(error, LEFT_OUT, signal);
    }
  }

  /** Reports and keeps a failure. Resolves to the error to throw. */
  async #failed(error: unknown, outcome: string, signal: AbortSignal): Promise<unknown> {
    // Somebody stopped it, and does not expect that the work succeeds.
    if (signal.aborted) return error;
    const problem = failureOf(error, this.#found);
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    this.#parts.events.emit({ type: 'plugin.problem', problem, outcome, rows: await frameRows(problem, this.#found) });
    return RelayError.is(error) && error.code === 'PLUGIN_REFUSED' ? error : refusal(this.name, this.#lastError, error);
  }

  #cancel(): void {
    this.#queue.cancel(new RelayError('UNAVAILABLE', `plugin ${this.name} is being stopped`));
  }

  #enqueue(work: (port: RelayPort, signal: AbortSignal) => Promise<void>): Promise<void> {
    return this.#queue.run(async (signal) => {
      if (this.#port) await work(this.#port, signal);
    });
  }
}
