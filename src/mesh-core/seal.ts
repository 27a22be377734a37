/** Signs groups of messages with one signature, the root of a hash tree, and verifies single messages against it. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { HASH_BYTES } from './message.ts';
import type { Envelope, Head } from './message.ts';
import { idText } from './node-id.ts';

/** The cryptography of a node, so that a simulation can use something faster. */
export interface Crypto {
  /** SHA-256. */
  hash(bytes: Buffer): Buffer;
  /** True if `signature` is one of `publicKey` over `bytes`. Must not throw. */
  verify(publicKey: Buffer, bytes: Buffer, signature: Buffer): boolean;
}

/** The key of a node. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** A signature of 64 bytes. */
  sign(bytes: Buffer): Buffer;
}

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
// What is signed for one purpose is worth nothing for another.
const PURPOSE = Buffer.from('co2/msg/1\0');
// Leaves and inner nodes are hashed differently, so that none can be passed off as the other.
const LEAF = Buffer.from([0]);
const INNER = 1;
// The bytes of an inner node, which are hashed at once.
const inner = Buffer.alloc(1 + 2 * HASH_BYTES, INNER);
// A group of 64 has paths of six hashes.
const MAX_DEPTH = 16;
/** Greater than any seal. */
export const MAX_SEAL_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES + 8 + MAX_DEPTH * HASH_BYTES;
// Roots that were verified, and inner nodes that were hashed, for the messages of a group that come one by one.
const MAX_ROOTS = 1024;
const MAX_NODES = 4096;

// Ids are needed for every message, and a mesh has few of them.
const MAX_IDS = 4096;
const ids = new Map<string, string>();

/** The id of the node with this key. */
export function idOfKey(crypto: Pick<Crypto, 'hash'>, publicKey: Buffer): string {
  const key = publicKey.toString('latin1');
  let id = ids.get(key);
  if (id === undefined) {
    id = idText(crypto.hash(publicKey));
    if (ids.size >= MAX_IDS) ids.clear();
    ids.set(key, id);
  }
  return id;
}

/** Signs the heads with one signature; returns the seal of each. */
export function sealGroup(heads: readonly Buffer[], signer: Signer, crypto: Crypto): readonly Buffer[] {
  const levels: Buffer[][] = [heads.map((head) => crypto.hash(Buffer.concat([LEAF, head])))];
  for (let level = levels[0] ?? []; level.length > 1;) {
    const above: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2) above.push(joined(crypto, level[at], level[at + 1]));
    levels.push(above);
    level = above;
  }
  const root = levels.at(-1)?.[0] ?? Buffer.alloc(0);
  const signature = signer.sign(Buffer.concat([PURPOSE, root]));
  return heads.map((_, index) => {
    const path: Buffer[] = [];
    let sides = 0;
    for (let [depth, at] = [0, index]; depth < levels.length - 1; depth++, at >>= 1) {
      const sibling = levels[depth]?.[at ^ 1];
      // The last of an odd level has none, and moves up as it is.
      if (!sibling) continue;
      if (at & 1) sides |= 1 << path.length;
      path.push(sibling);
    }
    const writer = new ByteWriter().raw(signer.publicKey).raw(signature).varint(path.length).varint(sides);
    for (const hash of path) writer.raw(hash);
    return writer.end();
  });
}

/** The hash of two nodes of the tree; of one without a sibling the node itself. */
function joined(crypto: Crypto, left: Buffer | undefined, right: Buffer | undefined): Buffer {
  if (!left || !right) return left ?? Buffer.alloc(0);
  left.copy(inner, 1);
  right.copy(inner, 1 + HASH_BYTES);
  return crypto.hash(inner);
}

/**
 * Verifies messages. Remembers the roots that it has verified, so that a group costs one verification of a signature, and the nodes of
 * the tree, so that it costs about one hash for each message. All of a seal is checked: others will be given it.
 */
export class Verifier {
  readonly #crypto: Crypto;
  readonly #roots = new Set<string>();
  // The hash of two nodes of a tree, by these.
  readonly #nodes = new Map<string, Buffer>();

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  /** True if the origin in the head signed it, and the payload belongs to it. Never throws. */
  isGenuine({ head: bytes, seal, payload }: Envelope, head: Head): boolean {
    const crypto = this.#crypto;
    if (!crypto.hash(payload).equals(head.payloadHash)) return false;
    try {
      const reader = new ByteReader(seal, 'a seal');
      const publicKey = reader.raw(PUBLIC_KEY_BYTES);
      if (idOfKey(crypto, publicKey) !== head.origin) return false;
      const signature = reader.raw(SIGNATURE_BYTES);
      const depth = reader.varint(MAX_DEPTH);
      const sides = reader.varint(2 ** depth - 1);
      let node = crypto.hash(Buffer.concat([LEAF, bytes]));
      for (let at = 0; at < depth; at++) {
        const sibling = reader.raw(HASH_BYTES);
        node = (sides >> at) & 1 ? this.#joined(sibling, node) : this.#joined(node, sibling);
      }
      reader.end();
      return this.#isSigned(publicKey, node, signature);
    } catch {
      return false;
    }
  }

  #joined(left: Buffer, right: Buffer): Buffer {
    const key = left.toString('latin1') + right.toString('latin1');
    let node = this.#nodes.get(key);
    if (!node) {
      if (this.#nodes.size >= MAX_NODES) this.#nodes.clear();
      this.#nodes.set(key, (node = joined(this.#crypto, left, right)));
    }
    return node;
  }

  #isSigned(publicKey: Buffer, root: Buffer, signature: Buffer): boolean {
    const key = Buffer.concat([publicKey, root, signature]).toString('latin1');
    if (this.#roots.has(key)) return true;
    if (!this.#crypto.verify(publicKey, Buffer.concat([PURPOSE, root]), signature)) return false;
    if (this.#roots.size >= MAX_ROOTS) this.#roots.clear();
    this.#roots.add(key);
    return true;
  }
}
