/** One value that survives a crash: a JSON file that is always whole, whatever happens while it is written. */
import { rename } from 'node:fs/promises';
import { RelayError, reasonOf } from '../core/core.ts';
import { requireOwn } from './owner.ts';
import { FileTooLarge, readSmallFile } from './read-file.ts';
import { replaceFile } from './replace-file.ts';
import { isCode, systemReason } from './system-reason.ts';

/** What a start finds: nothing, the value, or a damaged file, which now lies beside as `<name>.damaged`. */
export type Found<T> =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'damaged'; readonly reason: string; readonly movedTo: string };

export class StateFile {
  // The last write that was begun, and the one that waits for it; whoever saves meanwhile shares the waiting one.
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** `path` is absolute and its directory is there. `maxBytes` bounds what is read and written: a file that grew without end must not fill the memory at a start. */
  constructor(
    readonly path: string,
    private readonly maxBytes: number,
  ) {}

  /** Reads the value; `check` answers it in its shape or throws what is wrong with it. Throws a RelayError STATE_DIRECTORY if the file cannot be read at all. */
  async load<T>(check: (value: unknown) => T): Promise<Found<T>> {
    try {
      const text = this.#read();
      return text === undefined ? { kind: 'nothing' } : { kind: 'value', value: check(JSON.parse(text)) };
    } catch (error) {
      if (RelayError.is(error)) throw error;
      const movedTo = `${this.path}.damaged`;
      await this.#do('set aside', () => rename(this.path, movedTo));
      return { kind: 'damaged', reason: reasonOf(error), movedTo };
    }
  }

  /** Writes what `snapshot` answers when its turn comes; resolves once that is safe from a crash. Rejects with a RelayError STATE_DIRECTORY; the old value stays then. */
  save(snapshot: () => unknown): Promise<void> {
    if (this.#next) return this.#next;
    const next = this.#last
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#do('written', () => this.#write(`${JSON.stringify(snapshot(), undefined, 1)}\n`));
      });
    this.#last = this.#next = next;
    return next;
  }

  #read(): string | undefined {
    try {
      return readSmallFile(this.path, {
        maxBytes: this.maxBytes,
        links: 'refuse',
        check: (stats) => {
          requireOwn(this.path, stats);
        },
      });
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined;
      // One that grew too large is a damaged one; whatever else is wrong, nobody knows what is in it.
      if (error instanceof FileTooLarge || RelayError.is(error)) throw error;
      throw this.#failed('read', error);
    }
  }

  async #write(text: string): Promise<void> {
    if (text.length > this.maxBytes) throw new Error(`it would be larger than ${this.maxBytes} bytes`);
    await replaceFile(this.path, text);
  }

  async #do(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw this.#failed(what, error);
    }
  }

  #failed(what: string, error: unknown): RelayError {
    return new RelayError('STATE_DIRECTORY', `${this.path} cannot be ${what}: ${systemReason(error)}`, { cause: error });
  }
}
