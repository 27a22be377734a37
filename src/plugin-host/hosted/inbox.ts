/** The inbox of a satellite: ordered delivery, one message at a time, with a bounded queue, a pause for a swap, and counters. */
import { isPromise, RelayError } from '../../core/core.ts';
import type { BoundedQueue, Clock, Log, QueueStatus } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import type { Message } from '../../message/message.ts';
import { logDelivered } from './inbox-events.ts';
import type { InboxEvent } from './inbox-events.ts';

/** How messages reach the satellite. */
export interface Recipient {
  /** Delivers one message at `now`. If it returns a promise, it is busy with the message until that settles. May throw. */
  deliver(message: Message, redelivered: boolean, now: number): unknown;
  /**
   * Called once for each delivery that returned a promise: when that has settled, or, with the reason, when the inbox stops waiting for it.
   */
  ended?(reason?: RelayError): void;
  /** The reason why a delivery failed, for the log. */
  explain(error: unknown): string;
}

/** The queue of an inbox, as far as the inbox uses it; {@link BoundedQueue} is one. */
export interface InboxQueue {
  /** Messages that `shift` would return now. */
  readonly length: number;
  push(message: Message): void;
  shift(): Message | undefined;
  status(now: number): QueueStatus;
  /** Drops all messages; returns how many were lost. */
  clear(): number;
}

/** The queue of a durable satellite: its messages are stored, and what is added by `push` is not. It outlives its inbox. */
export interface DurableQueue extends InboxQueue {
  /** True while an inbox receives from it. */
  readonly isAttached: boolean;
  /** Lets an inbox receive, now instead of another one. Calls `onReady` when `length` is not 0 any more. */
  attach(onReady: () => void, isInProcess: boolean): void;
  /** The inbox receives no more; messages are stored all the same. */
  detach(): void;
  /** True if the message that `shift` returned last may have been delivered before. */
  readonly mayHaveBeenDelivered: boolean;
  /** The delivery of that message has ended, whatever came of it. */
  settle(): void;
  /** The satellite is not durable any more. */
  end(): void;
}

/** The queues of durable satellites. */
export interface DurableQueues {
  /** The queue of the satellite of this name, which is made if there is none. */
  queue(satellite: string): DurableQueue;
  /** True if messages are kept for a satellite of this name. */
  has(satellite: string): boolean;
}

/** What an {@link Inbox} needs. */
export interface InboxParts {
  /** The name of the satellite. */
  readonly name: string;
  /** The plugin to which the satellite belongs. */
  readonly plugin: string;
  readonly queue: BoundedQueue<Message>;
  /** The queue in place of `queue` if the satellite is durable. Default: it is not. */
  readonly durable?: DurableQueue | undefined;
  /** True if the satellite runs in the process of the relay. Default false. */
  readonly isInProcess?: boolean | undefined;
  readonly recipient: Recipient;
  /** The time limit of one delivery, in ms. Infinity if the recipient keeps it. */
  readonly timeoutMs: number;
  /**
   * Schedules a call of {@link Inbox.next}. Called when the inbox becomes ready, but not when `next` returns with the inbox still ready,
   * since the caller of `next` checks that.
   */
  readonly wake: (inbox: Inbox) => void;
  readonly clock: Clock;
  /** Of the category of the plugin. */
  readonly log: Log;
  readonly events: EventSink<InboxEvent>;
}

/** The state of an inbox, and counts of the messages that have left it. */
export interface InboxCounters extends QueueStatus {
  /** Messages that the satellite received. */
  readonly delivered: number;
  /** Messages whose delivery failed or took too long. */
  readonly failed: number;
  /** Messages that arrived after the satellite was stopped. */
  readonly refused: number;
  /** True if its messages are stored until it has received them. `waiting` and `bytes` then count what is stored. */
  readonly durable: boolean;
}

/** The counters of a satellite that receives no messages. */
export const NO_INBOX: InboxCounters = {
  ...{ waiting: 0, bytes: 0, oldestMs: 0, delivered: 0, failed: 0, dropped: 0, merged: 0, refused: 0, durable: false },
};

/** A delivery that has not ended, or that was interrupted and is to be repeated. */
interface Delivery {
  readonly message: Message;
  /** How often the satellite crashed during this delivery. */
  deaths: number;
  redelivered: boolean;
  cancelTimer: () => void;
}

/** The inbox of one satellite. */
export class Inbox {
  // The fields that each message needs come first: in a host of a thousand satellites, the memory of the others is not touched.
  readonly name: string;
  /** The plugin to which the satellite belongs. */
  readonly plugin: string;
  #queue: InboxQueue;
  /** The same queue, if this satellite is durable. */
  #durable: DurableQueue | undefined;
  /** True if this inbox receives from `#durable`, and not that of another version of the satellite. */
  #isAttached = false;
  /** Set by the pump while this inbox is scheduled. */
  isScheduled = false;
  /** `waiting`: a setup or a process is not ready yet; `unused`: the satellite does not receive messages. */
  #phase: 'waiting' | 'open' | 'unused' | 'closed' = 'waiting';
  /** Messages are kept for another version. */
  #isPaused = false;
  /** The delivery in progress. */
  #running: Delivery | undefined;
  /** The message that is being delivered, until the recipient returns a promise. */
  #current: Message | undefined;
  /** The delivery to be repeated before anything else. */
  #interrupted: Delivery | undefined;
  readonly #recipient: Recipient;
  readonly #parts: InboxParts;
  // `dropped` and `merged` count for earlier versions of the satellite; the queue counts for this one.
  readonly #count = { delivered: 0, failed: 0, refused: 0, dropped: 0, merged: 0 };
  /** Resolves the `pause` that waits for the delivery in progress. */
  #onIdle: (() => void) | undefined;

  constructor(parts: InboxParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.plugin = parts.plugin;
    this.#queue = parts.durable ?? parts.queue;
    this.#durable = parts.durable;
    this.#recipient = parts.recipient;
  }

  /** True if `next` would deliver. */
  get isReady(): boolean {
    if (this.#phase !== 'open' || this.#isPaused || this.#running !== undefined) return false;
    if (this.#durable !== undefined && !this.#isAttached) return false;
    return this.#queue.length > 0 || this.#interrupted !== undefined;
  }

  /** The generation of what the satellite sends now: one more than that of the message that it is receiving; 0 if it receives none. */
  get generation(): number {
    const message = this.#running?.message ?? this.#current;
    return message === undefined ? 0 : (message.generation ?? 0) + 1;
  }

  /** True if the messages of the satellite are stored. */
  get isDurable(): boolean {
    return this.#durable !== undefined;
  }

  get counters(): InboxCounters {
    const { dropped, merged, waiting, ...queue } = this.#queue.status(this.#parts.clock.now());
    const { dropped: droppedBefore, merged: mergedBefore, ...count } = this.#count;
    return {
      ...{ ...queue, ...count, dropped: dropped + droppedBefore, merged: merged + mergedBefore },
      waiting: waiting + (this.#interrupted && !this.#durable ? 1 : 0),
      durable: this.isDurable,
    };
  }

  /** Queues a message. Returns false if the satellite does not receive messages, or was stopped. */
  take(message: Message): boolean {
    if (this.#phase === 'unused') return false;
    if (this.#phase === 'closed') {
      this.#count.refused++;
      return false;
    }
    this.#queue.push(message);
    if (!this.isScheduled && this.isReady) this.#parts.wake(this);
    return true;
  }

  /** Delivers the next message; `now` is the time by the clock of the inbox. Never throws. */
  next(now: number = this.#parts.clock.now()): void {
    if (!this.isReady) return;
    const again = this.#interrupted;
    this.#interrupted = undefined;
    const message = again?.message ?? this.#queue.shift();
    if (!message) return;
    try {
      const isAgain = again?.redelivered === true || this.#durable?.mayHaveBeenDelivered === true || message.isRedelivered === true;
      this.#current = message;
      const result = this.#recipient.deliver(message, isAgain, now);
      this.#current = undefined;
      // Each attempt is an object of its own, since the promise of an interrupted one may settle during the next.
      if (isPromise(result)) this.#wait(attempt(message, again), result);
      else this.#countDelivered(message);
    } catch (error) {
      this.#current = undefined;
      this.#countFailed(message, error);
    }
  }

  /** Starts to deliver, because the satellite is ready. If `receives` is false, it takes no messages, and the waiting ones are dropped. */
  open(receives = true): void {
    const wasOpen = this.#phase === 'open';
    this.#phase = receives ? 'open' : 'unused';
    if (!receives) this.#drop(wasOpen ? 'it no longer receives messages' : undefined);
    else if (this.#durable?.isAttached === false) this.#attach();
    this.#wakeIfReady();
  }

  /**
   * Stores its messages from now on, or no longer if `durable` is undefined. Messages that wait are delivered, but not stored; those that
   * are stored are dropped.
   */
  setDurable(durable: DurableQueue | undefined): void {
    if (durable === this.#durable) return;
    const { queue } = this.#parts;
    if (this.#durable) this.#endDurable();
    this.#durable = durable;
    this.#queue = durable ?? queue;
    if (!durable) return;
    if (this.#phase === 'open' && !durable.isAttached) this.#attach();
    for (let message = queue.shift(); message; message = queue.shift()) durable.push(message);
  }

  /** Keeps messages for a satellite that is being started. */
  await(): void {
    if (this.#phase !== 'open') this.#phase = 'waiting';
  }

  /** Keeps messages for another version of the satellite. Resolves when the delivery in progress has ended. */
  pause(): Promise<void> {
    this.#isPaused = true;
    const { plugin, events } = this.#parts;
    if (events.isWatched('inbox.paused')) events.emit({ type: 'inbox.paused', plugin, satellite: this.name });
    return new Promise((resolve) => {
      if (this.#running) this.#onIdle = resolve;
      else resolve();
    });
  }

  /** Resumes delivery after {@link pause}. */
  resume(): void {
    this.#isPaused = false;
    this.#wakeIfReady();
  }

  /** Takes over the waiting messages and the counters of the inbox of the previous version, which is paused. */
  succeed(other: Inbox): void {
    if (other.#durable && other.#isAttached) {
      other.#isAttached = false;
      if (this.#durable === other.#durable) this.#attach();
      else other.#endDurable();
    } else {
      if (this.#durable?.isAttached === false) this.#attach();
      for (let message = other.#queue.shift(); message; message = other.#queue.shift()) this.#queue.push(message);
    }
    const { delivered, failed, refused, dropped, merged } = other.counters;
    this.#count.delivered += delivered;
    this.#count.failed += failed;
    this.#count.refused += refused;
    this.#count.dropped += dropped;
    this.#count.merged += merged;
    this.#wakeIfReady();
  }

  /**
   * Call this when the process of the satellite has ended and may be restarted: the message in progress is then delivered again. Returns
   * that message, if there was one, and how often the satellite has crashed during its delivery. `isItsFault`: it ended by itself.
   */
  interrupt(isItsFault: boolean): { readonly message: Message; readonly deaths: number } | undefined {
    if (this.#phase === 'open') this.#phase = 'waiting';
    const delivery = this.#running;
    if (!delivery) return undefined;
    this.#end(delivery);
    delivery.redelivered = true;
    if (isItsFault) delivery.deaths++;
    this.#interrupted = delivery;
    return delivery;
  }

  /** Sets aside the message whose delivery was interrupted; it counts as failed. */
  dropInterrupted(): void {
    if (!this.#interrupted) return;
    const { message, deaths } = this.#interrupted;
    this.#interrupted = undefined;
    this.#count.failed++;
    this.#durable?.settle();
    this.#parts.events.emit({ type: 'inbox.dead-letter', plugin: this.#parts.plugin, satellite: this.name, id: message.id, deaths });
  }

  /** Ends deliveries and drops the waiting messages. The delivery in progress continues. */
  close(): void {
    this.#phase = 'closed';
    this.#drop('it was stopped');
  }

  /** Stops waiting for the delivery in progress. */
  abort(): void {
    if (this.#running) this.#end(this.#running, new RelayError('UNAVAILABLE', 'the relay is stopping'));
  }

  #attach(): void {
    this.#isAttached = true;
    this.#durable?.attach(() => {
      this.#wakeIfReady();
    }, this.#parts.isInProcess === true);
  }

  #endDurable(): void {
    this.#isAttached = false;
    this.#durable?.end();
  }

  #drop(reason: string | undefined): void {
    if (this.#durable) {
      // What is stored is kept.
      this.#interrupted = undefined;
      if (this.#isAttached) this.#durable.detach();
      this.#isAttached = false;
      return;
    }
    const lost = this.#queue.clear() + (this.#interrupted ? 1 : 0);
    this.#interrupted = undefined;
    const { plugin, events } = this.#parts;
    if (lost > 0 && reason !== undefined) events.emit({ type: 'inbox.dropped', plugin, satellite: this.name, count: lost, reason });
  }

  #wait(delivery: Delivery, result: PromiseLike<unknown>): void {
    const { clock, timeoutMs } = this.#parts;
    this.#running = delivery;
    if (timeoutMs < Infinity) {
      delivery.cancelTimer = clock.after(timeoutMs, () => {
        const error = new RelayError('TIMEOUT', `it took longer than ${timeoutMs} ms (receiveTimeoutMs); the next message is delivered`);
        if (this.#end(delivery, error)) this.#failed(delivery.message, error);
      });
    }
    Promise.resolve(result).then(
      () => {
        if (this.#end(delivery)) this.#delivered(delivery.message);
      },
      (error: unknown) => {
        if (this.#end(delivery)) this.#failed(delivery.message, error);
      },
    );
  }

  /** Ends a delivery, so that the next one can begin. Returns false if it had already ended. */
  #end(delivery: Delivery, reason?: RelayError): boolean {
    if (this.#running !== delivery) return false;
    delivery.cancelTimer();
    this.#running = undefined;
    this.#recipient.ended?.(reason);
    this.#onIdle?.();
    this.#onIdle = undefined;
    return true;
  }

  #wakeIfReady(): void {
    if (this.isReady) this.#parts.wake(this);
  }

  #delivered(message: Message): void {
    this.#countDelivered(message);
    this.#wakeIfReady();
  }

  #failed(message: Message, error: unknown): void {
    this.#countFailed(message, error);
    this.#wakeIfReady();
  }

  #countDelivered({ id }: Message): void {
    this.#count.delivered++;
    const { log, events, plugin } = this.#parts;
    // Once per message and satellite: no event is built for the log.
    if (log.isDebugEnabled()) logDelivered(log, id, this.name);
    if (events.isWatched('inbox.delivered')) events.emit({ type: 'inbox.delivered', plugin, satellite: this.name, id });
    this.#durable?.settle();
  }

  #countFailed({ id }: Message, error: unknown): void {
    this.#count.failed++;
    const { plugin, events } = this.#parts;
    const reason = this.#recipient.explain(error);
    events.emit({ type: 'inbox.failed', plugin, satellite: this.name, id, reason });
    this.#durable?.settle();
  }
}

function attempt(message: Message, again: Delivery | undefined): Delivery {
  return { message, deaths: again?.deaths ?? 0, redelivered: again?.redelivered ?? false, cancelTimer: doNothing };
}

function doNothing(): void {
  // There is no timer.
}
