/** Medians, percentiles, and measuring how long something takes. */

/** The value below which `part` (0 to 1) of the values lie; NaN for an empty list. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  /** ms for each contender in each round. */
  readonly ms: number;
  /** ms of each contender before the first round, until V8 has compiled what is measured. */
  readonly warmUpMs: number;
}

/** One way to do the same work. */
export interface Contender {
  readonly name: string;
  readonly work: () => unknown;
}

/**
 * Microseconds for one run of each contender's work, as medians over `rounds`: in each round the contenders take turns of `ms`, so that
 * other load on the machine affects all alike.
 */
export async function timeEach(contenders: readonly Contender[], { rounds, ms, warmUpMs }: Effort): Promise<ReadonlyMap<string, number>> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (const { work } of contenders) await timeFor(work, warmUpMs);
  for (let round = 0; round < rounds; round++) {
    for (const { name, work } of contenders) times.get(name)?.push(await timeFor(work, ms));
  }
  return new Map([...times].map(([name, all]) => [name, median(all)]));
}

async function timeFor(work: () => unknown, ms: number): Promise<number> {
  const start = performance.now();
  let turns = 0;
  let now = start;
  for (; now < start + ms; now = performance.now()) {
    // Awaits only if there is a promise: awaiting costs as much as parsing a small call.
    const result = work();
    if (result instanceof Promise) await result;
    turns++;
  }
  return ((now - start) * 1000) / turns;
}
