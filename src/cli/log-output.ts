/** Where log lines go: written in order, held in bounded memory while the reader or the disk is not ready, and counted when they do not fit. */
import { open, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock, withinLimit } from '../message/message.ts';
import { isCode, makeDirectory, systemReason } from '../store/store.ts';

/** Takes the bytes of whole lines. */
export interface LogSink {
  /** Answers true if the bytes are already written, so that the next ones may follow at once. `done` is called later in either case, with an error if they are lost. */
  write(bytes: Buffer, done: (error?: unknown) => void): boolean;
  /** Frees what the sink holds, and gives up what it has not written. */
  close(): Promise<void>;
}

interface Entry {
  readonly bytes: Buffer;
  /** How many lines are missing if this is lost: 1, or as many as a note about missing lines counts. */
  readonly lines: number;
}

// Protects the memory of the relay from a reader that stalls and from a full disk; several thousand lines, so that a burst passes whole.
const MAX_HELD_BYTES = 1024 * 1024;
// What an entry costs besides its bytes.
const ENTRY_BYTES = 200;
// Lines that waited are written in pieces of this size, so that there is room again before a slow reader has read them all.
const BATCH_BYTES = 64 * 1024;
// What a stop waits for a reader that does not read.
const CLOSE_MS = 1_000;

export class LogOutput {
  readonly #sink: LogSink;
  readonly #note: (missing: number) => string;
  readonly #waiting: Entry[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  // Lines that were lost and that no note has counted yet.
  #missing = 0;
  readonly #onIdle: (() => void)[] = [];

  /** `note` makes the line that says how many lines are missing where it stands. */
  constructor(sink: LogSink, note: (missing: number) => string) {
    this.#sink = sink;
    this.#note = note;
  }

  /** Writes the line that `make` formats, now if the sink is ready. Never waits. */
  write(make: () => string): void {
    // While the sink is busy nothing is taken behind a gap, so that the note will stand where the lines are missing; nothing is formatted in vain.
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

  /** Waits until all lines are written, at most a second, and closes the sink. */
  async close(): Promise<void> {
    await this.#within(this.#idle());
    await this.#within(this.#sink.close());
  }

  async #within(work: Promise<void>): Promise<void> {
    await withinLimit(systemClock, CLOSE_MS, 'the log was closed', () => work).catch(() => undefined);
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
      // Only what was written says that a note would be, too.
      if (error === undefined) this.#addNote();
      this.#flush();
    });
    if (isWritten) this.#inFlightBytes = 0;
  }
}

function costOf({ bytes }: Entry): number {
  return bytes.length + ENTRY_BYTES;
}

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
