/** The link state of a node: who it is, what it offers and whom it reaches, signed by itself. */
import { clean } from '../core/core.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { decodeCapabilities, encodeCapabilities, isInline } from './capabilities.ts';
import { MAX_LINKS, MAX_STATE_BYTES } from './limits.ts';
import { HASH_BYTES } from './message.ts';
import { ID_BYTES, idBytes, idText } from './node-id.ts';
import { idOfKey } from './seal.ts';
import type { Crypto, Signer } from './seal.ts';

/** What a node says about itself, besides its links. */
export interface Description {
  /** A name for people. */
  readonly nick: string;
  /** URLs at which it can be reached. At most 16 count. */
  readonly addresses: readonly string[];
  /** The `host_id`s of its server: a message of another node with one of them is not genuine. At most 64 count. */
  readonly hostIds: readonly string[];
  /**
   * Methods, types of work and versions that it offers, each as one text such as `work:render`. At most 4,096 and 64 KiB count. Of another
   * node an empty list may mean that a long one has not come yet.
   */
  readonly capabilities: readonly string[];
  /** How busy it is, 0 to 100; of equally near nodes the least busy one is chosen. */
  readonly load: number;
}

/** The capability of a node that is a neighbour only while its link is up: it keeps nothing, and comes back as another node, if at all. */
export const EPHEMERAL = 'node:ephemeral';

/** A neighbour with a link that is up. */
export interface Neighbour {
  readonly id: string;
  /** Round trip in ms, rounded to a bucket. */
  readonly cost: number;
}

/** See the head of this file. */
export interface LinkState extends Description {
  readonly id: string;
  readonly epoch: number;
  /** From 1 for each epoch; the greater one is newer. */
  readonly sequence: number;
  /** True in the last one, when the node leaves. */
  readonly isLeaving: boolean;
  readonly neighbours: readonly Neighbour[];
}

/** A link state with the bytes that its node signed. */
export interface SignedState {
  readonly state: LinkState;
  readonly bytes: Buffer;
  /** The hash of its list of capabilities, if that travels apart. */
  readonly capabilitiesHash: Buffer | undefined;
}

const PURPOSE = Buffer.from('co2/state/1\0');
const VERSION = 1;
const INLINE = 0;
const BY_HASH = 1;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const MAX_TEXT_BYTES = 255;
const MAX_ADDRESSES = 16;
const MAX_HOST_IDS = 64;
const MAX_COST = 60_000;

/** Signs a link state. */
export function signState(state: LinkState, signer: Signer, crypto: Crypto): SignedState {
  const writer = new ByteWriter().byte(VERSION).raw(signer.publicKey).varint(state.epoch).varint(state.sequence);
  writer
    .byte(state.isLeaving ? 1 : 0)
    .byte(state.load)
    .text(state.nick);
  // Clipped, since others refuse all of a link state with longer lists.
  for (const list of [state.addresses.slice(0, MAX_ADDRESSES), state.hostIds.slice(0, MAX_HOST_IDS)]) {
    writer.varint(list.length);
    for (const text of list) writer.text(text);
  }
  const capabilities = encodeCapabilities(state.capabilities);
  const capabilitiesHash = isInline(capabilities) ? undefined : crypto.hash(capabilities);
  if (capabilitiesHash) writer.byte(BY_HASH).raw(capabilitiesHash);
  else writer.byte(INLINE).bytes(capabilities);
  writer.varint(state.neighbours.length);
  for (const { id, cost } of state.neighbours) writer.raw(idBytes(id)).varint(cost);
  const body = writer.end();
  return { state, capabilitiesHash, bytes: Buffer.concat([body, signer.sign(signedPart(body, crypto))]) };
}

/** Which version of which node's link state this is. Throws a RelayError INVALID_PARAMS if its beginning is malformed. */
export function versionOf(bytes: Buffer, crypto: Crypto): Pick<LinkState, 'id' | 'epoch' | 'sequence'> {
  const reader = new ByteReader(bytes, 'a link state');
  reader.expect(VERSION);
  return { id: idOfKey(crypto, reader.raw(PUBLIC_KEY_BYTES)), epoch: reader.varint(), sequence: reader.varint() };
}

/** Reads a link state without verifying it; its texts are cleaned. Throws a RelayError INVALID_PARAMS if it is malformed or too large. */
export function readState(bytes: Buffer, crypto: Crypto): SignedState {
  const body = bytes.subarray(0, Math.max(0, Math.min(bytes.length, MAX_STATE_BYTES) - SIGNATURE_BYTES));
  const reader = new ByteReader(body, 'a link state');
  reader.expect(VERSION);
  const id = idOfKey(crypto, reader.raw(PUBLIC_KEY_BYTES));
  const [epoch, sequence, isLeaving, load] = [reader.varint(), reader.varint(), reader.byte(1) === 1, reader.byte(100)];
  // What a node says about itself is shown by all others.
  const text = (): string => clean(reader.text(MAX_TEXT_BYTES), MAX_TEXT_BYTES);
  const nick = text();
  const texts = (max: number): string[] => Array.from({ length: reader.varint(max) }, text);
  const [addresses, hostIds] = [texts(MAX_ADDRESSES), texts(MAX_HOST_IDS)];
  const capabilitiesHash = reader.byte(BY_HASH) === BY_HASH ? reader.raw(HASH_BYTES) : undefined;
  const capabilities = capabilitiesHash ? [] : decodeCapabilities(reader.bytes(MAX_STATE_BYTES));
  const neighbours = Array.from({ length: reader.varint(MAX_LINKS) }, () => ({
    id: idText(reader.raw(ID_BYTES)),
    cost: reader.varint(MAX_COST),
  }));
  reader.end();
  return { state: { id, epoch, sequence, isLeaving, load, nick, addresses, hostIds, capabilities, neighbours }, bytes, capabilitiesHash };
}

/** True if the node with this link state signed it. */
export function isSigned({ bytes }: SignedState, crypto: Crypto): boolean {
  const body = bytes.subarray(0, bytes.length - SIGNATURE_BYTES);
  const signature = bytes.subarray(bytes.length - SIGNATURE_BYTES);
  return crypto.verify(body.subarray(1, 1 + PUBLIC_KEY_BYTES), signedPart(body, crypto), signature);
}

/** The id and version of a link state, as nodes compare them. */
export function isNewer(one: Pick<LinkState, 'epoch' | 'sequence'>, than: Pick<LinkState, 'epoch' | 'sequence'> | undefined): boolean {
  if (!than) return true;
  return one.epoch > than.epoch || (one.epoch === than.epoch && one.sequence > than.sequence);
}

function signedPart(body: Buffer, crypto: Crypto): Buffer {
  const hash = crypto.hash(body);
  return Buffer.concat([PURPOSE, hash.subarray(0, HASH_BYTES)]);
}
