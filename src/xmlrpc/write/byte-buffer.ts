/** The output buffer: bytes in chunks that grow as needed, and prebuilt byte sequences for frequent tags. */

import { ownCopy } from '../../core/core.ts';

/**
 * An ASCII text that is written eight bytes at a time, as doubles, the widest type that V8 stores. None of them is a NaN, which V8 might
 * change.
 */
export interface Tag {
  /** Little-endian; the last one is padded with zeros. */
  readonly words: Float64Array;
  /** Bytes without the padding. */
  readonly length: number;
}

const WORD = 8;

/** The tag of an ASCII text. */
export function tagOf(text: string): Tag {
  const bytes = Buffer.alloc(Math.ceil(text.length / WORD) * WORD);
  bytes.write(text, 'latin1');
  return { words: Float64Array.from({ length: bytes.length / WORD }, (_, index) => bytes.readDoubleLE(index * WORD)), length: text.length };
}

// Bytes of a chunk. The first chunk is kept between messages, so all but the rare large message are written to warm memory.
const CHUNK = 1024 * 1024;
const MAX_MOVED = 64 * 1024;
const WELL_FILLED = 0.9;
// Tags are written in whole words, so bytes beyond the end of a tag change, too.
const OVERHANG = WORD;

/** Bytes that are being written. Callers reserve space before they write; `bytes` and `at` change when a chunk is full. */
export class ByteBuffer {
  readonly #first: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  // The chunks before `bytes`, each with its written part.
  readonly #full: { readonly chunk: Buffer; readonly written: Buffer }[] = [];
  #fullBytes = 0;
  /** The current chunk. */
  bytes = this.#first;
  /** A view of the current chunk. */
  view = viewOf(this.bytes);
  /** The offset of the next byte in `bytes`. */
  at = 0;

  /** Bytes written so far. */
  get size(): number {
    return this.#fullBytes + this.at;
  }

  /** Reserves space for `count` bytes at `at`, and for the overhang of one tag after them. */
  reserve(count: number): void {
    if (this.at + count + OVERHANG > this.bytes.length) this.#nextChunk(count + OVERHANG);
  }

  /** Writes a tag; the caller has reserved the space. */
  tag({ words, length }: Tag): void {
    const { view } = this;
    let at = this.at;
    // The innermost loop of all writing, hence no iterator.
    for (let index = 0; index < words.length; index++, at += WORD) view.setFloat64(at, words[index] ?? 0, true);
    this.at += length;
  }

  /** Writes ASCII characters; the caller has reserved the space. */
  ascii(text: string): void {
    const { bytes } = this;
    let { at } = this;
    for (let index = 0; index < text.length; index++) bytes[at++] = text.charCodeAt(index);
    this.at = at;
  }

  /** Writes any text as UTF-8 and reserves the space itself; lone surrogates become U+FFFD. */
  utf8(text: string): void {
    // A text that fits in the worst case need not be measured.
    this.reserve(text.length * 3 <= CHUNK ? text.length * 3 : Buffer.byteLength(text, 'utf8'));
    this.at += this.bytes.write(text, this.at, 'utf8');
  }

  /** Writes bytes of `source` and reserves the space itself. */
  raw(source: Buffer, from: number, to: number): void {
    this.reserve(to - from);
    this.at += source.copy(this.bytes, this.at, from, to);
  }

  /** Writes a 32-bit integer as decimal digits; the caller has reserved 11 bytes. */
  int32(value: number): void {
    const { bytes } = this;
    let rest = value;
    if (rest < 0) {
      bytes[this.at++] = 45;
      rest = -rest;
    }
    const end = this.at + digitsOf(rest);
    this.at = end;
    for (let at = end - 1; ; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = 48 + rest - tenth * 10;
      if (tenth === 0) return;
      rest = tenth;
    }
  }

  /** A copy of the written bytes. Nothing may be written afterwards. */
  copy(): Buffer {
    const own = this.own();
    if (own) return own;
    if (this.#full.length > 0) return Buffer.concat(this.parts(), this.size);
    const copy = Buffer.allocUnsafe(this.at);
    this.bytes.copy(copy, 0, 0, this.at);
    return copy;
  }

  /** A copy of the bytes `from..to` of all that were written, in memory of its own. */
  ownCopy(from: number, to: number): Buffer {
    return ownCopy(this.#full.length > 0 ? Buffer.concat(this.parts(), this.size) : this.bytes, from, to);
  }

  /** The written bytes without a copy, if they fill a chunk that is not reused; otherwise undefined. Nothing may be written afterwards. */
  own(): Buffer | undefined {
    const isAlone = this.#full.length === 0 && this.bytes !== this.#first;
    return isAlone && this.at >= this.bytes.length * WELL_FILLED ? this.#last() : undefined;
  }

  /** The written bytes in parts that belong to this buffer: they change when it is cleared. */
  parts(): readonly Buffer[] {
    return [...this.#full.map(({ written }) => written), this.#last()];
  }

  /** Discards everything after the first `size` bytes. */
  truncate(size: number): void {
    while (this.#fullBytes > size) {
      const last = this.#full.pop();
      if (!last) break;
      this.#fullBytes -= last.written.length;
      this.#use(last.chunk);
    }
    this.at = size - this.#fullBytes;
  }

  /** Discards all bytes, and releases all chunks but the first. */
  clear(): void {
    this.#full.length = 0;
    this.#fullBytes = 0;
    this.at = 0;
    if (this.bytes !== this.#first) this.#use(this.#first);
  }

  #last(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  #nextChunk(count: number): void {
    const [chunk, written] = [this.bytes, this.#last()];
    // Keeps a long value in one chunk, together with the few bytes before it.
    const isMoved = this.#full.length === 0 && this.at <= MAX_MOVED && count > CHUNK;
    const moved = isMoved ? this.at : 0;
    this.#use(Buffer.allocUnsafeSlow(Math.max(CHUNK, moved + count)));
    this.at = moved;
    if (isMoved) {
      written.copy(this.bytes);
    } else {
      this.#full.push({ chunk, written });
      this.#fullBytes += written.length;
    }
  }

  #use(chunk: Buffer): void {
    this.bytes = chunk;
    this.view = viewOf(chunk);
  }
}

// The buffer that is not in use. Several may be in use at once: a getter may write a message while another one is being written.
let spare: ByteBuffer | undefined;

/** An empty buffer, to be returned to {@link releaseBuffer}. */
export function takeBuffer(): ByteBuffer {
  const buffer = spare ?? new ByteBuffer();
  spare = undefined;
  return buffer;
}

/** Returns a buffer. */
export function releaseBuffer(buffer: ByteBuffer): void {
  buffer.clear();
  spare = buffer;
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function digitsOf(value: number): number {
  let count = 1;
  for (let limit = 10; limit <= value; limit *= 10) count++;
  return count;
}
