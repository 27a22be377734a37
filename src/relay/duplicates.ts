/** Recognizes copies of dicts, which ends every cycle of peers, satellites and programs that send back what they receive. */
import type { Dict } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import { contentDigest } from './content-digest.ts';
import { claimIn } from './stamp.ts';

/** The entries of one message, for {@link Duplicates.forget}. */
export interface DuplicateEntry {
  readonly id: string;
  readonly claims: readonly string[];
}

/**
 * Recognizes copies. Stamps of peers are trusted, so the id alone identifies a copy. The id in any other stamp is a claim: it can only
 * suppress the dict that carries it, or a copy with exactly the same contents. A forged claim with other contents, or under another
 * host_id, suppresses nothing.
 */
export class Duplicates {
  // `host_id id` of each message whose id was assigned here or comes from a peer.
  readonly #seen = new SeenIds();
  // For each message with a claim: `host_id claim`, and a digest of that and the contents.
  readonly #claimed = new SeenIds();
  // Digests of the dicts that were sent to remote satellites, as they received them.
  readonly #notified = new SeenIds();

  /** Adds a message of a local satellite, which is always new. */
  noteSent({ hostId, id }: Message): DuplicateEntry {
    const key = keyOf(hostId, id);
    this.#seen.add(key);
    return { id: key, claims: [] };
  }

  /** Adds the message of `dict`, which is not an echo; undefined if it is a copy of an earlier one. */
  note(message: Message, dict: Dict): DuplicateEntry | undefined {
    const { hostId, id, claim } = message;
    const key = keyOf(hostId, id);
    if (this.#seen.has(key)) return undefined;
    let claims: readonly string[] = [];
    if (claim !== undefined) {
      const claimKey = keyOf(hostId, claim);
      const digest = contentDigest(claimKey, dict);
      if (this.#claimed.has(digest)) return undefined;
      claims = [claimKey, digest];
    }
    // If this id was claimed before, only a copy with the same contents is a duplicate.
    if (this.#claimed.has(key) && this.#claimed.has(contentDigest(key, dict))) return undefined;
    this.#seen.add(key);
    for (const one of claims) this.#claimed.add(one);
    return { id: key, claims };
  }

  /** Removes the entries of a message that was refused later, so that it may be submitted again. */
  forget({ id, claims }: DuplicateEntry): void {
    this.#seen.remove(id);
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
    if (claim !== undefined && this.#seen.has(keyOf(hostId, claim))) return true;
    if (!Array.isArray(client)) return false;
    const [address, port] = client as readonly unknown[];
    return (
      typeof address === 'string' && typeof port === 'number' && this.#notified.has(contentDigest(receivedKey(hostId, address, port), dict))
    );
  }
}

/** Includes the origin: ids can be guessed, and no sender may claim the ids of another. */
function keyOf(hostId: string, id: string): string {
  return `${hostId} ${id}`;
}

function receivedKey(hostId: string, address: string, port: number): string {
  return `${hostId} ${address} ${port}`;
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

  /** True if `id` is in the set. */
  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id);
  }

  remove(id: string): void {
    this.#young.delete(id);
    this.#old.delete(id);
  }
}
