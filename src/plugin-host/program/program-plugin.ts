/** A program as a plugin of the host: does what its supervision decides, delivers to it, and lets its methods be called. */
import { RelayError, clean } from '../../message/message.ts';
import type { MaybePromise, Sendable, Value } from '../../message/message.ts';
import type { HostedMethod } from '../exposed.ts';
import type { HostedPlugin, PluginState, PluginStatus } from '../hosted.ts';
import type { RelayPort } from '../satellite.ts';
import type { DescribedMethod } from './description.ts';
import { LineLimit } from './output.ts';
import type { PollTransport } from './poll-transport.ts';
import type { Prepared } from './preparation.ts';
import { ProgramLine } from './program-line.ts';
import type { ProgramParts } from './program-parts.ts';
import { ProgramRun } from './program-run.ts';
import { inWords, pluginState, satelliteState } from './program-state.ts';
import { RUNG_MS } from './supervision.ts';
import type { Supervised, SupervisionEffect } from './supervision.ts';
import { Supervisor } from './supervisor.ts';
import { requestOf } from './transport.ts';

// A stop has three rungs; after the last one nobody is waited for.
const STOP_MS = 3 * RUNG_MS + 1_000;

export class ProgramPlugin implements HostedPlugin {
  readonly #parts: ProgramParts;
  readonly #line: ProgramLine;
  readonly #supervisor: Supervisor;
  readonly receivers: readonly ProgramLine[];
  readonly #limit: LineLimit;
  #run: ProgramRun | undefined;
  #prepared: Prepared | undefined;
  #methods: readonly HostedMethod[] = [];
  #port: RelayPort | undefined;
  /** Under way. */
  #calls = 0;
  #lastSign = 0;
  #restarts = 0;
  #lastError: string | undefined;

  constructor(parts: ProgramParts) {
    this.#parts = parts;
    const { record, inbox, receiveTimeoutMs, clock, random, log, deadLetters } = parts;
    this.#line = new ProgramLine({
      ...{ name: record.name, inbox, timeoutMs: receiveTimeoutMs, clock, log, deadLetters },
      send: (request, timeoutMs) => this.#send((run) => run.send(request, timeoutMs)),
    });
    this.receivers = [this.#line];
    this.#limit = new LineLimit(clock, (line) => {
      log.info(line);
    });
    this.#supervisor = new Supervisor({
      clock,
      rules: () => ({ ...record, now: clock.now(), random, isWorking: this.#calls > 0, lastSign: this.#lastSign }),
      perform: (effect) => {
        this.#perform(effect);
      },
      onChange: (after, before) => {
        this.#changed(after, before);
      },
    });
  }

  get name(): string {
    return this.#parts.record.name;
  }

  get methods(): readonly HostedMethod[] {
    return this.#methods;
  }

  /** Of the token of its process, SHA-256 in hex; undefined if it has none. */
  get tokenHash(): string | undefined {
    return this.#run?.tokenHash;
  }

  /** How a process that fetches its calls gets them; undefined for one that has a server. Throws a RelayError UNAVAILABLE if there is no process. */
  get poll(): PollTransport | undefined {
    if (this.#run) return this.#run.poll;
    throw new RelayError('UNAVAILABLE', `${this.name} ${this.#inWords()}`);
  }

  get status(): PluginStatus {
    const { name } = this;
    const { kind, file } = this.#parts;
    const { state } = this.#supervisor;
    return {
      ...{ name, kind, state: pluginState(state), file, restarts: this.#restarts },
      version: this.#prepared?.version,
      lastError: this.#lastError,
      pid: this.#run?.pid,
      satellites: [{ name, module: name, file, state: satelliteState(state), ...this.#line.counters }],
    };
  }

  /**
   * Starts it. Rejects with a RelayError PLUGIN_REFUSED if the first process does not get ready; unless its state is `failed`, it is started again by itself.
   */
  async start(port: RelayPort): Promise<void> {
    this.#port = port;
    this.#line.await();
    this.#supervisor.on({ type: 'start' });
    for (let { state } = this.#supervisor; state.kind !== 'up'; { state } = this.#supervisor) {
      if (state.kind === 'backoff' || state.kind === 'failed') throw this.#refusal(state.reason);
      if (state.kind === 'stopped') throw this.#refusal('it was stopped while it started');
      await this.#supervisor.change();
    }
  }

  async stop(): Promise<void> {
    this.#line.close();
    this.#supervisor.on({ type: 'stop' });
    await this.#ended();
    this.#methods = [];
    this.#port?.expose(this.name, []);
  }

  /** Writes a line of it to its log, one of some hundred a second. */
  say(level: 'debug' | 'info' | 'warn' | 'error', text: string): void {
    this.#limit.tell(text, (line) => {
      this.#parts.log[level](line);
    });
  }

  /** Stops one that fetches its calls, while the relay lets nobody in any more; one that has a server runs on. */
  async stopAtDoor(): Promise<void> {
    const poll = this.#run?.poll;
    if (!poll) return;
    poll.closeDoor();
    await this.stop();
  }

  async #ended(): Promise<void> {
    const { clock, log } = this.#parts;
    const late = { isDue: false };
    const callOff = clock.after(STOP_MS, () => {
      late.isDue = true;
      this.#supervisor.wake();
    });
    const hasEnded = (): boolean => this.#supervisor.state.kind === 'stopped';
    while (!hasEnded() && !late.isDue) await this.#supervisor.change();
    callOff();
    if (!hasEnded()) log.error(`it did not end; its process ${this.#run?.pid ?? ''} may still be there`);
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
        run?.ping().then(
          () => {
            this.#lastSign = this.#parts.clock.now();
            this.#tell(run, { type: 'answered' });
          },
          () => {
            this.#tell(run, { type: 'missed' });
          },
        );
        break;
      case 'alarm':
        this.#parts.log.error(
          `${this.name} has failed and is not started again by itself: ${clean(effect.reason, 500)}; start it by hand (plugin.start)`,
        );
        break;
    }
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
    } catch (error) {
      this.#supervisor.on({ type: 'unstartable', reason: error instanceof Error ? error.message : 'it cannot be started' });
    }
    this.#parts.onToken();
  }

  /** It has said what it can. */
  #prepare(prepared: Prepared): void {
    this.#prepared = prepared;
    this.#methods = prepared.methods.map((method) => this.#hosted(method));
    try {
      this.#port?.expose(this.name, this.#methods);
    } catch (error) {
      this.#supervisor.on({ type: 'refused', reason: error instanceof Error ? error.message : 'its methods cannot be exposed' });
      return;
    }
    this.#lastSign = this.#parts.clock.now();
    this.#supervisor.on({ type: 'prepared' });
  }

  #exited(reason: string): void {
    const isItsFault = this.#supervisor.state.kind === 'up';
    const isSpared = this.#line.ended(reason, isItsFault);
    this.#run = undefined;
    this.#supervisor.on({ type: 'exited', reason, isSpared });
    this.#parts.onToken();
  }

  #changed(after: Supervised, before: Supervised): void {
    const { log, clock, onEvent } = this.#parts;
    if (after.kind === 'backoff') {
      if (after.history.restarts.length > 0) this.#restarts++;
      log.warn(`${clean(after.reason, 500)}; it is started again in ${Math.round(after.until - clock.now())} ms`);
    }
    if (after.kind === 'backoff' || after.kind === 'failed') this.#lastError = after.reason;
    if (after.kind === 'up' && before.kind !== 'up') {
      log.info(
        `${this.name} is ready (process ${this.#run?.pid ?? ''}${this.#prepared?.version === undefined ? '' : `, version ${this.#prepared.version}`})`,
      );
      this.#line.open(this.#prepared?.capabilities.has('receive') ?? true);
    }
    const state = pluginState(after);
    if (after.kind !== before.kind || !isSame(state, pluginState(before))) onEvent({ type: 'plugin-state', plugin: this.name, state });
  }

  #hosted({ name, help, signature, access }: DescribedMethod): HostedMethod {
    const { callTimeoutMs } = this.#parts.record;
    return { name, help, signature, access, invoke: (params) => this.#invoke(name, params, callTimeoutMs) };
  }

  #invoke(method: string, params: readonly Value[], timeoutMs: number): MaybePromise<Sendable> {
    if (this.#supervisor.state.kind !== 'up') throw new RelayError('UNAVAILABLE', `${method}: ${this.name} ${this.#inWords()}`);
    return this.#send((run) => run.sendExact(requestOf(method, params), timeoutMs));
  }

  /** Its answer is a sign of life; that there was none in time counts as a missed ping. */
  async #send<T>(call: (run: ProgramRun) => Promise<T>): Promise<T> {
    const run = this.#run;
    if (!run) throw new RelayError('UNAVAILABLE', `${this.name} ${this.#inWords()}`);
    this.#calls++;
    try {
      const answer = await call(run);
      this.#calls--;
      this.#sign(run);
      return answer;
    } catch (error) {
      this.#calls--;
      const isLate = RelayError.is(error) && error.code === 'TIMEOUT';
      if (isLate) this.#tell(run, { type: 'missed' });
      else if (!RelayError.is(error) || error.code !== 'TRANSPORT') this.#sign(run);
      throw error;
    }
  }

  #sign(run: ProgramRun): void {
    this.#lastSign = this.#parts.clock.now();
    const { state } = this.#supervisor;
    // Thousands of answers a second change nothing.
    if (state.kind === 'up' && (state.missed > 0 || (state.isBusy && this.#calls === 0))) this.#tell(run, { type: 'answered' });
  }

  #inWords(): string {
    return inWords(this.#supervisor.state, this.#parts.clock.now());
  }

  #refusal(reason: string): RelayError {
    return new RelayError('PLUGIN_REFUSED', `plugin ${this.name}: ${clean(reason, 500)}`);
  }
}

function isSame(one: PluginState, other: PluginState): boolean {
  if (one.type === 'unresponsive' && other.type === 'unresponsive') return one.missed === other.missed;
  return one.type === other.type;
}
