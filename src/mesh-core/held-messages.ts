/** The messages that a node keeps: found by stream and number, counted in quotas and memory, removed when they are done or expired. */
import { RowIndex } from './row-index.ts';
import type { HeldTable, Held, HeldStream, NewHeld, Arrival } from './held-table.ts';
import type { Journal } from './journal.ts';
import { BACKLOG_CACHE_SHARE, CACHE_BYTES, QUOTA_BYTES, QUOTA_MESSAGES, SHORT_LOG, SYSTEM_BYTES } from './limits.ts';
import { streamKey } from './message.ts';
import type { StreamName } from './message.ts';
import type { Outbound } from './outbound.ts';

/** Limits that a host or a test may lower. */
export interface CustodyLimits {
  /** Messages that wait for one neighbour or node. */
  readonly quotaMessages: number;
  /** Bytes that wait for one neighbour or node. */
  readonly quotaBytes: number;
  /** Bytes of messages in memory: those that are not durable, and copies of those that are. */
  readonly cacheBytes: number;
  /** Records of the log that are left where they are, even if most of them are done. */
  readonly shortLog: number;
}

export const custodyLimits: CustodyLimits = {
  quotaMessages: QUOTA_MESSAGES,
  quotaBytes: QUOTA_BYTES,
  cacheBytes: CACHE_BYTES,
  shortLog: SHORT_LOG,
};

export interface HeldMessagesParts {
  readonly id: string;
  readonly limits: CustodyLimits;
  readonly table: HeldTable;
  readonly journal: Journal;
  readonly outbound: Outbound;
}

export const NO_PEERS: readonly string[] = [];
// When memory is full, some room is made at once.
const ROOM_SHARE = 0.75;
// All messages together may be as many as wait for so many nodes.
const MAX_QUOTAS = 4;
// Expired messages are looked for at most this often, and about so many of them are taken at once; the others follow soon.
const SWEEP_MS = 250;
const EXPIRED_AT_ONCE = 2000;
const NEXT_EXPIRED_MS = 20;

/** See the head of this file. */
export class HeldMessages {
  readonly #parts: HeldMessagesParts;
  readonly #streams = new Map<string, HeldStream>();
  // Streams that last as long as this node: their numbers go on when all their messages are done.
  readonly #lasting = new Set<string>();
  // Messages that are in memory only, by the number that they have instead of one in the log.
  readonly #volatile = new Map<number, Held>();
  #lastVolatile = 0;
  #sweepAt = 0;
  #cachedBytes = 0;
  #volatileBytes = 0;

  constructor(parts: HeldMessagesParts) {
    this.#parts = parts;
  }

  /** The stream with this name, which is made if it is new. */
  stream(name: StreamName): HeldStream {
    const key = streamKey(name);
    let stream = this.#streams.get(key);
    if (!stream) {
      stream = { key, target: name.target, isDurable: name.isDurable, messages: new RowIndex(this.#parts.table) };
      this.#streams.set(key, stream);
    }
    return stream;
  }

  /** A stream of this node, which lasts. */
  ownStream(name: StreamName): HeldStream {
    const stream = this.stream(name);
    this.#lasting.add(stream.key);
    return stream;
  }

  /** A stream of this node that has no messages need not last any more. */
  forgetStream({ key, messages }: HeldStream): void {
    this.#lasting.delete(key);
    if (messages.size === 0) this.#streams.delete(key);
  }

  /** The messages that are kept of a stream. */
  messagesOf(name: StreamName): Pick<RowIndex<Held>, 'has' | 'get' | 'values'> | undefined {
    return this.#streams.get(streamKey(name))?.messages;
  }

  /** Keeps a message; `arrival` is undefined if it has to be read from the store. */
  keep(message: NewHeld, arrival: Arrival | undefined): Held {
    const held = this.#parts.table.add(message);
    held.arrival = arrival;
    held.stream.messages.set(held.number, held);
    this.#parts.outbound.count(held);
    if (!held.stream.isDurable) {
      held.record = --this.#lastVolatile;
      this.#volatile.set(held.record, held);
      this.#volatileBytes += held.bytes;
    }
    if (arrival) this.#cachedBytes += held.bytes;
    return held;
  }

  /** The message is done, also on the disk. */
  finish(held: Held): void {
    this.#parts.journal.done(held);
    this.remove(held);
  }

  /** The message is done, and its record is gone or never was. */
  remove(held: Held): void {
    if (held.state === 'gone') return;
    const { stream, number, record, bytes } = held;
    const { table, journal, outbound } = this.#parts;
    journal.live.delete(record);
    if (this.#volatile.delete(record)) this.#volatileBytes -= bytes;
    // Unless a copy that came later has its place.
    if (stream.messages.get(number)?.is(held) === true) stream.messages.delete(number);
    if (stream.messages.size === 0 && !this.#lasting.has(stream.key)) this.#streams.delete(stream.key);
    outbound.uncount(held);
    if (held.arrival) this.#cachedBytes -= bytes;
    table.remove(held);
  }

  /** The neighbour has a broadcast; it may be the last one. */
  doneFor(held: Held, peer: string): void {
    if (!held.waitingFor.includes(peer)) return;
    this.#parts.outbound.uncount(held, peer);
    held.waitingFor = held.waitingFor.filter((id) => id !== peer);
    if (this.isDone(held) && (held.record > 0 || !held.stream.isDurable)) this.finish(held);
  }

  /** Nobody is to get it any more but the satellites of this node. */
  doneForOthers(held: Held): void {
    if (!held.isLocal) {
      this.finish(held);
      return;
    }
    for (const peer of held.waitingFor) this.#parts.outbound.uncount(held, peer);
    held.waitingFor = NO_PEERS;
  }

  isDone({ stream: { target }, waitingFor, isLocal }: Held): boolean {
    return !isLocal && (target === undefined ? waitingFor.length === 0 : target === this.#parts.id);
  }

  /** The message was read back from the store. */
  cached(held: Held): void {
    this.#cachedBytes += held.bytes;
  }

  /** Drops the copy in memory of a message that is on the disk. */
  release(held: Held): void {
    if (!held.arrival || held.record <= 0) return;
    held.arrival = undefined;
    this.#cachedBytes -= held.bytes;
  }

  /** Drops the copy in memory if there are too many; those of messages that cannot be sent now leave most of the room to the others. */
  limitCache(held: Held, canBeSent = true): void {
    if (this.#cachedBytes > this.#parts.limits.cacheBytes * (canBeSent ? 1 : BACKLOG_CACHE_SHARE)) this.release(held);
  }

  /**
   * The oldest messages in memory that `isStranded` is true for, while memory is full. They are to be given up: otherwise what nobody takes
   * would keep out what others are waiting for.
   */
  *crowding(isStranded: (held: Held) => boolean): Iterable<Held> {
    for (const held of this.#volatile.values()) {
      if (this.#volatileBytes <= ROOM_SHARE * this.#parts.limits.cacheBytes) return;
      if (isStranded(held)) yield held;
    }
  }

  /** True if memory is full of messages that are nowhere else. Messages of the mesh itself have some more. */
  isMemoryFull(isSystem: boolean): boolean {
    const reserve = isSystem ? SYSTEM_BYTES : 0;
    return this.#volatileBytes >= this.#parts.limits.cacheBytes + reserve;
  }

  /** True if too much waits for a neighbour or node, or for all nodes together. */
  isOverQuota(kind: 'peer' | 'node', id: string): boolean {
    const { outbound, journal, limits } = this.#parts;
    const { messages, bytes } = outbound.queue(kind, id);
    if (messages >= limits.quotaMessages || bytes >= limits.quotaBytes) return true;
    // Anybody can name nodes that do not exist.
    return kind === 'node' && journal.live.size + this.#volatile.size >= MAX_QUOTAS * limits.quotaMessages;
  }

  /** The broadcasts that wait for this neighbour. */
  waitingForPeer(id: string): readonly Held[] {
    return this.#parts.table.waitingFor(id);
  }

  /** Those behind one with this {@link Held.record}, by that: those on the disk, then the others; 0: all of them. */
  *after(record: number): Iterable<Held> {
    if (record >= 0) yield* this.#parts.journal.live.values(record + 1);
    for (const held of this.#volatile.values()) if (record >= 0 || held.record < record) yield held;
  }

  /** The message with this id, if it is kept. */
  find(id: string): Held | undefined {
    const dot = id.lastIndexOf('.');
    return this.#streams.get(id.slice(0, dot))?.messages.get(Number(id.slice(dot + 1)));
  }

  /** True if it waits for other nodes, and not only for the satellites of this one. */
  waitsForOthers({ stream: { target }, waitingFor }: Held): boolean {
    return target === undefined ? waitingFor.length > 0 : target !== this.#parts.id;
  }

  /** When {@link expired} has something. */
  get wakeAt(): number {
    return Math.max(this.#parts.table.earliestExpiry, this.#sweepAt);
  }

  /**
   * Messages that wait for others and have expired, many at most. What waits for the satellites of this node only does not expire any more.
   */
  expired(now: number): readonly Held[] {
    if (now < this.wakeAt) return [];
    const expired = this.#parts.table.expired(now, EXPIRED_AT_ONCE, (held) => this.waitsForOthers(held));
    this.#sweepAt = now + (expired.length < EXPIRED_AT_ONCE ? SWEEP_MS : NEXT_EXPIRED_MS);
    return expired;
  }

  status(): { readonly durable: number; readonly volatile: number; readonly cachedBytes: number } {
    return { durable: this.#parts.journal.live.size, volatile: this.#volatile.size, cachedBytes: this.#cachedBytes };
  }
}
