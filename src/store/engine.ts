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
  /** Keeps a copy of a damaged pair that the next synced batch removes; returns the absolute path of the copy. */
  setAside(pair: Pair, reason: string): Promise<string>;
  /** The free and total bytes of the disk. */
  space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  close(): Promise<void>;
}

/** What an engine is opened on. */
export interface Disk {
  /** True if there is something to open. */
  exists(): Promise<boolean>;
  /**
   * Opens what is there. Rejects with a RelayError STATE_DIRECTORY if the system refuses it, and with any other error if what is there is
   * damaged.
   */
  open(): Promise<Engine>;
  /** Called once what was opened is verified: the disk need not keep any longer what was there before. */
  accept(): Promise<void>;
  /**
   * Called with no engine open, when what was opened is not whole: goes back to what was there before and repairs that, or replaces it by
   * nothing. Returns the absolute path of what was there before.
   */
  repair(how: 'repair' | 'replace'): Promise<string>;
}
