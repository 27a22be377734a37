/**
 * What one unit puts out under one name: a stream of bytes, and which bytes are one result. It is kept in memory while it is small, and in
 * two files from then on: the bytes themselves, and an index with the end and kind of each result.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { RelayError } from '../core/core.ts';
import { systemReason } from '../state/state.ts';
import type { StreamItem, StreamStorage } from '../streams/streams.ts';

/** What a result is: bytes, a text in UTF-8, or a struct as one line of JSON. */
export type ResultKind = 'bytes' | 'text' | 'struct';

/** A result, or the rest of one from an offset inside it. */
export interface OutputItem {
  readonly kind: ResultKind;
  readonly bytes: Buffer;
}

/** A small output as the store keeps it. */
export interface StoredOutput {
  readonly bytes: Buffer;
  readonly index: Buffer;
}

const KINDS: readonly ResultKind[] = ['bytes', 'text', 'struct'];
// An index record: the offset of the end, 6 bytes, and the kind, 2 bytes.
const RECORD_BYTES = 8;
/** A larger output is in files, so that many finished units take little memory and few large entries of the store. */
const MAX_MEMORY_BYTES = 64 * 1024;
// Index records that are read at once.
const RECORDS_AT_ONCE = 512;

export interface OutputOptions {
  /** The directory of the unit; created when it is needed. */
  readonly directory: () => Promise<string>;
  /** `results`, `stdout`, `stderr` */
  readonly name: string;
  /** Bytes that are taken; the rest is refused. */
  readonly maxBytes: number;
  /** What it already holds. Default nothing. */
  readonly stored?: StoredOutput | undefined;
  /** Bytes of results in the files of an earlier run. Default: there are no files. */
  readonly filedBytes?: number | undefined;
}

// A producer that is faster than the disk waits while this much is not written.
const MAX_WAITING_BYTES = 1024 * 1024;

interface Files {
  readonly data: FileHandle;
  readonly index: FileHandle;
}

export class Output implements StreamStorage<OutputItem> {
  readonly #options: OutputOptions;
  readonly first = 0;
  /** Bytes that can be read. */
  next = 0;
  refused = 0;
  #failure: RelayError | undefined;
  /** Results that can be read. */
  #records = 0;
  /** What is kept in memory. */
  #data: Buffer[] = [];
  #index: Buffer[] = [];
  /** True once it is in files. */
  #isFiled: boolean;
  #files: Promise<Files> | undefined;
  /** What is to be written to the files. */
  #waiting: OutputItem[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #changed = (): void => undefined;
  #isClosed = false;

  constructor(options: OutputOptions) {
    this.#options = options;
    const { stored, filedBytes } = options;
    this.#isFiled = filedBytes !== undefined && stored === undefined;
    if (stored) {
      this.#data = [stored.bytes];
      this.#index = [stored.index];
      this.next = stored.bytes.length;
      this.#records = stored.index.length / RECORD_BYTES;
    } else if (filedBytes !== undefined) this.next = filedBytes;
  }

  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  get bytes(): number {
    return this.#isFiled ? this.#waitingBytes : this.next;
  }

  get failure(): string | undefined {
    return this.#failure?.message;
  }

  start(changed: () => void): void {
    this.#changed = changed;
  }

  append({ kind, bytes }: OutputItem): void {
    if (this.#failure) throw this.#failure;
    const room = Math.max(0, this.#options.maxBytes - this.next - this.#waitingBytes);
    // A part of a struct, which is one line of JSON, is of no use.
    const taken = bytes.length <= room ? bytes : bytes.subarray(0, kind === 'struct' ? 0 : room);
    this.refused += bytes.length - taken.length;
    if (taken.length === 0 && bytes.length > 0) return;
    if (!this.#isFiled && this.next + taken.length <= MAX_MEMORY_BYTES) {
      this.#data.push(taken);
      this.next += taken.length;
      this.#index.push(recordOf(this.next, kind));
      this.#records++;
      return;
    }
    this.#isFiled = true;
    this.#waiting.push({ kind, bytes: taken });
    this.#waitingBytes += taken.length;
    this.#writing ??= this.#writeAll();
  }

  isFull(): boolean {
    return this.#waitingBytes > MAX_WAITING_BYTES;
  }

  async read(from: number, maxBytes: number, isRaw = false): Promise<readonly StreamItem<OutputItem>[]> {
    if (from >= this.next) return [];
    if (isRaw) {
      const bytes = await this.#bytesAt('data', from, Math.min(maxBytes, this.next - from));
      return [{ offset: from, next: from + bytes.length, item: { kind: 'bytes', bytes } }];
    }
    const records = await this.#recordCount();
    let at = await this.#recordAt(from, records);
    const [before] = at === 0 ? [] : await this.#recordsFrom(at - 1, 1);
    // The rest of a text is bytes: it may begin inside a character.
    const isRest = from > (before?.end ?? 0);
    const items: StreamItem<OutputItem>[] = [];
    let [offset, total] = [from, 0];
    while (at < records && (items.length === 0 || total < maxBytes)) {
      for (const { end, kind } of await this.#recordsFrom(at, Math.min(RECORDS_AT_ONCE, records - at))) {
        at++;
        // Bytes may be cut anywhere; texts and structs are whole.
        const isCut = kind === 'bytes' || (isRest && items.length === 0);
        const until = isCut ? Math.min(end, offset + Math.max(1, maxBytes - total)) : end;
        const bytes = await this.#bytesAt('data', offset, until - offset);
        items.push({ offset, next: until, item: { kind: isCut ? 'bytes' : kind, bytes } });
        total += bytes.length;
        offset = until;
        if (total >= maxBytes || until < end) return items;
      }
    }
    return items;
  }

  async sync(): Promise<void> {
    while (this.#writing) await this.#writing;
    if (this.#failure) throw this.#failure;
    const files = await this.#files;
    await files?.data.datasync();
    await files?.index.datasync();
  }

  /** What the store is to keep; undefined if it is in files. */
  stored(): StoredOutput | undefined {
    return this.#isFiled ? undefined : { bytes: Buffer.concat(this.#data), index: Buffer.concat(this.#index) };
  }

  /** Nothing can be read from files afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#writing) await this.#writing;
    const files = await this.#files?.catch(() => undefined);
    this.#files = undefined;
    await files?.data.close();
    await files?.index.close();
  }

  async #writeAll(): Promise<void> {
    try {
      const files = await this.#open();
      // What is pushed in the same turn is written together.
      while (this.#waiting.length > 0) await this.#write(files, this.#waiting.splice(0));
    } catch (error) {
      this.#failure = new RelayError('STATE_DIRECTORY', `a result cannot be stored: ${systemReason(error)}`, { cause: error });
      this.#waiting = [];
      this.#waitingBytes = 0;
    }
    this.#writing = undefined;
    this.#changed();
  }

  async #write({ data, index }: Files, items: readonly OutputItem[]): Promise<void> {
    let end = this.next;
    const records = items.map(({ kind, bytes }) => recordOf((end += bytes.length), kind));
    await writeWhole(data, Buffer.concat(items.map(({ bytes }) => bytes)), this.next);
    // The index last: a result without its record was not completely written.
    await writeWhole(index, Buffer.concat(records), this.#records * RECORD_BYTES);
    this.#waitingBytes -= end - this.next;
    this.#records += items.length;
    this.next = end;
    this.#changed();
  }

  #open(): Promise<Files> {
    return (this.#files ??= this.#openFiles());
  }

  async #openFiles(): Promise<Files> {
    const { directory, name, filedBytes } = this.#options;
    const path = join(await directory(), name);
    const flags = filedBytes === undefined ? 'w+' : 'r';
    const files = { data: await open(path, flags, 0o600), index: await open(`${path}.index`, flags, 0o600) };
    if (filedBytes !== undefined) return files;
    await writeWhole(files.data, Buffer.concat(this.#data), 0);
    await writeWhole(files.index, Buffer.concat(this.#index), 0);
    this.#data = [];
    this.#index = [];
    return files;
  }

  /** Results that can be read: those of an earlier run are counted by the size of their index. */
  async #recordCount(): Promise<number> {
    if (this.#options.filedBytes === undefined || !this.#isFiled) return this.#records;
    const { index } = await this.#open();
    return (this.#records = Math.floor((await index.stat()).size / RECORD_BYTES));
  }

  /** The number of the record of the result in which `offset` is: the first one that ends after it. */
  async #recordAt(offset: number, records: number): Promise<number> {
    let [low, high] = [0, records];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [record] = await this.#recordsFrom(middle, 1);
      if (record && record.end > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  async #recordsFrom(at: number, count: number): Promise<readonly { readonly end: number; readonly kind: ResultKind }[]> {
    const bytes = await this.#bytesAt('index', at * RECORD_BYTES, count * RECORD_BYTES);
    return Array.from({ length: Math.floor(bytes.length / RECORD_BYTES) }, (_, number) => ({
      end: bytes.readUIntBE(number * RECORD_BYTES, 6),
      kind: KINDS[bytes.readUInt16BE(number * RECORD_BYTES + 6)] ?? 'bytes',
    }));
  }

  async #bytesAt(which: 'data' | 'index', from: number, length: number): Promise<Buffer> {
    const parts = which === 'data' ? this.#data : this.#index;
    if (parts.length > 0) {
      // Appending many small results must not copy the earlier ones each time that they are read.
      if (parts.length > 1) parts.splice(0, parts.length, Buffer.concat(parts));
      return (parts[0] ?? NO_BYTES).subarray(from, from + length);
    }
    if (!this.#isFiled) return NO_BYTES;
    // Opening the files of a run again would truncate them.
    if (this.#isClosed) throw new RelayError('UNAVAILABLE', 'the results were closed while they were read; read on from this offset');
    const files = await this.#open();
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await files[which].read(buffer, 0, length, from);
    return buffer.subarray(0, bytesRead);
  }
}

const NO_BYTES = Buffer.alloc(0);

function recordOf(end: number, kind: ResultKind): Buffer {
  const record = Buffer.alloc(RECORD_BYTES);
  record.writeUIntBE(end, 0, 6);
  record.writeUInt16BE(KINDS.indexOf(kind), 6);
  return record;
}

async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
