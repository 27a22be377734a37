/** A message that this node keeps until others have it, and its record in the store. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_HOPS, MAX_PAYLOAD_BYTES, MAX_PEERS } from './limits.ts';
import { MAX_HEAD_BYTES, decodeHead, sizeOf } from './message.ts';
import type { Envelope, Head } from './message.ts';
import { ID_BYTES, idBytes, idText } from './node-id.ts';
import type { FailureReason } from './ports.ts';
import { MAX_SEAL_BYTES } from './seal.ts';

/** The messages of one stream that this node keeps, by number, in the order of their numbers if they are its own. */
export interface HeldStream {
  readonly key: string;
  readonly target: string | undefined;
  readonly isDurable: boolean;
  readonly messages: Map<number, Held>;
}

/**
 * Where a message of one target stands. QUEUED: in a queue, whether or not there is a path. IN_FLIGHT: sent to a neighbour. CUSTODY: the
 * neighbour has it, and this node, its origin, waits for the receipt. GONE: nothing more is done with it.
 */
export type HeldState = 'queued' | 'in-flight' | 'custody' | 'gone';

/** See the head of this file. One exists for each waiting message, of which there may be a million, so it is small. */
export class Held {
  /** Its number in the log of the store; 0 until it is written; below 0 if it is in memory only, counted down. */
  record = 0;
  state: HeldState = 'queued';
  /** Attempts that failed. */
  attempts = 0;
  /** Why the last attempt failed. */
  lastReason: FailureReason | undefined = undefined;
  #flags: number;
  /** The neighbour that was tried last, which is avoided if there is another path. */
  lastHop: string | undefined = undefined;
  /** {@link Head.ref} of a message that may have to be reported; otherwise empty. */
  ref = '';

  constructor(
    readonly stream: HeldStream,
    readonly number: number,
    isOwn: boolean,
    isOrdered: boolean,
    /** Whether it is a message of the mesh itself, about which nothing is reported. */
    isSystem: boolean,
    readonly bytes: number,
    readonly expiresAt: number,
    /** Nodes that it has crossed: it is not sent to them. */
    readonly via: readonly string[],
    /** The neighbours that a broadcast waits for. */
    public waitingFor: readonly string[],
    isLocal: boolean,
    /** The message as it arrived; undefined if it has to be read from the store. */
    public arrival: Arrival | undefined,
  ) {
    this.#flags = (isOwn ? OWN : 0) | (isLocal ? LOCAL : 0) | (isOrdered ? ORDERED : 0) | (isSystem ? SYSTEM : 0);
  }

  get isOwn(): boolean {
    return (this.#flags & OWN) !== 0;
  }

  get isOrdered(): boolean {
    return (this.#flags & ORDERED) !== 0;
  }

  get isSystem(): boolean {
    return (this.#flags & SYSTEM) !== 0;
  }

  /** Whether the satellites of this node have still to get it. */
  get isLocal(): boolean {
    return (this.#flags & LOCAL) !== 0;
  }

  set isLocal(value: boolean) {
    this.#flags = value ? this.#flags | LOCAL : this.#flags & ~LOCAL;
  }

  get id(): string {
    return `${this.stream.key}.${this.number}`;
  }
}

/** A message as it came, with the time when it did. */
export interface Arrival {
  readonly envelope: Envelope;
  readonly at: number;
}

/** What a record of the log says. */
export type LogEntry =
  /** The records with these numbers are done; or only the satellites of this node have had their messages. */
  | { readonly type: 'done' | 'processed'; readonly numbers: readonly number[] }
  | {
      readonly type: 'message';
      readonly head: Head;
      readonly arrival: Arrival;
      readonly isOwn: boolean;
      readonly isLocal: boolean;
      readonly waitingFor: readonly string[];
    };

/** What the content types of the mesh itself begin with. */
export const SYSTEM_TYPES = 'co2/';

// What is so small that it shares a number. The first two are in the record of a message, too.
const OWN = 1;
const LOCAL = 2;
const ORDERED = 4;
const SYSTEM = 8;

const DONE = 0;
const MESSAGE = 1;
const PROCESSED = 2;

// Seven numbers of at most eight bytes each, and three single bytes.
const MAX_RECORD_OVERHEAD = 64;

/** Greatest count of numbers in a note of what is done or processed. */
export const MAX_NOTED = 1024;

/** The record of a message, for a batch that is written soon: its memory may be shared. */
export function encodeHeld({ isOwn, isLocal, waitingFor, bytes }: Held, { envelope, at }: Arrival): Buffer {
  const writer = new ByteWriter(bytes + (envelope.via.length + waitingFor.length) * ID_BYTES + MAX_RECORD_OVERHEAD);
  writer.byte(MESSAGE).byte((isOwn ? OWN : 0) | (isLocal ? LOCAL : 0));
  writer.varint(Math.floor(at)).varint(Math.floor(envelope.ageMs)).byte(envelope.hops);
  for (const ids of [envelope.via, waitingFor]) {
    writer.varint(ids.length);
    for (const id of ids) writer.raw(idBytes(id));
  }
  return writer.bytes(envelope.head).bytes(envelope.seal).bytes(envelope.payload).view();
}

/** The record of a message again, whose satellites have had it since. */
export function withoutLocal(record: Buffer): Buffer {
  const copy = Buffer.from(record);
  copy[1] = (copy[1] ?? 0) & ~LOCAL;
  return copy;
}

/** The record that notes which records are done or processed. */
export function encodeNote(type: 'done' | 'processed', numbers: readonly number[]): Buffer {
  const writer = new ByteWriter().byte(type === 'done' ? DONE : PROCESSED).varint(numbers.length);
  for (const number of numbers) writer.varint(number);
  return writer.end();
}

/** Reads a record. Throws a RelayError INVALID_PARAMS if it is malformed. */
export function decodeEntry(bytes: Buffer): LogEntry {
  const reader = new ByteReader(bytes, 'a record');
  const type = reader.byte(PROCESSED);
  if (type !== MESSAGE) {
    const numbers = Array.from({ length: reader.varint(MAX_NOTED) }, () => reader.varint());
    reader.end();
    return { type: type === DONE ? 'done' : 'processed', numbers };
  }
  const flags = reader.byte(OWN | LOCAL);
  const [at, ageMs, hops] = [reader.varint(), reader.varint(), reader.byte(MAX_HOPS)];
  const ids = (max: number): string[] => Array.from({ length: reader.varint(max) }, () => idText(reader.raw(ID_BYTES)));
  const [via, waitingFor] = [ids(MAX_HOPS), ids(MAX_PEERS)];
  const [head, seal, payload] = [reader.bytes(MAX_HEAD_BYTES), reader.bytes(MAX_SEAL_BYTES), reader.bytes(MAX_PAYLOAD_BYTES)];
  reader.end();
  const arrival = { envelope: { head, seal, payload, hops, ageMs, via }, at };
  return { type: 'message', head: decodeHead(head), arrival, isOwn: (flags & OWN) !== 0, isLocal: (flags & LOCAL) !== 0, waitingFor };
}

/** The message that an entry describes, in this stream. */
export function heldOf({ head, arrival, isOwn, isLocal, waitingFor }: LogEntry & { type: 'message' }, stream: HeldStream): Held {
  const { envelope, at } = arrival;
  const expiresAt = at + head.ttlMs - envelope.ageMs;
  const isSystem = head.contentType.startsWith(SYSTEM_TYPES);
  const via = envelope.via.length === 0 ? NO_NODES : envelope.via;
  const { number, isOrdered } = head;
  const held = new Held(stream, number, isOwn, isOrdered, isSystem, sizeOf(envelope), expiresAt, via, waitingFor, isLocal, arrival);
  if (!isSystem && (isOwn || (isLocal && head.target !== undefined))) held.ref = head.ref;
  return held;
}

// Shared by all messages that have crossed no node.
const NO_NODES: readonly string[] = [];
