/** One value that survives a crash, in a JSON file that is always complete on disk. */
import { rename } from 'node:fs/promises';
import { RelayError, SerialQueue, reasonOf } from '../core/core.ts';
import { requireOwn, FileTooLarge, readSmallFile, replaceFile, isCode, systemReason } from './files.ts';

/** What {@link StateFile.load} found: nothing, the value, or a damaged file, which has been renamed to `<name>.damaged`. */
export type Found<T> =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'damaged'; readonly reason: string; readonly movedTo: string };

/** The file of one value. */
export class StateFile {
  readonly #writes = new SerialQueue();
  /** The write that is queued behind the running one; all saves until it starts share it. */
  #next: Promise<void> | undefined;

  /**
   * `path` is absolute and its directory exists. `maxBytes` limits what is read and written, so that a huge file cannot fill the memory
   * at start.
   */
  constructor(
    readonly path: string,
    private readonly maxBytes: number,
  ) {}

  /**
   * Reads the value; `check` returns it typed, or throws if it is invalid. Rejects with a RelayError STATE_DIRECTORY if the file cannot
   * be read at all.
   */
  async load<T>(check: (value: unknown) => T): Promise<Found<T>> {
    try {
      const text = this.#read();
      return text === undefined ? { kind: 'nothing' } : { kind: 'value', value: check(JSON.parse(text)) };
    } catch (error) {
      if (RelayError.is(error)) throw error;
      const movedTo = `${this.path}.damaged`;
      await this.#do('renamed', () => rename(this.path, movedTo));
      return { kind: 'damaged', reason: reasonOf(error), movedTo };
    }
  }

  /**
   * Writes what `snapshot` returns at the time of the write; resolves once it is durable. Rejects with a RelayError STATE_DIRECTORY and
   * keeps the old value.
   */
  save(snapshot: () => unknown): Promise<void> {
    this.#next ??= this.#writes.run(() => {
      this.#next = undefined;
      return this.#do('written', () => this.#write(`${JSON.stringify(snapshot(), undefined, 1)}\n`));
    });
    return this.#next;
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
      // A file that is too large counts as damaged. After any other error its content is unknown, so it must not be replaced.
      if (error instanceof FileTooLarge || RelayError.is(error)) throw error;
      throw this.#failed('read', error);
    }
  }

  async #write(text: string): Promise<void> {
    if (Buffer.byteLength(text) > this.maxBytes) throw new Error(`it would be larger than ${this.maxBytes} bytes`);
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
    return new RelayError('STATE_DIRECTORY', `${this.path} cannot be ${what}: ${systemReason(error)}`, {
      cause: error,
      data: { reason: what === 'read' ? 'unreadable' : 'unwritable', path: this.path },
    });
  }
}
