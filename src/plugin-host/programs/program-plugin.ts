/** A program as a plugin of the host: delivers to the process that runs, lets its methods be called, and puts another one in its place. */
import { clean, reasonOf } from '../../core/core.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { HostedPlugin, PluginState, PluginStatus, RelayPort, SatelliteStatus } from '../hosted/hosted.ts';
import { refusal, NO_LINE, unlessAborted, NOT_RELOADED, swap, Turns } from '../hosted/hosted.ts';
import { handOver, Successor } from './successor.ts';
import { completeRecord } from './options.ts';
import type { ProgramOptions } from './options.ts';
import { LineLimit } from './output.ts';
import type { PollTransport } from './poll-transport.ts';
import { ProgramLife } from './program-life.ts';
import type { LifeEvents } from './program-life.ts';
import { ProgramLine } from './program-line.ts';
import type { ProgramParts } from './program-parts.ts';
import { pluginState, satelliteState } from './program-state.ts';
import type { Supervised } from './supervision.ts';

export class ProgramPlugin implements HostedPlugin {
  readonly #parts: ProgramParts;
  readonly #line: ProgramLine;
  readonly #turns: Turns;
  readonly receivers: readonly ProgramLine[];
  readonly #limit: LineLimit;
  /** The one that answers. */
  #life: ProgramLife;
  /** All that may have a process: also one that is to take its place, or whose place it took. */
  readonly #lives = new Set<ProgramLife>();
  #methods: readonly HostedMethod[] = [];
  #port: RelayPort | undefined;
  #isReloading = false;
  /** False once somebody stopped it. */
  #isWanted = false;
  #restarts = 0;
  #lastError: string | undefined;

  constructor(parts: ProgramParts) {
    this.#parts = parts;
    const { record, inbox, receiveTimeoutMs, clock, log, deadLetters } = parts;
    this.#turns = new Turns(record.name);
    this.#line = new ProgramLine({
      ...{ name: record.name, inbox, timeoutMs: receiveTimeoutMs, clock, log, deadLetters },
      send: (request, timeoutMs) => this.#life.send(request, timeoutMs),
    });
    this.receivers = [this.#line];
    this.#limit = new LineLimit(clock, (line) => {
      log.info(line);
    });
    this.#life = this.#makeLife(record);
  }

  get name(): string {
    return this.#parts.record.name;
  }

  get methods(): readonly HostedMethod[] {
    return this.#methods;
  }

  /** Of the tokens of its processes, SHA-256 in hex. */
  get tokenHashes(): readonly string[] {
    return [...this.#lives].flatMap(({ tokenHash }) => tokenHash ?? []);
  }

  /** As {@link ProgramLife.poll}. */
  get poll(): PollTransport | undefined {
    return this.#life.poll;
  }

  get status(): PluginStatus {
    const { name } = this;
    const { kind, file } = this.#parts;
    const { state, pid, prepared } = this.#life;
    return {
      ...{ name, kind, state: this.#stateOf(state), file, restarts: this.#restarts },
      version: prepared?.version,
      lastError: this.#lastError,
      pid,
      satellites: this.#satellites(),
    };
  }

  /** They share one line: what waits there waits for each of them that takes messages. */
  #satellites(): readonly SatelliteStatus[] {
    const { name } = this;
    const { state, prepared } = this.#life;
    const common = { module: name, file: this.#parts.file, state: satelliteState(state) };
    const { counters } = this.#line;
    const described = prepared?.satellites ?? [];
    if (described.length === 0) return [{ name, ...common, ...counters }];
    return described.map((one) => ({ name: one.name, ...common, ...(one.receives ? counters : NO_LINE) }));
  }

  /**
   * Starts it. Rejects with a RelayError PLUGIN_REFUSED if the first process does not get ready; unless its state is `failed`, it is started again by itself.
   */
  async start(port: RelayPort): Promise<void> {
    this.#port = port;
    this.#isWanted = true;
    this.#line.await();
    const { kind } = this.#life.state;
    if (this.#parts.renew && (kind === 'stopped' || kind === 'failed')) await this.#turns.next((signal) => this.#renew(signal));
    await this.#life.start();
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    this.#turns.giveUp();
    this.#line.close();
    await Promise.all([...this.#lives].map((life) => life.stop()));
    await this.#turns.idle();
    this.#methods = [];
    this.#port?.expose(this.name, []);
  }

  /**
   * Starts a new process beside the one that runs, and puts it in its place once it is set up; what comes meanwhile waits. Rejects with a RelayError PLUGIN_REFUSED if that cannot be; then the old
   * one goes on. One that has none that runs, or that fetches its calls, is ended first.
   */
  reload(): Promise<void> {
    return this.#turns.next(async (signal) => {
      if (!this.#isWanted || !this.#port) throw refusal(this.name, 'it is stopped; start it instead');
      // How its start ends decides how it is reloaded.
      if (this.#life.state.kind === 'starting') await unlessAborted(signal, () => this.#life.start().catch(() => undefined));
      const isBeside = this.#life.state.kind === 'up' && this.#life.poll === undefined;
      await (isBeside ? this.#replace(this.#life, this.#port, signal) : this.#startAnew(signal));
    });
  }

  /** Writes a line of it to its log, one of some hundred a second. */
  say(level: 'debug' | 'info' | 'warn' | 'error', text: string): void {
    this.#limit.tell(text, (line) => {
      this.#parts.log[level](line);
    });
  }

  async #replace(old: ProgramLife, port: RelayPort, signal: AbortSignal): Promise<void> {
    const { log, clock, exitTimeoutMs, file } = this.#parts;
    const { name } = this;
    const began = clock.now();
    this.#setReloading(true);
    let next: Successor | undefined;
    try {
      const record = await unlessAborted(signal, () => this.#currentRecord());
      const successor = new Successor((onDescribed) => this.#makeLife(record, onDescribed));
      next = successor;
      await successor.introduce(signal);
      const methodsOf = (): readonly HostedMethod[] => this.#methods;
      const outgoing = {
        handsOver: old.prepared?.capabilities.has('handover') === true,
        // A process that ends and comes back meanwhile may have others.
        get methods() {
          return methodsOf();
        },
        finishCalls: (timeoutMs: number) => old.finishCalls(timeoutMs),
        hold: () => this.#line.hold(),
        resume: () => {
          this.#line.release();
        },
        handOver: () => handOver(name, old, exitTimeoutMs, signal),
      };
      const take = (): void => {
        this.#take(successor);
      };
      await swap(outgoing, successor, { name, port, clock, signal, take });
    } catch (error) {
      if (next) await this.#end(next.life);
      this.#setReloading(false);
      throw await this.#notReloaded(error, signal);
    }
    this.#setReloading(false);
    log.info(`${name} reloaded in ${Math.round(clock.now() - began)} ms (${clean(file)})`);
    await old.finishCalls(exitTimeoutMs);
    await this.#end(old);
  }

  #take({ life, methods }: Successor): void {
    this.#life = life;
    this.#methods = methods;
    this.#restarts++;
    this.#open();
    this.#line.release();
  }

  /** What comes while it is down waits. */
  async #startAnew(signal: AbortSignal): Promise<void> {
    await unlessAborted(signal, () => this.#line.hold()).finally(() => {
      this.#line.release();
    });
    await this.#life.stop();
    signal.throwIfAborted();
    await this.#renew(signal);
    this.#line.await();
    await this.#life.start();
  }

  /** Of one that has no process: what is started next is what it is by now. */
  async #renew(signal: AbortSignal): Promise<void> {
    const record = await unlessAborted(signal, () => this.#currentRecord());
    this.#lives.delete(this.#life);
    this.#life = this.#makeLife(record);
  }

  async #currentRecord(): Promise<ProgramOptions> {
    const { renew, record } = this.#parts;
    return renew ? completeRecord(await renew()) : record;
  }

  async #end(life: ProgramLife): Promise<void> {
    await life.stop();
    this.#lives.delete(life);
  }

  #makeLife(record: ProgramOptions, onDescribed?: LifeEvents['onDescribed']): ProgramLife {
    const isCurrent = (): boolean => life === this.#life;
    const life: ProgramLife = new ProgramLife(
      { ...this.#parts, record },
      {
        onDescribed,
        onPrepared: () => {
          if (isCurrent()) this.#expose(life.methods);
        },
        onChange: (after, before) => {
          if (isCurrent()) this.#changed(after, before);
        },
        onAlarm: (reason) => {
          if (isCurrent()) this.#alarm(reason);
        },
        onExit: (reason, isItsFault) => isCurrent() && this.#line.ended(reason, isItsFault),
      },
    );
    this.#lives.add(life);
    return life;
  }

  #expose(methods: readonly HostedMethod[]): void {
    this.#methods = methods;
    this.#port?.expose(this.name, methods);
  }

  #open(): void {
    this.#line.open(this.#life.prepared?.capabilities.has('receive') ?? true);
  }

  #alarm(reason: string): void {
    const meaning = this.#parts.isVital?.()
      ? 'the relay does not start with it'
      : 'it is not started again by itself; start it by hand (plugin.start)';
    this.#parts.log.error(`${this.name} has failed: ${clean(reason, 500)}; ${meaning}`);
  }

  #changed(after: Supervised, before: Supervised): void {
    const { log, clock } = this.#parts;
    const { pid, prepared } = this.#life;
    if (after.kind === 'backoff') {
      if (after.history.restarts.length > 0) this.#restarts++;
      log.warn(`${clean(after.reason, 500)}; it is started again in ${Math.round(after.until - clock.now())} ms`);
    }
    if (after.kind === 'backoff' || after.kind === 'failed') this.#lastError = after.reason;
    if (after.kind === 'up' && before.kind !== 'up') {
      log.info(`${this.name} is ready (process ${pid ?? ''}${prepared?.version === undefined ? '' : `, version ${prepared.version}`})`);
      this.#open();
    }
    const state = this.#stateOf(after);
    if (after.kind !== before.kind || !isSame(state, this.#stateOf(before))) this.#tell(state);
  }

  /** Tells of a failure in the log, and keeps it; what to throw then. */
  async #notReloaded(error: unknown, signal: AbortSignal): Promise<unknown> {
    // Who stops it need not be told that nothing came of what was under way.
    if (signal.aborted) return error;
    const told = clean(reasonOf(error).replace(`plugin ${this.name}: `, ''), 500);
    const { place, reason, rows } = (await this.#parts.explain?.(told)) ?? { place: this.name, reason: told, rows: [] };
    this.#lastError = place === this.name ? reason : `${place}: ${reason}`;
    for (const text of [`${place}: ${NOT_RELOADED}: ${reason}`, ...rows]) this.#parts.log.error(text);
    return refusal(this.name, this.#lastError, error);
  }

  /** As others see it: that another version is under way is told only while this one is well. */
  #stateOf(state: Supervised): PluginState {
    const own = pluginState(state);
    return this.#isReloading && (own.type === 'ready' || own.type === 'busy') ? { type: 'reloading' } : own;
  }

  #setReloading(isReloading: boolean): void {
    this.#isReloading = isReloading;
    this.#tell(this.#stateOf(this.#life.state));
  }

  #tell(state: PluginState): void {
    this.#parts.onEvent({ type: 'plugin.state', plugin: this.name, state });
  }
}

function isSame(one: PluginState, other: PluginState): boolean {
  if (one.type === 'unresponsive' && other.type === 'unresponsive') return one.missed === other.missed;
  return one.type === other.type;
}
