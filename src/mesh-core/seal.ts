/** Signs groups of messages with one signature, the root of a hash tree, and verifies single messages against it. */
import { ByteReader, ByteWriter } from './bytes.ts';
import { HASH_BYTES, MAX_HEAD_BYTES } from './message.ts';
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
const LEAF = 0;
const INNER = 1;
// What is hashed for a leaf and for an inner node.
const leafBytes = Buffer.alloc(1 + MAX_HEAD_BYTES, LEAF);
const innerBytes = Buffer.alloc(1 + 2 * HASH_BYTES, INNER);
// A group of 64 has paths of six hashes.
const MAX_DEPTH = 16;
// The two numbers before the path, at most.
const NUMBERS_BYTES = 4;
/** Greater than any seal. */
export const MAX_SEAL_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES + 8 + MAX_DEPTH * HASH_BYTES;
// Nodes of trees that are remembered, for the messages of a group that come one by one.
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

/** Signs the heads with one signature; returns the seal of each, all in shared memory. */
export function sealGroup(heads: readonly Buffer[], signer: Signer, crypto: Crypto): readonly Buffer[] {
  const levels: Buffer[][] = [heads.map((head) => leafOf(crypto, head))];
  for (let level = levels[0] ?? []; level.length > 1;) {
    const above: Buffer[] = [];
    for (let at = 0; at < level.length; at += 2) above.push(joined(crypto, level[at], level[at + 1]));
    levels.push(above);
    level = above;
  }
  const root = levels.at(-1)?.[0] ?? Buffer.alloc(0);
  const signature = signer.sign(Buffer.concat([PURPOSE, root]));
  const writer = new ByteWriter(heads.length * (PUBLIC_KEY_BYTES + SIGNATURE_BYTES + NUMBERS_BYTES + levels.length * HASH_BYTES));
  const ends = heads.map((_, index) => {
    const path: Buffer[] = [];
    let sides = 0;
    for (let [depth, at] = [0, index]; depth < levels.length - 1; depth++, at >>= 1) {
      const sibling = levels[depth]?.[at ^ 1];
      // The last of an odd level has none, and moves up as it is.
      if (!sibling) continue;
      if (at & 1) sides |= 1 << path.length;
      path.push(sibling);
    }
    writer.raw(signer.publicKey).raw(signature).varint(path.length).varint(sides);
    for (const hash of path) writer.raw(hash);
    return writer.length;
  });
  return ends.map((end, index) => writer.view(ends[index - 1] ?? 0, end));
}

/** The hash of a head, a leaf of the tree. */
function leafOf(crypto: Crypto, head: Buffer): Buffer {
  leafBytes.set(head, 1);
  return crypto.hash(leafBytes.subarray(0, 1 + head.length));
}

/** The hash of two nodes of the tree; of one without a sibling the node itself. */
function joined(crypto: Crypto, left: Buffer | undefined, right: Buffer | undefined): Buffer {
  if (!left || !right) return left ?? Buffer.alloc(0);
  innerBytes.set(left, 1);
  innerBytes.set(right, 1 + HASH_BYTES);
  return crypto.hash(innerBytes);
}

/** A tree whose root is signed, as far as it is known. The root is node 1; below node n are 2n and 2n + 1. */
interface Tree {
  /** Id of the node that signed it. */
  readonly origin: string;
  readonly nodes: Map<number, Buffer>;
}

/**
 * Verifies messages. Remembers the trees that it has verified, so that a group costs one verification of a signature, and about one hash
 * for each message besides that of its head. All of a seal is checked: others will be given it.
 */
export class Verifier {
  readonly #crypto: Crypto;
  // By key and signature: a signature is that of one root.
  readonly #trees = new Map<string, Tree>();
  #nodes = 0;

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
      const signature = reader.raw(SIGNATURE_BYTES);
      const depth = reader.varint(MAX_DEPTH);
      const sides = reader.varint(2 ** depth - 1);
      const path = reader.raw(depth * HASH_BYTES);
      reader.end();
      const key = seal.toString('latin1', 0, PUBLIC_KEY_BYTES + SIGNATURE_BYTES);
      const tree = this.#trees.get(key) ?? { origin: idOfKey(crypto, publicKey), nodes: new Map<number, Buffer>() };
      if (tree.origin !== head.origin) return false;
      const isSigned = (root: Buffer): boolean => crypto.verify(publicKey, Buffer.concat([PURPOSE, root]), signature);
      const known = tree.nodes.size;
      if (!this.#isIn(tree, leafOf(crypto, bytes), path, sides, isSigned)) return false;
      this.#nodes += tree.nodes.size - known;
      if (this.#nodes > MAX_NODES) this.#forget();
      else if (known === 0) this.#trees.set(key, tree);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * True if the path, from the sibling of the leaf upwards, leads to the root that is signed; then its nodes are known from now on. `sides`
   * has a bit for each level: 1 where the sibling is on the left.
   */
  #isIn({ nodes }: Tree, leaf: Buffer, path: Buffer, sides: number, isSigned: (root: Buffer) => boolean): boolean {
    const depth = path.length / HASH_BYTES;
    let number = 1;
    for (let at = depth - 1; at >= 0; at--) number = 2 * number + ((sides >> at) & 1);
    let node = leaf;
    const below: Buffer[] = [];
    while (below.length < depth && !nodes.has(number >> below.length)) {
      const at = below.length;
      const sibling = path.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
      below.push(node);
      node = (sides >> at) & 1 ? joined(this.#crypto, sibling, node) : joined(this.#crypto, node, sibling);
    }
    const met = nodes.get(number >> below.length);
    if (met ? !met.equals(node) : !isSigned(node)) return false;
    // What is above a known node is known as well, with the siblings.
    for (let at = below.length; at < depth; at++) {
      const sibling = nodes.get((number >> at) ^ 1);
      if (sibling?.compare(path, at * HASH_BYTES, (at + 1) * HASH_BYTES) !== 0) return false;
    }
    if (!met) nodes.set(1, node);
    for (const [at, one] of below.entries()) {
      nodes.set(number >> at, one);
      // A view would keep the whole message.
      nodes.set((number >> at) ^ 1, Buffer.from(path.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)));
    }
    return true;
  }

  #forget(): void {
    this.#trees.clear();
    this.#nodes = 0;
  }
}
