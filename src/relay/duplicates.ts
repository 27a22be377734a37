/** Recognizes copies of dicts, which ends every cycle of peers, satellites and programs that send back what they receive. */
import type { Dict } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import { contentDigest } from './content-digest.ts';
import { ID_RADIX } from './ingress.ts';
import { claimIn } from './stamp.ts';

/** The entries of one message, for {@link Duplicates.forget}. */
export interface DuplicateEntry {
  readonly message: Message;
  readonly claims: readonly string[];
}

const NO_CLAIMS: readonly string[] = [];

/**
 * Recognizes copies. Stamps of peers are trusted, so the id alone identifies a copy. The id in any other stamp is a claim: it can only
 * suppress the dict that carries it, or a copy with exactly the same contents. A forged claim with other contents, or under another
 * host_id, suppresses nothing.
 */
export class Duplicates {
  // The messages whose id this relay made.
  readonly #own: OwnIds;
  // `host_id id` of each message whose id comes from a peer.
  readonly #seen = new SeenIds();
  // For each message with a claim: `host_id claim`, and a digest of that and the contents.
  readonly #claimed = new SeenIds();
  // Digests of the dicts that were sent to remote satellites, as they received them.
  readonly #notified = new SeenIds();

  /** `idPrefix` is what the ids of this relay begin with. */
  constructor(idPrefix: string) {
    this.#own = new OwnIds(idPrefix);
  }

  /** Adds a message of a local satellite, which is always new. */
  noteSent(message: Message): DuplicateEntry {
    this.#own.add(message);
    return { message, claims: NO_CLAIMS };
  }

  /** Adds the message of `dict`, which is not an echo; undefined if it is a copy of an earlier one. */
  note(message: Message, dict: Dict): DuplicateEntry | undefined {
    const { hostId, id, claim } = message;
    const isOwn = isFirstHop(message);
    if (!isOwn && this.#seen.has(keyOf(hostId, id))) return undefined;
    let claims = NO_CLAIMS;
    if (claim !== undefined) {
      const claimKey = keyOf(hostId, claim);
      const digest = contentDigest(claimKey, dict);
      if (this.#claimed.has(digest)) return undefined;
      claims = [claimKey, digest];
    }
    if (!this.#claimed.isEmpty) {
      // If this id was claimed before, only a copy with the same contents is a duplicate.
      const key = keyOf(hostId, id);
      if (this.#claimed.has(key) && this.#claimed.has(contentDigest(key, dict))) return undefined;
    }
    if (isOwn) this.#own.add(message);
    else this.#seen.add(keyOf(hostId, id));
    for (const one of claims) this.#claimed.add(one);
    return { message, claims };
  }

  /** Removes the entries of a message that was refused later, so that it may be submitted again. */
  forget({ message, claims }: DuplicateEntry): void {
    if (isFirstHop(message)) this.#own.remove(message);
    else this.#seen.remove(keyOf(message.hostId, message.id));
    for (const claim of claims) this.#claimed.remove(claim);
  }

  /** Adds a message that was sent to remote satellites. */
  notified({ hostId, clientAddress: [address, port], frozen }: Message): void {
    this.#notified.add(contentDigest(receivedKey(hostId, address, port), frozen().dict));
  }

  /**
   * True if `dict` itself shows that this relay has had it: its stamp claims the id of a known message, or it equals a dict that this relay
   * sent to its satellites (same host_id, client_address and contents), even if the program that returns it replaced our stamp.
   */
  isEcho(dict: Dict): boolean {
    const { host_id: hostId, client_address: client, co2 } = dict;
    if (typeof hostId !== 'string') return false;
    const claim = claimIn(co2);
    if (claim !== undefined && (this.#own.has(hostId, claim) || this.#seen.has(keyOf(hostId, claim)))) return true;
    if (!Array.isArray(client)) return false;
    const [address, port] = client as readonly unknown[];
    return (
      typeof address === 'string' && typeof port === 'number' && this.#notified.has(contentDigest(receivedKey(hostId, address, port), dict))
    );
  }
}

/** True for a message that no peer forwarded, so that its id was made here. */
function isFirstHop({ via }: Message): boolean {
  return via.length === 0;
}

/** Includes the origin: ids can be guessed, and no sender may claim the ids of another. */
function keyOf(hostId: string, id: string): string {
  return `${hostId} ${id}`;
}

function receivedKey(hostId: string, address: string, port: number): string {
  return `${hostId} ${address} ${port}`;
}

// As long as a generation of SeenIds, in 0.8 MB.
const OWN_IDS = 65_536;

/**
 * The ids that this relay made last, by their number. Kept as strings, they would be most of what outlives a message, and the garbage
 * collector would move each of them twice.
 */
export class OwnIds {
  readonly #prefix: string;
  // By number modulo their length: the number, and a hash of the host_id that goes with it.
  readonly #numbers: Float64Array;
  readonly #origins: Int32Array;

  /** Keeps the last `size` ids that begin with `prefix`. */
  constructor(prefix: string, size = OWN_IDS) {
    this.#prefix = prefix;
    this.#numbers = new Float64Array(size);
    this.#origins = new Int32Array(size);
  }

  /** Adds an id that this relay made. */
  add({ hostId, id }: Pick<Message, 'hostId' | 'id'>): void {
    const number = this.#numberOf(id);
    const slot = number % this.#numbers.length;
    this.#numbers[slot] = number;
    this.#origins[slot] = hashOf(hostId);
  }

  /** True if this relay made `id` for a message of `hostId`. */
  has(hostId: string, id: string): boolean {
    const number = this.#numberOf(id);
    const slot = number % this.#numbers.length;
    return number > 0 && this.#numbers[slot] === number && this.#origins[slot] === hashOf(hostId);
  }

  remove({ hostId, id }: Pick<Message, 'hostId' | 'id'>): void {
    if (this.has(hostId, id)) this.#numbers[this.#numberOf(id) % this.#numbers.length] = 0;
  }

  /** The number in an id, from 1 on; 0 if the id is not one of ours, in exactly our spelling. */
  #numberOf(id: string): number {
    if (!id.startsWith(this.#prefix)) return 0;
    const digits = id.slice(this.#prefix.length);
    const number = Number.parseInt(digits, ID_RADIX);
    return Number.isSafeInteger(number) && number > 0 && number.toString(ID_RADIX) === digits ? number : 0;
  }
}

/** Two host_ids with the same hash are no danger: an id with the wrong one suppresses the dict that carries it, and no other. */
function hashOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}

/** A bounded set of ids in two generations: the older one is dropped when the younger one is full. */
export class SeenIds {
  #young = new Set<string>();
  #old = new Set<string>();

  /**
   * `generation`: ids per generation. Default 50,000, which take about 8 MB and last, at 1,000 dicts a second, for most of a minute: far
   * longer than a dict needs to come back.
   */
  constructor(private readonly generation = 50_000) {}

  /** Adds `id`; true if it is new. */
  add(id: string): boolean {
    if (this.#old.has(id)) return false;
    const { size } = this.#young;
    this.#young.add(id);
    if (this.#young.size === size) return false;
    if (this.#young.size >= this.generation) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    return true;
  }

  get isEmpty(): boolean {
    return this.#young.size + this.#old.size === 0;
  }

  /** True if `id` is in the set. */
  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id);
  }

  remove(id: string): void {
    this.#young.delete(id);
    this.#old.delete(id);
  }
}
