/** Writes messages to the store: gathers while a batch is written, keeps the list of live records, and clears the log behind them. */
import type { StoreOperation } from '../store/store.ts';
import { RowIndex } from './row-index.ts';
import { MAX_NOTED, encodeNote, withoutLocal } from './held-record.ts';
import type { Held, HeldTable } from './held-table.ts';
import { MESSAGE_LOG } from './ports.ts';
import type { Effect } from './ports.ts';

/** What waits for a batch. */
interface Gathering {
  readonly operations: StoreOperation[];
  /** Called in order with the number of the record, for what is appended. */
  readonly appended: ((number: number) => void)[];
  readonly synced: (() => void)[];
  readonly failed: ((reason: string) => void)[];
  isNew: boolean;
}

export interface JournalParts {
  readonly table: HeldTable;
  readonly effects: Effect[];
  /** Further changes that belong to the next batch, such as the numbers of streams. */
  readonly changes: () => readonly StoreOperation[];
  /** Records of a log that is short enough: none is moved. */
  readonly shortLog: number;
}

/** The table with the time of the last batch, from which the time of a node continues after a restart. */
export const TIME_TABLE = 'mesh-time';

// What is done is written with the next message, or after this time. Losing it costs a repetition that is recognized.
const DONE_DELAY_MS = 200;
// Records that are done at the head of the log before they are removed, as a part of a short log.
const TRIM_SHARE = 1 / 16;
// Live records that are moved at once from the old end of the log to the new one.
const MOVE_AT_ONCE = 64;
// The log is at most this many times as long as the live records in it, not counting a short one.
const MAX_STRETCH = 4;

export class Journal {
  readonly #parts: JournalParts;
  /** What is in the log and not done, by the number of its record. */
  readonly live: RowIndex<Held>;
  #gathering = empty();
  #writing: { readonly batch: number; readonly gathering: Gathering } | undefined;
  #done: number[] = [];
  #doneSince = Infinity;
  #processed: Held[] = [];
  #lastBatch = 0;
  // The number of the first record that is not removed; undefined if nothing was restored or written yet.
  #first: number | undefined;
  #next = 1;
  /** Why nothing is written any more. */
  #failure: string | undefined;
  #refusal: string | undefined;
  #moving: readonly Held[] = [];

  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.live = new RowIndex(parts.table);
  }

  /** Why no new message is stored; undefined if it is. */
  get refusal(): string | undefined {
    return this.#failure ?? this.#refusal;
  }

  /** Refuses new messages for this reason; undefined: takes them again. */
  refuseNew(reason: string | undefined): void {
    this.#refusal = reason;
  }

  /** True while a batch is on its way to the disk: what is added now waits for the next one. */
  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  /** When {@link flush} has something to write, if nothing is added. */
  get wakeAt(): number {
    return this.#writing ? Infinity : this.#doneSince + DONE_DELAY_MS;
  }

  /** Takes over a record at the start, in the order of the numbers. */
  restore(number: number, held: Held): void {
    held.record = number;
    this.live.set(number, held);
    this.restored(number);
  }

  /** Notes a record without a message at the start. */
  restored(number: number): void {
    this.#first ??= number;
    this.#next = number + 1;
  }

  /** Adds the record of a message. `stored` is called once it is on the disk, `failed` if it will never be. */
  append(held: Held, record: Buffer, stored: () => void, failed: (reason: string) => void): void {
    if (this.#failure !== undefined) {
      failed(this.#failure);
      return;
    }
    const gathering = this.#gathering;
    gathering.operations.push({ type: 'append', log: MESSAGE_LOG, value: record });
    gathering.appended.push((number) => {
      if (held.state === 'gone') this.#done.push(number);
      else {
        held.record = number;
        this.live.set(number, held);
      }
    });
    gathering.synced.push(stored);
    gathering.failed.push(failed);
    gathering.isNew = true;
  }

  /** Adds another change that must be on the disk before something is acknowledged. */
  put(operation: StoreOperation): void {
    this.#gathering.operations.push(operation);
    this.#gathering.isNew = true;
  }

  /** Calls `then` once everything that was added so far is on the disk, at once if it is; `failed` if it will never be. */
  whenSynced(then: () => void, failed: () => void): void {
    const waiting = this.#gathering.isNew ? this.#gathering : this.#writing?.gathering;
    if (this.#failure !== undefined) failed();
    else if (waiting) {
      waiting.synced.push(then);
      waiting.failed.push(failed);
    } else then();
  }

  /** The message is done: its record is removed. */
  done(held: Held): void {
    if (this.live.delete(held.record)) this.#done.push(held.record);
  }

  /** The satellites of this node have had the message, which still waits for others. */
  processed(held: Held): void {
    if (held.record > 0) this.#processed.push(held);
  }

  /** Writes what was gathered, unless a batch is being written. */
  flush(now: number): void {
    if (this.#done.length + this.#processed.length > 0 && this.#doneSince === Infinity) this.#doneSince = now;
    if (this.#writing || this.#failure !== undefined) return;
    const gathering = this.#gathering;
    const isDoneDue = this.#done.length + this.#processed.length >= MAX_NOTED || now >= this.#doneSince + DONE_DELAY_MS;
    if (!gathering.isNew && !isDoneDue) return;
    this.#addProgress(gathering, now);
    this.#gathering = empty();
    const batch = ++this.#lastBatch;
    this.#writing = { batch, gathering };
    const durability = gathering.isNew ? 'synced' : 'written';
    this.#parts.effects.push({ type: 'write', batch, operations: gathering.operations, durability, isProgress: !gathering.isNew });
  }

  /** Takes the answer of the store. */
  written(batch: number, numbers: readonly number[]): void {
    if (this.#writing?.batch !== batch) return;
    const { gathering } = this.#writing;
    this.#writing = undefined;
    for (const [index, number] of numbers.entries()) {
      this.#first ??= number;
      this.#next = number + 1;
      gathering.appended[index]?.(number);
    }
    for (const synced of gathering.synced) synced();
  }

  /** A batch was not written: nothing is stored from now on. */
  writeFailed(batch: number, reason: string): void {
    if (this.#writing?.batch !== batch) return;
    const all = [this.#writing.gathering, this.#gathering];
    this.#failure = reason;
    this.#writing = undefined;
    this.#gathering = empty();
    for (const { failed } of all) for (const fail of failed) fail(reason);
  }

  /**
   * The oldest live records, if the log is much longer than what lives in it: the caller reads them and calls {@link moved}. Otherwise
   * a single message that waits for days would keep all records after it on the disk.
   */
  toMove(): readonly Held[] {
    const length = this.#next - (this.#first ?? this.#next);
    if (this.#moving.length > 0 || length < this.#parts.shortLog || length < MAX_STRETCH * this.live.size) return [];
    const oldest: Held[] = [];
    for (const held of this.live.values()) if (oldest.push(held) === MOVE_AT_ONCE) break;
    this.#moving = oldest;
    return oldest;
  }

  /** Appends the records again; those that are done by now are not. */
  moved(records: readonly (Buffer | undefined)[]): void {
    for (const [index, held] of this.#moving.entries()) {
      const record = records[index];
      const old = held.record;
      if (!record || !this.live.has(old)) continue;
      const gathering = this.#gathering;
      const { isLocal } = held;
      gathering.operations.push({ type: 'append', log: MESSAGE_LOG, value: isLocal ? record : withoutLocal(record) });
      gathering.appended.push((number) => {
        // The old record is done, and so is the new one if the message is by now.
        if (this.live.delete(old)) {
          held.record = number;
          this.live.set(number, held);
          this.#done.push(old);
          if (isLocal && !held.isLocal) this.processed(held);
        } else this.#done.push(number);
      });
    }
    // Until the copies have their numbers, the next ones would be taken for the oldest records again.
    this.#gathering.synced.push(() => {
      this.#moving = [];
    });
    this.#gathering.isNew = true;
  }

  #addProgress(gathering: Gathering, now: number): void {
    const { operations } = gathering;
    const processed = this.#processed.filter(({ state }) => state !== 'gone').map(({ record }) => record);
    this.#processed = [];
    for (const [type, noted] of [
      ['done', this.#done],
      ['processed', processed],
    ] as const) {
      // prettier-ignore
      while (noted.length > 0) {
        operations.push({ type: 'append', log: MESSAGE_LOG, value: encodeNote(type, noted.splice(0, MAX_NOTED)) });
        gathering.appended.push(() => undefined);
      }
    }
    this.#doneSince = Infinity;
    // Records of this batch have numbers that are not known yet; what is before them may go.
    const first = this.live.first ?? this.#next;
    if (first - (this.#first ?? first) >= this.#parts.shortLog * TRIM_SHARE) {
      operations.push({ type: 'trim', log: MESSAGE_LOG, through: first - 1 });
      this.#first = first;
    }
    operations.push(...this.#parts.changes(), { type: 'put', table: TIME_TABLE, key: 'now', value: Buffer.from(String(Math.floor(now))) });
  }
}

function empty(): Gathering {
  return { operations: [], appended: [], synced: [], failed: [], isNew: false };
}
