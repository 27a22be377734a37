/** The cost of delivering a message to many satellites of this process. */
import 'reflect-metadata';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { container } from 'tsyringe';
import { SILENT } from '../src/core/core.ts';
import { dictOf, freezeDict } from '../src/values/values.ts';
import type { Frozen } from '../src/values/values.ts';
import type { Message } from '../src/message/message.ts';
import { PluginHost, pluginHostDefaults } from '../src/plugin-host/plugin-host.ts';
import { save } from './plugin-files.ts';
import { median } from './statistics.ts';
import type { Aim, Figure } from './table.ts';
import { NO_EVENTS } from '../src/events/events.ts';

const COUNTS = [1, 10, 100, 1000];
// The number of concurrent deliveries.
const BURST = 100;
// The number of deliveries in one round, over all satellites.
const HANDED = 1_000_000;

const DIRECT: Aim = { least: 0.6 };

declare global {
  /** How often `receive` of a satellite or of one of the plain objects was called. */
  var co2BenchSeen: { count: number };
}

/**
 * For each number of satellites: µs until `deliver` returns, and until all of them have the message, beside awaited calls of as many plain
 * objects. `directory`: for their sources.
 */
export async function deliveries(directory: string, isQuick: boolean): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of COUNTS) {
    const directoryOfCount = join(directory, `deliveries${count}`);
    await save(directoryOfCount, 'ham/spam.ts', satellites(count));
    figures.push(...(await to(count, directoryOfCount, isQuick ? 3 : 9)));
  }
  return figures;
}

async function to(count: number, pluginsDir: string, rounds: number): Promise<Figure[]> {
  globalThis.co2BenchSeen = { count: 0 };
  const options = { ...pluginHostDefaults, pluginsDir, watch: false as const, pluginPackages: false };
  const host = new PluginHost({
    options,
    directoryRequired: true,
    relayVersion: '0.9.0',
    container: container.createChildContainer(),
    logs: () => SILENT,
    cacheDir: undefined,
    events: NO_EVENTS,
  });
  await host.start({ expose: () => undefined, send: () => Promise.resolve(''), call: () => Promise.resolve(null) });
  const objects = await plainObjects(join(pluginsDir, '..'), count);
  const [taken, had, direct]: [number[], number[], number[]] = [[], [], []];
  for (let round = -1; round < rounds; round++) {
    const { deliverUs, totalUs } = await oneRound(host, count);
    const directUs = await directCalls(objects);
    // V8 compiles what is called in the first round.
    if (round < 0) continue;
    taken.push(deliverUs);
    had.push(totalUs);
    direct.push(directUs);
  }
  await host.stop();
  const group = 'Delivery of a message to inline satellites';
  const what = count.toLocaleString('en');
  return [
    { group, what: `${what}, until it is in their lines`, value: median(taken), unit: 'µs' },
    {
      ...{
        group,
        what: `${what}, until all have it`,
        value: median(had),
        unit: `µs (${Math.round((count * 1e6) / median(had))} a second)`,
      },
      ratios: [{ to: 'of the speed of awaited direct calls', ratio: median(direct) / median(had), aim: count > 1 ? DIRECT : undefined }],
    },
  ];
}

async function oneRound(host: PluginHost, satellites: number): Promise<{ deliverUs: number; totalUs: number }> {
  const { co2BenchSeen: seen } = globalThis;
  const bursts = Math.max(5, Math.ceil(Math.min(20_000, HANDED / satellites) / BURST));
  seen.count = 0;
  let inDeliver = 0;
  const began = performance.now();
  for (let burst = 1; burst <= bursts; burst++) {
    const from = performance.now();
    for (let n = 0; n < BURST; n++) host.deliver(MESSAGE);
    inDeliver += performance.now() - from;
    while (seen.count < burst * BURST * satellites) await new Promise(setImmediate);
  }
  const messages = bursts * BURST;
  return { deliverUs: (inDeliver * 1000) / messages, totalUs: ((performance.now() - began) * 1000) / messages };
}

type Receive = (dict: Frozen, context: object) => unknown;

/** Objects of as many classes, each with a `receive` as the satellites have it. */
async function plainObjects(directory: string, count: number): Promise<{ readonly receive: Receive }[]> {
  const source = (n: number): string => `export class S${n} { receive() { globalThis.co2BenchSeen.count++; } }\n`;
  const file = `direct${count}.mjs`;
  await save(directory, file, Array.from({ length: count }, (_, n) => source(n)).join(''));
  const classes = (await import(pathToFileURL(join(directory, file)).href)) as Record<string, new () => { readonly receive: Receive }>;
  return Object.values(classes).map((Class) => new Class());
}

/** µs for a call of each object, one after another, each awaited, since `receive` may be asynchronous. */
async function directCalls(objects: readonly { readonly receive: Receive }[]): Promise<number> {
  const messages = Math.max(5 * BURST, Math.ceil(Math.min(20_000 * BURST, HANDED) / objects.length));
  const began = performance.now();
  for (let n = 0; n < messages; n++) for (const object of objects) await object.receive(FROZEN, { id: 'a' });
  return ((performance.now() - began) * 1000) / messages;
}

function satellites(count: number): string {
  const classes = Array.from(
    { length: count },
    (_, n) => `@Satellite() export class S${n} extends Plugin { receive() { globalThis.co2BenchSeen.count++; } }`,
  );
  return `import { Plugin, Satellite } from 'co2-relay';\n${classes.join('\n')}\n`;
}

const FROZEN = freezeDict(dictOf([['data', 'x']]));

const MESSAGE: Message = {
  id: 'a',
  hostId: 'a@192.0.2.1:2004',
  clientAddress: ['192.0.2.1', 2004],
  payload: Buffer.from('<struct/>'),
  frozen: () => FROZEN,
  destination: 'all',
  hopsLeft: 16,
  ageMs: 0,
  arrivedAt: 0,
  via: [],
  verdict: 'checked',
};
