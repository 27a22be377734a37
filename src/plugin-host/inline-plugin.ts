/** A module of plugins/ that runs in this process: its life, and the versions of it that replace each other. */
import { renewChanged } from '../loader/loader.mjs';
import { RelayError, clean } from '../message/message.ts';
import type { Log } from '../message/message.ts';
import type { HostedMethod } from './exposed.ts';
import { PluginFailure, failureOf, frameRows } from './failure.ts';
import type { FoundModule } from './find.ts';
import type { HostedPlugin, PluginEvent, PluginState, PluginStatus } from './hosted.ts';
import { inputsOf, renewInputs } from './inputs.ts';
import type { ImportedModule } from './load.ts';
import { refusal } from './refusal.ts';
import type { ConfigPlace } from './plugin-config.ts';
import { construct, importFound } from './prepare.ts';
import type { PrepareParts } from './prepare.ts';
import { placeOf } from './problem.ts';
import type { PluginProblem } from './problem.ts';
import type { Receiver } from './receiver.ts';
import type { RelayPort, SatelliteEvent } from './satellite.ts';
import { unlessAborted } from './step.ts';
import { NOT_RELOADED, swap } from './swap.ts';
import { Turns } from './turns.ts';
import type { Version } from './version.ts';

export interface InlinePluginParts extends Omit<PrepareParts, 'report' | 'others' | 'onEvent' | 'directory'> {
  /** The plugins directory that is in use. */
  readonly directory: () => string | undefined;
  /** Of the plugin host. */
  readonly log: Log;
  /** What is imported of other plugins. */
  readonly others: () => readonly ImportedModule[];
  readonly onEvent: (event: PluginEvent | SatelliteEvent) => void;
  /** Called when `receivers` are others than before. */
  readonly onLines: () => void;
}

type Work = (port: RelayPort, signal: AbortSignal) => Promise<void>;
type Report = (problem: PluginProblem) => void;

export class InlinePlugin implements HostedPlugin {
  readonly #parts: InlinePluginParts;
  readonly #turns: Turns;
  #found: FoundModule;
  /** What was imported last, whether it runs or not. */
  #imported: ImportedModule | undefined;
  /** The inputs of the last attempt to load it. */
  #attempted = '';
  /** Constructed at the host's start, not set up yet. */
  #prepared: Version | undefined;
  /** What runs, or ran last. */
  #version: Version | undefined;
  #isRunning = false;
  /** A look at its inputs waits for its turn. */
  #isLookDue = false;
  #problems: readonly PluginProblem[] = [];
  #port: RelayPort | undefined;
  #state: PluginState = { type: 'stopped' };
  #restarts = 0;
  #lastError: string | undefined;

  constructor(found: FoundModule, parts: InlinePluginParts) {
    this.#found = found;
    this.#parts = parts;
    this.#turns = new Turns(found.module);
  }

  get name(): string {
    return this.#found.module;
  }

  /** What others must know of it: whose class is whose. */
  get imported(): ImportedModule | undefined {
    return this.#imported;
  }

  /** What was left out of what runs, or why nothing does. */
  get problems(): readonly PluginProblem[] {
    return this.#problems;
  }

  get receivers(): readonly Receiver[] {
    return this.#version?.receivers ?? [];
  }

  get methods(): readonly HostedMethod[] {
    return this.#version?.methods ?? [];
  }

  get status(): PluginStatus {
    return {
      ...{ name: this.name, kind: 'inline', state: this.#state, file: this.#found.file },
      version: this.#version?.stated.version,
      ...{ restarts: this.#restarts, lastError: this.#lastError, held: this.#parts.watchdog.of(this.name).held },
      satellites: this.#version?.satellites.map(({ satellite }) => satellite.status) ?? [],
    };
  }

  /** At the host's start: imports it. Never rejects; it is left out if that fails. */
  async import(): Promise<void> {
    this.#attempted = await this.#inputs();
    await this.#import().catch((error: unknown) => {
      const problem = failureOf(error, this.#found);
      this.#leaveOut(problem);
      this.#becomeLeftOut(problem);
    });
  }

  /** At the host's start, when all are imported: constructs it. What fails is left out. */
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

  /** At the host's start, when all are constructed: reads and checks its configuration. Throws a RelayError PLUGIN_REFUSED. */
  async configure(): Promise<void> {
    if (this.#imported) await this.#prepared?.configure(this.#imported);
  }

  start(port: RelayPort): Promise<void> {
    this.#port = port;
    return this.#inTurn(async (_port, signal) => {
      const prepared = this.#prepared;
      this.#prepared = undefined;
      if (prepared) await this.#run(prepared, port, signal);
      else if (!this.#isRunning) await this.#load(port, signal);
    });
  }

  stop(): Promise<void> {
    this.#turns.giveUp();
    return this.#turns.next(async () => {
      this.#setState({ type: 'stopping' });
      await this.#version?.exit();
      this.#port?.expose(this.name, []);
      this.#isRunning = false;
      this.#prepared = undefined;
      this.#setState({ type: 'stopped' });
    });
  }

  /** Ends it for good: its file is gone. */
  async unload(): Promise<void> {
    await this.stop();
    this.#imported = undefined;
  }

  /** Gives up a reload that is under way, so that the version before goes on. */
  async giveUp(): Promise<void> {
    this.#turns.giveUp();
    await this.#turns.idle();
  }

  /** Takes note of how its file was found; true if it is to be loaded anew, which it is not as long as somebody has it stopped. */
  async isOutdated(found: FoundModule): Promise<boolean> {
    this.#found = found;
    return this.#state.type !== 'stopped' && (await this.#inputs()) !== this.#attempted;
  }

  /** Imports its current version, so that others know whose class is whose before any of them is reloaded. Never rejects: the reload does. */
  async preload(): Promise<void> {
    if (this.#found.refused === undefined) await this.#import().catch(() => undefined);
  }

  /** Loads it anew, once for however many asked by then. Never rejects: why it does not run stands in the log and in its status. */
  async update(): Promise<void> {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    await this.#inTurn(async (port, signal) => {
      this.#isLookDue = false;
      if (await this.isOutdated(this.#found)) await this.#renew(port, signal);
    }).catch(() => {
      this.#isLookDue = false;
    });
  }

  /** Loads it and all that it imports anew, changed or not. Rejects with a RelayError PLUGIN_REFUSED; then the version before goes on. */
  reload(): Promise<void> {
    return this.#inTurn(async (port, signal) => {
      if (this.#state.type === 'stopped') throw refusal(this.name, 'it is stopped; start it instead');
      await renewInputs(this.#found, this.#place);
      await this.#renew(port, signal);
    });
  }

  /**
   * Ends what runs and runs the current version, to which nothing is handed over but the messages that wait. Rejects with a RelayError PLUGIN_REFUSED; what
   * ran goes on if nothing can be constructed in its place.
   */
  restart(): Promise<void> {
    return this.#inTurn(async (port, signal) => {
      const old = this.#version;
      if (!this.#isRunning || !old) {
        await this.#load(port, signal);
        return;
      }
      const next = await this.#successor(signal).catch(async (error: unknown) => {
        throw await this.#failed(error, 'not restarted, what runs goes on', signal);
      });
      await unlessAborted(signal, () => old.hold()).catch((error: unknown) => {
        old.resume();
        throw error;
      });
      next.succeed(old);
      this.#take(next);
      port.expose(this.name, []);
      await old.exit();
      this.#isRunning = false;
      await this.#orLeaveOut(signal, () => this.#run(next, port, signal));
    });
  }

  async #renew(port: RelayPort, signal: AbortSignal): Promise<void> {
    await (this.#isRunning && this.#version ? this.#replace(this.#version, port, signal) : this.#load(port, signal));
  }

  /** Loads what does not run. */
  async #load(port: RelayPort, signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    await this.#orLeaveOut(signal, async () => {
      this.#setState({ type: 'starting' });
      if (this.#found.rootName === '') await renewChanged(this.#found.root);
      const imported = await this.#importAnew(signal);
      const version = this.#construct(imported, (problem) => {
        this.#leaveOut(problem);
      });
      const [problem] = this.#problems;
      if (problem && version.satellites.length === 0) throw new PluginFailure(problem);
      await version.configure(imported, signal);
      await this.#run(version, port, signal);
    });
    log.info(`${this.name} loaded (${clean(this.#found.file)})`);
  }

  /** Puts the current version in the place of `old`, which runs, or leaves everything as it is and throws why. */
  async #replace(old: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts;
    const began = clock.now();
    this.#setState({ type: 'reloading' });
    try {
      const next = await this.#successor(signal);
      next.attach(port);
      const take = (): void => {
        next.succeed(old);
        this.#take(next);
      };
      await swap(old, next, { name: this.name, port, signal, take });
    } catch (error) {
      this.#setState({ type: 'ready' });
      throw await this.#failed(error, NOT_RELOADED, signal);
    }
    this.#problems = [];
    this.#setState({ type: 'ready' });
    const { isInUse } = this.#imported?.relayPlugins ?? { isInUse: false };
    if (isInUse) log.warn(`${clean(this.#found.file)}: its relay plugins go on as they were when the relay started; restart the relay`);
    if (!isInUse || this.receivers.length + this.methods.length > 0)
      log.info(`${this.name} reloaded in ${Math.round(clock.now() - began)} ms (${clean(this.#found.file)})`);
    await old.finishCalls();
    await old.exit();
  }

  /** A version that is fit to take the place of one that runs: nothing of it may be left out. */
  async #successor(signal: AbortSignal): Promise<Version> {
    const imported = await this.#importAnew(signal);
    const problems: PluginProblem[] = [];
    const version = this.#construct(imported, (problem) => problems.push(problem));
    if (problems[0]) throw new PluginFailure(problems[0]);
    await version.configure(imported, signal);
    return version;
  }

  async #run(version: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    version.attach(port);
    this.#take(version);
    // Loading it was the beginning of its start.
    if (this.#state.type !== 'starting') this.#setState({ type: 'starting' });
    // At once, so that those after it may call it in their setup.
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
    this.#setState({ type: 'ready' });
  }

  #take(version: Version): void {
    if (this.#version !== version) this.#restarts += Number(this.#isRunning);
    this.#version = version;
    this.#parts.onLines();
  }

  async #importAnew(signal: AbortSignal): Promise<ImportedModule> {
    this.#attempted = await this.#inputs();
    this.#problems = [];
    const { module, file, refused } = this.#found;
    if (refused !== undefined) throw new PluginFailure({ module, file: clean(file), reason: refused });
    return this.#import(signal);
  }

  async #import(signal?: AbortSignal): Promise<ImportedModule> {
    return (this.#imported = await importFound(this.#found, this.#parts, signal));
  }

  #construct(imported: ImportedModule, report: Report): Version {
    const { others, directory } = this.#parts;
    return construct(imported, { ...this.#parts, others: others(), directory: directory(), report });
  }

  get #place(): ConfigPlace {
    return { directory: this.#parts.directory(), plugins: this.#parts.options.plugins };
  }

  #inputs(): Promise<string> {
    return inputsOf(this.#found, this.#place);
  }

  #inTurn(work: Work): Promise<void> {
    return this.#turns.next(async (signal) => {
      if (this.#port) await work(this.#port, signal);
    });
  }

  /** Something of it does not run. */
  #leaveOut(problem: PluginProblem): void {
    this.#problems = [...this.#problems, problem];
    this.#parts.log.error(`${placeOf(problem)}: left out: ${problem.reason}`);
  }

  /** Nothing of it runs. */
  #becomeLeftOut(problem: PluginProblem): void {
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    this.#setState({ type: 'left-out', reason: problem.reason });
  }

  async #orLeaveOut(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const problem = failureOf(error, this.#found);
      this.#problems = [problem];
      this.#becomeLeftOut(problem);
      throw await this.#failed(error, 'left out', signal);
    }
  }

  /** Tells of a failure in the log, and keeps it; what to throw then. */
  async #failed(error: unknown, what: string, signal: AbortSignal): Promise<unknown> {
    // Who stops it need not be told that nothing came of what was under way.
    if (signal.aborted) return error;
    const problem = failureOf(error, this.#found);
    this.#lastError = `${placeOf(problem)}: ${problem.reason}`;
    const rows = await frameRows(problem, this.#found);
    for (const text of [`${placeOf(problem)}: ${what}: ${problem.reason}`, ...rows]) this.#parts.log.error(text);
    return RelayError.is(error) && error.code === 'PLUGIN_REFUSED' ? error : refusal(this.name, this.#lastError, error);
  }

  #setState(state: PluginState): void {
    this.#state = state;
    this.#parts.onEvent({ type: 'plugin-state', plugin: this.name, state });
  }
}
