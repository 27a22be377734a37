/** What the pings of one satellite amount to, and what to do when the next is due. Pure. */

/** Statistics since the registration; times in ms. */
export interface Pings {
  /** Of the last answer; -1 as long as there was none, as for min, max and avg. */
  readonly current: number;
  /** Answered pings. */
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly avg: number;
  /** Failures in a row. */
  readonly fails: number;
}

export const NO_PINGS: Pings = { current: -1, count: 0, min: -1, max: -1, avg: -1, fails: 0 };

/** After a ping that was answered in `ms`. */
export function afterAnswer({ count, min, max, avg }: Pings, ms: number): Pings {
  if (count === 0) return { current: ms, count: 1, min: ms, max: ms, avg: ms, fails: 0 };
  return { current: ms, count: count + 1, min: Math.min(min, ms), max: Math.max(max, ms), avg: avg + (ms - avg) / (count + 1), fails: 0 };
}

/** After a ping, or a whole interval, without an answer. */
export function afterFailure(pings: Pings): Pings {
  return { ...pings, fails: pings.fails + 1 };
}

/** After a notify that was answered: a sign of life as good as a ping's. */
export function afterSign(pings: Pings): Pings {
  return pings.fails === 0 ? pings : { ...pings, fails: 0 };
}

/** What happened to the dicts of a satellite since the last ping was due. */
export interface Interval {
  /** A dict is on its way now: a ping would only wait behind it. */
  readonly isBusy: boolean;
  readonly answered: boolean;
  readonly failed: boolean;
}

/** What to do when a ping is due. A busy link that failed and never succeeded in the interval is a failure; what is simply slow is not judged yet. */
export function whenDue({ isBusy, answered, failed }: Interval): 'ping' | 'failure' | 'nothing' {
  if (!isBusy) return 'ping';
  return failed && !answered ? 'failure' : 'nothing';
}
