/** Refused dicts and registrations: counted, reported, and logged without flooding the log. */
import { describeCaller } from '../access/access.ts';
import { RateLimitedLog, RelayError } from '../core/core.ts';
import type { Clock, ErrorCode, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Caller } from '../rpc/rpc.ts';
import type { MessageEvent } from './message-events.ts';

/** Counts and reports refusals. */
export class RejectionLog {
  readonly #log: Log;
  readonly #warnings: RateLimitedLog;
  readonly #events: EventSink<MessageEvent>;
  readonly #count = { originRefused: 0, wrongTokens: 0 };
  readonly #byCode = new Map<ErrorCode, number>();

  constructor(log: Log, clock: Clock, events: EventSink<MessageEvent>) {
    this.#log = log;
    this.#warnings = new RateLimitedLog(log, clock);
    this.#events = events;
  }

  /**
   * Dicts whose sender may not speak for their host_id; dicts and unregistrations whose token does not belong to a satellite; refused dicts
   * and registrations by the code of their fault, those of wrong origin included.
   */
  get counters(): { originRefused: number; wrongTokens: number; refusedByCode: Partial<Record<ErrorCode, number>> } {
    return { ...this.#count, refusedByCode: Object.fromEntries(this.#byCode) };
  }

  /** Returns the result of `work`. A RelayError that it throws is recorded under `what` and rethrown. */
  recording<T>(caller: Caller, what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (RelayError.is(error)) this.#record(what, caller, error);
      throw error;
    }
  }

  wrongToken(caller: Caller): void {
    this.#count.wrongTokens++;
    this.#warnings.warn(`refused ${describeCaller(caller)}: its token does not belong to a satellite at this address`);
  }

  /** Logs every refusal at debug, with the id that the dict claims, and forged origins as a warning, once a second at most. */
  #record(what: string, caller: Caller, { code, message: reason }: RelayError): void {
    this.#byCode.set(code, (this.#byCode.get(code) ?? 0) + 1);
    if (this.#events.isWatched('message.refused'))
      this.#events.emit({ type: 'message.refused', what, caller: describeCaller(caller), code, reason });
    this.#log.debug(`refused ${what} from ${describeCaller(caller)}: ${reason}`);
    if (code !== 'ORIGIN_REFUSED') return;
    this.#count.originRefused++;
    this.#warnings.warn(`refused a dict from ${describeCaller(caller)}: ${reason}`);
  }
}
