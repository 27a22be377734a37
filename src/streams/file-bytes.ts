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
  /** True: nothing is appended, and the file must exist. Default false. */
  readonly isReadOnly?: boolean | undefined;
}

// A producer that is faster than the disk waits while this much is not written: enough to write on while the producer makes more.
const MAX_WAITING_BYTES = 256 * 1024;
// The newest bytes, kept in memory so that readers that follow the producer need no disk: twice of what is written at once.
const TAIL_BYTES = 512 * 1024;

/** Opens the storage of a stream of bytes; offsets count bytes. Rejects with a RelayError STATE_DIRECTORY. */
export async function fileBytes({ path, maxBytes, isReadOnly = false }: FileBytesOptions): Promise<StreamStorage<Buffer>> {
  try {
    // Not for appending, where the system ignores positions.
    const file = isReadOnly ? await open(path, 'r') : await open(path, 'r+').catch(() => open(path, 'wx+', 0o600));
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
    if (from >= start) return this.#fromTail(from, end, start);
    const item = await this.#fromFile(from, end);
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
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    for (let at = 0; at < bytes;) {
      // The system may take a part only.
      const rest = at === 0 ? parts : [Buffer.concat(parts).subarray(at)];
      at += (await this.file.writev(rest, this.#written + at)).bytesWritten;
    }
    this.#written += bytes;
    this.#waitingBytes -= bytes;
    this.#tail.push(...parts);
    this.#tailBytes += bytes;
    while (this.#tailBytes > TAIL_BYTES) this.#tailBytes -= this.#tail.shift()?.length ?? 0;
    this.#changed();
  }

  /** The parts of the tail, which begins at `start`, as they are: copying them would cost more than the rest. */
  #fromTail(from: number, to: number, start: number): readonly StreamItem<Buffer>[] {
    const items: StreamItem<Buffer>[] = [];
    let at = start;
    for (const part of this.#tail) {
      const [offset, next] = [Math.max(from, at), Math.min(to, at + part.length)];
      if (offset < next) items.push({ offset, next, item: part.subarray(offset - at, next - at) });
      at += part.length;
    }
    return items;
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
