/** The counters of a relay, collected from its parts. */
import type { ErrorCode } from '../core/core.ts';
import type { Dispatcher } from '../rpc/rpc.ts';
import type { RejectionLog } from './rejection-log.ts';
import type { Router } from './router.ts';

/** Counters since the start. */
export interface RelayStatus {
  readonly accepted: number;
  readonly sent: number;
  readonly duplicates: number;
  /** Dicts whose sender may not speak for their host_id. */
  readonly originRefused: number;
  /** Refused dicts and registrations by the code of their fault, `originRefused` included; not what hooks refused. */
  readonly refusedByCode: Readonly<Partial<Record<ErrorCode, number>>>;
  /** Calls over the limit of their caller. */
  readonly rateLimited: number;
  /** Dicts and unregistrations whose token does not belong to a satellite. */
  readonly wrongTokens: number;
  /** Dicts that hooks of relay plugins refused. */
  readonly refusedByHooks: number;
  /** Dicts that hooks let pass to satellites but not to peers. */
  readonly heldBack: number;
  /** Dicts that wait for hooks now. */
  readonly hooksWaiting: number;
  /** Dicts that were refused because too many waited for hooks. */
  readonly hooksOverflowed: number;
}

/** The counters as they are now. */
export function relayStatus({
  router,
  rejections,
  dispatcher,
}: {
  readonly router: Pick<Router, 'counters'>;
  readonly rejections: Pick<RejectionLog, 'counters'>;
  readonly dispatcher: Pick<Dispatcher, 'rateLimited'>;
}): RelayStatus {
  return { ...router.counters, ...rejections.counters, rateLimited: dispatcher.rateLimited };
}
