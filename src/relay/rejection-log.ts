/** Refused dicts and registrations: counted, reported, and logged without flooding the log. */
import { describeCaller } from '../access/access.ts';
import { RateLimitedLog, RelayError, clean } from '../core/core.ts';
import type { Clock, ErrorCode, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { MAX_GENERATION } from '../mesh-core/mesh-core.ts';
import { hostPort, parseHostId } from '../message/message.ts';
import type { Caller } from '../rpc/rpc.ts';
import type { Satellites } from '../satellites/satellites.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import type { MessageEvent } from './message-events.ts';

// Each is a line of the log. A client that invents relays must not fill it.
const MAX_UNLISTED = 100;

/** Counts and reports refusals. */
export class RejectionLog {
  readonly #log: Log;
  readonly #warnings: RateLimitedLog;
  readonly #events: EventSink<MessageEvent>;
  readonly #unlisted = new Set<string>();
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
      if (RelayError.is(error)) this.#record(what, describeCaller(caller), error);
      throw error;
    }
  }

  /** Records a dict that a node of the mesh sent and that is refused. */
  ofNode(node: string, refusal: RelayError): void {
    this.#record('a dict', `node ${node}`, refusal);
  }

  /** Records that a satellite answers what was sent in answer to it, again and again. Returns the error for it. */
  loop(satellite: string): RelayError {
    const text = `${MAX_GENERATION} messages in a row were sent in answer to one another, so this one is not sent: do satellites answer each other's answers?`;
    const error = new RelayError('LIMIT', text);
    this.#record('a dict', satellite, error);
    this.#warnings.warn(`refused a dict of ${clean(satellite)}: ${text}`);
    return error;
  }

  wrongToken(caller: Caller): void {
    this.#count.wrongTokens++;
    this.#warnings.warn(`refused ${describeCaller(caller)}: its token does not belong to a satellite at this address`);
  }

  /**
   * Warns once of a relay that sends as a peer and is neither in `peers` nor a satellite: its dicts arrive, but nothing goes back. `co2` is
   * the stamp, which is not believed.
   */
  unlistedRelay(co2: Value, { address, isPeer, role }: Caller, satellites: Pick<Satellites, 'byEndpoint'>): void {
    const { by } = isDict(co2) ? co2 : {};
    if (isPeer || role.kind === 'satellite' || typeof by !== 'string' || this.#unlisted.has(by)) return;
    const host = parseHostId(by);
    // Anybody may write a stamp; one of another address is not that relay's own.
    if (host?.address !== address || this.#unlisted.size >= MAX_UNLISTED) return;
    // The address alone does not give the role 'satellite' to one that was registered with a token.
    if (satellites.byEndpoint(host.address, host.port) !== undefined) return;
    this.#unlisted.add(by);
    const place = hostPort(host.address, host.port);
    this.#log.warn(
      `relay ${clean(by)} sends to this relay, but is not one of its peers, so it gets nothing back; add http://${place} to peers`,
    );
  }

  /** Logs every refusal at debug, with the id that the dict claims, and forged origins as a warning, once a second at most. */
  #record(what: string, caller: string, { code, message: reason }: RelayError): void {
    this.#byCode.set(code, (this.#byCode.get(code) ?? 0) + 1);
    if (this.#events.isWatched('message.refused')) this.#events.emit({ type: 'message.refused', what, caller, code, reason });
    this.#log.debug(`refused ${what} from ${caller}: ${reason}`);
    if (code !== 'ORIGIN_REFUSED') return;
    this.#count.originRefused++;
    this.#warnings.warn(`refused a dict from ${caller}: ${reason}`);
  }
}
