/**
 * Remembers the markup between two scalars, such as `</int></value></member><member><name>count</name><value><double>`, and what it means.
 * Structs repeat, both within an array and from message to message, so most markup is recognised by comparing its bytes.
 */
import type { TagBytes } from './tag-bytes.ts';

/** A scalar element: how its text is read, and its tags together with the end tag of the `<value>`. */
export interface Scalar {
  readonly type: 'string' | 'int' | 'double' | 'boolean' | 'date' | 'base64' | 'nil' | 'start' | 'end';
  readonly start: TagBytes;
  readonly end: TagBytes;
}

/** What a part of the markup does. Each is valid in one kind of container only: a struct, an array, or the parameters. */
export interface Step {
  readonly kind: 'member' | 'item' | 'param' | 'openStruct' | 'openArray' | 'closeStruct' | 'closeArray' | 'end';
  /** The name of a member. */
  readonly name: string;
  /** From the start of the run to the start tag of a struct, or to the end of its end tag. */
  readonly offset: number;
}

/** One run of markup. */
export interface Run {
  /** The scalar that ends at its start, and the one whose text begins at its end. */
  readonly before: Scalar;
  readonly after: Scalar;
  readonly steps: readonly Step[];
  readonly length: number;
  readonly words: Float64Array;
  readonly last: number;
  /** The slots of the runs that followed it, of which the table may have lost one. */
  next: number;
  other: number;
}

// Slots of the table, which exists once per process: with runs of the usual length, some 300 KB. They are indexed by hashes, so an attacker
// who floods them costs others the time to read their markup, but never a wrong result.
const SLOTS = 1024;
const runs = new Array<Run | undefined>(SLOTS).fill(undefined);
// Eight ASCII bytes form a double that is neither NaN nor zero, so equal doubles are equal bytes, in half as many comparisons as 32-bit
// words.
const WORD = 8;
const MAX_BYTES = 256;

/** The run at `at` of `view`, if it followed `previous` before; `end` is the length of the document. */
export function recallRun(previous: Run, view: DataView, at: number, end: number): Run | undefined {
  const before = previous.after;
  const next = runs[previous.next];
  if (next?.before === before && isAt(next, view, at, end)) return next;
  const other = runs[previous.other];
  return other?.before === before && isAt(other, view, at, end) ? other : undefined;
}

/** The run in `from..to` of `view` that followed `previous`; remembered unless it is long. */
export function learnRun(previous: Run, { after, steps }: Pick<Run, 'after' | 'steps'>, view: DataView, from: number, to: number): Run {
  const before = previous.after;
  const length = to - from;
  if (length < WORD || length > MAX_BYTES) return { before, after, steps, length, words: NO_WORDS, last: 0, next: 0, other: 0 };
  const slot = slotOf(view, from, to);
  if (previous.next !== slot) {
    previous.other = previous.next;
    previous.next = slot;
  }
  const known = runs[slot];
  if (known?.before === before && known.length === length && isAt(known, view, from, to)) return known;
  const words = new Float64Array(Math.floor(length / WORD));
  for (let index = 0; index < words.length; index++) words[index] = view.getFloat64(from + WORD * index, true);
  const run: Run = { before, after, steps, length, words, last: view.getFloat64(to - WORD, true), next: 0, other: 0 };
  runs[slot] = run;
  return run;
}

/** What precedes the first run of every document. */
export function firstRun(after: Scalar): Run {
  return { before: after, after, steps: [], length: 0, words: NO_WORDS, last: 0, next: 0, other: 0 };
}

const NO_WORDS = new Float64Array(0);

function isAt({ words, last, length }: Run, view: DataView, at: number, end: number): boolean {
  const lastAt = at + length - WORD;
  if (lastAt + WORD > end || view.getFloat64(lastAt, true) !== last) return false;
  let word = at;
  for (let i = 0; i < words.length; i++, word += WORD) if (view.getFloat64(word, true) !== words[i]) return false;
  return true;
}

function slotOf(view: DataView, from: number, to: number): number {
  let hash = 0;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + view.getUint8(at)) | 0;
  return (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (SLOTS - 1);
}
