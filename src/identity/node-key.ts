/** The key pair of a node, and the id that follows from its public key. */
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { RelayError } from '../core/core.ts';

/** The identity that a relay can prove. */
export interface NodeKey {
  /** {@link nodeIdOf} the public key. */
  readonly id: string;
  /** The public Ed25519 key, 32 bytes. */
  readonly pub: Buffer;
  /** The Ed25519 signature of the bytes, 64 bytes. */
  readonly sign: (bytes: Buffer) => Buffer;
}

const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
// 160 bits, as in other systems that name nodes by keys: nobody can make another key with the same id.
const ID_BYTES = 20;
const ID = /^[a-z2-7]{32}$/;
// RFC 8410, section 7: a private key is this prefix and the seed.
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The key pair that follows from a seed of 32 bytes, base64url. Throws a RelayError STATE_DIRECTORY if it is not one. */
export function nodeKeyOf(seed: string): NodeKey {
  const bytes = Buffer.from(seed, 'base64url');
  if (bytes.length !== SEED_BYTES) {
    const text = 'node.key in the state directory is damaged: restore it, or delete it; peers have to trust the new key then';
    throw new RelayError('STATE_DIRECTORY', text);
  }
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, bytes]), format: 'der', type: 'pkcs8' });
  const pub = Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x ?? '', 'base64url');
  return { id: nodeIdOf(pub), pub, sign: (message) => sign(undefined, message, privateKey) };
}

/** The id of the node with this public key: the first 160 bits of its SHA-256 in base32 (RFC 4648, lower case), 32 characters. */
export function nodeIdOf(pub: Buffer): string {
  return base32(createHash('sha256').update(pub).digest().subarray(0, ID_BYTES));
}

/** True if the text has the form of a node id. */
export function isNodeId(text: unknown): text is string {
  return typeof text === 'string' && ID.test(text);
}

/** True if `signature` is that of the holder of the public key `pub` for these bytes. Never throws. */
export function isSignedBy(pub: Buffer, bytes: Buffer, signature: Buffer): boolean {
  if (pub.length !== PUBLIC_KEY_BYTES) return false;
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: pub.toString('base64url') }, format: 'jwk' });
    return verify(undefined, bytes, key, signature);
  } catch {
    // Bytes that are no point of the curve.
    return false;
  }
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** Base32 without padding, in lower case. */
export function base32(bytes: Buffer): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      text += ALPHABET[(value >>> (bits - 5)) & 31] ?? '';
      bits -= 5;
    }
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + (ALPHABET[(value << (5 - bits)) & 31] ?? '');
}
