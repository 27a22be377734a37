/**
 * Recognises repeated member names, and repeated bytes between two values of a struct, so that the hot path compares instead of parsing.
 * Structs repeat, both within an array and from message to message.
 */
import { LESS, isIllegalAt } from '../chars.ts';
import type { GrammarState, Typed } from './grammar-table.ts';

// Slots of each of the two tables, which exist once per process. They are indexed by hashes, so an attacker who floods them costs others a
// copy or a comparison per name, but never a search and never a wrong result.
const SLOTS = 1024;

// Bytes of the longest name that is kept.
const MAX_NAME_BYTES = 40;
const names = new Array<string>(SLOTS).fill('');
const PLAIN = plainBytes();

/** Where a name ends, its slot, and whether it was read recently. */
export interface NameSpan {
  to: number;
  slot: number;
  isKnown: boolean;
}

/** Finds the end of the name that starts at `from`; false if it is long or contains anything but plain ASCII before the next tag. */
export function findName(bytes: Uint8Array, from: number, into: NameSpan): boolean {
  let hash = 0;
  let at = from;
  const end = Math.min(bytes.length, from + MAX_NAME_BYTES);
  for (; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (PLAIN[byte] === 0) break;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  into.to = at;
  into.slot = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (SLOTS - 1);
  return bytes[at] === LESS;
}

/**
 * The name at `from` that {@link findName} found: the same string object for the same name, so that it is neither copied nor hashed again.
 */
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

// Returns V8's own string for a property of this name, which is compared by identity when used as a key.
function internalised(name: string): string {
  return Object.keys({ [name]: 0 })[0] ?? name;
}

function plainBytes(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 128; byte++) table[byte] = isIllegalAt(Uint8Array.of(byte), 0) ? 0 : 1;
  for (const mark of '<&]\r') table[mark.charCodeAt(0)] = 0;
  return table;
}

/**
 * The bytes that led from the end of one value into the next, such as `</member><member><name>count</name><value><int>`, and their meaning.
 */
export interface Memo {
  /** The state before these bytes. After them, the parser is at the content of the value. */
  readonly state: GrammarState;
  readonly length: number;
  readonly name: string;
  /** A hash of the name. */
  readonly hash: number;
  readonly typed: Typed;
  readonly words: Float64Array;
  readonly last: number;
}

/** The slot at the start of a document, where nothing has been recognised yet. */
export const FIRST_SLOT = 0;
// Eight ASCII bytes form a double that is neither NaN nor zero, so equal doubles are equal bytes, in half as many comparisons as 32-bit
// words.
const WORD = 8;
// With all slots full, the table takes some 300 KiB.
const MAX_MEMO_BYTES = 128;
const memos = new Array<Memo | undefined>(SLOTS).fill(undefined);
// Slot -> the slot that followed it the last time.
const following = new Uint16Array(SLOTS);

/** The slot that probably follows the slot `previous`. */
export function slotAfter(previous: number): number {
  return following[previous] ?? FIRST_SLOT;
}

/** The memo in `slot` if it was made in `state` and matches `view` at `at`; `length` is the length of the document. */
export function recall(slot: number, state: GrammarState, view: DataView, at: number, length: number): Memo | undefined {
  const memo = memos[slot];
  return memo?.state === state && isAt(memo, view, at, length) ? memo : undefined;
}

/** What {@link learn} may keep. */
export interface Lesson {
  readonly state: GrammarState;
  readonly name: string;
  readonly hash: number;
  readonly typed: Typed;
  /** Its bytes in the document. */
  readonly from: number;
  readonly to: number;
  /** The slot of the memo before this one, and the hash of its name. */
  readonly previous: number;
  readonly previousHash: number;
  /** True if at least the name was read before; bytes that occur only once are not worth a copy. */
  readonly isWorthKeeping: boolean;
}

/** Keeps bytes of `view` as a memo if that is worthwhile, and returns the slot. */
export function learn(view: DataView, { state, name, hash, typed, from, to, previous, previousHash, isWorthKeeping }: Lesson): number {
  const slot = 1 + ((Math.imul(previousHash, 31) + hash + state.fused.length + state.transitions.length) % (SLOTS - 1));
  following[previous] = slot;
  const length = to - from;
  if (!isWorthKeeping || length > MAX_MEMO_BYTES) return slot;
  const old = memos[slot];
  if (old?.state === state && old.length === length && isAt(old, view, from, to)) return slot;
  const words: number[] = [];
  for (let at = from; at <= to - WORD; at += WORD) words.push(view.getFloat64(at, true));
  memos[slot] = { state, length, name, hash, typed, words: Float64Array.from(words), last: view.getFloat64(to - WORD, true) };
  return slot;
}

function isAt({ words, last, length }: Memo, view: DataView, at: number, end: number): boolean {
  const lastAt = at + length - WORD;
  if (lastAt + WORD > end || view.getFloat64(lastAt, true) !== last) return false;
  let word = at;
  for (let i = 0; i < words.length; i++, word += WORD) if (view.getFloat64(word, true) !== words[i]) return false;
  return true;
}
