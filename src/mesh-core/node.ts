/**
 * The node of a mesh as a machine without input and output of its own: events go in, effects come out. It has no timers: its host calls it
 * with `tick` when {@link MeshNode.wakeAt} is reached.
 */
import { Custody } from './custody.ts';
import { Dialer } from './dialer.ts';
import { custodyLimits } from './held-messages.ts';
import type { CustodyLimits } from './held-messages.ts';
import type { Held } from './held-table.ts';
import { HEARTBEAT_MS, LAG_MS, MAX_LINKS } from './limits.ts';
import { Exchange } from './exchange.ts';
import { Link, costOf } from './link.ts';
import type { LinkCounts, LinkUser } from './link.ts';
import type { Description, LinkState } from './link-state.ts';
import type { Path } from './paths.ts';
import type { Envelope } from './message.ts';
import type { Effect, Frame, NeighbourStatus, NodeCounters, NodeEvent, ProvenPeer, ReturnReason } from './ports.ts';
import type { Crypto, Signer } from './seal.ts';
import { SeenMessages } from './seen.ts';
import { Topology } from './topology.ts';
import type { TopologyParts } from './topology.ts';

export interface NodeParts {
  readonly id: string;
  /** One more at each start, and on the disk before the node is made. */
  readonly epoch: number;
  readonly signer: Signer;
  readonly crypto: Crypto;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly description: Description;
  readonly limits?: Partial<CustodyLimits> | undefined;
  /** Recognizes messages. Default: what the package has. */
  readonly seen?: SeenMessages | undefined;
  /** Makes what keeps the link states. Default: what the package has. */
  readonly topology?: ((parts: TopologyParts, now: number) => Topology) | undefined;
}

// Old streams are looked for once an hour.
const FORGET_EVERY_MS = 3_600_000;

/** See the head of this file. Times are ms that never decrease, also over restarts: the host adds the time that the node was down. */
export class MeshNode implements LinkUser<Held> {
  readonly id: string;
  readonly #parts: NodeParts;
  readonly #seen: SeenMessages;
  readonly #topology: Topology;
  readonly #custody: Custody;
  readonly #dialers = new Map<string, Dialer>();
  /** By channel: the dialers that wait, and the links that exist. */
  readonly #dialing = new Map<number, Dialer>();
  readonly #channels = new Map<number, Link<Held>>();
  /** The link of each neighbour. */
  readonly #links = new Map<string, Link<Held>>();
  /** By a link that is new: the earlier one that it replaces, until the neighbour is heard of over the new one. */
  readonly #replaced = new Map<Link<Held>, Link<Held>>();
  /** What is kept of each neighbour over its links. */
  readonly #neighbours = new Map<string, { readonly counts: LinkCounts; downSince: number | undefined }>();
  /** Neighbours that get no messages for now. */
  readonly #heldPeers = new Set<string>();
  readonly #effects: Effect[] = [];
  readonly #exchange: Exchange;
  // The nodes whose link has been up and is not closed yet.
  readonly #upPeers = new Set<string>();
  #lastChannel = 0;
  #forgetAt: number;
  #now: number;
  #wakeAt: number;
  #isLeaving = false;

  constructor(parts: NodeParts, now: number) {
    this.#parts = parts;
    this.id = parts.id;
    this.#now = now;
    this.#wakeAt = now;
    this.#forgetAt = now + FORGET_EVERY_MS;
    this.#seen = parts.seen ?? new SeenMessages();
    this.#topology = (parts.topology ?? ((one, at) => new Topology(one, at)))(parts, now);
    const { random } = parts;
    this.#exchange = new Exchange(
      { effects: this.#effects, random, topology: this.#topology, links: this.#links, channels: this.#channels },
      now,
    );
    this.#custody = new Custody({
      ...{ id: parts.id, epoch: parts.epoch, signer: parts.signer, crypto: parts.crypto, random: parts.random },
      ...{ effects: this.#effects, topology: this.#topology, seen: this.#seen, limits: { ...custodyLimits, ...parts.limits } },
    });
  }

  /** Takes over what the store has, before {@link start}: first the neighbours and streams, then the log from its oldest record. */
  readonly restore = {
    peer: (key: string): void => {
      this.#custody.restorePeer(key);
    },
    seen: (key: string, value: Buffer): void => {
      this.#seen.restore(key, value);
    },
    /** Throws a RelayError INVALID_PARAMS if the record is malformed. */
    record: (number: number, value: Buffer): void => {
      this.#custody.restoreRecord(number, value, this.#now);
    },
  };

  /** Begins to work; nothing is sent before. */
  start(now: number): readonly Effect[] {
    this.#now = now;
    this.#custody.start();
    return this.#end();
  }

  /** Takes an event and returns what is to be done. */
  handle(event: NodeEvent, now: number): readonly Effect[] {
    return this.handleAll([event], now);
  }

  /** Takes events that came together. That is cheaper: messages are signed, written, sent and acknowledged together. */
  handleAll(events: readonly NodeEvent[], now: number): readonly Effect[] {
    this.#noticeLag(now);
    this.#now = now;
    for (const event of events) this.#take(event);
    this.#tick();
    return this.#end();
  }

  /** When `tick` is due, if nothing else happens before. */
  get wakeAt(): number {
    return this.#wakeAt;
  }

  /** The first step of the path to a node; undefined if none is known. */
  path(id: string): Path | undefined {
    return this.#topology.pathTo(id);
  }

  /** True if only paths to this node are known that are longer than a message goes. */
  isTooFar(id: string): boolean {
    return this.#topology.isTooFar(id);
  }

  /** The number of other nodes to which a path is known. */
  reachable(): number {
    return this.#topology.reachable.size;
  }

  /** All that is known of the nodes of the mesh, this one included. */
  nodes(): readonly LinkState[] {
    return [...this.#topology.states()];
  }

  /** True for a neighbour that is remembered: messages for all wait for it while it is away. */
  isNeighbour(id: string): boolean {
    return this.#custody.peers.has(id);
  }

  get hasNeighbours(): boolean {
    return this.#custody.peers.size > 0;
  }

  /** The neighbours with a link that is up, with the round trip in ms. */
  links(): ReadonlyMap<string, number> {
    return new Map([...this.#links].filter(([, { state }]) => state.type === 'up').map(([id, { rttMs }]) => [id, rttMs]));
  }

  status(): ReturnType<Custody['status']> {
    return this.#custody.status();
  }

  /** The neighbours that are remembered or have a link. */
  neighbours(): readonly NeighbourStatus[] {
    return [...new Set([...this.#custody.peers, ...this.#links.keys()])].map((id) => {
      const link = this.#links.get(id);
      const { counts = { sent: 0, returned: 0, received: 0 }, downSince } = this.#neighbours.get(id) ?? {};
      const { messages: waitingMessages, bytes: waitingBytes } = this.#custody.waitingFor(id);
      const { messages: inFlightMessages, bytes: inFlightBytes } = link?.inFlight ?? { messages: 0, bytes: 0 };
      return {
        ...{ id, state: !link || link.state.type === 'closed' ? 'down' : link.state.type, since: link?.since ?? downSince },
        ...{ rttMs: link?.measuredRttMs, waitingMessages, waitingBytes, inFlightMessages, inFlightBytes, ...counts },
      };
    });
  }

  counters(): NodeCounters {
    return { ...this.#custody.counters };
  }

  #take(event: NodeEvent): void {
    const now = this.#now;
    switch (event.type) {
      case 'submit':
        this.#custody.submit(event.submission, event.wallMs, now);
        return;
      case 'connected':
        this.#dialing.get(event.channel)?.connected(now);
        return;
      case 'proven':
        this.#proven(event.channel, event.peer);
        return;
      case 'closed':
        this.#channelClosed(event.channel, event.reason);
        return;
      case 'frame':
        this.#frame(event.channel, event.frame);
        return;
      case 'written':
        this.#custody.written(event.batch, event.numbers, now);
        return;
      case 'write-failed':
        this.#custody.writeFailed(event.batch, event.reason, now);
        return;
      case 'storage':
        this.#custody.refuseNew(event.refusal);
        return;
      case 'read':
        this.#custody.read(event.request, event.values, now);
        return;
      case 'processed':
        this.#custody.processed(event.delivery, event.outcome, now);
        return;
      case 'describe':
        this.#topology.describe(event.description, now);
        return;
      case 'add-address':
        if (!this.#dialers.has(event.address)) this.#dialers.set(event.address, new Dialer(event.address, this.#parts.random, now));
        return;
      case 'remove-address':
        this.#dialers.delete(event.address);
        return;
      case 'outbox':
        if (event.command.type === 'retry') for (const dialer of this.#dialers.values()) dialer.hurry(now);
        this.#custody.handleOutbox(event.request, event.command, this.#links, now);
        return;
      case 'hold':
        this.#hold(event.id, event.isHeld);
        return;
      case 'forget-peer':
        this.#forget(event.id);
        return;
      case 'leave':
        this.#leave();
        break;
      case 'tick':
    }
  }

  #forget(id: string): void {
    const link = this.#links.get(id);
    if (link) this.#closeReplaced(link);
    link?.close('the neighbour is forgotten');
    this.#custody.forgetPeer(id);
    this.#neighbours.delete(id);
  }

  #hold(id: string, isHeld: boolean): void {
    if (isHeld) this.#heldPeers.add(id);
    else if (this.#heldPeers.delete(id)) this.#custody.pathsChanged();
  }

  // Channels and links

  #proven(channel: number, peer: ProvenPeer): void {
    const dialer = this.#dialing.get(channel);
    this.#dialing.delete(channel);
    const refusal = this.#refusalOf(channel, peer);
    if (refusal !== undefined) {
      this.#effects.push({ type: 'close', channel, reason: refusal });
      const existing = this.#links.get(peer.id);
      if (existing) dialer?.linked(peer.id, this.#now);
      else dialer?.failed(this.#now);
      return;
    }
    const earlier = this.#links.get(peer.id);
    const { counts } = this.#neighbourOf(peer.id);
    const link = new Link({ channel, peer, user: this, random: this.#parts.random, counts }, this.#now);
    this.#links.set(peer.id, link);
    this.#channels.set(channel, link);
    if (earlier) this.#replaced.set(link, earlier);
    for (const one of this.#dialers.values()) if (one === dialer || one.lastPeer === peer.id) one.linked(peer.id, this.#now);
  }

  /** Closes the link that this one replaces. Sooner, the neighbour could lose its only link before it knows the new one. */
  #closeReplaced(link: Link<Held>): void {
    const earlier = this.#replaced.get(link);
    this.#replaced.delete(link);
    earlier?.close('a newer connection replaces it');
  }

  /** A connection that ends before it was used replaces nothing: the other end may have refused it, and goes on with the earlier one. */
  #restoreReplaced(link: Link<Held>): void {
    const earlier = this.#replaced.get(link);
    if (!earlier) return;
    const isSameStart = earlier.peer.instance === link.peer.instance;
    if (!isSameStart || earlier.state.type === 'closed' || this.#links.get(link.peer.id) !== link) {
      this.#closeReplaced(link);
      return;
    }
    this.#replaced.delete(link);
    this.#links.set(link.peer.id, earlier);
  }

  #neighbourOf(id: string): { readonly counts: LinkCounts; downSince: number | undefined } {
    let neighbour = this.#neighbours.get(id);
    if (!neighbour) this.#neighbours.set(id, (neighbour = { counts: { sent: 0, returned: 0, received: 0 }, downSince: undefined }));
    return neighbour;
  }

  /** Why a proven channel is not used. */
  #refusalOf(channel: number, peer: ProvenPeer): string | undefined {
    if (this.#isLeaving) return 'this node is leaving';
    if (peer.id === this.id) {
      this.#effects.push({ type: 'alarm', text: `another node has the identity ${peer.id}, or an address leads to this node itself` });
      return 'the other end has the identity of this node';
    }
    const earlier = this.#links.get(peer.id);
    if (!earlier) return this.#links.size >= MAX_LINKS ? `this node has ${MAX_LINKS} links, the limit` : undefined;
    if (earlier.peer.epoch > peer.epoch) return 'a later start of the same node has a link';
    if (earlier.peer.instance !== peer.instance) {
      if (earlier.peer.epoch !== peer.epoch) return undefined;
      this.#effects.push({ type: 'alarm', text: `two nodes have the identity ${peer.id}` });
      return 'another node has the same identity and start';
    }
    // Both may have connected at the same time; the connection of the lesser id remains, unless the earlier one is dead.
    const isByLesser = channel < 0 === this.id < peer.id;
    const wasByLesser = earlier.channel < 0 === this.id < peer.id;
    return earlier.isLively(this.#now) && wasByLesser && !isByLesser ? 'there is a link over another connection' : undefined;
  }

  #channelClosed(channel: number, reason: string): void {
    const dialer = this.#dialing.get(channel);
    this.#dialing.delete(channel);
    dialer?.failed(this.#now);
    this.#channels.get(channel)?.close(reason);
  }

  #frame(channel: number, frame: Frame): void {
    const link = this.#channels.get(channel);
    if (!link) return;
    this.#closeReplaced(link);
    if (frame.type === 'bye') for (const bytes of frame.states) this.#exchange.accept(bytes, link, this.#now);
    link.frame(frame, this.#now);
    this.#exchange.frame(link, frame, this.#now);
  }

  #leave(): void {
    this.#isLeaving = true;
    const state = this.#topology.leave(this.#now);
    // In the last frame as well, which may overtake this one.
    this.#exchange.spread(state, undefined, this.#now);
    this.#exchange.flush(this.#now);
    for (const link of this.#links.values()) {
      this.#closeReplaced(link);
      link.drain('the node leaves', this.#now, [state]);
    }
  }

  // What links call

  send(link: Link<Held>, frame: Frame): void {
    this.#effects.push({ type: 'send', channel: link.channel, frame });
  }

  taken(link: Link<Held>, held: Held): void {
    this.#custody.taken(held, link.peer.id);
  }

  returned(link: Link<Held>, held: Held, reason: ReturnReason): void {
    this.#custody.returned(held, link.peer.id, reason);
  }

  arrived(link: Link<Held>, number: number, envelope: Envelope): void {
    this.#custody.arrived(link, number, envelope, this.#now);
  }

  syncing(link: Link<Held>): void {
    this.#exchange.begin(link);
  }

  isUp(link: Link<Held>): void {
    const { id } = link.peer;
    this.#effects.push({ type: 'link', peer: id, state: 'up', reason: '' });
    this.#upPeers.add(id);
    const forgotten = this.#custody.addPeer(id, this.#topology.isEphemeral(id));
    if (forgotten !== undefined) this.#neighbours.delete(forgotten);
    this.#topology.linkUp(id, costOf(link.rttMs), this.#now);
    this.#custody.pathsChanged();
  }

  closed(link: Link<Held>, reason: string, inFlight: readonly Held[]): void {
    const { id } = link.peer;
    this.#restoreReplaced(link);
    this.#channels.delete(link.channel);
    this.#effects.push({ type: 'close', channel: link.channel, reason });
    this.#custody.unsent(inFlight, id);
    // It may have been replaced by another one.
    if (this.#links.get(id) !== link) return;
    this.#links.delete(id);
    this.#costs.delete(id);
    // Nothing waits for a node that comes back as another one, if at all.
    if (this.#topology.isEphemeral(id)) this.#custody.forgetPeer(id);
    // An attempt in the session of before ends here as well.
    const wasUp = this.#upPeers.delete(id);
    if (!this.#custody.peers.has(id)) this.#neighbours.delete(id);
    else if (wasUp) this.#neighbourOf(id).downSince = this.#now;
    if (wasUp) this.#effects.push({ type: 'link', peer: id, state: 'down', reason });
    this.#topology.linkDown(id, this.#now);
    this.#custody.pathsChanged();
    for (const dialer of this.#dialers.values()) if (dialer.lastPeer === id) dialer.failed(this.#now);
  }

  // Time

  /** A node that was suspended, or could not run, has heard nobody: that is nobody's fault but its own. */
  #noticeLag(now: number): void {
    if (now - this.#wakeAt <= LAG_MS) return;
    for (const link of this.#links.values()) link.forgive(now);
  }

  #tick(): void {
    const now = this.#now;
    if (!this.#isLeaving) for (const dialer of this.#dialers.values()) this.#tickDialer(dialer);
    for (const link of [...this.#links.values()]) link.tick(now);
    for (const [id, link] of this.#links) if (link.state.type === 'up') this.#updateCost(id, link);
    if (now >= this.#forgetAt) {
      this.#forgetAt = now + FORGET_EVERY_MS;
      this.#seen.closeOld(now);
    }
    const { own, hasNewPaths, changes } = this.#topology.tick(now);
    if (own) this.#exchange.spread(own, undefined, now);
    this.#exchange.tick(now);
    // A node that leaves loses all others.
    if (!this.#isLeaving) for (const change of changes) this.#effects.push({ type: 'node', change });
    if (hasNewPaths) this.#custody.pathsChanged();
    this.#custody.tick(now);
  }

  #tickDialer(dialer: Dialer): void {
    const now = this.#now;
    const expired = dialer.expired(now);
    if (expired) {
      this.#dialing.delete(expired.channel);
      this.#effects.push({ type: 'close', channel: expired.channel, reason: expired.reason });
      dialer.failed(now);
    }
    if (!dialer.isDue(now)) return;
    const channel = -++this.#lastChannel;
    dialer.dialing(channel, now);
    this.#dialing.set(channel, dialer);
    this.#effects.push({ type: 'dial', channel, address: dialer.address });
  }

  readonly #costs = new Map<string, { cost: number; since: number }>();

  /** The cost follows the round trip when it has been in another bucket for some heartbeats. */
  #updateCost(id: string, link: Link<Held>): void {
    // The link came up with a guess, which the first measurement replaces at once.
    if (link.measuredRttMs === undefined) return;
    const cost = costOf(link.rttMs);
    const before = this.#costs.get(id);
    const measured = before?.cost === cost ? before : { cost, since: this.#now };
    this.#costs.set(id, measured);
    if (!before || this.#now - measured.since >= 10 * HEARTBEAT_MS) this.#topology.linkUp(id, cost, this.#now);
  }

  #openLinks(): Iterable<Link<Held>> {
    const links = this.#links.values();
    return this.#heldPeers.size === 0 ? links : [...links].filter(({ peer }) => !this.#heldPeers.has(peer.id));
  }

  #end(): readonly Effect[] {
    const now = this.#now;
    this.#custody.flush(now);
    this.#custody.fill(this.#openLinks(), now);
    for (const link of this.#links.values()) link.flush();
    let wakeAt = Math.min(this.#topology.wakeAt, this.#custody.wakeAt, this.#exchange.wakeAt, this.#forgetAt);
    if (!this.#isLeaving) for (const { wakeAt: at } of this.#dialers.values()) wakeAt = Math.min(wakeAt, at);
    for (const { wakeAt: at } of this.#links.values()) wakeAt = Math.min(wakeAt, at);
    this.#wakeAt = wakeAt;
    return this.#effects.splice(0);
  }
}
