/** A virtual network of nodes: the real machines of the mesh on a virtual clock, with links and disks that fail as they are asked to. */
import { createHash } from 'node:crypto';
import { MESSAGE_LOG, MeshNode, PEER_TABLE, SEEN_TABLE, Topology, idOfKey } from '../../src/mesh-core/mesh-core.ts';
import type { CustodyLimits, Effect, Frame, NodeEvent, NodeParts, ProvenPeer } from '../../src/mesh-core/mesh-core.ts';
import { Heap } from '../../src/mesh-core/paths.ts';
import type { Random } from '../fuzz/random.ts';
import { VirtualDisk } from './disk.ts';
import { fakeCrypto, fakeSigner } from './fake-crypto.ts';

/** How the network behaves. Shares are from 0 to 1. */
export interface Faults {
  loss: number;
  duplicates: number;
  reorder: number;
  /** Frames of a liar are changed. */
  lies: number;
}

/** Parts of the product that a test of the simulator breaks. */
export interface Overrides {
  readonly seen?: () => NonNullable<NodeParts['seen']>;
  readonly topology?: NonNullable<NodeParts['topology']>;
  /** The disk says that it has synced before it has. */
  readonly acknowledgesBeforeSync?: boolean;
}

export interface WorldOptions {
  readonly random: Random;
  readonly nodes: number;
  /** Pairs of nodes; the first one connects to the second. */
  readonly edges: readonly (readonly [number, number])[];
  readonly overrides?: Overrides | undefined;
  /** False: the run has no hash. Default true. */
  readonly isLogged?: boolean;
  readonly limits?: Partial<CustodyLimits> | undefined;
  readonly capabilities?: (index: number) => readonly string[];
  /** Gets every effect that is not for the network or the disk. */
  readonly onEffect: (index: number, effect: Effect) => void;
}

/** A node with what outlives its crashes. */
interface Place {
  readonly id: string;
  readonly disk: VirtualDisk;
  readonly neighbours: readonly number[];
  epoch: number;
  /** Changes with each start and crash: what is meant for an earlier life is dropped. */
  life: number;
  node: MeshNode | undefined;
  pausedUntil: number;
  tickAt: number;
  /** How often it crashed, and when it did last. */
  crashes: number;
  crashedAt: number;
  /** Every write fails. */
  hasBrokenDisk: boolean;
}

/** A connection between two nodes: its ends are a node and its number for the channel. */
interface Channel {
  readonly ends: readonly [End, End];
}

interface End {
  readonly index: number;
  readonly number: number;
  readonly life: number;
  /** False once this end has closed, or has heard that the other one has. What was sent before that still arrives. */
  isOpen: boolean;
}

interface Scheduled {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

// Events at one moment. Nodes that keep each other or themselves busy without end would hang the run.
const SPINNING = 200_000;
// Frames usually take up to this long.
const USUAL_DELAY_MS = 6;

export class World {
  now = 1_000_000;
  readonly faults: Faults = { loss: 0, duplicates: 0, reorder: 0, lies: 0 };
  readonly places: readonly Place[];
  /** The node whose frames are changed, if there is one. */
  liar: number | undefined;
  /** The node that claims to have links to all others, if there is one. */
  boaster: number | undefined;
  frames = 0;
  /** Frames by their type. */
  readonly sent = new Map<Frame['type'], number>();
  /** Messages in these frames, each as often as it was sent. */
  messages = 0;
  events = 0;
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #agenda = new Heap<Scheduled>((one, other) => one.at - other.at || one.order - other.order);
  readonly #channels = new Map<string, Channel>();
  // `from>to`: frames in this direction are lost, and connections are not made.
  readonly #cuts = new Map<string, number>();
  readonly #hash = createHash('sha256');
  readonly #log: string[] = [];
  #order = 0;
  #lastChannel = 0;
  #sameTime = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = options.random;
    this.places = Array.from({ length: options.nodes }, (_, index) => ({
      ...{ id: idOfKey(fakeCrypto, fakeSigner(index).publicKey), disk: new VirtualDisk() },
      ...{ neighbours: options.edges.filter(([from]) => from === index).map(([, to]) => to) },
      ...{ epoch: 0, life: 0, node: undefined, pausedUntil: 0, tickAt: Infinity, crashes: 0, crashedAt: -Infinity, hasBrokenDisk: false },
    }));
  }

  /** Calls `run` after some time. */
  after(ms: number, run: () => void): void {
    this.#at(this.now + ms, run);
  }

  #at(at: number, run: () => void): void {
    this.#agenda.push({ at, order: this.#order++, run });
  }

  /** Runs everything that happens until then. */
  runUntil(end: number): void {
    for (let next = this.#agenda.least; next && next.at <= end; next = this.#agenda.least) {
      this.#agenda.pop();
      if (next.at > this.now) this.#sameTime = 0;
      if (++this.#sameTime > SPINNING) throw new Error(`a node spins: ${this.#log.slice(-5).join('; ')}`);
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = end;
  }

  /** Starts a node on what its disk has. */
  start(index: number): void {
    const place = this.#place(index);
    if (place.node) return;
    place.epoch++;
    place.life++;
    const { random, overrides, limits, capabilities } = this.#options;
    const node = new MeshNode(
      {
        ...{ id: place.id, epoch: place.epoch, signer: fakeSigner(index), crypto: fakeCrypto, random: () => random.next() / 2 ** 32 },
        description: { nick: `n${index}`, addresses: [], hostIds: [], capabilities: capabilities?.(index) ?? [], load: 0 },
        ...{ limits, seen: overrides?.seen?.(), topology: this.#topologyOf(index) },
      },
      this.now,
    );
    for (const [key] of place.disk.entries(PEER_TABLE)) node.restore.peer(key);
    for (const [key, value] of place.disk.entries(SEEN_TABLE)) node.restore.seen(key, value);
    for (const [number, value] of place.disk.records(MESSAGE_LOG)) node.restore.record(number, value);
    place.node = node;
    this.note(`start ${index} ${place.epoch}`);
    this.#perform(index, node.start(this.now));
    for (const to of place.neighbours) this.#take(index, { type: 'add-address', address: String(to) });
  }

  /** The power of a node fails. Its neighbours notice at once if the network tells them. */
  crash(index: number, isNoticed: boolean): void {
    const place = this.#place(index);
    if (!place.node) return;
    place.node = undefined;
    place.life++;
    place.crashes++;
    place.crashedAt = this.now;
    place.tickAt = Infinity;
    place.disk.crash(this.#random.below(place.disk.unsynced + 1));
    this.note(`crash ${index}`);
    for (const channel of this.#channels.values()) {
      const at = channel.ends.findIndex((end) => end.index === index);
      if (at !== -1 && channel.ends[at]?.isOpen === true) this.#closeChannel(channel, at, 'connection reset', isNoticed);
    }
  }

  /** The node does nothing for some time, as after SIGSTOP. */
  pause(index: number, ms: number): void {
    const place = this.#place(index);
    place.pausedUntil = Math.max(place.pausedUntil, this.now + ms);
    this.note(`pause ${index} ${ms}`);
  }

  /** Frames from one node to another are lost. */
  cut(from: number, to: number): void {
    const key = `${from}>${to}`;
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
  }

  /** Ends what {@link cut} began. */
  restore(from: number, to: number): void {
    const key = `${from}>${to}`;
    const count = (this.#cuts.get(key) ?? 0) - 1;
    if (count > 0) this.#cuts.set(key, count);
    else this.#cuts.delete(key);
  }

  /** Closes the connections between two nodes, so that both notice. */
  reset(one: number, other: number): void {
    for (const channel of this.#channels.values()) {
      const [a, b] = channel.ends;
      const isTheirs = (a.index === one && b.index === other) || (a.index === other && b.index === one);
      if (!isTheirs || !a.isOpen || !b.isOpen) continue;
      this.#closeChannel(channel, 0, 'connection reset', true);
      this.#deliver(a, { type: 'closed', channel: a.number, reason: 'connection reset' });
    }
  }

  /** Gives an event to a node, if it runs. */
  event(index: number, event: NodeEvent): void {
    this.#take(index, event);
  }

  /** Adds a line to the log of the run. */
  note(line: string): void {
    if (this.#options.isLogged === false) return;
    this.#log.push(`${Math.round(this.now * 1000)} ${line}`);
    if (this.#log.length >= 1000) this.#hash.update(this.#log.splice(0).join('\n'));
  }

  /** A hash of everything that happened: equal for equal runs. Ends the run. */
  logHash(): string {
    return this.#hash.update(this.#log.splice(0).join('\n')).digest('hex').slice(0, 16);
  }

  #topologyOf(index: number): NodeParts['topology'] {
    const make = this.#options.overrides?.topology ?? ((parts, now) => new Topology(parts, now));
    return (parts, now) => {
      const topology = make(parts, now);
      if (index === this.boaster) for (const { id } of this.places) if (id !== parts.id) topology.linkUp(id, 1, now);
      return topology;
    };
  }

  #place(index: number): Place {
    const place = this.places[index];
    if (!place) throw new Error(`no node has the number ${index}`);
    return place;
  }

  #take(index: number, event: NodeEvent): void {
    const place = this.#place(index);
    const { node, pausedUntil, life } = place;
    if (!node) return;
    if (pausedUntil > this.now) {
      this.after(pausedUntil - this.now, () => {
        if (place.life === life) this.#take(index, event);
      });
      return;
    }
    this.events++;
    if (event.type !== 'tick' && this.#options.isLogged !== false)
      this.note(`${index} ${event.type}${event.type === 'frame' ? ` ${event.frame.type}` : ''}`);
    this.#perform(index, node.handle(event, this.now));
  }

  #perform(index: number, effects: readonly Effect[]): void {
    const place = this.#place(index);
    for (const effect of effects) this.#performOne(index, place, effect);
    const wakeAt = place.node?.wakeAt ?? Infinity;
    if (wakeAt >= place.tickAt) return;
    place.tickAt = wakeAt;
    const { life } = place;
    this.#at(Math.max(this.now, wakeAt), () => {
      if (place.life !== life || place.tickAt !== wakeAt) return;
      place.tickAt = Infinity;
      this.#take(index, { type: 'tick' });
    });
  }

  #performOne(index: number, place: Place, effect: Effect): void {
    switch (effect.type) {
      case 'dial':
        this.#dial(index, place, effect.channel, Number(effect.address));
        return;
      case 'send':
        this.#send(index, effect.channel, effect.frame);
        return;
      case 'close': {
        const channel = this.#channels.get(`${index}:${place.life}:${effect.channel}`);
        if (channel) this.#closeChannel(channel, channel.ends[0].index === index ? 0 : 1, effect.reason, true);
        return;
      }
      case 'write':
        this.#write(index, place, effect);
        return;
      case 'read': {
        const values = effect.numbers.map((number) => place.disk.record(MESSAGE_LOG, number));
        this.#later(index, place, 1 + this.#random.below(5), { type: 'read', request: effect.request, values });
        return;
      }
      default:
        this.#options.onEffect(index, effect);
    }
  }

  #write(index: number, place: Place, { operations, durability, batch }: Effect & { type: 'write' }): void {
    const { life } = place;
    if (place.hasBrokenDisk) {
      this.#later(index, place, 1, { type: 'write-failed', batch, reason: 'the disk is broken' });
      return;
    }
    const numbers = place.disk.write(operations);
    // The system writes everything in time, also what nobody asked to be synced.
    this.after(5000, () => {
      if (place.life === life) place.disk.sync();
    });
    const syncMs = 1 + this.#random.below(10);
    const isEarly = this.#options.overrides?.acknowledgesBeforeSync === true;
    this.after(isEarly ? syncMs + 2000 : syncMs, () => {
      if (place.life === life && durability === 'synced') place.disk.sync();
      if (!isEarly) this.#deliver({ index, life }, { type: 'written', batch, numbers });
    });
    if (isEarly) this.#later(index, place, 0, { type: 'written', batch, numbers });
  }

  #later(index: number, { life }: Place, ms: number, event: NodeEvent): void {
    this.after(ms, () => {
      this.#deliver({ index, life }, event);
    });
  }

  #deliver({ index, life }: Pick<End, 'index' | 'life'>, event: NodeEvent): void {
    if (this.#place(index).life === life) this.#take(index, event);
  }

  // The network

  #delay(): number {
    const { reorder } = this.faults;
    const usual = 1 + (this.#random.below(1000) / 1000) * (USUAL_DELAY_MS - 1);
    return this.#happens(reorder) ? usual + this.#random.below(200) : usual;
  }

  #happens(share: number): boolean {
    return share > 0 && this.#random.next() / 2 ** 32 < share;
  }

  #isCut(from: number, to: number): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  #dial(index: number, place: Place, number: number, to: number): void {
    const { life } = place;
    const target = this.#place(to);
    const delay = this.#delay();
    this.after(2 * delay, () => {
      if (place.life !== life || this.#isCut(index, to) || this.#isCut(to, index)) return;
      if (!target.node) {
        this.#deliver({ index, life }, { type: 'closed', channel: number, reason: 'connection refused' });
        return;
      }
      this.#deliver({ index, life }, { type: 'connected', channel: number });
      const ends: [End, End] = [
        { index, number, life, isOpen: true },
        { index: to, number: ++this.#lastChannel, life: target.life, isOpen: true },
      ];
      const channel = { ends };
      for (const end of ends) this.#channels.set(`${end.index}:${end.life}:${end.number}`, channel);
      for (const [at, end] of ends.entries()) {
        const other = ends[1 - at];
        if (!other) continue;
        this.after(2 * delay, () => {
          if (end.isOpen && other.isOpen && !this.#isCut(other.index, end.index)) this.#prove(end, other);
        });
      }
    });
  }

  #prove(end: End, other: End): void {
    const { id, epoch, life } = this.#place(other.index);
    const peer: ProvenPeer = { id, epoch, instance: `${other.index}.${life}` };
    this.#deliver(end, { type: 'proven', channel: end.number, peer });
  }

  #send(index: number, number: number, frame: Frame): void {
    const place = this.#place(index);
    const channel = this.#channels.get(`${index}:${place.life}:${number}`);
    if (!channel) return;
    this.frames++;
    this.sent.set(frame.type, (this.sent.get(frame.type) ?? 0) + 1);
    if (frame.type === 'push') this.messages += frame.items.length;
    const other = channel.ends[0].index === index && channel.ends[0].number === number ? channel.ends[1] : channel.ends[0];
    const copies = this.#happens(this.faults.duplicates) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#isCut(index, other.index) || this.#happens(this.faults.loss)) continue;
      const sent = index === this.liar && this.#happens(this.faults.lies) ? this.#changed(frame) : frame;
      this.after(this.#delay(), () => {
        if (other.isOpen) this.#deliver(other, { type: 'frame', channel: other.number, frame: sent });
      });
    }
  }

  /** The frame with one byte of a message or link state changed. */
  #changed(frame: Frame): Frame {
    const flip = (bytes: Buffer): Buffer => {
      if (bytes.length === 0) return bytes;
      const copy = Buffer.from(bytes);
      const at = this.#random.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 + this.#random.below(255));
      return copy;
    };
    if (frame.type === 'states') return { ...frame, states: frame.states.map(flip) };
    if (frame.type !== 'push') return frame;
    const part = this.#random.pick(['head', 'seal', 'payload'] as const);
    return { ...frame, items: frame.items.map((item) => ({ ...item, [part]: flip(item[part]) })) };
  }

  /** One end closes; the other one hears of it if the network lets it. */
  #closeChannel(channel: Channel, at: number, reason: string, isNoticed: boolean): void {
    const [end, other] = [channel.ends[at], channel.ends[1 - at]];
    if (!end || !other) return;
    end.isOpen = false;
    this.#channels.delete(`${end.index}:${end.life}:${end.number}`);
    if (!other.isOpen || !isNoticed || this.#isCut(end.index, other.index)) return;
    // Behind what was sent before.
    this.after(this.#delay() + USUAL_DELAY_MS, () => {
      if (!other.isOpen) return;
      other.isOpen = false;
      this.#channels.delete(`${other.index}:${other.life}:${other.number}`);
      this.#deliver(other, { type: 'closed', channel: other.number, reason });
    });
  }
}
