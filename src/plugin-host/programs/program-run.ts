/** One process of a program, from its start to its end: its first line, what is said before its work, and the way to call it. */
import { RelayError, clean, reasonOf } from '../../core/core.ts';
import type { Fault } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { errorOf } from './error-of.ts';
import { readHandshake, withoutKnown, withoutSecrets } from './handshake.ts';
import { HttpTransport } from './http-transport.ts';
import type { ProgramParts } from './program-parts.ts';
import { PollTransport } from './poll-transport.ts';
import { prepare } from './preparation.ts';
import type { Prepared } from './preparation.ts';
import { ProgramProcess } from './process.ts';
import type { ProcessEnd } from './process.ts';
import { identityOf, requireUsable } from './run-as.ts';
import { RUNG_MS } from './supervision.ts';
import { environmentOf, findExecutable, makeToken, prepareDirectory } from './surroundings.ts';
import { DEATH_MS, requestOf } from './transport.ts';
import type { ProgramRequest, Transport } from './transport.ts';

// What those options are called by the programs that have them.
const FOREGROUND = 'run it in the foreground (many programs have an option for that: --foreground, --no-daemon, -n, -f, "daemon off")';

/** What a run tells. Nothing is told of it after its end. */
export interface RunEvents {
  readonly onGreeted: () => void;
  /** For one beside another process of the program, whose place it takes: as {@link PreparationParts.inherit}. */
  readonly onDescribed?: ((description: Prepared) => Promise<Sendable | undefined>) | undefined;
  readonly onPrepared: (prepared: Prepared) => void;
  /** `isFinal`: a new start would end the same way. */
  readonly onProblem: (reason: string, isFinal: boolean) => void;
  readonly onExit: (reason: string) => void;
}

const STOP: ProgramRequest = requestOf('plugin.stop', []);

/** It is our own code on both sides: its faults are what was thrown there. */
const childError = (_plugin: string, code: number, text: string): Fault | RelayError => errorOf(code, text);

export class ProgramRun {
  readonly #parts: ProgramParts;
  readonly #events: RunEvents;
  readonly #process: ProgramProcess;
  /** There before its first line was read, since the program may be faster than we read. */
  readonly #poll: PollTransport;
  #transport: Transport | undefined;
  readonly #token: string;
  #hasEnded = false;
  /** Of the token of this process, hex. */
  readonly tokenHash: string;

  /** Starts the process. Throws an Error if there is nothing that can be started. */
  constructor(parts: ProgramParts, events: RunEvents) {
    this.#parts = parts;
    this.#events = events;
    const { record, clock, log, orphans, relayUrl, stateDir, env } = parts;
    const { token, sha256 } = makeToken();
    this.#token = token;
    this.tokenHash = sha256;
    this.#poll = new PollTransport(record.name, clock);
    const identity = identityOf(record);
    const exec = findExecutable(record.exec, env.PATH, record.env.PATH);
    const cwd = prepareDirectory(record, stateDir, identity);
    if (identity) requireUsable({ exec, cwd }, identity);
    this.#process = new ProgramProcess({
      exec,
      args: record.args,
      cwd,
      env: environmentOf(record, token, relayUrl(), identity ? { ...env, HOME: identity.home } : env),
      identity,
      clock,
      orphans,
      onFirstLine: (line) => {
        this.#greet(line);
      },
      onUnfinishedFirstLine: (text) => {
        log.warn(`its first line has no line end yet: '${clean(withoutSecrets(text, [token]))}'`);
      },
      onLine: (line) => {
        log.info(withoutKnown(line, [token]));
      },
      onExit: (reason, end) => {
        this.#end(parts.endInWords?.(reason) ?? this.#inTheBackground(reason, end));
      },
      onOutputHeld: () => {
        log.warn(`a process that it started in a group of its own still holds its output; if that is the program itself, ${FOREGROUND}`);
      },
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** The way of one that fetches its calls, or may yet; undefined for one that has a server. */
  get poll(): PollTransport | undefined {
    return this.#transport === undefined || this.#transport === this.#poll ? this.#poll : undefined;
  }

  /** Calls it. Rejects as {@link Transport.send} does. */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.#ready().send(request, timeoutMs);
  }

  /** Calls one of its methods, whose result is to be handed on. Rejects as {@link Transport.send} does. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    return this.#ready().sendExact(request, timeoutMs);
  }

  /** Rejects if there is no sign of life in time. */
  async ping(): Promise<void> {
    await this.#ready().ping(this.#parts.record.timeoutMs);
  }

  /** Asks it to end; rejects if it cannot be asked. */
  async ask(): Promise<void> {
    try {
      await this.send(STOP, RUNG_MS);
    } catch (error) {
      // Who ends at once may not get round to an answer.
      if (!(RelayError.is(error) && (error.code === 'TRANSPORT' || error.code === 'TIMEOUT'))) throw error;
    }
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#process.signal(signal);
  }

  #ready(): Transport {
    if (this.#transport) return this.#transport;
    throw new RelayError('UNAVAILABLE', `${this.#parts.record.name} has not said yet how it is called`);
  }

  /** Says more of an end that looks as if the program had gone to the background, where it cannot be supervised. */
  #inTheBackground(reason: string, { code, leftBehind }: ProcessEnd): string {
    if (code !== 0) return reason;
    if (leftBehind) return `${reason} and left processes behind, which were ended; ${FOREGROUND}`;
    return `${reason} ${this.#transport ? 'by itself' : 'before its first line'}; if it puts itself into the background, ${FOREGROUND}`;
  }

  #greet(line: string): void {
    const { record, clock, kind, maxBodyBytes, log } = this.#parts;
    if (this.#hasEnded) {
      // Its end was seen before its last words were read.
      log.info(clean(withoutSecrets(line, [this.#token])));
      return;
    }
    try {
      const handshake = readHandshake(line, [this.#token]);
      if (handshake.form === 'poll' && this.#events.onDescribed)
        throw new Error('it fetches its calls now, and two that do cannot be told apart; restart it instead');
      this.#transport =
        handshake.form === 'poll'
          ? this.#poll
          : new HttpTransport(record.name, handshake, { clock, maxBodyBytes, meaning: kind === 'child' ? childError : undefined });
    } catch (error) {
      this.#events.onProblem(reasonOf(error), true);
      return;
    }
    this.#events.onGreeted();
    void this.#prepare(this.#transport);
  }

  async #prepare(transport: Transport): Promise<void> {
    const { record, version: relayVersion, setupTimeoutMs: timeoutMs, onFirstAnswer } = this.#parts;
    try {
      const { name: plugin, config } = record;
      const inherit = this.#events.onDescribed;
      const prepared = await prepare({ plugin, config, transport, relayVersion, timeoutMs, onFirstAnswer, inherit });
      if (!this.#hasEnded) this.#events.onPrepared(prepared);
    } catch (error) {
      const isFinal = RelayError.is(error) && error.code === 'PLUGIN_REFUSED';
      // That it ended says more than that its connection did.
      this.#parts.clock.after(isFinal ? 0 : DEATH_MS, () => {
        if (!this.#hasEnded) this.#events.onProblem(reasonOf(error), isFinal);
      });
    }
  }

  #end(reason: string): void {
    this.#hasEnded = true;
    void this.#poll.close();
    void this.#transport?.close();
    this.#events.onExit(reason);
  }
}
