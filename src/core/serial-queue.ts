/** Runs pieces of asynchronous work strictly one after another. */
import { RelayError } from './errors.ts';

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
   * Runs `work` once everything submitted before it has ended, and settles as it does. Work that fails does not hold up what follows.
   * `work` gets a signal that {@link cancel} aborts.
   */
  run<T>(work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    if (this.#length >= this.maxLength)
      return Promise.reject(new RelayError('LIMIT', `${this.#length} pieces of work are queued already; at most ${this.maxLength} may be`));
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

  /** Rejects what waits with `reason`, and aborts the signal of what runs. Work that is submitted from now on is not affected. */
  cancel(reason: RelayError): void {
    this.#cancellation.abort(reason);
    this.#cancellation = new AbortController();
  }

  /** Resolves when everything submitted so far has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
