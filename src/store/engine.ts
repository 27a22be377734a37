/** What a store needs of the library or memory below it: an ordered map of bytes with atomic, optionally synced batches. */

/** One change of the map. */
export type EngineOperation =
  { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer } | { readonly type: 'del'; readonly key: Buffer };

/** Keys from `gte` to before `lt`, in the order of their bytes. */
export interface KeyRange {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

/** A key and its value. */
export type Pair = readonly [key: Buffer, value: Buffer];

/** An open map. One store uses it; it is called for one batch at a time. */
export interface Engine {
  /** Writes all operations or none. With `sync`, resolves once they, and all before them, are on the disk. */
  batch(operations: readonly EngineOperation[], sync: boolean): Promise<void>;
  get(key: Buffer): Promise<Buffer | undefined>;
  /** The pairs of a range as they were at the call, in pages of bounded size. Rejects if a part of them cannot be read. */
  pages(range: KeyRange): AsyncGenerator<readonly Pair[], void, undefined>;
  /** Deletes a range, not atomically and not synced. */
  clear(range: KeyRange): Promise<void>;
  /**
   * Notes that everything up to this commit is synced, outside of the files of the map itself, so that a later start notices if the newest
   * commits are missing. Not synced: after a power failure an older note may be found.
   */
  note(commit: number): void;
  /** The commit that was noted last; 0 if none was. */
  readonly noted: number;
  /** Keeps a copy of what is damaged and is about to be removed; returns the absolute path of the copy. */
  setAside(pair: Pair, reason: string): Promise<string>;
  /** The free and total bytes of the disk. */
  space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  close(): Promise<void>;
}
