/** The context of a delivery. A class, so that a decorated signature may name it. */
import type { Verdict } from '../message/message.ts';

/** What the relay knows about the dict that `receive` was called with. */
export abstract class Context {
  /** The same at every relay and for every satellite that gets this dict. */
  abstract readonly id: string;
  /** How many relays forwarded it before this one. 0 for a dict that was sent or submitted here. */
  abstract readonly hops: number;
  /** ms since it was sent. */
  abstract readonly ageMs: number;
  /** True if it may have been delivered to this satellite before. */
  abstract readonly redelivered: boolean;
  /** What is known about its `host_id`; see {@link Verdict}. */
  abstract readonly verdict: Verdict;
  /** Aborted when the relay stops, or when `receive` exceeds its time limit. */
  abstract readonly signal: AbortSignal;
}
