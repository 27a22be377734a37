/** The options that every kind of plugin shares: its inbox and the time limits of its steps. */
import * as z from 'zod/mini';

/** The limits of the inbox of one satellite. Its class may request less, and `merge` (`@Satellite({ inbox })`). */
export interface InboxOptions {
  /**
   * Messages that may wait for one satellite. Default 1,000, some seconds of a busy network: it protects the memory of the relay from a
   * slow `receive`.
   */
  readonly maxMessages: number;
  /**
   * Memory of the messages that wait for one satellite, counted as their XML and about 768 bytes each. Default 16 MiB: it protects the
   * relay when messages are few and large. One message always fits.
   */
  readonly maxBytes: number;
  /** What happens when the inbox is full. Default `drop-oldest`: recent messages matter more than old ones, and the sender never waits. */
  readonly overflow: 'drop-oldest';
}

/** A time limit in ms, at most a day: more would not be a limit, and beyond 2^31 ms a timer of Node fires at once. */
export const timeLimit = z.int().check(z.gte(1), z.lte(86_400_000));

/** Limits of each plugin, wherever it runs. */
export interface HostedOptions {
  readonly inbox: InboxOptions;
  /** How long a module may take to load, and one `setup` to run. Default 10,000: enough to open a connection, and a start never hangs. */
  readonly setupTimeoutMs: number;
  /**
   * How long one `exit` may take; if many hang, they all together get three times as long. Default 5,000: enough to write a file, and a
   * hanging plugin does not block a stop.
   */
  readonly exitTimeoutMs: number;
  /**
   * How long one `receive` may take. After that its signal is aborted and the next message is delivered. Default 60,000: it protects a
   * plugin from a promise that never settles.
   */
  readonly receiveTimeoutMs: number;
  /**
   * True: a plugin that is not loaded, or whose `setup` fails, stops the start of the relay. Default false: the relay runs without it, and
   * a `setup` that failed is tried again, since a device that is off must not take everything else down.
   */
  readonly strictStart: boolean;
}

export const hostedDefaults: HostedOptions = {
  inbox: { maxMessages: 1000, maxBytes: 16 * 1024 * 1024, overflow: 'drop-oldest' },
  setupTimeoutMs: 10_000,
  exitTimeoutMs: 5_000,
  receiveTimeoutMs: 60_000,
  strictStart: false,
};

export const hostedShape = {
  inbox: z.strictObject({
    maxMessages: z.int().check(z.gte(1), z.lte(10_000_000)),
    maxBytes: z.int().check(z.gte(1)),
    overflow: z.enum(['drop-oldest']),
  }),
  setupTimeoutMs: timeLimit,
  exitTimeoutMs: timeLimit,
  receiveTimeoutMs: timeLimit,
  strictStart: z.boolean(),
};
