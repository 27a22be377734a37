/** Calls over HTTP: processor time and latency of a call, memory in use afterwards, and how a large body delays others. */
import { NOTE, NOTIFY, SMALL, arrayOfStructs, base64Of } from './documents.ts';
import type { Document } from './documents.ts';
import { CONNECTIONS, Connection, requestOf } from './load.ts';
import { ABYSS, BARE, NPM, PYTHON, cpuSeconds, residentMiB } from './peers.ts';
import type { Server } from './peers.ts';
import { median, quantile } from './statistics.ts';
import type { Effort } from './statistics.ts';
import type { Aim, Figure, Ratio } from './table.ts';
import type { Load } from './wrk.ts';

// Programs that V8 does not run.
const ALWAYS_WARM: ReadonlySet<string> = new Set([PYTHON, ABYSS]);
const LARGE_BYTES = 32 * 1024 * 1024;
const AIMS: ReadonlyMap<Document, Readonly<Record<string, Aim>>> = new Map([
  [SMALL, { [BARE]: { least: 1.1 }, [NPM]: { least: 4.5 } }],
  [NOTIFY, { [BARE]: { least: 0.8 }, [NPM]: { least: 14 } }],
]);
const P99_AIM: Aim = { most: 8 };
const RSS_AIM: Aim = { most: 110 };

/** The result of one server in one round. */
interface Round {
  /** Microseconds of processor time, user and system, for a call; NaN without /proc. */
  readonly cpu: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Calls of `document` in alternating rounds: our relay, which comes first, in relation to the others. */
export async function calls(
  document: Document,
  servers: readonly Server[],
  { rounds, ms, warmUpMs }: Effort,
  load: Load,
): Promise<Figure[]> {
  for (const { name, port } of servers) if (!ALWAYS_WARM.has(name)) await load(port, document, warmUpMs);
  const results = new Map(servers.map((server) => [server.name, [] as Round[]]));
  for (let round = 0; round < rounds; round++) {
    for (const server of servers) results.get(server.name)?.push(await oneRound(server, document, ms, load));
  }
  const [ours, ...others] = servers;
  const all = (name: string, key: keyof Round): number[] => (results.get(name) ?? []).map((round) => round[key]);
  const of = (name: string, key: keyof Round): number => median(all(name, key));
  const name = ours?.name ?? '';
  const spread = [0, 1].map((part) => quantile(all(name, 'cpu'), part).toFixed(1)).join(' to ');
  const figure = (key: keyof Round, what: string, unit: string, more: Partial<Figure> = {}): Figure => ({
    ...{ group: `Calls: ${document.name}, ${CONNECTIONS} connections`, what, value: of(name, key), unit },
    ...more,
  });
  // How many times our processor time the others need.
  const cheaper = others.map((server): Ratio => ({
    to: `x ${server.name} (${of(server.name, 'cpu').toPrecision(3)} us)`,
    ratio: of(server.name, 'cpu') / of(name, 'cpu'),
    aim: AIMS.get(document)?.[server.name],
  }));
  const faster = others.map((server): Ratio => ({
    to: `x ${server.name} (${of(server.name, 'perSecond').toPrecision(3)})`,
    ratio: of(name, 'perSecond') / of(server.name, 'perSecond'),
  }));
  return [
    figure('cpu', 'processor time of a call', `us (${spread})`, { ratios: cheaper }),
    figure('perSecond', 'calls', 'per second', { ratios: faster }),
    figure('p50', 'half of them took', 'ms'),
    figure('p99', '99 of 100 took', 'ms', { aim: P99_AIM }),
  ];
}

async function oneRound(server: Server, document: Document, ms: number, load: Load): Promise<Round> {
  const before = cpuSeconds(server) ?? NaN;
  const { requests, ...round } = await load(server.port, document, ms);
  return { ...round, cpu: (((cpuSeconds(server) ?? NaN) - before) * 1e6) / requests };
}

/** Memory in use after the same load. */
export function memory(servers: readonly Server[]): Figure[] {
  const [ours, ...others] = servers;
  const value = ours && residentMiB(ours);
  if (value === undefined) return [];
  const ratios = others.map((server): Ratio => {
    const mib = residentMiB(server) ?? NaN;
    return { to: `x ${server.name} (${mib.toFixed(0)} MiB)`, ratio: value / mib };
  });
  return [
    {
      group: 'Memory',
      what: 'resident after the calls',
      value,
      unit: 'MiB',
      aim: RSS_AIM,
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
