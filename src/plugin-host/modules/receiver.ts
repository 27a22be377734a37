/** Delivery to one satellite: one message at a time, in order, the next when `receive` has settled or outlived its time limit. */
import { RelayError, clean } from '../../core/core.ts';
import { shareDict } from '../../values/values.ts';
import type { Clock, Log, BoundedQueue } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';
import type { Plugin } from '../../plugin/for-host.ts';
import { reasonText, whereThrown, contextOf } from '../hosted/hosted.ts';
import type { DeliveryContext, LineCounters } from '../hosted/hosted.ts';
import type { Watchdog, Watched } from './watchdog.ts';

/** A satellite that wants messages. */
export interface ReceiverParts {
  readonly name: string;
  readonly target: Pick<Plugin, 'receive'>;
  readonly inbox: BoundedQueue<Message>;
  readonly timeoutMs: number;
  readonly watchdog: Watchdog;
  readonly watched: Watched;
  readonly clock: Clock;
  readonly log: Log;
  /** The plugins directory or the npm package's, for the place of an error. */
  readonly directory: string;
  /** Called when {@link Receiver.isReady} became true other than by `take` or within `next`. */
  readonly onReady: (receiver: Receiver) => void;
}

interface Delivery {
  readonly message: Message;
  readonly context: DeliveryContext;
  callOff: () => void;
}

export class Receiver {
  readonly #parts: ReceiverParts;
  readonly #inbox: BoundedQueue<Message>;
  // The last two: of the versions before; the line counts its own.
  readonly #count = { delivered: 0, failed: 0, refused: 0, dropped: 0, merged: 0 };
  /** The delivery whose promise is pending. */
  #running: Delivery | undefined;
  /**
   * `waiting`: setup has not ended, messages collect; `held`: they collect since another version is to take them; `closed`: exit has begun.
   */
  #phase: 'waiting' | 'open' | 'held' | 'closed' = 'waiting';
  /** Waits for the call that is under way to end. */
  #onIdle: (() => void) | undefined;
  /** The satellite's `receive`, looked up once: among a thousand classes each look-up costs more than the call. */
  #receive: ReceiverParts['target']['receive'] | undefined;
  /** The pump's mark: it has this receiver in its line. */
  isQueued = false;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#inbox = parts.inbox;
  }

  get name(): string {
    return this.#parts.name;
  }

  /** True if `next` would call `receive`. */
  get isReady(): boolean {
    return this.#phase === 'open' && this.#running === undefined && this.#inbox.length > 0;
  }

  get counters(): LineCounters {
    const { dropped, merged, ...line } = this.#inbox.status(this.#parts.clock.now());
    const { dropped: droppedBefore, merged: mergedBefore, ...count } = this.#count;
    return { ...line, ...count, dropped: dropped + droppedBefore, merged: merged + mergedBefore };
  }

  /** Puts a message into the line; false once closed. */
  take(message: Message): boolean {
    if (this.#phase === 'closed') {
      this.#count.refused++;
      return false;
    }
    this.#inbox.push(message);
    return true;
  }

  /** From now on messages are delivered. */
  open(): void {
    this.#phase = 'open';
    this.#receive = this.#parts.target.receive;
    if (this.isReady) this.#parts.onReady(this);
  }

  /** From now on messages collect; resolves when the call that is under way has ended or outlived its time limit. */
  hold(): Promise<void> {
    this.#phase = 'held';
    this.#parts.log.debug(`messages wait for the next version of ${this.name}`);
    return new Promise((resolve) => {
      if (this.#running) this.#onIdle = resolve;
      else resolve();
    });
  }

  /** Takes over from `other`, which is held: what waits there, before what comes, and its counters. */
  succeed(other: Receiver): void {
    for (let message = other.#inbox.shift(); message; message = other.#inbox.shift()) this.#inbox.push(message);
    const { delivered, failed, refused, dropped, merged } = other.counters;
    this.#count.delivered += delivered;
    this.#count.failed += failed;
    this.#count.refused += refused;
    this.#count.dropped += dropped;
    this.#count.merged += merged;
    if (this.isReady) this.#parts.onReady(this);
  }

  /** From now on `receive` is not called again; what waits is forgotten. A call that is under way goes on. */
  close(): void {
    this.#phase = 'closed';
    const lost = this.#inbox.clear();
    if (lost > 0) this.#parts.log.warn(`${lost} messages still waited for ${this.name} when it was stopped; they are lost`);
  }

  /** Aborts the signal of the call that is under way. */
  abort(): void {
    const running = this.#running;
    if (running) this.#end(running);
    running?.context.abort(new RelayError('UNAVAILABLE', 'the relay stops'));
  }

  /** Calls `receive` with the next message. Never throws. */
  next(): void {
    if (!this.isReady) return;
    const message = this.#inbox.shift();
    if (!message) return;
    const { clock, target, watchdog, watched } = this.#parts;
    const context = contextOf(message, clock.now());
    try {
      const dict = shareDict(message.frozen());
      const result: unknown = watchdog.run(watched, 'receive', () => this.#receive?.call(target as Plugin, dict, context));
      if (isThenable(result)) this.#wait({ message, context, callOff: () => undefined }, result);
      else this.#succeeded(message);
    } catch (error) {
      this.#failed(message, error);
    }
  }

  #wait(delivery: Delivery, result: PromiseLike<unknown>): void {
    const { clock, timeoutMs, watchdog, watched } = this.#parts;
    this.#running = delivery;
    watchdog.begin(watched);
    delivery.callOff = clock.after(timeoutMs, () => {
      this.#outlived(delivery);
    });
    Promise.resolve(result).then(
      () => {
        if (this.#end(delivery)) this.#succeeded(delivery.message);
      },
      (error: unknown) => {
        if (this.#end(delivery)) this.#failed(delivery.message, error);
      },
    );
  }

  #outlived(delivery: Delivery): void {
    if (!this.#end(delivery)) return;
    const reason = new RelayError(
      'TIMEOUT',
      `it did not end in ${this.#parts.timeoutMs} ms (receiveTimeoutMs); the next message is delivered`,
    );
    delivery.context.abort(reason);
    this.#failed(delivery.message, reason);
  }

  /** False if this delivery was given up before; else the next may come. */
  #end(delivery: Delivery): boolean {
    if (this.#running !== delivery) return false;
    delivery.callOff();
    this.#running = undefined;
    this.#parts.watchdog.end(this.#parts.watched);
    this.#onIdle?.();
    if (this.isReady) this.#parts.onReady(this);
    return true;
  }

  #succeeded({ id }: Message): void {
    this.#count.delivered++;
    const { log } = this.#parts;
    if (log.isDebugEnabled()) log.debug(`delivered ${clean(id)} to ${this.name}`);
  }

  #failed({ id }: Message, error: unknown): void {
    this.#count.failed++;
    const { directory, log } = this.#parts;
    log.error(`${this.name}: receive of ${clean(id)} failed: ${reasonText(error, directory)}${whereThrown(error, directory)}`);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
