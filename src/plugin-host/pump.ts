/** Drives all receivers of the host with one `setImmediate` at a time, in turn, so that no satellite and no I/O starves. */
import { Fifo } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { SatelliteLine } from './hosted/hosted.ts';

/** Calls of `receive` before I/O gets its turn: with synchronous receivers some milliseconds at most. */
const CALLS_PER_TURN = 1000;
/** Turns that `settle` waits at most: ends the talk of two satellites that answer each other for ever. */
const LAST_TURNS = 20;
/** ms after which a turn ends anyway: what a client that waits for an answer does not notice. */
const TURN_MS = 10;

export class Pump {
  readonly #clock: Clock;
  readonly #ready = new Fifo<SatelliteLine>();
  #scheduled: NodeJS.Immediate | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Has the receiver called in a later turn of the event loop, never now: who delivers answers its own caller first. */
  wake(receiver: SatelliteLine): void {
    if (!receiver.isQueued) {
      receiver.isQueued = true;
      this.#ready.push(receiver);
    }
    this.#scheduled ??= setImmediate(() => {
      this.#turn();
    });
  }

  /** Lets what waits be received by those who are not busy with an earlier message. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < LAST_TURNS && this.#scheduled; turn++) await new Promise(setImmediate);
  }

  #turn(): void {
    this.#scheduled = undefined;
    const end = this.#clock.now() + TURN_MS;
    for (let calls = 0; calls < CALLS_PER_TURN; calls++) {
      const receiver = this.#ready.shift();
      if (!receiver) return;
      receiver.isQueued = false;
      receiver.next();
      if (receiver.isReady) this.wake(receiver);
      if (this.#clock.now() > end) break;
    }
    if (this.#ready.length > 0) {
      this.#scheduled ??= setImmediate(() => {
        this.#turn();
      });
    }
  }
}
