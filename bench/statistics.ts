/** Medians and percentiles, and how long something takes. */

/** The value below which `part` (0 to 1) of the values lie; NaN of none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

// Until V8 has compiled what is measured, on a machine that has other things to do.
const WARM_UP_MS = 400;

/** One way to do the same work. */
export interface Contender {
  readonly name: string;
  readonly work: () => unknown;
}

/**
 * Microseconds of one turn of each contender's work, as medians of `rounds`: in each they take turns of `ms`, so that what else the machine
 * does
 * hits all alike.
 */
export async function timeEach(contenders: readonly Contender[], rounds: number, ms: number): Promise<ReadonlyMap<string, number>> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (const { work } of contenders) await timeFor(work, WARM_UP_MS);
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
    // A promise only where there must be one: awaiting costs as much as reading a small call.
    const result = work();
    if (result instanceof Promise) await result;
    turns++;
  }
  return ((now - start) * 1000) / turns;
}
