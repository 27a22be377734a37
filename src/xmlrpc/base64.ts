/** base64 to bytes, strictly and in steps: groups of four with any white space between them, `=` only at the end. */
import { isBlank } from './chars.ts';
import type { Content } from './content.ts';
import { refuse } from './refuse.ts';

const PAD = 61;
const NO_DIGIT = 255;
const DIGITS = digitTable();
// A stretch without white space is decoded natively, this much at once; below the lower bound the loop is faster.
const NATIVE_MIN = 192;
const NATIVE_MAX = 64 * 1024;

/** One value; {@link Base64Reader.feed} takes it from `bytes` piece by piece. */
export class Base64Reader {
  readonly #out: Buffer;
  #length = 0;
  // Digits of the group that is not complete, as bits and count, and `=` so far.
  #group = 0;
  #digits = 0;
  #padding = 0;

  /** `maxLength`: characters of the whole text, at most. */
  constructor(maxLength: number) {
    this.#out = Buffer.allocUnsafe(Math.floor((maxLength / 4) * 3) + 3);
  }

  /** Reads on from `from` to `to`; gives the offset of the first byte that is no base64, or `to`. */
  feed(bytes: Buffer, from: number, to: number): number {
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

  /** The bytes; undefined if the text ends too early or is padded wrongly. */
  finish(): Buffer | undefined {
    const [digits, padding] = [this.#digits, this.#padding];
    if ((digits + padding) % 4 !== 0 || padding > 2 || (padding > 0 && digits === 0)) return undefined;
    if (digits > 1) this.#out[this.#length++] = digits === 2 ? this.#group >> 4 : this.#group >> 10;
    if (digits === 3) this.#out[this.#length++] = (this.#group >> 2) & 255;
    return this.#out.subarray(0, this.#length);
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
      const byte = bytes[at] ?? 0;
      const digit = DIGITS[byte] ?? NO_DIGIT;
      if (digit !== NO_DIGIT && this.#padding === 0) this.#digit(digit);
      else if (byte === PAD) this.#padding++;
      else if (!isBlank(byte)) break;
    }
    return at;
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

/** The bytes of a text that is there as a whole; refuses what is no base64. */
export function readBase64({ bytes, from, to, at, length }: Content): Buffer {
  const reader = new Base64Reader(length);
  if (reader.feed(bytes, from, to) < to) {
    refuse('INVALID_REQUEST', at, 'base64 is A-Z, a-z, 0-9, "+" and "/", with "=" at the end only');
  }
  return reader.finish() ?? refuseEnd(at);
}

/** Refuses a text that ends within a group. */
export function refuseEnd(at: number): never {
  return refuse('INVALID_REQUEST', at, 'the base64 is cut short or padded wrongly');
}

function digitTable(): Uint8Array {
  const table = new Uint8Array(256).fill(NO_DIGIT);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let digit = 0; digit < 64; digit++) table[alphabet.charCodeAt(digit)] = digit;
  return table;
}
