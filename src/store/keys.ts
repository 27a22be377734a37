/** How logs, tables and the summary are laid out in the ordered map, with a checksum in each value. */
import { crc32 } from 'node:zlib';
import type { KeyRange } from './engine.ts';

// 01                              the summary
// 02 <log> 00 <number, 6 bytes>   a record:  <checksum, 4 bytes> <value>
// 03 <table> 00 <key, UTF-8>      an entry:  <checksum, 4 bytes> <version, 6 bytes> <value>
const SUMMARY = 1;
const LOG = 2;
const TABLE = 3;
// Enough for a million records a second for nine years.
const NUMBER_BYTES = 6;
const CHECKSUM_BYTES = 4;

/** The key of the summary. */
export const SUMMARY_KEY = Buffer.from([SUMMARY]);

/** All keys of a store. */
export const EVERYTHING: KeyRange = { gte: Buffer.from([0]), lt: Buffer.from([0xff]) };

/** The bytes that a record or entry takes beyond its value and key, for the accounts of what waits. */
export const OVERHEAD_BYTES = 64;

/** True for what can be the name of a log or table. */
export function isName(text: string): boolean {
  return /^[a-z][a-z0-9-]{0,31}$/.test(text);
}

/** What a key stands for; `unknown` if we did not write it. */
export type ParsedKey =
  | { readonly type: 'summary' }
  | { readonly type: 'record'; readonly log: string; readonly number: number }
  | { readonly type: 'entry'; readonly table: string; readonly key: string }
  | { readonly type: 'unknown' };

/** Reads a key. */
export function parseKey(key: Buffer): ParsedKey {
  const kind = key[0];
  if (kind === SUMMARY && key.length === 1) return { type: 'summary' };
  const end = key.indexOf(0, 1);
  if (end < 2 || (kind !== LOG && kind !== TABLE)) return { type: 'unknown' };
  const name = key.toString('latin1', 1, end);
  if (!isName(name)) return { type: 'unknown' };
  if (kind === TABLE) return { type: 'entry', table: name, key: key.toString('utf8', end + 1) };
  return key.length === end + 1 + NUMBER_BYTES
    ? { type: 'record', log: name, number: key.readUIntBE(end + 1, NUMBER_BYTES) }
    : { type: 'unknown' };
}

/** Makes the keys and values of one log. */
export class LogLayout {
  readonly #head: Buffer;
  readonly #seed: number;

  constructor(name: string) {
    this.#head = headOf(LOG, name);
    this.#seed = crc32(name);
  }

  key(number: number): Buffer {
    const key = Buffer.allocUnsafe(this.#head.length + NUMBER_BYTES);
    this.#head.copy(key);
    key.writeUIntBE(number, this.#head.length, NUMBER_BYTES);
    return key;
  }

  /** True for a key of a record of this log. */
  owns(key: Buffer): boolean {
    const { length } = this.#head;
    return key.length === length + NUMBER_BYTES && key.compare(this.#head, 0, length, 0, length) === 0;
  }

  /** The number in a key of this log. */
  numberIn(key: Buffer): number {
    return key.readUIntBE(this.#head.length, NUMBER_BYTES);
  }

  /** Numbers `from` to before `to`. */
  range(from: number, to: number): KeyRange {
    return { gte: this.key(from), lt: this.key(to) };
  }

  encode(number: number, value: Buffer): Buffer {
    const stored = Buffer.allocUnsafe(CHECKSUM_BYTES + value.length);
    stored.writeUInt32BE(this.#checksum(number, value), 0);
    value.copy(stored, CHECKSUM_BYTES);
    return stored;
  }

  /** The value; undefined if the checksum is wrong. */
  decode(number: number, stored: Buffer): Buffer | undefined {
    if (stored.length < CHECKSUM_BYTES) return undefined;
    const value = stored.subarray(CHECKSUM_BYTES);
    return stored.readUInt32BE(0) === this.#checksum(number, value) ? value : undefined;
  }

  // The log and the number start the checksum, so that a record under a wrong key is noticed without a second pass.
  #checksum(number: number, value: Buffer): number {
    return crc32(value, (this.#seed ^ (number % 2 ** 32)) >>> 0);
  }
}

/** A value of a table with its version, the number of the commit that wrote it. */
export interface Versioned {
  readonly version: number;
  readonly value: Buffer;
}

/** Makes the keys and values of one table. */
export class TableLayout {
  readonly #head: Buffer;

  constructor(name: string) {
    this.#head = headOf(TABLE, name);
  }

  key(key: string): Buffer {
    return Buffer.concat([this.#head, Buffer.from(key, 'utf8')]);
  }

  keyIn(key: Buffer): string {
    return key.toString('utf8', this.#head.length);
  }

  /** The keys that begin with `prefix`. */
  range(prefix: string): KeyRange {
    const gte = this.key(prefix);
    // No byte of UTF-8 is 0xff.
    return { gte, lt: Buffer.concat([gte, Buffer.from([0xff])]) };
  }

  encode(key: Buffer, version: number, value: Buffer): Buffer {
    const stored = Buffer.allocUnsafe(CHECKSUM_BYTES + NUMBER_BYTES + value.length);
    stored.writeUIntBE(version, CHECKSUM_BYTES, NUMBER_BYTES);
    value.copy(stored, CHECKSUM_BYTES + NUMBER_BYTES);
    stored.writeUInt32BE(crc32(stored.subarray(CHECKSUM_BYTES), crc32(key)), 0);
    return stored;
  }

  /** The value and its version; undefined if the checksum is wrong. */
  decode(key: Buffer, stored: Buffer): Versioned | undefined {
    if (stored.length < CHECKSUM_BYTES + NUMBER_BYTES) return undefined;
    if (stored.readUInt32BE(0) !== crc32(stored.subarray(CHECKSUM_BYTES), crc32(key))) return undefined;
    return { version: stored.readUIntBE(CHECKSUM_BYTES, NUMBER_BYTES), value: stored.subarray(CHECKSUM_BYTES + NUMBER_BYTES) };
  }
}

/** Adds a checksum in front of a text. */
export function encodeText(text: string): Buffer {
  const stored = Buffer.allocUnsafe(CHECKSUM_BYTES + Buffer.byteLength(text));
  stored.write(text, CHECKSUM_BYTES, 'utf8');
  stored.writeUInt32BE(crc32(stored.subarray(CHECKSUM_BYTES)), 0);
  return stored;
}

/** The text; undefined if the checksum is wrong. */
export function decodeText(stored: Buffer): string | undefined {
  if (stored.length < CHECKSUM_BYTES) return undefined;
  const text = stored.subarray(CHECKSUM_BYTES);
  return stored.readUInt32BE(0) === crc32(text) ? text.toString('utf8') : undefined;
}

function headOf(kind: number, name: string): Buffer {
  return Buffer.from(`${String.fromCharCode(kind)}${name}\0`, 'latin1');
}
