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
  readonly words: readonly number[];
  readonly last: number;
}

/** Where every document starts: nothing has been recognised yet. */
export const FIRST_SLOT = 0;
// One table for the process, some 300 KiB when full. Who floods it costs others the comparison, never a wrong answer or a search.
const SLOTS = 1024;
const WORD = 4;
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

/**
 * Keeps `from..to` of `view`, which came after a member whose name has the hash `before` and after what is in the slot `previous`; gives
 * its slot. Only what is `isWorth` it is copied.
 */
export function learn(
  view: DataView,
  [from, to]: readonly [number, number],
  [previous, before]: readonly [number, number],
  meaning: Pick<Memo, 'place' | 'name' | 'hash' | 'typed'>,
  isWorth: boolean,
): number {
  const slot = 1 + ((Math.imul(before, 31) + meaning.hash) % (SLOTS - 1));
  following[previous] = slot;
  const length = to - from;
  if (!isWorth || length > MAX_LENGTH) return slot;
  const old = memos[slot];
  if (old?.place === meaning.place && old.length === length && isAt(old, view, from, to)) return slot;
  const words = Array.from({ length: length >> 2 }, (_, i) => view.getInt32(from + WORD * i, true));
  memos[slot] = { ...meaning, length, words, last: view.getInt32(to - WORD, true) };
  return slot;
}

function isAt({ words, last, length }: Memo, view: DataView, at: number, end: number): boolean {
  const lastAt = at + length - WORD;
  if (lastAt + WORD > end || view.getInt32(lastAt, true) !== last) return false;
  let word = at;
  for (let i = 0; i < words.length; i++, word += WORD) if (view.getInt32(word, true) !== words[i]) return false;
  return true;
}
