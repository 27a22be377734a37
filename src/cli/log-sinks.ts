/** What log lines are written to: a stream of this process, or a file that is rotated and written again after an error. */
import { open, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Writable } from 'node:stream';
import { isCode, makeDirectory, systemReason } from '../state/state.ts';
import type { LogSink } from './log-output.ts';

/** Standard error. The stream stays open. */
export class StreamSink implements LogSink {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  write(bytes: Buffer, done: (error?: unknown) => void): boolean {
    this.#stream.write(bytes, (error) => {
      done(error ?? undefined);
    });
    return this.#stream.writableLength === 0;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface FileSinkParts {
  /** Absolute. */
  readonly path: string;
  readonly maxBytes: number;
  /** Older files that are kept: `path.1` is the youngest. */
  readonly kept: number;
  readonly mode: number;
  /** Called with the reason when the file cannot be written any more, once until it can. */
  readonly onFailure: (reason: string) => void;
  /** Called when it can be written again. */
  readonly onRecovery: () => void;
}

// A full disk has room again when somebody makes some; more tries would only take time from the relay.
const RETRY_MS = 1_000;
// How old our knowledge may be that the file still has its name: logrotate moves it, people delete it.
const KNOWN_MS = 1_000;

export class FileSink implements LogSink {
  readonly #parts: FileSinkParts;
  readonly #closing = new AbortController();
  #file: FileHandle | undefined;
  #size = 0;
  #lookedAt = 0;
  #hasFailed = false;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: FileSinkParts) {
    this.#parts = parts;
  }

  write(bytes: Buffer, done: (error?: unknown) => void): boolean {
    this.#last = this.#writeAll(bytes).then(done, done);
    return false;
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the log was closed'));
    await this.#last;
    await this.#forget();
  }

  /** Tries again until all is written: what a full disk took only half of must not leave half a line. Rejects when the sink is closed. */
  async #writeAll(bytes: Buffer): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      this.#closing.signal.throwIfAborted();
      try {
        // A started line is finished in the same file.
        const file = await this.#ready(rest.length === bytes.length);
        const { bytesWritten } = await file.write(rest);
        this.#size += bytesWritten;
        rest = rest.subarray(bytesWritten);
      } catch (error) {
        await this.#fail(error);
      }
    }
    if (!this.#hasFailed) return;
    this.#hasFailed = false;
    this.#parts.onRecovery();
  }

  async #fail(error: unknown): Promise<void> {
    if (!this.#hasFailed) this.#parts.onFailure(systemReason(error));
    this.#hasFailed = true;
    await this.#forget();
    await pause(RETRY_MS, undefined, { signal: this.#closing.signal });
  }

  async #ready(mayRotate: boolean): Promise<FileHandle> {
    if (this.#file && performance.now() - this.#lookedAt > KNOWN_MS) await this.#look(this.#file);
    if (this.#file && mayRotate && this.#size >= this.#parts.maxBytes) await this.#rotate();
    return (this.#file ??= await this.#open());
  }

  async #open(): Promise<FileHandle> {
    const { path, mode } = this.#parts;
    await makeDirectory(dirname(path));
    const file = await open(path, 'a', mode);
    this.#size = (await file.stat()).size;
    this.#lookedAt = performance.now();
    return file;
  }

  /** Lets go of a file that no longer has its name. */
  async #look(file: FileHandle): Promise<void> {
    const [ours, named] = await Promise.all([file.stat(), stat(this.#parts.path).catch(() => undefined)]);
    this.#lookedAt = performance.now();
    this.#size = ours.size;
    if (named?.ino !== ours.ino || named.dev !== ours.dev) await this.#forget();
  }

  async #rotate(): Promise<void> {
    const { path, kept, onFailure } = this.#parts;
    await this.#forget();
    try {
      for (let index = kept; index > 0; index--) await renameIfThere(index === 1 ? path : `${path}.${index - 1}`, `${path}.${index}`);
    } catch (error) {
      // Where the directory cannot be changed, a file that grows is better than a log that ends.
      onFailure(`${systemReason(error)} while it was rotated`);
    }
  }

  async #forget(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
}
