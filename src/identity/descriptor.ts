/** The descriptor of a node: what it says of itself, signed by its key; how it is written as a struct and read from one. */
import { RelayError } from '../core/core.ts';
import { parseHostId } from '../message/message.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { encodeFields, encodeList } from './encoding.ts';
import { isSignedBy, nodeIdOf } from './node-key.ts';
import type { NodeKey } from './node-key.ts';

/** The flag of a node that speaks the mesh: `relay.push` and `relay.pull`. */
export const MESH_FLAG = 'mesh';

/** The flag of a node whose key ends with its process: others do not store it. */
export const EPHEMERAL_FLAG = 'ephemeral';

/** What a node says of itself. */
export interface Descriptor {
  readonly id: string;
  /** Its name for people. Nobody checks it. */
  readonly nick: string;
  /** The public key, 32 bytes. */
  readonly pub: Buffer;
  /** Number of its starts. */
  readonly epoch: number;
  /** Grows with each descriptor of one start. */
  readonly seq: number;
  /** URLs at which it can be reached, as it believes. */
  readonly addrs: readonly string[];
  readonly hostIds: readonly string[];
  /** SHA-256 of its capabilities, hex; empty if it does not say. */
  readonly capabilitiesHash: string;
  readonly flags: readonly string[];
  /** The Ed25519 signature of everything else. */
  readonly signature: Buffer;
}

// Limits on what a stranger may send: a host name has at most 253 characters, a host_id or URL at most some hundred.
const MAX_NICK_BYTES = 255;
const MAX_TEXT_BYTES = 512;
const MAX_ITEMS = 16;

/** Signs a descriptor. */
export function signDescriptor(key: NodeKey, content: Omit<Descriptor, 'id' | 'pub' | 'signature'>): Descriptor {
  const unsigned = { ...content, id: key.id, pub: key.pub };
  return { ...unsigned, signature: key.sign(descriptorBytes(unsigned)) };
}

/** What the signature of a descriptor covers. */
export function descriptorBytes(descriptor: Omit<Descriptor, 'signature'>): Buffer {
  const { id, nick, pub, epoch, seq, addrs, hostIds, capabilitiesHash, flags } = descriptor;
  return encodeFields('co2/node/1', [
    ...[id, nick, pub, epoch, seq],
    ...[encodeList(addrs), encodeList(hostIds), capabilitiesHash, encodeList(flags)],
  ]);
}

/** The struct `{id, nick, pub, epoch, seq, addrs, host_ids, capabilities_hash, flags, sig}`. */
export function descriptorOnWire(descriptor: Descriptor): Record<string, Sendable> {
  const { id, nick, pub, epoch, seq, addrs, hostIds, capabilitiesHash, flags, signature } = descriptor;
  return { id, nick, pub, epoch, seq, addrs, host_ids: hostIds, capabilities_hash: capabilitiesHash, flags, sig: signature };
}

/** Reads a descriptor and checks its signature. Throws a RelayError INVALID_PARAMS that names the wrong member. */
export function readDescriptor(value: Value | undefined): Descriptor {
  if (!isDict(value)) throw wrong('', 'a struct');
  const { id, nick, pub, epoch, seq, addrs, host_ids: hostIds, capabilities_hash: capabilitiesHash, flags, sig } = value;
  if (!isText(nick, MAX_NICK_BYTES)) throw wrong('nick', `a string of at most ${MAX_NICK_BYTES} bytes`);
  if (!Buffer.isBuffer(pub) || pub.length !== 32) throw wrong('pub', 'an Ed25519 key of 32 bytes, base64');
  if (id !== nodeIdOf(pub)) throw wrong('id', 'the id of the key in node.pub');
  if (!isCount(epoch)) throw wrong('epoch', 'an integer from 1');
  if (!isCount(seq)) throw wrong('seq', 'an integer from 1');
  if (!isTexts(addrs)) throw wrong('addrs', `at most ${MAX_ITEMS} URLs`);
  if (!isTexts(hostIds) || hostIds.some((one) => parseHostId(one) === undefined)) throw wrong('host_ids', `at most ${MAX_ITEMS} host_ids`);
  if (!isText(capabilitiesHash, MAX_TEXT_BYTES)) throw wrong('capabilities_hash', 'a string');
  if (!isTexts(flags)) throw wrong('flags', `at most ${MAX_ITEMS} strings`);
  if (!Buffer.isBuffer(sig) || sig.length !== 64) throw wrong('sig', 'a signature of 64 bytes, base64');
  const descriptor = { id, nick, pub, epoch, seq, addrs, hostIds, capabilitiesHash, flags, signature: sig };
  if (!isSignedBy(pub, descriptorBytes(descriptor), sig)) throw wrong('sig', 'the signature of this descriptor by the key in node.pub');
  return descriptor;
}

function isText(value: Value | undefined, maxBytes: number): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= maxBytes;
}

function isTexts(value: Value | undefined): value is readonly string[] {
  return Array.isArray(value) && value.length <= MAX_ITEMS && value.every((one: Value) => isText(one, MAX_TEXT_BYTES));
}

function isCount(value: Value | undefined): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1;
}

function wrong(member: string, expected: string): RelayError {
  return new RelayError('INVALID_PARAMS', `relay.hello: node${member === '' ? '' : `.${member}`} is not ${expected}`);
}
