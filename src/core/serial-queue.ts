/** Runs pieces of asynchronous work strictly one after another. */
import { RelayError } from './errors.ts';

/** Starts each piece of work when the previous one has ended, whether it succeeded or failed. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();
  #length = 0;
  #cancellation = new AbortController();

  /** `maxLength`: pieces of work that may be unfinished at once; one more is rejected with a RelayError LIMIT. Default: no limit. */
  constructor(private readonly maxLength = Infinity) {}

  /** Pieces of work that have not ended yet, including the one that runs. */
  get length(): number {
    return this.#length;
  }

  /**
   * Runs `work` once everything submitted before it has ended, and settles as it does. `work` gets a signal that {@link cancel} aborts.
   */
  run<T>(work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    if (this.#length >= this.maxLength)
      return Promise.reject(new RelayError('LIMIT', `the queue is full (limit ${this.maxLength}); try again later`));
    this.#length++;
    const { signal } = this.#cancellation;
    const done = this.#last.then(() => {
      signal.throwIfAborted();
      return work(signal);
    });
    const ended = (): void => {
      this.#length--;
    };
    this.#last = done.then(ended, ended);
    return done;
  }

  /** Rejects all waiting work with `reason`, and aborts the signal of the running piece. Work submitted later is not affected. */
  cancel(reason: RelayError): void {
    this.#cancellation.abort(reason);
    this.#cancellation = new AbortController();
  }

  /** Resolves when everything submitted so far has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
