/** Calls over HTTP: calls per second, latency, memory in use afterwards, and how a large body delays others. */
import { NOTE, NOTIFY, SMALL, arrayOfStructs, base64Of } from './documents.ts';
import type { Document } from './documents.ts';
import { Connection, load, requestOf } from './load.ts';
import { BARE, NPM, cpuSeconds, residentMiB } from './peers.ts';
import type { Server } from './peers.ts';
import { median, quantile } from './statistics.ts';
import type { Aim, Figure, Ratio } from './table.ts';

/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  /** ms for each server in each round. */
  readonly ms: number;
}

const CONNECTIONS = 8;
// Until V8 has compiled what a call needs.
const WARM_UP_CALLS = 15_000;
const WARM_UP_MS = 4_000;
const LARGE_BYTES = 32 * 1024 * 1024;
const AIMS: ReadonlyMap<Document, Readonly<Record<string, Aim>>> = new Map([
  [SMALL, { [BARE]: { least: 0.9 }, [NPM]: { least: 4.5 } }],
  [NOTIFY, { [BARE]: { least: 0.62 }, [NPM]: { least: 14 } }],
]);

/** The result of one server in one round. */
interface Round {
  readonly perSecond: number;
  /** NaN without /proc. */
  readonly perCpuSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Calls of `document`: our relay, which comes first, in relation to the others. */
export async function calls(document: Document, servers: readonly Server[], { rounds, ms }: Effort): Promise<Figure[]> {
  const request = requestOf(document.bytes);
  for (const { port } of servers) await load(port, request, CONNECTIONS, { calls: WARM_UP_CALLS, ms: WARM_UP_MS });
  const results = new Map(servers.map((server) => [server.name, [] as Round[]]));
  for (let round = 0; round < rounds; round++) {
    for (const server of servers) results.get(server.name)?.push(await oneRound(server, request, ms));
  }
  const [ours] = servers;
  const of = (name: string, key: keyof Round): number => median((results.get(name) ?? []).map((round) => round[key]));
  const figure = (key: keyof Round, unit: string, aims: Readonly<Record<string, Aim>> = {}): Figure => {
    const value = of(ours?.name ?? '', key);
    const ratios = servers
      .slice(1)
      .map(({ name }): Ratio => ({ to: `x ${name} (${of(name, key).toPrecision(3)})`, ratio: value / of(name, key), aim: aims[name] }));
    return { group: `Calls: ${document.name}, ${CONNECTIONS} connections`, what: WORDS[key], value, unit, ratios };
  };
  return [
    figure('perSecond', 'per second', AIMS.get(document)),
    figure('perCpuSecond', 'per second of processor time'),
    figure('p50', 'ms'),
    figure('p99', 'ms'),
  ];
}

const WORDS: Readonly<Record<keyof Round, string>> = {
  perSecond: 'calls',
  perCpuSecond: 'calls',
  p50: 'half of them took',
  p99: '99 of 100 took',
};

async function oneRound(server: Server, request: Buffer, ms: number): Promise<Round> {
  const before = cpuSeconds(server) ?? NaN;
  const { callsPerSecond, latencies } = await load(server.port, request, CONNECTIONS, { ms });
  const seconds = (cpuSeconds(server) ?? NaN) - before;
  return {
    perSecond: callsPerSecond,
    perCpuSecond: latencies.length / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
  };
}

/** Memory in use after the same load. */
export function memory(servers: readonly Server[]): Figure[] {
  const [ours, ...others] = servers;
  const value = ours && residentMiB(ours);
  if (value === undefined) return [];
  const ratios = others.map((server): Ratio => {
    const mib = residentMiB(server) ?? NaN;
    return { to: `x ${server.name} (${mib.toFixed(0)} MiB)`, ratio: value / mib, aim: server.name === BARE ? { most: 1.15 } : undefined };
  });
  return [
    {
      group: 'Memory',
      what: 'resident after the calls',
      value,
      unit: 'MiB',
      ratios,
    },
  ];
}

/** How long pings of others take while 32 MiB are parsed. */
export async function pingsBesideLarge({ port }: Server, rounds: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [what, document] of [
    ['array of structs', arrayOfStructs(LARGE_BYTES, NOTE.repeat(20))],
    ['base64', base64Of(LARGE_BYTES)],
  ] as const) {
    const body = requestOf(document.bytes);
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) times.push(...(await pingsDuring(port, body)));
    figures.push({
      group: 'Pings while 32 MiB are parsed',
      what: `99 of 100, ${what}`,
      value: quantile(times, 0.99),
      unit: `ms (of ${times.length} pings; longest ${quantile(times, 1).toFixed(1)} ms)`,
      aim: { most: 20 },
    });
  }
  return figures;
}

async function pingsDuring(port: number, large: Buffer): Promise<number[]> {
  const [slow, quick] = [new Connection(port), new Connection(port)];
  const ping = requestOf(Buffer.from('<methodCall><methodName>ping</methodName></methodCall>'));
  await quick.ask(ping);
  const reading = { isOver: false };
  const answered = slow.ask(large).finally(() => {
    reading.isOver = true;
  });
  // A failure is thrown below, after the last ping.
  answered.catch(() => undefined);
  const times: number[] = [];
  while (!reading.isOver) {
    const start = performance.now();
    await quick.ask(ping);
    times.push(performance.now() - start);
  }
  await answered;
  slow.close();
  quick.close();
  return times;
}
