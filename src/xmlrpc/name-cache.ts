/** Member names that were read lately: one string object per name, so that the hot path neither copies nor hashes them again. */
import { LESS, isIllegalAt } from './chars.ts';

/** Bytes of the longest name that is kept. */
const MAX_LENGTH = 40;
// Two names of one slot take turns: what an attacker can make of that is a copy per name, never a search.
const SLOTS = 1024;
// One for the process: names repeat over messages. At most SLOTS * MAX_LENGTH characters.
const names = new Array<string>(SLOTS).fill('');
const PLAIN = plainBytes();

/** Where a name ends, its slot, and whether it was read lately. */
export interface NameSpan {
  to: number;
  slot: number;
  isKnown: boolean;
}

/** Looks for the end of the name that starts at `from`; false if it is long, or anything but plain ASCII up to a tag. */
export function findName(bytes: Uint8Array, from: number, into: NameSpan): boolean {
  let hash = 0;
  let at = from;
  const end = Math.min(bytes.length, from + MAX_LENGTH);
  for (; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (PLAIN[byte] === 0) break;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  into.to = at;
  into.slot = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (SLOTS - 1);
  return bytes[at] === LESS;
}

/** The name at `from` that {@link findName} found. */
export function cachedName(bytes: Buffer, from: number, span: NameSpan): string {
  const { to, slot } = span;
  const known = names[slot] ?? '';
  const length = to - from;
  span.isKnown = known.length === length && isSame(known, bytes, from);
  if (span.isKnown) return known;
  const name = internalised(bytes.toString('latin1', from, to));
  names[slot] = name;
  return name;
}

function isSame(name: string, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) !== bytes[from + i]) return false;
  return true;
}

// The string that V8 itself keeps for a property of this name; as a key it is compared by identity.
function internalised(name: string): string {
  return Object.keys({ [name]: 0 })[0] ?? name;
}

function plainBytes(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 128; byte++) table[byte] = isIllegalAt(Uint8Array.of(byte), 0) ? 0 : 1;
  for (const mark of '<&]\r') table[mark.charCodeAt(0)] = 0;
  return table;
}
