/** The links to the peer relays: forwards a message to each peer that has not had it, and knows which addresses are peers'. */
import { Link, ServerAddress } from '../links/links.ts';
import type { Transport, LinkOptions, LinkStatus, Resolve } from '../links/links.ts';
import { RelayError, hopsOf, isLoopback, parseHostId, reasonOf } from '../message/message.ts';
import type { Clock, Log, LogSource, Message } from '../message/message.ts';
import { Forward } from './forward.ts';
import { placeOf } from './options.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';
import type { MeshOptions, PeerOptions } from './options.ts';

export { meshDefaults, meshShape } from './options.ts';
export type { MeshOptions, PeerOptions } from './options.ts';

export interface MeshParts {
  readonly options: MeshOptions & LinkOptions;
  readonly logs: LogSource;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  readonly carrier: (peer: ServerAddress, options: PeerOptions) => Transport;
}

/** Counters of the link to one peer. */
export interface PeerStatus extends LinkStatus {
  /** URL without credentials. */
  readonly peer: string;
}

export interface MeshStatus {
  readonly peers: readonly PeerStatus[];
  /** Dicts that had crossed as many relays as are allowed, and went no further. */
  readonly hopLimited: number;
}

interface Peer {
  readonly address: ServerAddress;
  readonly link: Link;
  readonly carrier: Transport;
  readonly options: PeerOptions;
}

export class Mesh {
  readonly #parts: MeshParts;
  readonly #log: Log;
  readonly #peers: Peer[];
  #hopLimited = 0;
  #hostId: string | undefined;

  constructor(parts: MeshParts) {
    this.#parts = parts;
    this.#log = parts.logs('mesh');
    this.#peers = distinct(parts.options.peers).map((peer) => this.#peer(peer));
  }

  #peer(peer: PeerOptions): Peer {
    const { options, clock, random, resolve } = this.#parts;
    const address = new ServerAddress(peer.url, resolve, peer.address === undefined ? undefined : placeOf(peer.address));
    const carrier = this.#parts.carrier(address, peer);
    const link = new Link({ name: `peer ${address.name}`, carrier, options, clock, random, log: this.#log });
    return { address, link, carrier, options: peer };
  }

  /** Links us to one more peer from now on; one that is linked already stays as it is. Its name is resolved when there is something to forward. */
  add(url: string): void {
    if (this.#peers.every(({ options }) => options.url !== url)) this.#peers.push(this.#peer({ url }));
  }

  /** Resolves the peers' names; one that does not resolve yet is tried again whenever something is to be forwarded to it. */
  async start(hostId: string): Promise<void> {
    this.#hostId = hostId;
    await Promise.all(this.#peers.map(({ address }) => this.#resolve(address)));
    this.#warnOfLoopback(hostId);
    for (const { carrier } of this.#peers) carrier.open?.();
    if (this.#peers.length > 0) this.#log.info(`peers: ${this.#peers.map(({ address }) => address.name).join(', ')}`);
  }

  /** Forwards to every peer but those that the message has passed; returns to how many. */
  forward(message: Message): number {
    if (this.#peers.length === 0 || this.#hostId === undefined) return 0;
    if (message.hopsLeft === 0) {
      this.#hopLimited++;
      this.#log.warn(`${message.id} of ${message.hostId} crossed ${hopsOf(message)} relays and goes no further`);
      return 0;
    }
    const targets = this.#unpassed(message);
    if (targets.length === 0) return 0;
    const { clock } = this.#parts;
    const forward = new Forward(message, this.#hostId, clock);
    for (const { link, options } of targets)
      link.enqueue(options.send === undefined ? forward : new Forward(message, this.#hostId, clock, options.send));
    return targets.length;
  }

  /** Names of the peers that {@link forward} would forward to. */
  targets(message: Message): readonly string[] {
    return message.hopsLeft === 0 ? [] : this.#unpassed(message).map(({ address }) => address.name);
  }

  #unpassed(message: Message): readonly Peer[] {
    const passed = [message.hostId, ...message.via].map(parseHostId).filter((host) => host !== undefined);
    const plain = this.#plainSource(message);
    return this.#peers.filter((peer) => peer !== plain && !passed.some((host) => peer.address.is(host.address, host.port)));
  }

  /**
   * The peer that handed in a dict without a stamp, as plain co2 programs do: the only one at that address. On loopback any program has the
   * same address, so there nothing is left out.
   */
  #plainSource({ via, clientAddress: [client] }: Message): Peer | undefined {
    if (via.length > 0 || isLoopback(client)) return undefined;
    const [first, ...others] = this.#peers.filter(({ address }) => address.addresses.includes(client));
    return others.length === 0 ? first : undefined;
  }

  /** True if `address` (canonical) is one of a configured peer over HTTP; who is reached by another carrier has no business there. */
  isPeerAddress(address: string): boolean {
    return this.#peers.some(({ address: peer }) => peer.isHttp && peer.addresses.includes(address));
  }

  /** True if a configured peer over HTTP at `address` (canonical) may send doubles that are not finite. */
  acceptsNonFinite(address: string): boolean {
    return this.#peers.some(
      ({ address: peer, options }) => options.accept?.nonFinite === true && peer.isHttp && peer.addresses.includes(address),
    );
  }

  /** The extensions that a configured peer over HTTP at `address` (canonical) reads, by its `send`; undefined if none is said to read any. */
  readBy(address: string): Extensions | undefined {
    const found = this.#peers.find(
      ({ address: peer, options: { send } }) =>
        (send?.nil === true || send?.i8 === true) && peer.isHttp && peer.addresses.includes(address),
    );
    return found && { nil: found.options.send?.nil === true, i8: found.options.send?.i8 === true };
  }

  /** True if a configured peer listens at `address` (canonical) and `port`. */
  isPeerAt(address: string, port: number): boolean {
    return this.#peers.some(({ address: peer }) => peer.is(address, port));
  }

  /** Sends what waits, within the budget of the options, and closes all connections. */
  async stop(): Promise<void> {
    await Promise.all(this.#peers.map(({ link }) => link.drain(this.#parts.options.drainMs)));
  }

  status(): MeshStatus {
    return { peers: this.#peers.map(({ address, link }) => ({ peer: address.name, ...link.status() })), hopLimited: this.#hopLimited };
  }

  async #resolve(address: ServerAddress): Promise<void> {
    try {
      await address.refresh();
    } catch (error) {
      if (!RelayError.is(error)) throw error;
      this.#log.warn(`peer ${address.name}: ${reasonOf(error)}; it is tried again`);
    }
  }

  /** A loopback host_id means nothing on another machine: peers there refuse it. */
  #warnOfLoopback(hostId: string): void {
    const self = parseHostId(hostId);
    const far = this.#peers.filter(({ address }) => address.addresses.length > 0 && !address.isLocal);
    if (!self || !isLoopback(self.address) || far.length === 0) return;
    const names = far.map(({ address }) => address.name).join(', ');
    this.#log.warn(
      `${names} will refuse our dicts: this relay names itself ${self.address}; set host or publicAddress to its address on the network`,
    );
  }
}

/** Each with its options, once: of two with one URL the first. */
function distinct(peers: MeshOptions['peers']): PeerOptions[] {
  const byUrl = new Map<string, PeerOptions>();
  for (const peer of peers) {
    const options = typeof peer === 'string' ? { url: peer } : peer;
    if (!byUrl.has(options.url)) byUrl.set(options.url, options);
  }
  return [...byUrl.values()];
}
