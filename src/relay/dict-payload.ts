/**
 * A dict on its way over the mesh, as bytes: what relays know of it besides what its origin signs in the head, then the `<struct>` as it
 * was written.
 */
import { HOP_LIMIT, canonicalAddress, parseHostId } from '../message/message.ts';
import type { Attestation, Message } from '../message/message.ts';
import { ByteReader, ByteWriter, MAX_PAYLOAD_BYTES, MAX_TTL_MS } from '../mesh-core/mesh-core.ts';
import { RelayError } from '../core/core.ts';
import { isMessageId } from './stamp.ts';

/** The content type of such a payload. */
export const DICT = 'dict';

/** What {@link encodeDict} writes. */
export interface DictPayload {
  readonly id: string;
  /** Forwards still allowed when it entered the mesh. */
  readonly hopsLeft: number;
  /** ms from when it was sent until it entered the mesh. */
  readonly ageMs: number;
  /** host_ids of the relays that it crossed, oldest first. The last is the one by which it entered the mesh, so there is always one. */
  readonly via: readonly string[];
  readonly attestation: Attestation | undefined;
  readonly claim: string | undefined;
  /** `<struct>…</struct>`. */
  readonly source: Buffer;
}

const VERSION = 1;
const ATTESTED = 1;
const CLAIMED = 2;
// Besides the dict, if it has not come far.
const USUAL_BYTES = 160;
const MAX_ID_BYTES = 128;
const MAX_HOST_ID_BYTES = 255;
// The relays that a stamp names, the one that forwarded it, and the one by which it entered the mesh.
const MAX_VIA = HOP_LIMIT + 2;

/** The payload of a message that enters the mesh at `now` by the relay with the host_id `by`, for what is copied soon. */
export function encodeDict(message: Omit<Message, 'frozen' | 'clientAddress' | 'verdict'>, by: string, now: number): Buffer {
  const { id, hopsLeft, ageMs, arrivedAt, via, attestation, claim, payload } = message;
  const writer = new ByteWriter(payload.length + USUAL_BYTES)
    .byte(VERSION)
    .byte((attestation ? ATTESTED : 0) | (claim === undefined ? 0 : CLAIMED));
  const age = Math.min(MAX_TTL_MS, Math.max(0, Math.round(ageMs + now - arrivedAt)));
  // Stamps of classic peers may name anything.
  const named = via.length === 0 ? via : via.filter((hostId) => parseHostId(hostId) !== undefined).slice(1 - MAX_VIA);
  writer.text(id).byte(hopsLeft).varint(age);
  writer.varint(named.length + 1);
  for (const hostId of named) writer.text(hostId);
  writer.text(by);
  if (attestation) writer.text(attestation.by).text(attestation.observedIp);
  if (claim !== undefined) writer.text(claim);
  return writer.bytes(payload).view();
}

/** Reads a payload. The source is a view of it. Throws a RelayError INVALID_PARAMS unless {@link encodeDict} may have written it. */
export function decodeDict(bytes: Buffer): DictPayload {
  const reader = new ByteReader(bytes, 'a dict');
  if (reader.byte(VERSION) !== VERSION) throw wrong('its version');
  const flags = reader.byte(ATTESTED | CLAIMED);
  const id = messageIdIn(reader);
  const [hopsLeft, ageMs] = [reader.byte(HOP_LIMIT), reader.varint(MAX_TTL_MS)];
  const via: string[] = [];
  for (let left = reader.varint(MAX_VIA); left > 0; left--) via.push(hostIdIn(reader));
  if (via.length === 0) throw wrong('a dict that crossed no relay');
  const attestation = flags & ATTESTED ? attestationIn(reader) : undefined;
  const claim = flags & CLAIMED ? messageIdIn(reader) : undefined;
  const source = reader.bytes(MAX_PAYLOAD_BYTES);
  reader.end();
  return { id, hopsLeft, ageMs, via, attestation, claim, source };
}

function messageIdIn(reader: ByteReader): string {
  const id = reader.text(MAX_ID_BYTES);
  if (!isMessageId(id)) throw wrong('an id');
  return id;
}

function hostIdIn(reader: ByteReader): string {
  const hostId = reader.text(MAX_HOST_ID_BYTES);
  if (parseHostId(hostId) === undefined) throw wrong('a host_id');
  return hostId;
}

function attestationIn(reader: ByteReader): Attestation {
  const [by, observedIp] = [hostIdIn(reader), reader.text(MAX_HOST_ID_BYTES)];
  if (canonicalAddress(observedIp) !== observedIp) throw wrong('an observed address');
  return { by, observedIp, verdict: 'checked' };
}

function wrong(what: string): RelayError {
  return new RelayError('INVALID_PARAMS', `a dict of the mesh is malformed: ${what} is not valid`);
}
