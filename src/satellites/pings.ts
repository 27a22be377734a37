/** Ping statistics of one satellite, and the decision what to do when the next ping is due. */

/** Statistics since the registration; times in ms. */
export interface Pings {
  /** The time of the last answer. Like min, max and avg, -1 until there is one. */
  readonly current: number;
  /** Number of answered pings. */
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly avg: number;
  /** Failures in a row. */
  readonly fails: number;
}

/** The statistics before the first ping. */
export const NO_PINGS: Pings = { current: -1, count: 0, min: -1, max: -1, avg: -1, fails: 0 };

/** The statistics after a ping that was answered in `ms`. */
export function afterAnswer({ count, min, max, avg }: Pings, ms: number): Pings {
  if (count === 0) return { current: ms, count: 1, min: ms, max: ms, avg: ms, fails: 0 };
  return { current: ms, count: count + 1, min: Math.min(min, ms), max: Math.max(max, ms), avg: avg + (ms - avg) / (count + 1), fails: 0 };
}

/** The statistics after a ping, or a whole interval, without an answer. */
export function afterFailure(pings: Pings): Pings {
  return { ...pings, fails: pings.fails + 1 };
}

/** The statistics after an answered notify, which is as good a sign of life as a ping. */
export function afterSign(pings: Pings): Pings {
  return pings.fails === 0 ? pings : { ...pings, fails: 0 };
}

/** What has happened to a satellite's dicts since the last ping was due. */
export interface Interval {
  /** True if a request is in progress, behind which a ping would only wait. */
  readonly isBusy: boolean;
  readonly answered: boolean;
  readonly failed: boolean;
}

/** What to do when a ping is due. A busy link that failed and never succeeded in the interval counts as a failure; a slow one does not. */
export function whenDue({ isBusy, answered, failed }: Interval): 'ping' | 'failure' | 'nothing' {
  if (!isBusy) return 'ping';
  return failed && !answered ? 'failure' : 'nothing';
}
