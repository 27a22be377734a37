/**
 * The plugin host: calls to plugins here and in a child, the start of a child, delays by a blocked one, and many satellites and plugins.
 */
import { join } from 'node:path';
import { createClient } from '../src/client/client.ts';
import { serialiseCall } from '../src/xmlrpc/xmlrpc.ts';
import type { XmlRpcClient } from '../src/client/client.ts';
import { deliveries } from './deliveries.ts';
import { Connection, load, requestOf } from './load.ts';
import { Peers, cpuSeconds, residentMiB } from './peers.ts';
import type { RunningRelay } from './peers.ts';
import { save } from './plugin-files.ts';
import { median, quantile } from './statistics.ts';
import type { Aim, Figure, Report } from './table.ts';

export interface HostOptions {
  readonly isQuick: boolean;
  /** Called with what is being measured. */
  readonly say: (text: string) => void;
}

const CONNECTIONS = 8;
const CALLS_BETWEEN = 8_000;
const PLUGINS = 200;

/** Takes two minutes, or half a minute with `isQuick`. */
export async function host({ isQuick, say }: HostOptions): Promise<Report> {
  const peers = new Peers();
  try {
    const directory = join(peers.directory, 'few');
    await save(directory, 'ham/near.ts', box('Near', ''));
    await save(directory, 'ham/far.ts', box('Far', `{ isolation: 'child' }`));
    await save(directory, 'ham/meter.ts', METER);
    const relay = await peers.relay(directory);
    say('calls ...');
    const called = await calls(relay, isQuick ? { rounds: 3, ms: 500 } : { rounds: 7, ms: 1500 });
    const calledHere = await callsBetween(relay, isQuick ? 3 : 7);
    say('starts of a child ...');
    const started = await starts(relay, isQuick ? 3 : 15);
    say('beside a blocked child ...');
    const beside = await besideBlocked(relay, isQuick ? 1500 : 6000);
    await relay.end();
    say('delivery ...');
    const delivered = await deliveries(peers.directory, isQuick);
    say(`${PLUGINS} plugins ...`);
    const many = await manyPlugins(peers, isQuick ? 1 : 5);
    return { figures: [...called, ...calledHere, ...started, ...beside, ...delivered, ...many], skipped: peers.skipped };
  } finally {
    await peers.stop();
  }
}

async function calls(relay: RunningRelay, { rounds, ms }: { rounds: number; ms: number }): Promise<Figure[]> {
  const kinds = [
    { what: 'inline', method: 'ham.near.add', cost: new Cost(), aim: undefined },
    { what: 'in a child', method: 'ham.far.add', cost: new Cost(), aim: { least: 8000 } satisfies Aim },
  ];
  for (let round = -1; round < rounds; round++) {
    for (const { method, cost } of kinds) {
      const run = async (): Promise<number> => {
        const began = performance.now();
        const { callsPerSecond } = await load(relay.port, requestOf(serialiseCall(method, [1, 2])), CONNECTIONS, {
          ms: round < 0 ? 4000 : ms,
        });
        return (callsPerSecond * (performance.now() - began)) / 1000;
      };
      // V8 compiles what is called in the first round.
      if (round < 0) await run();
      else await cost.measure(relay, run);
    }
  }
  return kinds.flatMap(({ what, cost, aim }) => cost.figures(`Calls of a plugin over HTTP, ${CONNECTIONS} connections`, what, aim));
}

/** The same without the HTTP endpoint: what the process of the relay and that of the child can do together. */
async function callsBetween(relay: RunningRelay, rounds: number): Promise<Figure[]> {
  const client = clientOf(relay.port, relay.token);
  const figures: Figure[] = [];
  for (const [what, method, aim] of [
    ['inline', 'ham.near.add', undefined],
    ['in a child', 'ham.far.add', { least: 25_000 }],
  ] as const) {
    const cost = new Cost();
    for (let round = -2; round < rounds; round++) {
      const run = async (): Promise<number> => {
        await client.call('ham.meter.calls', [method, CALLS_BETWEEN]);
        return CALLS_BETWEEN;
      };
      if (round < 0) await run();
      else await cost.measure(relay, run);
    }
    figures.push(...cost.figures(`Calls of a plugin by another, ${CONNECTIONS} at once`, what, aim));
  }
  await client.close();
  return figures;
}

/** What calls cost: their rate, and the processor time of the relay and its child, which depends less on other work on the machine. */
class Cost {
  readonly #rates: number[] = [];
  #calls = 0;
  #seconds = 0;

  /** `run` makes calls, and resolves to their number. */
  async measure(relay: RunningRelay, run: () => Promise<number>): Promise<void> {
    const client = clientOf(relay.port, relay.token);
    const { pid = NaN } = (await client.call('plugin.info', ['ham.far'])) as { pid?: number };
    await client.close();
    const used = (): number => (cpuSeconds(relay) ?? NaN) + (cpuSeconds({ pid }) ?? NaN);
    const [before, began] = [used(), performance.now()];
    const calls = await run();
    this.#rates.push((calls * 1000) / (performance.now() - began));
    this.#calls += calls;
    this.#seconds += used() - before;
  }

  figures(group: string, what: string, aim: Aim | undefined): Figure[] {
    return [
      { group, what, value: median(this.#rates), unit: 'per second', aim },
      { group, what: `${what}, processor time`, value: (this.#seconds * 1e6) / this.#calls, unit: 'µs per call' },
    ];
  }
}

async function starts({ port, token }: RunningRelay, count: number): Promise<Figure[]> {
  const client = clientOf(port, token);
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    await client.call('plugin.stop', ['ham.far']);
    const began = performance.now();
    await client.call('plugin.start', ['ham.far']);
    times.push(performance.now() - began);
  }
  await client.close();
  const group = 'Start of a child, until it is ready';
  return [
    { group, what: 'median', value: median(times), unit: 'ms', aim: { most: 250 } },
    { group, what: 'longest', value: quantile(times, 1), unit: `ms (of ${count})` },
  ];
}

/**
 * How long a dict takes from the sender to `receive` of an inline satellite, before and while another satellite in a child never returns.
 */
async function besideBlocked({ port, token }: RunningRelay, count: number): Promise<Figure[]> {
  const client = clientOf(port, token);
  const figures: Figure[] = [];
  await delays(client, port, count);
  for (const [what, isBlocked] of [
    ['all well', false],
    ['one in a child blocked', true],
  ] as const) {
    if (isBlocked) await client.call('notify', [{ data: 'block' }]);
    const times = await delays(client, port, count);
    for (const [part, name] of [
      [0.5, 'half of them'],
      [0.999, '999 of 1,000'],
    ] as const) {
      const aim = isBlocked && part > 0.9 ? { most: 20 } : undefined;
      const value = quantile(times, part);
      figures.push({ group: 'A dict from its sender into receive', what: `${what}, ${name}`, value, unit: `ms (of ${times.length})`, aim });
    }
  }
  await client.close();
  return figures;
}

async function delays(client: XmlRpcClient, port: number, count: number): Promise<number[]> {
  const connection = new Connection(port);
  for (let n = 0; n < count; n++)
    await connection.ask(requestOf(serialiseCall('notify', [{ data: 'time', at: String(process.hrtime.bigint()) }])));
  connection.close();
  return (await client.call('ham.meter.take', [])) as number[];
}

async function manyPlugins(peers: Peers, rounds: number): Promise<Figure[]> {
  const directory = join(peers.directory, 'many');
  for (let n = 0; n < PLUGINS; n++) await save(directory, `pack${n % 20}/box${n}.ts`, box(`Box${n}`, ''));
  // Compiles them once.
  await (await peers.relay(directory)).end();
  const [times, sizes]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const relay = await peers.relay(directory);
    times.push(performance.now() - began);
    sizes.push(residentMiB(relay) ?? NaN);
    await relay.end();
  }
  const group = `${PLUGINS} inline plugins`;
  return [
    { group, what: 'start, until the ready line', value: median(times), unit: `ms (of ${rounds})` },
    { group, what: 'resident when it is ready', value: median(sizes), unit: 'MiB' },
  ];
}

function clientOf(port: number, token: string): XmlRpcClient {
  return createClient(`http://127.0.0.1:${port}/RPC2`, { token });
}

function box(name: string, options: string): string {
  return `import { Exposed, Plugin, Satellite, type Dict } from 'co2-relay';
@Satellite(${options})
export class ${name} extends Plugin {
  receive(dict: Dict) { while (dict.data === 'block' && ${options !== ''}) continue; }
  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a: number, b: number) { return a + b; }
}
`;
}

// The monotonic clock is the same in all processes of a machine.
const METER = `import { Exposed, Plugin, Satellite, type Dict } from 'co2-relay';
@Satellite()
export class Meter extends Plugin {
  times: number[] = [];
  receive({ data, at }: Dict) { if (data === 'time') this.times.push(Number(process.hrtime.bigint() - BigInt(at as string)) / 1e6); }
  /** ms of each dict since the last call. */
  @Exposed({ params: [], returns: 'array' }) take() { const { times } = this; this.times = []; return times; }
  /** ms for this number of calls of a method. */
  @Exposed({ params: ['string', 'int'], returns: 'double' }) async calls(method: string, count: number) {
    const began = performance.now();
    let left = count;
    const worker = async () => { while (left-- > 0) await this.call(method, [1, 2]); };
    await Promise.all(Array.from({ length: ${CONNECTIONS} }, worker));
    return performance.now() - began;
  }
}
`;
