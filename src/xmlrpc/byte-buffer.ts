/** Where messages are written: bytes in chunks that grow as needed, and prebuilt byte sequences for what is written often. */

/**
 * An ASCII text, ready to be written eight bytes at a time: as doubles, for V8 stores nothing wider. None of them is a NaN, which it might
 * rewrite.
 */
export interface Tag {
  /** Little-endian, the last one filled up with zeros. */
  readonly words: Float64Array;
  /** Bytes without the filling. */
  readonly length: number;
}

const WORD = 8;

/** The tag of an ASCII text. */
export function tagOf(text: string): Tag {
  const bytes = Buffer.alloc(Math.ceil(text.length / WORD) * WORD);
  bytes.write(text, 'latin1');
  return { words: Float64Array.from({ length: bytes.length / WORD }, (_, index) => bytes.readDoubleLE(index * WORD)), length: text.length };
}

// The first one is kept between messages, so all but the rare large one is written to warm memory; of one that nobody wrote to the system
// has no page.
const CHUNK = 1024 * 1024;
const MAX_MOVED = 64 * 1024;
const WELL_FILLED = 0.9;
// A tag is written in whole words, so bytes beyond its end are touched.
const OVERHANG = WORD;

/** Bytes that are being written. Whoever writes reserves first; `bytes` and `at` change when a chunk is full. */
export class ByteBuffer {
  readonly #first: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  // Of each chunk before `bytes` what was written of it.
  readonly #full: { readonly chunk: Buffer; readonly written: Buffer }[] = [];
  #fullBytes = 0;
  /** The chunk that is written to. */
  bytes = this.#first;
  /** The same chunk. */
  view = viewOf(this.bytes);
  /** The next byte of `bytes`. */
  at = 0;

  /** Bytes written so far. */
  get size(): number {
    return this.#fullBytes + this.at;
  }

  /** Makes room for `count` bytes at `at`, and for one tag's overhang behind them. */
  reserve(count: number): void {
    if (this.at + count + OVERHANG > this.bytes.length) this.#nextChunk(count + OVERHANG);
  }

  /** Writes a tag; room for it is reserved. */
  tag({ words, length }: Tag): void {
    const { view } = this;
    let at = this.at;
    // Counted by hand: this is the innermost loop of all.
    for (let index = 0; index < words.length; index++, at += WORD) view.setFloat64(at, words[index] ?? 0, true);
    this.at += length;
  }

  /** Writes a text of ASCII characters; room for it is reserved. */
  ascii(text: string): void {
    const { bytes } = this;
    let { at } = this;
    for (let index = 0; index < text.length; index++) bytes[at++] = text.charCodeAt(index);
    this.at = at;
  }

  /** Writes any text as UTF-8, and reserves the room itself; half a pair of surrogates becomes U+FFFD. */
  utf8(text: string): void {
    // What fits in any case is not measured.
    this.reserve(text.length * 3 <= CHUNK ? text.length * 3 : Buffer.byteLength(text, 'utf8'));
    this.at += this.bytes.write(text, this.at, 'utf8');
  }

  /** Writes a whole number as decimal digits; room for 11 of them is reserved. */
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

  /** What was written, as bytes of its own; nothing more is written then. */
  copy(): Buffer {
    const own = this.own();
    if (own) return own;
    if (this.#full.length > 0) return Buffer.concat(this.parts(), this.size);
    const copy = Buffer.allocUnsafe(this.at);
    this.bytes.copy(copy, 0, 0, this.at);
    return copy;
  }

  /** What was written, without a copy, if it fills a chunk that is not kept; undefined if not. Nothing more is written then. */
  own(): Buffer | undefined {
    const isAlone = this.#full.length === 0 && this.bytes !== this.#first;
    return isAlone && this.at >= this.bytes.length * WELL_FILLED ? this.#last() : undefined;
  }

  /** What was written, in parts that are this buffer's own: they change when it is cleared. */
  parts(): readonly Buffer[] {
    return [...this.#full.map(({ written }) => written), this.#last()];
  }

  /** What was written, as text. */
  text(): string {
    return this.#full.length === 0 ? this.bytes.toString('utf8', 0, this.at) : this.copy().toString('utf8');
  }

  /** Forgets what was written behind the first `size` bytes. */
  truncate(size: number): void {
    while (this.#fullBytes > size) {
      const last = this.#full.pop();
      if (!last) break;
      this.#fullBytes -= last.written.length;
      this.#use(last.chunk);
    }
    this.at = size - this.#fullBytes;
  }

  /** Forgets what was written, and all memory but that of the first chunk. */
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
    // So that what is long comes to stand in one chunk with the little before it.
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

// The one that is not in use. A getter of a value may write a message while another is being written, and large ones take turns.
let spare: ByteBuffer | undefined;

/** A cleared buffer; it is given back to {@link releaseBuffer}. */
export function takeBuffer(): ByteBuffer {
  const own = spare ?? new ByteBuffer();
  spare = undefined;
  return own;
}

/** Ends the use of a buffer. */
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
