/** The end of a channel that dialled: posts `relay.push` and `relay.pull`. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { RelayError, clean, isPromise, reasonOf } from '../core/core.ts';
import type { Clock, MaybePromise } from '../core/core.ts';
import type { Frame } from '../mesh-core/mesh-core.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { PULL_MS } from './channels.ts';
import type { Channel, ChannelCall, ChannelUser } from './channels.ts';
import { FrameQueue, LARGE_BYTES, MAX_FRAMES, MAX_PUSHES, Ordered, SMALL_BYTES } from './frame-queue.ts';
import { readFrame } from './frames.ts';

// What does not fill a request waits for the answer to the one before, which takes less than this unless the way is long.
const GATHER_MS = 5;

export interface DialledChannelParts {
  /** Its number for the user. */
  readonly number: number;
  readonly call: ChannelCall;
  readonly clock: Pick<Clock, 'now'>;
  readonly user: ChannelUser;
}

/** See the head of this file. The first frame opens the channel at the other end. */
export class DialledChannel implements Channel {
  readonly #parts: DialledChannelParts;
  readonly #id = randomBytes(16).toString('hex');
  readonly #queue = new FrameQueue();
  readonly #received = new Ordered();
  readonly #abort = new AbortController();
  #pushes = 0;
  /** Pushes that are under way, and when the last one began. */
  #underWay = 0;
  #pushedAt = 0;
  /** True once the other end has answered the first push. */
  #isOpen = false;
  #isScheduled = false;
  #isClosed = false;

  constructor(parts: DialledChannelParts) {
    this.#parts = parts;
  }

  send(frame: Frame): void {
    if (this.#isClosed) return;
    if (this.#queue.add(frame)) this.#pushSoon();
    else this.#fail('the neighbour takes nothing any more');
  }

  async close(reason: string): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#queue.isEmpty && this.#underWay === 0) this.#abort.abort(new RelayError('TRANSPORT', reason));
    else this.#pushSoon();
    const { signal } = this.#abort;
    if (!signal.aborted) await once(signal, 'abort');
  }

  /** Gathers the frames of one step of the user. */
  #pushSoon(): void {
    if (this.#isScheduled || !this.#mayPush()) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      while (this.#mayPush()) void this.#push();
    });
  }

  #mayPush(): boolean {
    if (this.#queue.isEmpty || this.#abort.signal.aborted) return false;
    if (this.#underWay === 0) return true;
    if (!this.#isOpen || this.#underWay >= MAX_PUSHES) return false;
    return this.#queue.isFull || this.#parts.clock.now() - this.#pushedAt >= GATHER_MS;
  }

  /** Posts what waits. Never rejects. */
  async #push(): Promise<void> {
    // Over a long way, so many are under way that the last ones had better be large.
    const frames = this.#queue.take(this.#underWay < MAX_PUSHES / 2 ? SMALL_BYTES : LARGE_BYTES);
    this.#underWay++;
    this.#pushedAt = this.#parts.clock.now();
    try {
      const answer = await this.#call('relay.push', [this.#id, ++this.#pushes, frames]);
      this.#underWay--;
      // What the answer causes goes with the next push.
      void this.#take(answer);
      if (!this.#isOpen) void this.#pull();
      this.#isOpen = true;
      this.#pushSoon();
      if (this.#isClosed && this.#queue.isEmpty && this.#underWay === 0)
        this.#abort.abort(new RelayError('TRANSPORT', 'the channel is closed'));
    } catch (error) {
      this.#fail(reasonOf(error));
    }
  }

  /** Pulls until the channel is closed; the next answer is asked for while the last one is being taken. Never rejects. */
  async #pull(): Promise<void> {
    try {
      let taken: MaybePromise<void> = undefined;
      while (!this.#isClosed) {
        const answer = await this.#call('relay.pull', [this.#id, PULL_MS]);
        if (isPromise(taken)) await taken;
        taken = this.#take(answer);
      }
    } catch (error) {
      this.#fail(reasonOf(error));
    }
  }

  #call(method: 'relay.push' | 'relay.pull', params: readonly Sendable[]): Promise<Value> {
    return this.#parts.call(method, params, this.#abort.signal);
  }

  /** Resolves once the user has taken the frames of an answer. */
  #take(answer: Value): MaybePromise<void> {
    const { number, frames, closed } = answerIn(answer);
    const ready = number > 0 ? this.#received.add(number, frames) : [];
    const taken = this.#isClosed || ready.length === 0 ? undefined : this.#parts.user.frames(this.#parts.number, ready);
    if (closed !== undefined) this.#fail(clean(closed, 300));
    return taken;
  }

  #fail(reason: string): void {
    this.#abort.abort(new RelayError('TRANSPORT', reason));
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parts.user.closed(this.#parts.number, reason);
  }
}

/** An answer with frames: `number` is 0 if it has none. */
function answerIn(value: Value): { readonly number: number; readonly frames: readonly Frame[]; readonly closed: string | undefined } {
  if (!isDict(value)) throw new RelayError('TRANSPORT', 'the neighbour does not answer as a relay does');
  const { n = 0, frames = [], closed } = value;
  if (typeof n !== 'number' || !Array.isArray(frames) || frames.length > MAX_FRAMES)
    throw new RelayError('TRANSPORT', 'the neighbour answers with frames that cannot be read');
  return { number: n, frames: (frames as readonly Value[]).map(readFrame), closed: typeof closed === 'string' ? closed : undefined };
}
