/**
 * Keeps a stream of bytes in a file, in which the offset of a byte is its position. A reader sees only what is written, so what it got is
 * still there after the end of this process.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { RelayError } from '../core/core.ts';
import type { StreamItem, StreamStorage } from './port.ts';

/** The file of a stream. */
export interface FileBytesOptions {
  /** Absolute; its directory exists. What the file holds is the beginning of the stream. It is created with mode 0600. */
  readonly path: string;
  /** What exceeds it is not taken, and counted. */
  readonly maxBytes: number;
}

// A producer that is faster than the disk waits while this much is not written.
const MAX_WAITING_BYTES = 1024 * 1024;
// The newest bytes, kept in memory so that readers that follow the producer need no disk.
const TAIL_BYTES = 256 * 1024;

/** Opens the storage of a stream of bytes; offsets count bytes. Rejects with a RelayError STATE_DIRECTORY. */
export async function fileBytes({ path, maxBytes }: FileBytesOptions): Promise<StreamStorage<Buffer>> {
  try {
    // Not for appending, where the system ignores positions.
    const file = await open(path, 'r+').catch(() => open(path, 'wx+', 0o600));
    const { size } = await file.stat();
    return new FileBytes(file, size, maxBytes);
  } catch (error) {
    throw failed('opened', error);
  }
}

class FileBytes implements StreamStorage<Buffer> {
  readonly first = 0;
  #changed = (): void => undefined;
  /** Bytes that are written and can be read. */
  #written: number;
  /** The newest written bytes, oldest first; they end at `#written`. */
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #refused = 0;
  #failure: RelayError | undefined;

  constructor(
    private readonly file: FileHandle,
    size: number,
    private readonly maxBytes: number,
  ) {
    this.#written = size;
  }

  get next(): number {
    return this.#written;
  }

  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  get bytes(): number {
    return this.#tailBytes + this.#waitingBytes;
  }

  get refused(): number {
    return this.#refused;
  }

  get failure(): string | undefined {
    return this.#failure?.message;
  }

  start(changed: () => void): void {
    this.#changed = changed;
  }

  append(item: Buffer): void {
    if (this.#failure) throw this.#failure;
    const taken = item.subarray(0, Math.max(0, this.maxBytes - this.#written - this.#waitingBytes));
    this.#refused += item.length - taken.length;
    if (taken.length === 0) return;
    this.#waiting.push(taken);
    this.#waitingBytes += taken.length;
    this.#writing ??= this.#writeAll();
  }

  isFull(): boolean {
    return this.#waitingBytes > MAX_WAITING_BYTES;
  }

  async read(from: number, maxBytes: number): Promise<readonly StreamItem<Buffer>[]> {
    const end = Math.min(this.#written, from + maxBytes);
    if (from >= end) return [];
    const start = this.#written - this.#tailBytes;
    const item = from >= start ? this.#fromTail(from - start, end - start) : await this.#fromFile(from, end);
    return [{ offset: from, next: from + item.length, item }];
  }

  async sync(): Promise<void> {
    while (this.#writing) await this.#writing;
    if (this.#failure) throw this.#failure;
    try {
      await this.file.datasync();
    } catch (error) {
      this.#fail(error);
      throw failed('written', error);
    }
  }

  async close(): Promise<void> {
    while (this.#writing) await this.#writing;
    this.#tail = [];
    this.#tailBytes = 0;
    await this.file.close();
  }

  async #writeAll(): Promise<void> {
    // What is pushed in the same turn is written together.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0));
    } catch (error) {
      this.#fail(error);
    }
    this.#writing = undefined;
    this.#changed();
  }

  async #write(parts: readonly Buffer[]): Promise<void> {
    const [first = Buffer.alloc(0)] = parts;
    const whole = parts.length === 1 ? first : Buffer.concat(parts);
    for (let at = 0; at < whole.length;) {
      const { bytesWritten } = await this.file.write(whole, at, whole.length - at, this.#written + at);
      at += bytesWritten;
    }
    this.#written += whole.length;
    this.#waitingBytes -= whole.length;
    this.#tail.push(whole);
    this.#tailBytes += whole.length;
    while (this.#tailBytes > TAIL_BYTES) this.#tailBytes -= this.#tail.shift()?.length ?? 0;
    this.#changed();
  }

  #fromTail(from: number, to: number): Buffer {
    const parts: Buffer[] = [];
    let at = 0;
    for (const part of this.#tail) {
      if (at + part.length > from && at < to) parts.push(part.subarray(Math.max(0, from - at), to - at));
      at += part.length;
    }
    const [first = Buffer.alloc(0)] = parts;
    return parts.length === 1 ? first : Buffer.concat(parts);
  }

  async #fromFile(from: number, to: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(to - from);
    const { bytesRead } = await this.file.read(buffer, 0, buffer.length, from).catch((error: unknown) => {
      throw failed('read', error);
    });
    // Somebody else cut it.
    if (bytesRead === 0) throw failed(`read: it ends before byte ${from}, though ${this.#written} were written`);
    return buffer.subarray(0, bytesRead);
  }

  #fail(error: unknown): void {
    this.#failure = failed('written', error);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

// Callers see the text, so it has no path; the log has the cause.
function failed(what: string, error?: unknown): RelayError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return new RelayError('STATE_DIRECTORY', `the file of a stream cannot be ${what}${code === undefined ? '' : ` (${code})`}`, {
    cause: error,
  });
}
