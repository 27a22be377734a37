/** What is done with one plugin: one thing after the other, and all of it given up when it is to stop. */
import { RelayError } from '../../core/core.ts';

export class Turns {
  readonly #name: string;
  #last: Promise<unknown> = Promise.resolve();
  #giveUp = new AbortController();

  constructor(name: string) {
    this.#name = name;
  }

  /**
   * Does `work` when what was asked for before has ended. Rejects with what it throws, or with a RelayError UNAVAILABLE if it was given up
   * before its turn.
   */
  next<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#giveUp;
    const done = this.#last.then(() => {
      signal.throwIfAborted();
      return work(signal);
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Gives up what is under way and what waits. What is asked for afterwards has its turn when that has ended. */
  giveUp(): void {
    this.#giveUp.abort(new RelayError('UNAVAILABLE', `plugin ${this.#name} is being stopped`));
    this.#giveUp = new AbortController();
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
