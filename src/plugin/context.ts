/** What a satellite is told beside the dict. A class, so that a decorated signature may name it. */
import type { Verdict } from '../message/message.ts';

/** The stamp of the dict that `receive` was called with. */
export abstract class Context {
  /** The same at every relay and for every satellite that gets this dict. */
  abstract readonly id: string;
  /** Relays that forwarded it before ours; 0 for a dict that was sent or notified here. */
  abstract readonly hops: number;
  /** ms since it was sent. */
  abstract readonly ageMs: number;
  /** True if it may have been delivered to this satellite before. */
  abstract readonly redelivered: boolean;
  /** What is known of its `host_id`: see {@link Verdict}. */
  abstract readonly verdict: Verdict;
  /** Aborted when the relay stops, or when `receive` outlives its time limit. */
  abstract readonly signal: AbortSignal;
}
