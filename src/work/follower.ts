/** Follows the units that one other node runs for this one, as long as there are any, and notices when it is not heard of any more. */
import { nextDelay, reasonOf } from '../core/core.ts';
import type { BackOff, Clock, Log } from '../core/core.ts';
import type { Value } from '../values/values.ts';
import { readChanges } from './node-wire.ts';
import type { ReadChanges } from './node-wire.ts';

export interface FollowerParts {
  /** Names the node in the log. */
  readonly node: string;
  /** Asks the node for changes since a cursor, and waits for them there. */
  readonly ask: (after: string, waitMs: number, timeoutMs: number, signal: AbortSignal) => Promise<Value>;
  /** False while there is no path to the node. */
  readonly isReachable: () => boolean;
  /** False once nothing more is expected of the node. */
  readonly isNeeded: () => boolean;
  /** Takes what the node said. */
  readonly take: (changes: ReadChanges) => Promise<void>;
  /** Called every second with when the node was heard of last. Returns true if the node is to tell of all units again. */
  readonly check: (heardAt: number) => boolean;
  /** Called once it has ended, because it is not needed any more or was stopped. */
  readonly onEnd: () => void;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

const POLL_MS = 10_000;
const TIMEOUT_MS = 15_000;
const CHECK_MS = 1_000;
// A check that comes later shows that this relay was suspended or blocked: the silence is its own fault.
const LAG_MS = 2_000;
const BACK_OFF: BackOff = { firstMs: 250, factor: 2, maxMs: 5_000, jitter: 0.5 };

/** See the head of this file. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #stopping = new AbortController();
  #heardAt: number;
  #cursor = '';
  #isAllWanted = true;
  #wake = (): void => undefined;
  #cancelCheck = (): void => undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#heardAt = parts.clock.now();
    this.#checkLater();
    void this.#run();
  }

  /** Something may be there to ask for now. */
  wake(): void {
    this.#wake();
  }

  stop(): void {
    this.#stopping.abort();
    this.#wake();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { isReachable, isNeeded, onEnd } = this.#parts;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted && isNeeded();) {
      if (!isReachable()) await this.#pause(CHECK_MS);
      else if (await this.#ask(failures > 0)) failures = 0;
      else await this.#pause(nextDelay(failures++, BACK_OFF, this.#parts.random));
    }
    this.#cancelCheck();
    onEnd();
  }

  /** Asks once. Resolves to false if that failed. */
  async #ask(isRetry: boolean): Promise<boolean> {
    const { ask, take, date, clock, log, node } = this.#parts;
    const { signal } = this.#stopping;
    if (this.#isAllWanted) this.#cursor = '';
    this.#isAllWanted = false;
    try {
      const changes = readChanges(await ask(this.#cursor, isRetry ? 0 : POLL_MS, TIMEOUT_MS, signal), date());
      this.#heardAt = clock.now();
      await take(changes);
      this.#cursor = changes.next;
      return true;
    } catch (error) {
      if (!signal.aborted && log.isDebugEnabled()) log.debug(`node ${node} does not tell about its units: ${reasonOf(error)}`);
      return false;
    }
  }

  #checkLater(): void {
    const { clock, check } = this.#parts;
    const due = clock.now() + CHECK_MS;
    this.#cancelCheck = clock.after(CHECK_MS, () => {
      if (clock.now() - due > LAG_MS) this.#heardAt = clock.now();
      else if (check(this.#heardAt)) this.#isAllWanted = true;
      this.#checkLater();
    });
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancelTimer = this.#parts.clock.after(ms, resolve);
      this.#wake = () => {
        cancelTimer();
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}
