/** One hop from a sender to one and to eight receivers: dicts per second and processor time, beside other ways to send them. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { PACKAGES_VARIABLE, optionalPackage } from './optional-package.ts';
import { REPORTED } from './peers/hop-messages.ts';
import type { Delivered, HopCommand, HopReport } from './peers/hop-messages.ts';
import { NPM, Peers, cpuSeconds } from './peers.ts';
import { median, quantile } from './statistics.ts';
import type { Aim, Figure, Ratio, Report } from './table.ts';

interface Settings {
  readonly isQuick: boolean;
  readonly say: (text: string) => void;
}

/** Dicts of a size. The aims are for our dicts per second, in relation to those of others. */
interface Size {
  readonly bytes: number;
  readonly aims: Readonly<Record<string, Aim>>;
}

const OURS = 'co2-relay';
const POST = 'POST with undici';
const MOSQUITTO = 'Mosquitto, QoS 0';
const SIZES: readonly [Size, ...Size[]] = [
  { bytes: 256, aims: { [NPM]: { least: 100 }, [MOSQUITTO]: { least: 1 } } },
  { bytes: 2_048, aims: { [NPM]: { least: 50 }, [MOSQUITTO]: { least: 1 } } },
];
const RECEIVERS = [1, 8];
const KINDS = [
  { name: OURS, kind: 'relay' },
  { name: NPM, kind: 'xmlrpc' },
  { name: POST, kind: 'post' },
] as const;
const MOLECULER = { name: 'Moleculer, TCP', kind: 'moleculer' } as const;
// In each direction.
const DELAY_MS = 20;
// How long a dict takes that is sent while no other one is under way, in relation to others.
const LONE_AIMS: Readonly<Record<string, Aim>> = { [POST]: { most: 1.1 } };
const STALLED_MS = 20_000;

/** How much is measured. */
interface Pace {
  readonly rounds: number;
  /** Of one measurement. */
  readonly ms: number;
  readonly warmUp: { readonly dicts: number; readonly ms: number };
  /** Dicts that are sent one at a time in a round. */
  readonly lone: number;
}

const QUICK: Pace = { rounds: 1, ms: 300, warmUp: { dicts: 6_000, ms: 1_500 }, lone: 700 };
const THOROUGH: Pace = { rounds: 3, ms: 800, warmUp: { dicts: 12_000, ms: 3_000 }, lone: 1_000 };
// The way of a lone dict is not that of a batch. V8 compiles it after some thousands of dicts, and until then it takes four times as long.
const LONE_WARM_UP = 6_000;
// Between two lone dicts, so that the answer to the first one is back, and nothing waits behind it.
const LONE_PAUSE_MS = 2;

/** Takes less than three minutes, or less than a minute with `isQuick`. */
export async function relay({ isQuick, say }: Settings): Promise<Report> {
  const pace = isQuick ? QUICK : THOROUGH;
  const peers = new Peers();
  try {
    const brokers = await startBrokers(peers);
    const hasMoleculer = optionalPackage('moleculer') !== undefined;
    if (!hasMoleculer) peers.skipped.push(`${MOLECULER.name}: moleculer is not installed (${PACKAGES_VARIABLE} names the directory)`);
    const kinds = [...KINDS, ...(hasMoleculer ? [MOLECULER] : [])];
    const figures: Figure[] = [];
    for (const receivers of RECEIVERS) {
      say(`starting senders and receivers (${receivers} each) ...`);
      const direct = kinds.map(async ({ name, kind }) => startHop(peers, { name, kind, receivers, port: await freePort(), pids: [] }));
      const brokered = brokers.map((broker) => startHop(peers, { ...broker, receivers, pids: [broker.pid] }));
      const hops = await Promise.all([...direct, ...brokered]);
      for (const hop of hops) await tryOut(hop, { receivers, bytes: 1_024, ...pace.warmUp });
      for (const size of SIZES) {
        say(`${size.bytes} B, receivers: ${receivers} ...`);
        figures.push(...(await compare(hops, { receivers, delayMs: 0, ...size }, pace)));
      }
      if (receivers === 1) {
        say('one dict at a time ...');
        figures.push(...(await compareLone(hops.filter(isDirect), pace)));
      }
      for (const hop of hops) await hop.stop();
    }
    figures.push(...(await compareDelayed(peers, pace, say)));
    return { figures, skipped: peers.skipped };
  } finally {
    await peers.stop();
  }
}

interface Broker {
  readonly name: string;
  readonly kind: string;
  readonly port: number;
  readonly pid: number;
}

/** True for what is sent without a broker, by a program of the project itself. */
function isDirect({ name }: Hop): boolean {
  return KINDS.some((kind) => kind.name === name);
}

/** The hops to one receiver with a delay on the way. */
async function compareDelayed(peers: Peers, pace: Pace, say: Settings['say']): Promise<Figure[]> {
  say(`starting senders and receivers, ${DELAY_MS} ms apart ...`);
  const hops = await Promise.all(
    KINDS.map(async ({ name, kind }) => startHop(peers, { name, kind, receivers: 1, port: await freePort(), pids: [], delayMs: DELAY_MS })),
  );
  for (const hop of hops) await tryOut(hop, { receivers: 1, bytes: 1_024, ...pace.warmUp });
  const figures: Figure[] = [];
  for (const size of SIZES) {
    say(`${size.bytes} B, delay: ${DELAY_MS} ms each way ...`);
    figures.push(...(await compare(hops, { receivers: 1, delayMs: DELAY_MS, ...size }, pace)));
  }
  for (const hop of hops) await hop.stop();
  return figures;
}

/** Starts the brokers that are installed. */
async function startBrokers(peers: Peers): Promise<Broker[]> {
  const [mqtt, nats] = [await freePort(), await freePort()];
  const file = join(peers.directory, 'mosquitto.conf');
  // Nothing is dropped because a subscriber is slow.
  const settings = ['allow_anonymous true', 'log_type error', 'log_dest stderr', 'set_tcp_nodelay true', 'max_queued_messages 0'];
  writeFileSync(file, [`listener ${mqtt} 127.0.0.1`, ...settings, ''].join('\n'));
  const mosquitto = await peers.installed(MOSQUITTO, mqtt, 'mosquitto', ['-c', file]);
  const natsServer = await peers.installed('NATS core', nats, 'nats-server', ['-a', '127.0.0.1', '-p', String(nats), '-l', '/dev/null']);
  return [...(mosquitto ? [{ ...mosquitto, kind: 'mqtt' }] : []), ...(natsServer ? [{ ...natsServer, kind: 'nats' }] : [])];
}

interface HopOptions {
  readonly name: string;
  readonly kind: string;
  readonly receivers: number;
  /** That of the broker, or of the sender. */
  readonly port: number;
  /** The processes between sender and receivers. */
  readonly pids: readonly number[];
  /** From sender to receivers, and back; it adds nothing to the processor time that is counted. Default 0. */
  readonly delayMs?: number;
}

async function startHop(peers: Peers, { name, kind, receivers, port, pids, delayMs = 0 }: HopOptions): Promise<Hop> {
  const receiver = peers.fork('hop.ts', [kind, 'receive', String(port), String(receivers)]);
  const near = await ready(receiver, name);
  const ports = delayMs === 0 ? near : await ready(peers.fork('delay.ts', [delayMs, ...near].map(String)), `the delay for ${name}`);
  const sender = peers.fork('hop.ts', [kind, 'send', String(port), ...ports.map(String)]);
  await ready(sender, name);
  return new Hop(name, { sender, receiver, pids: [...pids, sender.pid ?? 0, receiver.pid ?? 0] });
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
  #onReport: (report: Delivered) => void = () => undefined;
  #onExit: () => void = () => undefined;

  constructor(
    readonly name: string,
    { sender, receiver, pids }: { readonly sender: ChildProcess; readonly receiver: ChildProcess; readonly pids: readonly number[] },
  ) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#pids = pids;
    receiver.on('message', (report: HopReport) => {
      if (!('delivered' in report)) return;
      this.#delivered = report.delivered;
      if (sender.connected) sender.send(report satisfies HopCommand);
      this.#onReport(report);
    });
    for (const program of [sender, receiver]) {
      program.on('exit', () => {
        this.#onExit();
      });
    }
  }

  /** Sends so many dicts, and waits until all receivers have all of them. */
  async measure(count: number, bytes: number, receivers: number): Promise<Measurement> {
    this.#sent += count;
    const [start, cpu] = [performance.now(), this.#cpuSeconds()];
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => {
        clearTimeout(stalled);
        reject(new Error(`${this.name}: ${this.#sent - this.#delivered} dicts of ${bytes} B did not arrive`));
      };
      const stalled = setTimeout(fail, STALLED_MS);
      this.#onExit = fail;
      this.#onReport = () => {
        if (this.#delivered < this.#sent) stalled.refresh();
        else {
          clearTimeout(stalled);
          resolve();
        }
      };
      this.#sender.send({ count, bytes } satisfies HopCommand);
    });
    const seconds = (performance.now() - start) / 1_000;
    return { perSecond: count / seconds, cpuUs: ((this.#cpuSeconds() - cpu) * 1e6) / (count * receivers) };
  }

  /** Sends so many dicts, each `pauseMs` after the one before it has arrived; resolves to the microseconds from sending to arrival. */
  async measureLone(count: number, bytes: number, pauseMs: number): Promise<readonly number[]> {
    this.#receiver.send({ every: 1 } satisfies HopCommand);
    this.#sent += count;
    const latenciesUs = await new Promise<readonly number[]>((resolve, reject) => {
      const fail = (): void => {
        clearTimeout(stalled);
        this.#sender.off('message', onMessage);
        reject(new Error(`${this.name}: ${this.#sent - this.#delivered} lone dicts of ${bytes} B did not arrive`));
      };
      const stalled = setTimeout(fail, STALLED_MS);
      const onMessage = (report: HopReport): void => {
        if (!('latenciesUs' in report)) return;
        clearTimeout(stalled);
        this.#sender.off('message', onMessage);
        resolve(report.latenciesUs);
      };
      this.#sender.on('message', onMessage);
      this.#onExit = fail;
      this.#onReport = () => {
        stalled.refresh();
      };
      this.#sender.send({ lone: count, bytes, pauseMs } satisfies HopCommand);
    });
    this.#receiver.send({ every: REPORTED } satisfies HopCommand);
    return latenciesUs;
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
  /** When it ends: V8 compiles a way of sending after some thousands of dicts, which the slow ones never reach. */
  readonly dicts: number;
  readonly ms: number;
}

/** Sends without measuring; returns the dicts per second of the last attempt. */
async function tryOut(hop: Hop, { receivers, bytes, dicts, ms }: Trial): Promise<number> {
  let last = await hop.measure(REPORTED, bytes, receivers);
  let sent = REPORTED;
  for (const end = performance.now() + ms; sent < dicts && performance.now() < end;) {
    const count = countFor(last.perSecond, ms / 4);
    last = await hop.measure(count, bytes, receivers);
    sent += count;
  }
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
}

/** Measures the hops in turns. */
async function compare(hops: readonly Hop[], { receivers, delayMs, bytes, aims }: Way, { rounds, ms }: Pace): Promise<Figure[]> {
  const results = [];
  for (const hop of hops) {
    const perSecond = await tryOut(hop, { receivers, bytes, dicts: Infinity, ms: ms / 2 });
    results.push({ hop, count: countFor(perSecond, ms), measured: [] as Measurement[] });
  }
  for (let round = 0; round < rounds; round++)
    for (const { hop, count, measured } of results) measured.push(await hop.measure(count, bytes, receivers));
  const speeds = results.map(({ hop: { name }, measured }) => ({
    name,
    perSecond: median(measured.map(({ perSecond }) => perSecond)),
    cpuUs: median(measured.map(({ cpuUs }) => cpuUs)),
  }));
  const ours = speeds.find(({ name }) => name === OURS);
  const others = speeds.filter(({ name }) => name !== OURS);
  if (!ours) return [];
  const delay = delayMs === 0 ? '' : `, ${delayMs} ms of delay each way`;
  const group = `Dicts of ${bytes.toLocaleString('en')} B to ${receivers === 1 ? 'one receiver' : `${receivers} receivers`}${delay}`;
  const ratiosOf = (ratio: (other: (typeof speeds)[number]) => number, withAims: boolean): Ratio[] =>
    others.map((other) => ({ to: `x ${other.name}`, ratio: ratio(other), aim: withAims ? aims[other.name] : undefined }));
  return [
    {
      ...{ group, what: 'delivered to each receiver', value: ours.perSecond, unit: '/s' },
      ratios: ratiosOf(({ perSecond }) => ours.perSecond / perSecond, true),
    },
    {
      ...{ group, what: 'processor time, all processes', value: ours.cpuUs, unit: 'µs per dict and receiver' },
      ratios: ratiosOf(({ cpuUs }) => ours.cpuUs / cpuUs, false),
    },
  ];
}

/** Measures in turns how long a dict takes from the sender to the receiver if no other one is under way. */
async function compareLone(hops: readonly Hop[], { rounds, lone }: Pace): Promise<Figure[]> {
  const [{ bytes }] = SIZES;
  const results = hops.map((hop) => ({ hop, latencies: [] as number[] }));
  for (const { hop } of results) await hop.measureLone(LONE_WARM_UP, bytes, 0);
  for (let round = 0; round < rounds; round++)
    for (const { hop, latencies } of results) latencies.push(...(await hop.measureLone(lone, bytes, LONE_PAUSE_MS)));
  const ours = results.find(({ hop: { name } }) => name === OURS);
  if (!ours) return [];
  const others = results.filter((result) => result !== ours);
  const figure = (what: string, valueOf: (latencies: readonly number[]) => number, aims: typeof LONE_AIMS): Figure => ({
    ...{ group: `A lone dict of ${bytes} B to one receiver`, what, value: valueOf(ours.latencies), unit: 'µs from send to receive' },
    ratios: others.map(({ hop: { name }, latencies }) => {
      return { to: `x ${name}`, ratio: valueOf(ours.latencies) / valueOf(latencies), aim: aims[name] };
    }),
  });
  return [figure('median', median, LONE_AIMS), figure('99th percentile', (latencies) => quantile(latencies, 0.99), {})];
}
