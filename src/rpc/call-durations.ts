/** How long calls take, as one histogram for each method, cheap enough to be updated by every call. */

/** Upper bounds of the buckets in ms. From less than a turn of the event loop to half of the default `callTimeoutMs`. */
export const DURATION_BOUNDS_MS: readonly number[] = [0.5, 1, 5, 10, 50, 100, 500, 1_000, 5_000, 30_000];

/** The name under which calls are counted that have no histogram of their own. */
export const OTHER_METHODS = '(other)';

// Protects the monitoring system: each histogram is 13 time series there. A relay with the bundled plugins has about 80 methods.
const MAX_METHODS = 200;

/** The calls of one method since the relay started, or since it was last without this method. */
export interface CallDurations {
  readonly method: string;
  /** Calls by the first of {@link DURATION_BOUNDS_MS} that they did not exceed; the last element counts those over all bounds. */
  readonly buckets: readonly number[];
  /** Sum of the durations in ms. */
  readonly totalMs: number;
}

interface Histogram {
  readonly buckets: number[];
  totalMs: number;
}

export class CallTimes {
  readonly #byMethod = new Map<string, Histogram>();

  /** Counts a call of a registered method. */
  record(method: string, ms: number): void {
    const histogram = this.#byMethod.get(method) ?? this.#add(method);
    let bucket = 0;
    while (bucket < DURATION_BOUNDS_MS.length && ms > (DURATION_BOUNDS_MS[bucket] ?? 0)) bucket++;
    histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1;
    histogram.totalMs += ms;
  }

  /** Makes room for new methods: forgets those that are no longer registered, but only if there is no room. */
  makeRoom(isRegistered: (method: string) => boolean): void {
    if (this.#byMethod.size < MAX_METHODS) return;
    for (const method of this.#byMethod.keys()) if (method !== OTHER_METHODS && !isRegistered(method)) this.#byMethod.delete(method);
  }

  /** All histograms, in order of the first call. */
  list(): readonly CallDurations[] {
    return [...this.#byMethod].map(([method, { buckets, totalMs }]) => ({ method, buckets: [...buckets], totalMs }));
  }

  #add(method: string): Histogram {
    const name = this.#byMethod.size < MAX_METHODS ? method : OTHER_METHODS;
    const known = this.#byMethod.get(name);
    if (known) return known;
    const histogram: Histogram = { buckets: new Array<number>(DURATION_BOUNDS_MS.length + 1).fill(0), totalMs: 0 };
    this.#byMethod.set(name, histogram);
    return histogram;
  }
}
