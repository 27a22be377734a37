/** The character classes of XML 1.0 over UTF-8 bytes: legal characters, name characters and white space. */

export const TAB = 9;
export const LF = 10;
export const CR = 13;
export const SPACE = 32;
export const BANG = 33;
export const QUOTE = 34;
export const HASH = 35;
export const AMPERSAND = 38;
export const APOSTROPHE = 39;
export const SLASH = 47;
export const SEMICOLON = 59;
export const LESS = 60;
export const EQUALS = 61;
export const GREATER = 62;
export const QUESTION = 63;
export const BRACKET = 93;
export const SMALL_X = 120;
/** The first byte of U+FFFE and U+FFFF, the only valid UTF-8 beyond ASCII that XML does not allow. */
export const NONCHARACTER = 0xef;

const NAME_START = 1;
const NAME_PART = 2;
const ASCII_NAMES = asciiNames();

// NameStartChar beyond ASCII, [4] of XML 1.0 fifth edition: pairs of first and last.
const NAME_STARTS = [
  0xc0, 0xd6, 0xd8, 0xf6, 0xf8, 0x2ff, 0x370, 0x37d, 0x37f, 0x1fff, 0x200c, 0x200d, 0x2070, 0x218f, 0x2c00, 0x2fef, 0x3001, 0xd7ff, 0xf900,
  0xfdcf, 0xfdf0, 0xfffd, 0x10000, 0xeffff,
];
// What NameChar adds, [4a].
const NAME_PARTS = [0xb7, 0xb7, 0x300, 0x36f, 0x203f, 0x2040];

/** S, [3]. */
export function isBlank(code: number): boolean {
  return code === SPACE || code === LF || code === CR || code === TAB;
}

/** The first offset in `from..to` that is not white space, or `to`. */
export function skipBlank(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && isBlank(bytes[at] ?? 0)) at++;
  return at;
}

/** True if the character at `at` of valid UTF-8 is not allowed in XML: not Char, [2]. */
export function isIllegalAt(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at] ?? 0;
  if (byte < SPACE) return byte !== LF && byte !== CR && byte !== TAB;
  return byte === NONCHARACTER && bytes[at + 1] === 0xbf && (bytes[at + 2] ?? 0) >= 0xbe;
}

/** The first offset in `from..to` of a character that XML does not allow, or -1. */
export function illegalAt(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    if ((byte < SPACE || byte === NONCHARACTER) && isIllegalAt(bytes, at)) return at;
  }
  return -1;
}

/** True if XML allows the code point, as a character or as a character reference. */
export function isLegalCodePoint(point: number): boolean {
  if (point < SPACE) return point === LF || point === CR || point === TAB;
  return point < 0xd800 || (point > 0xdfff && point < 0xfffe) || (point > 0xffff && point < 0x110000);
}

/** The offset after the name that starts at `from`, at most `limit`; `from` itself if there is no name. */
export function nameEnd(bytes: Uint8Array, from: number, limit: number): number {
  let at = from;
  let wanted = NAME_START;
  while (at < limit) {
    const byte = bytes[at] ?? 0;
    if (byte < 128) {
      if (((ASCII_NAMES[byte] ?? 0) & wanted) === 0) break;
      at++;
    } else {
      if (!isWideNamePoint(pointAt(bytes, at), wanted)) break;
      at += sizeOf(byte);
    }
    wanted = NAME_PART;
  }
  return at;
}

// Bytes of the non-ASCII character that starts with `byte`.
function sizeOf(byte: number): 2 | 3 | 4 {
  if (byte < 0xe0) return 2;
  return byte < 0xf0 ? 3 : 4;
}

function pointAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const size = sizeOf(first);
  let point = first & (0xff >> (size + 1));
  for (let i = 1; i < size; i++) point = (point << 6) | ((bytes[at + i] ?? 0) & 0x3f);
  return point;
}

function isWideNamePoint(point: number, wanted: number): boolean {
  return isIn(NAME_STARTS, point) || (wanted === NAME_PART && isIn(NAME_PARTS, point));
}

function isIn(ranges: readonly number[], point: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (point >= (ranges[i] ?? 0) && point <= (ranges[i + 1] ?? 0)) return true;
  }
  return false;
}

function asciiNames(): Uint8Array {
  const table = new Uint8Array(128);
  for (let code = 0; code < 128; code++) {
    const char = String.fromCharCode(code);
    if (/[A-Za-z_:]/.test(char)) table[code] = NAME_START | NAME_PART;
    else if (/[-.0-9]/.test(char)) table[code] = NAME_PART;
  }
  return table;
}
