/** What the relay keeps durably, as its users see it: numbered logs and keyed tables, changed together in atomic batches. */

/**
 * One change of a batch. Names of logs and tables are fixed by their owners (`dead-letters`, `work-units`): a store has a few, never one
 * per unit or message. Keys are texts of at most 512 bytes.
 */
export type StoreOperation =
  /** Appends a record to a log; it gets the next number of that log, from 1, without gaps. */
  | { readonly type: 'append'; readonly log: string; readonly value: Buffer }
  /** Forgets the records of a log up to and including this number. Numbers are never used again. */
  | { readonly type: 'trim'; readonly log: string; readonly through: number }
  /** Sets the value of a key, such as the state of a work unit or the position of a consumer. */
  | { readonly type: 'put'; readonly table: string; readonly key: string; readonly value: Buffer }
  /** Deletes a key; nothing happens if it does not exist. */
  | { readonly type: 'delete'; readonly table: string; readonly key: string };

/** How a batch is written. */
export interface WriteOptions {
  /**
   * `synced` (the default): resolves once the batch is on the disk, which is when it may be acknowledged. `written`: resolves once the
   * system has it; it survives the end of the process, and a power failure may lose it, but never without everything written after it.
   */
  readonly durability?: 'synced' | 'written' | undefined;
  /**
   * True for the progress of what was accepted before, such as the end of a work unit or the position of a consumer: it is still written
   * while the disk runs low, when new data is refused. Default false.
   */
  readonly isProgress?: boolean | undefined;
}

/** A record of a log. */
export interface LogRecord {
  readonly number: number;
  readonly value: Buffer;
}

/** An entry of a table. */
export interface TableEntry {
  readonly key: string;
  readonly value: Buffer;
}

/** The numbers of a log: `first` is its oldest record, and `next` the number that the next one gets; equal if the log is empty. */
export interface LogRange {
  readonly first: number;
  readonly next: number;
}

/** What a store can do at the moment. */
export type StoreState =
  | { readonly type: 'open' }
  /** New data is refused until more of the disk is free; progress and deletions are written. */
  | { readonly type: 'disk-low'; readonly freeBytes: number; readonly totalBytes: number }
  /** A write or a sync failed. Nothing is written any more until the relay is restarted; what was acknowledged before is kept. */
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'closed' };

/** What was found damaged. The rest of the store is used. */
export interface StoreDamage {
  /** What is lost or set aside: `log dead-letters, number 17: the checksum is wrong`. */
  readonly what: string;
  /** The absolute path of the file or directory with what was found; undefined if nothing of it is left. */
  readonly movedTo: string | undefined;
}

/** What a store reports. */
export type StoreEvent =
  /** Emitted for each change of state. */
  | { readonly type: 'store.state'; readonly state: StoreState }
  /** Emitted for each damaged or missing piece, at the start or when it is read. */
  | ({ readonly type: 'store.damage' } & StoreDamage);

/** Counters of a store since its start. */
export interface StoreStatus {
  readonly state: StoreState;
  /** Batches whose write was acknowledged. */
  readonly batches: number;
  /** Writes to the disk; smaller than `batches` where batches were written together. */
  readonly commits: number;
  /** Batches that were refused since nothing durable could be taken. */
  readonly refused: number;
  /** Bytes of the batches that wait to be written. */
  readonly pendingBytes: number;
  /** Records and entries that were found damaged or missing. */
  readonly damaged: number;
}

/**
 * A store. Batches become durable in the order of the calls of `write`, several in one write to the disk. What `write` has resolved for is
 * read from then on.
 */
export interface Store {
  /**
   * Writes all operations or none. Resolves to the numbers of the appended records, in order. Rejects before anything is written with a
   * RelayError: STATE_DIRECTORY if the disk runs low or the store failed or is closed; UNAVAILABLE if too much waits to be written; LIMIT
   * if a value, key or table is too large. If the write itself fails the batch may or may not survive, and the store is `failed`.
   */
  write(operations: readonly StoreOperation[], options?: WriteOptions): Promise<readonly number[]>;
  /** Like {@link write}, but throws at once what is refused before anything is written; what does not throw has its place in the order. */
  submit(operations: readonly StoreOperation[], options?: WriteOptions): Promise<readonly number[]>;
  /** The value of a key, undefined if it has none. Rejects with a RelayError STATE_DIRECTORY if it cannot be read. */
  get(table: string, key: string): Promise<Buffer | undefined>;
  /**
   * The records of a log from this number on (default: the oldest), in order, up to the newest that is written when the loop gets there.
   * Damaged records are reported and skipped, so numbers may have gaps.
   */
  records(log: string, from?: number): AsyncGenerator<LogRecord, void, undefined>;
  /**
   * One record of a log; undefined if it is trimmed, damaged or not written yet. Much faster than {@link records} for single ones. Rejects
   * with a RelayError STATE_DIRECTORY if it cannot be read.
   */
  record(log: string, number: number): Promise<Buffer | undefined>;
  /** The entries of a table in the order of their keys' bytes; those whose key begins with `prefix`, default all. */
  entries(table: string, prefix?: string): AsyncGenerator<TableEntry, void, undefined>;
  /** The numbers of a log; `{ first: 1, next: 1 }` for one that has never had a record. */
  range(log: string): LogRange;
  /** How many keys a table has. */
  count(table: string): number;
  readonly state: StoreState;
  status(): StoreStatus;
  /** Writes what waits, then closes. Calling it again waits for the same end. */
  close(): Promise<void>;
}
