/** What the relay refuses of dicts and satellites: counted, and logged without flooding the log. */
import { RelayError, RateLimitedLog } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { describeCaller } from '../access/access.ts';
import type { Caller } from './caller.ts';

export class Refusals {
  readonly #log: Log;
  readonly #warnings: RateLimitedLog;
  readonly #count = { originRefused: 0, wrongTokens: 0 };

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#warnings = new RateLimitedLog(log, clock);
  }

  /** Dicts whose sender might not speak for their host_id; dicts and farewells with a token that names no satellite. */
  get counters(): { originRefused: number; wrongTokens: number } {
    return { ...this.#count };
  }

  /** What `work` answers; the RelayError that it throws is counted and logged under `what`, and thrown on. */
  noting<T>(caller: Caller, what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (RelayError.is(error)) this.#note(what, caller, error);
      throw error;
    }
  }

  wrongToken(caller: Caller): void {
    this.#count.wrongTokens++;
    this.#warnings.warn(`refused ${describeCaller(caller)}: its token names no satellite there`);
  }

  /** Every refusal at debug, under the id that the dict claims; forged origins also as a warning, once a second at most. */
  #note(what: string, caller: Caller, error: RelayError): void {
    this.#log.debug(`refused ${what} of ${describeCaller(caller)}: ${error.message}`);
    if (error.code !== 'ORIGIN_REFUSED') return;
    this.#count.originRefused++;
    this.#warnings.warn(`refused a dict of ${describeCaller(caller)}: ${error.message}`);
  }
}
