/** The peer relays: forwards each message to the peers that have not had it, and knows which addresses are peers'. */
import { Link, Notification, Outbox, ServerAddress } from '../links/links.ts';
import type { LinkEvent, LinkOptions, LinkStatus, LinkTransport, Resolve } from '../links/links.ts';
import { RelayError, clean, reasonOf, withTimeout } from '../core/core.ts';
import { hopsOf, isLoopback, parseHostId } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Message } from '../message/message.ts';
import { addressAndPort } from './options.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';
import type { MeshOptions, PeerOptions } from './options.ts';

export { meshDefaults, meshShape } from './options.ts';
export type { MeshOptions, PeerOptions } from './options.ts';

export interface MeshParts {
  readonly options: MeshOptions & LinkOptions;
  readonly logs: LogSource;
  readonly events: EventSink<LinkEvent>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  readonly transport: (peer: ServerAddress, options: PeerOptions) => LinkTransport;
}

// A name is looked up again after this time, the usual lifetime of a DNS record that is meant to change.
const REFRESH_MS = 60_000;
// Strangers can cause lookups by a stamp that a peer might have sent: at most one per second for each name.
const RECHECK_MS = 1000;
// A dict waits at most this long for such a lookup.
const RECHECK_TIMEOUT_MS = 2000;
// A peer that is down may send many dicts; each is a sign that it can be reached again.
const RETRY_MS = 1000;
// Random parts of host_ids; a peer keeps its own for the life of its state directory.
const MAX_KNOWN = 1000;

/** State of the link to one peer, and its counters. */
export interface PeerStatus extends Omit<LinkStatus, 'state'> {
  /** URL without credentials. */
  readonly peer: string;
  readonly state: PeerState;
}

/** How the link stands with its peer. `one-way`: dicts of the peer arrive here, but it has never answered. */
export type PeerState = LinkStatus['state'] | 'one-way';

export interface MeshStatus {
  readonly peers: readonly PeerStatus[];
  /** Dicts that were not forwarded because they had reached the hop limit. */
  readonly hopLimited: number;
}

interface Peer {
  readonly address: ServerAddress;
  readonly outbox: Outbox;
  readonly link: Link;
  readonly transport: LinkTransport;
  readonly options: PeerOptions;
  isHeard: boolean;
  /** When the link was retried since the peer had sent something. */
  retriedAt: number;
  isOneWayLogged: boolean;
}

export class Mesh {
  readonly #parts: MeshParts;
  readonly #log: Log;
  readonly #peers: Peer[];
  // The peers by the random parts of their host_ids, from trusted stamps; undefined for one that listens at an address of no entry.
  readonly #known = new Map<string, Peer | undefined>();
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
    const { options, clock, random, resolve, events } = this.#parts;
    const log = this.#log;
    const address = new ServerAddress(peer.url, resolve, peer.address === undefined ? undefined : addressAndPort(peer.address));
    const { name } = address;
    const transport = this.#parts.transport(address, peer);
    const outbox = new Outbox({ name: `peer ${name}`, limits: options.outbox, log });
    const link = new Link({ role: 'peer', name, source: outbox, transport, options, clock, random, events, log });
    return { ...{ address, outbox, link, transport, options: peer }, isHeard: false, retriedAt: -Infinity, isOneWayLogged: false };
  }

  /** Adds a peer, unless it is there already. Its name is resolved when there is something to send. */
  add(url: string): void {
    if (this.#peers.some(({ options }) => options.url === url)) return;
    const peer = this.#peer({ url });
    this.#peers.push(peer);
    if (this.#hostId !== undefined) this.#startPings(peer);
  }

  #startPings({ link }: Peer): void {
    const { peerPingIntervalMs } = this.#parts.options;
    if (peerPingIntervalMs > 0 && !this.#isStopped) link.startPings(peerPingIntervalMs);
  }

  /** Resolves the peers' names; a name that cannot be resolved yet is looked up again whenever something is forwarded to it. */
  async start(hostId: string): Promise<void> {
    this.#hostId = hostId;
    await Promise.all(this.#peers.map(({ address }) => this.#resolve(address)));
    this.#warnOfLoopback(hostId);
    for (const peer of this.#peers) {
      peer.transport.open?.();
      this.#startPings(peer);
    }
    this.#refreshLater();
    if (this.#peers.length > 0) this.#log.info(`peers: ${this.#peers.map(({ address }) => address.name).join(', ')}`);
  }

  /** Forwards the message to every peer that it has not passed; returns their number. */
  forward(message: Message): number {
    if (this.#peers.length === 0 || this.#hostId === undefined) return 0;
    if (message.hopsLeft === 0) {
      this.#hopLimited++;
      this.#log.warn(`${message.id} of ${message.hostId} has crossed ${hopsOf(message)} relays, the hop limit, and is not forwarded`);
      return 0;
    }
    const targets = this.#unpassed(message);
    if (targets.length === 0) return 0;
    const common = { by: this.#hostId, clock: this.#parts.clock, hops: message.hopsLeft - 1 };
    const forward = new Notification(message, common);
    for (const { outbox, link, options } of targets) {
      outbox.push(options.send === undefined ? forward : new Notification(message, { ...common, writing: options.send }));
      link.wake();
    }
    return targets.length;
  }

  /** Names of the peers that {@link forward} would reach. */
  targets(message: Message): readonly string[] {
    return message.hopsLeft === 0 ? [] : this.#unpassed(message).map(({ address }) => address.name);
  }

  #unpassed(message: Message): readonly Peer[] {
    const passed = [message.hostId, ...message.via].map(parseHostId).filter((host) => host !== undefined);
    const plain = this.#plainSource(message);
    return this.#peers.filter((peer) => peer !== plain && !passed.some((host) => peer.address.is(host.address, host.port)));
  }

  /**
   * The peer that sent a dict without a stamp, as plain co2 programs do: the only one at that address. On loopback every program has the
   * same address, so no peer is excluded there.
   */
  #plainSource({ via, clientAddress: [client] }: Message): Peer | undefined {
    if (via.length > 0 || isLoopback(client)) return undefined;
    const [first, ...others] = this.#peers.filter(({ address }) => address.addresses.includes(client));
    return others.length === 0 ? first : undefined;
  }

  /** True if `address` (canonical) belongs to a configured peer over HTTP. A peer with a carrier does not call from its address. */
  isPeerAddress(address: string): boolean {
    return this.#peers.some(({ address: peer }) => peer.isHttp && peer.addresses.includes(address));
  }

  /** Remembers the host_id of a peer, from a trusted stamp. */
  noteHop(hostId: string): void {
    const random = hostId.slice(0, hostId.indexOf('@'));
    if (!this.#known.has(random)) this.#learn(random, hostId);
    const peer = this.#known.get(random);
    if (peer?.link.isFailing === true) this.#onHeardWhileDown(peer);
  }

  /** Retries a peer that sends, and says once that it does not answer even then. */
  #onHeardWhileDown(peer: Peer): void {
    const { link, address } = peer;
    const now = this.#parts.clock.now();
    if (now - peer.retriedAt < RETRY_MS) return;
    const { state, isSending, lastError = 'no answer' } = link.status();
    if (state === 'never reached' && !isSending && peer.retriedAt !== -Infinity && !peer.isOneWayLogged) {
      peer.isOneWayLogged = true;
      const reason = clean(lastError, 300);
      this.#log.warn(
        `peer ${address.name} is one-way: it sends to this relay, but has never answered (${reason}); can it be reached from here?`,
      );
    }
    peer.retriedAt = now;
    link.retryNow();
  }

  #learn(random: string, hostId: string): void {
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const host = parseHostId(hostId);
    const peer = host && this.#peers.find(({ address }) => address.is(host.address, host.port));
    if (peer) peer.isHeard = true;
    this.#known.set(random, peer);
  }

  /**
   * True if the relay `by`, the last hop in a stamp from an unknown address, could be a configured peer that has moved: a peer had its
   * host_id before, or listens on its port. This is only a hint to look its name up again.
   */
  mayHaveMoved(by: string): boolean {
    const host = parseHostId(by);
    if (!host) return false;
    return this.#peers.some(({ address }) => address.isHttp && (address.port === host.port || this.#known.has(host.random)));
  }

  /**
   * Resolves the peers' names again, at most once a second; true if `address` (canonical) belongs to a configured peer now. Never
   * rejects.
   */
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

  /** The extensions that a configured peer over HTTP at `address` (canonical) reads, by its `send`; undefined if none are configured. */
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

  /** Sends what waits, for `drainMs` at most, and closes all connections. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRefresh?.();
    await Promise.all(this.#peers.map(({ link }) => link.drain(this.#parts.options.drainMs)));
  }

  status(): MeshStatus {
    return {
      peers: this.#peers.map(({ address, link, isHeard }) => {
        const { state, ...counters } = link.status();
        return { peer: address.name, state: isHeard && state === 'never reached' ? 'one-way' : state, ...counters };
      }),
      hopLimited: this.#hopLimited,
    };
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
      this.#log.warn(`peer ${address.name}: ${reasonOf(error)}; it will be looked up again`);
    }
  }

  /** A loopback host_id has no meaning on another machine: peers there reject it. */
  #warnOfLoopback(hostId: string): void {
    const self = parseHostId(hostId);
    const far = this.#peers.filter(({ address }) => address.addresses.length > 0 && !address.isLocal);
    if (!self || !isLoopback(self.address) || far.length === 0) return;
    const names = far.map(({ address }) => address.name).join(', ');
    this.#log.warn(
      `${names} will reject our dicts: our host_id has the address ${self.address}; set host or publicAddress to this relay's address on the network`,
    );
  }
}

/** The peers with their options; of two with the same URL the first. */
function distinct(peers: MeshOptions['peers']): PeerOptions[] {
  const byUrl = new Map<string, PeerOptions>();
  for (const peer of peers) {
    const options = typeof peer === 'string' ? { url: peer } : peer;
    if (!byUrl.has(options.url)) byUrl.set(options.url, options);
  }
  return [...byUrl.values()];
}
