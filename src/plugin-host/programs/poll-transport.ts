/** Calls a program that has no server: the calls wait until it fetches them, and it brings the answers. */
import { Fifo, RelayError, clean } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { MAX_CALLS, faultOf } from './transport.ts';
import type { ProgramRequest, ProgramTransport } from './transport.ts';

/** A call as the program fetches it. */
export interface ProgramCall {
  /** What its answer names. */
  readonly id: string;
  readonly method: string;
  readonly params: readonly Sendable[];
}

/** What a program answers to a call. */
export type ProgramAnswer =
  | { readonly value: Value; readonly fault?: undefined }
  | { readonly value?: undefined; readonly fault: { readonly code: number; readonly text: string } };

interface Pending {
  readonly id: string;
  readonly request: ProgramRequest;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
  readonly callOff: () => void;
}

// Fetching at once: a program with threads may have some; who has more is wrong.
const MAX_WAITERS = 64;

export class PollTransport implements ProgramTransport {
  readonly #queue = new Fifo<Pending>();
  /** Queued or fetched, by id. */
  readonly #pending = new Map<string, Pending>();
  /** Called with true, they wait no longer. */
  readonly #waiters = new Set<(isReleased: boolean) => void>();
  readonly #pings = new Set<() => void>();
  #count = 0;
  #closed: RelayError | undefined;

  constructor(
    private readonly plugin: string,
    private readonly clock: Clock,
    /** How the endpoint writes its calls. Default: as they came. */
    private readonly writing?: WriteOptions,
  ) {}

  send(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw this.#closed;
      // A call that cannot be written is refused here, not where the program fetches it.
      if (this.writing) request.body(this.writing);
      if (this.#pending.size >= MAX_CALLS) throw new RelayError('RATE_LIMITED', `${this.plugin}: ${MAX_CALLS} calls run or wait already`);
      const id = String(++this.#count);
      const callOff = this.clock.after(timeoutMs, () => {
        this.#take(id)?.reject(new RelayError('TIMEOUT', `${request.method} was not answered in ${timeoutMs} ms`));
      });
      const pending = { id, request, resolve, reject, callOff };
      this.#pending.set(id, pending);
      this.#queue.push(pending);
      this.#wakeOne();
    });
  }

  /** The door that its answers come in by reads plain values. */
  sendExact(request: ProgramRequest, timeoutMs: number): Promise<Value> {
    return this.send(request, timeoutMs);
  }

  /** It is well if it fetches; there is nothing to ask it. */
  ping(timeoutMs: number): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#waiters.size > 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const callOff = this.clock.after(timeoutMs, () => {
        this.#pings.delete(seen);
        reject(new RelayError('TIMEOUT', `it fetched no call in ${timeoutMs} ms`));
      });
      const seen = (): void => {
        callOff();
        this.#pings.delete(seen);
        resolve();
      };
      this.#pings.add(seen);
    });
  }

  /**
   * The next call, or undefined if none came within `waitMs`, or before `gone` was aborted: who has hung up takes none. Rejects with a
   * RelayError RATE_LIMITED if too many wait.
   */
  async next(waitMs: number, gone?: AbortSignal): Promise<ProgramCall | undefined> {
    this.#seen();
    const due = this.clock.now() + waitMs;
    for (;;) {
      const call = gone?.aborted === true ? undefined : this.#fetch();
      const left = due - this.clock.now();
      if (call || left <= 0 || this.#closed) return call;
      if (this.#waiters.size >= MAX_WAITERS)
        throw new RelayError('RATE_LIMITED', `${this.plugin} fetches ${MAX_WAITERS} times at once already`);
      if (await this.#isReleased(left, gone)) return undefined;
    }
  }

  /** Throws a RelayError INVALID_PARAMS if no call of this id is under way. */
  answer(id: string, answer: ProgramAnswer): void {
    this.#seen();
    const pending = this.#take(id);
    if (!pending) throw new RelayError('INVALID_PARAMS', `no call '${clean(id, 40)}' is under way: it was answered, or its time was over`);
    if (answer.fault) pending.reject(faultOf(this.plugin, answer.fault.code, answer.fault.text));
    else pending.resolve(answer.value);
  }

  close(): Promise<void> {
    this.#closed = new RelayError('TRANSPORT', `${this.plugin} is not there any more`);
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(this.#closed);
    this.#queue.clear();
    for (const seen of [...this.#pings]) seen();
    for (const wake of [...this.#waiters]) wake(true);
    return Promise.resolve();
  }

  #seen(): void {
    for (const seen of [...this.#pings]) seen();
  }

  /** The oldest that nobody gave up. */
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
    pending?.callOff();
    return pending;
  }

  #isReleased(ms: number, gone: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = (isReleased: boolean): void => {
        callOff();
        gone?.removeEventListener('abort', onGone);
        this.#waiters.delete(wake);
        resolve(isReleased);
      };
      const onGone = (): void => {
        wake(true);
      };
      gone?.addEventListener('abort', onGone, { once: true });
      const callOff = this.clock.after(ms, () => {
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
