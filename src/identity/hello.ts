/**
 * The handshake `relay.hello`, by which two relays prove their keys to each other and agree on the keys of a session. Two calls, pure:
 *
 *     -> {v, nonce, key, instance, features, node}         <- {v, nonce, key, instance, features, node, bound, proof, secret?}
 *     -> {v, hello: nonce of the responder, proof, secret?}         <- {answer, reason, copied, check}
 *
 * `nonce` is random, `key` an X25519 key of this hello alone, `proof` a signature of the transcript: both nonces, keys, instances, feature
 * lists and descriptors (with their ids), and the exporter of the TLS connection if there is one.
 */
import { createHash, createHmac, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { RelayError } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { descriptorBytes, descriptorOnWire, readDescriptor } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { encodeFields, encodeList } from './encoding.ts';
import { base32, isSignedBy } from './node-key.ts';
import type { NodeKey } from './node-key.ts';
import { isEqual } from './session.ts';
import type { SessionKeys } from './session.ts';

/** A relay as it shows itself in a hello. */
export interface HelloSelf {
  readonly key: NodeKey;
  readonly descriptor: Descriptor;
  /** 64 random bits of this start, hex. */
  readonly instance: string;
  /** The secret that all relays of the cluster know; undefined if there is none. */
  readonly secret: string | undefined;
}

/** One side of a hello, as the other side sees it. */
export interface HelloSide {
  readonly nonce: Buffer;
  /** The X25519 key of this hello. */
  readonly key: Buffer;
  readonly instance: string;
  readonly features: readonly string[];
  readonly node: Descriptor;
}

/** The first half of a hello on one side. */
export interface OpenHello {
  readonly own: HelloSide;
  readonly privateKey: KeyObject;
}

/** The transcript of both sides and what follows from it. */
export interface Agreed {
  readonly transcript: Buffer;
  readonly keys: SessionKeys;
}

/** What the responder decided of the initiator once it had proved its key. */
export interface HelloAnswer {
  /**
   * `trusted`: it is a peer. `known`: it has a session, and the rights that its address gives it. `pending`: like `known`, until somebody
   * approves it. `refused`: no session.
   */
  readonly answer: 'trusted' | 'known' | 'pending' | 'refused';
  /** Why not trusted; empty if it is. */
  readonly reason: string;
  /** Who else uses this identity; empty if nobody was seen. */
  readonly copied: string;
}

/** The version of the handshake. */
export const HELLO_VERSION = 1;

const FEATURES: readonly string[] = ['session'];
const NONCE_BYTES = 32;
const KEY_BYTES = 32;
const MAX_FEATURES = 32;
const ANSWERS: readonly string[] = ['trusted', 'known', 'pending', 'refused'] satisfies readonly HelloAnswer['answer'][];

/** Begins a hello on either side. */
export function openHello({ descriptor, instance }: HelloSelf): OpenHello {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { own: { nonce: randomBytes(NONCE_BYTES), key, instance, features: FEATURES, node: descriptor }, privateKey };
}

/** The members of a side, in the first call and its answer. */
export function sideOnWire({ nonce, key, instance, features, node }: HelloSide): Record<string, Sendable> {
  return { v: HELLO_VERSION, nonce, key, instance, features, node: descriptorOnWire(node) };
}

/** Reads the members of a side. Throws a RelayError INVALID_PARAMS that names the wrong one. */
export function readSide(dict: Dict): HelloSide {
  const { v, nonce, key, instance, features, node } = dict;
  if (v !== HELLO_VERSION) throw wrong('v', `${HELLO_VERSION}, the version that this relay speaks`);
  if (!isBytes(nonce, NONCE_BYTES)) throw wrong('nonce', `${NONCE_BYTES} random bytes, base64`);
  if (!isBytes(key, KEY_BYTES)) throw wrong('key', 'an X25519 key of 32 bytes, base64');
  if (typeof instance !== 'string' || !/^[0-9a-f]{16}$/.test(instance)) throw wrong('instance', '64 bits, hex');
  if (!Array.isArray(features) || features.length > MAX_FEATURES || !features.every(isShort)) throw wrong('features', 'a list of names');
  return { nonce, key, instance, features, node: readDescriptor(node) };
}

/**
 * The transcript of a hello and the keys that both sides derive. `exporter` is that of the TLS connection, empty without one. Throws a
 * RelayError INVALID_PARAMS if the other side's key is not usable.
 */
export function agree(initiator: HelloSide, responder: HelloSide, own: OpenHello, exporter: Buffer): Agreed {
  const other = own.own === initiator ? responder : initiator;
  const transcript = createHash('sha256')
    .update(encodeFields('co2/hello/1', [...sideFields(initiator), ...sideFields(responder), exporter]))
    .digest();
  let shared: Buffer;
  try {
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: other.key.toString('base64url') }, format: 'jwk' });
    shared = diffieHellman({ privateKey: own.privateKey, publicKey });
  } catch (error) {
    throw new RelayError('INVALID_PARAMS', 'relay.hello: key is not a usable X25519 key', { cause: error });
  }
  const bytes = Buffer.from(hkdfSync('sha256', shared, transcript, 'co2/session/1', 76));
  const keys = { id: bytes.toString('hex', 0, 12), request: bytes.subarray(12, 44), answer: bytes.subarray(44, 76) };
  return { transcript, keys };
}

function sideFields({ nonce, key, instance, features, node }: HelloSide): readonly (string | Buffer)[] {
  return [node.id, nonce, key, instance, encodeList(features), descriptorBytes(node), node.signature];
}

/** Which side speaks: a proof of one side is none of the other. */
export type HelloRole = 'initiator' | 'responder';

/** What a side shows of itself once both sides are known: `proof`, and `secret` if there is a cluster secret. */
export function proofOnWire({ key, secret }: HelloSelf, role: HelloRole, transcript: Buffer): Record<string, Sendable> {
  const proof = key.sign(proofBytes(role, transcript));
  return secret === undefined ? { proof } : { proof, secret: secretProof(secret, role, transcript) };
}

/** True if the side of this role and descriptor made the proof. */
export function isProven(dict: Dict, role: HelloRole, { pub }: Descriptor, transcript: Buffer): boolean {
  return isBytes(dict.proof, 64) && isSignedBy(pub, proofBytes(role, transcript), dict.proof);
}

/** True if the side of this role knows the cluster secret. */
export function knowsSecret(dict: Dict, role: HelloRole, secret: string | undefined, transcript: Buffer): boolean {
  if (secret === undefined || !isBytes(dict.secret, 32)) return false;
  return isEqual(dict.secret.toString('hex'), secretProof(secret, role, transcript).toString('hex'));
}

function proofBytes(role: HelloRole, transcript: Buffer): Buffer {
  return encodeFields('co2/proof/1', [role, transcript]);
}

function secretProof(secret: string, role: HelloRole, transcript: Buffer): Buffer {
  return createHmac('sha256', secret)
    .update(encodeFields('co2/secret/1', [role, transcript]))
    .digest();
}

/** The answer to the second call. `check` proves it by the key of the session, also without a session. */
export function answerOnWire(answer: HelloAnswer, keys: SessionKeys): Record<string, Sendable> {
  return { ...answer, check: checkOf(answer, keys) };
}

/** Reads the answer to the second call; undefined if it is not from the other side of the session. */
export function readAnswer(value: Value, keys: SessionKeys): HelloAnswer | undefined {
  if (!isDict(value)) return undefined;
  const { answer, reason, copied, check } = value;
  if (typeof answer !== 'string' || !ANSWERS.includes(answer)) return undefined;
  if (typeof reason !== 'string' || typeof copied !== 'string' || !isBytes(check, 32)) return undefined;
  const read = { answer: answer as HelloAnswer['answer'], reason, copied };
  return isEqual(check.toString('hex'), checkOf(read, keys).toString('hex')) ? read : undefined;
}

function checkOf({ answer, reason, copied }: HelloAnswer, keys: SessionKeys): Buffer {
  return createHmac('sha256', keys.answer)
    .update(encodeFields('co2/answer/1', [answer, reason, copied]))
    .digest();
}

// 80 bits: who wants to stand between two relays has to find two keys whose codes are equal, by some 2^40 new keys.
const CODE_BYTES = 10;

/** What people compare on both sides of a pairing: four groups of four characters, the same for both orders of the two ids. */
export function pairingCode(one: string, other: string): string {
  const ids = [one, other].sort();
  const digest = createHash('sha256').update(encodeFields('co2/pair/1', ids)).digest();
  return (base32(digest.subarray(0, CODE_BYTES)).match(/.{4}/g) ?? []).join('-');
}

function isBytes(value: Value | undefined, length: number): value is Buffer {
  return Buffer.isBuffer(value) && value.length === length;
}

function isShort(value: Value): value is string {
  return typeof value === 'string' && value.length <= 64;
}

function wrong(member: string, expected: string): RelayError {
  return new RelayError('INVALID_PARAMS', `relay.hello: ${member} is not ${expected}`);
}
