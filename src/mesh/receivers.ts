/** Who takes the messages that arrive at this node, by their content type. */
import { Fifo, clean, isPromise, reasonOf } from '../core/core.ts';
import type { MaybePromise } from '../core/core.ts';
import type { ProcessingOutcome } from '../mesh-core/mesh-core.ts';
import { BUNDLE, MAX_PARTS, readBundle } from './bundle.ts';
import type { MeshArrival, MeshReceiver } from './port.ts';

// What is taken in one turn of the event loop, so that inboxes, which hold a thousand messages, are emptied in between.
const PER_TURN = 2 * MAX_PARTS;

/** See the head of this file. */
export class Receivers {
  readonly #byType = new Map<string, MeshReceiver>();
  readonly #waiting = new Fifo<{ readonly arrival: MeshArrival; readonly taken: (outcome: MaybePromise<ProcessingOutcome>) => void }>();
  /** Messages that were taken in the present turn of the event loop. */
  #taken = 0;
  #isScheduled = false;

  set(contentType: string, receiver: MeshReceiver): void {
    this.#byType.set(contentType, receiver);
  }

  /**
   * What becomes of a message, once those before it are taken. Never throws nor rejects: what a receiver throws rejects the message. Most
   * are taken at once, but a disk may bring thousands together.
   */
  take(arrival: MeshArrival): MaybePromise<ProcessingOutcome> {
    if (this.#waiting.length === 0 && this.#taken < PER_TURN) return this.#takeNow(arrival);
    this.#schedule();
    return new Promise((taken) => {
      this.#waiting.push({ arrival, taken });
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#taken = 0;
      for (let next = this.#waiting.shift(); next; next = this.#taken < PER_TURN ? this.#waiting.shift() : undefined)
        next.taken(this.#takeNow(next.arrival));
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #takeNow(arrival: MeshArrival): MaybePromise<ProcessingOutcome> {
    try {
      const outcome = arrival.head.contentType === BUNDLE ? this.#takeParts(arrival) : this.#takeOne(arrival);
      return isPromise(outcome) ? outcome.catch((error: unknown) => rejected(reasonOf(error))) : outcome;
    } catch (error) {
      return rejected(reasonOf(error));
    }
  }

  #takeOne(arrival: MeshArrival): MaybePromise<ProcessingOutcome> {
    this.#taken++;
    this.#schedule();
    const { contentType } = arrival.head;
    const receiver = this.#byType.get(contentType);
    return receiver ? receiver(arrival) : rejected(`this relay does not know messages of the kind ${clean(contentType, 60)}`);
  }

  /** Takes each message of a bundle. Nobody asks what becomes of the single ones: they are for all nodes. */
  #takeParts({ head, payload, ageMs, via, isRedelivered }: MeshArrival): MaybePromise<ProcessingOutcome> {
    const { contentType, parts } = readBundle(payload);
    if (contentType === BUNDLE) return rejected('a bundle is in another one');
    const slow: Promise<unknown>[] = [];
    for (const { ref, payload } of parts) {
      const part = { head: { ...head, contentType, ref }, payload, ageMs, via, isRedelivered };
      const outcome = this.#takeNow(part);
      if (isPromise(outcome)) slow.push(outcome);
    }
    return slow.length === 0 ? DONE : Promise.all(slow).then(() => DONE);
  }
}

const DONE: ProcessingOutcome = { type: 'done' };

function rejected(reason: string): ProcessingOutcome {
  return { type: 'rejected', reason };
}
