/**
 * Joins Pure Data to the network. What a patch sends with netsend becomes a dict `{data: {pd: [atoms]}}`, with floats as numbers and
 * symbols as strings; such dicts of other senders go to the patch. Without a configuration the bridge opens no socket.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Exposed, Fault, Inject, LOGGER, Plugin, Satellite, type Dict, type Logger, type Sendable, type Value } from 'co2-relay';
import { z } from 'zod';
import { formatFudi, type Atom } from './_fudi.ts';
import { nameOf, type Endpoint, type Hub, type Listener, type Outlet, type Target } from './_hub.ts';
import { TcpTarget, listenTcp } from './_tcp.ts';
import { UdpTarget, listenUdp } from './_udp.ts';

/** Messages that are sent to the network before other work gets a turn: a millisecond or two. */
const MESSAGES_PER_TURN = 50;

/** Names of this machine. */
const LOCAL = /^(?:localhost$|127\.|0\.0\.0\.0$|::1?$)/;

const endpoint = z.strictObject({
  /** Default 127.0.0.1. Connections are not authenticated, so another address admits everyone who can reach it. */
  host: z.string().min(1).max(255).default('127.0.0.1'),
  port: z.int().min(1).max(65_535),
  protocol: z.enum(['tcp', 'udp']).default('tcp'),
});

/** `plugins: { 'pd.bridge': { listen: [{ port: 3000 }], sendTo: [{ port: 3001 }] } }` in config.ts. */
const configSchema = z
  .strictObject({
    /** Where a patch's netsend connects to; port 0 chooses a free one. Default: none. */
    listen: z
      .array(endpoint.extend({ port: z.int().min(0).max(65_535) }))
      .max(8)
      .default([]),
    /** The netreceives that dicts are sent to. Patches connected over TCP get them too, at netsend's right outlet. Default: none. */
    sendTo: z.array(endpoint).max(32).default([]),
    /** Bytes of one message. Default 4,096: the buffer size of `pdreceive` and Pure Data. */
    maxMessageBytes: z.int().min(16).max(65_000).default(4096),
    /** Connections that one entry of `listen` accepts. Default 16. */
    maxConnections: z.int().min(1).max(1000).default(16),
    /** Bytes that may wait for a patch that reads too slowly; further messages are dropped. Default 65,536. */
    maxPendingBytes: z.int().min(1024).max(16_777_216).default(65_536),
    /** ms between two attempts to connect to a netreceive that is not running. Default 2,000. */
    retryMs: z.int().min(10).max(3_600_000).default(2000),
  })
  .refine(({ listen, sendTo }) => !sendTo.some((to) => listen.some((at) => isSame(at, to))), {
    path: ['sendTo'],
    message: 'it must not name what the bridge itself listens on, or each dict would come back',
  });
type Config = z.infer<typeof configSchema>;

/** Carries messages in both directions; what came from Pure Data here is never sent back to it. */
@Satellite({ config: configSchema })
export class Bridge extends Plugin<Config> {
  readonly #counters = { received: 0, refused: 0, sent: 0, dropped: 0 };
  #config!: Config;
  /** Messages that came in, including rejected ones. */
  #taken = 0;
  #listeners: readonly Listener[] = [];
  #targets: readonly Target[] = [];

  constructor(@Inject(LOGGER) private readonly logger: Logger) {
    super();
  }

  override async setup(config: Config): Promise<void> {
    const { listen, sendTo } = config;
    this.#config = config;
    if (listen.length === 0 && sendTo.length === 0) {
      this.logger.debug("not in use: config.ts has no plugins: { 'pd.bridge': { listen: [{ port: 3000 }] } }");
      return;
    }
    const hub: Hub = {
      ...config,
      logger: this.logger,
      take: (messages) => this.#take(messages),
      refuse: (reason) => {
        this.#refuse(reason);
      },
      drop: () => {
        this.#counters.dropped++;
      },
    };
    for (const at of listen) await this.#listen(at, hub);
    this.#targets = sendTo.map((to) => (to.protocol === 'tcp' ? new TcpTarget(to, hub) : new UdpTarget(to, hub)));
  }

  /** Sends `{data: {pd: [atoms]}}` to Pure Data and ignores other messages. */
  override receive({ data }: Dict): void {
    const list = membersOf(data).pd;
    if (!Array.isArray(list)) return;
    try {
      this.#give(list as readonly Value[]);
    } catch (error) {
      this.#refuse(reasonOf(error));
    }
  }

  override async exit(): Promise<void> {
    for (const target of this.#targets) target.close();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  /**
   * Sends a list of numbers and texts as one message to the local Pure Data, not to the network. Returns how many connections and targets
   * accepted it.
   */
  @Exposed({ params: ['array'], returns: 'int' })
  send_message(list: readonly Value[]): number {
    try {
      return this.#give(list);
    } catch (error) {
      throw new Fault(1, reasonOf(error));
    }
  }

  /**
   * Returns the addresses that the bridge listens on and sends to, the connections, and the messages since the start: received (from
   * Pure Data), refused (malformed or too long), sent (one per recipient), dropped (no connection, or too slow).
   */
  @Exposed({ params: [], returns: 'struct' })
  status(): Sendable {
    return {
      listening: this.#listeners.map((listener) => ({ ...listener.endpoint })),
      send_to: this.#targets.map((target) => ({ ...target.endpoint, connected: target.isConnected })),
      connections: this.#listeners.reduce((sum, { outlets }) => sum + outlets.size, 0),
      ...this.#counters,
    };
  }

  async #listen(at: Endpoint, hub: Hub): Promise<void> {
    try {
      const listener = await (at.protocol === 'tcp' ? listenTcp(at, hub) : listenUdp(at, hub));
      this.#listeners = [...this.#listeners, listener];
      this.logger.info('listens for Pure Data on %s', nameOf(listener.endpoint));
    } catch (error) {
      // The relay calls no exit() after a failed setup.
      await this.exit();
      throw new Error(`cannot listen on ${nameOf(at)}: ${reasonOf(error)}`, { cause: error });
    }
  }

  /** In order, and in turns with other work; not stored on disk, since the past position of a slider is worthless. */
  async #take(messages: Iterable<readonly Atom[]>): Promise<void> {
    for (const pd of messages) {
      try {
        await this.send({ data: { pd } }, { durable: false });
        this.#counters.received++;
      } catch (error) {
        this.#refuse(reasonOf(error));
      }
      if (++this.#taken % MESSAGES_PER_TURN === 0) await nextTurn();
    }
  }

  /** Throws a RangeError if the list is not a valid message. */
  #give(list: readonly Value[]): number {
    const message = formatFudi(list, this.#config.maxMessageBytes);
    const outlets: Outlet[] = [...this.#listeners.flatMap((listener) => [...listener.outlets]), ...this.#targets];
    const taken = outlets.filter((outlet) => outlet.write(message)).length;
    this.#counters.sent += taken;
    this.#counters.dropped += outlets.length - taken;
    return taken;
  }

  /** Only the first one is a warning, so that a flood of messages does not flood the log. */
  #refuse(reason: string): void {
    const isFirst = this.#counters.refused++ === 0;
    if (isFirst) this.logger.warn('refused: %s (more are counted in pd.bridge.status, and logged at debug)', reason);
    else this.logger.debug('refused: %s', reason);
  }
}

/** The members of a struct; empty for other values. */
function membersOf(value: Value | undefined): Readonly<Record<string, Value | undefined>> {
  return typeof value === 'object' && value !== null ? (value as Dict) : {};
}

function isSame(one: Endpoint, other: Endpoint): boolean {
  if (one.port !== other.port || one.protocol !== other.protocol) return false;
  return one.host === other.host || (LOCAL.test(one.host) && LOCAL.test(other.host));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
