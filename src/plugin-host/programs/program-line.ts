/**
 * Delivery to a program: one message at a time, in order; while it has no process they wait; what kills it again and again is set aside.
 */
import { RelayError, BoundedQueue, clean, reasonOf } from '../../core/core.ts';
import { heldBytes } from '../../values/values.ts';
import { hopsOf } from '../../message/message.ts';
import type { Clock, QueueLimits, Log } from '../../core/core.ts';
import type { Message } from '../../message/message.ts';
import type { Value, Sendable } from '../../values/values.ts';
import type { LineCounters } from '../hosted/hosted.ts';
import type { DeadLetters } from './dead-letters.ts';
import { DEATH_MS } from './transport.ts';
import type { ProgramRequest } from './transport.ts';
import { keptMembers, keptValues, serialiseMembersCall } from '../../xmlrpc/xmlrpc.ts';

export interface ProgramLineParts {
  /** Of the plugin. */
  readonly name: string;
  readonly inbox: QueueLimits;
  /** ms for one `notify`. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly deadLetters: Pick<DeadLetters, 'add'>;
  /** Calls the program. */
  readonly send: (request: ProgramRequest, timeoutMs: number) => Promise<Value>;
}

/** A message that was shifted from the line. */
interface Head {
  readonly message: Message;
  /** Times that the program ended at it. */
  deaths: number;
  redelivered: boolean;
}

const MAX_DEATHS = 5;

export class ProgramLine {
  readonly #parts: ProgramLineParts;
  readonly #line: BoundedQueue<Message>;
  readonly #count = { delivered: 0, failed: 0, refused: 0 };
  /** `deaf`: it takes no messages; `waiting`: it has no process that can take one; `closed`: it was stopped. */
  #phase: 'waiting' | 'open' | 'deaf' | 'closed' = 'waiting';
  /** They wait for another process that is to take the place of the one that is there. */
  #isHeld = false;
  /** Waits for the delivery that is under way to end. */
  #onIdle: (() => void) | undefined;
  #head: Head | undefined;
  /** The delivery that is under way; none once it was given up. */
  #delivery: object | undefined;
  /** For the pump, which never has it: the program's own answers drive it. */
  readonly isReady = false;
  isQueued = false;

  constructor(parts: ProgramLineParts) {
    this.#parts = parts;
    const { name, inbox, log } = parts;
    this.#line = new BoundedQueue<Message>({
      name,
      limits: inbox,
      bytesOf: heldBytes,
      sinceOf: ({ arrivedAt }) => arrivedAt,
      log,
    });
  }

  get name(): string {
    return this.#parts.name;
  }

  get counters(): LineCounters {
    const line = this.#line.status(this.#parts.clock.now());
    return { ...line, ...this.#count, waiting: line.waiting + (this.#head ? 1 : 0) };
  }

  /** Puts a message into the line; false if it takes none. */
  take(message: Message): boolean {
    if (this.#phase === 'closed') this.#count.refused++;
    if (this.#phase === 'deaf' || this.#phase === 'closed') return false;
    this.#line.push(message);
    this.#deliver();
    return true;
  }

  next(): void {
    this.#deliver();
  }

  /** From now on messages wait for the program that starts. */
  await(): void {
    if (this.#phase !== 'open') this.#phase = 'waiting';
  }

  /** The program is there, and takes messages if `receives`. */
  open(receives: boolean): void {
    const was = this.#phase;
    this.#phase = receives ? 'open' : 'deaf';
    const lost = receives ? 0 : this.#forget();
    if (lost > 0 && was === 'open')
      this.#parts.log.warn(`${lost} messages still waited for ${this.name}, which takes none any more; they are lost`);
    this.#deliver();
  }

  /** From now on messages collect; resolves when the delivery that is under way has ended or outlived its time limit. */
  hold(): Promise<void> {
    this.#isHeld = true;
    this.#parts.log.debug(`messages wait for the next version of ${this.name}`);
    return new Promise((resolve) => {
      if (this.#delivery) this.#onIdle = resolve;
      else resolve();
    });
  }

  /** Delivers again after {@link hold}. */
  release(): void {
    this.#isHeld = false;
    this.#deliver();
  }

  /** The program is gone; what it was at is delivered again. `isItsFault`: nobody made it end. True if a message is to blame. */
  ended(reason: string, isItsFault: boolean): boolean {
    if (this.#phase === 'open') this.#phase = 'waiting';
    const head = this.#head;
    if (!head || !this.#delivery) return false;
    this.#endDelivery();
    head.redelivered = true;
    if (!isItsFault) return false;
    if (++head.deaths >= MAX_DEATHS) this.#setAside(head, reason);
    return true;
  }

  /** It was stopped: what waits is lost. */
  close(): void {
    this.#phase = 'closed';
    const lost = this.#forget();
    if (lost > 0) this.#parts.log.warn(`${lost} messages still waited for ${this.name} when it was stopped; they are lost`);
  }

  #forget(): number {
    const inHand = this.#head && !this.#delivery ? 1 : 0;
    this.#head = undefined;
    this.#endDelivery();
    return this.#line.clear() + inHand;
  }

  #endDelivery(): void {
    this.#delivery = undefined;
    this.#onIdle?.();
    this.#onIdle = undefined;
  }

  #deliver(): void {
    if (this.#phase !== 'open' || this.#isHeld || this.#delivery) return;
    const message = this.#head ? undefined : this.#line.shift();
    if (message) this.#head = { message, deaths: 0, redelivered: false };
    if (this.#head) void this.#send(this.#head);
  }

  /** Never rejects. */
  async #send(head: Head): Promise<void> {
    const delivery = {};
    this.#delivery = delivery;
    const { clock, timeoutMs, send } = this.#parts;
    const failure = await send(notificationOf(head.message, clock.now(), head.redelivered), timeoutMs).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    if (this.#delivery !== delivery) return;
    if (failure && RelayError.is(failure.error) && failure.error.code === 'TRANSPORT') {
      clock.after(DEATH_MS, () => {
        if (this.#delivery === delivery) this.#settle(head.message, failure);
      });
    } else this.#settle(head.message, failure);
  }

  #settle({ id }: Message, failure: { readonly error: unknown } | undefined): void {
    const { log } = this.#parts;
    if (failure) {
      this.#count.failed++;
      log.error(`notify of ${clean(id)} failed: ${clean(reasonOf(failure.error))}`);
    } else {
      this.#count.delivered++;
      if (log.isDebugEnabled()) log.debug(`delivered ${clean(id)} to ${this.name}`);
    }
    this.#head = undefined;
    this.#endDelivery();
    this.#deliver();
  }

  #setAside({ message, deaths }: Head, reason: string): void {
    this.#head = undefined;
    this.#count.failed++;
    this.#parts.deadLetters.add({ satellite: this.name, message, deaths, reason });
    this.#parts.log.error(`${this.name} ended ${deaths} times at the message ${clean(message.id)}: it is set aside (plugin.dead_letters)`);
  }
}

/** The call by which a program gets `message` at `now` (the relay's clock). */
export function notificationOf(message: Message, now: number, redelivered: boolean): ProgramRequest {
  const { id, ageMs, arrivedAt, hostId, clientAddress, verdict } = message;
  const own: Readonly<Record<string, Sendable>> = {
    host_id: hostId,
    client_address: clientAddress,
    co2: { id, hops: hopsOf(message), age_ms: Math.round(ageMs + now - arrivedAt), redelivered, verdict },
  };
  return {
    method: 'notify',
    body: () => serialiseMembersCall('notify', keptMembers(message), own),
    // The door that hands them out writes them.
    params: () => [new Map([...keptValues(message, { i8: true }), ...Object.entries(own)])],
  };
}
