/** The character classes of XML 1.0: what may stand in a document, in a name, and what counts as white space. */

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

const NAME_START = 1;
const NAME_PART = 2;
const ASCII_NAMES = asciiNames();

// NameStartChar beyond ASCII, [4] of XML 1.0 fifth edition: pairs of first and last.
const NAME_STARTS = [
  0xc0, 0xd6, 0xd8, 0xf6, 0xf8, 0x2ff, 0x370, 0x37d, 0x37f, 0x1fff, 0x200c, 0x200d, 0x2070, 0x218f, 0x2c00, 0x2fef, 0x3001, 0xd7ff, 0xf900,
  0xfdcf, 0xfdf0, 0xfffd, 0x10000, 0xeffff,
];
// What NameChar adds to it, [4a].
const NAME_PARTS = [0xb7, 0xb7, 0x300, 0x36f, 0x203f, 0x2040];

/** S, [3]. */
export function isBlankUnit(unit: number): boolean {
  return unit === SPACE || unit === LF || unit === CR || unit === TAB;
}

/** The first offset in `from..to` that is no white space, or `to`. */
export function skipBlank(source: string, from: number, to: number): number {
  let at = from;
  while (at < to && isBlankUnit(source.charCodeAt(at))) at++;
  return at;
}

/** UTF-16 units of the character at `at`, or 0 if it may not stand in XML: Char, [2]. */
export function charLength(source: string, at: number): 0 | 1 | 2 {
  const unit = source.charCodeAt(at);
  if (unit < SPACE) return unit === LF || unit === CR || unit === TAB ? 1 : 0;
  if (unit < 0xd800 || (unit > 0xdfff && unit < 0xfffe)) return 1;
  if (unit > 0xdbff) return 0;
  const low = source.charCodeAt(at + 1);
  return low >= 0xdc00 && low <= 0xdfff ? 2 : 0;
}

/** The first offset in `from..to` whose character may not stand in XML, or -1. */
export function illegalAt(source: string, from: number, to: number): number {
  for (let at = from; at < to;) {
    const length = charLength(source, at);
    if (length === 0) return at;
    at += length;
  }
  return -1;
}

/** True if the code point may stand in XML, as itself or as a character reference. */
export function isLegalCodePoint(point: number): boolean {
  if (point < SPACE) return point === LF || point === CR || point === TAB;
  return point < 0xd800 || (point > 0xdfff && point < 0xfffe) || (point > 0xffff && point < 0x110000);
}

/** The offset after the name that starts at `from`, no further than `limit`; `from` itself if none does. */
export function nameEnd(source: string, from: number, limit: number): number {
  let at = from;
  let wanted = NAME_START;
  while (at < limit) {
    const unit = source.charCodeAt(at);
    if (unit < 128) {
      if (((ASCII_NAMES[unit] ?? 0) & wanted) === 0) break;
      at++;
    } else {
      const point = source.codePointAt(at) ?? 0;
      if (!isWideNamePoint(point, wanted)) break;
      at += point > 0xffff ? 2 : 1;
    }
    wanted = NAME_PART;
  }
  return at;
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
  for (let unit = 0; unit < 128; unit++) {
    const char = String.fromCharCode(unit);
    if (/[A-Za-z_:]/.test(char)) table[unit] = NAME_START | NAME_PART;
    else if (/[-.0-9]/.test(char)) table[unit] = NAME_PART;
  }
  return table;
}
