/** Keeps a program running with one session at a time, which it starts, watches, stops and restarts as the state machine decides. */
import { RelayError, abortsWithin, clean, errorFromFault, reasonOf } from '../../core/core.ts';
import type { Log, MaybePromise } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import { NO_OFFERS, PluginEnded } from '../hosted/hosted.ts';
import type { Offers, PluginKind } from '../hosted/hosted.ts';
import type { DescribedMethod } from './description.ts';
import { ItemStreams } from './item-streams.ts';
import type { ItemBatch } from './item-streams.ts';
import { programOffers } from './offers.ts';
import type { OffersPort } from './offers.ts';
import type { PauseWatch } from './pause-watch.ts';
import type { AnswerChild } from './pipe-transport.ts';
import type { PollTransport } from './poll-transport.ts';
import type { PreparationParts, Prepared } from './preparation.ts';
import type { ProcessEnd } from './process.ts';
import { Session } from './session.ts';
import type { SessionOptions } from './session.ts';
import { RUNG_MS, describeState, readinessOf, step } from './supervision.ts';
import type { Supervised, SupervisionEffect, SupervisionEvent } from './supervision.ts';
import { DEATH_MS, requestOf } from './transport.ts';
import type { ProgramRequest } from './transport.ts';

export interface SupervisorParts extends Omit<SessionOptions, 'overrides' | 'http' | 'pipe'> {
  readonly kind: Exclude<PluginKind, 'inline'>;
  /** Timeout for each answer before the program is ready, in ms. */
  readonly setupTimeoutMs: number;
  /** The largest answer, in bytes. */
  readonly maxBodyBytes: number;
  /** As `ProgramSurroundings.answerChild`. */
  readonly answerChild?: ((plugin: string, document: Buffer, gone: AbortSignal) => MaybePromise<Buffer>) | undefined;
  /** Version of the relay. */
  readonly version: string;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** The log of the category `plugin.<name>`. */
  readonly log: Log;
  /** Detects pauses of the relay itself. */
  readonly pauses: PauseWatch;
  /** As {@link PreparationParts.onFirstAnswer}. */
  readonly onFirstAnswer?: PreparationParts['onFirstAnswer'];
  /** Explains why a process ended, given the reason that the system reports. Default: that reason with advice. */
  readonly explainEnd?: ((reason: string) => string) | undefined;
  /** Called when the token of the process has changed. */
  readonly onToken: () => void;
}

/** What a supervisor reports to its program. */
export interface SupervisorEvents {
  /** The program has described itself and is set up. An error thrown here makes its start fail for good. */
  readonly onPrepared: () => void;
  readonly onChange: (after: Supervised, before: Supervised) => void;
  /** The program has failed and is not restarted automatically. */
  readonly onAlarm: (reason: string) => void;
  /** The process has ended. `isItsFault`: it was not stopped on purpose. Returns true if a message caused it. */
  readonly onExit: (reason: string, isItsFault: boolean) => boolean;
  /** For the successor of another process: called before its setup. Resolves to the state to restore; undefined for none. */
  readonly onDescribed?: ((description: Prepared) => Promise<Sendable | undefined>) | undefined;
}

// A stop has three steps; after the last one the supervisor no longer waits.
const STOP_MS = 3 * RUNG_MS + 1_000;
// The advice names the common spellings of such an option.
const FOREGROUND = 'run it in the foreground (many programs have an option for that: --foreground, --no-daemon, -n, -f, "daemon off")';

// A program that is not pinged may hang for ever; a message is not kept for longer than half a minute because of it.
const MAX_LOOKS = 30;

/** A child runs code of the relay, so its faults are converted back into the errors thrown there, which have not been logged yet. */
const childError = (_plugin: string, code: number, text: string): Error => errorFromFault(code, text, false);

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #on: SupervisorEvents;
  #state: Supervised = { kind: 'stopped' };
  readonly #events: SupervisionEvent[] = [];
  #isHandling = false;
  #cancelTimer: (() => void) | undefined;
  #cancelLost: (() => void) | undefined;
  readonly #watchers = new Set<() => void>();
  #session: Session | undefined;
  #prepared: Prepared | undefined;
  /** Number of calls in flight. */
  #calls = 0;
  #onLastCall: (() => void) | undefined;
  #lastSign = 0;
  /** Of its current process. */
  readonly #streams = new ItemStreams();
  /** Aborted when its current process ends. */
  #gone = new AbortController();

  constructor(parts: SupervisorParts, events: SupervisorEvents) {
    this.#parts = parts;
    this.#on = events;
  }

  get state(): Supervised {
    return this.#state;
  }

  /** The description by the current process, or by the last one that gave a description. */
  get prepared(): Prepared | undefined {
    return this.#prepared;
  }

  get pid(): number | undefined {
    return this.#session?.pid;
  }

  /** SHA-256 of the token of its process, in hex; undefined if there is no process. */
  get tokenHash(): string | undefined {
    return this.#session?.tokenHash;
  }

  /** As {@link Session.poll}. Throws a RelayError UNAVAILABLE if there is no process. */
  get poll(): PollTransport | undefined {
    return this.#running().poll;
  }

  /** The methods that the program described. */
  get methods(): readonly HostedMethod[] {
    return this.#prepared?.methods.map((method) => this.#hosted(method)) ?? [];
  }

  /** What the program described besides its methods. */
  get offers(): Offers {
    if (!this.#prepared) return NO_OFFERS;
    return programOffers(this.#prepared, this.#offersPort);
  }

  /** Takes items of a stream of its process; undefined if it has no such stream. As {@link ItemStream.push}. */
  pushItems(stream: string, batch: ItemBatch): Promise<boolean> | undefined {
    this.#lastSign = this.#parts.clock.now();
    return this.#streams.push(stream, batch);
  }

  /**
   * Resolves when the program is ready. Rejects with a RelayError PLUGIN_REFUSED if the first process does not become ready. Unless the
   * state is `failed` then, another process is started.
   */
  async start(): Promise<void> {
    this.#handle({ type: 'start' });
    for (let { state } = this; state.kind !== 'up'; { state } = this) {
      if (state.kind === 'backoff' || state.kind === 'failed') throw this.#refusal(state.reason);
      if (state.kind === 'stopped') throw this.#refusal('it was stopped while it started');
      await this.#change();
    }
  }

  /** Asks the process to end, and kills it if it does not. Never rejects. */
  async stop(): Promise<void> {
    this.#handle({ type: 'stop' });
    const { clock, log } = this.#parts;
    const late = { isDue: false };
    const cancel = clock.after(STOP_MS, () => {
      late.isDue = true;
      this.#wake();
    });
    const hasEnded = (): boolean => this.state.kind === 'stopped';
    while (!hasEnded() && !late.isDue) await this.#change();
    cancel();
    if (!hasEnded()) log.error(`it did not end; its process ${this.pid ?? ''} may still be running`);
  }

  /** Waits for the calls in flight, for at most `timeoutMs`. */
  finishCalls(timeoutMs: number): Promise<void> {
    if (this.#calls === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#parts.clock.after(timeoutMs, resolve);
      this.#onLastCall = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Calls the program. Rejects as `ProgramTransport.send` does, or with a RelayError UNAVAILABLE if it has no process. */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.#call((session) => session.send(request, timeoutMs), timeoutMs);
  }

  /** As {@link send}, for a result that is passed on unchanged. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    return this.#call((session) => session.sendExact(request, timeoutMs), timeoutMs);
  }

  /**
   * Resolves once the process, which has broken a connection, has ended or answers again. Its exit may be reported long after its
   * connections have closed, for a process that takes its time or on a busy machine.
   */
  async hasEndedOrAnswers(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    const { signal } = this.#gone;
    for (let look = 0; look < MAX_LOOKS; look++) {
      if (await abortsWithin(this.#parts.clock, DEATH_MS, signal)) return;
      try {
        await session.ping(this.#parts.record.timeoutMs);
        return;
      } catch {
        // It is about to end, or hangs, for which its supervision ends it.
      }
    }
  }

  get #name(): string {
    return this.#parts.record.name;
  }

  /** Handles one event at a time: an event that an effect emits is handled after all effects of the current one. */
  #handle(event: SupervisionEvent): void {
    this.#events.push(event);
    if (this.#isHandling) return;
    this.#isHandling = true;
    for (let next = this.#events.shift(); next; next = this.#events.shift()) {
      const { record, clock, random } = this.#parts;
      const rules = { ...record, now: clock.now(), random, isWorking: this.#calls > 0, lastSign: this.#lastSign };
      this.#setState(...step(this.#state, next, rules));
    }
    this.#isHandling = false;
  }

  #setState(after: Supervised, effects: readonly SupervisionEffect[]): void {
    const before = this.#state;
    this.#state = after;
    for (const effect of effects) this.#perform(effect);
    if (after === before) return;
    this.#on.onChange(after, before);
    this.#wake();
  }

  #perform(effect: SupervisionEffect): void {
    const session = this.#session;
    switch (effect.type) {
      case 'spawn':
        this.#spawn();
        break;
      case 'ask':
        session?.askToStop().catch(() => {
          this.#report(session, { type: 'deaf' });
        });
        break;
      case 'term':
        session?.signal('SIGTERM');
        break;
      case 'kill':
        session?.signal('SIGKILL');
        break;
      case 'ping':
        if (session) void this.#ping(session);
        break;
      case 'wait':
        this.#wait(effect.ms);
        break;
      case 'alarm':
        this.#on.onAlarm(effect.reason);
        break;
    }
  }

  #wait(ms: number | undefined): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (ms === undefined) return;
    const { clock, pauses } = this.#parts;
    const since = clock.now();
    this.#cancelTimer = clock.after(ms, () => {
      this.#handle({ type: 'due', relayPaused: pauses.wasPausedSince(since) });
    });
  }

  #spawn(): void {
    const { record, kind, maxBodyBytes, log, clock, pauses, explainEnd, onToken, answerChild } = this.#parts;
    const http = { maxBodyBytes, meaning: kind === 'child' ? childError : undefined };
    try {
      const onBroken = (reason: string): void => {
        this.#lost(session, reason);
      };
      const answer: AnswerChild | undefined = answerChild && ((document, gone) => answerChild(record.name, document, gone));
      const pipe = kind === 'child' ? { onBroken, answer } : undefined;
      const session: Session = new Session(
        { ...this.#parts, record, clock, http, pipe },
        {
          onFirstLine: (line) => {
            this.#readHandshake(session, line);
          },
          onUnfinishedFirstLine: (text) => {
            log.warn(`its first line has no line end yet: '${clean(session.withoutSecrets(text))}'`);
          },
          onLine: (line) => {
            log.info(session.withoutToken(line));
          },
          onExit: (reason, end) => {
            session.close();
            this.#exited(explainEnd?.(reason) ?? explainExit(reason, end, session.isConnected));
          },
          onOutputHeld: () => {
            log.warn(
              `a process that it started in a group of its own still holds its output; if that is the program itself, ${FOREGROUND}`,
            );
          },
        },
      );
      this.#session = session;
      pauses.begin();
    } catch (error) {
      this.#handle({ type: 'unstartable', reason: error instanceof Error ? error.message : 'it cannot be started' });
    }
    onToken();
  }

  #readHandshake(session: Session, line: string): void {
    // The exit of a process may be reported before its last output is read.
    if (session !== this.#session) {
      this.#parts.log.info(clean(session.withoutSecrets(line)));
      return;
    }
    try {
      session.accept(line, { allowsPoll: this.#on.onDescribed === undefined });
    } catch (error) {
      this.#handle({ type: 'refused', reason: reasonOf(error) });
      return;
    }
    this.#handle({ type: 'greeted' });
    void this.#prepare(session);
  }

  /** Never rejects. */
  async #prepare(session: Session): Promise<void> {
    const { version: relayVersion, setupTimeoutMs: timeoutMs, onFirstAnswer, clock } = this.#parts;
    try {
      const prepared = await session.prepare({ relayVersion, timeoutMs, onFirstAnswer, inherit: this.#on.onDescribed });
      if (session === this.#session) this.#becomeReady(prepared);
    } catch (error) {
      const isFinal = RelayError.is(error) && error.code === 'PLUGIN_REFUSED';
      // Wait for the exit of the process, which explains more than the end of its connection.
      clock.after(isFinal ? 0 : DEATH_MS, () => {
        this.#report(session, { type: isFinal ? 'refused' : 'broken', reason: reasonOf(error) });
      });
    }
  }

  /** The process cannot be called any more, because its pipe broke. */
  #lost(session: Session, reason: string): void {
    // Wait for the exit of the process, which explains more and is the usual cause.
    this.#cancelLost = this.#parts.clock.after(DEATH_MS, () => {
      this.#report(session, { type: 'broken', reason: `it cannot be called any more: ${reason}` });
    });
  }

  #becomeReady(prepared: Prepared): void {
    this.#prepared = prepared;
    try {
      this.#on.onPrepared();
    } catch (error) {
      this.#handle({ type: 'refused', reason: error instanceof Error ? error.message : 'its methods cannot be exposed' });
      return;
    }
    this.#lastSign = this.#parts.clock.now();
    this.#handle({ type: 'prepared' });
  }

  #exited(reason: string): void {
    const { state } = this;
    this.#cancelLost?.();
    // A message may make a program hang just as it may make it crash, so a program that is killed for hanging counts as well.
    const isItsFault = state.kind === 'up' || (state.kind === 'stopping' && state.goal.to === 'backoff');
    const isSpared = this.#on.onExit(reason, isItsFault);
    this.#session = undefined;
    const ended = new PluginEnded(`${this.#name} ended: ${clean(reason, 500)}`);
    this.#streams.fail(ended);
    this.#gone.abort(ended);
    this.#gone = new AbortController();
    this.#parts.pauses.end();
    this.#handle({ type: 'exited', reason, isSpared });
    this.#parts.onToken();
  }

  async #ping(session: Session): Promise<void> {
    const { timeoutMs } = this.#parts.record;
    try {
      await session.ping(timeoutMs);
    } catch {
      this.#missed(session, timeoutMs);
      return;
    }
    this.#lastSign = this.#parts.clock.now();
    this.#report(session, { type: 'answered' });
  }

  /** The program has not answered within the last `timeoutMs`. */
  #missed(session: Session, timeoutMs: number): void {
    const { clock, pauses } = this.#parts;
    this.#report(session, { type: 'missed', relayPaused: pauses.wasPausedSince(clock.now() - timeoutMs) });
  }

  /** Ignores events of an earlier session. */
  #report(session: Session, event: SupervisionEvent): void {
    if (session === this.#session) this.#handle(event);
  }

  #hosted({ name, help, signature, paramNames, access }: DescribedMethod): HostedMethod {
    const { callTimeoutMs } = this.#parts.record;
    const invoke: HostedMethod['invoke'] = (params, exactOf) => {
      const exact = (exactOf(params) as readonly Sendable[] | undefined) ?? params;
      return this.#invoke(requestOf(name, exact), callTimeoutMs);
    };
    return { name, help, signature, paramNames, access, invoke };
  }

  readonly #offersPort: OffersPort = {
    isUp: () => this.state.kind === 'up',
    readiness: () => readinessOf(this.state),
    gone: () => this.#gone.signal,
    call: (method, params) => this.#invoke(requestOf(method, params), this.#parts.record.callTimeoutMs),
    tell: (method, params) => {
      if (this.state.kind === 'up') void this.send(requestOf(method, params), this.#parts.record.callTimeoutMs).catch(() => undefined);
    },
    count: () => {
      this.#calls++;
      return () => {
        this.#callEnded();
      };
    },
    streams: this.#streams,
  };

  #invoke(request: ProgramRequest, timeoutMs: number): MaybePromise<Sendable> {
    if (this.state.kind !== 'up') throw this.#unavailable(`${request.method}: `);
    return this.sendExact(request, timeoutMs);
  }

  /** An answer is a sign of life; a missing one counts as a missed ping. */
  async #call<T>(call: (session: Session) => Promise<T>, timeoutMs: number): Promise<T> {
    const session = this.#running();
    this.#calls++;
    try {
      const answer = await call(session);
      this.#callEnded();
      this.#sawSign(session);
      return answer;
    } catch (error) {
      this.#callEnded();
      const isLate = RelayError.is(error) && error.code === 'TIMEOUT';
      if (isLate) this.#missed(session, timeoutMs);
      else if (!RelayError.is(error) || error.code !== 'TRANSPORT') this.#sawSign(session);
      throw error;
    }
  }

  #callEnded(): void {
    if (--this.#calls === 0) this.#onLastCall?.();
  }

  #sawSign(session: Session): void {
    this.#lastSign = this.#parts.clock.now();
    const { state } = this;
    // Avoid an event per answer: there are thousands a second, and usually nothing changes.
    if (state.kind === 'up' && (state.missed > 0 || (state.isBusy && this.#calls === 0))) this.#report(session, { type: 'answered' });
  }

  #running(): Session {
    if (this.#session) return this.#session;
    throw this.#unavailable();
  }

  #unavailable(prefix = ''): RelayError {
    return new RelayError('UNAVAILABLE', `${prefix}${this.#name} ${describeState(this.state, this.#parts.clock.now())}`);
  }

  #refusal(reason: string): RelayError {
    return new RelayError('PLUGIN_REFUSED', `plugin ${this.#name}: ${clean(reason, 500)}`);
  }

  /** Resolves when the state has changed; by then it may have changed again. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#watchers.add(resolve));
  }

  #wake(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }
}

/** Adds advice if the program seems to have moved itself to the background, where it cannot be supervised. */
function explainExit(reason: string, { code, leftBehind }: ProcessEnd, isConnected: boolean): string {
  if (code !== 0) return reason;
  if (leftBehind) return `${reason} and left processes behind, which were ended; ${FOREGROUND}`;
  return `${reason} ${isConnected ? 'by itself' : 'before its first line'}; if it puts itself into the background, ${FOREGROUND}`;
}
