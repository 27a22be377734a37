/** Which dicts were here before: what ends every cycle of peers, satellites and programs that send back what they get. */
import type { Dict } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import { contentDigest } from './content-digest.ts';
import { SeenIds } from './seen-ids.ts';
import { claimIn } from './stamp.ts';

/** What was noted of one message. */
export interface Noted {
  readonly id: string;
  readonly claims: readonly string[];
}

/**
 * A stamp of a peer is believed, so its id alone recognises a copy. The id in the stamp of anybody else is a claim. It can only hold back
 * the dict that carries it, or a copy that says exactly the same: a forged claim with other contents, or under another host_id, suppresses
 * nothing.
 */
export class Duplicates {
  // `host_id id` of each message: the id was made here, or comes from a peer.
  readonly #seen = new SeenIds();
  // Of messages with a claim: `host_id claim`, and a digest of that and the contents.
  readonly #claimed = new SeenIds();
  // Digests of what remote satellites were notified of, as they got it.
  readonly #notified = new SeenIds();

  /** Notes a message of a satellite here, which is always a new one. */
  noteSent({ hostId, id }: Message): Noted {
    const key = keyOf(hostId, id);
    this.#seen.add(key);
    return { id: key, claims: [] };
  }

  /** Notes the message that was made of `dict`, which is no echo; undefined if it was here before. */
  note(message: Message, dict: Dict): Noted | undefined {
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
    // Somebody claimed this id before. Only a copy with the same contents makes this one a duplicate.
    if (this.#claimed.has(key) && this.#claimed.has(contentDigest(key, dict))) return undefined;
    this.#seen.add(key);
    for (const one of claims) this.#claimed.add(one);
    return { id: key, claims };
  }

  /** Forgets what was noted: the message was refused after all, and may come again. */
  forget({ id, claims }: Noted): void {
    this.#seen.remove(id);
    for (const claim of claims) this.#claimed.remove(claim);
  }

  /** Notes that remote satellites are notified of `message`. */
  notified({ hostId, clientAddress: [address, port], frozen }: Message): void {
    this.#notified.add(contentDigest(receivedKey(hostId, address, port), frozen().dict));
  }

  /**
   * True if `dict` says itself that it was here: its stamp claims an id of a message that was, or it is what this relay notified its
   * satellites of (same host_id, client_address and contents), which a program sends back with its own token, or nothing, in place of our
   * stamp.
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

/** By its origin too: ids can be guessed, and nobody may use up another's. */
function keyOf(hostId: string, id: string): string {
  return `${hostId} ${id}`;
}

function receivedKey(hostId: string, address: string, port: number): string {
  return `${hostId} ${address} ${port}`;
}
