/** The frames of neighbours as values of XML-RPC: `{t: 'ack', ack: {…}}`. The messages of a `push` are one piece of bytes, `items`. */
import { RelayError } from '../core/core.ts';
import { isNodeId } from '../identity/identity.ts';
import { ByteReader, ByteWriter, HASH_BYTES, ID_BYTES, MAX_HOPS, idBytes, idText } from '../mesh-core/mesh-core.ts';
import type { Ack, Envelope, Frame, ReturnReason, Version } from '../mesh-core/mesh-core.ts';
import { Double, isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';

// Each is above what the machines send; the core checks the contents.
const MAX_ITEMS = 64;
const MAX_LIST = 1024;
const MAX_RETURNED = 4096;
const MAX_ENVELOPE_PART = 8 * 2 ** 20;
const MAX_STATE = 64 * 1024;
const MAX_REASON = 500;
const MAX_INT = 2 ** 31 - 1;
// What an envelope has besides its parts and its path, at most; and the characters of a byte in base64.
const ENVELOPE_BYTES = 24;
const BASE64 = 1.34;
const RETURN_REASONS: readonly ReturnReason[] = ['no-route', 'quota', 'storage', 'gaps', 'hops', 'forged', 'expired'];

/** The struct of a frame. */
export function frameOnWire(frame: Frame): Sendable {
  switch (frame.type) {
    case 'sync':
    case 'versions':
      return { t: frame.type, versions: frame.versions.map(([id, epoch, sequence]) => [id, number(epoch), number(sequence)]) };
    case 'push':
      return { t: 'push', first: number(frame.first), items: envelopeBytes(frame.items), ack: ackOnWire(frame.ack) };
    case 'ack':
      return { t: 'ack', ack: ackOnWire(frame.ack) };
    case 'beat':
      return {
        ...{ t: 'beat', at: number(frame.at), held: number(frame.heldMs), ack: ackOnWire(frame.ack) },
        ...(frame.echo !== undefined && { echo: number(frame.echo) }),
      };
    case 'states':
      return { t: 'states', states: frame.states, answer: frame.isAnswer };
    case 'summary':
      return { t: 'summary', summary: number(frame.summary) };
    case 'want':
      return { t: 'want', ids: frame.ids };
    case 'want-capabilities':
      return { t: 'want-capabilities', hashes: frame.hashes };
    case 'capabilities':
      return { t: 'capabilities', lists: frame.lists };
    case 'bye':
      return { t: 'bye', reason: frame.reason.slice(0, MAX_REASON), states: frame.states };
  }
}

/** About how many bytes of XML the frame takes. */
export function frameBytes(frame: Frame): number {
  const raw = (list: readonly Buffer[]): number => list.reduce((sum, { length }) => sum + length + 40, 0);
  if (frame.type === 'push') return (700 + envelopesSize(frame.items)) * BASE64;
  if (frame.type === 'capabilities') return 200 + 1.4 * raw(frame.lists);
  if (frame.type === 'want-capabilities') return 200 + 100 * frame.hashes.length;
  if (frame.type === 'states' || frame.type === 'bye') return 200 + 1.4 * raw(frame.states);
  if (frame.type === 'sync' || frame.type === 'versions') return 200 + 200 * frame.versions.length;
  return frame.type === 'want' ? 200 + 80 * frame.ids.length : 1000;
}

/** Reads a frame. Throws a RelayError INVALID_PARAMS that says what is wrong with it. */
export function readFrame(value: Value | undefined): Frame {
  if (!isDict(value)) throw wrong('a frame', 'a struct');
  const { t } = value;
  switch (t) {
    case 'sync':
    case 'versions':
      return { type: t, versions: listIn(value, 'versions', MAX_LIST).map(readVersion) };
    case 'push':
      return {
        type: 'push',
        first: countIn(value, 'first', 1),
        items: readEnvelopes(bytesOf(value.items, 'items')),
        ack: readAck(value.ack),
      };
    case 'ack':
      return { type: 'ack', ack: readAck(value.ack) };
    case 'beat':
      return {
        ...{ type: 'beat', at: timeIn(value, 'at'), heldMs: timeIn(value, 'held'), ack: readAck(value.ack) },
        echo: value.echo === undefined ? undefined : timeIn(value, 'echo'),
      };
    case 'states':
      return { type: 'states', states: bytesIn(value, 'states', MAX_STATE), isAnswer: value.answer === true };
    case 'summary':
      return { type: 'summary', summary: countIn(value, 'summary', 0) };
    case 'want':
      return { type: 'want', ids: listIn(value, 'ids', MAX_LIST).map((id) => nodeIn(id, 'ids')) };
    case 'want-capabilities':
      return { type: 'want-capabilities', hashes: bytesIn(value, 'hashes', HASH_BYTES) };
    case 'capabilities':
      return { type: 'capabilities', lists: bytesIn(value, 'lists', MAX_STATE) };
    case 'bye':
      return {
        type: 'bye',
        reason: typeof value.reason === 'string' ? value.reason.slice(0, MAX_REASON) : '',
        states: bytesIn(value, 'states', MAX_STATE),
      };
    default:
      throw wrong('t', 'the type of a frame');
  }
}

function ackOnWire({ through, next, hasGap, returned, seen, window }: Ack): Sendable {
  return {
    ...{ through: number(through), next: number(next), seen: number(seen), window },
    ...(hasGap && { gap: true }),
    ...(returned.length > 0 && { returned: returned.map(([one, reason]) => [number(one), reason]) }),
  };
}

function readAck(value: Value | undefined): Ack {
  if (!isDict(value)) throw wrong('ack', 'a struct');
  return {
    ...{ through: countIn(value, 'through', 0), next: countIn(value, 'next', 1), hasGap: value.gap === true },
    ...{ returned: value.returned === undefined ? [] : listIn(value, 'returned', MAX_RETURNED).map(readReturned) },
    ...{ seen: countIn(value, 'seen', 0), window: countIn(value, 'window', 0) },
  };
}

function readReturned(value: Value): readonly [number, ReturnReason] {
  const [one, reason] = Array.isArray(value) ? (value as readonly Value[]) : [];
  const known = RETURN_REASONS.find((name) => name === reason);
  if (typeof one !== 'number' || known === undefined) throw wrong('returned', 'a list of numbers with reasons');
  return [one, known];
}

function readVersion(value: Value): Version {
  const [id, epoch, sequence] = Array.isArray(value) ? (value as readonly Value[]) : [];
  if (!isWhole(epoch) || !isWhole(sequence)) throw wrong('versions', 'a list of [node, epoch, sequence]');
  return [nodeIn(id, 'versions'), epoch, sequence];
}

function envelopeBytes(items: readonly Envelope[]): Buffer {
  const writer = new ByteWriter(envelopesSize(items));
  for (const { head, seal, payload, hops, ageMs, via } of items) {
    writer
      .byte(hops)
      .varint(Math.max(0, Math.floor(ageMs)))
      .byte(via.length);
    for (const id of via) writer.raw(idBytes(id));
    writer.bytes(head).bytes(seal).bytes(payload);
  }
  return writer.view();
}

/** At least the bytes of these messages in a frame. */
function envelopesSize(items: readonly Envelope[]): number {
  let bytes = 0;
  for (const { head, seal, payload, via } of items)
    bytes += head.length + seal.length + payload.length + ENVELOPE_BYTES + ID_BYTES * via.length;
  return bytes;
}

/** Each message gets memory of its own: one that waits would keep the whole batch. */
function readEnvelopes(bytes: Buffer): readonly Envelope[] {
  const reader = new ByteReader(bytes, 'a batch');
  const items: Envelope[] = [];
  let via: readonly string[] = [];
  while (!reader.isAtEnd) {
    if (items.length >= MAX_ITEMS) throw wrong('items', `at most ${MAX_ITEMS} messages`);
    const [hops, ageMs] = [reader.byte(), reader.varint()];
    via = readVia(reader, via);
    // The three pieces are copied at once, with the lengths between them.
    const from = reader.at;
    const [head, seal, payload] = [reader.span(MAX_ENVELOPE_PART), reader.span(MAX_ENVELOPE_PART), reader.span(MAX_ENVELOPE_PART)];
    const own = Buffer.allocUnsafeSlow(reader.at - from);
    bytes.copy(own, 0, from, reader.at);
    const part = ([start, end]: readonly [number, number]): Buffer => own.subarray(start - from, end - from);
    items.push({ head: part(head), seal: part(seal), payload: part(payload), hops, ageMs, via });
  }
  return items;
}

/** The path of a message; most messages of a batch have that of the one before. */
function readVia(reader: ByteReader, before: readonly string[]): readonly string[] {
  const count = reader.byte(MAX_HOPS);
  const via: string[] = [];
  while (via.length < count) via.push(idText(reader.raw(ID_BYTES)));
  return via.length === before.length && via.every((id, index) => id === before[index]) ? before : via;
}

/** An integer that may have more than 32 bits, or a fraction. */
function number(value: number): number | Double {
  return Number.isInteger(value) && value >= 0 && value <= MAX_INT ? value : new Double(value);
}

function listIn(frame: Dict, name: string, max: number): readonly Value[] {
  const list = frame[name];
  if (Array.isArray(list) && list.length <= max) return list as readonly Value[];
  throw wrong(name, `a list of at most ${max}`);
}

/** Pieces of bytes of at most this length. */
function bytesIn(frame: Dict, name: string, maxBytes: number): readonly Buffer[] {
  return listIn(frame, name, MAX_LIST).map((piece) => {
    const bytes = bytesOf(piece, name);
    if (bytes.length > maxBytes) throw wrong(name, `a list of pieces of at most ${maxBytes} bytes`);
    return bytes;
  });
}

function bytesOf(value: Value | undefined, name: string): Buffer {
  if (Buffer.isBuffer(value)) return value;
  throw wrong(name, 'base64');
}

function nodeIn(value: Value | undefined, name: string): string {
  if (isNodeId(value)) return value;
  throw wrong(name, 'a list of node ids');
}

function countIn(frame: Dict, name: string, min: number): number {
  const count = frame[name];
  if (isWhole(count) && count >= min) return count;
  throw wrong(name, `an integer from ${min}`);
}

function timeIn(frame: Dict, name: string): number {
  const time = frame[name];
  if (typeof time === 'number' && Number.isFinite(time)) return time;
  throw wrong(name, 'a number of ms');
}

function isWhole(value: Value | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function wrong(name: string, expected: string): RelayError {
  return new RelayError('INVALID_PARAMS', `a frame of the mesh is malformed: ${name} is not ${expected}`);
}
