/**
 * What stood between two values of a struct before: `</member><member><name>count</name><value><int>`, with white space and all. The same
 * bytes at the same place mean the same again, so they are compared, not read. Structs repeat, in an array and from call to call.
 */
import type { Typed } from './elements.ts';
import type { Place } from './grammar-table.ts';

/** Bytes that were read once, and what they meant. */
export interface Memo {
  /** The place where they stood; a parse is at the value's content after them. */
  readonly place: Place;
  readonly length: number;
  readonly name: string;
  /** A hash of the name. */
  readonly hash: number;
  readonly typed: Typed;
  readonly words: Float64Array;
  readonly last: number;
}

/** Where every document starts: nothing has been recognised yet. */
export const FIRST_SLOT = 0;
// One table for the process, some 300 KiB when full. Who floods it costs others the comparison, never a wrong answer or a search.
const SLOTS = 1024;
// Eight ASCII bytes make a double that is neither NaN nor a zero: equal doubles are equal bytes, and half as many as 32-bit words.
const WORD = 8;
const MAX_LENGTH = 128;
const memos = new Array<Memo | undefined>(SLOTS).fill(undefined);
// Slot -> the slot of what came after it, the last time.
const following = new Uint16Array(SLOTS);

/** The slot of what probably comes after what is in the slot `previous`. */
export function slotAfter(previous: number): number {
  return following[previous] ?? FIRST_SLOT;
}

/** What is in `slot` if it stands at `at` of the `length` bytes of `view`, and is of `place`. */
export function recall(slot: number, place: Place, view: DataView, at: number, length: number): Memo | undefined {
  const memo = memos[slot];
  return memo?.place === place && isAt(memo, view, at, length) ? memo : undefined;
}

/** What {@link learn} may keep. */
export interface Lesson {
  readonly place: Place;
  readonly name: string;
  readonly hash: number;
  readonly typed: Typed;
  /** Where it stands. */
  readonly from: number;
  readonly to: number;
  /** The slot of what came before, and the hash of its name. */
  readonly previous: number;
  readonly previousHash: number;
  /** True if its name at least was read before: what comes once is not worth a copy. */
  readonly isWorth: boolean;
}

/** Keeps what stands in `view`, and gives its slot. */
export function learn(view: DataView, { place, name, hash, typed, from, to, previous, previousHash, isWorth }: Lesson): number {
  const slot = 1 + ((Math.imul(previousHash, 31) + hash + place.fused.length + place.steps.length) % (SLOTS - 1));
  following[previous] = slot;
  const length = to - from;
  if (!isWorth || length > MAX_LENGTH) return slot;
  const old = memos[slot];
  if (old?.place === place && old.length === length && isAt(old, view, from, to)) return slot;
  const words: number[] = [];
  for (let at = from; at <= to - WORD; at += WORD) words.push(view.getFloat64(at, true));
  memos[slot] = { place, length, name, hash, typed, words: Float64Array.from(words), last: view.getFloat64(to - WORD, true) };
  return slot;
}

function isAt({ words, last, length }: Memo, view: DataView, at: number, end: number): boolean {
  const lastAt = at + length - WORD;
  if (lastAt + WORD > end || view.getFloat64(lastAt, true) !== last) return false;
  let word = at;
  for (let i = 0; i < words.length; i++, word += WORD) if (view.getFloat64(word, true) !== words[i]) return false;
  return true;
}
