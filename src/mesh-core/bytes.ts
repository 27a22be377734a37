/** Writes and reads canonical bytes: each value has exactly one form, and what is read is checked against its bounds. */
import { RelayError } from '../core/core.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// A varint of a safe integer has 53 bits: eight groups of seven bits.
const MAX_VARINT_BYTES = 8;

/** Appends values to a buffer. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  /** `capacity`: bytes for which there is room without another buffer. */
  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** Bytes that were written. */
  get length(): number {
    return this.#length;
  }

  /** One byte. */
  byte(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  /** A non-negative safe integer, seven bits per byte, the lowest first. */
  varint(value: number): this {
    this.#reserve(MAX_VARINT_BYTES);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
    return this;
  }

  /** Bytes whose number the reader knows. */
  raw(bytes: Buffer): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Bytes after their number. */
  bytes(bytes: Buffer): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** A text in UTF-8 after the number of its bytes. */
  text(text: string): this {
    // No unit of UTF-16 takes more than three bytes.
    this.#reserve(1 + 3 * text.length);
    const bytes = this.#buffer.write(text, this.#length + 1);
    if (bytes >= 0x80) return this.bytes(Buffer.from(text));
    // The number of bytes takes one, as for most texts.
    this.#buffer[this.#length] = bytes;
    this.#length += 1 + bytes;
    return this;
  }

  /** A copy of what was written, in memory of its own: it may be kept, and would keep all of a shared piece of 8 KiB with it. */
  end(): Buffer {
    const copy = Buffer.allocUnsafeSlow(this.#length);
    this.#buffer.copy(copy, 0, 0, this.#length);
    return copy;
  }

  /** A view of what was written from one position to another (default: all), for what is copied soon, and after the last change. */
  view(from = 0, to = this.#length): Buffer {
    return this.#buffer.subarray(from, to);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads what {@link ByteWriter} wrote. Every method throws a RelayError INVALID_PARAMS if the bytes are not what it wrote. */
export class ByteReader {
  #at = 0;

  constructor(
    private readonly source: Buffer,
    /** What the bytes are, for the text of an error: `a message`. */
    private readonly what: string,
  ) {}

  /** The offset of what is read next. */
  get at(): number {
    return this.#at;
  }

  byte(max = 0xff): number {
    const value = this.source[this.#at++];
    if (value === undefined || value > max) throw this.#malformed();
    return value;
  }

  /** Reads this byte. */
  expect(value: number): void {
    if (this.byte() !== value) throw this.#malformed();
  }

  varint(max = Number.MAX_SAFE_INTEGER): number {
    let [value, factor] = [0, 1];
    for (let count = 1; ; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        // A last byte of zero would be a second form of the same number.
        if (value > max || (byte === 0 && count > 1)) throw this.#malformed();
        return value;
      }
      if (count === MAX_VARINT_BYTES) throw this.#malformed();
      factor *= 0x80;
    }
  }

  /** A view of the source. */
  raw(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.source.length) throw this.#malformed();
    const bytes = this.source.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** A view of the source. */
  bytes(max: number): Buffer {
    return this.raw(this.varint(max));
  }

  /** Where the bytes are in the source that {@link bytes} would return: from one offset up to another. */
  span(max: number): readonly [number, number] {
    const length = this.varint(max);
    const start = this.#at;
    if (start + length > this.source.length) throw this.#malformed();
    this.#at += length;
    return [start, this.#at];
  }

  text(maxBytes: number): string {
    const length = this.varint(maxBytes);
    if (length === 0) return '';
    const [start, end] = [this.#at, this.#at + length];
    if (end > this.source.length) throw this.#malformed();
    this.#at = end;
    if (isAscii(this.source, start, end)) return this.source.toString('latin1', start, end);
    try {
      return UTF8.decode(this.source.subarray(start, end));
    } catch {
      throw this.#malformed();
    }
  }

  get isAtEnd(): boolean {
    return this.#at === this.source.length;
  }

  /** Checks that nothing follows. */
  end(): void {
    if (this.#at !== this.source.length) throw this.#malformed();
  }

  #malformed(): RelayError {
    return new RelayError('INVALID_PARAMS', `${this.what} of the mesh is malformed at byte ${Math.min(this.#at, this.source.length)}`);
  }
}

/** True if each byte is a letter of its own, as in most texts; they are decoded much faster. */
function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((bytes[at] ?? 0) >= 0x80) return false;
  return true;
}
