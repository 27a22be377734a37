/**
 * The dicts that have arrived over the mesh and cannot be delivered at this moment: before all satellites are ready, and while nothing more
 * can be stored for one of them. The mesh keeps the durable ones on disk until they are processed.
 */
import { Fifo, RateLimitedLog, RelayError, isPromise } from '../core/core.ts';
import type { Clock, Log, MaybePromise } from '../core/core.ts';
import type { MeshArrival } from '../mesh/mesh.ts';
import type { ProcessingOutcome } from '../mesh-core/mesh-core.ts';

/** Takes an arrival. Throws, or rejects with, a RelayError if it is to be tried again. */
export type ProcessArrival = (arrival: MeshArrival) => MaybePromise<ProcessingOutcome>;

interface Waiting {
  readonly arrival: MeshArrival;
  readonly since: number;
  readonly settle: (outcome: ProcessingOutcome) => void;
  readonly fail: (error: unknown) => void;
}

// What waits in memory; it is as much as the mesh keeps in memory of its own.
const MAX_WAITING_BYTES = 64 * 2 ** 20;
const AGAIN_MS = 1000;

/** See the head of this file. Dicts that wait are delivered in the order in which they arrived. */
export class Arrivals {
  readonly #clock: Clock;
  readonly #warnings: RateLimitedLog;
  readonly #process: ProcessArrival;
  #state: 'starting' | 'open' | 'closed' = 'starting';
  readonly #waiting = new Fifo<Waiting>();
  #waitingBytes = 0;
  #isWorking = false;
  #cancelPause: (() => void) | undefined;

  constructor(clock: Clock, log: Log, process: ProcessArrival) {
    this.#clock = clock;
    this.#warnings = new RateLimitedLog(log, clock);
    this.#process = process;
  }

  /** Delivers what has arrived, and what arrives from now on. */
  open(): void {
    if (this.#state !== 'starting') return;
    this.#state = 'open';
    void this.#work(0);
  }

  /** From now on, arrivals stay unprocessed, so that the mesh brings the durable ones again after the next start. */
  close(): void {
    this.#state = 'closed';
    this.#cancelPause?.();
  }

  /** Processes an arrival as soon as that is possible. */
  take(arrival: MeshArrival): MaybePromise<ProcessingOutcome> {
    if (this.#state === 'closed') return unprocessed();
    const { isDurable } = arrival.head;
    if (this.#state === 'starting' || (isDurable && this.#waiting.length > 0)) return this.#enqueue(arrival);
    const failed = (error: unknown): Promise<ProcessingOutcome> => {
      if (!RelayError.is(error) || !isDurable) throw error;
      const outcome = this.#enqueue(arrival);
      void this.#work(error.retryAfterMs ?? AGAIN_MS);
      return outcome;
    };
    try {
      const outcome = this.#process(arrival);
      return isPromise(outcome) ? outcome.catch(failed) : outcome;
    } catch (error) {
      return failed(error);
    }
  }

  #enqueue(arrival: MeshArrival): Promise<ProcessingOutcome> {
    const { length } = arrival.payload;
    if (this.#waiting.length > 0 && this.#waitingBytes + length > MAX_WAITING_BYTES) {
      this.#warnings.warn('dicts of other nodes stay on disk until the next start of this relay: too many wait for a durable satellite');
      return unprocessed();
    }
    this.#waitingBytes += length;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ arrival, since: this.#clock.now(), settle: resolve, fail: reject });
    });
  }

  /** Processes what waits, the oldest first, after a pause of `pauseMs`. Never rejects. */
  async #work(pauseMs: number): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    let pause = pauseMs;
    for (let next = this.#waiting.at(this.#waiting.first); next; next = this.#waiting.at(this.#waiting.first)) {
      if (pause > 0) await this.#pause(pause);
      if (this.#state === 'closed') return;
      const { arrival, since, settle, fail } = next;
      const ageMs = arrival.ageMs + this.#clock.now() - since;
      pause = 0;
      try {
        settle(await this.#process({ ...arrival, ageMs }));
      } catch (error) {
        if (RelayError.is(error) && arrival.head.isDurable && ageMs < arrival.head.ttlMs) {
          pause = error.retryAfterMs ?? AGAIN_MS;
          continue;
        }
        fail(error);
      }
      this.#waiting.shift();
      this.#waitingBytes -= arrival.payload.length;
    }
    this.#isWorking = false;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#cancelPause = this.#clock.after(ms, resolve);
    });
  }
}

/** The outcome of what stays unprocessed; one promise each, since it would keep everything that waits for it. */
function unprocessed(): Promise<never> {
  return new Promise(() => undefined);
}
