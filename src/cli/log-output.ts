/** Writes log lines in order to a stream or a file, buffers a bounded number of them while the output is slow, and counts dropped ones. */
import { open, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock, withTimeout } from '../core/core.ts';
import { isCode, makeDirectory, systemReason } from '../state/state.ts';

/** Where complete lines are written. */
export interface LogSink {
  /** Returns true if the bytes are already written, so that more may follow. Always calls `done` later, with an error if they are lost. */
  write(bytes: Buffer, done: (error?: unknown) => void): boolean;
  /** Releases resources and drops unwritten bytes. */
  close(): Promise<void>;
}

interface Entry {
  readonly bytes: Buffer;
  /** How many lines are missing if this entry is lost: 1, or the number that a note about missing lines reports. */
  readonly lines: number;
}

// Protects the relay's memory from a stalled reader and a full disk; holds several thousand lines, so that bursts fit.
const MAX_HELD_BYTES = 1024 * 1024;
// The memory overhead of an entry.
const ENTRY_BYTES = 200;
// Waiting lines are written in batches of this size, so that space becomes free before a slow reader has read them all.
const BATCH_BYTES = 64 * 1024;
// The maximum time that a stop waits for a stalled reader.
const CLOSE_MS = 1_000;

/** The bounded queue of lines in front of a sink. */
export class LogOutput {
  readonly #sink: LogSink;
  readonly #note: (missing: number) => string;
  readonly #waiting: Entry[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  // Lost lines that no note has reported yet.
  #missing = 0;
  readonly #onIdle: (() => void)[] = [];

  /** `note` formats the line that reports how many lines are missing at its position. */
  constructor(sink: LogSink, note: (missing: number) => string) {
    this.#sink = sink;
    this.#note = note;
  }

  /** Writes the line that `make` formats, at once if the sink is ready. Never waits. */
  write(make: () => string): void {
    // After a gap, lines are dropped until the sink is ready, so that the note appears at the gap; no dropped line is formatted.
    if (this.#isBusy && this.#missing > 0) {
      this.#missing++;
      return;
    }
    const entry: Entry = { bytes: Buffer.from(`${make()}\n`), lines: 1 };
    if (this.#isBusy && this.#heldBytes + costOf(entry) > MAX_HELD_BYTES) {
      this.#missing++;
      return;
    }
    this.#addNote();
    this.#add(entry);
    this.#flush();
  }

  /** Waits up to a second until all lines are written, then closes the sink. */
  async close(): Promise<void> {
    await this.#within(this.#idle());
    await this.#within(this.#sink.close());
  }

  async #within(work: Promise<void>): Promise<void> {
    await withTimeout(systemClock, CLOSE_MS, 'the log was closed', () => work).catch(() => undefined);
  }

  #idle(): Promise<void> {
    if (!this.#isBusy) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  get #isBusy(): boolean {
    return this.#inFlightBytes > 0;
  }

  get #heldBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  #add(entry: Entry): void {
    this.#waiting.push(entry);
    this.#waitingBytes += costOf(entry);
  }

  #addNote(): void {
    if (this.#missing === 0) return;
    const lines = this.#missing;
    this.#missing = 0;
    this.#add({ bytes: Buffer.from(`${this.#note(lines)}\n`), lines });
  }

  #flush(): void {
    while (!this.#isBusy && this.#waiting.length > 0) this.#send(this.#take());
    if (this.#isBusy) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #take(): Entry {
    let [count, bytes, lines] = [0, 0, 0];
    for (const entry of this.#waiting) {
      if (count > 0 && bytes + entry.bytes.length > BATCH_BYTES) break;
      count++;
      bytes += entry.bytes.length;
      lines += entry.lines;
    }
    const taken = this.#waiting.splice(0, count);
    this.#waitingBytes -= taken.reduce((sum, entry) => sum + costOf(entry), 0);
    return { bytes: Buffer.concat(taken.map((entry) => entry.bytes)), lines };
  }

  #send(batch: Entry): void {
    let isWritten = false;
    this.#inFlightBytes = batch.bytes.length;
    isWritten = this.#sink.write(batch.bytes, (error) => {
      if (error !== undefined) this.#missing += batch.lines;
      if (isWritten) return;
      this.#inFlightBytes = 0;
      // A failed write suggests that the note would be lost as well.
      if (error === undefined) this.#addNote();
      this.#flush();
    });
    if (isWritten) this.#inFlightBytes = 0;
  }
}

function costOf({ bytes }: Entry): number {
  return bytes.length + ENTRY_BYTES;
}

/** A stream of this process, such as standard error; it stays open. */
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

interface FileSinkOptions {
  /** The absolute path of the file. */
  readonly path: string;
  readonly maxBytes: number;
  /** Number of rotated files to keep; `path.1` is the newest. */
  readonly kept: number;
  readonly mode: number;
  /** Called with the reason when writing starts to fail. */
  readonly onFailure: (reason: string) => void;
  /** Called when writing works again. */
  readonly onRecovery: () => void;
}

// A full disk stays full until space is freed; more frequent retries would only waste time.
const RETRY_MS = 1_000;
// The interval for checking that the path still names our file, which logrotate may move and people may delete.
const CHECK_MS = 1_000;

/** A file that is rotated by size, reopened when it is moved or deleted, and retried after an error. */
export class FileSink implements LogSink {
  readonly #options: FileSinkOptions;
  readonly #closing = new AbortController();
  #file: FileHandle | undefined;
  #size = 0;
  #checkedAt = 0;
  #hasFailed = false;
  #last: Promise<void> = Promise.resolve();

  constructor(options: FileSinkOptions) {
    this.#options = options;
  }

  write(bytes: Buffer, done: (error?: unknown) => void): boolean {
    this.#last = this.#writeAll(bytes).then(done, done);
    return false;
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the log was closed'));
    await this.#last;
    await this.#closeFile();
  }

  /** Retries until all bytes are written, so that a full disk leaves no partial line. Rejects when the sink is closed. */
  async #writeAll(bytes: Buffer): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      this.#closing.signal.throwIfAborted();
      try {
        // Do not rotate in the middle of a line.
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
    this.#options.onRecovery();
  }

  async #fail(error: unknown): Promise<void> {
    if (!this.#hasFailed) this.#options.onFailure(systemReason(error));
    this.#hasFailed = true;
    await this.#closeFile();
    await pause(RETRY_MS, undefined, { signal: this.#closing.signal });
  }

  async #ready(mayRotate: boolean): Promise<FileHandle> {
    if (this.#file && performance.now() - this.#checkedAt > CHECK_MS) await this.#checkName(this.#file);
    if (this.#file && mayRotate && this.#size >= this.#options.maxBytes) await this.#rotate();
    return (this.#file ??= await this.#open());
  }

  async #open(): Promise<FileHandle> {
    const { path, mode } = this.#options;
    await makeDirectory(dirname(path));
    const file = await open(path, 'a', mode);
    this.#size = (await file.stat()).size;
    this.#checkedAt = performance.now();
    return file;
  }

  /** Closes the file if it was moved or deleted. */
  async #checkName(file: FileHandle): Promise<void> {
    const [ours, named] = await Promise.all([file.stat(), stat(this.#options.path).catch(() => undefined)]);
    this.#checkedAt = performance.now();
    this.#size = ours.size;
    if (named?.ino !== ours.ino || named.dev !== ours.dev) await this.#closeFile();
  }

  async #rotate(): Promise<void> {
    const { path, kept, onFailure } = this.#options;
    await this.#closeFile();
    try {
      for (let index = kept; index > 0; index--) await renameIfThere(index === 1 ? path : `${path}.${index - 1}`, `${path}.${index}`);
    } catch (error) {
      // If the directory is read-only, a growing file is better than no log.
      onFailure(`${systemReason(error)} during rotation`);
    }
  }

  async #closeFile(): Promise<void> {
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
