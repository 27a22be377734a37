/** Calls a program that has no server: calls are queued until the program fetches them, and the program sends back the answers. */
import { Fifo, RelayError, clean } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { MAX_CALLS, faultOf, notAnswered, notRunning, tooManyCalls } from './transport.ts';
import type { ProgramRequest, ProgramTransport } from './transport.ts';

/** A call in the form in which the program fetches it. */
export interface ProgramCall {
  /** The answer refers to this id. */
  readonly id: string;
  readonly method: string;
  readonly params: readonly Sendable[];
}

/** The answer of a program to a call. */
export type ProgramAnswer =
  | {
      readonly value: Value;
      /** The value with the exact types of its numbers. Default: the value. */
      readonly exact?: Sendable | undefined;
      readonly fault?: undefined;
    }
  | { readonly value?: undefined; readonly fault: { readonly code: number; readonly text: string } };

type Result = Extract<ProgramAnswer, { readonly value: Value }>;

interface Pending {
  readonly id: string;
  readonly request: ProgramRequest;
  readonly resolve: (answer: Result) => void;
  readonly reject: (error: unknown) => void;
  readonly cancelTimer: () => void;
}

// Maximum number of concurrent long polls. A multi-threaded program may have several; more than this is a bug in the program.
const MAX_WAITERS = 64;

export class PollTransport implements ProgramTransport {
  readonly #queue = new Fifo<Pending>();
  /** Calls that are queued or fetched, by id. */
  readonly #pending = new Map<string, Pending>();
  /** Callbacks of the long polls that wait for a call. The argument true ends a poll without a call. */
  readonly #waiters = new Set<(isReleased: boolean) => void>();
  readonly #pings = new Set<() => void>();
  #count = 0;
  #closed: RelayError | undefined;

  constructor(
    private readonly plugin: string,
    private readonly clock: Clock,
    /** How the endpoint encodes the calls. Default: as they arrived. */
    private readonly writing?: WriteOptions,
  ) {}

  async send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return (await this.#exchange(request, timeoutMs)).value;
  }

  async sendExact(request: ProgramRequest, timeoutMs: number): Promise<Sendable> {
    const { value, exact = value } = await this.#exchange(request, timeoutMs);
    return exact;
  }

  #exchange(request: ProgramRequest, timeoutMs: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw this.#closed;
      // Reject a call that cannot be encoded here, not when the program fetches it.
      if (this.writing) request.body(this.writing);
      if (this.#pending.size >= MAX_CALLS) throw tooManyCalls(this.plugin);
      const id = String(++this.#count);
      const cancelTimer = this.clock.after(timeoutMs, () => {
        this.#take(id)?.reject(notAnswered(request.method, timeoutMs));
      });
      const pending = { id, request, resolve, reject, cancelTimer };
      this.#pending.set(id, pending);
      this.#queue.push(pending);
      this.#wakeOne();
    });
  }

  /** A program that fetches calls is alive, so no call is made. */
  ping(timeoutMs: number): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#waiters.size > 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const cancelTimer = this.clock.after(timeoutMs, () => {
        this.#pings.delete(seen);
        reject(new RelayError('TIMEOUT', `it fetched no call in ${timeoutMs} ms`));
      });
      const seen = (): void => {
        cancelTimer();
        this.#pings.delete(seen);
        resolve();
      };
      this.#pings.add(seen);
    });
  }

  /**
   * Long poll: the next call, or undefined if none came within `waitMs` or until `disconnected` was aborted. Rejects with a RelayError
   * RATE_LIMITED if too many long polls wait.
   */
  async next(waitMs: number, disconnected?: AbortSignal): Promise<ProgramCall | undefined> {
    this.#seen();
    const due = this.clock.now() + waitMs;
    for (;;) {
      const call = disconnected?.aborted === true ? undefined : this.#fetch();
      const left = due - this.clock.now();
      if (call || left <= 0 || this.#closed) return call;
      if (this.#waiters.size >= MAX_WAITERS)
        throw new RelayError('RATE_LIMITED', `${this.plugin} already has ${MAX_WAITERS} long polls waiting`);
      if (await this.#isReleased(left, disconnected)) return undefined;
    }
  }

  /** Settles a call with the program's answer. Throws a RelayError INVALID_PARAMS if no call with this id is in flight. */
  answer(id: string, answer: ProgramAnswer): void {
    this.#seen();
    const pending = this.#take(id);
    if (!pending)
      throw new RelayError('INVALID_PARAMS', `no call '${clean(id, 40)}' is under way: it was answered already, or it timed out`);
    if (answer.fault) pending.reject(faultOf(this.plugin, answer.fault.code, answer.fault.text));
    else pending.resolve(answer);
  }

  close(): Promise<void> {
    this.#closed = notRunning(this.plugin);
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(this.#closed);
    this.#queue.clear();
    for (const seen of [...this.#pings]) seen();
    for (const wake of [...this.#waiters]) wake(true);
    return Promise.resolve();
  }

  #seen(): void {
    for (const seen of [...this.#pings]) seen();
  }

  /** The oldest call that has not timed out. */
  #fetch(): ProgramCall | undefined {
    for (let pending = this.#queue.shift(); pending; pending = this.#queue.shift()) {
      const { id, request } = pending;
      if (this.#pending.has(id)) return { id, method: request.method, params: request.params() };
    }
    return undefined;
  }

  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.cancelTimer();
    return pending;
  }

  #isReleased(ms: number, disconnected: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (isReleased: boolean): void => {
        cancelTimer();
        disconnected?.removeEventListener('abort', onDisconnect);
        this.#waiters.delete(wake);
        resolve(isReleased);
      };
      const onDisconnect = (): void => {
        wake(true);
      };
      disconnected?.addEventListener('abort', onDisconnect, { once: true });
      const cancelTimer = this.clock.after(ms, () => {
        wake(false);
      });
      this.#waiters.add(wake);
    });
  }

  #wakeOne(): void {
    const [wake] = this.#waiters;
    wake?.(false);
  }
}
