/** Keeps a link to one configured address: connects, waits for the proof of identity, and tries again with back-off for ever. */
import { nextDelay } from '../core/core.ts';
import { DIAL_MS, HELLO_MS, RETRY, STABLE_MS } from './limits.ts';

/** The state of a dialer. */
type DialerState =
  | { readonly type: 'idle'; readonly nextAt: number }
  | { readonly type: 'dialing'; readonly channel: number; readonly until: number }
  | { readonly type: 'hello'; readonly channel: number; readonly until: number }
  /** There is a link, over the channel of this dialer or another one; `upAt` is when it became ready. */
  | { readonly type: 'linked'; readonly peer: string; readonly since: number };

/** See the head of this file. */
export class Dialer {
  /** The id of the node that answered at this address last. */
  lastPeer: string | undefined;
  #state: DialerState;
  #attempt = 0;

  constructor(
    readonly address: string,
    private readonly random: () => number,
    now: number,
  ) {
    this.#state = { type: 'idle', nextAt: now };
  }

  get state(): DialerState {
    return this.#state;
  }

  /** When {@link expired} or {@link isDue} becomes true. */
  get wakeAt(): number {
    const state = this.#state;
    if (state.type === 'idle') return state.nextAt;
    return state.type === 'linked' ? Infinity : state.until;
  }

  /** True if it is time to connect. */
  isDue(now: number): boolean {
    return this.#state.type === 'idle' && now >= this.#state.nextAt;
  }

  /** The channel that has not got further in time. */
  expired(now: number): { readonly channel: number; readonly reason: string } | undefined {
    const state = this.#state;
    if (state.type !== 'dialing' && state.type !== 'hello') return undefined;
    if (now < state.until) return undefined;
    const reason = state.type === 'dialing' ? `no connection in ${DIAL_MS} ms` : `no proof of identity in ${HELLO_MS} ms`;
    return { channel: state.channel, reason };
  }

  dialing(channel: number, now: number): void {
    this.#state = { type: 'dialing', channel, until: now + DIAL_MS };
  }

  connected(now: number): void {
    if (this.#state.type === 'dialing') this.#state = { type: 'hello', channel: this.#state.channel, until: now + HELLO_MS };
  }

  linked(peer: string, now: number): void {
    this.lastPeer = peer;
    this.#state = { type: 'linked', peer, since: now };
  }

  /** The attempt failed, or the link is gone. */
  failed(now: number): void {
    if (this.#state.type === 'linked' && now - this.#state.since >= STABLE_MS) this.#attempt = 0;
    this.#state = { type: 'idle', nextAt: now + nextDelay(this.#attempt, RETRY, this.random) };
    this.#attempt = Math.min(this.#attempt + 1, 32);
  }

  /** Connects at once: the other side was heard of. */
  hurry(now: number): void {
    if (this.#state.type === 'idle') this.#state = { type: 'idle', nextAt: now };
  }
}
