/** Cryptography for simulations: hashes are real, signatures are fast, and good as long as nobody tries to forge them by their making. */
import { createHash } from 'node:crypto';
import type { Crypto, Signer } from '../../src/mesh-core/mesh-core.ts';

function hash(...parts: readonly Buffer[]): Buffer {
  const state = createHash('sha256');
  for (const part of parts) state.update(part);
  return state.digest();
}

function signatureOf(publicKey: Buffer, bytes: Buffer): Buffer {
  const half = hash(publicKey, bytes);
  return Buffer.concat([half, half]);
}

/** See the head of this file. */
export const fakeCrypto: Crypto = {
  hash: (bytes) => hash(bytes),
  verify: (publicKey, bytes, signature) => signatureOf(publicKey, bytes).equals(signature),
};

/** The key of the node with this number. */
export function fakeSigner(number: number): Signer {
  const publicKey = hash(Buffer.from(`node ${number}`));
  return { publicKey, sign: (bytes) => signatureOf(publicKey, bytes) };
}
