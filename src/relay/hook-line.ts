/** Keeps dicts in order while hooks of relay plugins take their time: one is worked on, the others wait, and there is an end to how many. */
import { Fifo, RelayError, RateLimitedLog, isPromise } from '../core/core.ts';
import type { Clock, QueueLimits, Log, MaybePromise } from '../core/core.ts';

export interface HookLineParts {
  readonly limits: QueueLimits;
  readonly clock: Clock;
  readonly log: Log;
}

interface Waiting {
  readonly bytes: number;
  /** Never rejects. */
  readonly run: () => Promise<void>;
  readonly refuse: (error: RelayError) => void;
}

export class HookLine {
  readonly #parts: HookLineParts;
  readonly #warnings: RateLimitedLog;
  readonly #waiting = new Fifo<Waiting>();
  readonly #onIdle: (() => void)[] = [];
  #bytes = 0;
  #isBusy = false;
  #overflowed = 0;

  constructor(parts: HookLineParts) {
    this.#parts = parts;
    this.#warnings = new RateLimitedLog(parts.log, parts.clock);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Dicts that were refused because the line was full. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /** What `work` yields: at once if nothing is before it and it does not wait itself, else when its turn has come. Throws, or rejects with, what it throws, or a RelayError UNAVAILABLE. `bytesOf`: what is held while it waits. */
  run<T>(bytesOf: () => number, work: () => MaybePromise<T>): MaybePromise<T> {
    if (this.#isBusy) return this.#wait(bytesOf(), work);
    // Also while it runs: what it sets off in the same moment comes after it.
    this.#isBusy = true;
    let result: MaybePromise<T>;
    try {
      result = work();
    } catch (error) {
      this.#next();
      throw error;
    }
    const next = (): void => {
      this.#next();
    };
    if (isPromise(result)) result.then(next, next);
    else next();
    return result;
  }

  /** Resolves once the line is empty; what still waits after `ms` is refused. */
  async settle(ms: number): Promise<void> {
    if (!this.#isBusy) return;
    const callOff = this.#parts.clock.after(ms, () => {
      this.#refuseAll();
    });
    await new Promise<void>((resolve) => {
      this.#onIdle.push(resolve);
    });
    callOff();
  }

  #wait<T>(bytes: number, work: () => MaybePromise<T>): Promise<T> {
    const { maxMessages, maxBytes } = this.#parts.limits;
    const isFull = this.waiting >= maxMessages || (this.waiting > 0 && this.#bytes + bytes > maxBytes);
    if (isFull) {
      this.#overflowed++;
      const text = `${this.waiting} dicts wait for the hooks of relay plugins, as many as may (hookLine)`;
      this.#warnings.warn(`refused a dict: ${text}`);
      throw new RelayError('UNAVAILABLE', `${text}; send it again later`);
    }
    this.#bytes += bytes;
    return new Promise<T>((resolve, reject) => {
      const run = (): Promise<void> => Promise.resolve().then(work).then(resolve, reject);
      this.#waiting.push({ bytes, run, refuse: reject });
    });
  }

  #next(): void {
    if (this.waiting > 0) {
      void this.#runWaiting();
      return;
    }
    this.#isBusy = false;
    for (const tell of this.#onIdle.splice(0)) tell();
  }

  async #runWaiting(): Promise<void> {
    for (let next = this.#take(); next; next = this.#take()) await next.run();
    this.#next();
  }

  #take(): Waiting | undefined {
    const next = this.#waiting.shift();
    if (next) this.#bytes -= next.bytes;
    return next;
  }

  #refuseAll(): void {
    const { waiting } = this;
    if (waiting === 0) return;
    this.#parts.log.warn(`${waiting} dicts still waited for the hooks of relay plugins when the relay stopped; they are refused`);
    for (let next = this.#take(); next; next = this.#take()) next.refuse(new RelayError('UNAVAILABLE', 'the relay stops'));
  }
}
