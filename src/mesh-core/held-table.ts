/** The messages that a node keeps, packed into rows: a million may wait on the disk, and none of them is an object meanwhile. */
import type { RowIndex } from './row-index.ts';
import type { Envelope } from './message.ts';
import type { FailureReason } from './ports.ts';
import { PackedTexts } from './packed-texts.ts';
import { SharedValues } from './shared-values.ts';

/** The messages of one stream that this node keeps, by number. */
export interface HeldStream {
  readonly key: string;
  readonly target: string | undefined;
  readonly isDurable: boolean;
  readonly messages: RowIndex<Held>;
}

/** A message as it came, with the time when it did. */
export interface Arrival {
  readonly envelope: Envelope;
  readonly at: number;
}

/** A message that is to be kept. */
export interface NewHeld {
  readonly stream: HeldStream;
  readonly number: number;
  readonly isOwn: boolean;
  readonly isLocal: boolean;
  readonly isOrdered: boolean;
  readonly isSystem: boolean;
  readonly bytes: number;
  readonly expiresAt: number;
  readonly via: readonly string[];
  readonly waitingFor: readonly string[];
  readonly ref: string;
}

/**
 * Where a message of one target stands. QUEUED: in a queue, whether or not there is a path. IN_FLIGHT: sent to a neighbour. CUSTODY: the
 * neighbour has it, and this node, its origin, waits for the receipt. GONE: nothing more is done with it.
 */
export type HeldState = 'queued' | 'in-flight' | 'custody' | 'gone';

const STATES = ['queued', 'in-flight', 'custody'] as const satisfies readonly HeldState[];
const REASONS = [
  undefined,
  ...(['no-route', 'quota', 'storage', 'gaps', 'hops', 'forged', 'expired', 'link-closed', 'no-receipt'] as const),
] satisfies readonly (FailureReason | undefined)[];

// What the flags of a row mean, from the least bit: four that are true or false, the state, and the reason.
const OWN = 1;
const LOCAL = 2;
const ORDERED = 4;
const SYSTEM = 8;
const STATE = 0b11;
const STATE_SHIFT = 4;
const REASON = 0b1111;
const REASON_SHIFT = 6;

const ROWS = 1024;
const NO_NODES: readonly string[] = [];

/** What rows have in common. */
class Common {
  readonly streams = new SharedValues<HeldStream | undefined>(undefined);
  readonly lists = new SharedValues<readonly string[], string>(NO_NODES);
  readonly nodes = new SharedValues<string | undefined>(undefined);
}

type Column = Float64Array | Uint32Array;

/** Rows whose columns are made together. */
class Block {
  /** 0: the row is free. */
  readonly serials = new Float64Array(ROWS);
  readonly records = new Float64Array(ROWS);
  readonly numbers = new Float64Array(ROWS);
  readonly expiries = new Float64Array(ROWS);
  readonly sizes = new Uint32Array(ROWS);
  readonly attempts = new Uint32Array(ROWS);
  readonly flags = new Uint32Array(ROWS);
  // Numbers of common values.
  readonly streams = new Uint32Array(ROWS);
  readonly vias = new Uint32Array(ROWS);
  readonly waiting = new Uint32Array(ROWS);
  readonly lastHops = new Uint32Array(ROWS);
  readonly arrivals = new Array<Arrival | undefined>(ROWS).fill(undefined);
  readonly refs = new PackedTexts(ROWS);
  /** No message expires before, of those that have not expired. */
  earliest = Infinity;
  // The first ones are free; the last of them is used next.
  readonly #free = new Uint16Array(ROWS).map((_, index) => ROWS - 1 - index);
  #freeRows = ROWS;

  constructor(
    readonly common: Common,
    /** The number of its first row in the table. */
    readonly base: number,
  ) {}

  get isFull(): boolean {
    return this.#freeRows === 0;
  }

  get isEmpty(): boolean {
    return this.#freeRows === ROWS;
  }

  /** Takes a free row. */
  take(): number {
    return this.#free[--this.#freeRows] ?? 0;
  }

  give(at: number): void {
    this.#free[this.#freeRows++] = at;
  }
}

/**
 * A message in its row. Many may exist for one message; all see the same. When the message is done, it is `gone` for each: nothing that is
 * set has an effect then, and what was in the row reads as 0, empty or undefined.
 */
export class Held {
  readonly #block: Block;
  readonly #at: number;
  /** Unlike that of any other message, before or after, of its table. */
  readonly serial: number;
  readonly stream: HeldStream;
  readonly number: number;
  readonly #kind: number;

  constructor(block: Block, at: number, stream: HeldStream) {
    this.#block = block;
    this.#at = at;
    this.serial = block.serials[at] ?? 0;
    this.stream = stream;
    this.number = block.numbers[at] ?? 0;
    this.#kind = block.flags[at] ?? 0;
  }

  get row(): number {
    return this.#block.base + this.#at;
  }

  get id(): string {
    return `${this.stream.key}.${this.number}`;
  }

  get isOwn(): boolean {
    return (this.#kind & OWN) !== 0;
  }

  get isOrdered(): boolean {
    return (this.#kind & ORDERED) !== 0;
  }

  /** Whether it is a message of the mesh itself, about which nothing is reported. */
  get isSystem(): boolean {
    return (this.#kind & SYSTEM) !== 0;
  }

  /** Whether the satellites of this node have still to get it. */
  get isLocal(): boolean {
    return (this.#read(this.#block.flags) & LOCAL) !== 0;
  }

  set isLocal(value: boolean) {
    this.#setFlags(LOCAL, value ? LOCAL : 0);
  }

  get state(): HeldState {
    if (this.#isGone) return 'gone';
    return STATES[((this.#block.flags[this.#at] ?? 0) >> STATE_SHIFT) & STATE] ?? 'queued';
  }

  /** It is gone when it is removed from the table, and not before. */
  set state(value: HeldState) {
    if (value === 'gone') throw new TypeError('a message is gone once it is removed from its table');
    this.#setFlags(STATE << STATE_SHIFT, STATES.indexOf(value) << STATE_SHIFT);
  }

  /** Its number in the log of the store; 0 until it is written; below 0 if it is in memory only, counted down. */
  get record(): number {
    return this.#read(this.#block.records);
  }

  set record(value: number) {
    this.#write(this.#block.records, value);
  }

  get bytes(): number {
    return this.#read(this.#block.sizes);
  }

  get expiresAt(): number {
    return this.#read(this.#block.expiries);
  }

  /** Attempts that failed. */
  get attempts(): number {
    return this.#read(this.#block.attempts);
  }

  set attempts(value: number) {
    this.#write(this.#block.attempts, value);
  }

  /** Why the last attempt failed. */
  get lastReason(): FailureReason | undefined {
    return REASONS[(this.#read(this.#block.flags) >> REASON_SHIFT) & REASON];
  }

  set lastReason(value: FailureReason | undefined) {
    this.#setFlags(REASON << REASON_SHIFT, REASONS.indexOf(value) << REASON_SHIFT);
  }

  /** The neighbour that was tried last, which is avoided if there is another path. */
  get lastHop(): string | undefined {
    return this.#block.common.nodes.at(this.#read(this.#block.lastHops));
  }

  set lastHop(value: string | undefined) {
    this.#share(this.#block.common.nodes, this.#block.lastHops, value, value);
  }

  /** Nodes that it has crossed: it is not sent to them. */
  get via(): readonly string[] {
    return this.#block.common.lists.at(this.#read(this.#block.vias));
  }

  set via(value: readonly string[]) {
    this.#share(this.#block.common.lists, this.#block.vias, value, value.length === 0 ? undefined : keyOf(value));
  }

  /** The neighbours that a broadcast waits for. */
  get waitingFor(): readonly string[] {
    return this.#block.common.lists.at(this.#read(this.#block.waiting));
  }

  set waitingFor(value: readonly string[]) {
    this.#share(this.#block.common.lists, this.#block.waiting, value, value.length === 0 ? undefined : keyOf(value));
  }

  /** {@link Head.ref} of a message that may have to be reported; otherwise empty. */
  get ref(): string {
    return this.#isGone ? '' : this.#block.refs.get(this.#at);
  }

  /** The message as it arrived; undefined if it has to be read from the store. */
  get arrival(): Arrival | undefined {
    return this.#isGone ? undefined : this.#block.arrivals[this.#at];
  }

  set arrival(value: Arrival | undefined) {
    if (!this.#isGone) this.#block.arrivals[this.#at] = value;
  }

  /** Whether this is the same message. */
  is(other: Held): boolean {
    return this.serial === other.serial;
  }

  get #isGone(): boolean {
    return this.#block.serials[this.#at] !== this.serial;
  }

  #read(column: Column): number {
    return (this.#isGone ? undefined : column[this.#at]) ?? 0;
  }

  #write(column: Column, value: number): void {
    if (!this.#isGone) column[this.#at] = value;
  }

  #setFlags(mask: number, bits: number): void {
    const { flags } = this.#block;
    this.#write(flags, (this.#read(flags) & ~mask) | bits);
  }

  #share<T, K>(values: SharedValues<T, K>, column: Uint32Array, value: T, key: K | undefined): void {
    if (this.#isGone) return;
    const earlier = this.#read(column);
    column[this.#at] = key === undefined ? 0 : values.use(value, key);
    values.release(earlier);
  }
}

/**
 * See the head of this file. A row is used again once its message is removed; a {@link Held} of an earlier message notices that by its
 * serial. Rows are in blocks, which go when the last message of one does.
 */
export class HeldTable {
  readonly #common = new Common();
  // By the number of their first row, divided by the length of a block.
  readonly #blocks: (Block | undefined)[] = [];
  readonly #freeBlocks: number[] = [];
  // Where the next message goes, and the others with a free row.
  #current: Block | undefined;
  readonly #roomy = new Set<Block>();
  #lastSerial = 0;
  #size = 0;
  #earliest = Infinity;

  get size(): number {
    return this.#size;
  }

  add(message: NewHeld): Held {
    const { stream, number, isOwn, isLocal, isOrdered, isSystem, bytes, expiresAt, via, waitingFor, ref } = message;
    const { streams, lists } = this.#common;
    const block = this.#blockWithRoom();
    const at = block.take();
    block.serials[at] = ++this.#lastSerial;
    block.numbers[at] = number;
    block.expiries[at] = expiresAt;
    block.sizes[at] = bytes;
    block.flags[at] = (isOwn ? OWN : 0) | (isLocal ? LOCAL : 0) | (isOrdered ? ORDERED : 0) | (isSystem ? SYSTEM : 0);
    block.streams[at] = streams.use(stream, stream);
    if (via.length > 0) block.vias[at] = lists.use(via, keyOf(via));
    if (waitingFor.length > 0) block.waiting[at] = lists.use(waitingFor, keyOf(waitingFor));
    block.refs.set(at, ref);
    block.earliest = Math.min(block.earliest, expiresAt);
    this.#earliest = Math.min(this.#earliest, expiresAt);
    this.#size++;
    return new Held(block, at, stream);
  }

  /** The message is gone. */
  remove({ row, serial }: Held): void {
    const block = this.#blocks[Math.floor(row / ROWS)];
    const at = row % ROWS;
    if (block?.serials[at] !== serial) return;
    const { streams, lists, nodes } = this.#common;
    streams.release(block.streams[at] ?? 0);
    lists.release(block.vias[at] ?? 0);
    lists.release(block.waiting[at] ?? 0);
    nodes.release(block.lastHops[at] ?? 0);
    block.serials[at] = 0;
    block.records[at] = 0;
    block.attempts[at] = 0;
    block.vias[at] = 0;
    block.waiting[at] = 0;
    block.lastHops[at] = 0;
    block.arrivals[at] = undefined;
    block.refs.clear(at);
    this.#size--;
    block.give(at);
    if (block === this.#current) return;
    if (block.isEmpty) {
      this.#roomy.delete(block);
      this.#blocks[block.base / ROWS] = undefined;
      this.#freeBlocks.push(block.base / ROWS);
    } else this.#roomy.add(block);
  }

  /** The message in this row, which must have one. */
  at(row: number): Held | undefined {
    const block = this.#blocks[Math.floor(row / ROWS)];
    return block && heldIn(block, row % ROWS);
  }

  /** The message in this row, if it is still the one with this serial. */
  find(row: number, serial: number): Held | undefined {
    const block = this.#blocks[Math.floor(row / ROWS)];
    const at = row % ROWS;
    return block?.serials[at] === serial ? heldIn(block, at) : undefined;
  }

  /** No message expires before, of those that have not expired since they were last looked for. */
  get earliestExpiry(): number {
    return this.#earliest;
  }

  /**
   * About `most` of the messages that have expired and `count`; each is found once. Only blocks are looked at in which something expires,
   * so that what lives long costs nothing.
   */
  expired(now: number, most: number, count: (held: Held) => boolean): readonly Held[] {
    const found: Held[] = [];
    this.#earliest = Infinity;
    for (const block of this.#blocks) {
      if (!block) continue;
      if (block.earliest <= now && found.length < most) {
        block.earliest = Infinity;
        for (const [at, expiresAt] of block.expiries.entries()) {
          if (block.serials[at] === 0) continue;
          // What is not written yet is neither accepted nor refused: it expires afterwards.
          if (expiresAt > now || block.records[at] === 0) block.earliest = Math.min(block.earliest, expiresAt);
          else {
            const held = heldIn(block, at);
            if (held && count(held)) found.push(held);
          }
        }
      }
      this.#earliest = Math.min(this.#earliest, block.earliest);
    }
    return found;
  }

  /** The broadcasts that wait for this neighbour. */
  waitingFor(peer: string): readonly Held[] {
    const found: Held[] = [];
    const lists = this.#common.lists.where((ids) => ids.includes(peer));
    if (lists.size === 0) return found;
    for (const block of this.#blocks) {
      for (const [at, list] of block?.waiting.entries() ?? []) {
        const held = block && lists.has(list) ? heldIn(block, at) : undefined;
        if (held) found.push(held);
      }
    }
    return found;
  }

  #blockWithRoom(): Block {
    if (this.#current?.isFull === false) return this.#current;
    const [roomy] = this.#roomy;
    if (roomy) this.#roomy.delete(roomy);
    return (this.#current = roomy ?? this.#newBlock());
  }

  #newBlock(): Block {
    const number = this.#freeBlocks.pop() ?? this.#blocks.length;
    const block = new Block(this.#common, number * ROWS);
    this.#blocks[number] = block;
    return block;
  }
}

function heldIn(block: Block, at: number): Held | undefined {
  const stream = block.common.streams.at(block.streams[at] ?? 0);
  return stream && new Held(block, at, stream);
}

/** What equal lists have in common. */
function keyOf(ids: readonly string[]): string {
  if (ids.length !== lastIds.length || !ids.every((id, index) => id === lastIds[index])) {
    lastIds = ids;
    lastKey = ids.join();
  }
  return lastKey;
}

// Messages that come together have mostly come the same way.
let lastIds: readonly string[] = [];
let lastKey = '';
