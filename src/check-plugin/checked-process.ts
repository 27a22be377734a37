/** One process of the checked program: a session of the host, with a record of what the program wrote. */
import { RelayError, withTimeout } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { Session, requestOf } from '../plugin-host/programs/internal.ts';
import type { Handshake, OrphanWatch, ProcessEnd, ProgramOptions, ProgramRequest } from '../plugin-host/programs/internal.ts';
import type { FakeRelay } from './fake-relay.ts';

export interface CheckedProcessParts {
  /** Tells it from other processes of the same program. */
  readonly id: string;
  readonly record: ProgramOptions;
  readonly clock: Clock;
  readonly orphans: OrphanWatch;
  readonly relay: FakeRelay;
  /** Its working directory is made here. */
  readonly stateDir: string;
  /** Ours. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What its environment has in place of what the relay says; undefined: it has none. */
  readonly over: Readonly<Record<string, string | undefined>>;
  /** Told of what is said, both ways. */
  readonly onWire: (text: string) => void;
}

/** How its process ended. */
export interface End extends ProcessEnd {
  readonly reason: string;
}

const MAX_LINES = 100;
// As output.ts of the host says it.
const LEFT_OUT = /^… and \d+ more lines/;
// As the host waits until it knows whether a lost connection was the end of the program.
const DEATH_MS = 1_000;
// What it answered before it ended may be read after that.
const LAST_ANSWER_MS = 200;

export class CheckedProcess {
  readonly #parts: CheckedProcessParts;
  readonly #session: Session;
  #end: End | undefined;
  /** Without its end; undefined if there was none. */
  readonly firstLine: Promise<string | undefined>;
  readonly ended: Promise<End>;
  /** The first of those that it wrote besides. */
  readonly lines: string[] = [];
  lineCount = 0;
  /** The line by which the log would say that it left some out. */
  flood: string | undefined;
  handshake: Handshake | undefined;

  /** Starts it. Throws an Error if there is nothing that can be started. */
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
        // The last line may be read after the end was seen.
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

  /** Undefined as long as it runs. */
  get end(): End | undefined {
    return this.#end;
  }

  /** Takes its first line for what it is. Throws an Error that says what is wrong with it. */
  greet(line: string): Handshake {
    this.handshake = this.#session.accept(line);
    return this.handshake;
  }

  /** Calls a method. Rejects with what it answers as a fault, or with an Error that says why there is no answer. */
  call(method: string, params: readonly Sendable[], timeoutMs: number): Promise<Value> {
    return this.send(requestOf(method, params), timeoutMs);
  }

  /** The same for a call that is made already. */
  async send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.#explained(() => this.#session.send(request, timeoutMs));
  }

  /** Makes the calls that come before its work. Rejects with an Error that says what is wrong. */
  async prepare(relayVersion: string, timeoutMs: number): Promise<void> {
    await this.#explained(() => this.#session.prepare({ relayVersion, timeoutMs }));
  }

  /** Resolves at a sign of life. */
  async ping(timeoutMs: number): Promise<void> {
    await this.#explained(() => this.#session.ping(timeoutMs));
  }

  /** Its end, or undefined if it is still there after `ms`. */
  async endWithin(ms: number): Promise<End | undefined> {
    return withTimeout(this.#parts.clock, ms, '', () => this.ended).catch(() => undefined);
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#session.signal(signal);
  }

  /** Leaves nothing of it. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    if (this.pid !== undefined) await this.ended;
  }

  #keep(line: string): void {
    this.lineCount++;
    if (LEFT_OUT.test(line)) this.flood ??= line;
    if (this.lines.length < MAX_LINES) this.lines.push(line);
    this.#parts.onWire(`wrote: ${line}`);
  }

  /** That it ended says more than that its connection did. */
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
