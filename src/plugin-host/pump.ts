/**
 * Drives the inboxes of all satellites of this process in turn, with one `setImmediate` at a time, so that neither satellites nor I/O
 * starve.
 */
import { Fifo } from '../core/core.ts';
import type { LastReading } from '../core/core.ts';
import type { Inbox } from './hosted/hosted.ts';

/** Deliveries before I/O gets its turn: with synchronous satellites some milliseconds at most. */
const DELIVERIES_PER_TURN = 1000;
/** Turns that `settle` waits for at most, in case two satellites answer each other forever. */
const LAST_TURNS = 20;
/** ms after which a turn ends in any case; a client that waits for an answer does not notice such a delay. */
const TURN_MS = 10;

export class Pump {
  readonly #clock: LastReading;
  readonly #ready = new Fifo<Inbox>();
  #scheduled: NodeJS.Immediate | undefined;

  /** Deliveries read the clock when they end, so the pump need not. */
  constructor(clock: LastReading) {
    this.#clock = clock;
  }

  /** Schedules a delivery of the inbox for a later turn of the event loop, so that the sender is answered first. */
  readonly wake = (inbox: Inbox): void => {
    if (!inbox.isScheduled) {
      inbox.isScheduled = true;
      this.#ready.push(inbox);
    }
    this.#scheduled ??= setImmediate(this.#turn);
  };

  /** Waits until satellites that are not busy with an earlier message have received the queued ones. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < LAST_TURNS && this.#scheduled; turn++) await new Promise(setImmediate);
  }

  readonly #turn = (): void => {
    this.#scheduled = undefined;
    const end = this.#clock.now() + TURN_MS;
    for (let deliveries = 0; deliveries < DELIVERIES_PER_TURN; deliveries++) {
      const inbox = this.#ready.shift();
      if (!inbox) return;
      inbox.isScheduled = false;
      inbox.next(this.#clock.last);
      if (inbox.isReady) this.wake(inbox);
      if (this.#clock.last > end) break;
    }
    if (this.#ready.length > 0) this.#scheduled ??= setImmediate(this.#turn);
  };
}
