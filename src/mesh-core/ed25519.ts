/** The cryptography of real nodes: SHA-256 and Ed25519 of node:crypto. */
import { createPublicKey, hash, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Crypto, Signer } from './seal.ts';

// What stands before the 32 bytes of a public key in its DER form (RFC 8410).
const DER_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
// Making a key of its bytes costs as much as a verification; a mesh has few keys.
const MAX_KEYS = 2048;
const keys = new Map<string, KeyObject>();

/** See the head of this file. */
export const ed25519Crypto: Crypto = {
  // By way of a text, which takes half the time of a buffer with memory of its own.
  hash: (bytes) => Buffer.from(hash('sha256', bytes, 'binary'), 'latin1'),
  verify: (publicKey, bytes, signature) => {
    try {
      return verify(null, bytes, keyOf(publicKey), signature);
    } catch {
      return false;
    }
  },
};

/** Signs with a private Ed25519 key. */
export function ed25519Signer(privateKey: KeyObject): Signer {
  const der = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return { publicKey: der.subarray(DER_PREFIX.length), sign: (bytes) => sign(null, bytes, privateKey) };
}

function keyOf(publicKey: Buffer): KeyObject {
  const text = publicKey.toString('latin1');
  let key = keys.get(text);
  if (!key) {
    key = createPublicKey({ key: Buffer.concat([DER_PREFIX, publicKey]), type: 'spki', format: 'der' });
    if (keys.size >= MAX_KEYS) keys.clear();
    keys.set(text, key);
  }
  return key;
}
