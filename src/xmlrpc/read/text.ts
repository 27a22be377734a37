/** The text of one element as UTF-8 bytes: a range of the document as long as possible, a copy once markup interrupts it. */
import { isAscii } from 'node:buffer';
import { AMPERSAND, BRACKET, CR, GREATER, LESS, LF, NONCHARACTER, SPACE, isBlank, isIllegalAt, skipBlank } from '../chars.ts';
import { readReference } from './reference.ts';
import type { Reference } from './reference.ts';

// Texts up to this length are substrings of a window, so they keep alive the window and never the document.
const SHORT_TEXT = 256;
const WINDOW = 4096;
// UTF-8 takes at most three bytes for a UTF-16 unit.
const UNIT_BYTES = 3;
// Minimum bytes that are decoded before the text has ended: shorter pieces cost more than they save.
const PIECE = 16 * 1024;
// Bytes that are copied between two checks of the capacity.
const COPIED = 512;
// Bytes of one character.
const UTF8_BYTES = 4;
// A scratch buffer for characters up to U+00FF; C3 is the last byte that starts one.
const LATIN = Buffer.alloc(512);
const LAST_LATIN = 0xc3;
// Pieces from this length on are copied natively.
const MANY = 256;
/** One entry per byte value: 1 for bytes that may end a range of plain text. */
export const STOPS = stops();

/** True if the byte at `at`, one of {@link STOPS}, does end a range of plain text. */
export function isStop(source: Uint8Array, at: number): boolean {
  return (source[at] ?? 0) < 128 ? !isLoneBracket(source, at) : isIllegalAt(source, at);
}

/** Decodes short ASCII texts of one document as parts of a longer text, so that most of them need no call of native code. */
export class AsciiWindow {
  #window = '';
  #at = 0;

  constructor(private readonly source: Buffer) {}

  /** The text in `from..to`; a short one keeps alive at most a few thousand other characters. */
  text(from: number, to: number): string {
    if (to - from > SHORT_TEXT) return this.source.toString('latin1', from, to);
    if (from < this.#at || to > this.#at + this.#window.length) {
      this.#at = from;
      this.#window = this.source.toString('latin1', from, from + WINDOW);
    }
    return this.#window.substring(from - this.#at, to - this.#at);
  }
}

/** Holds the text of one element after the other. */
export class Content {
  /** The bytes that hold the text: the document or the copy. */
  bytes: Buffer;
  from = 0;
  to = 0;
  /** The offset in the document where the text starts, or its end tag if it is empty. */
  at = 0;
  /** True until markup interrupts the text; only until then may {@link scan} be called. */
  isContiguous = true;
  /** Greater than 127 if any byte is. */
  bits = 0;
  readonly #source: Buffer;
  readonly #reference: Reference = { point: 0, end: 0 };
  #copy: Buffer | undefined;
  #endsWithCr = false;
  // The text before `from` that is decoded already, and its length in bytes.
  #decoded = '';
  #decodedBytes = 0;
  #isDecodedBlank = true;
  // The offset in the document where the last appended range ended.
  #appendedTo = -1;
  readonly #window: AsciiWindow;

  constructor(source: Buffer) {
    this.#source = source;
    this.#window = new AsciiWindow(source);
    this.bytes = source;
  }

  /** Bytes of the text. */
  get length(): number {
    return this.to - this.from + this.#decodedBytes;
  }

  /** True if all characters are ASCII. */
  get isAscii(): boolean {
    return this.bits < 128;
  }

  /** True if the text is empty or white space only. */
  get isBlank(): boolean {
    return this.#isDecodedBlank && skipBlank(this.bytes, this.from, this.to) === this.to;
  }

  /** Starts a new text at `at` of the document. */
  start(at: number): void {
    this.bytes = this.#source;
    this.from = at;
    this.to = at;
    this.at = at;
    this.bits = 0;
    this.#endsWithCr = false;
    this.#decoded = '';
    this.#decodedBytes = 0;
    this.#isDecodedBlank = true;
    this.#appendedTo = -1;
    this.isContiguous = true;
  }

  /** Adds the plain text at `at` and returns the offset after it, at most `stop`. Not allowed after the first {@link append}. */
  scan(at: number, stop: number): number {
    const source = this.#source;
    let bits = this.bits;
    let to = at;
    for (; to < stop; to++) {
      const byte = source[to] ?? 0;
      bits |= byte;
      if (STOPS[byte] === 0) continue;
      if (isStop(source, to)) break;
    }
    this.bits = bits;
    this.to = to;
    return to;
  }

  /**
   * Adds plain text and references at `at` and returns the offset after them, at most `stop`: for a text in pieces. Refuses malformed
   * references, and leaves everything else that is not plain text to the tokens.
   */
  copy(at: number, stop: number): number {
    // A CRLF may be split between two slices.
    if (this.#endsWithCr) return at;
    const source = this.#source;
    let from = at;
    while (from < stop) {
      const limit = Math.min(stop, from + COPIED);
      const copy = this.#reserve(limit - from + UTF8_BYTES, from);
      let { to, bits } = this;
      for (; from < limit; from++) {
        const byte = source[from] ?? 0;
        if (STOPS[byte] === 1) break;
        copy[to++] = byte;
        bits |= byte;
      }
      this.to = to;
      this.bits = bits;
      if (from === limit) continue;
      if (source[from] !== AMPERSAND) break;
      const { point, end } = readReference(source, from, this.#reference);
      if (point < 128) copy[this.to++] = point;
      else this.appendPoint(point, from);
      from = end;
    }
    return from;
  }

  /** Adds the range `from..to` of the document with normalised line ends: 2.11 of XML 1.0. */
  append(from: number, to: number): void {
    const copy = this.#reserve(to - from, from);
    // CR and LF separated by markup are two line ends.
    if (from !== this.#appendedTo) this.#endsWithCr = false;
    this.#appendedTo = to;
    if (to - from >= MANY && this.#appendPlain(copy, from, to)) return;
    const source = this.#source;
    let { to: end, bits } = this;
    let endsWithCr = this.#endsWithCr;
    for (let at = from; at < to; at++) {
      const byte = source[at] ?? 0;
      if (byte !== LF || !endsWithCr) copy[end++] = byte === CR ? LF : byte;
      endsWithCr = byte === CR;
      bits |= byte;
    }
    this.#endsWithCr = endsWithCr;
    this.bits = bits;
    this.to = end;
  }

  // Copies natively; returns false if line ends have to be normalised.
  #appendPlain(copy: Buffer, from: number, to: number): boolean {
    const piece = this.#source.subarray(from, to);
    if (this.#endsWithCr || piece.includes(CR)) return false;
    piece.copy(copy, this.to);
    this.to += piece.length;
    if (!isAscii(piece)) this.bits |= 128;
    return true;
  }

  /** Adds the character of a reference at `at` of the document. */
  appendPoint(point: number, at: number): void {
    const copy = this.#reserve(UTF8_BYTES, at);
    this.#endsWithCr = false;
    this.bits |= point > 127 ? 128 : 0;
    if (point < 128) copy[this.to++] = point;
    else this.to += copy.write(String.fromCodePoint(point), this.to);
  }

  /** The rest of the text comes in pieces. */
  interrupt(): void {
    this.isContiguous = false;
  }

  /** The text ends at the tag at `at` of the document. */
  finish(at: number): void {
    if (this.length === 0) this.at = at;
  }

  /** Decodes the text so far, at the end of a slice, so that a long string is not decoded without a pause. */
  decodePiece(): void {
    const { bytes, from } = this;
    if (this.to - from < PIECE) return;
    // Excludes the last character, which may be incomplete.
    let end = this.to - 1;
    while (end > from && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    this.#decoded += bytes.toString(this.isAscii ? 'latin1' : 'utf8', from, end);
    this.#decodedBytes += end - from;
    this.#isDecodedBlank &&= skipBlank(bytes, from, end) === end;
    this.from = end;
  }

  /** Removes white space from both ends of a short text. */
  trim(): void {
    const { bytes } = this;
    // There is hardly ever any.
    if ((bytes[this.from] ?? 0) > SPACE && (bytes[this.to - 1] ?? 0) > SPACE) return;
    this.from = skipBlank(bytes, this.from, this.to);
    while (this.to > this.from && isBlank(bytes[this.to - 1] ?? 0)) this.to--;
  }

  /** The text as a string, which keeps alive at most a few thousand other characters. */
  text(): string {
    return this.#decodedBytes === 0 ? this.#rest() : this.#decoded + this.#rest();
  }

  /** The text, decoded only as far as needed to see that it has more than `units` UTF-16 units. */
  boundedText(units: number): string {
    this.to = Math.min(this.to, this.from + UNIT_BYTES * (units + 1));
    return this.text();
  }

  #rest(): string {
    const { bytes, from, to } = this;
    if (from === to) return '';
    if (!this.isAscii) return utf8Text(bytes, from, to);
    return bytes === this.#source ? this.#window.text(from, to) : bytes.toString('latin1', from, to);
  }

  // Returns the copy, with `more` bytes free after `to`.
  #reserve(more: number, at: number): Buffer {
    const { bytes, from, to } = this;
    if (this.length === 0) this.at = at;
    const isFirst = bytes === this.#source;
    const start = isFirst ? 0 : from;
    const needed = start + to - from + more;
    let copy = this.#copy;
    if (copy === undefined || copy.length < needed) {
      // No text is longer than its document.
      copy = Buffer.allocUnsafe(Math.max(needed, Math.min(2 * needed + 256, this.#source.length)));
      bytes.copy(copy, start, from, to);
      this.#copy = copy;
    } else if (isFirst) {
      // The native copy is slower for short texts.
      if (to - from >= MANY) bytes.copy(copy, 0, from, to);
      else for (let at = from; at < to; at++) copy[at - from] = bytes[at] ?? 0;
    }
    this.bytes = copy;
    this.from = start;
    this.to = start + to - from;
    return copy;
  }
}

/** Decodes a text that is not only ASCII. */
export function utf8Text(bytes: Buffer, from: number, to: number): string {
  return (to - from <= LATIN.length ? latinText(bytes, from, to) : undefined) ?? bytes.toString('utf8', from, to);
}

/** Decodes characters up to U+00FF, in half the time of the native decoder; undefined if there are others. */
function latinText(bytes: Buffer, from: number, to: number): string | undefined {
  let length = 0;
  for (let at = from; at < to; at++) {
    let byte = bytes[at] ?? 0;
    if (byte >= 0x80) {
      if (byte > LAST_LATIN) return undefined;
      byte = ((byte & 0x03) << 6) | ((bytes[++at] ?? 0) & 0x3f);
    }
    LATIN[length++] = byte;
  }
  return LATIN.toString('latin1', 0, length);
}

function isLoneBracket(source: Uint8Array, at: number): boolean {
  return source[at] === BRACKET && (source[at + 1] !== BRACKET || source[at + 2] !== GREATER);
}

function stops(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 32; byte++) table[byte] = isIllegalAt(Uint8Array.of(byte), 0) ? 1 : 0;
  for (const byte of [LESS, AMPERSAND, BRACKET, CR, NONCHARACTER]) table[byte] = 1;
  return table;
}
