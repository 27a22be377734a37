/** Two relays in this process that differ only in `fastPath`; their connections exist in memory. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Exposed, Plugin, Satellite } from '../../src/plugin/plugin.ts';
import type { Dict } from '../../src/plugin/plugin.ts';
import { createRelay } from '../../src/create-relay.ts';
import type { Config, RunningRelay } from '../../src/create-relay.ts';
import { recordingLogs } from '../../src/testing/logs.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { MemorySocket } from './memory-socket.ts';

const TOKEN = 'right-token-for-the-comparison';

/** One of the two relays. */
export class ComparedRelay {
  /** What happened since it was last taken: lines of the access log, dicts that its satellite received. */
  #events: string[] = [];

  private constructor(
    private readonly relay: RunningRelay,
    private readonly server: Server,
    events: string[],
  ) {
    this.#events = events;
  }

  static async start(fastPath: boolean, clock: VirtualClock, directory: string, options: Config): Promise<ComparedRelay> {
    const events: string[] = [];
    const logs = recordingLogs(({ category, level, text }) => {
      if (category === 'access') events.push(text.replace(/\d+\.\d ms$/, ''));
      else if (level === 'error') events.push(`error: ${text}`);
    });
    const unlimited = { perSecond: 1e9, burst: 1e9 };
    const config: Config = {
      ...{
        port: 0,
        fastPath,
        dataDir: join(directory, String(fastPath)),
        pluginsDir: join(directory, 'plugins'),
        maxWrongCredentials: 1_000_000,
      },
      limits: { anonymous: unlimited, local: unlimited, peer: unlimited, satellite: unlimited, token: unlimited },
      access: { anonymous: ['read', 'message'], tokens: { fuzz: { env: 'TOKEN', classes: ['read', 'admin', 'message'] } } },
      ...options,
    };
    const surroundings = { logs, clock, random: () => 0.5, date: () => 1.8e12, env: { TOKEN } };
    const relay = await createRelay({ ...config, satellites: { 'fuzz.box': boxFor(events) } }, surroundings);
    const compared = new ComparedRelay(relay, await serverOf(relay.url), events);
    compared.take();
    return compared;
  }

  connect(remoteAddress: string, isSlow: boolean): MemorySocket {
    const socket = new MemorySocket(remoteAddress, isSlow);
    // Node's server adds a listener of its own; errors are part of what is compared.
    socket.on('error', () => undefined);
    this.server.emit('connection', socket);
    return socket;
  }

  take(): readonly string[] {
    return this.#events.splice(0);
  }

  /** Counters that must be the same. */
  counters(): unknown {
    const { relay, calls, http } = this.relay.status();
    return {
      relay,
      http,
      faults: calls.faults,
      calls: Object.fromEntries(calls.durations.map(({ method, buckets }) => [method, buckets.reduce((sum, count) => sum + count, 0)])),
    };
  }

  /** What a client got, without what differs between two relays or two moments. */
  textOf(socket: MemorySocket): string {
    // Node's server writes an interim answer at once, even into the answer to the call before, which is not complete yet.
    const pieces = socket.text.split('HTTP/1.1 100 Continue\r\n\r\n');
    return (
      `${pieces.length - 1} interim answers\n${pieces.join('')}`
        .replaceAll(/^Date: .*$/gm, 'Date:')
        // Pages say when a relay has started.
        .replaceAll(/<html[^]*?<\/html>/g, '')
        .replaceAll(/^content-length: \d{5,6}\r$/gm, 'content-length: N')
        .replaceAll(new URL(this.relay.url).port, 'PORT')
        .replaceAll(/error [0-9a-z]{4,12}\b/g, 'error ID')
        .replaceAll(/(?:uptime|server_time|start_time)\W[^,}\n]{1,60}/g, '')
        .replaceAll(/\b[\w-]{8,64}@/g, 'RANDOM@')
    );
  }

  async stop(): Promise<void> {
    await this.relay.stop();
  }
}

/** A pair of relays, with and without the fast path. */
export interface Pair {
  readonly fast: ComparedRelay;
  readonly general: ComparedRelay;
  readonly clock: VirtualClock;
  readonly stop: () => Promise<void>;
}

export async function startPair(options: Config = {}): Promise<Pair> {
  const directory = mkdtempSync(join(tmpdir(), 'co2-fuzz-'));
  mkdirSync(join(directory, 'plugins'));
  const clock = new VirtualClock();
  const fast = await ComparedRelay.start(true, clock, directory, options);
  const general = await ComparedRelay.start(false, clock, directory, options);
  const stop = async (): Promise<void> => {
    // Their time stands still, and a stop waits for some.
    const advance = setInterval(() => {
      clock.advance(100);
    }, 10);
    await Promise.all([fast.stop(), general.stop()]);
    clearInterval(advance);
    rmSync(directory, { recursive: true, force: true });
  };
  return { fast, general, clock, stop };
}

function boxFor(events: string[]): new () => Plugin {
  @Satellite()
  class Box extends Plugin {
    /** Adds two integers. */
    @Exposed({ params: ['int', 'int'], returns: 'int' })
    add(one: number, other: number): number {
      return one + other;
    }

    /** Answers a few turns later. */
    @Exposed()
    async wait(): Promise<boolean> {
      for (let turns = 0; turns < 3; turns++) await nextTurn();
      return true;
    }

    /** An answer that the budget counts. */
    @Exposed()
    large(): string {
      return 'x'.repeat(70_000);
    }

    override receive(dict: Dict): void {
      events.push(
        `received ${JSON.stringify({ address: dict.client_address, data: dict.data, from: typeof dict.host_id === 'string' && dict.host_id.replace(/^.*@/, '') })}`,
      );
    }
  }
  return Box;
}

/** Node's server of a relay, which only its own diagnostics name. */
async function serverOf(url: string): Promise<Server> {
  const started = 'http.server.request.start';
  const { hostname, port } = new URL(url);
  let server: Server | undefined;
  const note = (message: unknown): void => {
    const { server: seen } = message as { readonly server: Server };
    const address = seen.address();
    if (typeof address === 'object' && address?.port === Number(port)) server = seen;
  };
  subscribe(started, note);
  const socket = connect(Number(port), hostname);
  socket.resume().end(`GET /healthz HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  unsubscribe(started, note);
  if (!server) throw new Error('no request was seen');
  return server;
}
