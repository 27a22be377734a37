/**
 * The messages of durable satellites, in one log of the store, and the cursor of each of these satellites. A message is written once,
 * however many of them want it, and forgotten when the last one has received it.
 */
import { RelayError, clean, reasonOf } from '../../core/core.ts';
import type { Clock, Log } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import type { Message } from '../../message/message.ts';
import type { Store, StoreOperation } from '../../store/store.ts';
import { decodeMessage, encodeMessage } from '../hosted/hosted.ts';
import type { HostEvent, MessageStorage } from '../hosted/hosted.ts';
import { CursorQueue, NEW_CURSOR } from './cursor-queue.ts';
import type { Cursor, StoredItem } from './cursor-queue.ts';
import type { DurableOptions } from './options.ts';

const LOG = 'durable-messages';
const CURSORS = 'durable-cursors';
// Cursors of satellites that are gone are looked at this often.
const SWEEP_MS = 60 * 60 * 1000;
// What all satellites have received is deleted in groups of so many messages or bytes, since each deletion is a write.
const TRIM_RECORDS = 256;
const TRIM_BYTES = 1024 * 1024;

/** What is stored with a message. */
interface Extra {
  /** The satellite that sent it, which does not receive it. */
  readonly by?: string | undefined;
  /** Bytes of all messages that were ever stored, up to and including this one: the difference of two is what lies between them. */
  readonly total: number;
}

/** What {@link DurableMessages} needs. */
export interface DurableMessagesParts {
  readonly store: Store;
  readonly restore: MessageStorage['restore'];
  /** ms since 1970. */
  readonly date: () => number;
  readonly clock: Clock;
  readonly options: DurableOptions;
  readonly events: EventSink<HostEvent>;
  readonly log: Log;
  /** The plugins of the satellites that there are now, by the names of these, whether they run or not. */
  readonly present: () => ReadonlyMap<string, string>;
  /** Sets a message aside at which the relay ended again and again. */
  readonly setAside: (satellite: string, message: Message, deaths: number) => void;
}

/** The messages that are kept for a satellite that is not there any more. */
export interface KeptCursor {
  readonly satellite: string;
  readonly waiting: number;
  readonly bytes: number;
  /** ms until they are dropped. */
  readonly dropInMs: number;
}

/** See the head of this file. */
export class DurableMessages {
  readonly #parts: DurableMessagesParts;
  readonly #storage: MessageStorage;
  /** The satellites that want messages, whether they run or not. */
  readonly #wanting = new Map<string, CursorQueue>();
  /** The number of the newest message that is stored. */
  #head = 0;
  /** As in {@link Extra}, of that message, and of the newest one that is being stored. */
  #headTotal = 0;
  #total = 0;
  /** How many messages are being stored. */
  #pending = 0;
  /** {@link Extra.total} up to which messages are deleted. */
  #trimmedTotal = 0;
  #cancelSweep: (() => void) | undefined;

  constructor(parts: DurableMessagesParts) {
    this.#parts = parts;
    this.#storage = { restore: parts.restore, date: parts.date, clock: parts.clock };
  }

  /** Reads the cursors of earlier runs. From then on their messages are kept, although their satellites do not run yet. */
  async load(): Promise<void> {
    const { store, log } = this.#parts;
    this.#head = store.range(LOG).next - 1;
    for await (const item of this.#read(this.#head)) this.#total = item.total;
    for await (const { key, value } of store.entries(CURSORS)) {
      const cursor = readCursor(value);
      if (cursor) this.#wanting.set(key, this.#makeQueue(key, cursor));
      else log.error(`the stored position of ${clean(key)} cannot be read: its messages are delivered from the oldest one on`);
      if (!cursor) this.#wanting.set(key, this.#makeQueue(key, { ...NEW_CURSOR, done: store.range(LOG).first - 1 }));
    }
    // A cursor is never ahead of the log, unless that is damaged.
    for (const queue of this.#wanting.values()) this.#head = Math.max(this.#head, queue.cursor.done);
    for (const queue of this.#wanting.values()) this.#total = Math.max(this.#total, queue.cursor.total);
    this.#headTotal = this.#total;
  }

  /** True if messages are kept for a satellite of this name. */
  has(satellite: string): boolean {
    return this.#wanting.has(satellite);
  }

  /** The queue of a durable satellite: what is kept for it, or, if there is nothing, what is sent from now on. */
  queue(satellite: string): CursorQueue {
    const known = this.#wanting.get(satellite);
    if (known) return known;
    const queue = this.#makeQueue(satellite, { ...NEW_CURSOR, done: this.#head, begun: this.#head, total: this.#headTotal });
    this.#wanting.set(satellite, queue);
    queue.record();
    return queue;
  }

  /**
   * Stores a message for the durable satellites other than `sender`. Undefined if none of them wants it. Resolves once it is synced; from
   * then on they receive it. Throws the RelayError with which the message has to be refused, or rejects with it if the write
   * fails: then all later ones are refused, too.
   */
  keep(message: Message, sender: string | undefined): Promise<void> | undefined {
    if (this.#wanting.size === 0) return undefined;
    const wanting = [...this.#wanting.values()].filter(({ name }) => name !== sender);
    if (wanting.length === 0) return undefined;
    const bytes = message.payload.length;
    for (const queue of wanting) this.#requireRoom(queue, bytes);
    const total = this.#total + bytes;
    const value = encodeMessage<Extra>(message, { by: sender, total }, this.#storage);
    const number = this.#head + this.#pending + 1;
    // Those that receive it at once begin with the same write.
    const beginning: CursorQueue[] = [];
    const operations: StoreOperation[] = [{ type: 'append', log: LOG, value }];
    for (const queue of wanting) {
      const cursor = queue.cursorWith(number);
      if (!cursor) continue;
      beginning.push(queue);
      operations.push(putOf(queue.name, cursor));
    }
    const written = this.#parts.store.submit(operations);
    this.#total = total;
    for (const queue of beginning) queue.beginsWith(number);
    return this.#stored(written, { total, by: sender, message }, beginning);
  }

  /** Notes which satellites are gone, and drops what was kept for them long enough. Called when plugins were added or removed. */
  sweep(): void {
    const { date, present, options, log } = this.#parts;
    const there = present();
    for (const [name, queue] of this.#wanting) {
      const { awaySince } = queue.cursor;
      if (there.has(name)) queue.setAway(undefined);
      else if (awaySince === undefined) {
        queue.setAway(date());
        log.warn(
          `${clean(name)} is not there any more: ${countOf(queue.backlog)} kept for ${daysOf(options.durableInbox.keepMs)} in case it returns`,
        );
      } else if (date() - awaySince >= options.durableInbox.keepMs)
        this.#drop(queue, `it has not been there for ${daysOf(options.durableInbox.keepMs)} (durableInbox.keepMs)`);
    }
    this.#cancelSweep?.();
    this.#cancelSweep = this.#parts.clock.after(SWEEP_MS, () => {
      this.sweep();
    });
  }

  /** What is kept for satellites that are not there. */
  get kept(): readonly KeptCursor[] {
    const { date, options } = this.#parts;
    return [...this.#wanting.values()].flatMap(({ name, backlog, backlogBytes, cursor: { awaySince } }) => {
      if (awaySince === undefined) return [];
      const dropInMs = Math.max(0, awaySince + options.durableInbox.keepMs - date());
      return [{ satellite: name, waiting: backlog, bytes: backlogBytes, dropInMs }];
    });
  }

  /** Records that the satellites ended well, so that nothing is redelivered that was not begun. Never rejects. */
  async close(): Promise<void> {
    this.#cancelSweep?.();
    await Promise.all([...this.#wanting.values()].map((queue) => queue.close()));
    const trims = this.#trims(true);
    // What is left is deleted by a later run.
    if (trims.length > 0) await this.#parts.store.write(trims, { durability: 'written', isProgress: true }).catch(() => undefined);
  }

  /** Throws a RelayError UNAVAILABLE if no more messages may be stored for a satellite. One that is gone loses what was kept instead. */
  #requireRoom(queue: CursorQueue, bytes: number): void {
    const { maxMessages, maxBytes } = this.#parts.options.durableInbox;
    const { name, cursor } = queue;
    const backlog = queue.backlog + this.#pending;
    const backlogBytes = this.#total - cursor.total;
    const isFull = backlog > 0 && (backlog >= maxMessages || backlogBytes + bytes > maxBytes);
    if (!isFull) {
      queue.isFull = false;
      return;
    }
    if (cursor.awaySince !== undefined) {
      this.#drop(queue, 'it is not there, and no more messages may be kept for it (durableInbox)');
      return;
    }
    if (!queue.isFull) {
      queue.isFull = true;
      this.#parts.events.emit({ type: 'inbox.full', plugin: this.#pluginOf(name), satellite: name, waiting: backlog, bytes: backlogBytes });
    }
    const held = `${backlog} messages (${backlogBytes} bytes)`;
    throw new RelayError(
      'UNAVAILABLE',
      `${held} are stored for ${name}, which must not miss any; start or repair it, or raise durableInbox`,
      {
        retryAfterMs: 1_000,
      },
    );
  }

  /** Passes a message on once it is written. */
  async #stored(written: Promise<readonly number[]>, item: Omit<StoredItem, 'number'>, beginning: readonly CursorQueue[]): Promise<void> {
    const { total } = item;
    this.#pending++;
    try {
      const [number = 0] = await written;
      this.#head = Math.max(this.#head, number);
      this.#headTotal = Math.max(this.#headTotal, total);
      for (const queue of beginning) queue.begun(number);
      for (const queue of this.#wanting.values()) queue.add({ ...item, number });
    } catch (error) {
      if (this.#total === total) this.#total -= item.message.payload.length;
      for (const queue of beginning) queue.begun(undefined);
      throw error;
    } finally {
      this.#pending--;
    }
  }

  async *#read(from: number): AsyncGenerator<StoredItem, void, undefined> {
    const { store, log } = this.#parts;
    for await (const { number, value } of store.records(LOG, Math.max(1, from))) {
      try {
        const { message, extra } = decodeMessage<Extra>(value, this.#storage);
        yield { number, message, by: extra.by, total: extra.total };
      } catch (error) {
        log.error(`the stored message ${number} cannot be read, and is skipped: ${clean(reasonOf(error))}`);
      }
    }
  }

  #makeQueue(name: string, cursor: Cursor): CursorQueue {
    const { store, log, clock, setAside } = this.#parts;
    const queue: CursorQueue = new CursorQueue({
      ...{ name, cursor, clock, log },
      end: () => ({ number: this.#head, total: this.#headTotal }),
      read: (from) => this.#read(from),
      write: async (changed, durability) => {
        // What is kept for it was dropped meanwhile.
        if (this.#wanting.get(name) !== queue) return;
        await store.write([putOf(name, changed), ...this.#trims()], { durability, isProgress: true });
      },
      onNoLongerDurable: () => {
        this.#drop(queue, 'it is not durable any more');
      },
      setAside: (message, deaths) => {
        setAside(name, message, deaths);
      },
    });
    return queue;
  }

  #drop(queue: CursorQueue, why: string): void {
    const { store, log, events } = this.#parts;
    const { name, backlog } = queue;
    if (!this.#wanting.delete(name)) return;
    if (backlog > 0) events.emit({ type: 'inbox.dropped', plugin: this.#pluginOf(name), satellite: name, count: backlog, reason: why });
    else log.info(`nothing more is stored for ${clean(name)}: ${why}`);
    store.write([{ type: 'delete', table: CURSORS, key: name }, ...this.#trims()], { isProgress: true }).catch((error: unknown) => {
      log.warn(`the position of ${clean(name)} cannot be deleted: ${reasonOf(error)}`);
    });
  }

  #pluginOf(satellite: string): string {
    return this.#parts.present().get(satellite) ?? satellite;
  }

  /** Forgets what all satellites have received, if that is enough to be worth a write, or at the end. */
  #trims(isEnd = false): readonly StoreOperation[] {
    const cursors = [...this.#wanting.values()].map(({ cursor }) => cursor);
    const through = Math.min(this.#head, ...cursors.map(({ done }) => done));
    const total = Math.min(this.#headTotal, ...cursors.map((cursor) => cursor.total));
    const { first } = this.#parts.store.range(LOG);
    const isWorthIt = through - first + 1 >= TRIM_RECORDS || total - this.#trimmedTotal >= TRIM_BYTES;
    if (through < first || !(isWorthIt || isEnd)) return [];
    this.#trimmedTotal = total;
    return [{ type: 'trim', log: LOG, through }];
  }
}

function putOf(satellite: string, cursor: Cursor): StoreOperation {
  return { type: 'put', table: CURSORS, key: satellite, value: Buffer.from(JSON.stringify(cursor)) };
}

function countOf(count: number): string {
  return count === 1 ? '1 message is' : `${count} messages are`;
}

function daysOf(ms: number): string {
  return ms >= 86_400_000 ? `${Math.round(ms / 86_400_000)} days` : `${Math.round(ms / 1000)} s`;
}

function readCursor(value: Buffer): Cursor | undefined {
  try {
    const cursor = { ...NEW_CURSOR, ...(JSON.parse(value.toString()) as Partial<Cursor>) };
    return [cursor.done, cursor.begun, cursor.total, cursor.crashes].every((one) => Number.isSafeInteger(one)) ? cursor : undefined;
  } catch {
    return undefined;
  }
}
