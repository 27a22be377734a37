/**
 * The channels between neighbours over HTTP. The relay that dials posts `relay.push` with its frames, and keeps one `relay.pull` open,
 * which the other side answers when it has frames; so a relay that cannot be dialled has links as well. Requests and answers are numbered,
 * since several may be under way at once and overtake each other. A push is answered when its frames are taken, with what they caused.
 */
import { RelayError, andThen } from '../core/core.ts';
import type { Clock, MaybePromise } from '../core/core.ts';
import type { Frame, ProvenPeer } from '../mesh-core/mesh-core.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { FrameQueue, LARGE_BYTES, MAX_FRAMES, Ordered } from './frame-queue.ts';
import { readFrame } from './frames.ts';

/** Who has a channel. */
export interface ChannelUser {
  /** Frames of the other end, in order. Resolves when they are taken. */
  frames(channel: number, frames: readonly Frame[]): MaybePromise<void>;
  /** The channel is closed or reset by the other end, or the network. */
  closed(channel: number, reason: string): void;
}

/** One end of a channel. */
export interface Channel {
  send(frame: Frame): void;
  /**
   * Closes this end; the user hears nothing of it. Resolves once what was sent before is out, or cannot go out any more. Never rejects.
   */
  close(reason: string): Promise<void>;
}

/** Calls a method of the relay at the other end in the session with it. Rejects with a RelayError. */
export type ChannelCall = (method: 'relay.push' | 'relay.pull', params: readonly Sendable[], signal: AbortSignal) => Promise<Value>;

/** A relay that may be dialled. */
export interface Dialled {
  /** Proves both ends to each other. Rejects with a RelayError; undefined: the other end is no relay of a mesh. */
  greet(): Promise<Greeted | undefined>;
  /** Closes its connections. */
  close(): Promise<void>;
}

/** A relay that has proved itself. */
export interface Greeted {
  readonly peer: ProvenPeer;
  /** Calls it in this session. */
  readonly call: ChannelCall;
}

/** How long a pull may wait. */
export const PULL_MS = 25_000;
// The other end is asked once more what it had to say before it closed.
const CLOSING_MS = 10_000;
const CHANNEL_ID = /^[0-9a-f]{32}$/;

/** The end that was dialled. */
class IncomingChannel implements Channel {
  readonly received = new Ordered();
  readonly #queue = new FrameQueue();
  #answers = 0;
  #wake: (() => void) | undefined;
  /** Called when the last frames are answered. */
  #whenTaken: () => void = () => undefined;
  #closed: string | undefined;
  #isScheduled = false;
  /** Pushes whose frames are being taken. */
  #pushes = 0;
  isOverfull = false;

  constructor(
    readonly number: number,
    readonly peer: ProvenPeer,
  ) {}

  send(frame: Frame): void {
    if (this.#closed !== undefined) return;
    if (!this.#queue.add(frame)) this.isOverfull = true;
    this.#answerPullSoon();
  }

  /** The answer to a push takes what its frames caused; a pull gets the rest. */
  #answerPullSoon(): void {
    if (this.#wake === undefined || this.#pushes > 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (!this.#queue.isEmpty && this.#pushes === 0) this.#wake?.();
    });
  }

  /** Runs `take` with the frames of a push, and answers that once they are taken. */
  pushed(take: () => MaybePromise<void>): MaybePromise<Sendable> {
    this.#pushes++;
    return andThen(take(), () => {
      this.#pushes--;
      const answer = this.answer();
      if (!this.#queue.isEmpty) this.#answerPullSoon();
      return answer;
    });
  }

  async close(reason: string): Promise<void> {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    const taken = new Promise<void>((resolve) => {
      this.#whenTaken = resolve;
    });
    const isEmpty = this.#queue.isEmpty;
    this.#wake?.();
    if (!isEmpty) await taken;
  }

  #noteTaken(): void {
    if (this.#queue.isEmpty) this.#whenTaken();
  }

  /** The other end has had its time. */
  forget(): void {
    this.#whenTaken();
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** What waits for the other end, as the answer to a request. */
  answer(): Dict | Record<string, Sendable> {
    if (!this.#queue.isEmpty) {
      const answer = { n: ++this.#answers, frames: this.#queue.take(LARGE_BYTES) };
      this.#noteTaken();
      return answer;
    }
    return this.#closed === undefined ? {} : { closed: this.#closed };
  }

  /** Resolves when there is something to answer, or after some time. A second wait ends the first. */
  async wait(clock: Pick<Clock, 'after'>, ms: number, gone: AbortSignal | undefined): Promise<void> {
    this.#wake?.();
    if (!this.#queue.isEmpty || this.#closed !== undefined || ms === 0 || gone?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        if (this.#wake === end) this.#wake = undefined;
        cancel();
        gone?.removeEventListener('abort', end);
        resolve();
      };
      const cancel = clock.after(ms, end);
      gone?.addEventListener('abort', end);
      this.#wake = end;
    });
  }
}

/** The caller of `relay.push` and `relay.pull`, whose identity is proven. */
export interface ChannelCaller {
  readonly peer: ProvenPeer;
  readonly gone: AbortSignal | undefined;
}

// A node has a channel, and a newer one that replaces it.
const MAX_CHANNELS_OF_NODE = 4;
// Channels that are closed are kept for some time: far more than the attempts to connect of a node.
const MAX_CLOSING_OF_NODE = 64;

/** The channels that other relays have opened here. */
export class IncomingChannels {
  readonly #channels = new Map<string, IncomingChannel>();
  readonly #timers = new Set<() => void>();
  #last = 0;

  constructor(
    private readonly clock: Clock,
    private readonly user: ChannelUser & {
      /** A channel was opened by this node. */
      opened(channel: number, end: Channel, peer: ProvenPeer): void;
    },
  ) {}

  /**
   * Answers `relay.push(channel, number, frames)` with `{n, frames}` for the other end, or `{closed}`. Throws a RelayError INVALID_PARAMS,
   * UNAVAILABLE if there is no such channel, or LIMIT.
   */
  push(params: readonly Value[], { peer }: ChannelCaller): MaybePromise<Sendable> {
    const [id, number, list] = params;
    if (!Array.isArray(list) || list.length > MAX_FRAMES || typeof number !== 'number')
      throw new RelayError('INVALID_PARAMS', `relay.push takes a channel, a number and a list of at most ${MAX_FRAMES} frames`);
    const frames = (list as readonly Value[]).map(readFrame);
    const channel = number === 1 ? this.#open(id, peer) : this.#find(id, peer);
    const ready = channel.received.add(number, frames);
    return channel.pushed(() => {
      const taken = channel.isClosed || ready.length === 0 ? undefined : this.user.frames(channel.number, ready);
      if (channel.isOverfull && !channel.isClosed) this.#end(channel, 'too much waits for the neighbour');
      return taken;
    });
  }

  /** Answers `relay.pull(channel, waitMs)` like {@link push}, once there is something or the time is up. */
  async pull([id, waitMs]: readonly Value[], { peer, gone }: ChannelCaller): Promise<Sendable> {
    if (typeof waitMs !== 'number' || !(waitMs >= 0 && waitMs <= PULL_MS))
      throw new RelayError('INVALID_PARAMS', `relay.pull takes a channel and how long to wait, at most ${PULL_MS} ms`);
    const channel = this.#find(id, peer);
    await channel.wait(this.clock, waitMs, gone);
    return channel.answer();
  }

  #open(id: Value | undefined, peer: ProvenPeer): IncomingChannel {
    if (typeof id !== 'string' || !CHANNEL_ID.test(id)) throw new RelayError('INVALID_PARAMS', 'a channel is 32 hexadecimal digits');
    if (this.#channels.has(id)) throw new RelayError('INVALID_PARAMS', 'the channel exists already');
    const same = [...this.#channels.values()].filter((one) => one.peer.id === peer.id);
    if (same.length >= MAX_CLOSING_OF_NODE)
      throw new RelayError('LIMIT', `a node opens at most ${MAX_CLOSING_OF_NODE} channels in ${CLOSING_MS} ms`);
    if (same.filter(({ isClosed }) => !isClosed).length >= MAX_CHANNELS_OF_NODE)
      throw new RelayError('LIMIT', `a node has at most ${MAX_CHANNELS_OF_NODE} channels`);
    const channel = new IncomingChannel(++this.#last, peer);
    this.#channels.set(id, channel);
    const end: Channel = {
      send: (frame) => {
        channel.send(frame);
      },
      close: (reason) => {
        this.#forgetLater(id, channel);
        return channel.close(reason);
      },
    };
    this.user.opened(channel.number, end, peer);
    return channel;
  }

  #find(id: Value | undefined, peer: ProvenPeer): IncomingChannel {
    const channel = typeof id === 'string' ? this.#channels.get(id) : undefined;
    if (channel?.peer.id === peer.id && channel.peer.instance === peer.instance) return channel;
    throw new RelayError('UNAVAILABLE', 'the channel is closed, or was never open here; open another one');
  }

  #end(channel: IncomingChannel, reason: string): void {
    void channel.close(reason);
    this.user.closed(channel.number, reason);
  }

  #forgetLater(id: string, channel: IncomingChannel): void {
    const cancel = this.clock.after(CLOSING_MS, () => {
      this.#timers.delete(cancel);
      channel.forget();
      if (this.#channels.get(id) === channel) this.#channels.delete(id);
    });
    this.#timers.add(cancel);
  }

  /** Ends all pulls. */
  stop(): void {
    for (const cancel of this.#timers) cancel();
    for (const channel of this.#channels.values()) {
      void channel.close('this relay stops');
      channel.forget();
    }
  }
}
