/** The link to a proven neighbour over one channel: numbers, acknowledges and repeats messages, and notices when the neighbour is gone. */
import {
  BATCH_BYTES,
  BATCH_MESSAGES,
  DRAIN_MS,
  HEARTBEAT_MS,
  MAX_WINDOW_MESSAGES,
  RESEND_MS,
  SILENCE_MS,
  SYNC_MS,
  WINDOW_BYTES,
  WINDOW_MESSAGES,
  WINDOW_PER_MS,
} from './limits.ts';
import { sizeOf } from './message.ts';
import type { Envelope } from './message.ts';
import type { Ack, Frame, ProvenPeer, ReturnReason } from './ports.ts';

// Round trips that are kept, one per heartbeat.
const SAMPLES = 8;
// A longer one is no measurement: the link would have been closed by then.
const MAX_RTT_MS = 60_000;
// A window and a message that does not fit into it, with room to spare.
const MAX_UNSETTLED_BYTES = 3 * WINDOW_BYTES;

/** The state of a link. What comes before it, connecting and the proof, is the part of the dialer. */
export type LinkState =
  /** Link states are exchanged; no message is sent yet. */
  | { readonly type: 'sync'; readonly until: number }
  | { readonly type: 'up' }
  /** Nothing new is sent; what is in flight may still be acknowledged. */
  | { readonly type: 'draining'; readonly until: number; readonly reason: string }
  | { readonly type: 'closed'; readonly reason: string };

/** A message on its way over a link. `T` is what its owner knows it by. */
export interface Outgoing<T> {
  readonly item: T;
  readonly envelope: Envelope;
  readonly isBacklog: boolean;
}

/** What a link calls. */
export interface LinkUser<T> {
  send(link: Link<T>, frame: Frame): void;
  /** The neighbour has stored it. */
  taken(link: Link<T>, item: T): void;
  /** The neighbour gave it back. */
  returned(link: Link<T>, item: T, reason: ReturnReason): void;
  /** A message arrived. Calls {@link Link.settle} with its number, now or once it is stored. */
  arrived(link: Link<T>, number: number, envelope: Envelope): void;
  /** The exchange of link states begins, or is repeated since nothing came. */
  syncing(link: Link<T>): void;
  /** The link is ready for messages; link states have been exchanged. */
  isUp(link: Link<T>): void;
  /** The link is closed; what was in flight is to be sent another way. */
  closed(link: Link<T>, reason: string, inFlight: readonly T[]): void;
}

interface InFlight<T> extends Outgoing<T> {
  readonly number: number;
  readonly bytes: number;
  sentAt: number;
}

export interface LinkParts<T> {
  readonly channel: number;
  readonly peer: ProvenPeer;
  readonly user: LinkUser<T>;
  readonly random: () => number;
  /** Those of the neighbour, which go on over all links to it. */
  readonly counts: LinkCounts;
}

/** Messages that the neighbour has stored, that it gave back, and that came from it. */
export interface LinkCounts {
  sent: number;
  returned: number;
  received: number;
}

export class Link<T> {
  readonly channel: number;
  readonly peer: ProvenPeer;
  readonly #user: LinkUser<T>;
  readonly #random: () => number;
  readonly #counts: LinkCounts;
  #state: LinkState;
  #since: number;
  #heardAt: number;
  #beatAt: number;
  // The clock of the neighbour in its last heartbeat, and when it came.
  #echo: { readonly at: number; readonly cameAt: number } | undefined;
  #rttMs: number | undefined;
  // The last round trips, newest last, and the least of them: the way itself, without what waited or was suspended for a moment. It is 0
  // until two are measured.
  #samples: number[] = [];
  #leastRttMs = 0;
  #lateUntil = -Infinity;

  // What is sent, in order. Bounded by the window.
  #inFlight: InFlight<T>[] = [];
  #inFlightBytes = 0;
  #inFlightBacklog = 0;
  #lastNumber = 0;
  #window = WINDOW_MESSAGES;
  #seenThrough = 0;
  #repeatedFrom = 0;
  #repeatedAt = -Infinity;

  // What is received: all numbers up to `received` arrived, and those up to `settled` are stored or returned.
  #received = 0;
  #settled = 0;
  readonly #early = new Set<number>();
  #returned: (readonly [number, ReturnReason])[] = [];
  // Up to which of these the neighbour knows so, and the sizes of those that are not settled.
  #seenByNeighbour = 0;
  readonly #sizes = new Map<number, number>();
  #unsettledBytes = 0;
  #mustAck = false;
  #hasGap = false;
  #lastStates: readonly Buffer[] = [];

  constructor(parts: LinkParts<T>, now: number) {
    this.channel = parts.channel;
    this.peer = parts.peer;
    this.#user = parts.user;
    this.#random = parts.random;
    this.#counts = parts.counts;
    this.#since = now;
    this.#heardAt = now;
    this.#beatAt = now;
    this.#state = { type: 'sync', until: now + SYNC_MS };
  }

  get state(): LinkState {
    return this.#state;
  }

  /** When the present state began. */
  get since(): number {
    return this.#since;
  }

  /** The round trip in ms; undefined until it is measured. */
  get measuredRttMs(): number | undefined {
    return this.#rttMs;
  }

  /** What is sent and not acknowledged yet. */
  get inFlight(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#inFlight.length, bytes: this.#inFlightBytes };
  }

  /** True if a message for which this is true is among {@link inFlight}. */
  isInFlight(isIt: (item: T) => boolean): boolean {
    return this.#inFlight.some(({ item }) => isIt(item));
  }

  /** The last round trip in ms; a guess until it is measured. */
  get rttMs(): number {
    return this.#rttMs ?? 100;
  }

  /** True if the neighbour was heard of lately. */
  isLively(now: number): boolean {
    return now - this.#heardAt < 2 * HEARTBEAT_MS;
  }

  /** How many messages may be sent now: in all, and of a backlog. */
  room(backlogShare: number): { readonly messages: number; readonly backlog: number; readonly bytes: number } {
    if (this.#state.type !== 'up') return { messages: 0, backlog: 0, bytes: 0 };
    const messages = Math.max(0, this.#window - this.#inFlight.length);
    const backlog = Math.max(0, Math.floor(this.#window * backlogShare) - this.#inFlightBacklog);
    return { messages, backlog: Math.min(messages, backlog), bytes: Math.max(0, WINDOW_BYTES - this.#inFlightBytes) };
  }

  /** When {@link tick} has something to do. */
  get wakeAt(): number {
    if (this.#state.type === 'closed') return Infinity;
    const limit = 'until' in this.#state ? this.#state.until : Infinity;
    const resend = this.#inFlight[0] ? this.#inFlight[0].sentAt + RESEND_MS : Infinity;
    return Math.min(limit, resend, this.#heardAt + SILENCE_MS, this.#beatAt);
  }

  /** Takes note that this node itself was late, so that the silence says nothing about the neighbour. */
  forgive(now: number): void {
    this.#heardAt = now;
    this.#lateUntil = now;
    if (this.#state.type === 'sync') this.#state = { type: 'sync', until: now + SYNC_MS };
  }

  /** Sends messages; there must be {@link room}. */
  push(outgoing: readonly Outgoing<T>[], now: number): void {
    const added = outgoing.map((one): InFlight<T> => {
      const bytes = sizeOf(one.envelope);
      this.#inFlightBytes += bytes;
      if (one.isBacklog) this.#inFlightBacklog++;
      const { item, envelope, isBacklog } = one;
      return { item, envelope, isBacklog, number: ++this.#lastNumber, bytes, sentAt: now };
    });
    this.#inFlight.push(...added);
    this.#send(added);
  }

  /** Takes a frame other than those about link states. */
  frame(frame: Frame, now: number): void {
    if (this.#state.type === 'closed') return;
    this.#heardAt = now;
    switch (frame.type) {
      case 'push':
        this.#acknowledged(frame.ack, now);
        for (const [index, envelope] of frame.items.entries()) this.#arrived(frame.first + index, envelope);
        this.#mustAck = true;
        this.#limitArrived();
        return;
      case 'ack':
        this.#acknowledged(frame.ack, now);
        return;
      case 'beat':
        // A heartbeat that was answered while this node was late measures nothing.
        if (frame.echo !== undefined && frame.echo >= this.#lateUntil) this.#measured(now - frame.echo - frame.heldMs);
        this.#echo = { at: frame.at, cameAt: now };
        this.#acknowledged(frame.ack, now);
        return;
      case 'bye':
        this.close(`the neighbour closed it: ${frame.reason}`);

        break;

      default:
    }
  }

  /** The neighbour knows the link states of this node: messages may be sent. */
  synced(now: number): void {
    if (this.#state.type !== 'sync') return;
    this.#state = { type: 'up' };
    this.#since = now;
    this.#user.isUp(this);
  }

  /** The message with this number is stored, or is given back. */
  settle(number: number, returned?: ReturnReason): void {
    if (returned !== undefined) this.#returned.push([number, returned]);
    this.#unsettledBytes -= this.#sizes.get(number) ?? 0;
    this.#sizes.delete(number);
    this.#early.add(number);
    while (this.#early.delete(this.#settled + 1)) this.#settled++;
    this.#mustAck = true;
  }

  /** Sends what must be acknowledged, once for all events of a step. */
  flush(): void {
    if (!this.#mustAck || this.#state.type === 'closed') return;
    this.#mustAck = false;
    this.#user.send(this, { type: 'ack', ack: this.#ack() });
  }

  tick(now: number): void {
    const state = this.#state;
    if (state.type === 'closed') return;
    // Written as `wakeAt` is, so that rounding cannot make the two disagree.
    if (now >= this.#heardAt + SILENCE_MS) this.close(`nothing was heard for ${SILENCE_MS} ms`);
    else if (state.type === 'sync' && now >= state.until) this.close('link states were not exchanged in time');
    else if (state.type === 'draining' && (now >= state.until || this.#inFlight.length === 0)) this.#closeWithBye(state.reason);
    else this.#beat(now);
  }

  /** Closes in an orderly way: what is in flight is still acknowledged. The last frame has these link states. */
  drain(reason: string, now: number, states: readonly Buffer[]): void {
    if (this.#state.type === 'closed') return;
    this.#lastStates = states;
    this.#since = now;
    this.#state = { type: 'draining', until: now + DRAIN_MS, reason };
    if (this.#inFlight.length === 0) this.#closeWithBye(reason);
  }

  close(reason: string): void {
    if (this.#state.type === 'closed') return;
    this.#state = { type: 'closed', reason };
    const inFlight = this.#inFlight.map(({ item }) => item);
    this.#inFlight = [];
    this.#user.closed(this, reason, inFlight);
  }

  #closeWithBye(reason: string): void {
    this.#user.send(this, { type: 'bye', reason, states: this.#lastStates });
    this.close(reason);
  }

  #beat(now: number): void {
    const oldest = this.#inFlight[0];
    if (oldest && now >= oldest.sentAt + RESEND_MS) this.#repeat(now);
    if (now < this.#beatAt) return;
    this.#beatAt = now + HEARTBEAT_MS * (0.9 + 0.2 * this.#random());
    if (this.#state.type === 'sync') this.#user.syncing(this);
    const heldMs = this.#echo ? now - this.#echo.cameAt : 0;
    this.#user.send(this, { type: 'beat', at: now, echo: this.#echo?.at, heldMs, ack: this.#ack() });
    this.#mustAck = false;
  }

  #ack(): Ack {
    const hasGap = this.#hasGap;
    this.#hasGap = false;
    return {
      through: this.#settled,
      next: this.#received + 1,
      hasGap,
      returned: this.#returned,
      seen: this.#seenThrough,
      window: Math.min(MAX_WINDOW_MESSAGES, WINDOW_MESSAGES + Math.floor(this.#leastRttMs * WINDOW_PER_MS)),
    };
  }

  #arrived(number: number, envelope: Envelope): void {
    if (number <= this.#received) return;
    // Also one for which no window of ours has room: while nothing can be stored, memory would fill up.
    if (number > this.#received + 1 || number > this.#settled + MAX_WINDOW_MESSAGES) {
      this.#hasGap = true;
      return;
    }
    this.#received = number;
    this.#counts.received++;
    const transitMs = Math.floor(this.#leastRttMs / 2);
    const { head, seal, payload, hops, ageMs, via } = envelope;
    const bytes = sizeOf(envelope);
    this.#sizes.set(number, bytes);
    this.#unsettledBytes += bytes;
    this.#user.arrived(this, number, transitMs === 0 ? envelope : { head, seal, payload, hops, ageMs: ageMs + transitMs, via });
  }

  /** What is not stored yet, or not known to be, takes memory here: a neighbour that sends more of it than it may is not one of ours. */
  #limitArrived(): void {
    const messages = this.#received - this.#seenByNeighbour;
    if (messages > MAX_WINDOW_MESSAGES) this.close(`the neighbour has more than ${MAX_WINDOW_MESSAGES} messages in flight`);
    else if (this.#unsettledBytes > MAX_UNSETTLED_BYTES) this.close(`the neighbour has more than ${MAX_UNSETTLED_BYTES} bytes in flight`);
  }

  #acknowledged(ack: Ack, now: number): void {
    this.#seenByNeighbour = Math.max(this.#seenByNeighbour, Math.min(ack.seen, this.#settled));
    if (this.#returned.length > 0) this.#returned = this.#returned.filter(([number]) => number > ack.seen);
    this.#window = Math.min(ack.window, MAX_WINDOW_MESSAGES);
    if (ack.through > this.#seenThrough && ack.through <= this.#lastNumber) {
      const reasons = new Map(ack.returned);
      const count = this.#inFlight.findIndex(({ number }) => number > ack.through);
      const done = this.#inFlight.splice(0, count === -1 ? this.#inFlight.length : count);
      this.#seenThrough = ack.through;
      for (const { number, item, bytes, isBacklog } of done) {
        this.#inFlightBytes -= bytes;
        if (isBacklog) this.#inFlightBacklog--;
        const reason = reasons.get(number);
        if (reason === undefined) {
          this.#counts.sent++;
          this.#user.taken(this, item);
        } else {
          this.#counts.returned++;
          this.#user.returned(this, item, reason);
        }
      }
    }
    // One gap is reported by every frame behind it; what it asks for is sent once per round trip.
    const isRepeated = ack.next === this.#repeatedFrom && now - this.#repeatedAt < 2 * this.rttMs;
    if (ack.hasGap && !isRepeated) this.#repeat(now, ack.next);
  }

  /** Sends again what is in flight, from this number on. */
  #repeat(now: number, from = 0): void {
    this.#repeatedFrom = from;
    this.#repeatedAt = now;
    const again = this.#inFlight.filter(({ number }) => number >= from);
    for (const one of again) one.sentAt = now;
    this.#send(again);
  }

  #send(messages: readonly InFlight<T>[]): void {
    let batch: Envelope[] = [];
    let bytes = 0;
    let first = messages[0]?.number ?? 0;
    for (const one of messages) {
      if (batch.length > 0 && (batch.length >= BATCH_MESSAGES || bytes + one.bytes > BATCH_BYTES)) {
        this.#user.send(this, { type: 'push', first, items: batch, ack: this.#ack() });
        [batch, bytes, first] = [[], 0, one.number];
      }
      batch.push(one.envelope);
      bytes += one.bytes;
    }
    if (batch.length > 0) this.#user.send(this, { type: 'push', first, items: batch, ack: this.#ack() });
  }

  #measured(ms: number): void {
    if (!(ms >= 0 && ms <= MAX_RTT_MS)) return;
    this.#samples = [...this.#samples.slice(1 - SAMPLES), ms];
    if (this.#samples.length > 1) this.#leastRttMs = Math.min(...this.#samples);
    this.#rttMs = this.#rttMs === undefined ? ms : 0.8 * this.#rttMs + 0.2 * ms;
  }
}

/** The cost of a link with this round trip: the bucket above it, so that small changes change no path. */
export function costOf(rttMs: number): number {
  return COSTS.find((cost) => rttMs <= cost) ?? 10_000;
}

const COSTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
