/** `co2 bench`: measures how many round trips and dicts per second a running relay handles. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RemoteFault } from '../client/internal.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { nameOf } from './find-relay.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { toJson, toText } from './values.ts';

/** The flags of `co2 bench`. */
export interface BenchFlags extends TargetFlags {
  /** The duration of each measurement. */
  readonly seconds: number;
  readonly dicts?: boolean;
}

interface Rate {
  readonly count: number;
  readonly per_second: number;
  /** The latency of a call in ms: median and 99th percentile. */
  readonly p50_ms: number;
  readonly p99_ms: number;
}

// The number of dicts in one batch.
const BATCH = 100;
// The fault code of a rate limit, the pause until the relay accepts calls again, and the number of calls that make a rate meaningful.
const RATE_LIMITED = 429;
const LIMIT_PAUSE_MS = 1_100;
const ENOUGH_CALLS = 5;
// Protects the memory of this process during a long measurement; the times of later calls are not recorded.
const MAX_TIMES = 1_000_000;

/** Measures sequential calls, then dicts sent singly and in batches, and prints the rates. Rejects like a call. */
export async function bench(flags: BenchFlags): Promise<void> {
  const { at, results } = await withRelay(flags, async (call, url) => {
    const dict = { data: 'co2 bench' };
    const batch = Array.from({ length: BATCH }, () => ({ methodName: 'notify', params: [dict] }));
    // The first call connects.
    await call('ping');
    return {
      at: nameOf(url),
      results: {
        round_trips: await measure(flags.seconds, 1, () => call('ping')),
        ...(flags.dicts === false
          ? {}
          : {
              dicts: await measure(flags.seconds, 1, () => call('notify', dict)),
              batched_dicts: await measure(flags.seconds, BATCH, () => submit(call, batch)),
            }),
      },
    };
  });
  if (flags.json === true) {
    process.stdout.write(`${toJson({ url: at, ...results })}\n`);
    return;
  }
  const lines = Object.entries(results).map(
    ([name, { per_second: rate, p50_ms: p50, p99_ms: p99 }]) =>
      `${name.replace('_', ' ').padEnd(14)} ${String(rate).padStart(8)}/s   median ${p50} ms, 99% within ${p99} ms`,
  );
  process.stdout.write(`${at}, one call at a time over one connection; batches of ${BATCH} dicts\n${lines.join('\n')}\n`);
}

/** Submits the dicts; throws the first fault among the results. */
async function submit(call: Call, batch: Sendable): Promise<void> {
  const answers = await call('system.multicall', batch);
  const fault = Array.isArray(answers) ? answers.find((answer: Value) => isDict(answer)) : undefined;
  if (isDict(fault)) throw new RemoteFault(Number(fault.faultCode), toText(fault.faultString ?? ''));
}

/** Handles the fault of a rate limit: ends the measurement early, or waits if the measurement has hardly begun. */
async function measure(seconds: number, each: number, work: () => Promise<unknown>): Promise<Rate> {
  let times: number[] = [];
  let begin = performance.now();
  let now = begin;
  let count = 0;
  for (let calls = 0; calls === 0 || now - begin < seconds * 1000;) {
    try {
      await work();
    } catch (error) {
      if (!RemoteFault.is(error) || error.code !== RATE_LIMITED) throw error;
      if (calls >= ENOUGH_CALLS) break;
      await sleep(LIMIT_PAUSE_MS);
      [times, calls, begin, now] = [[], 0, performance.now(), performance.now()];
      continue;
    }
    const end = performance.now();
    if (times.length < MAX_TIMES) times.push(end - now);
    now = end;
    calls++;
    count = calls * each;
  }
  times.sort((a, b) => a - b);
  const at = (part: number): number => Math.round((times[Math.floor(part * (times.length - 1))] ?? 0) * 1000) / 1000;
  return { count, per_second: Math.round((count * 1000) / (now - begin)), p50_ms: at(0.5), p99_ms: at(0.99) };
}
