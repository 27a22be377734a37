/**
 * One hop from a sender to one and to eight receivers: dicts per second, how long they take, and processor time, beside other ways to send
 * them.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { PACKAGES_VARIABLE, optionalPackage } from './optional-package.ts';
import { REPORTED } from './peers/hop-messages.ts';
import type { Delivered, HopCommand, HopReport, Sent } from './peers/hop-messages.ts';
import { NPM, Peers, cpuSeconds } from './peers.ts';
import { median, quantile } from './statistics.ts';
import { syncedAppends } from './store.ts';
import type { Aim, Figure, Ratio, Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

type Aims = Readonly<Record<string, Aim>>;

/** Dicts of a size. The aims are for our dicts per second, in relation to those of others. */
interface Size {
  readonly bytes: number;
  readonly aims: Aims;
}

/** A way to send dicts. */
interface Kind {
  readonly name: string;
  /** The program of `peers/hop.ts`. */
  readonly kind: string;
  /** True if a dict is acknowledged once it is stored: these are compared with each other, and the others with each other. */
  readonly isStored: boolean;
  /** The processes between sender and receivers, and the port of theirs. */
  readonly broker?: { readonly port: number; readonly pid: number };
  /** Whether it is measured with one dict at a time, and with delay, too. */
  readonly isLone?: boolean;
  readonly isDelayed?: boolean;
}

const OURS: Kind = { name: 'co2-relay, in memory', kind: 'memory', isStored: false, isLone: true, isDelayed: true };
const OURS_STORED: Kind = { name: 'co2-relay, durable', kind: 'durable', isStored: true, isLone: true };
const POST = 'POST with undici';
const [MOSQUITTO, AEDES, NATS, MOLECULER] = ['Mosquitto, QoS 0', 'aedes, QoS 0', 'NATS core', 'Moleculer, TCP'];
const [JETSTREAM, REDIS, REDIS_STREAMS] = ['JetStream', 'Redis, PUBLISH', 'Redis streams, synced'];
const AHEAD: Aims = { [MOSQUITTO]: { least: 1 }, [AEDES]: { least: 1 }, [MOLECULER]: { least: 1 } };
const SIZES: readonly [Size, ...Size[]] = [
  { bytes: 256, aims: { ...AHEAD, [NPM]: { least: 100 } } },
  { bytes: 2_048, aims: { ...AHEAD, [NPM]: { least: 50 } } },
];
// Of durable sends, acknowledged ones per second.
const STORED_AIMS: Aims = { [JETSTREAM]: { least: 1 } };
const OF_STORE: Aim = { least: 0.7 };
const RECEIVERS = [1, 8];
const DIRECT: readonly Kind[] = [
  OURS,
  OURS_STORED,
  { name: NPM, kind: 'xmlrpc', isStored: false, isLone: true, isDelayed: true },
  { name: POST, kind: 'post', isStored: false, isLone: true, isDelayed: true },
];
// In each direction.
const DELAY_MS = 20;
// How long a dict takes that is sent while no other one is under way, in relation to others.
const LONE_AIMS: Aims = { [POST]: { most: 1.1 } };
const STALLED_MS = 20_000;

/** How much is measured. */
interface Pace {
  readonly rounds: number;
  /** Of one measurement. */
  readonly ms: number;
  /** Of the first messages, which V8 has not compiled its code for. */
  readonly warmUpMs: number;
  /** Dicts that are sent one at a time in a round. */
  readonly lone: number;
  /** Appends to the store that are measured. */
  readonly appends: number;
}

const QUICK: Pace = { rounds: 1, ms: 300, warmUpMs: 1_000, lone: 384, appends: 51_200 };
const THOROUGH: Pace = { rounds: 3, ms: 700, warmUpMs: 2_000, lone: 640, appends: 204_800 };
// The way of a lone dict is not that of a batch. V8 compiles it after some thousands of dicts, and until then it takes four times as long.
const LONE_WARM_UP = { dicts: 5_120, ms: 3_000 };
const LONE_AT_ONCE = 256;
// Between two lone dicts, so that the answer to the first one is back, and nothing waits behind it.
const LONE_PAUSE_MS = 2;
const STORE_WRITERS = 1_024;

/** Takes less than five minutes, or less than two with `isQuick`. */
export async function relay({ isQuick, say }: Settings): Promise<Report> {
  const pace = isQuick ? QUICK : THOROUGH;
  const peers = new Peers();
  try {
    const kinds = [...DIRECT, ...moleculer(peers), ...(await brokers(peers))];
    const figures: Figure[] = [];
    say('the store alone ...');
    const storeRates = new Map<number, number>();
    for (const { bytes } of SIZES)
      storeRates.set(
        bytes,
        await syncedAppends(join(peers.directory, `store-${bytes}`), { writers: STORE_WRITERS, records: pace.appends, bytes }),
      );
    for (const receivers of RECEIVERS) {
      say(`starting senders and receivers (${receivers} each) ...`);
      const hops = await Promise.all(kinds.map((kind) => startHop(peers, { kind, receivers })));
      for (const hop of hops) await tryOut(hop, { receivers, bytes: 1_024, ms: pace.warmUpMs });
      for (const size of SIZES) {
        say(`${size.bytes} B, receivers: ${receivers} ...`);
        figures.push(...(await compare(hops, { receivers, delayMs: 0, storeRate: storeRates.get(size.bytes), ...size }, pace)));
      }
      if (receivers === 1) {
        say('one dict at a time ...');
        figures.push(...(await compareLone(hops, pace)));
      }
      for (const hop of hops) await hop.stop();
    }
    figures.push(...(await compareDelayed(peers, pace, say)));
    return { figures, skipped: peers.skipped };
  } finally {
    await peers.stop();
  }
}

/** The hops to one receiver with a delay on the way. */
async function compareDelayed(peers: Peers, pace: Pace, say: Settings['say']): Promise<Figure[]> {
  say(`starting senders and receivers, ${DELAY_MS} ms apart ...`);
  const kinds = DIRECT.filter(({ isDelayed }) => isDelayed);
  const hops = await Promise.all(kinds.map((kind) => startHop(peers, { kind, receivers: 1, delayMs: DELAY_MS })));
  for (const hop of hops) await tryOut(hop, { receivers: 1, bytes: 1_024, ms: pace.warmUpMs });
  const figures: Figure[] = [];
  for (const size of SIZES) {
    say(`${size.bytes} B, delay: ${DELAY_MS} ms each way ...`);
    figures.push(...(await compare(hops, { receivers: 1, delayMs: DELAY_MS, storeRate: undefined, ...size }, pace)));
  }
  for (const hop of hops) await hop.stop();
  return figures;
}

function moleculer({ skipped }: Peers): readonly Kind[] {
  if (optionalPackage('moleculer') !== undefined) return [{ name: MOLECULER, kind: 'moleculer', isStored: false }];
  skipped.push(`${MOLECULER}: moleculer is not installed (${PACKAGES_VARIABLE} names the directory)`);
  return [];
}

/** Starts the brokers that are installed. */
async function brokers(peers: Peers): Promise<readonly Kind[]> {
  const { directory } = peers;
  const [mqtt, nats, redis] = [await freePort(), await freePort(), await freePort()];
  const file = join(directory, 'mosquitto.conf');
  // Nothing is dropped because a subscriber is slow.
  const settings = ['allow_anonymous true', 'log_type error', 'log_dest stderr', 'set_tcp_nodelay true', 'max_queued_messages 0'];
  writeFileSync(file, [`listener ${mqtt} 127.0.0.1`, ...settings, ''].join('\n'));
  const streams = join(directory, 'nats');
  mkdirSync(streams);
  const natsArgs = ['-a', '127.0.0.1', '-p', String(nats), '-l', '/dev/null', '-js', '-sd', streams];
  const synced = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--client-output-buffer-limit', 'pubsub 0 0 0'];
  const redisArgs = ['--port', String(redis), '--bind', '127.0.0.1', '--dir', directory, ...synced];
  const started = [
    { broker: await peers.installed(MOSQUITTO, mqtt, 'mosquitto', ['-c', file]), kinds: [[MOSQUITTO, 'mqtt', false]] },
    { broker: await aedes(peers), kinds: [[AEDES, 'mqtt', false]] },
    {
      broker: await peers.installed('NATS', nats, 'nats-server', natsArgs),
      kinds: [
        [NATS, 'nats', false],
        [JETSTREAM, 'jetstream', true],
      ],
    },
    {
      broker: await peers.installed('Redis', redis, 'redis-server', redisArgs),
      kinds: [
        [REDIS, 'redis', false],
        [REDIS_STREAMS, 'redis-streams', true],
      ],
    },
  ] as const;
  return started.flatMap(({ broker, kinds }) =>
    broker ? kinds.map(([name, kind, isStored]) => ({ name, kind, isStored, broker, isLone: name !== AEDES })) : [],
  );
}

async function aedes(peers: Peers): Promise<Kind['broker']> {
  if (optionalPackage('aedes') === undefined) {
    peers.skipped.push(`${AEDES}: aedes is not installed (${PACKAGES_VARIABLE} names the directory)`);
    return undefined;
  }
  const port = await freePort();
  const broker = peers.fork('broker-aedes.ts', [String(port)]);
  await ready(broker, AEDES);
  return { port, pid: broker.pid ?? 0 };
}

interface HopOptions {
  readonly kind: Kind;
  readonly receivers: number;
  /** From sender to receivers, and back; it adds nothing to the processor time that is counted. Default 0. */
  readonly delayMs?: number;
}

async function startHop(peers: Peers, { kind: { name, kind, broker, ...what }, receivers, delayMs = 0 }: HopOptions): Promise<Hop> {
  const port = String(broker?.port ?? (await freePort()));
  const delayed = async (ports: readonly (number | string)[]): Promise<readonly (number | string)[]> =>
    delayMs === 0 ? ports : ready(peers.fork('delay.ts', [delayMs, ...ports].map(String)), `the delay for ${name}`);
  // Receivers may connect to the sender, too.
  const [toSender = port] = await delayed([port]);
  const receiver = peers.fork('hop.ts', [kind, 'receive', String(toSender), String(receivers)]);
  const ports = await delayed(await ready(receiver, name));
  const sender = peers.fork('hop.ts', [kind, 'send', port, ...ports.map(String)]);
  await ready(sender, name);
  return new Hop(
    { name, kind, ...what },
    { sender, receiver, pids: [broker?.pid, sender.pid, receiver.pid].filter((pid) => pid !== undefined) },
  );
}

async function ready(program: ChildProcess, name: string): Promise<readonly number[]> {
  const failed = once(program, 'exit').then(() => Promise.reject(new Error(`${name} ended before it was ready`)));
  const [report] = (await Promise.race([once(program, 'message'), failed])) as [HopReport];
  failed.catch(() => undefined);
  return 'ports' in report ? report.ports : [];
}

interface Measurement {
  /** Dicts that every receiver got, per second. */
  readonly perSecond: number;
  /** Dicts that were sent, and acknowledged if they are, per second. */
  readonly sentPerSecond: number;
  readonly latenciesUs: readonly number[];
  /** Processor time of sender, broker and receivers for a dict at one receiver. */
  readonly cpuUs: number;
}

/** A sender with its receivers, and with the broker between them. */
class Hop {
  readonly #sender: ChildProcess;
  readonly #receiver: ChildProcess;
  readonly #pids: readonly number[];
  #sent = 0;
  #delivered = 0;
  #onDelivered: () => void = () => undefined;
  #onExit: () => void = () => undefined;

  constructor(
    readonly kind: Kind,
    { sender, receiver, pids }: { readonly sender: ChildProcess; readonly receiver: ChildProcess; readonly pids: readonly number[] },
  ) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#pids = pids;
    receiver.on('message', (report: HopReport) => {
      if (!('delivered' in report)) return;
      this.#delivered = report.delivered;
      if (sender.connected) sender.send(report satisfies Delivered);
      this.#onDelivered();
    });
    for (const program of [sender, receiver]) {
      program.on('exit', () => {
        this.#onExit();
      });
    }
  }

  /** Sends so many dicts, and waits until all receivers have all of them. */
  async measure(count: number, bytes: number, receivers: number): Promise<Measurement> {
    const [start, cpu] = [performance.now(), this.#cpuSeconds()];
    const { sentMs, latenciesUs } = await this.#command({ count, bytes }, count);
    const seconds = (performance.now() - start) / 1_000;
    const cpuUs = ((this.#cpuSeconds() - cpu) * 1e6) / (count * receivers);
    return { perSecond: count / seconds, sentPerSecond: (count * 1_000) / sentMs, latenciesUs, cpuUs };
  }

  /** Sends so many dicts, each `pauseMs` after the one before it has arrived. */
  async measureLone(count: number, bytes: number, pauseMs: number): Promise<Sent> {
    this.#receiver.send({ every: 1 } satisfies HopCommand);
    const sent = await this.#command({ lone: count, bytes, pauseMs }, count);
    this.#receiver.send({ every: REPORTED } satisfies HopCommand);
    return sent;
  }

  /** Resolves when all `count` dicts of a command have arrived. */
  async #command(command: HopCommand & { readonly bytes: number }, count: number): Promise<Sent> {
    this.#sent += count;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(stalled);
        this.#sender.off('message', onMessage);
      };
      const fail = (): void => {
        end();
        reject(new Error(`${this.kind.name}: ${this.#sent - this.#delivered} dicts of ${command.bytes} B did not arrive`));
      };
      const stalled = setTimeout(fail, STALLED_MS);
      const onMessage = (report: HopReport): void => {
        if (!('sentMs' in report)) return;
        end();
        resolve(report);
      };
      this.#sender.on('message', onMessage);
      this.#onExit = fail;
      this.#onDelivered = () => {
        stalled.refresh();
      };
      this.#sender.send(command);
    });
  }

  async stop(): Promise<void> {
    const ended = [this.#sender, this.#receiver].map((program) => once(program, 'exit'));
    for (const program of [this.#sender, this.#receiver]) program.disconnect();
    await Promise.all(ended);
  }

  #cpuSeconds(): number {
    return this.#pids.reduce((sum, pid) => sum + (cpuSeconds({ pid }) ?? NaN), 0);
  }
}

interface Trial {
  readonly receivers: number;
  readonly bytes: number;
  readonly ms: number;
}

/** Sends without measuring; returns the dicts per second of the last attempt. */
async function tryOut(hop: Hop, { receivers, bytes, ms }: Trial): Promise<number> {
  let last = await hop.measure(REPORTED, bytes, receivers);
  for (const end = performance.now() + ms; performance.now() < end;)
    last = await hop.measure(countFor(last.perSecond, ms / 4), bytes, receivers);
  return last.perSecond;
}

/** How many dicts take about so long. */
function countFor(perSecond: number, ms: number): number {
  return Math.max(1, Math.round((perSecond * ms) / 1_000 / REPORTED)) * REPORTED;
}

/** What is sent: dicts of a size, to so many receivers, with a delay in each direction. */
interface Way extends Size {
  readonly receivers: number;
  readonly delayMs: number;
  /** Records of the size that the store syncs per second. */
  readonly storeRate: number | undefined;
}

/** What was measured of a hop. */
interface Result {
  readonly kind: Kind;
  readonly measured: readonly Measurement[];
}

/** Measures the hops in turns. */
async function compare(hops: readonly Hop[], way: Way, { rounds, ms }: Pace): Promise<Figure[]> {
  const { receivers, delayMs, bytes, aims, storeRate } = way;
  const results: (Result & { readonly hop: Hop; readonly count: number; readonly measured: Measurement[] })[] = [];
  for (const hop of hops) {
    const perSecond = await tryOut(hop, { receivers, bytes, ms: ms / 2 });
    results.push({ hop, kind: hop.kind, count: countFor(perSecond, ms), measured: [] });
  }
  for (let round = 0; round < rounds; round++)
    for (const { hop, count, measured } of results) measured.push(await hop.measure(count, bytes, receivers));
  const delay = delayMs === 0 ? '' : `, ${delayMs} ms of delay each way`;
  const to = `${bytes.toLocaleString('en')} B to ${receivers === 1 ? 'one receiver' : `${receivers} receivers`}${delay}`;
  const [inMemory, stored] = [false, true].map((isStored) => results.filter(({ kind }) => kind.isStored === isStored));
  const figures = figuresOf(`Dicts of ${to}`, OURS, inMemory ?? [], { perSecond: aims });
  figures.push(...figuresOf(`Durable dicts of ${to}`, OURS_STORED, stored ?? [], { sentPerSecond: STORED_AIMS }));
  const sent = figures.find(({ what }) => what === SENT);
  if (sent === undefined || storeRate === undefined) return figures;
  const ofStore: Ratio = { to: 'x synced appends to the store alone', ratio: sent.value / storeRate, aim: OF_STORE };
  return figures.map((figure) => (figure === sent ? { ...figure, ratios: [...(figure.ratios ?? []), ofStore] } : figure));
}

const SENT = 'acknowledged to the sender';

/** Our figures in relation to those of the others, if ours was measured. */
function figuresOf(
  group: string,
  { name: ours, isStored }: Kind,
  results: readonly Result[],
  aims: { [Key in keyof Measurement]?: Aims },
): Figure[] {
  const own = results.find(({ kind: { name } }) => name === ours);
  if (!own) return [];
  const others = results.filter((result) => result !== own);
  const figure = (what: string, unit: string, key: keyof Measurement, valueOf: (result: Result) => number): Figure => ({
    ...{ group, what, value: valueOf(own), unit },
    ratios: others.map((other) => {
      const { name } = other.kind;
      return { to: `x ${name}`, ratio: valueOf(own) / valueOf(other), aim: aims[key]?.[name] };
    }),
  });
  const medianOf =
    (key: 'perSecond' | 'sentPerSecond' | 'cpuUs') =>
    ({ measured }: Result): number =>
      median(measured.map((one) => one[key]));
  const p99 = ({ measured }: Result): number =>
    quantile(
      measured.flatMap(({ latenciesUs }) => latenciesUs),
      0.99,
    ) / 1_000;
  return [
    ...(isStored ? [figure(SENT, '/s', 'sentPerSecond', medianOf('sentPerSecond'))] : []),
    figure('delivered to each receiver', '/s', 'perSecond', medianOf('perSecond')),
    figure('99th percentile under this load', 'ms from send to receive', 'latenciesUs', p99),
    figure('processor time, all processes', 'µs per dict and receiver', 'cpuUs', medianOf('cpuUs')),
  ];
}

/** Measures in turns how long a dict takes from the sender to the receiver if no other one is under way. */
async function compareLone(hops: readonly Hop[], { rounds, lone }: Pace): Promise<Figure[]> {
  const [{ bytes }] = SIZES;
  const results = hops.filter(({ kind }) => kind.isLone).map((hop) => ({ hop, latencies: [] as number[] }));
  for (const { hop } of results) {
    const end = performance.now() + LONE_WARM_UP.ms;
    for (let sent = 0; sent < LONE_WARM_UP.dicts && performance.now() < end; sent += LONE_AT_ONCE)
      await hop.measureLone(LONE_AT_ONCE, bytes, 0);
  }
  for (let round = 0; round < rounds; round++)
    for (const { hop, latencies } of results) latencies.push(...(await hop.measureLone(lone, bytes, LONE_PAUSE_MS)).latenciesUs);
  const figures: Figure[] = [];
  for (const { name, isStored } of [OURS, OURS_STORED]) {
    const ours = results.find(({ hop: { kind } }) => kind.name === name);
    const others = results.filter(({ hop: { kind } }) => kind.isStored === isStored && kind.name !== name);
    if (!ours) continue;
    const figure = (what: string, valueOf: (latencies: readonly number[]) => number, aims: Aims): Figure => ({
      ...{ group: `A lone ${isStored ? 'durable ' : ''}dict of ${bytes} B to one receiver`, what, value: valueOf(ours.latencies) },
      unit: 'µs from send to receive',
      ratios: others.map(({ hop, latencies }) => {
        return { to: `x ${hop.kind.name}`, ratio: valueOf(ours.latencies) / valueOf(latencies), aim: aims[hop.kind.name] };
      }),
    });
    figures.push(
      figure('median', median, LONE_AIMS),
      figure('99th percentile', (latencies) => quantile(latencies, 0.99), {}),
    );
  }
  return figures;
}
