/** The peer relays: forwards each message to the peers that have not had it, and knows which addresses are peers'. */
import { Link, Notification, Outbox, ServerAddress } from '../links/links.ts';
import type { LinkEvent, LinkOptions, LinkStatus, LinkTransport, Resolve } from '../links/links.ts';
import { RelayError, clean, reasonOf, serverName, withTimeout } from '../core/core.ts';
import { hopsOf, isLoopback, parseHostId } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Message } from '../message/message.ts';
import { addressAndPort, distinctPeers } from './options.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';
import type { MeshOptions, PeerOptions } from './options.ts';
import type { NeighbourStatus } from '../mesh-core/mesh-core.ts';
import type { Dialled } from './channels.ts';
import type { MeshHost } from './mesh-host.ts';
import type { MeshNodeStatus } from './port.ts';
import type { Peering } from './peering.ts';
import { ProvenTransport } from './proven-transport.ts';
import type { PeerProof } from './proven-transport.ts';

export { PEER_EVENTS, peerLogger } from './peer-events.ts';
export type { PeerEvent } from './peer-events.ts';
export { NodeIndex, describeNode, nodeNamed } from './node-index.ts';
export { Peering } from './peering.ts';
export type { PeeringStatus } from './peering.ts';
export type { Discovery, Find } from './discovery.ts';
export { meshDefaults, meshShape } from './options.ts';
export type { MeshOptions, PeerOptions } from './options.ts';
export { BUNDLE, readBundle } from './bundle.ts';
export { MeshHost } from './mesh-host.ts';
export type { MeshArrival, MeshMessage, MeshOutcome, MeshPort, MeshReceiver } from './port.ts';

export interface MeshParts {
  readonly options: MeshOptions & LinkOptions;
  readonly logs: LogSource;
  readonly events: EventSink<LinkEvent>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  readonly transport: (peer: ServerAddress, options: PeerOptions) => LinkTransport;
  /** What relays prove of themselves. Undefined: every peer is trusted by its address. */
  readonly peering?: Pick<Peering, 'isPinned' | 'pinOf' | 'acceptsClassic' | 'expecting'> | undefined;
  /** The node of the mesh, by which peers get their messages that speak it. Undefined: all peers get dicts by `notify`. */
  readonly host?: Pick<MeshHost, 'addAddress' | 'removeAddress' | 'forget' | 'isNeighbour' | 'links' | 'status'> | undefined;
  /** How {@link host} dials a peer. */
  readonly dialled?: ((peer: ServerAddress, transport: ProvenTransport) => Dialled) | undefined;
}

// A name is looked up again after this time, the usual lifetime of a DNS record that is meant to change.
const REFRESH_MS = 60_000;
// Strangers can cause lookups by a stamp that a peer might have sent: at most one per second for each name.
const RECHECK_MS = 1000;
// A dict waits at most this long for such a lookup.
const RECHECK_TIMEOUT_MS = 2000;
// A peer that cannot be reached by `notify`, but has a link of the mesh, gets what waited when it can.
const MAX_HOLD_MS = 5000;
// A peer that is down may send many dicts; each is a sign that it can be reached again.
const RETRY_MS = 1000;
// Random parts of host_ids; a peer keeps its own for the life of its state directory.
const MAX_KNOWN = 1000;

/** State of the link to one peer, and its counters. */
export interface PeerStatus extends Omit<LinkStatus, 'state'> {
  /** URL without credentials. */
  readonly peer: string;
  readonly state: PeerState;
  /** What it has proved of itself. */
  readonly proof: PeerProof;
  /** Why it may act as a peer: by its key, or by its address; `none` while it has proved nothing and its address is not enough. */
  readonly trust: 'key' | 'address' | 'none';
  /** The round trip of its link in the mesh, in ms; undefined if it has none that is up. */
  readonly rttMs: number | undefined;
}

/** How the link stands with its peer. `one-way`: dicts of the peer arrive here, but it has never answered. */
export type PeerState = LinkStatus['state'] | 'one-way';

export interface MeshStatus {
  readonly peers: readonly PeerStatus[];
  /** Dicts that were not forwarded because they had reached the hop limit. */
  readonly hopLimited: number;
  /** The node of the mesh; undefined if this relay has none. */
  readonly node: MeshNodeStatus | undefined;
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
  /** When it was reached because somebody with its host_id called. */
  reachedAt: number;
  isOneWayLogged: boolean;
}

export class Mesh {
  readonly #parts: MeshParts;
  readonly #log: Log;
  readonly #peers: Peer[];
  // The names of the configured ones.
  readonly #listed: ReadonlySet<string>;
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
    this.#peers = distinctPeers(parts.options.peers).map((peer) => this.#peer(peer));
    for (const peer of this.#peers) this.#dial(peer);
    this.#listed = new Set(this.#peers.map(({ address }) => address.name));
  }

  #peer(peer: PeerOptions): Peer {
    const { options, clock, random, resolve, events } = this.#parts;
    const log = this.#log;
    const address = new ServerAddress(peer.url, resolve, peer.address === undefined ? undefined : addressAndPort(peer.address));
    const { name } = address;
    const transport = this.#parts.transport(address, peer);
    const outbox = new Outbox({ name: `peer ${name}`, limits: options.outbox, log });
    const link = new Link({ role: 'peer', name, source: outbox, transport, options, clock, random, events, log });
    return {
      ...{ address, outbox, link, transport, options: peer },
      isHeard: false,
      retriedAt: -Infinity,
      reachedAt: -Infinity,
      isOneWayLogged: false,
    };
  }

  /** Adds a peer, unless its server is there already. Its name is resolved when there is something to send. */
  add(url: string): void {
    if (this.#peers.some(({ address }) => address.name === serverName(new URL(url)))) return;
    const peer = this.#peer({ url });
    this.#peers.push(peer);
    this.#dial(peer);
    if (this.#hostId !== undefined) this.#startPings(peer);
  }

  #dial({ address, transport }: Peer): void {
    const { host, dialled } = this.#parts;
    if (host && dialled && transport instanceof ProvenTransport) host.addAddress(address.name, dialled(address, transport));
  }

  /** The node at the other end, if dicts for it go through the mesh: from the first link on, also while it is away. */
  #meshNode({ address, transport }: Peer): string | undefined {
    const { host, peering } = this.#parts;
    if (!host || !(transport instanceof ProvenTransport)) return undefined;
    const node = transport.proof.node === '' ? peering?.pinOf(address.name) : transport.proof.node;
    return node !== undefined && host.isNeighbour(node) ? node : undefined;
  }

  /** Resolves once no dict waits for the peers that are this node, or after some seconds. Never rejects. */
  async whenSent(node: string): Promise<void> {
    const links = this.#peers.filter((peer) => this.#meshNode(peer) === node).map(({ link }) => link);
    const sent = Promise.all(links.map((link) => link.whenSent()));
    await withTimeout(this.#parts.clock, MAX_HOLD_MS, '', () => sent).catch(() => undefined);
  }

  #startPings({ link }: Peer): void {
    const { peerPingIntervalMs } = this.#parts.options;
    if (peerPingIntervalMs > 0 && !this.#isStopped) link.startPings(peerPingIntervalMs);
  }

  /**
   * Says hello to the peer at this URL now, and returns what it proved. Rejects with a RelayError TRANSPORT if it did not, or cannot be
   * reached.
   */
  async contact(url: string): Promise<PeerProof> {
    const peer = this.#peers.find(({ options, address }) => options.url === url || address.name === url);
    if (!peer) throw new RelayError('INVALID_PARAMS', `'${clean(url, 300)}' is not a peer of this relay`);
    const { transport } = peer;
    if (!(transport instanceof ProvenTransport)) return NOTHING_PROVEN;
    if (transport.proof.session !== 'none') transport.renew();
    const greeting = await transport.hello();
    if (greeting.kind === 'answer') throw new RelayError('TRANSPORT', `${peer.address.name} cannot answer now; try again later`);
    peer.link.retryNow();
    return transport.proof;
  }

  /**
   * Adds the peer at this URL, unless it is there already, and says hello to it. `node`: only this node is accepted. Rejects with a
   * RelayError if it does not prove itself; a peer that was added is removed again.
   */
  async pair(url: URL, node?: string): Promise<PeerProof & { readonly isNew: boolean }> {
    const name = serverName(url);
    const isNew = !this.names.includes(name);
    const contact = async (): Promise<PeerProof> => {
      if (isNew) this.add(url.href);
      return this.contact(name);
    };
    const { peering } = this.#parts;
    try {
      const proof = await (node === undefined || !peering ? contact() : peering.expecting(name, node, contact));
      if (proof.session !== 'proven')
        throw new RelayError(
          'FORBIDDEN',
          `${name} cannot prove who it is (it does not know relay.hello); list it in peers to trust its address`,
        );
      // It may have proved itself before.
      if (node !== undefined && proof.node !== node)
        throw new RelayError('FORBIDDEN', `${name} is node ${proof.node}, but was announced as node ${node}`);
      return { ...proof, isNew };
    } catch (error) {
      if (isNew) await this.dismiss([name]);
      throw error;
    }
  }

  /** The links to a node, by what was proved over them or before. */
  linksOf(node: string): readonly { readonly name: string; readonly isFailing: boolean }[] {
    const { peering } = this.#parts;
    const links = this.#peers.filter((peer) => proofOf(peer).node === node || peering?.pinOf(peer.address.name) === node);
    return links.map(({ address, link }) => ({ name: address.name, isFailing: link.isFailing }));
  }

  /** Says hello to a peer with one of these host_ids that has never proved itself. Never rejects. */
  async reach(hostIds: readonly string[]): Promise<void> {
    const { peering, clock } = this.#parts;
    const hosts = hostIds.map(parseHostId).filter((host) => host !== undefined);
    const peer = this.#peers.find(({ address }) => hosts.some((host) => address.is(host.address, host.port)));
    if (!peer || peering?.isPinned(peer.address.name) !== false || !(peer.transport instanceof ProvenTransport)) return;
    // Strangers can claim a host_id.
    if (clock.now() - peer.reachedAt < RETRY_MS) return;
    peer.reachedAt = clock.now();
    try {
      await peer.transport.hello();
    } catch (error) {
      this.#log.debug(`peer ${peer.address.name}: ${reasonOf(error)}`);
    }
  }

  /** Makes the links to this node say hello again where it did not trust this relay before. */
  renewUntrusted(node: string): void {
    for (const { transport, address } of this.#peers) {
      if (!(transport instanceof ProvenTransport) || transport.proof.node !== node || transport.proof.answer === 'trusted') continue;
      transport.renew();
      transport.hello().catch((error: unknown) => {
        this.#log.debug(`peer ${address.name}: ${reasonOf(error)}`);
      });
    }
  }

  /** Ends the links to these URLs that the configuration does not list, and makes the other ones say hello again. */
  async dismiss(urls: readonly string[]): Promise<void> {
    for (const peer of this.#peers.filter(({ address }) => urls.includes(address.name))) {
      if (peer.transport instanceof ProvenTransport) peer.transport.renew();
      if (this.#isListed(peer.address.name)) continue;
      this.#peers.splice(this.#peers.indexOf(peer), 1);
      await Promise.all([peer.link.abandon(), this.#parts.host?.removeAddress(peer.address.name)]);
    }
  }

  /** True if the configuration lists a peer at this URL (without credentials). */
  #isListed(name: string): boolean {
    return this.#listed.has(name);
  }

  /** URLs of all peers without credentials. */
  get names(): readonly string[] {
    return this.#peers.map(({ address }) => address.name);
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

  /**
   * Forwards the message to every peer that it has not passed and that does not get it through the mesh; with `toNodes` also to those that
   * are nodes of the mesh. Returns their number.
   */
  forward(message: Message, toNodes = false): number {
    if (this.#peers.length === 0 || this.#hostId === undefined) return 0;
    if (message.hopsLeft === 0) {
      this.#hopLimited++;
      this.#log.warn(`${message.id} of ${message.hostId} has crossed ${hopsOf(message)} relays, the hop limit, and is not forwarded`);
      return 0;
    }
    const targets = this.#classicTargets(message, toNodes);
    if (targets.length === 0) return 0;
    const common = { by: this.#hostId, clock: this.#parts.clock, hops: message.hopsLeft - 1, isShared: targets.length > 1 };
    const forward = new Notification(message, common);
    for (const { outbox, link, options } of targets) {
      outbox.push(options.send === undefined ? forward : new Notification(message, { ...common, writing: options.send }));
      link.wake();
    }
    return targets.length;
  }

  /** Names of the peers that {@link forward} would reach. */
  targets(message: Message, toNodes = false): readonly string[] {
    return message.hopsLeft === 0 ? [] : this.#classicTargets(message, toNodes).map(({ address }) => address.name);
  }

  #classicTargets(message: Message, toNodes = false): readonly Peer[] {
    const classic = toNodes ? this.#peers : this.#peers.filter((peer) => this.#meshNode(peer) === undefined);
    if (classic.length === 0) return classic;
    const passed = [message.hostId, ...message.via].map(parseHostId).filter((host) => host !== undefined);
    const plain = this.#plainSource(message);
    return classic.filter(
      (peer) => peer !== plain && !passed.some((host) => peer.address.is(host.address, host.port)) && !hasPassed(peer, message),
    );
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

  /**
   * True if `address` (canonical) belongs to a peer over HTTP that is trusted by its address. A peer with a carrier does not call from its
   * address.
   */
  isPeerAddress(address: string): boolean {
    return this.#peers.some((peer) => peer.address.isHttp && peer.address.addresses.includes(address) && this.#trustsAddress(peer));
  }

  /** False for a peer that has proved its key once, and where only proofs count. */
  #trustsAddress({ address, options }: Peer): boolean {
    const { peering } = this.#parts;
    if (peering === undefined || options.classic === true) return true;
    return peering.acceptsClassic && !peering.isPinned(address.name);
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
    return this.#peers.some(
      (peer) => peer.address.isHttp && (peer.address.port === host.port || this.#known.has(host.random)) && this.#trustsAddress(peer),
    );
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
    const node = this.#parts.host?.status();
    const neighbours = new Map(node?.neighbours.map((neighbour) => [neighbour.id, neighbour]));
    return { peers: this.#peers.map((peer) => this.#peerStatus(peer, neighbours)), hopLimited: this.#hopLimited, node };
  }

  #peerStatus(peer: Peer, neighbours: ReadonlyMap<string, NeighbourStatus>): PeerStatus {
    const { address, link, isHeard } = peer;
    const status = link.status();
    const trust = this.#parts.peering?.isPinned(address.name) === true ? 'key' : this.#trustsAddress(peer) ? 'address' : 'none';
    const common = { ...status, peer: address.name, proof: proofOf(peer), trust } as const;
    const neighbour = neighbours.get(this.#meshNode(peer) ?? '');
    if (!neighbour) return { ...common, state: isHeard && status.state === 'never reached' ? 'one-way' : status.state, rttMs: undefined };
    // What waited before the first link of the mesh goes by the link of dicts.
    return {
      ...{ ...common, state: neighbour.state === 'up' ? 'up' : status.state, rttMs: neighbour.rttMs },
      ...{ waiting: status.waiting + neighbour.waitingMessages, bytes: status.bytes + neighbour.waitingBytes },
      forwarded: status.forwarded + neighbour.sent,
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

/** True if the dict has passed the peer, by the host_ids that it proved: it may call from another address than that of its URL. */
function hasPassed({ transport }: Peer, { hostId, via }: Message): boolean {
  if (!(transport instanceof ProvenTransport)) return false;
  const { hostIds } = transport.proof;
  return hostIds.some((own) => own === hostId || via.includes(own));
}

const NOTHING_PROVEN: PeerProof = { session: 'none', node: '', nick: '', answer: '', reason: '', hostIds: [], isMesh: false };

function proofOf({ transport }: Peer): PeerProof {
  return transport instanceof ProvenTransport ? transport.proof : NOTHING_PROVEN;
}
