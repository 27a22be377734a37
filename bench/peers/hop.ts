/**
 * One end of a hop: the sender, or all receivers. Arguments: kind, `send` or `receive`, the port of the broker or of the sender, and
 * then the ports of the receivers (`send`) or their number (`receive`). The benchmark commands it through the IPC channel.
 */
import { EventEmitter, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { REPORTED, clockUs } from './hop-messages.ts';
import type { Delivered, HopCommand, HopReport } from './hop-messages.ts';

/** A dict as programs send it. */
export interface HopDict {
  readonly data: string;
  readonly at: number;
  readonly readings?: readonly { readonly sensor: number; readonly celsius: number }[];
}

/** One way to send dicts. */
export interface Hop {
  /** Starts receivers that call `onDict` for each dict; resolves to the ports that they listen on. */
  receive(options: { readonly count: number; readonly port: number; readonly onDict: () => void }): Promise<readonly number[]>;
  /** Resolves to what sends a dict to all receivers, and is awaited before the next dict if it returns a promise. */
  send(options: { readonly port: number; readonly receivers: readonly number[] }): Promise<(dict: HopDict) => Promise<unknown> | undefined>;
  /** Dicts that wait for an answer at the same time. */
  readonly concurrency: number;
  /** True if dicts are stored on their way, so that any number may be on their way. Default false. */
  readonly isStored?: boolean;
}

/** Dicts that were sent and are not reported as delivered: at most so many, so that no queue overflows. */
const WINDOW = 2_048;

const HOPS: Readonly<Record<string, () => Promise<Hop>>> = {
  memory: async () => (await import('./hop-relay.ts')).meshHop(false),
  durable: async () => (await import('./hop-relay.ts')).meshHop(true),
  xmlrpc: async () => (await import('./hop-xmlrpc.ts')).hop,
  post: async () => (await import('./hop-post.ts')).hop,
  mqtt: async () => (await import('./hop-mqtt.ts')).hop,
  nats: async () => (await import('./hop-nats.ts')).core,
  jetstream: async () => (await import('./hop-nats.ts')).jetStream,
  redis: async () => (await import('./hop-redis.ts')).published,
  'redis-streams': async () => (await import('./hop-redis.ts')).streamed,
  moleculer: async () => (await import('./hop-moleculer.ts')).hop,
};

const report = (message: HopReport): void => {
  process.send?.(message);
};

async function receive(hop: Hop, port: number, count: number): Promise<void> {
  let received = 0;
  let every = REPORTED;
  process.on('message', (command: HopCommand) => {
    if ('every' in command) ({ every } = command);
  });
  const onDict = (): void => {
    if (++received % (every * count) === 0) report({ delivered: received / count, atUs: clockUs() });
  };
  report({ ports: await hop.receive({ count, port, onDict }) });
}

async function send(hop: Hop, port: number, receivers: readonly number[]): Promise<void> {
  const sendOne = await hop.send({ port, receivers });
  const window = hop.isStored === true ? Infinity : WINDOW;
  let [sent, delivered] = [0, 0];
  const reports = new EventEmitter<{ delivered: [Delivered] }>().setMaxListeners(0);
  const sendAll = async (count: number, bytes: number): Promise<void> => {
    const dict = dictOf(bytes);
    const [began, last] = [clockUs(), sent + count];
    const sentAtUs = new Map<number, number>();
    const latenciesUs: number[] = [];
    const onDelivered = (report: Delivered): void => {
      const atUs = sentAtUs.get(report.delivered);
      if (atUs !== undefined) latenciesUs.push(report.atUs - atUs);
    };
    reports.on('delivered', onDelivered);
    let left = count;
    const sender = async (): Promise<void> => {
      while (left-- > 0) {
        const at = sent++;
        const isTooEarly = (): boolean => at - delivered >= window;
        while (isTooEarly()) await once(reports, 'delivered');
        if ((at + 1) % REPORTED === 0) sentAtUs.set(at + 1, clockUs());
        const answered = sendOne({ ...dict, at });
        if (answered) await answered;
      }
    };
    await Promise.all(Array.from({ length: hop.concurrency }, sender));
    const sentMs = (clockUs() - began) / 1_000;
    const isMissing = (): boolean => delivered < last;
    while (isMissing()) await once(reports, 'delivered');
    reports.off('delivered', onDelivered);
    report({ sentMs, latenciesUs });
  };
  const sendAlone = async (count: number, bytes: number, pauseMs: number): Promise<void> => {
    const dict = dictOf(bytes);
    const began = clockUs();
    const latenciesUs: number[] = [];
    while (latenciesUs.length < count) {
      if (pauseMs > 0) await pause(pauseMs);
      const arrival = once(reports, 'delivered') as Promise<[Delivered]>;
      const start = clockUs();
      await sendOne({ ...dict, at: sent++ });
      const [{ atUs }] = await arrival;
      latenciesUs.push(atUs - start);
    }
    report({ sentMs: (clockUs() - began) / 1_000, latenciesUs });
  };
  process.on('message', (command: HopCommand) => {
    if ('count' in command) void sendAll(command.count, command.bytes);
    else if ('lone' in command) void sendAlone(command.lone, command.bytes, command.pauseMs);
    else if ('delivered' in command) {
      delivered = command.delivered;
      reports.emit('delivered', command);
    }
  });
  report({ ports: [] });
}

/** A dict with so many bytes of XML, at least 256: mostly readings, filled up with text. */
function dictOf(bytes: number): HopDict {
  const rows = Array.from({ length: Math.floor((bytes - 256) / 180) }, (_, sensor) => ({ sensor, celsius: 20.125 + sensor / 4 }));
  const dict = { data: 'temperature', at: 0, ...(rows.length > 0 ? { readings: rows } : {}) };
  const length = serialiseCall('notify', [dict]).length - serialiseCall('notify', []).length;
  return { ...dict, data: dict.data.padEnd(dict.data.length + bytes - length, '.') };
}

const [kind = '', role, port, ...rest] = process.argv.slice(2);
const chosen = await HOPS[kind]?.();
if (!chosen) throw new Error(`no such kind: ${kind}`);
if (role === 'send') await send(chosen, Number(port), rest.map(Number));
else await receive(chosen, Number(port), Number(rest[0]));
// Also when the benchmark was killed. Its directory, which holds the files of this process, is deleted by it.
process.on('disconnect', () => process.kill(process.pid));
