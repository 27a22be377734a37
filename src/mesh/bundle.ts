/**
 * Messages that travel as one. Most of what a message costs does not depend on its length: its head, signature, record, queue and
 * acknowledgement. Those for all nodes that this relay sends in one turn of the event loop share that; each is a part of a bundle.
 */
import { RelayError, ownCopy } from '../core/core.ts';
import { BATCH_MESSAGES, ByteReader, ByteWriter, WITH_PAYLOAD } from '../mesh-core/mesh-core.ts';
import type { MeshMessage } from './port.ts';

/** The content type of a bundle. */
export const BUNDLE = 'bundle';

/** A message in a bundle. */
export interface Part {
  /** As of {@link MeshMessage.ref}. */
  readonly ref: string;
  readonly payload: Buffer;
}

const VERSION = 1;
/** Messages of a bundle. */
export const MAX_PARTS = BATCH_MESSAGES;
/** Bytes of the payloads of a bundle: what is lost, repeated or kept waiting with one of them. */
const MAX_BYTES = 32 * 1024;
const MAX_TEXT_BYTES = 255;
// Besides the payload, for the ref and the lengths: about what most parts take.
const PART_BYTES = 64;

/** Whether a message may be a part of a bundle: those for one node are confirmed or rejected one by one. */
export function mayBePart({ target }: MeshMessage): boolean {
  return target.type === 'all';
}

/** Messages that are gathered for a bundle: they differ in `payload` and `ref` only. */
export class Bundle {
  readonly #first: MeshMessage;
  readonly #parts: MeshMessage[];
  #bytes: number;

  constructor(first: MeshMessage) {
    this.#first = first;
    this.#parts = [first];
    this.#bytes = first.payload.length;
  }

  /** Adds a message unless it differs from the others, or there is no room for it. */
  add(message: MeshMessage): boolean {
    const { contentType, isDurable, hostId, ttlMs, isOrdered, generation } = this.#first;
    const isAlike =
      message.contentType === contentType &&
      message.isDurable === isDurable &&
      message.hostId === hostId &&
      message.ttlMs === ttlMs &&
      message.isOrdered === isOrdered &&
      message.generation === generation;
    if (!isAlike || this.#parts.length >= MAX_PARTS || this.#bytes + message.payload.length > MAX_BYTES) return false;
    this.#parts.push(message);
    this.#bytes += message.payload.length;
    return true;
  }

  /** What is sent: the only message as it is, or all of them as one. */
  message(): MeshMessage {
    if (this.#parts.length === 1) return this.#first;
    const { contentType } = this.#first;
    const writer = new ByteWriter(this.#bytes + PART_BYTES * this.#parts.length).byte(VERSION).text(contentType);
    for (const { ref = '', payload } of this.#parts) writer.text(ref).bytes(payload);
    return { ...this.#first, contentType: BUNDLE, ref: WITH_PAYLOAD, payload: writer.view() };
  }
}

/** Reads the payload of a bundle. Throws a RelayError INVALID_PARAMS if it is malformed. */
export function readBundle(payload: Buffer): { readonly contentType: string; readonly parts: readonly Part[] } {
  const reader = new ByteReader(payload, 'a bundle');
  reader.expect(VERSION);
  const contentType = reader.text(MAX_TEXT_BYTES);
  const parts: Part[] = [];
  while (!reader.isAtEnd) {
    if (parts.length >= MAX_PARTS) throw new RelayError('INVALID_PARAMS', `a bundle of the mesh has more than ${MAX_PARTS} messages`);
    const ref = reader.text(MAX_TEXT_BYTES);
    // One that is kept would keep the whole bundle.
    const [from, to] = reader.span(payload.length);
    parts.push({ ref, payload: ownCopy(payload, from, to) });
  }
  return { contentType, parts };
}
