/**
 * Runs the machine of this node: turns channels, store, clock and what the relay submits into its events, and carries out its effects.
 * Everything that is decided is decided in `mesh-core/`.
 */
import { RelayError, andThen, clean, reasonOf } from '../core/core.ts';
import type { MaybePromise } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { EPHEMERAL, MeshNode, WITH_PAYLOAD, ed25519Crypto } from '../mesh-core/mesh-core.ts';
import type {
  Description,
  Effect,
  Frame,
  LinkState,
  NodeChange,
  NodeEvent,
  OutboxAnswer,
  OutboxCommand,
  Path,
  ProvenPeer,
  Signer,
} from '../mesh-core/mesh-core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { readBundle } from './bundle.ts';
import { IncomingChannels } from './channels.ts';
import type { Channel, ChannelCaller, ChannelUser, Dialled } from './channels.ts';
import { DialledChannel } from './dialled-channel.ts';
import { Intake } from './intake.ts';
import { NodeStore } from './node-store.ts';
import type { NodeStoreParts } from './node-store.ts';
import type { PeerEvent } from './peer-events.ts';
import { Receivers } from './receivers.ts';
import { Submissions } from './submissions.ts';
import type { MeshMessage, MeshNodeStatus, MeshOutcome, MeshPort, MeshReceiver } from './port.ts';

export interface MeshHostParts extends NodeStoreParts {
  readonly id: string;
  readonly signer: Signer;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly events: EventSink<PeerEvent>;
  /**
   * Resolves once the dicts have gone to a node that were sent to it before its first link of the mesh; at once if there are none. Never
   * rejects.
   */
  readonly whenSent: (node: string) => Promise<void>;
  /** Called when a link to a neighbour is up, is lost, or is closed because the neighbour leaves the mesh. Default: ignored. */
  readonly onLink?: ((node: string, change: 'up' | 'lost' | 'left') => void) | undefined;
  /** True if this node leaves nothing behind, so that nothing waits for it while it is away. Default false. */
  readonly isEphemeral?: boolean | undefined;
}

/** What a start of this node is. */
export interface NodeStart {
  readonly epoch: number;
  readonly nick: string;
  readonly addresses: readonly string[];
  readonly hostId: string;
}

// The machine wants to be called again; a timer of the system may be a little early.
const MIN_TIMER_MS = 1;
const MAX_TIMER_MS = 60_000;

/** See the head of this file. */
export class MeshHost implements MeshPort {
  readonly id: string;
  readonly #parts: MeshHostParts;
  readonly #store: NodeStore;
  readonly #incoming: IncomingChannels;
  readonly #intake: Intake;
  /** What all channels call. */
  readonly #channelUser: ChannelUser = {
    frames: (channel, frames) => this.#frames(channel, frames),
    closed: (channel, reason) => {
      // After the frames that came before it.
      void andThen(this.#frames(channel, []), () => {
        this.#closed(channel, reason);
      });
    },
  };
  readonly #channels = new Map<number, Channel>();
  readonly #addresses = new Map<string, Dialled>();
  readonly #receivers = new Receivers();
  readonly #listeners = new Set<(outcome: MeshOutcome) => void>();
  readonly #nodeListeners = new Set<(change: NodeChange) => void>();
  readonly #outboxes = new Map<number, (answer: OutboxAnswer) => void>();
  readonly #submissions: Submissions;
  #node: MeshNode | undefined;
  #description: Description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
  #hostId = '';
  #lastRequest = 0;
  #wakeAt = Infinity;
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #events: NodeEvent[] = [];
  #isPerforming = false;
  #isLeaving = false;
  #isStopped = false;
  /** Channels whose last frames are still on their way. */
  #closing = 0;
  #whenDrained: (() => void) | undefined;

  constructor(parts: MeshHostParts) {
    this.#parts = parts;
    this.#store = new NodeStore(parts);
    this.#submissions = new Submissions(parts.date, (events) => {
      this.#handle(events);
    });
    this.id = parts.id;
    this.#intake = new Intake((slice) => {
      this.#handle(slice.map(([channel, frame]) => ({ type: 'frame', channel, frame })));
    });
    this.#incoming = new IncomingChannels(parts.clock, {
      opened: (channel, end, peer) => {
        this.#channels.set(channel, end);
        this.#proven(channel, peer);
      },
      ...this.#channelUser,
    });
  }

  /** Reads what the node kept, and begins to work. */
  async start({ epoch, nick, addresses, hostId }: NodeStart): Promise<void> {
    const { signer, random } = this.#parts;
    await this.#store.begin();
    this.#hostId = hostId;
    this.#description = { ...this.#description, nick, addresses, hostIds: [hostId], capabilities: this.#withNature([]) };
    const parts = { id: this.id, epoch, signer, crypto: ed25519Crypto, random, description: this.#description };
    const node = new MeshNode(parts, this.#store.now());
    await this.#store.restore(node);
    this.#node = node;
    this.#perform(node.start(this.#store.now()));
    this.#handle([...this.#addresses.keys()].map((address) => ({ type: 'add-address', address })));
  }

  /** Keeps a link to the relay at this address, from now on. */
  addAddress(address: string, dialled: Dialled): void {
    if (this.#addresses.has(address)) return;
    this.#addresses.set(address, dialled);
    this.#handle([{ type: 'add-address', address }]);
  }

  async removeAddress(address: string): Promise<void> {
    const dialled = this.#addresses.get(address);
    if (!this.#addresses.delete(address)) return;
    this.#handle([{ type: 'remove-address', address }]);
    await dialled?.close();
  }

  /** A node is no longer a neighbour: nothing waits for it any more. */
  forget(id: string): void {
    this.#handle([{ type: 'forget-peer', id }]);
  }

  /** True if messages for all wait for this node while it is away. */
  isNeighbour(id: string): boolean {
    return this.#node?.isNeighbour(id) === true;
  }

  get hasNeighbours(): boolean {
    return this.#node?.hasNeighbours === true;
  }

  submit(message: MeshMessage): Promise<string> {
    return !this.#node || this.#isStopped ? Promise.reject(notRunning()) : this.#submissions.add(message, this.#hostId);
  }

  send(message: MeshMessage, refused: (error: RelayError) => void): void {
    if (!this.#node || this.#isStopped) refused(notRunning());
    else this.#submissions.send(message, this.#hostId, refused);
  }

  async drop(id: string, reason: string): Promise<boolean> {
    return (await this.outbox({ type: 'drop', id, reason })).type === 'done';
  }

  /** Looks at what waits here for other nodes, or changes it. Rejects with a RelayError UNAVAILABLE if the mesh does not run. */
  outbox(command: OutboxCommand): Promise<OutboxAnswer> {
    if (!this.#node || this.#isStopped) return Promise.reject(notRunning());
    const request = ++this.#lastRequest;
    return new Promise((resolve) => {
      this.#outboxes.set(request, resolve);
      this.#handle([{ type: 'outbox', request, command }]);
    });
  }

  /** The state of the node, its neighbours and its counters since the start; undefined if it does not run. */
  status(): MeshNodeStatus | undefined {
    if (!this.#node) return undefined;
    const { durable, volatile, failure } = this.#node.status();
    return {
      id: this.id,
      neighbours: this.#node.neighbours(),
      counters: this.#node.counters(),
      kept: durable + volatile,
      refusal: failure,
    };
  }

  receive(contentType: string, receiver: MeshReceiver): void {
    this.#receivers.set(contentType, receiver);
  }

  onOutcome(listener: (outcome: MeshOutcome) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  onNodes(listener: (change: NodeChange) => void): () => void {
    this.#nodeListeners.add(listener);
    return () => {
      this.#nodeListeners.delete(listener);
    };
  }

  nodes(): readonly LinkState[] {
    return this.#node?.nodes() ?? [];
  }

  path(id: string): Path | undefined {
    return this.#node?.path(id);
  }

  isTooFar(id: string): boolean {
    return this.#node?.isTooFar(id) === true;
  }

  links(): ReadonlyMap<string, number> {
    return this.#node?.links() ?? new Map<string, number>();
  }

  describe(offer: { readonly capabilities: readonly string[]; readonly load: number }): void {
    this.#description = { ...this.#description, ...offer, capabilities: this.#withNature(offer.capabilities) };
    this.#handle([{ type: 'describe', description: this.#description }]);
  }

  #withNature(capabilities: readonly string[]): readonly string[] {
    return this.#parts.isEphemeral === true ? [EPHEMERAL, ...capabilities] : capabilities;
  }

  /** Answers `relay.push`. */
  push(params: readonly Value[], caller: ChannelCaller): MaybePromise<Sendable> {
    this.#requireRunning();
    return this.#incoming.push(params, caller);
  }

  /** Answers `relay.pull`. */
  pull(params: readonly Value[], caller: ChannelCaller): Promise<Sendable> {
    this.#requireRunning();
    return this.#incoming.pull(params, caller);
  }

  #requireRunning(): void {
    if (!this.#node || this.#isStopped) throw notRunning();
  }

  /**
   * Says goodbye to the neighbours, and lets what is in flight be acknowledged for so long. What is submitted afterwards is stored, and
   * sent after the next start.
   */
  async leave(drainMs: number): Promise<void> {
    if (this.#isLeaving || this.#isStopped || !this.#node) return;
    this.#isLeaving = true;
    this.#submissions.flush();
    this.#handle([{ type: 'leave' }]);
    if (this.#channels.size + this.#closing > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#parts.clock.after(drainMs, resolve);
        this.#whenDrained = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  /** Leaves the mesh if it has not been left, and ends. */
  async stop(drainMs: number): Promise<void> {
    await this.leave(drainMs);
    if (this.#isStopped || !this.#node) return;
    this.#submissions.flush();
    // What is being written is still acknowledged.
    let writing: Promise<void> | undefined;
    while (writing !== this.#writing) {
      writing = this.#writing;
      await writing;
    }
    this.#isStopped = true;
    this.#cancelTimer?.();
    this.#store.stop();
    for (const channel of this.#channels.values()) void channel.close('the relay stops');
    this.#channels.clear();
    this.#intake.stop();
    this.#incoming.stop();
    this.#submissions.end();
    await Promise.all([...this.#addresses.values()].map((dialled) => dialled.close()));
  }

  // The machine

  /** Gives events to the machine. Those that its effects cause come after all of these effects. */
  #handle(events: readonly NodeEvent[]): void {
    if (!this.#node || this.#isStopped) return;
    this.#events.push(...events);
    if (this.#isPerforming) return;
    this.#isPerforming = true;
    try {
      while (this.#events.length > 0) {
        const disk = this.#store.changed();
        const events = this.#events.splice(0);
        this.#perform(this.#node.handleAll(disk ? [disk, ...events] : events, this.#store.now()));
      }
    } finally {
      this.#isPerforming = false;
    }
  }

  #frames(channel: number, frames: readonly Frame[]): MaybePromise<void> {
    try {
      return this.#intake.add(channel, frames);
    } catch (error) {
      this.#handle([{ type: 'closed', channel, reason: reasonOf(error) }]);
    }
    return undefined;
  }

  /** Messages for a new neighbour must not overtake the dicts that it gets by `notify` until its link is up. */
  #proven(channel: number, peer: ProvenPeer): void {
    const { id } = peer;
    const isNew = !this.isNeighbour(id) && id !== this.id;
    this.#handle([...(isNew ? [{ type: 'hold', id, isHeld: true } as const] : []), { type: 'proven', channel, peer }]);
  }

  async #release(id: string): Promise<void> {
    await this.#parts.whenSent(id);
    this.#handle([{ type: 'hold', id, isHeld: false }]);
  }

  #closed(channel: number, reason: string): void {
    this.#channels.delete(channel);
    this.#handle([{ type: 'closed', channel, reason }]);
    this.#drainedIfSo();
  }

  async #closeChannel(number: number, reason: string): Promise<void> {
    const channel = this.#channels.get(number);
    this.#channels.delete(number);
    this.#intake.forget(number);
    this.#closing++;
    await channel?.close(reason);
    this.#closing--;
    this.#drainedIfSo();
  }

  #drainedIfSo(): void {
    if (this.#channels.size + this.#closing === 0) this.#whenDrained?.();
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#performOne(effect);
    const wakeAt = this.#node?.wakeAt ?? Infinity;
    if (wakeAt >= this.#wakeAt) return;
    this.#cancelTimer?.();
    this.#wakeAt = wakeAt;
    const ms = Math.min(MAX_TIMER_MS, Math.max(MIN_TIMER_MS, Math.ceil(wakeAt - this.#store.now())));
    this.#cancelTimer = this.#parts.clock.after(ms, () => {
      this.#wakeAt = Infinity;
      this.#cancelTimer = undefined;
      this.#handle([{ type: 'tick' }]);
    });
  }

  #performOne(effect: Effect): void {
    const { events } = this.#parts;
    switch (effect.type) {
      case 'dial':
        void this.#dial(effect.channel, effect.address);
        return;
      case 'send':
        this.#channels.get(effect.channel)?.send(effect.frame);
        return;
      case 'close':
        void this.#closeChannel(effect.channel, effect.reason);
        return;
      case 'write':
        this.#writing = this.#store.write(effect).then((event) => {
          this.#handle([event]);
        });
        return;
      case 'read':
        void this.#store.read(effect).then((event) => {
          this.#handle([event]);
        });
        return;
      case 'deliver':
        this.#deliver(effect);
        return;
      case 'accepted':
        this.#submissions.accepted(effect.token, effect.id);
        return;
      case 'refused':
        this.#submissions.refused(effect.token, effect.reason, effect.text);
        return;
      case 'outcome':
        this.#report(effect);
        return;
      case 'outbox':
        this.#outboxes.get(effect.request)?.(effect.answer);
        this.#outboxes.delete(effect.request);
        return;
      case 'link':
        if (effect.state === 'up') void this.#release(effect.peer);
        this.#parts.onLink?.(effect.peer, effect.state === 'up' ? 'up' : this.#hasLeft(effect.peer) ? 'left' : 'lost');
        events.emit({ type: 'mesh.link', node: effect.peer, state: effect.state, reason: clean(effect.reason, 300) });
        return;
      case 'node':
        this.#changed(effect.change);
        return;
      case 'alarm':
        events.emit({ type: 'mesh.alarm', reason: clean(effect.text, 500) });
    }
  }

  /** Reports what became of a message, or of each one of a bundle. */
  #report({ id, status, reason, node, ref, payload }: Effect & { readonly type: 'outcome' }): void {
    const refs = ref === WITH_PAYLOAD ? (payload ? readBundle(payload).parts.map((part) => part.ref) : []) : [ref];
    for (const ref of refs) for (const listener of this.#listeners) listener({ id, status, reason, node, ref });
  }

  #hasLeft(node: string): boolean {
    return this.nodes().some(({ id, isLeaving }) => id === node && isLeaving);
  }

  #changed(change: NodeChange): void {
    const { id: node } = change;
    const nick = clean(change.nick, 64);
    if (change.state === 'up') this.#parts.events.emit({ type: 'node.up', node, nick });
    else this.#parts.events.emit({ type: 'node.down', node, nick, reason: change.reason });
    for (const listener of this.#nodeListeners) listener(change);
  }

  async #dial(channel: number, address: string): Promise<void> {
    const dialled = this.#addresses.get(address);
    try {
      // Connecting is a part of the greeting, which has the longer time limit.
      this.#handle([{ type: 'connected', channel }]);
      const greeted = await dialled?.greet();
      if (!greeted) throw new RelayError('TRANSPORT', 'it is not a relay of the mesh');
      if (this.#isStopped) return;
      const { clock } = this.#parts;
      const end = new DialledChannel({ number: channel, call: greeted.call, clock, user: this.#channelUser });
      this.#channels.set(channel, end);
      this.#proven(channel, greeted.peer);
    } catch (error) {
      this.#parts.log.debug(`the link to ${address} cannot be made: ${reasonOf(error)}`);
      this.#closed(channel, reasonOf(error));
    }
  }

  #deliver({ delivery, head, payload, ageMs, via, isRedelivered }: Effect & { readonly type: 'deliver' }): void {
    void andThen(this.#receivers.take({ head, payload, ageMs, via, isRedelivered }), (outcome) => {
      this.#handle([{ type: 'processed', delivery, outcome }]);
    });
  }
}

function notRunning(): RelayError {
  return new RelayError('UNAVAILABLE', 'the mesh of this relay has not started, or is stopping');
}
