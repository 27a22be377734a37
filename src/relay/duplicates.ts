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
  // The messages whose id comes from a peer.
  readonly #seen = new PeerIds();
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
    if (!isOwn && this.#seen.has(hostId, id)) return undefined;
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
    else this.#seen.add(hostId, id);
    for (const one of claims) this.#claimed.add(one);
    return { message, claims };
  }

  /** Removes the entries of a message that was refused later, so that it may be submitted again. */
  forget({ message, claims }: DuplicateEntry): void {
    if (isFirstHop(message)) this.#own.remove(message);
    else this.#seen.remove(message.hostId, message.id);
    for (const claim of claims) this.#claimed.remove(claim);
  }

  /** Adds a message that was sent to remote satellites. */
  notified({ hostId, clientAddress: [address, port], frozen }: Message): void {
    this.#notified.add(contentDigest(receivedKey(hostId, address, port), frozen().dict));
  }

  /** True if this relay has had the message with this id. */
  knows(hostId: string, id: string | undefined): boolean {
    return id !== undefined && (this.#own.has(hostId, id) || this.#seen.has(hostId, id));
  }

  /**
   * True if `dict` itself shows that this relay has had it: its stamp claims the id of a known message, or it equals a dict that this relay
   * sent to its satellites (same host_id, client_address and contents), even if the program that returns it replaced our stamp.
   */
  isEcho(dict: Dict): boolean {
    const { host_id: hostId, client_address: client, co2 } = dict;
    if (typeof hostId !== 'string') return false;
    if (this.knows(hostId, claimIn(co2))) return true;
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
    return id.startsWith(this.#prefix) ? numberIn(id, this.#prefix.length) : 0;
  }
}

// The longest number that is a safe integer whatever its digits are.
const MAX_DIGITS = 10;
const ZERO = 48;
const SMALL_A = 97;
const SMALL_Z = 122;

/** The number that `id` ends with, from offset `from` on, in the spelling of {@link makeMinter}; 0 if there is none. */
function numberIn(id: string, from: number): number {
  const count = id.length - from;
  if (count < 1 || count > MAX_DIGITS || id.charCodeAt(from) === ZERO) return 0;
  let number = 0;
  for (let at = from; at < id.length; at++) {
    const code = id.charCodeAt(at);
    const digit = code >= ZERO && code < ZERO + 10 ? code - ZERO : code >= SMALL_A && code <= SMALL_Z ? code - SMALL_A + 10 : -1;
    if (digit < 0) return 0;
    number = number * ID_RADIX + digit;
  }
  return number;
}

/** Two host_ids with the same hash are no danger: an id with the wrong one suppresses the dict that carries it, and no other. */
function hashOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return hash;
}

// How many later ids it takes, at least, until an id is forgotten. At 1,000 dicts a second this is most of a minute: far longer than a dict
// needs to come back.
const GENERATION = 50_000;
// The numbers of a window, more than a generation, in 8 KB.
const WINDOW = 65_536;
const WORD_BITS = 32;
// Windows of all starts of all relays, in 4 MB.
const MAX_WINDOWS = 512;

/** The last numbers of one start of a relay: one bit each, so that nothing is kept for a message that the garbage collector would move. */
class NumberWindow {
  readonly #bits = new Uint32Array(WINDOW / WORD_BITS);
  #newest = 0;
  /** When the last number was added, counted in the ids of all relays. */
  usedAt = 0;

  has(number: number): boolean {
    return this.#isWithin(number) && (this.#word(number) & bitOf(number)) !== 0;
  }

  /** False if the number is older than the window. */
  add(number: number): boolean {
    if (number > this.#newest) this.#moveTo(number);
    if (!this.#isWithin(number)) return false;
    this.#bits[wordOf(number)] = this.#word(number) | bitOf(number);
    return true;
  }

  remove(number: number): void {
    if (this.#isWithin(number)) this.#bits[wordOf(number)] = this.#word(number) & ~bitOf(number);
  }

  #isWithin(number: number): boolean {
    return number > 0 && number <= this.#newest && number > this.#newest - WINDOW;
  }

  #moveTo(newest: number): void {
    if (newest - this.#newest >= WINDOW) this.#bits.fill(0);
    else for (let number = this.#newest + 1; number <= newest; number++) this.#bits[wordOf(number)] = this.#word(number) & ~bitOf(number);
    this.#newest = newest;
  }

  #word(number: number): number {
    return this.#bits[wordOf(number)] ?? 0;
  }
}

function wordOf(number: number): number {
  return Math.floor((number % WINDOW) / WORD_BITS);
}

function bitOf(number: number): number {
  return 1 << (number % WORD_BITS);
}

/**
 * The ids that other relays made, together with the host_ids of their messages: ids can be guessed, and no sender may claim those of
 * another. Ids of relays like this one are kept as numbers, all others as strings.
 */
export class PeerIds {
  // By host_id, then by what is before the number in an id.
  readonly #windows = new Map<string, Map<string, NumberWindow>>();
  readonly #others = new SeenIds();
  #windowCount = 0;
  #added = 0;

  add(hostId: string, id: string): void {
    if (++this.#added % GENERATION === 0) this.#forgetOld();
    const start = startOfNumber(id);
    const number = numberIn(id, start);
    const window = number > 0 ? this.#windowFor(hostId, id.slice(0, start)) : undefined;
    if (window) window.usedAt = this.#added;
    if (window?.add(number) !== true) this.#others.add(keyOf(hostId, id));
  }

  has(hostId: string, id: string): boolean {
    const start = startOfNumber(id);
    const window = this.#windows.get(hostId)?.get(id.slice(0, start));
    return window?.has(numberIn(id, start)) === true || (!this.#others.isEmpty && this.#others.has(keyOf(hostId, id)));
  }

  remove(hostId: string, id: string): void {
    const start = startOfNumber(id);
    this.#windows.get(hostId)?.get(id.slice(0, start))?.remove(numberIn(id, start));
    this.#others.remove(keyOf(hostId, id));
  }

  /** Undefined if there are too many. */
  #windowFor(hostId: string, prefix: string): NumberWindow | undefined {
    let ofHost = this.#windows.get(hostId);
    const known = ofHost?.get(prefix);
    if (known || this.#windowCount >= MAX_WINDOWS) return known;
    if (!ofHost) this.#windows.set(hostId, (ofHost = new Map<string, NumberWindow>()));
    const window = new NumberWindow();
    ofHost.set(prefix, window);
    this.#windowCount++;
    return window;
  }

  /** Deletes the windows that nothing was added to for a generation: their relays have left or were restarted. */
  #forgetOld(): void {
    for (const [hostId, ofHost] of this.#windows) {
      for (const [prefix, { usedAt }] of ofHost) {
        if (usedAt > this.#added - GENERATION) continue;
        ofHost.delete(prefix);
        this.#windowCount--;
      }
      if (ofHost.size === 0) this.#windows.delete(hostId);
    }
  }
}

/** The offset of the number in an id; 0 for an id that is not made like ours. */
function startOfNumber(id: string): number {
  return id.lastIndexOf('.') + 1;
}

/** A bounded set of ids in two generations: the older one is dropped when the younger one is full. */
export class SeenIds {
  #young = new Set<string>();
  #old = new Set<string>();

  /** `generation`: ids per generation. Default 50,000, which take about 8 MB. */
  constructor(private readonly generation = GENERATION) {}

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
