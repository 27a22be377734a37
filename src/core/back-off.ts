/** Exponential back-off with jitter: how long to wait before the next attempt. */

/** The parameters of a back-off. */
export interface BackOff {
  /** Upper limit of the first delay. */
  readonly firstMs: number;
  /** Factor by which the limit grows with each attempt. */
  readonly factor: number;
  /** The limit never grows beyond this. */
  readonly maxMs: number;
  /**
   * Random share of a delay, 0 to 1: at 1 a delay is anything from 0 to its limit, so that many clients do not retry at the same moment.
   */
  readonly jitter: number;
}

/** The delay in whole ms before the next attempt. `attempt` is 0 for the first delay; `random` is uniform in [0, 1). */
export function nextDelay(attempt: number, { firstMs, factor, maxMs, jitter }: BackOff, random: () => number): number {
  const limitMs = Math.min(maxMs, firstMs * factor ** attempt);
  return Math.round(limitMs * (1 - jitter + jitter * random()));
}
