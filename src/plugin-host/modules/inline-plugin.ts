/** A module of plugins/ that runs in this process: its life, and the versions of it that replace each other. */
import { clean } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { HostedPlugin, PluginEvent, PluginStatus, PluginProblem, RelayPort, SatelliteEvent } from '../hosted/hosted.ts';
import { PluginFailure, failureOf, refusal, unlessAborted, NOT_RELOADED, swap, Turns } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { InlineModule } from './inline-module.ts';
import type { InlineModuleParts } from './inline-module.ts';
import { InlineState } from './inline-state.ts';
import type { ImportedModule } from './load.ts';
import type { Receiver } from './receiver.ts';
import type { Version } from './version.ts';

export interface InlinePluginParts extends Omit<InlineModuleParts, 'onEvent'> {
  /** Of the plugin host. */
  readonly log: Log;
  readonly onEvent: (event: PluginEvent | SatelliteEvent) => void;
  /** Called when `receivers` are others than before. */
  readonly onLines: () => void;
}

type Work = (port: RelayPort, signal: AbortSignal) => Promise<void>;

export class InlinePlugin implements HostedPlugin {
  readonly #parts: InlinePluginParts;
  readonly #turns: Turns;
  readonly #module: InlineModule;
  readonly #state: InlineState;
  /** Constructed at the host's start, not set up yet. */
  #prepared: Version | undefined;
  /** What runs, or ran last. */
  #version: Version | undefined;
  #isRunning = false;
  /** A look at its inputs waits for its turn. */
  #isLookDue = false;
  #port: RelayPort | undefined;
  #restarts = 0;

  constructor(found: FoundModule, parts: InlinePluginParts) {
    this.#parts = parts;
    this.#turns = new Turns(found.module);
    this.#module = new InlineModule(found, parts);
    this.#state = new InlineState({ ...parts, found: () => this.#found });
  }

  get #found(): FoundModule {
    return this.#module.found;
  }

  get name(): string {
    return this.#found.module;
  }

  /** What others must know of it: whose class is whose. */
  get imported(): ImportedModule | undefined {
    return this.#module.imported;
  }

  /** What was left out of what runs, or why nothing does. */
  get problems(): readonly PluginProblem[] {
    return this.#state.problems;
  }

  get receivers(): readonly Receiver[] {
    return this.#version?.receivers ?? [];
  }

  get methods(): readonly HostedMethod[] {
    return this.#version?.methods ?? [];
  }

  get status(): PluginStatus {
    return {
      ...{ name: this.name, kind: 'inline', state: this.#state.current, file: this.#found.file },
      version: this.#version?.stated.version,
      ...{ kept: this.#module.kept, notReloaded: this.#module.stale },
      ...{ restarts: this.#restarts, lastError: this.#state.lastError, held: this.#parts.watchdog.of(this.name).held },
      satellites: this.#version?.satellites.map(({ satellite }) => satellite.status) ?? [],
    };
  }

  /** At the host's start: imports it. Never rejects; it is left out if that fails. */
  async import(): Promise<void> {
    await this.#module.import().catch((error: unknown) => {
      const problem = failureOf(error, this.#found);
      this.#state.leaveOut(problem);
      this.#state.becomeLeftOut(problem);
    });
  }

  /** At the host's start, when all are imported: constructs it. What fails is left out. */
  construct(port: RelayPort): void {
    this.#port = port;
    const { imported } = this;
    if (!imported) return;
    const version = this.#module.construct(imported, (one) => {
      this.#state.leaveOut(one);
    });
    const [problem] = this.problems;
    if (problem && version.satellites.length === 0) this.#state.becomeLeftOut(problem);
    else this.#prepared = this.#version = version;
    version.attach(port);
  }

  /** At the host's start, when all are constructed: reads and checks its configuration. Throws a RelayError PLUGIN_REFUSED. */
  async configure(): Promise<void> {
    if (this.imported) await this.#prepared?.configure(this.imported);
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
      this.#state.set({ type: 'stopping' });
      await this.#version?.exit();
      this.#port?.expose(this.name, []);
      this.#isRunning = false;
      this.#prepared = undefined;
      this.#state.set({ type: 'stopped' });
    });
  }

  /** Ends it for good: its file is gone. */
  async unload(): Promise<void> {
    await this.stop();
    this.#module.forget();
  }

  /** Gives up a reload that is under way, so that the version before goes on. */
  async giveUp(): Promise<void> {
    this.#turns.giveUp();
    await this.#turns.idle();
  }

  /** Takes note of how its file was found; true if it is to be loaded anew, which it is not as long as somebody has it stopped. */
  async isOutdated(found: FoundModule): Promise<boolean> {
    this.#module.found = found;
    return this.#state.current.type !== 'stopped' && (await this.#module.isChanged());
  }

  /**
   * Imports its current version, so that others know whose class is whose before any of them is reloaded. Never rejects: the reload does.
   */
  preload(): Promise<void> {
    return this.#module.preload();
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
      if (this.#state.current.type === 'stopped') throw refusal(this.name, 'it is stopped; start it instead');
      await this.#module.renew();
      await this.#renew(port, signal);
    });
  }

  /**
   * Ends what runs and runs the current version, to which nothing is handed over but the messages that wait. Rejects with a RelayError
   * PLUGIN_REFUSED; what
   * ran goes on if nothing can be constructed in its place.
   */
  restart(): Promise<void> {
    return this.#inTurn(async (port, signal) => {
      const old = this.#version;
      if (!this.#isRunning || !old) {
        await this.#load(port, signal);
        return;
      }
      await this.#module.lookForChanges();
      const next = await this.#module.successor(old, signal).catch(async (error: unknown) => {
        throw await this.#state.failed(error, 'not restarted, what runs goes on', signal);
      });
      await unlessAborted(signal, () => old.hold()).catch((error: unknown) => {
        old.resume();
        throw error;
      });
      next.succeed(old);
      this.#take(next);
      this.#state.forgetProblems();
      port.expose(this.name, []);
      await old.exit();
      this.#isRunning = false;
      await this.#state.orLeaveOut(signal, () => this.#run(next, port, signal));
      if (this.#module.stale.length > 0) this.#parts.log.warn(`${this.name} restarted, ${this.#withOldCode()}`);
    });
  }

  async #renew(port: RelayPort, signal: AbortSignal): Promise<void> {
    await (this.#isRunning && this.#version ? this.#replace(this.#version, port, signal) : this.#load(port, signal));
  }

  /** Loads what does not run. */
  async #load(port: RelayPort, signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    await this.#state.orLeaveOut(signal, async () => {
      this.#state.set({ type: 'starting' });
      await this.#module.lookForChanges();
      this.#state.forgetProblems();
      const imported = await this.#module.import(signal);
      const problems: PluginProblem[] = [];
      const version = this.#module.construct(imported, (problem) => problems.push(problem));
      // Where nothing is left the first one is why, and is told as such.
      const fatal = version.satellites.length === 0 ? problems.shift() : undefined;
      for (const problem of problems) this.#state.leaveOut(problem);
      if (fatal) throw new PluginFailure(fatal);
      await version.configure(imported, signal);
      await this.#run(version, port, signal);
    });
    log.info(`${this.name} loaded (${clean(this.#found.file)})`);
  }

  /** Puts the current version in the place of `old`, which runs, or leaves everything as it is and throws why. */
  async #replace(old: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts;
    const began = clock.now();
    this.#state.set({ type: 'reloading' });
    try {
      const next = await this.#module.successor(old, signal);
      next.attach(port);
      const take = (): void => {
        next.succeed(old);
        this.#take(next);
      };
      await swap(old, next, { name: this.name, port, clock, signal, take });
    } catch (error) {
      this.#state.set({ type: 'ready' });
      throw await this.#state.failed(error, NOT_RELOADED, signal);
    }
    await this.#module.accept();
    this.#state.forgetProblems();
    this.#state.set({ type: 'ready' });
    const { isInUse } = this.imported?.relayPlugins ?? { isInUse: false };
    if (isInUse) log.warn(`${clean(this.#found.file)}: its relay plugins go on as they were when the relay started; restart the relay`);
    if (!isInUse || this.receivers.length + this.methods.length > 0) this.#tellReloaded(Math.round(clock.now() - began));
    await old.finishCalls();
    await old.exit();
  }

  #tellReloaded(ms: number): void {
    const { log } = this.#parts;
    const text = `${this.name} reloaded in ${ms} ms (${clean(this.#found.file)})`;
    if (this.#module.stale.length === 0) log.info(text);
    else log.warn(`${text}, ${this.#withOldCode()}`);
  }

  #withOldCode(): string {
    return `but with the old code of ${this.#module.stale.join(', ')}, which a process imports once: restart the relay, or run the plugin in a child (isolation: 'child')`;
  }

  async #run(version: Version, port: RelayPort, signal: AbortSignal): Promise<void> {
    version.attach(port);
    this.#take(version);
    // Loading it was the beginning of its start.
    if (this.#state.current.type !== 'starting') this.#state.set({ type: 'starting' });
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
    await this.#module.accept();
    this.#state.set({ type: 'ready' });
  }

  #take(version: Version): void {
    if (this.#version !== version) this.#restarts += Number(this.#isRunning);
    this.#version = version;
    this.#parts.onLines();
  }

  #inTurn(work: Work): Promise<void> {
    return this.#turns.next(async (signal) => {
      if (this.#port) await work(this.#port, signal);
    });
  }
}
