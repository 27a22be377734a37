/** A program as one record says it: its process, or the one that follows when that ends, does what the supervision decides, and can be called. */
import { RelayError, clean } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { DescribedMethod } from './description.ts';
import type { PollTransport } from './poll-transport.ts';
import type { Prepared } from './preparation.ts';
import type { ProgramParts } from './program-parts.ts';
import { ProgramRun } from './program-run.ts';
import { inWords } from './program-state.ts';
import { RUNG_MS } from './supervision.ts';
import type { Supervised, SupervisionEffect } from './supervision.ts';
import { Supervisor } from './supervisor.ts';
import { requestOf } from './transport.ts';
import type { ProgramRequest } from './transport.ts';

// A stop has three rungs; after the last one nobody is waited for.
const STOP_MS = 3 * RUNG_MS + 1_000;

/** What is told of a life to whom it belongs. */
export interface LifeEvents {
  /** It has said what it can, and is set up: what this throws refuses it. */
  readonly onPrepared: () => void;
  readonly onChange: (after: Supervised, before: Supervised) => void;
  /** It is not started again by itself. */
  readonly onAlarm: (reason: string) => void;
  /** Its process has ended; `isItsFault`: nobody made it end. True if a message is to blame. */
  readonly onExit: (reason: string, isItsFault: boolean) => boolean;
  /** For one that takes the place of another: called before its `setup`; resolves to the state that it is to restore, undefined for none. */
  readonly onDescribed?: ((description: Prepared) => Promise<Sendable | undefined>) | undefined;
}

export class ProgramLife {
  readonly #parts: ProgramParts;
  readonly #events: LifeEvents;
  readonly #supervisor: Supervisor;
  #run: ProgramRun | undefined;
  #prepared: Prepared | undefined;
  /** Under way. */
  #calls = 0;
  #onLastCall: (() => void) | undefined;
  #lastSign = 0;

  constructor(parts: ProgramParts, events: LifeEvents) {
    this.#parts = parts;
    this.#events = events;
    const { record, clock, random, pauses } = parts;
    this.#supervisor = new Supervisor({
      ...{ clock, pauses },
      rules: () => ({ ...record, now: clock.now(), random, isWorking: this.#calls > 0, lastSign: this.#lastSign }),
      perform: (effect) => {
        this.#perform(effect);
      },
      onChange: events.onChange,
    });
  }

  get state(): Supervised {
    return this.#supervisor.state;
  }

  /** What its process said of itself, or the last one that did. */
  get prepared(): Prepared | undefined {
    return this.#prepared;
  }

  get pid(): number | undefined {
    return this.#run?.pid;
  }

  /** Of the token of its process, SHA-256 in hex; undefined if it has none. */
  get tokenHash(): string | undefined {
    return this.#run?.tokenHash;
  }

  /** How a process that fetches its calls gets them; undefined for one that has a server. Throws a RelayError UNAVAILABLE if there is no process. */
  get poll(): PollTransport | undefined {
    if (this.#run) return this.#run.poll;
    throw new RelayError('UNAVAILABLE', `${this.#name} ${this.#inWords()}`);
  }

  /** What it described. */
  get methods(): readonly HostedMethod[] {
    return this.#prepared?.methods.map((method) => this.#hosted(method)) ?? [];
  }

  /** Resolves when it is ready. Rejects with a RelayError PLUGIN_REFUSED if the first process does not get so; unless its state is `failed`, another one is started. */
  async start(): Promise<void> {
    this.#supervisor.on({ type: 'start' });
    for (let { state } = this; state.kind !== 'up'; { state } = this) {
      if (state.kind === 'backoff' || state.kind === 'failed') throw this.#refusal(state.reason);
      if (state.kind === 'stopped') throw this.#refusal('it was stopped while it started');
      await this.#supervisor.change();
    }
  }

  /** Asks its process to end, and sees to it that it does. Never rejects. */
  async stop(): Promise<void> {
    this.#supervisor.on({ type: 'stop' });
    const { clock, log } = this.#parts;
    const late = { isDue: false };
    const callOff = clock.after(STOP_MS, () => {
      late.isDue = true;
      this.#supervisor.wake();
    });
    const hasEnded = (): boolean => this.state.kind === 'stopped';
    while (!hasEnded() && !late.isDue) await this.#supervisor.change();
    callOff();
    if (!hasEnded()) log.error(`it did not end; its process ${this.pid ?? ''} may still be there`);
  }

  /** Waits for the calls that are under way, but not longer than `timeoutMs`. */
  finishCalls(timeoutMs: number): Promise<void> {
    if (this.#calls === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const callOff = this.#parts.clock.after(timeoutMs, resolve);
      this.#onLastCall = () => {
        callOff();
        resolve();
      };
    });
  }

  /** Calls it. Rejects as {@link Transport.send} does, or with a RelayError UNAVAILABLE if it has no process. */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.#send((run) => run.send(request, timeoutMs), timeoutMs);
  }

  /** The same, with a result that is handed on as it is. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    return this.#send((run) => run.sendExact(request, timeoutMs), timeoutMs);
  }

  get #name(): string {
    return this.#parts.record.name;
  }

  #perform(effect: Exclude<SupervisionEffect, { readonly type: 'wait' }>): void {
    const run = this.#run;
    switch (effect.type) {
      case 'spawn':
        this.#spawn();
        break;
      case 'ask':
        run?.ask().catch(() => {
          this.#tell(run, { type: 'deaf' });
        });
        break;
      case 'term':
        run?.signal('SIGTERM');
        break;
      case 'kill':
        run?.signal('SIGKILL');
        break;
      case 'ping':
        if (run) void this.#ping(run);
        break;
      case 'alarm':
        this.#events.onAlarm(effect.reason);
        break;
    }
  }

  async #ping(run: ProgramRun): Promise<void> {
    try {
      await run.ping();
    } catch {
      this.#missed(run, this.#parts.record.timeoutMs);
      return;
    }
    this.#lastSign = this.#parts.clock.now();
    this.#tell(run, { type: 'answered' });
  }

  /** It did not answer within `timeoutMs`, which are over now. */
  #missed(run: ProgramRun, timeoutMs: number): void {
    const { clock, pauses } = this.#parts;
    this.#tell(run, { type: 'missed', relayPaused: pauses.wasPausedSince(clock.now() - timeoutMs) });
  }

  /** What an earlier process did or did not do says nothing of this one. */
  #tell(run: ProgramRun, event: Parameters<Supervisor['on']>[0]): void {
    if (run === this.#run) this.#supervisor.on(event);
  }

  #spawn(): void {
    try {
      this.#run = new ProgramRun(this.#parts, {
        onGreeted: () => {
          this.#supervisor.on({ type: 'greeted' });
        },
        onDescribed: this.#events.onDescribed,
        onPrepared: (prepared) => {
          this.#prepare(prepared);
        },
        onProblem: (reason, isFinal) => {
          this.#supervisor.on({ type: isFinal ? 'refused' : 'broken', reason });
        },
        onExit: (reason) => {
          this.#exited(reason);
        },
      });
      this.#parts.pauses.begin();
    } catch (error) {
      this.#supervisor.on({ type: 'unstartable', reason: error instanceof Error ? error.message : 'it cannot be started' });
    }
    this.#parts.onToken();
  }

  #prepare(prepared: Prepared): void {
    this.#prepared = prepared;
    try {
      this.#events.onPrepared();
    } catch (error) {
      this.#supervisor.on({ type: 'refused', reason: error instanceof Error ? error.message : 'its methods cannot be exposed' });
      return;
    }
    this.#lastSign = this.#parts.clock.now();
    this.#supervisor.on({ type: 'prepared' });
  }

  #exited(reason: string): void {
    const { state } = this;
    // One that is ended because it hangs may hang at the message that it has, as another crashes at it.
    const isItsFault = state.kind === 'up' || (state.kind === 'stopping' && state.goal.to === 'backoff');
    const isSpared = this.#events.onExit(reason, isItsFault);
    this.#run = undefined;
    this.#parts.pauses.end();
    this.#supervisor.on({ type: 'exited', reason, isSpared });
    this.#parts.onToken();
  }

  #hosted({ name, help, signature, access }: DescribedMethod): HostedMethod {
    const { callTimeoutMs } = this.#parts.record;
    return { name, help, signature, access, invoke: (params, usesI8) => this.#invoke(requestOf(name, params, usesI8), callTimeoutMs) };
  }

  #invoke(request: ProgramRequest, timeoutMs: number): MaybePromise<Sendable> {
    if (this.state.kind !== 'up') throw new RelayError('UNAVAILABLE', `${request.method}: ${this.#name} ${this.#inWords()}`);
    return this.sendExact(request, timeoutMs);
  }

  /** Its answer is a sign of life; that there was none in time counts as a missed ping. */
  async #send<T>(call: (run: ProgramRun) => Promise<T>, timeoutMs: number): Promise<T> {
    const run = this.#run;
    if (!run) throw new RelayError('UNAVAILABLE', `${this.#name} ${this.#inWords()}`);
    this.#calls++;
    try {
      const answer = await call(run);
      this.#callEnded();
      this.#sign(run);
      return answer;
    } catch (error) {
      this.#callEnded();
      const isLate = RelayError.is(error) && error.code === 'TIMEOUT';
      if (isLate) this.#missed(run, timeoutMs);
      else if (!RelayError.is(error) || error.code !== 'TRANSPORT') this.#sign(run);
      throw error;
    }
  }

  #callEnded(): void {
    if (--this.#calls === 0) this.#onLastCall?.();
  }

  #sign(run: ProgramRun): void {
    this.#lastSign = this.#parts.clock.now();
    const { state } = this;
    // Thousands of answers a second change nothing.
    if (state.kind === 'up' && (state.missed > 0 || (state.isBusy && this.#calls === 0))) this.#tell(run, { type: 'answered' });
  }

  #inWords(): string {
    return inWords(this.state, this.#parts.clock.now());
  }

  #refusal(reason: string): RelayError {
    return new RelayError('PLUGIN_REFUSED', `plugin ${this.#name}: ${clean(reason, 500)}`);
  }
}
