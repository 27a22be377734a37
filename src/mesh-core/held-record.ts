/** The records of the log: messages that are kept, and notes of those that are done. */
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Arrival, Held, HeldStream, NewHeld } from './held-table.ts';
import { MAX_HOPS, MAX_PAYLOAD_BYTES, MAX_PEERS } from './limits.ts';
import { MAX_HEAD_BYTES, decodeHead, sizeOf } from './message.ts';
import type { Head } from './message.ts';
import { ID_BYTES, idBytes, idText } from './node-id.ts';
import { MAX_SEAL_BYTES } from './seal.ts';

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

const OWN = 1;
const LOCAL = 2;

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
export function heldOf({ head, arrival, isOwn, isLocal, waitingFor }: LogEntry & { type: 'message' }, stream: HeldStream): NewHeld {
  const { envelope, at } = arrival;
  const { number, isOrdered, target, ttlMs } = head;
  const isSystem = head.contentType.startsWith(SYSTEM_TYPES);
  const isReported = !isSystem && (isOwn || (isLocal && target !== undefined));
  // Written without spreads, which are slow: this runs for every message.
  return {
    stream,
    number,
    isOwn,
    isLocal,
    isOrdered,
    isSystem,
    bytes: sizeOf(envelope),
    expiresAt: at + ttlMs - envelope.ageMs,
    via: envelope.via,
    waitingFor,
    ref: isReported ? head.ref : '',
  };
}
