/** Decodes base64 strictly and in steps: groups of four with any white space between them, `=` only at the end. */
import { isBlank, LESS } from '../chars.ts';
import { refuse } from './parse-error.ts';
import type { ElementReader, TextEnd } from './element-reader.ts';
import type { TagBytes } from './tag-bytes.ts';

const PAD = 61;
const NO_DIGIT = 255;
const GROUP_BYTES = 3;
const DIGITS = digitTable();
// Ranges without white space are decoded natively, within these sizes in bytes; below the minimum the loop is faster.
const NATIVE_MIN = 192;
const NATIVE_MAX = 64 * 1024;

/** Decodes one value piece by piece. */
export class Base64Reader {
  // Never pooled memory: the ArrayBuffer of a returned value must not expose other bytes.
  #out: Buffer;
  #length = 0;
  // The digits of the incomplete group, as bits and count, and the number of `=` so far.
  #group = 0;
  #digits = 0;
  #padding = 0;
  #isWrong = false;
  // The end of a range that could not be decoded natively, so that it is tried once, however many references are in it.
  #slowTo = 0;
  /** True before the first character. */
  isEmpty = true;

  /** `from..to` is where most of the text is expected; memory is reserved for it. */
  constructor(bytes: Buffer, from: number, to: number) {
    this.#out = Buffer.allocUnsafeSlow(sizeOf(bytes, from, to));
  }

  /** Decodes `from..to`; returns the offset of the first byte that is not base64, or `to`. */
  feed(bytes: Buffer, from: number, to: number): number {
    if (to > from) this.isEmpty = false;
    this.#reserve(sizeOf(bytes, from, to, this.#digits));
    let at = from;
    while (at < to) {
      const next = this.#native(bytes, at, to);
      if (next > at) {
        at = next;
        continue;
      }
      // A group that was cut, as between two slices, is completed first.
      const end = Math.min(to, at + (this.#digits === 0 ? NATIVE_MAX : 4 - this.#digits));
      at = this.#loop(bytes, at, end);
      if (at < end) return at;
    }
    return at;
  }

  /** Decodes all of `from..to`; bytes that are not base64 are refused at the end, because errors of well-formedness come first. */
  text(bytes: Buffer, from: number, to: number): void {
    if (this.feed(bytes, from, to) < to) this.#isWrong = true;
  }

  /** Decodes the character of a reference. */
  point(point: number): void {
    this.isEmpty = false;
    this.#reserve(GROUP_BYTES);
    if (!this.#character(point)) this.#isWrong = true;
  }

  /** The bytes; refuses invalid base64 at the offset `at`. */
  finish(at: number): Buffer {
    const [digits, padding] = [this.#digits, this.#padding];
    if (this.#isWrong) refuse('INVALID_REQUEST', at, 'base64 consists of A-Z, a-z, 0-9, "+" and "/", with "=" only at the end');
    if ((digits + padding) % 4 !== 0 || padding > 2 || (padding > 0 && digits === 0)) {
      refuse('INVALID_REQUEST', at, 'the base64 is truncated or wrongly padded');
    }
    if (digits > 1) this.#out[this.#length++] = digits === 2 ? this.#group >> 4 : this.#group >> 10;
    if (digits === 3) this.#out[this.#length++] = (this.#group >> 2) & 255;
    return this.#length === this.#out.length ? this.#out : copyOf(this.#out, this.#length, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed > this.#out.length) this.#out = copyOf(this.#out, this.#length, Math.max(needed, 2 * this.#length));
  }

  // Decodes whole groups natively. Node skips characters that are not base64, so the number of bytes tells whether there were any.
  #native(bytes: Buffer, from: number, to: number): number {
    const whole = Math.min(to - from, NATIVE_MAX) & ~3;
    // A last group with `=` has fewer bytes than others, and is left to the loop.
    const length = bytes[from + whole - 1] === PAD ? whole - 4 : whole;
    if (length < NATIVE_MIN || this.#digits !== 0 || this.#padding !== 0 || from < this.#slowTo) return from;
    this.#slowTo = from + length;
    const text = bytes.toString('latin1', from, from + length);
    // Node also accepts the URL-safe alphabet; we do not.
    if (text.includes('-') || text.includes('_')) return from;
    const written = this.#out.write(text, this.#length, 'base64');
    if (written * 4 !== length * 3) return from;
    this.#length += written;
    return from + length;
  }

  #loop(bytes: Buffer, from: number, to: number): number {
    let at = from;
    for (; at < to; at++) {
      if (!this.#character(bytes[at] ?? 0)) break;
    }
    return at;
  }

  // Returns false if the character is not allowed in base64.
  #character(code: number): boolean {
    const digit = DIGITS[code] ?? NO_DIGIT;
    if (digit !== NO_DIGIT && this.#padding === 0) this.#digit(digit);
    else if (code === PAD) this.#padding++;
    else return isBlank(code);
    return true;
  }

  #digit(digit: number): void {
    this.#group = (this.#group << 6) | digit;
    if (++this.#digits < 4) return;
    this.#out[this.#length++] = this.#group >> 16;
    this.#out[this.#length++] = (this.#group >> 8) & 255;
    this.#out[this.#length++] = this.#group & 255;
    this.#group = 0;
    this.#digits = 0;
  }
}

// The decoded size of `from..to` if it has no white space, after `digits` digits of an incomplete group.
function sizeOf(bytes: Buffer, from: number, to: number, digits = 0): number {
  let end = to;
  while (end > from && end > to - 2 && bytes[end - 1] === PAD) end--;
  return Math.floor(((end - from + digits) * 3) / 4);
}

// The first `length` bytes in a buffer of `size`.
function copyOf(bytes: Buffer, length: number, size: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(size);
  bytes.copy(copy, 0, 0, length);
  return copy;
}

function digitTable(): Uint8Array {
  const table = new Uint8Array(256).fill(NO_DIGIT);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let digit = 0; digit < 64; digit++) table[alphabet.charCodeAt(digit)] = digit;
  return table;
}

/** The content of a `<base64>`, decoded while it is read, since it may be most of the document. The reader is after the start tag. */
export class Base64Element {
  readonly #reader: ElementReader;
  readonly #base64: Base64Reader;
  // The offset of the first markup; no tokens are needed before it.
  readonly #plainEnd: number;

  constructor(reader: ElementReader) {
    const { bytes, at } = reader;
    const end = bytes.indexOf(LESS, at);
    this.#reader = reader;
    this.#plainEnd = end === -1 ? bytes.length : end;
    this.#base64 = new Base64Reader(bytes, at, this.#plainEnd);
  }

  /**
   * Continues by at most one token; returns 'paused' if there is more. `end` is the end tag in its usual spelling, with the tag that
   * follows it.
   */
  read(end: TagBytes, open: string): TextEnd {
    const reader = this.#reader;
    const base64 = this.#base64;
    const { bytes, at } = reader;
    if (!reader.isEmptyTag && !reader.isInSection) {
      if (at < this.#plainEnd) reader.at = base64.feed(bytes, at, Math.min(reader.stop, this.#plainEnd));
      if (reader.isPaused) return 'paused';
      if (reader.takes(end)) return 'expected';
    }
    const token = reader.token(open);
    if (token === 'open' || token === 'close') return token;
    if ((token === 'text' || token === 'reference') && base64.isEmpty) reader.content.at = reader.from;
    if (token === 'text') base64.text(bytes, reader.from, reader.to);
    else if (token === 'reference') base64.point(reader.reference.point);
    return 'paused';
  }

  /** The bytes; refuses invalid base64. */
  finish(): Buffer {
    return this.#base64.finish(this.#reader.content.at);
  }
}
