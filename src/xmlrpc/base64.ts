/** base64 to bytes, strictly and in steps: groups of four with any white space between them, `=` only at the end. */
import { isBlank } from './chars.ts';
import { refuse } from './refuse.ts';

const PAD = 61;
const NO_DIGIT = 255;
const GROUP_BYTES = 3;
const DIGITS = digitTable();
// A stretch without white space is decoded natively, this much at once; below the lower bound the loop is faster.
const NATIVE_MIN = 192;
const NATIVE_MAX = 64 * 1024;

/** One value; it comes piece by piece. */
export class Base64Reader {
  // A buffer of its own: the bytes of another value, or of nobody, can be reached from none that is handed out.
  #out: Buffer;
  #length = 0;
  // Digits of the group that is not complete, as bits and count, and `=` so far.
  #group = 0;
  #digits = 0;
  #padding = 0;
  #isWrong = false;
  /** True until the first character came. */
  isEmpty = true;

  /** `from..to`: where most of the text is expected, for which room is made. */
  constructor(bytes: Buffer, from: number, to: number) {
    this.#out = Buffer.allocUnsafeSlow(sizeOf(bytes, from, to));
  }

  /** Reads on from `from` to `to`; gives the offset of the first byte that is no base64, or `to`. */
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
      const end = Math.min(to, at + NATIVE_MAX);
      at = this.#loop(bytes, at, end);
      if (at < end) return at;
    }
    return at;
  }

  /** Reads all of `from..to`; what is no base64 is refused at the end, for the text has to be well-formed first. */
  text(bytes: Buffer, from: number, to: number): void {
    if (this.feed(bytes, from, to) < to) this.#isWrong = true;
  }

  /** Reads a character that stands as a reference. */
  point(point: number): void {
    this.isEmpty = false;
    this.#reserve(GROUP_BYTES);
    if (!this.#character(point)) this.#isWrong = true;
  }

  /** The bytes; refuses what is no base64, at `at`. */
  finish(at: number): Buffer {
    const [digits, padding] = [this.#digits, this.#padding];
    if (this.#isWrong) refuse('INVALID_REQUEST', at, 'base64 is A-Z, a-z, 0-9, "+" and "/", with "=" at the end only');
    if ((digits + padding) % 4 !== 0 || padding > 2 || (padding > 0 && digits === 0)) {
      refuse('INVALID_REQUEST', at, 'the base64 is cut short or padded wrongly');
    }
    if (digits > 1) this.#out[this.#length++] = digits === 2 ? this.#group >> 4 : this.#group >> 10;
    if (digits === 3) this.#out[this.#length++] = (this.#group >> 2) & 255;
    return this.#length === this.#out.length ? this.#out : copyOf(this.#out, this.#length, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed > this.#out.length) this.#out = copyOf(this.#out, this.#length, Math.max(needed, 2 * this.#length));
  }

  // As many whole groups as Node takes at once, if they are nothing but digits: it skips what it does not know, so its count tells.
  #native(bytes: Buffer, from: number, to: number): number {
    const length = Math.min(to - from, NATIVE_MAX) & ~3;
    if (length < NATIVE_MIN || this.#digits !== 0 || this.#padding !== 0) return from;
    const text = bytes.toString('latin1', from, from + length);
    // Both alphabets are the same to Node; ours is one.
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

  // False if it is none of base64.
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

// Bytes that `from..to` is decoded to if all of it is digits, after `digits` others, but for the `=` at its end: then exactly these.
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
