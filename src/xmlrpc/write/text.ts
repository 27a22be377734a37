/** Writes text as XML: encodes and escapes it, and reports characters that XML cannot represent. */
import { isLegalCodePoint } from '../chars.ts';
import type { WriteOptions } from '../options.ts';
import { tagOf } from './byte-buffer.ts';
import type { ByteBuffer } from './byte-buffer.ts';

/** Why a text cannot be written: XML cannot represent it, or the option `astral` excludes characters beyond U+FFFF. */
export type Unsendable = 'illegal' | 'astral';

/** UTF-16 units that are written at a time; bounds the space reserved for the worst case. */
export const TEXT_PIECE = 16 * 1024;

// Texts up to this length are written by a loop, since a native call costs as much as 50 iterations.
const SHORT = 48;
// Up to this length, a loop that also escapes is faster than native writing with escaping afterwards.
const MEDIUM = 256;
// `&#1114111;`, for two units; `&#65535;` is the longest of one.
const MAX_REFERENCE = 10;

// The units of such a text, copied at once, because `charCodeAt` is slow on concatenated strings and substrings.
const UNITS = new DataView(new ArrayBuffer(2 * MEDIUM));
const UNIT_BYTES = Buffer.from(UNITS.buffer);

// What each byte of UTF-8 needs: a number of additional bytes for its escape, or one of these constants.
const PLAIN = 0;
const ILLEGAL = 16;
// EF starts U+FFFE and U+FFFF, and U+FFFD, as which Node writes lone surrogates.
const BEGINS_EF = 17;
const BEGINS_ASTRAL = 18;
const NEEDS = needsTable();

const ESCAPES: readonly (readonly [byte: number, text: string])[] = [
  [0x26, '&amp;'],
  [0x3c, '&lt;'],
  [0x3e, '&gt;'],
  [0x0d, '&#13;'],
];
const ESCAPE_OF: readonly (Uint8Array | undefined)[] = escapeTable();
// The same escapes as eight bytes that are written at once; the next write overwrites the zeros at the end.
const ESCAPE_WORDS = Float64Array.from(ESCAPE_OF, (escape) => (escape ? (tagOf(String.fromCharCode(...escape)).words[0] ?? 0) : 0));
const MARKUP = /[&<>\r]/g;
const ASTRAL = /[\ud800-\udbff][\udc00-\udfff]/g;

/** Writes a text of at most {@link TEXT_PIECE} units that does not end between two surrogates, and reserves the space itself. */
export function writeText(out: ByteBuffer, text: string, options: WriteOptions): Unsendable | undefined {
  if (options.astral === 'replace') return writeText(out, text.replace(ASTRAL, '\ufffd'), { ...options, astral: true });
  if (options.charset === 'ascii') return writeAscii(out, text, options.astral !== false);
  if (text.length <= SHORT && writeShort(out, text)) return undefined;
  if (text.length <= MEDIUM && writeUnits(out, text)) return undefined;
  // Three bytes for a unit, or five where one is escaped.
  out.reserve(text.length * 5);
  const from = out.at;
  const end = from + out.bytes.write(text, from, 'utf8');
  const { more, problem } = escapesIn(out, from, end, text, options.astral !== false);
  if (more > 0) insertEscapes(out.bytes, from, end, more);
  out.at = end + more;
  return problem;
}

/** Escapes a text that contains only characters that XML allows. */
export function escapeLegal(text: string): string {
  return text.replace(MARKUP, (char) => ESCAPES.find(([byte]) => byte === char.charCodeAt(0))?.[1] ?? char);
}

/** Replaces characters that XML cannot represent by U+FFFD. */
export function cleanUnsendable(text: string): string {
  let cleaned = '';
  for (const char of text) cleaned += isLegalCodePoint(char.codePointAt(0) ?? 0) ? char : '\ufffd';
  return cleaned;
}

/** Returns false and writes nothing if the text is not plain ASCII. */
function writeShort(out: ByteBuffer, text: string): boolean {
  out.reserve(SHORT);
  const { bytes, at } = out;
  // Nearly all texts are plain, so the loop is faster without an early exit.
  let seen = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    seen |= (unit & ~0x7f) | (NEEDS[unit & 0x7f] ?? 0);
    bytes[at + index] = unit;
  }
  if (seen !== PLAIN) return false;
  out.at = at + text.length;
  return true;
}

/** Encodes and escapes unit by unit. Returns false and writes nothing for surrogates and illegal characters, which are rare. */
function writeUnits(out: ByteBuffer, text: string): boolean {
  out.reserve(text.length * 5);
  const { bytes, view } = out;
  let { at } = out;
  const end = UNIT_BYTES.write(text, 0, 'utf16le');
  for (let from = 0; from < end; from += 2) {
    const unit = UNITS.getUint16(from, true);
    if (unit < 0x80) {
      const need = NEEDS[unit] ?? PLAIN;
      if (need === PLAIN) {
        bytes[at++] = unit;
        continue;
      }
      if (need === ILLEGAL) return false;
      view.setFloat64(at, ESCAPE_WORDS[unit] ?? 0, true);
      at += need + 1;
    } else if (unit < 0x800) {
      bytes[at++] = 0xc0 | (unit >> 6);
      bytes[at++] = 0x80 | (unit & 0x3f);
    } else {
      if (unit >= 0xd800 && (unit <= 0xdfff || unit >= 0xfffe)) return false;
      bytes[at++] = 0xe0 | (unit >> 12);
      bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
      bytes[at++] = 0x80 | (unit & 0x3f);
    }
  }
  out.at = at;
  return true;
}

/** The number of bytes that escaping adds to `from..end`, where `text` was encoded. */
function escapesIn(
  { bytes, view }: ByteBuffer,
  from: number,
  end: number,
  text: string,
  isAstralSent: boolean,
): { more: number; problem: Unsendable | undefined } {
  let more = 0;
  let isEfSeen = false;
  for (let word = from; word < end; word += 4) {
    if (word + 4 <= end && isPlainWord(view.getInt32(word, true))) continue;
    for (let at = word; at < word + 4 && at < end; at++) {
      const need = NEEDS[bytes[at] ?? 0] ?? PLAIN;
      if (need === PLAIN) continue;
      if (need < ILLEGAL) more += need;
      else if (need === ILLEGAL) return { more: 0, problem: 'illegal' };
      else if (need === BEGINS_EF) isEfSeen ||= bytes[at + 1] === 0xbf && (bytes[at + 2] ?? 0) >= 0xbd;
      else if (!isAstralSent) return { more: 0, problem: 'astral' };
    }
  }
  // U+FFFD may have been in the text, or may replace a lone surrogate.
  const problem = isEfSeen && !isLegal(text) ? 'illegal' : undefined;
  return { more, problem };
}

const HIGH_BITS = 0x80808080 | 0;
const ONES = 0x01010101;

/** True if none of four bytes is a control character, `&`, `<`, `>` or non-ASCII: the subtractions set the high bit of such a byte. */
function isPlainWord(word: number): boolean {
  const ampersand = word ^ 0x26262626;
  // < is 3C and > is 3E
  const angle = (word | 0x02020202) ^ 0x3e3e3e3e;
  const marks = ((word - 0x20202020) & ~word) | ((ampersand - ONES) & ~ampersand) | ((angle - ONES) & ~angle) | word;
  return (marks & HIGH_BITS) === 0;
}

/** Escapes `bytes[from..end]` in place, from the end, which makes it `more` bytes longer. */
function insertEscapes(bytes: Uint8Array, from: number, end: number, more: number): void {
  let to = end + more;
  for (let at = end - 1; to > at + 1 && at >= from; at--) {
    const byte = bytes[at] ?? 0;
    const escape = ESCAPE_OF[byte];
    if (escape === undefined) {
      bytes[--to] = byte;
    } else {
      // `set` would cost as much as 30 bytes.
      for (let index = escape.length - 1; index >= 0; index--) bytes[--to] = escape[index] ?? 0;
    }
  }
}

function writeAscii(out: ByteBuffer, text: string, isAstralSent: boolean): Unsendable | undefined {
  out.reserve(text.length * MAX_REFERENCE);
  for (let index = 0; index < text.length; index++) {
    const point = text.codePointAt(index) ?? 0;
    if (!isLegalCodePoint(point)) return 'illegal';
    if (point > 0xffff) {
      if (!isAstralSent) return 'astral';
      index++;
    }
    const escape = ESCAPE_OF[point];
    if (escape) {
      out.bytes.set(escape, out.at);
      out.at += escape.length;
    } else if (point < 0x80) {
      out.bytes[out.at++] = point;
    } else {
      out.ascii(`&#${point};`);
    }
  }
  return undefined;
}

function isLegal(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const point = text.codePointAt(index) ?? 0;
    if (!isLegalCodePoint(point)) return false;
    if (point > 0xffff) index++;
  }
  return true;
}

function needsTable(): Uint8Array {
  const table = new Uint8Array(256);
  table.fill(ILLEGAL, 0, 0x20);
  table.fill(BEGINS_ASTRAL, 0xf0);
  table[0x09] = PLAIN;
  table[0x0a] = PLAIN;
  table[0xef] = BEGINS_EF;
  table[0x26] = 4;
  table[0x3c] = 3;
  table[0x3e] = 3;
  table[0x0d] = 4;
  return table;
}

function escapeTable(): (Uint8Array | undefined)[] {
  const table = new Array<Uint8Array | undefined>(128).fill(undefined);
  for (const [byte, text] of ESCAPES) table[byte] = Buffer.from(text, 'latin1');
  return table;
}
