/**
 * The queue of one durable satellite: a cursor on the stored messages, with the next ones in memory. What is delivered is recorded before
 * it begins and after it ended, so that a later run knows what may have been delivered before.
 */
import { Fifo, clean, reasonOf } from '../../core/core.ts';
import type { Clock, Log, QueueStatus } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';
import { heldBytes } from '../../values/values.ts';
import type { DurableQueue } from '../hosted/hosted.ts';

/** A message as it is stored. */
export interface StoredItem {
  /** Its number in the log; 0 for a message that is only in memory. */
  readonly number: number;
  /** Bytes of all messages that were ever stored, up to and including this one. */
  readonly total: number;
  /** The satellite that sent it. */
  readonly by: string | undefined;
  readonly message: Message;
}

/** What is stored of a satellite. */
export interface Cursor {
  /** It has received all messages up to this number. */
  readonly done: number;
  /** It may have received all messages up to this number; never less than `done`. */
  readonly begun: number;
  /** {@link StoredItem.total} of `done`. */
  readonly total: number;
  /** How often the relay ended during the delivery of the message after `done`. */
  readonly crashes: number;
  /** False if the relay ended well, so that it did not crash during a delivery. */
  readonly isRunning: boolean;
  /** The date since which there is no such satellite. */
  readonly awaySince?: number | undefined;
}

/** A cursor before the first message. */
export const NEW_CURSOR: Cursor = { done: 0, begun: 0, total: 0, crashes: 0, isRunning: false };

/** What a {@link CursorQueue} needs. */
export interface CursorQueueParts {
  readonly name: string;
  readonly cursor: Cursor;
  readonly clock: Clock;
  readonly log: Pick<Log, 'error' | 'warn'>;
  /** The newest stored message. */
  readonly end: () => Pick<StoredItem, 'number' | 'total'>;
  readonly read: (from: number) => AsyncGenerator<StoredItem, void, undefined>;
  readonly write: (cursor: Cursor, durability: 'synced' | 'written') => Promise<void>;
  readonly onNoLongerDurable: () => void;
  readonly setAside: (message: Message, deaths: number) => void;
}

// In memory for one satellite; more is read from the disk when these are delivered.
const MAX_MESSAGES = 256;
const MAX_BYTES = 4 * 1024 * 1024;
// Messages whose beginning is recorded in one write while the satellite is fast: after a crash, some of them are marked as redelivered in
// vain. It is fast if it has received all messages of a write within this time, several times in a row.
const MAX_BEGUN = 64;
const FAST_MS = 20;
const FAST_WRITES = 8;
// The next message of a busy sender comes within this time, and a write for two costs half.
const RECORD_MS = 2;
// Crashes of the relay at one message after which it is set aside.
const MAX_CRASHES = 5;
// After a failed read.
const READ_AGAIN_MS = 1_000;

export class CursorQueue implements DurableQueue {
  readonly name: string;
  readonly #parts: CursorQueueParts;
  #cursor: Cursor;
  /** Set while messages for it are refused. */
  isFull = false;
  /** Of the inbox that receives from it now. */
  #onReady: (() => void) | undefined;
  readonly #window = new Fifo<StoredItem>();
  #windowBytes = 0;
  /** The number of the next message to be read; those before it are in the window, or received. */
  #next: number;
  #current: StoredItem | undefined;
  /** Messages up to this number may have been delivered in an earlier run, or before an interruption. */
  #redeliveredThrough: number;
  /** The number up to which the beginning of deliveries is on the disk. */
  #recorded = 0;
  /** Up to this number, each message is recorded alone, so that it is known at which one the relay ends. */
  #carefulThrough: number;
  #fastWrites = 0;
  #begunSince = -Infinity;
  #isReading = false;
  #isRecording: Promise<void> | undefined;
  #cancelRecord: (() => void) | undefined;
  #isStale = false;
  /** Writes in progress that record the beginning of deliveries. */
  #beginnings = 0;
  #dropped = 0;
  #isFirstStart = true;
  /** Changes with each detach, so that a read that began before it ends. */
  #generation = 0;

  constructor(parts: CursorQueueParts) {
    const { name, cursor } = parts;
    this.#parts = parts;
    this.name = name;
    this.#cursor = cursor;
    this.#next = cursor.done + 1;
    this.#redeliveredThrough = cursor.begun;
    this.#carefulThrough = cursor.isRunning ? cursor.begun : 0;
  }

  get cursor(): Cursor {
    return this.#cursor;
  }

  /** Stored messages that it has not received, with the one in progress. */
  get backlog(): number {
    return Math.max(0, this.#parts.end().number - this.#cursor.done);
  }

  get backlogBytes(): number {
    return Math.max(0, this.#parts.end().total - this.#cursor.total);
  }

  get isAttached(): boolean {
    return this.#onReady !== undefined;
  }

  attach(onReady: () => void, isInProcess: boolean): void {
    const isPassedOn = this.#onReady !== undefined;
    this.#onReady = onReady;
    if (!isPassedOn) this.#start(isInProcess);
    this.#fill();
  }

  #start(isInProcess: boolean): void {
    this.#current = undefined;
    if (isInProcess && this.#isFirstStart && this.#cursor.isRunning && this.#cursor.begun > this.#cursor.done) {
      // It runs in the relay's own process, so what ended that may have been the message.
      this.#cursor = { ...this.#cursor, crashes: this.#cursor.crashes + 1 };
    }
    this.#isFirstStart = false;
    this.#next = this.#cursor.done + 1;
    this.#cursor = { ...this.#cursor, isRunning: true, awaySince: undefined };
    this.record();
  }

  detach(): void {
    this.#onReady = undefined;
    this.#generation++;
    if (this.#current) this.#redeliveredThrough = Math.max(this.#redeliveredThrough, this.#current.number);
    for (let item = this.#window.shift(); item; item = this.#window.shift()) if (item.number === 0) this.#dropped++;
    this.#windowBytes = 0;
    this.#next = this.#cursor.done + 1;
    // No next message of it will record this.
    if (this.#cancelRecord && this.#isStale) this.record();
  }

  /** The satellite is not durable any more: what is stored for it is dropped. */
  end(): void {
    this.detach();
    this.#parts.onNoLongerDurable();
  }

  setAway(since: number | undefined): void {
    if (this.#cursor.awaySince === since) return;
    this.#cursor = { ...this.#cursor, awaySince: since };
    this.record();
  }

  /**
   * The cursor that has to be stored together with the message of this number, since it receives that as soon as it is stored; undefined if
   * it does not. {@link beginsWith} must be called once both are submitted.
   */
  cursorWith(number: number): Cursor | undefined {
    if (!this.#onReady || this.#isReading) return undefined;
    // Its speed counts from when it was idle, so that no more and more deliveries begin while it hangs.
    const mayBegin = this.#isIdleBefore(number) || (this.#isFastNow && number - this.#cursor.done <= this.#beginsAtOnce);
    return mayBegin ? this.#begunThrough(number) : undefined;
  }

  /** What {@link cursorWith} returned is being stored. {@link begun} must be called afterwards. */
  beginsWith(number: number): void {
    if (this.#isIdleBefore(number)) this.#noteSpeed(number);
    this.#startBeginning(number);
  }

  /** The beginning of the deliveries through this number is stored; undefined if that failed. */
  begun(through: number | undefined): void {
    this.#beginnings--;
    if (through === undefined) return;
    this.#recorded = Math.max(this.#recorded, through);
    if (!this.#current && this.#window.length === 0) this.#begunSince = this.#parts.clock.now();
  }

  /** A message was stored, and all before it. */
  add(item: StoredItem): void {
    // Otherwise it is read when the ones before it are delivered.
    if (!this.#onReady || this.#isReading || item.number !== this.#next || this.#isWindowFull) return;
    this.#put(item);
    this.#passOwn();
    this.#begin();
  }

  get length(): number {
    const first = this.#window.at(this.#window.first);
    return first !== undefined && first.number <= this.#recorded ? this.#window.length : 0;
  }

  /** Adds a message that is not durable. */
  push(message: Message): void {
    if (this.#isWindowFull) {
      this.#dropped++;
      return;
    }
    this.#window.push({ number: 0, total: 0, by: undefined, message });
    this.#windowBytes += heldBytes(message);
  }

  shift(): Message | undefined {
    if (this.length === 0) return undefined;
    const item = this.#window.shift();
    if (!item) return undefined;
    this.#windowBytes -= heldBytes(item.message);
    this.#current = item;
    return item.message;
  }

  status(now: number): QueueStatus {
    const oldest = this.#current ?? this.#window.at(this.#window.first);
    const oldestMs = oldest ? Math.max(0, Math.round(now - oldest.message.arrivedAt)) : 0;
    return { waiting: this.backlog, bytes: this.backlogBytes, oldestMs, dropped: this.#dropped, merged: 0 };
  }

  /** What is stored is kept, so nothing is lost. */
  clear(): number {
    return 0;
  }

  get mayHaveBeenDelivered(): boolean {
    return this.#current !== undefined && this.#current.number > 0 && this.#current.number <= this.#redeliveredThrough;
  }

  /** The delivery of the message that `shift` returned last has ended. */
  settle(): void {
    const item = this.#current;
    this.#current = undefined;
    if (item && item.number > this.#cursor.done) {
      this.#advance(item);
      this.#passOwn();
    }
    if (this.#onReady) this.#fill();
  }

  /** Records that the relay ends well. Never rejects. */
  async close(): Promise<void> {
    const { done } = this.#cursor;
    this.#cancelRecord?.();
    await this.#isRecording;
    const begun = this.#current ? Math.max(done, this.#current.number) : done;
    this.#cursor = { ...this.#cursor, begun: Math.max(begun, Math.min(this.#redeliveredThrough, this.#cursor.begun)), isRunning: false };
    this.#onReady = undefined;
    await this.#parts.write(this.#cursor, 'synced').catch((error: unknown) => {
      this.#parts.log.warn(`the position of ${clean(this.name)} cannot be stored: ${reasonOf(error)}; messages may be delivered again`);
    });
  }

  get #isWindowFull(): boolean {
    return this.#window.length > 0 && (this.#window.length >= MAX_MESSAGES || this.#windowBytes >= MAX_BYTES);
  }

  #put(item: StoredItem): void {
    this.#next = item.number + 1;
    if (item.by === this.name) return;
    this.#window.push(item);
    this.#windowBytes += heldBytes(item.message);
  }

  /** Counts messages as received that it sent itself, or that were lost, if none is before them. */
  #passOwn(): void {
    if (this.#window.length > 0 || this.#current || this.#next - 1 <= this.#cursor.done) return;
    const { number, total } = this.#parts.end();
    if (number !== this.#next - 1) return;
    this.#advance({ number, total });
  }

  /** It has received the messages up to this one. */
  #advance({ number, total }: Pick<StoredItem, 'number' | 'total'>): void {
    this.#cursor = { ...this.#cursor, done: number, begun: Math.max(this.#cursor.begun, number), total, crashes: 0 };
    this.#recordSoon();
  }

  /** Reads more messages if the window is nearly empty. */
  #fill(): void {
    this.#begin();
    if (this.#isReading || !this.#onReady || this.#window.length > MAX_MESSAGES / 2 || this.#next > this.#parts.end().number) return;
    this.#isReading = true;
    this.#read()
      .then(
        () => {
          this.#isReading = false;
          this.#passOwn();
          this.#fill();
        },
        (error: unknown) => {
          this.#parts.log.error(`the stored messages of ${clean(this.name)} cannot be read: ${reasonOf(error)}; it is tried again`);
          this.#parts.clock.after(READ_AGAIN_MS, () => {
            this.#isReading = false;
            if (this.#onReady) this.#fill();
          });
        },
      )
      .catch(() => undefined);
  }

  async #read(): Promise<void> {
    const from = this.#next;
    const end = this.#parts.end().number;
    const generation = this.#generation;
    for await (const item of this.#parts.read(from)) {
      if (generation !== this.#generation || item.number > end) return;
      this.#put(item);
      if (this.#setAsideIfDeadly(item)) continue;
      this.#begin();
      if (this.#isWindowFull) return;
    }
    // What is left of them is damaged, which the store has reported.
    if (this.#next <= end && generation === this.#generation) this.#next = end + 1;
  }

  /** Sets the first message aside if the relay has ended at it too often. */
  #setAsideIfDeadly(item: StoredItem): boolean {
    if (this.#cursor.crashes < MAX_CRASHES || this.#window.length !== 1 || this.#current) return false;
    const deaths = this.#cursor.crashes;
    this.#window.shift();
    this.#windowBytes -= heldBytes(item.message);
    this.#parts.setAside(item.message, deaths);
    this.#advance(item);
    return true;
  }

  /** Records that the next deliveries begin, then makes them available. */
  #begin(): void {
    const first = this.#window.at(this.#window.first);
    if (!first || !this.#onReady) return;
    if (first.number <= this.#recorded) {
      this.#onReady();
      return;
    }
    // Not before the delivery in progress has ended, so that a slow satellite is not said to have begun the next one.
    if (this.#beginnings > 0 || this.#current) return;
    this.#noteSpeed(first.number);
    const count = Math.min(this.#beginsAtOnce, this.#window.length);
    const last = this.#window.at(this.#window.first + count - 1) ?? first;
    const through = Math.max(last.number, first.number);
    this.#startBeginning(through);
    this.#parts
      .write(this.#cursor, 'synced')
      // The store has reported that it fails; the relay goes on delivering.
      .catch(() => undefined)
      .then(() => {
        this.begun(through);
        this.#begunSince = this.#parts.clock.now();
        this.#begin();
      })
      .catch(() => undefined);
  }

  get #isFastNow(): boolean {
    return this.#parts.clock.now() - this.#begunSince < FAST_MS;
  }

  /** How many deliveries may begin with one write. */
  get #beginsAtOnce(): number {
    return Math.min(MAX_BEGUN, 2 ** Math.max(0, this.#fastWrites - FAST_WRITES));
  }

  #noteSpeed(number: number): void {
    const isFast = number > this.#carefulThrough && this.#isFastNow;
    this.#fastWrites = isFast ? this.#fastWrites + 1 : 0;
  }

  /** Its cursor is about to be written. */
  #startBeginning(through: number): void {
    this.#beginnings++;
    this.#cursor = this.#begunThrough(through);
    this.#isStale = false;
  }

  #begunThrough(through: number): Cursor {
    return { ...this.#cursor, begun: Math.max(through, this.#cursor.begun) };
  }

  /** True if the message of this number is the next, and nothing waits or is in progress. */
  #isIdleBefore(number: number): boolean {
    return number === this.#next && this.#beginnings === 0 && !this.#current && this.#window.length === 0;
  }

  /** Records the cursor with the next message, or alone if none comes at once. */
  #recordSoon(): void {
    this.#isStale = true;
    if (this.#isRecording) return;
    this.#cancelRecord ??= this.#parts.clock.after(RECORD_MS, () => {
      this.#cancelRecord = undefined;
      if (this.#isStale) this.record();
    });
  }

  /** Records the cursor soon; it may be lost, and what it covers is then delivered again. */
  record(): void {
    this.#isStale = true;
    this.#isRecording ??= this.#recordAll();
  }

  async #recordAll(): Promise<void> {
    // What is delivered in the same turn is recorded together.
    await Promise.resolve();
    while (this.#isStale) {
      this.#isStale = false;
      await this.#parts.write(this.#cursor, 'written').catch(() => undefined);
    }
    this.#isRecording = undefined;
  }
}
