/** The long lists of what nodes offer, which travel apart from the link states: these carry their hashes, and each list is fetched once. */
import { clean } from '../core/core.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_NODES, MAX_STATE_BYTES } from './limits.ts';

const MAX_TEXT_BYTES = 255;
/** Methods, types of work and versions of one node. */
export const MAX_CAPABILITIES = 4096;
/** Greatest size of a list within a link state, which is sent to everybody each minute. */
const INLINE_BYTES = 1024;

/** The bytes of a list. Clipped to what others accept. */
export function encodeCapabilities(list: readonly string[]): Buffer {
  let count = Math.min(list.length, MAX_CAPABILITIES);
  for (let bytes = list.slice(0, count).reduce((sum, text) => sum + Buffer.byteLength(text) + 2, 8); bytes > MAX_STATE_BYTES; count--)
    bytes -= Buffer.byteLength(list[count - 1] ?? '') + 2;
  const writer = new ByteWriter().varint(count);
  for (const text of list.slice(0, count)) writer.text(text);
  return writer.end();
}

/** Reads what {@link encodeCapabilities} wrote, with cleaned texts. Throws a RelayError INVALID_PARAMS for anything else. */
export function decodeCapabilities(bytes: Buffer): readonly string[] {
  const reader = new ByteReader(bytes, 'a list of capabilities');
  const list = Array.from({ length: reader.varint(MAX_CAPABILITIES) }, () => clean(reader.text(MAX_TEXT_BYTES), MAX_TEXT_BYTES));
  reader.end();
  return list;
}

/** True if a list is short enough for a link state. */
export function isInline(encoded: Buffer): boolean {
  return encoded.length <= INLINE_BYTES;
}

interface KnownList {
  readonly bytes: Buffer;
  readonly list: readonly string[];
}

/** The lists that this node has, and those that it waits for. */
export class CapabilityLists {
  readonly #known = new Map<string, KnownList>();
  // The lists that are not known yet, with the channels of the neighbours that asked for them.
  readonly #wanted = new Map<string, Set<number>>();
  #unasked: Buffer[] = [];

  get(hash: Buffer): readonly string[] | undefined {
    return this.#known.get(keyOf(hash))?.list;
  }

  bytesOf(hash: Buffer): Buffer | undefined {
    return this.#known.get(keyOf(hash))?.bytes;
  }

  /** Notes that a link state has this hash; true if its list must be fetched. */
  want(hash: Buffer): boolean {
    const key = keyOf(hash);
    if (this.#known.has(key)) return false;
    if (!this.#wanted.has(key)) {
      // A node that changes its list at every moment: what it had before need not be fetched.
      for (const oldest of this.#wanted.keys()) if (this.#wanted.size >= MAX_NODES) this.#wanted.delete(oldest);
      this.#wanted.set(key, new Set());
      this.#unasked.push(Buffer.from(hash));
    }
    return true;
  }

  /** The hashes of lists that are not known yet. */
  get missing(): readonly Buffer[] {
    return [...this.#wanted.keys()].map((key) => Buffer.from(key, 'latin1'));
  }

  /** Those of {@link missing} that were not returned yet. */
  takeUnasked(): readonly Buffer[] {
    const unasked = this.#unasked;
    this.#unasked = [];
    return unasked;
  }

  /** A neighbour asks for a list that this node waits for itself: it gets it later. */
  remember(hash: Buffer, channel: number): void {
    this.#wanted.get(keyOf(hash))?.add(channel);
  }

  /** Takes a list that is known or waited for; returns the channels that asked for it. Undefined if nobody needs it or it is malformed. */
  add(hash: Buffer, bytes: Buffer): ReadonlySet<number> | undefined {
    const key = keyOf(hash);
    const channels = this.#wanted.get(key);
    if (!channels) return undefined;
    let list: readonly string[];
    try {
      list = decodeCapabilities(bytes);
    } catch {
      return undefined;
    }
    this.#wanted.delete(key);
    this.#known.set(key, { bytes, list });
    return channels;
  }

  /** Takes the own list, whose bytes {@link encodeCapabilities} made. */
  addOwn(hash: Buffer, bytes: Buffer, list: readonly string[]): void {
    this.#known.set(keyOf(hash), { bytes, list });
  }

  /** Forgets the lists that no link state has any more. */
  retain(hashes: Iterable<Buffer>): void {
    const used = new Set([...hashes].map(keyOf));
    for (const lists of [this.#known, this.#wanted]) for (const key of lists.keys()) if (!used.has(key)) lists.delete(key);
  }
}

function keyOf(hash: Buffer): string {
  return hash.toString('latin1');
}
