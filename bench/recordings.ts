/** Frames of 256 B from a datasource to 1, 8 and 64 subscribers: in this process, from a child, and with readers that are slow. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRelay } from '../src/create-relay.ts';
import { SILENT, systemClock } from '../src/core/core.ts';
import { NO_EVENTS } from '../src/events/events.ts';
import type { Frame, HostedDatasource } from '../src/plugin-host/plugin-host.ts';
import { Recorder, recordingDefaults } from '../src/recordings/recordings.ts';
import { MemoryDisk, openStore, storeDefaults } from '../src/store/store.ts';
import { save } from './plugin-files.ts';
import { median } from './statistics.ts';
import type { Figure, Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

const NAME = 'bench.sensor:record';
const PAYLOAD = Buffer.alloc(256, 'x');
const SUBSCRIBERS = [1, 8, 64] as const;
const AIM = { least: 100_000 };
const PAGE_BYTES = 256 * 1024;
const MIB = 1024 ** 2;

const plugin = (isolation: string): string => `import { Datasource, Plugin, Satellite } from 'co2-relay';
const payload = Buffer.alloc(256, 'x');
@Satellite({ isolation: '${isolation}' })
export class Sensor extends Plugin {
  @Datasource({ maxFrames: 100_000, maxBytes: 64 * 1024 * 1024 })
  async *record() {
    for (;;) yield { type: 'application/octet-stream', payload };
  }
}
`;

/** Measures recordings. */
export async function recordings({ isQuick, say }: Settings): Promise<Report> {
  const seconds = isQuick ? 1 : 3;
  const rounds = isQuick ? 1 : 3;
  const figures: Figure[] = [];
  say('frames to subscribers in this process');
  for (const subscribers of SUBSCRIBERS) {
    const results: Result[] = [];
    for (let round = 0; round < rounds; round++) results.push(await inline({ subscribers, seconds, stalled: 0 }));
    figures.push(...figuresOf('frames from a datasource of this process', `to ${subscribers}`, results, subscribers === 1));
  }
  say('one reader that stalls');
  const alone = await inline({ subscribers: 8, seconds, stalled: 0 });
  const beside = await inline({ subscribers: 8, seconds, stalled: 1 });
  figures.push(
    {
      group: 'one reader that stalls',
      what: 'frames to 8 others',
      value: beside.perSecond,
      unit: 'frames/s',
      ratios: [{ to: 'x without it', ratio: beside.perSecond / alone.perSecond }],
    },
    { group: 'one reader that stalls', what: 'growth of the heap in the second half', value: beside.growthMiB, unit: 'MiB' },
  );
  say('frames of a plugin in the relay and in a child');
  for (const isolation of ['inline', 'child'] as const) {
    for (const isRead of [false, true]) {
      const results: Result[] = [];
      for (let round = 0; round < rounds; round++) results.push(await ofPlugin(isolation, isRead, seconds));
      const what = isRead ? `${isolation}, to a caller of recording.subscribe` : `${isolation}, recorded`;
      figures.push(...figuresOf('frames of a plugin', what, results, !isRead));
    }
  }
  return { figures, skipped: [] };
}

interface Result {
  /** Frames per second that each reader got. */
  readonly perSecond: number;
  /** Processor time of this process in us, for each frame. */
  readonly cpuUs: number;
  readonly growthMiB: number;
  readonly missed: number;
}

function figuresOf(group: string, what: string, results: readonly Result[], hasAim: boolean): Figure[] {
  const of = (value: (result: Result) => number): number => median(results.map(value));
  return [
    { group, what, value: of(({ perSecond }) => perSecond), unit: 'frames/s', aim: hasAim ? AIM : undefined },
    { group, what: `${what}: processor time`, value: of(({ cpuUs }) => cpuUs), unit: 'us/frame' },
    { group, what: `${what}: missed`, value: of(({ missed }) => missed), unit: 'frames' },
  ];
}

async function* frames(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
  for (let timestamp = Date.now(); !signal.aborted; timestamp++)
    yield await Promise.resolve({ source: NAME, type: 'application/octet-stream', timestamp, payload: PAYLOAD });
}

async function inline(options: { readonly subscribers: number; readonly seconds: number; readonly stalled: number }): Promise<Result> {
  const { subscribers, seconds, stalled } = options;
  const limits = { timeoutMs: 60_000, maxTimeouts: 3, overflow: 'drop-oldest', maxFrames: 100_000, maxBytes: 64 * MIB } as const;
  const source: HostedDatasource = { name: NAME, help: '', ...limits, readiness: 'ready', record: frames };
  const store = await openStore({ disk: new MemoryDisk(), options: storeDefaults.store, clock: systemClock, report: () => undefined });
  const recorder = new Recorder({
    ...{ store, directory: '/nonexistent', clock: systemClock, date: Date.now, random: Math.random, events: NO_EVENTS, log: SILENT },
    ...{ settings: {}, limits: recordingDefaults.recordingLimits, datasources: () => new Map([[NAME, source]]) },
    send: () => Promise.resolve(),
  });
  await recorder.start();
  const ending = new AbortController();
  let missed = 0;
  const read = async (): Promise<number> => {
    let got = 0;
    for (let from = 'first'; !ending.signal.aborted;) {
      const page = await recorder.page(NAME, { from, maxBytes: PAGE_BYTES, waitMs: 1_000 });
      from = page.next;
      got += page.frames.length;
      missed += page.missed;
    }
    return got;
  };
  const [before, began] = [process.cpuUsage(), performance.now()];
  const readers = Array.from({ length: subscribers }, read);
  await recorder.startRecording(NAME, {});
  // They read once, and hold their place.
  for (let index = 0; index < stalled; index++) void recorder.page(NAME, { from: 'first' });
  await new Promise((resolve) => setTimeout(resolve, (seconds * 1_000) / 2));
  const half = process.memoryUsage().heapUsed;
  await new Promise((resolve) => setTimeout(resolve, (seconds * 1_000) / 2));
  const growthMiB = (process.memoryUsage().heapUsed - half) / MIB;
  ending.abort();
  const tookMs = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  const got = await Promise.all(readers);
  await recorder.stop();
  await store.close();
  const least = Math.min(...got);
  return { perSecond: (1_000 * least) / tookMs, cpuUs: (user + system) / least, growthMiB, missed };
}

/** Frames that a relay records of a plugin, or that a caller in the same process gets of them. */
async function ofPlugin(isolation: 'inline' | 'child', isRead: boolean, seconds: number): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'co2-bench-'));
  await save(join(directory, 'plugins'), 'bench/sensor.ts', plugin(isolation));
  const relay = await createRelay({ port: 0, pluginsDir: join(directory, 'plugins'), dataDir: join(directory, 'state') });
  const recorded = async (): Promise<number> => ((await relay.call('recording.get', ['bench.sensor'])) as { frames: number }).frames;
  try {
    await relay.call('recording.start', ['bench.sensor']);
    let [got, missed, from] = [-(await recorded()), 0, 'now'];
    const [before, began] = [process.cpuUsage(), performance.now()];
    if (isRead) got = 0;
    const readUntil = isRead ? began + seconds * 1_000 : 0;
    while (performance.now() < readUntil) {
      const answer = await relay.call('recording.subscribe', [{ name: 'bench.sensor', from, waitMs: 1_000, limit: 4 * MIB }]);
      const page = answer as unknown as { readonly frames: readonly unknown[]; readonly next: string; readonly missed: number };
      got += page.frames.length;
      missed += page.missed;
      from = page.next;
      await new Promise(setImmediate);
    }
    if (!isRead) {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
      got += await recorded();
    }
    const tookMs = performance.now() - began;
    const { user, system } = process.cpuUsage(before);
    return { perSecond: (1_000 * got) / tookMs, cpuUs: (user + system) / got, growthMiB: 0, missed };
  } finally {
    await relay.stop();
    await rm(directory, { recursive: true, force: true });
  }
}
