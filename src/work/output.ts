/**
 * What one unit puts out under one name: a stream of bytes, and which bytes are one result. It is kept in memory while it is small, and in
 * two files from then on: the bytes themselves, and an index with the end and kind of each result.
 */
import { join } from 'node:path';
import { RelayError, reasonOf } from '../core/core.ts';
import { systemReason } from '../state/state.ts';
import { fileBytes } from '../streams/streams.ts';
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

/** Where a result ends, and what it is. */
interface ResultRecord {
  readonly end: number;
  readonly kind: ResultKind;
}

const KINDS: readonly ResultKind[] = ['bytes', 'text', 'struct'];
// A record in the index: the offset of the end, 6 bytes, and the kind, 2 bytes.
const RECORD_BYTES = 8;
/** A larger output is in files, so that many finished units take little memory and few large entries of the store. */
const MAX_MEMORY_BYTES = 64 * 1024;
// Records that are read and written at once; as many of the newest are in memory.
const RECORDS_AT_ONCE = 512;
// A producer that is faster than the disk waits while this much waits for the files to be opened.
const MAX_WAITING_BYTES = 256 * 1024;
const NO_BYTES = Buffer.alloc(0);

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

interface Files {
  readonly data: StreamStorage<Buffer>;
  readonly index: StreamStorage<Buffer>;
}

export class Output implements StreamStorage<OutputItem> {
  readonly #options: OutputOptions;
  readonly first = 0;
  refused = 0;
  /** Bytes that were taken. */
  #bytes = 0;
  /** The bytes while they are few; then those that wait until the files are open. */
  #data: Buffer[] = [];
  /** The newest records: all of those that are not in the index. */
  #records: ResultRecord[] = [];
  /** Records before the first of `#records`, which are in the index. */
  #indexed = 0;
  /** Records that were given to the index. */
  #filed = 0;
  #opening: Promise<Files> | undefined;
  #files: Files | undefined;
  #openFailure: RelayError | undefined;
  #changed = (): void => undefined;
  #isClosed = false;

  constructor(options: OutputOptions) {
    this.#options = options;
    const { stored, filedBytes = 0 } = options;
    this.#bytes = stored ? stored.bytes.length : filedBytes;
    if (!stored) return;
    this.#data = [stored.bytes];
    this.#records = recordsIn(stored.index);
  }

  /** Bytes that can be read. */
  get next(): number {
    if (this.#isRead) return this.#bytes;
    return this.#isFiled ? (this.#files?.data.next ?? 0) : this.#bytes;
  }

  get isWriting(): boolean {
    return this.#isFiled && !this.#isRead && this.failure === undefined && this.next < this.#bytes;
  }

  get bytes(): number {
    return this.#files ? this.#files.data.bytes : this.#data.reduce((sum, { length }) => sum + length, 0);
  }

  get failure(): string | undefined {
    const failure = this.#openFailure?.message ?? this.#files?.data.failure ?? this.#files?.index.failure;
    return failure === undefined ? undefined : `a result cannot be stored: ${failure}`;
  }

  start(changed: () => void): void {
    this.#changed = changed;
  }

  append({ kind, bytes }: OutputItem): void {
    const { failure } = this;
    if (failure !== undefined) throw new RelayError('STATE_DIRECTORY', failure);
    const room = Math.max(0, this.#options.maxBytes - this.#bytes);
    // A part of a struct, which is one line of JSON, is of no use.
    const taken = bytes.length <= room ? bytes : bytes.subarray(0, kind === 'struct' ? 0 : room);
    this.refused += bytes.length - taken.length;
    if (taken.length === 0 && bytes.length > 0) return;
    const before = this.#bytes;
    this.#bytes += taken.length;
    this.#records.push({ end: this.#bytes, kind });
    if (this.#files) this.#file(this.#files, taken);
    else {
      this.#data.push(taken);
      if (before + taken.length > MAX_MEMORY_BYTES) this.#open().catch(() => undefined);
    }
  }

  isFull(): boolean {
    if (this.#files) return this.#files.data.isFull(undefined);
    return this.#isFiled && this.#bytes > MAX_WAITING_BYTES;
  }

  async read(from: number, maxBytes: number, isRaw = false): Promise<readonly StreamItem<OutputItem>[]> {
    const { next } = this;
    if (from >= next) return [];
    if (isRaw) return this.#rawFrom(from, Math.min(maxBytes, next - from));
    const total = await this.#recordCount();
    let at = await this.#recordAt(from, total);
    const [before] = at === 0 ? [] : await this.#recordsFrom(at - 1, 1);
    // The rest of a text is bytes: it may begin inside a character.
    const isRest = from > (before?.end ?? 0);
    const items: StreamItem<OutputItem>[] = [];
    let [offset, size] = [from, 0];
    while (at < total) {
      for (const { end, kind } of await this.#recordsFrom(at, Math.min(RECORDS_AT_ONCE, total - at))) {
        // It is not written yet.
        if (end > next) return items;
        at++;
        // Bytes may be cut anywhere; texts and structs are whole.
        const isCut = kind === 'bytes' || (isRest && items.length === 0);
        const until = isCut ? Math.min(end, offset + Math.max(1, maxBytes - size)) : end;
        const bytes = await this.#bytesAt(offset, until - offset);
        items.push({ offset, next: until, item: { kind: isCut ? 'bytes' : kind, bytes } });
        size += bytes.length;
        offset = until;
        if (size >= maxBytes || until < end) return items;
      }
    }
    return items;
  }

  async sync(): Promise<void> {
    if (!this.#isFiled) return;
    try {
      const { data, index } = await this.#open();
      this.#writeIndex(index, 0);
      await data.sync();
      await index.sync();
    } catch (error) {
      throw new RelayError('STATE_DIRECTORY', this.failure ?? reasonOf(error), { cause: error });
    }
  }

  /** What the store is to keep; undefined if it is in files. */
  stored(): StoredOutput | undefined {
    return this.#isFiled ? undefined : { bytes: Buffer.concat(this.#data), index: indexOf(this.#records) };
  }

  /** Nothing can be read from files afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const files = await this.#opening?.catch(() => undefined);
    await files?.data.close();
    await files?.index.close();
  }

  /** True once it is in files. */
  get #isFiled(): boolean {
    return this.#opening !== undefined || this.#isRead;
  }

  /** True for the files of an earlier run. */
  get #isRead(): boolean {
    return this.#options.filedBytes !== undefined && this.#options.stored === undefined;
  }

  #open(): Promise<Files> {
    return (this.#opening ??= this.#openFiles());
  }

  async #openFiles(): Promise<Files> {
    const { directory, name } = this.#options;
    const isReadOnly = this.#isRead;
    try {
      const path = join(await directory(), name);
      const data = await fileBytes({ path, maxBytes: Infinity, isReadOnly });
      const index = await fileBytes({ path: `${path}.index`, maxBytes: Infinity, isReadOnly }).catch(async (error: unknown) => {
        await data.close();
        throw error;
      });
      const files = (this.#files = { data, index });
      data.start(() => {
        this.#changed();
      });
      index.start(() => {
        this.#forgetIndexed(index);
      });
      if (isReadOnly && data.next < this.#bytes) throw new Error(`${data.next} of ${this.#bytes} bytes are there`);
      if (isReadOnly) this.#indexed = Math.floor(index.next / RECORD_BYTES);
      for (const bytes of this.#data.splice(0)) this.#file(files, bytes);
      return files;
    } catch (error) {
      // The text has no path: it is shown to callers.
      const reason = RelayError.is(error) ? error.message : systemReason(error);
      this.#openFailure = new RelayError('STATE_DIRECTORY', isReadOnly ? `the results cannot be read: ${reason}` : reason, {
        cause: error,
      });
      this.#data = [];
      this.#changed();
      throw this.#openFailure;
    }
  }

  #file({ data, index }: Files, bytes: Buffer): void {
    data.append(bytes, undefined);
    this.#writeIndex(index, RECORDS_AT_ONCE);
  }

  /** Writes the records that are not in the index yet, if they are more than `most`. */
  #writeIndex(index: StreamStorage<Buffer>, most: number): void {
    const total = this.#indexed + this.#records.length;
    if (total - this.#filed <= most) return;
    index.append(indexOf(this.#records.slice(this.#filed - this.#indexed)), undefined);
    this.#filed = total;
  }

  /** Frees the memory of records that can be read from the index. */
  #forgetIndexed(index: StreamStorage<Buffer>): void {
    const written = index.next / RECORD_BYTES;
    if (written > this.#indexed) this.#records.splice(0, written - this.#indexed);
    this.#indexed = Math.max(this.#indexed, written);
  }

  async #recordCount(): Promise<number> {
    if (this.#isRead) await this.#openForReading();
    return this.#indexed + this.#records.length;
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

  /** Up to `count` records, at least one if there is one. */
  async #recordsFrom(at: number, count: number): Promise<readonly ResultRecord[]> {
    if (at >= this.#indexed) return this.#records.slice(at - this.#indexed, at - this.#indexed + count);
    const { index } = await this.#openForReading();
    return recordsIn(await wholeOf(index, at * RECORD_BYTES, Math.min(count, this.#indexed - at) * RECORD_BYTES));
  }

  async #rawFrom(from: number, length: number): Promise<readonly StreamItem<OutputItem>[]> {
    if (!this.#isFiled) {
      const bytes = this.#inMemory(from, length);
      return [{ offset: from, next: from + bytes.length, item: { kind: 'bytes', bytes } }];
    }
    const { data } = await this.#openForReading();
    const items = await data.read(from, length);
    return items.map(({ offset, next, item }) => ({ offset, next, item: { kind: 'bytes', bytes: item } }));
  }

  async #bytesAt(from: number, length: number): Promise<Buffer> {
    if (!this.#isFiled) return this.#inMemory(from, length);
    const { data } = await this.#openForReading();
    return wholeOf(data, from, length);
  }

  #inMemory(from: number, length: number): Buffer {
    // Appending many small results must not copy the earlier ones each time that they are read.
    if (this.#data.length > 1) this.#data = [Buffer.concat(this.#data)];
    return (this.#data[0] ?? NO_BYTES).subarray(from, from + length);
  }

  #openForReading(): Promise<Files> {
    if (!this.#isClosed) return this.#open();
    throw new RelayError('UNAVAILABLE', 'the results were closed while they were read; read on from this offset');
  }
}

function indexOf(records: readonly ResultRecord[]): Buffer {
  const index = Buffer.alloc(records.length * RECORD_BYTES);
  for (const [number, { end, kind }] of records.entries()) {
    index.writeUIntBE(end, number * RECORD_BYTES, 6);
    index.writeUInt16BE(KINDS.indexOf(kind), number * RECORD_BYTES + 6);
  }
  return index;
}

function recordsIn(index: Buffer): ResultRecord[] {
  return Array.from({ length: Math.floor(index.length / RECORD_BYTES) }, (_, number) => ({
    end: index.readUIntBE(number * RECORD_BYTES, 6),
    kind: KINDS[index.readUInt16BE(number * RECORD_BYTES + 6)] ?? 'bytes',
  }));
}

/** These bytes of a file, which has them. */
async function wholeOf(file: StreamStorage<Buffer>, from: number, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let [at, end] = [from, from + length]; at < end;) {
    const items = await file.read(at, end - at);
    if (items.length === 0) break;
    for (const { next, item } of items) {
      parts.push(item);
      at = next;
    }
  }
  const [first = NO_BYTES] = parts;
  return parts.length === 1 ? first : Buffer.concat(parts);
}
