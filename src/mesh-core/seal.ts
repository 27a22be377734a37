/** Signs groups of messages with one signature, the root of a hash tree, and verifies single messages against it. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { BATCH_MESSAGES } from './limits.ts';
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
const INNER = Buffer.from([1]);
// A group of 64 has paths of six hashes.
const MAX_DEPTH = 16;
/** Greater than any seal. */
export const MAX_SEAL_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES + 8 + MAX_DEPTH * HASH_BYTES;
// Roots that were verified, for the messages of a group that come one by one.
const MAX_ROOTS = 1024;
// Groups whose nodes are remembered, and nodes of one: those of a full group. A group takes about 20 KB.
const MAX_GROUPS = 64;
const MAX_NODES_OF_GROUP = BATCH_MESSAGES;

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

// Filled and hashed for each pair of nodes.
const PAIR = Buffer.concat([INNER, Buffer.alloc(2 * HASH_BYTES)]);

/** The hash of two nodes of the tree; of one without a sibling the node itself. */
function joined(crypto: Crypto, left: Buffer | undefined, right: Buffer | undefined): Buffer {
  if (!left || !right) return left ?? Buffer.alloc(0);
  left.copy(PAIR, INNER.length);
  right.copy(PAIR, INNER.length + HASH_BYTES);
  return crypto.hash(PAIR);
}

/** The way from a node of a verified tree to its root. */
interface Way {
  readonly sides: number;
  /** The siblings. */
  readonly path: Buffer;
}

/**
 * Verifies messages. Remembers the roots that it has verified, so that a group costs one verification of a signature, and the nodes below
 * the newest ones, so that a message of a group costs about two hashes instead of one for each level.
 */
export class Verifier {
  readonly #crypto: Crypto;
  readonly #roots = new Set<string>();
  /** By public key and signature, the ways of the nodes that were verified. */
  readonly #groups = new Map<string, Map<string, Way>>();

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
      const path = reader.raw(depth * HASH_BYTES);
      reader.end();
      return this.#isInTree(crypto.hash(Buffer.concat([LEAF, bytes])), { sides, path }, publicKey, signature);
    } catch {
      return false;
    }
  }

  /** True if the way leads from the leaf to a root that is signed. The whole way is checked, since the seal is passed on as it is. */
  #isInTree(leaf: Buffer, { sides, path }: Way, publicKey: Buffer, signature: Buffer): boolean {
    const name = `${publicKey.toString('latin1')}${signature.toString('latin1')}`;
    const known = this.#groups.get(name);
    const added: string[] = [];
    const depth = path.length / HASH_BYTES;
    let node = leaf;
    for (let at = 0; at < depth; at++) {
      const sibling = path.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
      node = (sides >> at) & 1 ? joined(this.#crypto, sibling, node) : joined(this.#crypto, node, sibling);
      const key = node.toString('latin1');
      const way = known?.get(key);
      if (way?.sides === sides >> (at + 1) && way.path.equals(path.subarray((at + 1) * HASH_BYTES))) break;
      added.push(key);
    }
    if (added.length === depth && !this.#isSigned(publicKey, node, signature)) return false;
    if (added.length > 0) this.#remember(name, added, { sides, path: Buffer.from(path) });
    return true;
  }

  #remember(name: string, nodes: readonly string[], { sides, path }: Way): void {
    let group = this.#groups.get(name);
    if (!group) {
      const [oldest] = this.#groups.keys();
      if (oldest !== undefined && this.#groups.size >= MAX_GROUPS) this.#groups.delete(oldest);
      this.#groups.set(name, (group = new Map<string, Way>()));
    }
    if (group.size >= MAX_NODES_OF_GROUP) return;
    for (const [at, node] of nodes.entries()) group.set(node, { sides: sides >> (at + 1), path: path.subarray((at + 1) * HASH_BYTES) });
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
