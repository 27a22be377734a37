/** One process of the checked program: a session of the host, with a record of what the program wrote. */
import { RelayError, withTimeout } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { Session, requestOf } from '../plugin-host/programs/internal.ts';
import type { Handshake, OrphanWatch, ProcessEnd, ProgramOptions, ProgramRequest } from '../plugin-host/programs/internal.ts';
import type { FakeRelay } from './fake-relay.ts';

/** What a {@link CheckedProcess} needs. */
export interface CheckedProcessParts {
  /** Distinguishes it from other processes of the same program. */
  readonly id: string;
  readonly record: ProgramOptions;
  readonly clock: Clock;
  readonly orphans: OrphanWatch;
  readonly relay: FakeRelay;
  /** The directory in which its working directory is created. */
  readonly stateDir: string;
  /** The environment of this process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Overrides variables that the relay sets; undefined removes one. */
  readonly over: Readonly<Record<string, string | undefined>>;
  /** Called with everything that the program and the relay send to each other. */
  readonly onWire: (text: string) => void;
}

/** How its process ended. */
export interface End extends ProcessEnd {
  readonly reason: string;
}

const MAX_LINES = 100;
// The line by which output.ts of the host says that it dropped some.
const OMITTED_LINES = /^… and \d+ more lines/;
// The host waits this long, too, to find out whether a lost connection was the end of the program.
const DEATH_MS = 1_000;
// Calls that it made before it ended may arrive after that.
const LAST_ANSWER_MS = 200;

/** A process of the checked program. */
export class CheckedProcess {
  readonly #parts: CheckedProcessParts;
  readonly #session: Session;
  #end: End | undefined;
  /** The first line without its line end; undefined if there was none. */
  readonly firstLine: Promise<string | undefined>;
  readonly ended: Promise<End>;
  /** The first 100 of the other lines that it wrote. */
  readonly lines: string[] = [];
  lineCount = 0;
  /** The line by which the log would say that some were dropped. */
  flood: string | undefined;
  handshake: Handshake | undefined;

  /** Starts it. Throws an Error if it cannot be started. */
  constructor(parts: CheckedProcessParts) {
    this.#parts = parts;
    const { id, record, clock, orphans, relay, stateDir, env, over, onWire } = parts;
    let [greet, end]: [(line: string | undefined) => void, (end: End) => void] = [() => undefined, () => undefined];
    this.firstLine = new Promise((resolve) => (greet = resolve));
    this.ended = new Promise((resolve) => (end = resolve));
    const tap = (direction: 'to' | 'from', bytes: Buffer): void => {
      onWire(`${direction === 'to' ? '>' : '<'} ${bytes.toString('utf8')}`);
    };
    this.#session = new Session(
      { record, clock, orphans, relayUrl: () => relay.url, stateDir, env, overrides: over, http: { tap } },
      {
        onFirstLine: (line) => {
          onWire(`first line: ${line}`);
          greet(line);
        },
        onLine: (line) => {
          this.#keep(line);
        },
        onExit: (reason, how) => {
          this.#end = { reason, ...how };
          end(this.#end);
          clock.after(LAST_ANSWER_MS, () => {
            relay.remove(id);
            this.#session.close();
          });
        },
        // The last line may be read after the end of the process was noticed.
        onOutputEnd: () => {
          greet(undefined);
        },
      },
    );
    relay.add({ id, sha256: this.#session.tokenHash, send: parts.record.send, poll: () => this.#session.poll });
  }

  get id(): string {
    return this.#parts.id;
  }

  get pid(): number | undefined {
    return this.#session.pid;
  }

  /** Undefined as long as it is running. */
  get end(): End | undefined {
    return this.#end;
  }

  /** Parses its first line. Throws an Error that says what is wrong with it. */
  greet(line: string): Handshake {
    this.handshake = this.#session.accept(line);
    return this.handshake;
  }

  /** Calls a method. Rejects with the fault that it answers, or with an Error that says why there is no answer. */
  call(method: string, params: readonly Sendable[], timeoutMs: number): Promise<Value> {
    return this.send(requestOf(method, params), timeoutMs);
  }

  /** The same for a call that is serialized already. */
  async send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.#explained(() => this.#session.send(request, timeoutMs));
  }

  /** Makes the calls that prepare a program for its work. Rejects with an Error that says what is wrong. */
  async prepare(relayVersion: string, timeoutMs: number): Promise<void> {
    await this.#explained(() => this.#session.prepare({ relayVersion, timeoutMs }));
  }

  /** Resolves at a sign of life. */
  async ping(timeoutMs: number): Promise<void> {
    await this.#explained(() => this.#session.ping(timeoutMs));
  }

  /** Its end, or undefined if it is still running after `ms`. */
  async endWithin(ms: number): Promise<End | undefined> {
    return withTimeout(this.#parts.clock, ms, '', () => this.ended).catch(() => undefined);
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#session.signal(signal);
  }

  /** Kills it with its process group, and waits for its end. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    if (this.pid !== undefined) await this.ended;
  }

  #keep(line: string): void {
    this.lineCount++;
    if (OMITTED_LINES.test(line)) this.flood ??= line;
    if (this.lines.length < MAX_LINES) this.lines.push(line);
    this.#parts.onWire(`wrote: ${line}`);
  }

  /** If a call fails because the process has ended, the error says so, which explains more than the lost connection. */
  async #explained<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!RelayError.is(error) || error.code !== 'TRANSPORT') throw error;
      const end = await this.endWithin(DEATH_MS);
      throw end ? new RelayError('TRANSPORT', `${end.reason} while it was called`, { cause: error }) : error;
    }
  }
}
