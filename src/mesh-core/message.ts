/** A message of the mesh: the head that its origin signs, in one canonical form, and the envelope in which relays pass it on. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_GENERATION, MAX_TTL_MS } from './limits.ts';
import { ID_BYTES, idBytes, idText } from './node-id.ts';

/** What the origin of a message signs. */
export interface Head {
  /** Id of the node that sent it. */
  readonly origin: string;
  /** Which start of the origin it comes from. */
  readonly epoch: number;
  /** Id of the node that it is for; undefined for all nodes. */
  readonly target: string | undefined;
  /** From 1, without gaps, for each stream. */
  readonly number: number;
  /** Numbers of the stream below this one need no longer be waited for. */
  readonly low: number;
  /** The wall clock of the origin in ms. It is only shown. */
  readonly sentAt: number;
  /** ms after which it expires. */
  readonly ttlMs: number;
  /** Whether it is stored before it is acknowledged, or kept in memory only. */
  readonly isDurable: boolean;
  /** Whether it may not overtake an earlier one of its stream on a link. */
  readonly isOrdered: boolean;
  /** `host_id` of the server that the dict comes from. */
  readonly hostId: string;
  /** How many messages in a row were sent in answer to one another. */
  readonly generation: number;
  /** What it refers to, such as the id of another message; may be empty. */
  readonly ref: string;
  /** The kind of its payload. Those that begin with `co2/` are of the mesh itself. */
  readonly contentType: string;
  /** Hash of the payload. */
  readonly payloadHash: Buffer;
}

/** A message on its way: what the origin signed, as bytes, and what each relay changes. */
export interface Envelope {
  /** The bytes of a {@link Head}. */
  readonly head: Buffer;
  /** Public key, signature and path of the hash tree. */
  readonly seal: Buffer;
  readonly payload: Buffer;
  /** Relays that it may still cross. */
  readonly hops: number;
  /** ms since it was sent: on links and in relays. */
  readonly ageMs: number;
  /** Ids of the nodes that it crossed, its origin first. */
  readonly via: readonly string[];
}

/** Bytes of a hash. */
export const HASH_BYTES = 32;
const VERSION = 1;
/** Bytes of a text in a head. */
export const MAX_TEXT_BYTES = 255;
/** Greater than any head that {@link encodeHead} makes of checked values. */
export const MAX_HEAD_BYTES = 1024;
const UNICAST = 1;
const DURABLE = 2;
const ORDERED = 4;

/** The signed bytes of a head. */
export function encodeHead(head: Head): Buffer {
  return writeHead(head, new ByteWriter()).end();
}

/** Appends the signed bytes of a head, as {@link encodeHead} makes them. */
export function writeHead(head: Head, writer: ByteWriter): ByteWriter {
  const { target } = head;
  const flags = (target === undefined ? 0 : UNICAST) | (head.isDurable ? DURABLE : 0) | (head.isOrdered ? ORDERED : 0);
  writer.byte(VERSION).byte(flags).raw(idBytes(head.origin)).varint(head.epoch);
  if (target !== undefined) writer.raw(idBytes(target));
  writer.varint(head.number).varint(head.low).varint(head.sentAt).varint(head.ttlMs).byte(head.generation);
  return writer.text(head.hostId).text(head.ref).text(head.contentType).raw(head.payloadHash);
}

/** Reads the signed bytes. Throws a RelayError INVALID_PARAMS unless they are exactly what {@link encodeHead} makes of the result. */
export function decodeHead(bytes: Buffer): Head {
  const reader = new ByteReader(bytes, 'a message');
  reader.expect(VERSION);
  const flags = reader.byte(UNICAST | DURABLE | ORDERED);
  const origin = idText(reader.raw(ID_BYTES));
  const epoch = reader.varint();
  const target = flags & UNICAST ? idText(reader.raw(ID_BYTES)) : undefined;
  const number = reader.varint();
  // Written without spreads, which are slow: this runs for every message on every hop.
  const head: Head = {
    origin,
    epoch,
    target,
    number,
    low: reader.varint(number),
    sentAt: reader.varint(),
    ttlMs: reader.varint(MAX_TTL_MS),
    isDurable: (flags & DURABLE) !== 0,
    isOrdered: (flags & ORDERED) !== 0,
    generation: reader.byte(MAX_GENERATION),
    hostId: reader.text(MAX_TEXT_BYTES),
    ref: reader.text(MAX_TEXT_BYTES),
    contentType: reader.text(MAX_TEXT_BYTES),
    payloadHash: reader.raw(HASH_BYTES),
  };
  reader.end();
  return head;
}

/** The stream in which a message is numbered: one per start of the origin, target, and durability. */
export function streamKey({ origin, epoch, target, isDurable }: StreamName): string {
  if (last.origin === origin && last.epoch === epoch && last.target === target && last.isDurable === isDurable) return lastKey;
  last = { origin, epoch, target, isDurable };
  lastKey = `${origin}.${epoch}.${target === undefined ? 'b' : `u:${target}`}${isDurable ? '' : '~'}`;
  return lastKey;
}

/** What identifies a stream. */
export type StreamName = Pick<Head, 'origin' | 'epoch' | 'target' | 'isDurable'>;

// A message asks for its key some times, and so do others of its stream that come with it.
let last: StreamName = { origin: '', epoch: 0, target: undefined, isDurable: false };
let lastKey = '';

/** The bytes of an envelope that count against windows and quotas. */
export function sizeOf({ head, seal, payload }: Envelope): number {
  return head.length + seal.length + payload.length;
}

/** The parts of an envelope in memory of their own: a message that waits would keep all of what it shares with others. */
export function inOwnMemory(head: Buffer, seal: Buffer, payload: Buffer): Pick<Envelope, 'head' | 'seal' | 'payload'> {
  const payloadAt = head.length + seal.length;
  const own = Buffer.allocUnsafeSlow(payloadAt + payload.length);
  own.set(head);
  own.set(seal, head.length);
  own.set(payload, payloadAt);
  return { head: own.subarray(0, head.length), seal: own.subarray(head.length, payloadAt), payload: own.subarray(payloadAt) };
}
