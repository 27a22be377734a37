/** Reads `&…;`: the five named entities of XML, and character references. */
import { HASH, SEMICOLON, SMALL_X, isLegalCodePoint } from '../chars.ts';
import { refuse } from './parse-error.ts';

// Bytes after the `&` -> code point.
const ENTITIES = Object.entries({ 'lt;': 60, 'gt;': 62, 'amp;': 38, 'quot;': 34, 'apos;': 39 }).map(([name, point]) => ({
  name: Buffer.from(name),
  point,
}));

const MAX_DIGITS = 64;

/** The code point of a reference, and the offset after its semicolon. */
export interface Reference {
  point: number;
  end: number;
}

/** Reads the reference whose `&` is at `at` into `into`, and returns `into`. */
export function readReference(bytes: Uint8Array, at: number, into: Reference): Reference {
  if (bytes[at + 1] === HASH) readCharacter(bytes, at, into);
  else readEntity(bytes, at, into);
  return into;
}

function readEntity(bytes: Uint8Array, at: number, into: Reference): void {
  const letter = bytes[at + 1] ?? 0;
  for (const { name, point } of ENTITIES) {
    if (name[0] !== letter || !isAt(name, bytes, at + 1)) continue;
    into.point = point;
    into.end = at + 1 + name.length;
    return;
  }
  refuse('NOT_WELL_FORMED', at, 'a bare "&" or an unknown entity; write "&amp;" for the character');
}

function isAt(name: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let index = 1; index < name.length; index++) if (bytes[at + index] !== name[index]) return false;
  return true;
}

// `&#65;` or `&#x41;`. A character needs at most seven digits; XML allows any number of leading zeros, we allow some.
function readCharacter(bytes: Uint8Array, at: number, into: Reference): void {
  const isHex = bytes[at + 2] === SMALL_X;
  const first = isHex ? at + 3 : at + 2;
  let point = 0;
  let end = first;
  for (; point < 0x110000; end++) {
    const digit = digitOf(bytes[end] ?? 0, isHex);
    if (digit === -1) break;
    if (end - first >= MAX_DIGITS) refuse('LIMIT', at, `a character reference of more than ${MAX_DIGITS} digits`);
    point = point * (isHex ? 16 : 10) + digit;
  }
  if (point < 0x110000 && (end === first || bytes[end] !== SEMICOLON)) refuse('NOT_WELL_FORMED', at, 'a malformed character reference');
  if (!isLegalCodePoint(point)) refuse('NOT_WELL_FORMED', at, 'a reference to a character that XML does not allow');
  into.point = point;
  into.end = end + 1;
}

function digitOf(byte: number, isHex: boolean): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const small = byte | 32;
  return isHex && small >= 97 && small <= 102 ? small - 87 : -1;
}
