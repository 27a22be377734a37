/** The durable store: synced appends beside LevelDB alone, in alternating rounds, and how long a start verifies a million records. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { systemClock } from '../src/core/core.ts';
import { levelDisk, openStore } from '../src/store/store.ts';
import type { Store } from '../src/store/store.ts';
import { median } from './statistics.ts';
import type { Figure, Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

const VALUE = Buffer.alloc(256, 'x');
const RECORDS = 1_000_000;
const RECORDS_IN_A_BATCH = 1_000;

/** How many append at once, and how many records a round has. */
const LOADS = [
  { writers: 1, records: 2_000 },
  { writers: 64, records: 64_000 },
  { writers: 1_024, records: 102_400 },
];

/** Measures all of it. */
export async function store({ isQuick, say }: Settings): Promise<Report> {
  const directory = await mkdtemp(join(tmpdir(), 'co2-bench-'));
  try {
    const figures: Figure[] = [];
    for (const load of LOADS) {
      say(`${load.writers} writers`);
      figures.push(...(await appends(directory, load, isQuick ? 3 : 7)));
    }
    say('recovery');
    figures.push(await recovery(join(directory, 'million'), isQuick ? RECORDS / 10 : RECORDS));
    return { figures, skipped: isQuick ? ['the recovery of a million records: measured with a hundred thousand'] : [] };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

type Load = (typeof LOADS)[number];

async function appends(directory: string, load: Load, rounds: number): Promise<Figure[]> {
  const [ours, theirs, processor]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const path = join(directory, `${load.writers}-${round}`);
    const level = await cost(() => appendByLevel(`${path}-level`, load));
    const own = await cost(() => appendByStore(`${path}-store`, load, VALUE));
    theirs.push(load.records / level.seconds);
    ours.push(load.records / own.seconds);
    processor.push(level.cpuSeconds / own.cpuSeconds);
  }
  const group = `synced appends of ${VALUE.length} bytes`;
  const ratios = [
    { to: 'x LevelDB in such batches', ratio: median(ours) / median(theirs), aim: { least: 0.8 } },
    { to: 'x LevelDB per processor time', ratio: median(processor) },
  ];
  return [{ group, what: `${load.writers} at once`, value: median(ours), unit: '/s', ratios }];
}

/** Records of so many bytes that the store appends and syncs per second, for so many writers at once. */
export async function syncedAppends(path: string, { bytes, ...load }: Load & { readonly bytes: number }): Promise<number> {
  const { seconds } = await cost(() => appendByStore(path, load, Buffer.alloc(bytes, 'x')));
  return load.records / seconds;
}

/** Each writer appends the next record once its last one is synced. */
async function appendByStore(path: string, { writers, records }: Load, value: Buffer): Promise<() => Promise<void>> {
  const opened = await open(path);
  let left = records;
  const write = async (): Promise<void> => {
    while (left-- > 0) await opened.write([{ type: 'append', log: 'bench', value }]);
  };
  await Promise.all(Array.from({ length: writers }, write));
  return () => opened.close();
}

/** LevelDB alone: one synced batch of all writers, as an array, which is how programs mostly use it. */
async function appendByLevel(path: string, { writers, records }: Load): Promise<() => Promise<void>> {
  const level = new ClassicLevel<Buffer, Buffer>(path, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await level.open();
  for (let number = 0; number < records;) {
    const batch = Array.from({ length: writers }, () => {
      const key = Buffer.allocUnsafe(8);
      key.writeDoubleBE(number++);
      return { type: 'put' as const, key, value: VALUE };
    });
    await level.batch(batch, { sync: true });
  }
  return () => level.close();
}

async function cost(work: () => Promise<() => Promise<void>>): Promise<{ seconds: number; cpuSeconds: number }> {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const close = await work();
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - start) / 1_000;
  await close();
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

async function recovery(path: string, records: number): Promise<Figure> {
  const filled = await open(path);
  for (let count = 0; count < records; count += RECORDS_IN_A_BATCH) {
    const batch = Array.from({ length: RECORDS_IN_A_BATCH }, () => ({ type: 'append', log: 'bench', value: VALUE }) as const);
    await filled.write(batch, { durability: 'written' });
  }
  await filled.close();
  const seconds: number[] = [];
  for (let round = 0; round < 3; round++) {
    const start = performance.now();
    const opened = await open(path);
    seconds.push((performance.now() - start) / 1_000);
    if (opened.range('bench').next !== records + 1) throw new Error('records are missing');
    await opened.close();
  }
  return { group: 'start', what: `verify ${records} records`, value: median(seconds), unit: 's', aim: { most: (3 * records) / RECORDS } };
}

function open(path: string): Promise<Store> {
  const options = { minFreeBytes: 0, minFreePercent: 0 };
  return openStore({ disk: levelDisk(path), options, clock: systemClock, report: () => undefined });
}
