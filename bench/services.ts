/** Services: events per second from a watcher through the pipeline to reactors, beside a plain chain of EventEmitters. */
import { EventEmitter, once } from 'node:events';
import { Readable } from 'node:stream';
import { systemClock } from '../src/core/core.ts';
import { EventStream } from '../src/events/events.ts';
import type { HostedEndpointType } from '../src/plugin-host/plugin-host.ts';
import type { ServiceEvent } from '../src/plugin/plugin.ts';
import type { ServiceLifeEvent } from '../src/relay/relay.ts';
import { Services, serviceDefaults } from '../src/services/services.ts';
import { median } from './statistics.ts';
import type { Figure, Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

/** Events per second inline. */
const LEAST = 200_000;
const NODES = 100;
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const LOG = { ...SILENT, isDebugEnabled: () => false, isInfoEnabled: () => false };

/** Takes a minute or two, or a quarter of it with `isQuick`. */
export async function services({ isQuick, say }: Settings): Promise<Report> {
  const count = isQuick ? 50_000 : 100_000;
  const figures: Figure[] = [];
  for (const reactors of [1, 8]) {
    say(`${count} events to ${reactors} reactor${reactors === 1 ? '' : 's'}`);
    const [ours, plain]: [number[], number[]] = [[], []];
    for (let round = 0; round < (isQuick ? 3 : 5); round++) {
      ours.push(await perSecond(count, () => throughService(count, reactors)));
      plain.push(await perSecond(count, () => throughEmitters(count, reactors)));
    }
    figures.push({
      ...{ group: 'a watcher and its reactors, inline', what: `to ${reactors}`, unit: 'events/s', value: median(ours) },
      aim: reactors === 1 ? { least: LEAST } : undefined,
      ratios: [{ to: 'x a chain of EventEmitters', ratio: median(ours) / median(plain) }],
    });
  }
  say('a reactor that hangs, beside one that does not');
  const alone: number[] = [];
  const beside: number[] = [];
  for (let round = 0; round < (isQuick ? 3 : 5); round++) {
    alone.push(await perSecond(count, () => throughService(count, 1)));
    beside.push(await perSecond(count, () => throughService(count, 1, true)));
  }
  figures.push({
    ...{ group: 'a reactor beside one that hangs', what: 'to the other', unit: 'events/s', value: median(beside) },
    ratios: [{ to: 'x without it', ratio: median(beside) / median(alone) }],
  });
  return { figures, skipped: [] };
}

/** By processor time, which other load on the machine hardly changes. */
async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const began = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(began);
  return (count / (user + system)) * 1e6;
}

/** Resolves when each reactor that does not hang has got all events. */
async function throughService(count: number, reactors: number, hasHanging = false): Promise<void> {
  let arrived = 0;
  const done = new EventEmitter();
  const gone = new AbortController().signal;
  const watcher: HostedEndpointType = {
    ...{ role: 'watcher', type: 'bench.watcher:one', help: '', isReady: true },
    accept: () =>
      Promise.resolve({
        ...{ role: 'watcher', gone },
        async *watch(signal) {
          // Each event changes one node, so that nothing is left out.
          for (let n = 0; n < count && !signal.aborted; n++)
            yield { [`node${n % NODES}`]: { status: 'up', host: '10.0.0.1', port: n % 65_536 } };
          await once(signal, 'abort');
        },
      }),
  };
  const reactor = (name: string, react: (changes: readonly ServiceEvent[]) => unknown): HostedEndpointType => ({
    ...{ role: 'reactor', type: `bench.${name}:one`, help: '', isReady: true },
    accept: () => Promise.resolve({ role: 'reactor', gone, maxBatch: 1, open: () => undefined, close: () => undefined, react }),
  });
  const counting = reactor('counting', ([change]) => {
    for (const name in change) if (change[name]?.status === 'up') arrived++;
    if (arrived === count * reactors) done.emit('all');
  });
  const hanging = reactor('hanging', () => new Promise(() => undefined));
  const types = [watcher, counting, hanging];
  const names = Array.from({ length: reactors }, (_, n) => [`counting${n}`, { type: 'bench.counting' }] as const);
  const events = new EventStream<ServiceLifeEvent>({ clock: systemClock });
  const all = new Services({
    options: {
      services: {
        web: {
          watchers: { one: { type: 'bench.watcher' } },
          reactors: { ...Object.fromEntries(names), ...(hasHanging && { hanging: { type: 'bench.hanging' } }) },
        },
      },
      serviceLimits: { ...serviceDefaults.serviceLimits, stopTimeoutMs: 1 },
      sharedWatchers: [],
    },
    nodes: { stream: () => Readable.from([]) },
    pluginHost: {
      endpoints: () => types,
      status: () => ({ plugins: [], satellites: [], problems: [], kept: { versions: 0, bytes: 0 }, keptMessages: [] }),
    },
    ...{ clock: systemClock, random: Math.random, events, log: LOG },
  });
  const finished = once(done, 'all');
  await all.start();
  await finished;
  await all.stop();
}

/** What the least possible does: an async generator, and an emitter for each reactor, with a copy of each event. */
async function throughEmitters(count: number, reactors: number): Promise<void> {
  let arrived = 0;
  const emitters = Array.from({ length: reactors }, () =>
    new EventEmitter().on('change', (change: ServiceEvent) => {
      for (const name in change) if (change[name]?.status === 'up') arrived++;
    }),
  );
  async function* watch(): AsyncGenerator<ServiceEvent, void> {
    for (let n = 0; n < count; n++) {
      const name = `node${n % NODES}`;
      yield { [name]: { name, status: 'up', host: '10.0.0.1', port: n % 65_536 } };
    }
  }
  for await (const event of watch()) for (const emitter of emitters) emitter.emit('change', { ...event });
  if (arrived !== count * reactors) throw new Error(`${arrived} events arrived`);
}
