/** One process of a program from its start to its end: the handshake, its setup and all calls to it. */
import { RelayError } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { readHandshake, withoutKnown, withoutSecrets } from './handshake.ts';
import type { Handshake } from './handshake.ts';
import { HttpTransport } from './http-transport.ts';
import type { HttpTransportOptions } from './http-transport.ts';
import type { ProgramOptions } from './options.ts';
import type { OrphanWatch } from './orphan-watch.ts';
import { PipeTransport } from './pipe-transport.ts';
import type { PipeTransportOptions } from './pipe-transport.ts';
import { PollTransport } from './poll-transport.ts';
import { prepare } from './preparation.ts';
import type { PreparationParts, Prepared } from './preparation.ts';
import { ProgramProcess } from './process.ts';
import type { ProcessEvents } from './process.ts';
import { identityOf, requireUsable } from './run-as.ts';
import { RUNG_MS } from './supervision.ts';
import { environmentOf, findExecutable, makeToken, prepareDirectory } from './surroundings.ts';
import { requestOf } from './transport.ts';
import type { ProgramRequest, ProgramTransport } from './transport.ts';

export interface SessionOptions {
  readonly record: ProgramOptions;
  readonly clock: Clock;
  readonly orphans: Pick<OrphanWatch, 'add' | 'drop'>;
  /** The URL at which the program calls the relay, without credentials; known once the relay listens. */
  readonly relayUrl: () => string;
  /** The working directories of programs are created here. */
  readonly stateDir: string;
  /** The relay's own environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Variables that replace those of the protocol; undefined removes one. Default: none. */
  readonly overrides?: Readonly<Record<string, string | undefined>> | undefined;
  /** For a program that is called over HTTP or a pipe. */
  readonly http?: Pick<HttpTransportOptions, 'maxBodyBytes' | 'meaning' | 'tap'> | undefined;
  /** For a child of ours: it inherits a pipe, over which it is called and calls. Default: it has none. */
  readonly pipe?: Pick<PipeTransportOptions, 'onBroken' | 'answer'> | undefined;
}

const STOP: ProgramRequest = requestOf('plugin.stop', []);

export class Session {
  readonly #options: SessionOptions;
  readonly #process: ProgramProcess;
  /** Exists before the handshake is read, since the program may fetch its first call before that. */
  readonly #poll: PollTransport;
  #transport: ProgramTransport | undefined;
  readonly #token: string;
  /** SHA-256 of the token of this process, in hex. */
  readonly tokenHash: string;

  /** Starts the process. Throws an Error if it cannot be started. */
  constructor(options: SessionOptions, events: ProcessEvents) {
    this.#options = options;
    const { record, clock, orphans, relayUrl, stateDir, env, pipe, overrides = {} } = options;
    const { token, sha256 } = makeToken();
    this.#token = token;
    this.tokenHash = sha256;
    this.#poll = new PollTransport(record.name, clock, record.send);
    const identity = identityOf(record);
    const exec = findExecutable(record.exec, env.PATH, record.env.PATH);
    const cwd = prepareDirectory(record, stateDir, identity);
    if (identity) requireUsable({ exec, cwd }, identity);
    const variables = environmentOf(record, token, relayUrl(), identity ? { ...env, HOME: identity.home } : env);
    this.#process = new ProgramProcess({
      ...{ exec, args: record.args, cwd, env: withOverrides(variables, overrides), identity, clock, orphans },
      hasPipe: pipe !== undefined,
      ...events,
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** The queue of calls, if the program fetches its calls or has not sent its handshake yet; undefined if it is called over HTTP. */
  get poll(): PollTransport | undefined {
    return this.#transport === undefined || this.#transport === this.#poll ? this.#poll : undefined;
  }

  /** True once the handshake was accepted. */
  get isConnected(): boolean {
    return this.#transport !== undefined;
  }

  /** Reads the handshake; from now on the program can be called. Throws a RelayError PLUGIN_REFUSED if the line is wrong. */
  accept(line: string, { allowsPoll = true } = {}): Handshake {
    const handshake = readHandshake(line, [this.#token], { hasPipe: this.#process.pipe !== undefined });
    if (handshake.form === 'poll' && !allowsPoll)
      throw new RelayError('PLUGIN_REFUSED', 'it fetches its calls now, and two such processes cannot be told apart; restart it instead');
    this.#transport = this.#transportOf(handshake);
    return handshake;
  }

  /** Makes the calls that set the program up. Rejects as {@link prepare} does. */
  async prepare(options: Omit<PreparationParts, 'plugin' | 'config' | 'transport'>): Promise<Prepared> {
    const { name: plugin, config } = this.#options.record;
    return prepare({ plugin, config, transport: this.#connected(), ...options });
  }

  /** Calls the program. Rejects as {@link ProgramTransport.send} does. */
  send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.#connected().send(request, timeoutMs);
  }

  /** As {@link send}, for a result that is passed on unchanged. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    return this.#connected().sendExact(request, timeoutMs);
  }

  /** Rejects if there is no sign of life in time. */
  async ping(timeoutMs: number): Promise<void> {
    await this.#connected().ping(timeoutMs);
  }

  /** Asks the program to stop; rejects if it cannot be asked. */
  async askToStop(): Promise<void> {
    try {
      await this.send(STOP, RUNG_MS);
    } catch (error) {
      // A program may end before it answers.
      if (!(RelayError.is(error) && (error.code === 'TRANSPORT' || error.code === 'TIMEOUT'))) throw error;
    }
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#process.signal(signal);
  }

  /** Rejects the calls in flight and all later ones. */
  close(): void {
    void this.#poll.close();
    void this.#transport?.close();
  }

  /** Removes the token of the program from a line of its output. */
  withoutToken(line: string): string {
    return withoutKnown(line, [this.#token]);
  }

  /** Removes everything that is or may be a secret from a line that may be a handshake. */
  withoutSecrets(line: string): string {
    return withoutSecrets(line, [this.#token]);
  }

  #transportOf(handshake: Handshake): ProgramTransport {
    if (handshake.form === 'poll') return this.#poll;
    const { record, clock, http, pipe } = this.#options;
    const options = { clock, writing: record.send, ...http };
    if (handshake.form === 'http') return new HttpTransport(record.name, handshake, options);
    const socket = this.#process.pipe;
    if (!socket || !pipe) throw new RelayError('PLUGIN_REFUSED', 'it has inherited no pipe');
    return new PipeTransport(record.name, socket, { ...options, ...pipe });
  }

  #connected(): ProgramTransport {
    if (this.#transport) return this.#transport;
    throw new RelayError('UNAVAILABLE', `${this.#options.record.name} has not sent its handshake yet`);
  }
}

function withOverrides(
  variables: Readonly<Record<string, string>>,
  overrides: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const all = Object.entries({ ...variables, ...overrides });
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined));
}
