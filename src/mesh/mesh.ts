/** The links to the peer relays: forwards a message to each peer that has not had it, and knows which addresses are peers'. */
import { Link, ServerAddress } from '../links/links.ts';
import type { Transport, LinkOptions, LinkStatus, Resolve } from '../links/links.ts';
import { RelayError, reasonOf, withTimeout } from '../core/core.ts';
import { hopsOf, isLoopback, parseHostId } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { Message } from '../message/message.ts';
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

// A name is not trusted for longer than this without a new lookup, the usual lifetime of a DNS record that is meant to change.
const REFRESH_MS = 60_000;
// Lookups that strangers can cause, by a stamp that a peer might have sent: one a second for each name.
const RECHECK_MS = 1000;
// What a dict waits at most for such a lookup.
const RECHECK_TIMEOUT_MS = 2000;
// Random parts of host_ids; one peer uses one for the life of its state directory.
const MAX_KNOWN = 1000;

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
  // Random parts of the host_ids of peers, from stamps that were believed.
  readonly #known = new Set<string>();
  #recheckedAt = -Infinity;
  #rechecking: Promise<void> | undefined;
  #cancelRefresh: (() => void) | undefined;
  #isStopped = false;
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
    this.#refreshLater();
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

  /** Notes the host_id of a peer, from a stamp that is believed. */
  noteHop(hostId: string): void {
    const random = hostId.slice(0, hostId.indexOf('@'));
    if (this.#known.has(random)) return;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.add(random);
  }

  /**
   * True if the relay `by`, the last hop in a stamp from an unknown address, may be a configured peer that has moved: a peer had its host_id before, or listens on its port. Says nothing
   * of whether it is one.
   */
  mayHaveMoved(by: string): boolean {
    const host = parseHostId(by);
    if (!host) return false;
    return this.#peers.some(({ address }) => address.isHttp && (address.port === host.port || this.#known.has(host.random)));
  }

  /** Resolves the peers' names again, unless that was done a second ago; true if `address` (canonical) is one of a configured peer now. Never rejects. */
  async recheck(address: string): Promise<boolean> {
    const { clock } = this.#parts;
    if (this.#rechecking === undefined && clock.now() - this.#recheckedAt >= RECHECK_MS) {
      this.#recheckedAt = clock.now();
      const late = `names were not resolved in ${RECHECK_TIMEOUT_MS} ms`;
      this.#rechecking = withTimeout(clock, RECHECK_TIMEOUT_MS, late, () => this.#resolveNames())
        .catch((error: unknown) => {
          this.#log.debug(reasonOf(error));
        })
        .finally(() => {
          this.#rechecking = undefined;
        });
    }
    await this.#rechecking;
    return this.isPeerAddress(address);
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
    this.#isStopped = true;
    this.#cancelRefresh?.();
    await Promise.all(this.#peers.map(({ link }) => link.drain(this.#parts.options.drainMs)));
  }

  status(): MeshStatus {
    return { peers: this.#peers.map(({ address, link }) => ({ peer: address.name, ...link.status() })), hopLimited: this.#hopLimited };
  }

  #refreshLater(): void {
    if (this.#isStopped || this.#peers.every(({ address }) => !address.isNamed)) return;
    this.#cancelRefresh = this.#parts.clock.after(REFRESH_MS, () => {
      void this.#resolveNames().finally(() => {
        this.#refreshLater();
      });
    });
  }

  /** A name that cannot be resolved keeps its addresses. Never rejects. */
  async #resolveNames(): Promise<void> {
    await Promise.all(
      this.#peers.map(({ address }) =>
        address.refresh().catch((error: unknown) => {
          this.#log.debug(`peer ${address.name}: ${reasonOf(error)}`);
        }),
      ),
    );
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
