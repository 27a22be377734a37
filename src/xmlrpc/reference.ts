/** What `&…;` stands for: the five named entities of XML and character references. */
import { HASH, SEMICOLON, SMALL_X, isLegalCodePoint } from './chars.ts';
import { refuse } from './refuse.ts';

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);
const LONGEST_ENTITY = 4;

/** A reference: the character that it stands for, and the offset after its semicolon. */
export interface Reference {
  readonly text: string;
  readonly end: number;
}

/** Reads the reference whose `&` is at `at`. */
export function readReference(source: string, at: number): Reference {
  if (source.charCodeAt(at + 1) === HASH) return readCharacter(source, at);
  const end = source.slice(at + 1, at + 2 + LONGEST_ENTITY).indexOf(';') + at + 1;
  const text = end > at ? ENTITIES.get(source.slice(at + 1, end)) : undefined;
  if (text === undefined) refuse('NOT_WELL_FORMED', source, at, 'a bare "&" or an unknown entity; write "&amp;" for the character');
  return { text, end: end + 1 };
}

// `&#65;` or `&#x41;`; any number of leading zeros is legal, so the number is bounded, not its digits.
function readCharacter(source: string, at: number): Reference {
  const isHex = source.charCodeAt(at + 2) === SMALL_X;
  const first = isHex ? at + 3 : at + 2;
  let point = 0;
  let end = first;
  for (; point < 0x110000; end++) {
    const digit = digitOf(source.charCodeAt(end), isHex);
    if (digit === -1) break;
    point = point * (isHex ? 16 : 10) + digit;
  }
  if (point < 0x110000 && (end === first || source.charCodeAt(end) !== SEMICOLON)) {
    refuse('NOT_WELL_FORMED', source, at, 'a malformed character reference');
  }
  if (!isLegalCodePoint(point)) refuse('NOT_WELL_FORMED', source, at, 'a reference to a character that XML does not allow');
  return { text: String.fromCodePoint(point), end: end + 1 };
}

function digitOf(unit: number, isHex: boolean): number {
  if (unit >= 48 && unit <= 57) return unit - 48;
  const small = unit | 32;
  return isHex && small >= 97 && small <= 102 ? small - 87 : -1;
}
