/** Live reload: how long it takes until the plugin serves a changed helper, and what many reloads leave behind. */
import 'reflect-metadata';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { container } from 'tsyringe';
import type { Log } from '../src/core/core.ts';
import { PluginHost, pluginHostDefaults } from '../src/plugin-host/plugin-host.ts';
import { save } from './plugin-files.ts';
import { median, quantile } from './statistics.ts';
import type { Figure, Report } from './table.ts';
import { NO_EVENTS } from '../src/events/events.ts';

/** The number of plugins besides the reloaded one. */
const NEIGHBOURS = 20;
const KIB = 1024;
const GROUP = 'Live reload';

export interface ReloadOptions {
  readonly isQuick: boolean;
  /** Called with what is being measured. */
  readonly say: (text: string) => void;
}

/** Takes 300 reloads in each mode, or 60 with `isQuick`. */
export async function reload({ isQuick, say }: ReloadOptions): Promise<Report> {
  const directory = await mkdtemp(join(tmpdir(), 'co2-bench-'));
  const count = isQuick ? 60 : 300;
  try {
    for (let n = 0; n < NEIGHBOURS; n++) await save(directory, `n${n}/spam.ts`, plugin());
    await save(directory, 'ham/spam.ts', plugin(`import { text } from './_helper.ts';`));
    await save(directory, 'ham/_helper.ts', helper(0));
    const reloads = new Reloads(directory);
    say('start ...');
    await reloads.start();
    try {
      say(`${count} reloads by saving ...`);
      const saved = await measure(count, (n) => reloads.bySaving(n));
      say(`${count} reloads that were asked for ...`);
      const asked = await measure(count, () => reloads.asked());
      return { figures: [...timesOf('asked for', asked), ...timesOf('from save to served', saved), ...leftBehind(saved)], skipped: [] };
    } finally {
      await reloads.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A host that watches the directory, and its reloads. */
class Reloads {
  readonly #directory: string;
  readonly #host: PluginHost;
  #onLine: (line: string) => void = () => undefined;

  constructor(directory: string) {
    this.#directory = directory;
    const write = (text: string): void => {
      this.#onLine(text);
    };
    const log: Log = { debug: write, info: write, warn: write, error: write, isDebugEnabled: () => true, isInfoEnabled: () => true };
    this.#host = new PluginHost({
      options: { ...pluginHostDefaults, pluginsDir: directory, pluginPackages: false },
      directoryRequired: true,
      relayVersion: '0.9.0',
      container: container.createChildContainer(),
      logs: () => log,
      cacheDir: undefined,
      events: NO_EVENTS,
    });
  }

  async start(): Promise<void> {
    const watching = this.#line('watching ');
    await this.#host.start({
      expose: () => undefined,
      send: () => Promise.resolve(''),
      call: () => Promise.resolve(null),
    });
    await watching;
  }

  stop(): Promise<void> {
    return this.#host.stop();
  }

  async asked(): Promise<void> {
    await this.#host.reloadPlugin('ham.spam');
  }

  /** Saves the helper as editors do, and waits until the plugin serves it. */
  async bySaving(n: number): Promise<void> {
    const reloaded = this.#line('ham.spam reloaded');
    await save(this.#directory, 'ham/_helper.ts~', helper(n));
    await rename(join(this.#directory, 'ham/_helper.ts~'), join(this.#directory, 'ham/_helper.ts'));
    await reloaded;
  }

  #line(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#onLine = (line) => {
        if (line.startsWith(text)) resolve();
      };
    });
  }
}

interface Measured {
  /** ms of each. */
  readonly times: readonly number[];
  /** ms of processor time for one, in all threads: the meaningful figure on a busy machine. */
  readonly processor: number;
  /** Bytes of the heap that one leaves behind. */
  readonly bytes: number;
  /** The number of handles that all leave behind. */
  readonly handles: number;
}

async function measure(count: number, work: (n: number) => Promise<void>): Promise<Measured> {
  // The compiler is loaded, and V8 has compiled what is measured.
  for (let n = 1; n <= 20; n++) await work(-n);
  const times: number[] = [];
  const before = await holding();
  const usage = process.cpuUsage();
  for (let n = 1; n <= count; n++) {
    const began = performance.now();
    await work(n);
    times.push(performance.now() - began);
  }
  const { user, system } = process.cpuUsage(usage);
  const after = await holding();
  return {
    times,
    processor: (user + system) / 1000 / count,
    bytes: (after.bytes - before.bytes) / count,
    handles: after.handles - before.handles,
  };
}

/** Bytes in use after a garbage collection. */
async function holding(): Promise<{ bytes: number; handles: number }> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // The previous watcher is closed a moment later.
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 50));
  collect();
  collect();
  return { bytes: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo().filter((name) => name !== 'Timeout').length };
}

function timesOf(what: string, { times, processor }: Measured): Figure[] {
  const aim = what === 'asked for' ? { most: 30 } : undefined;
  return [
    { group: GROUP, what: `${what}, median`, value: median(times), unit: 'ms', aim },
    { group: GROUP, what: `${what}, 99 of 100`, value: quantile(times, 0.99), unit: 'ms' },
    { group: GROUP, what: `${what}, processor`, value: processor, unit: 'ms' },
  ];
}

function leftBehind({ times, bytes, handles }: Measured): Figure[] {
  return [
    { group: GROUP, what: 'heap that one leaves behind', value: bytes / KIB, unit: 'KiB' },
    { group: GROUP, what: `handles after ${times.length}`, value: handles, unit: 'more', aim: { most: 0 } },
  ];
}

function plugin(head = ''): string {
  const methods = Array.from(
    { length: 10 },
    (_, index) => `  /** Adds ${index}. */\n  @Exposed({ params: ['int'] }) add${index}(a: number) { return a + ${index}; }`,
  );
  return `import { Dict, Exposed, Plugin, Satellite } from 'co2-relay';
${head}
@Satellite()
export class Spam extends Plugin {
  receive(dict: Dict) { this.debug(dict.data); }
  help() { return ${head === '' ? `''` : 'text'}; }
${methods.join('\n')}
}
`;
}

function helper(n: number): string {
  return `export const text = 'version ${n}';\nexport class Helper { constructor(readonly text: string) {} }\n`;
}
