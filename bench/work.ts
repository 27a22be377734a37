/**
 * Units of work: from the submission to the first result, units per second, both beside what users would pick, and large payloads and
 * outputs as plain bytes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { createClient } from '../src/client/client.ts';
import type { XmlRpcClient } from '../src/client/client.ts';
import { Peers, cpuSecondsOfAll, residentMiB } from './peers.ts';
import type { RunningRelay } from './peers.ts';
import { save } from './plugin-files.ts';
import { median } from './statistics.ts';
import type { Figure, Ratio, Report } from './table.ts';
import { startRivals } from './work-rivals.ts';
import type { Rival } from './work-rivals.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

const MIB = 1024 ** 2;
/** That of the program bench.zeros in relay.config.ts. */
const OUTPUT_BYTES = 256 * MIB;
const CONNECTIONS = 16;
const SAMPLE_MS = 50;

const worker = (isolation: string): string => `import { Plugin, Satellite, Work } from 'co2-relay';
@Satellite({ isolation: '${isolation}' })
export class Worker extends Plugin {
  /** Yields one result. */
  @Work()
  async *once(payload: Buffer) {
    yield { bytes: payload.length };
  }
}
`;

/** Takes two minutes, or half a minute with `isQuick`. */
export async function work({ isQuick, say }: Settings): Promise<Report> {
  const peers = new Peers();
  try {
    const directory = join(peers.directory, 'plugins');
    await save(directory, 'ham/near.ts', worker('inline'));
    await save(directory, 'ham/far.ts', worker('child'));
    say('building the package ...');
    const relay = await peers.relay(directory);
    const rivals = await startRivals(peers);
    const figures: Figure[] = [];
    say('submission to first result');
    figures.push(...(await firstResults(relay, rivals, isQuick ? 50 : 300)));
    say('units per second');
    figures.push(...(await throughput(relay, rivals, isQuick ? { rounds: 2, units: 1_000 } : { rounds: 5, units: 2_000 })));
    await relay.end();
    say('large outputs and payloads');
    figures.push(...(await streaming(await peers.relay(directory), isQuick ? 1 : 5)));
    return { figures, skipped: peers.skipped };
  } finally {
    await peers.stop();
  }
}

const KINDS = [
  { what: 'inline', type: 'ham.near:once', mostMs: 10, least: 2_000 },
  { what: 'in a warm child', type: 'ham.far:once', mostMs: 25, least: 1_000 },
] as const;

async function withClient<T>({ port, token }: RunningRelay, use: (client: XmlRpcClient) => Promise<T>): Promise<T> {
  const client = createClient(`http://127.0.0.1:${port}/RPC2`, { token, maxConnections: CONNECTIONS, timeoutMs: 60_000 });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

async function firstResults(relay: RunningRelay, rivals: readonly Rival[], rounds: number): Promise<Figure[]> {
  const times = KINDS.map((): number[] => []);
  await withClient(relay, async (client) => {
    for (let round = -5; round < rounds; round++) {
      for (const [index, { type }] of KINDS.entries()) {
        const start = performance.now();
        const { unit } = (await client.call('work.submit', [{ type, payload: 'x' }])) as { unit: string };
        const { items } = (await client.call('work.results', [{ unit, waitMs: 10_000 }])) as { items: readonly unknown[] };
        if (items.length !== 1) throw new Error(`${type} has no result`);
        if (round >= 0) times[index]?.push(performance.now() - start);
      }
    }
  });
  const theirs: { readonly name: string; readonly ms: number }[] = [];
  for (const rival of rivals) theirs.push({ name: rival.name, ms: (await rival.measure(rounds, 1)).medianMs });
  return KINDS.map(({ what, mostMs }, index) => {
    const value = median(times[index] ?? []);
    const ratios = theirs.map(({ name, ms }): Ratio => ({ to: `x the time of ${name}`, ratio: value / ms }));
    return { group: 'submission to first result', what, value, unit: 'ms', aim: { most: mostMs }, ratios };
  });
}

/** Units per second, and ms of processor time of a unit, of each round. */
interface Throughput {
  readonly perSecond: number[];
  readonly cpuMs: number[];
}

async function throughput(
  relay: RunningRelay,
  rivals: readonly Rival[],
  { rounds, units }: { readonly rounds: number; readonly units: number },
): Promise<Figure[]> {
  const ours = KINDS.map((): Throughput => ({ perSecond: [], cpuMs: [] }));
  const theirs = rivals.map((): Throughput => ({ perSecond: [], cpuMs: [] }));
  // The first round warms up.
  for (let round = -1; round < rounds; round++) {
    const note = (all: readonly Throughput[], index: number, seconds: number, cpu: number): void => {
      if (round < 0) return;
      all[index]?.perSecond.push(units / seconds);
      all[index]?.cpuMs.push((cpu * 1_000) / units);
    };
    for (const [index, { type }] of KINDS.entries()) {
      const before = cpuSecondsOfAll(relay) ?? NaN;
      const seconds = await doUnits(relay, type, units);
      note(ours, index, seconds, (cpuSecondsOfAll(relay) ?? NaN) - before);
    }
    for (const [index, rival] of rivals.entries()) {
      const { seconds, cpuSeconds: cpu } = await rival.measure(units, CONNECTIONS);
      note(theirs, index, seconds, cpu);
    }
  }
  const group = `units end to end, ${CONNECTIONS} at a time`;
  return KINDS.flatMap(({ what, least }, index): Figure[] => {
    const [value, cpuMs] = [median(ours[index]?.perSecond ?? []), median(ours[index]?.cpuMs ?? [])];
    const ratios = (of: keyof Throughput, by: number): Ratio[] =>
      rivals.map(({ name }, rival) => ({ to: `x ${name}`, ratio: by / median(theirs[rival]?.[of] ?? []) }));
    return [
      { group, what, value, unit: '/s', aim: { least }, ratios: ratios('perSecond', value) },
      { group, what: `${what}: processor time`, value: cpuMs, unit: 'ms per unit', ratios: ratios('cpuMs', cpuMs) },
    ];
  });
}

/** Resolves to the seconds that these units take. */
async function doUnits(relay: RunningRelay, type: string, units: number): Promise<number> {
  const start = performance.now();
  await withClient(relay, async (client) => {
    let left = units;
    const submitter = async (): Promise<void> => {
      while (left-- > 0) {
        const { unit } = (await client.call('work.submit', [{ type, payload: 'x' }])) as { unit: string };
        const { state } = (await client.call('work.status', [{ unit, waitMs: 30_000 }])) as { state: string };
        if (state !== 'succeeded') throw new Error(`${type} ${state}`);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, submitter));
  });
  return (performance.now() - start) / 1_000;
}

async function streaming(relay: RunningRelay, rounds: number): Promise<Figure[]> {
  const before = residentMiB(relay) ?? NaN;
  const [down, up, pipe, resident]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const memory = new Memory(relay);
    pipe.push(await speed(throughPipe));
    await withClient(relay, async (client) => {
      const submit = async (submission: Record<string, string | boolean>): Promise<string> =>
        ((await client.call('work.submit', [submission])) as { unit: string }).unit;
      const zeros = await submit({ type: 'bench.zeros' });
      down.push(await speed(() => exchange(relay, 'GET', `/work/${zeros}/stdout?follow=1`)));
      const stored = await submit({ type: 'bench.size', upload: true });
      up.push(await speed(() => exchange(relay, 'PUT', `/work/${stored}/payload`)));
      for (const unit of [zeros, stored]) await client.call('work.release', [unit]);
    });
    resident.push(memory.end());
  }
  const group = `${OUTPUT_BYTES / MIB} MiB`;
  return [
    {
      ...{ group, what: 'output of a program to one reader', value: median(down), unit: 'MB/s' },
      ratios: [{ to: 'x cat through a pipe', ratio: median(down) / median(pipe) }],
    },
    { group, what: 'payload by PUT', value: median(up), unit: 'MB/s' },
    { group, what: 'memory of the relay before', value: before, unit: 'MiB' },
    { group, what: `largest, ${rounds} times out and in`, value: Math.max(...resident), unit: 'MiB', aim: { most: 200 } },
  ];
}

async function speed(transfer: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await transfer();
  return OUTPUT_BYTES / 1e6 / ((performance.now() - start) / 1_000);
}

async function throughPipe(): Promise<void> {
  const child = spawn('sh', ['-c', `head -c ${OUTPUT_BYTES} /dev/zero | cat`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let bytes = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) bytes += chunk.length;
  if (bytes !== OUTPUT_BYTES) throw new Error(`cat printed ${bytes} bytes`);
}

async function exchange({ port, token }: RunningRelay, method: 'GET' | 'PUT', path: string): Promise<void> {
  const length = method === 'PUT' ? { 'content-length': OUTPUT_BYTES } : {};
  const asked = request({ host: '127.0.0.1', port, path, method, agent: false, headers: { authorization: `Bearer ${token}`, ...length } });
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>;
  const piece = Buffer.alloc(64 * 1024);
  const sends = method === 'PUT' ? OUTPUT_BYTES : 0;
  for (let sent = 0; sent < sends; sent += piece.length) if (!asked.write(piece)) await once(asked, 'drain');
  asked.end();
  const [answer] = await answered;
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) bytes += chunk.length;
  if (answer.statusCode !== 200 || (method === 'GET' && bytes !== OUTPUT_BYTES))
    throw new Error(`${method} ${path} answered ${answer.statusCode ?? 0} and ${bytes} bytes`);
}

/** The largest memory of a process while it is watched. */
class Memory {
  #largest = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(private readonly relay: RunningRelay) {
    this.#timer = setInterval(() => {
      this.#look();
    }, SAMPLE_MS);
  }

  end(): number {
    this.#look();
    clearInterval(this.#timer);
    return this.#largest;
  }

  #look(): void {
    this.#largest = Math.max(this.#largest, residentMiB(this.relay) ?? NaN);
  }
}
