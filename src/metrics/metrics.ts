/**
 * The response to a Prometheus scrape: the counters of a relay, read at the time of the scrape, and those of its process. Nothing is loaded
 * or measured before the first scrape.
 */
import type { Histogram, Registry } from 'prom-client';
import { DURATION_BOUNDS_MS } from '../rpc/rpc.ts';
import type { CallDurations } from '../rpc/rpc.ts';
import { CALL_DURATION, TABLE } from './table.ts';
import type { Snapshot } from './table.ts';

export type { Snapshot } from './table.ts';

/** The media type of {@link metricsText}. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The metrics of a relay and of the process that it runs in, in the text format of Prometheus. */
export async function metricsText(snapshot: Snapshot): Promise<string> {
  const { Counter, Gauge, Registry } = await load();
  // Each scrape uses a new registry, so that removed plugins and peers leave no stale series.
  const registry = new Registry();
  for (const { name, type, help, labels, samples } of TABLE) {
    const configuration = { name, help, labelNames: labels, registers: [registry] };
    const metric = type === 'counter' ? new Counter(configuration) : new Gauge(configuration);
    for (const [value, labelled = {}] of samples(snapshot)) metric.inc(labelled, value);
  }
  registry.registerMetric(callDurations(snapshot.calls.durations));
  const [own, process] = await Promise.all([registry.metrics(), (await processRegistry()).metrics()]);
  return `${own}\n${process}`;
}

let loading: ReturnType<typeof importClient> | undefined;

function load(): ReturnType<typeof importClient> {
  return (loading ??= importClient());
}

function importClient() {
  return import('prom-client');
}

let processMetrics: Promise<Registry> | undefined;

/** The metrics of CPU, memory, garbage collection and event loop lag. All relays of a process share them: their observers never stop. */
function processRegistry(): Promise<Registry> {
  return (processMetrics ??= load().then(({ Registry, collectDefaultMetrics }) => {
    const register = new Registry();
    collectDefaultMetrics({ register });
    return register;
  }));
}

/** Adapts our histogram to the registry. The Histogram class of the library accepts only single observations, but ours are aggregated. */
function callDurations(durations: readonly CallDurations[]): Histogram {
  const { name, help } = CALL_DURATION;
  const values = durations.flatMap(({ method, buckets, totalMs }) => {
    let count = 0;
    const counted = [...DURATION_BOUNDS_MS.map((ms) => String(ms / 1000)), '+Inf'].map((le, index) => {
      count += buckets[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le, method }, value: count };
    });
    const labels = { method };
    return [
      ...counted,
      { metricName: `${name}_sum`, labels, value: totalMs / 1000 },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
  const metric = { name, help, type: 'histogram', get: async () => ({ name, help, type: 'histogram', values }) };
  return metric as unknown as Histogram;
}
