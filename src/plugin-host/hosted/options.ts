/** The options that every kind of plugin shares: its inbox and the time limits of its steps. */
import { z } from 'zod';

/** The bound of one satellite's waiting line; its class may ask for less, and for `merge` (`@Satellite({ inbox })`). */
export interface InboxOptions {
  /** Messages that wait for one satellite. Default 1,000: some seconds of a busy network; protects the relay's memory from a slow `receive`. */
  readonly maxMessages: number;
  /** Bytes that what waits for one satellite holds, about 768 for each message besides its XML. Default 16 MiB: protects memory where messages are few and large. One message always fits. */
  readonly maxBytes: number;
  /** What happens at the bound. `drop-oldest`, the default: news matter more than history, and the sender is never held up. */
  readonly overflow: 'drop-oldest';
}

/** Longer than a day is no limit, and beyond 2^31 ms a timer of Node fires at once. */
export const timeLimit = z.int().min(1).max(86_400_000);

/** Limits of each plugin, wherever it runs. */
export interface HostedOptions {
  readonly inbox: InboxOptions;
  /** ms for a module to load, and for one `setup`. Default 10,000: a connection may be made, a start never hangs. */
  readonly setupTimeoutMs: number;
  /** ms for one `exit`; where many hang, three times as long for all. Default 5,000: a file may be flushed; who stops the relay does not wait for a plugin that hangs. */
  readonly exitTimeoutMs: number;
  /** ms for one `receive`; then its signal is aborted and the next message is delivered. Default 60,000: protects a plugin from its own lost promise. */
  readonly receiveTimeoutMs: number;
}

export const hostedDefaults: HostedOptions = {
  inbox: { maxMessages: 1000, maxBytes: 16 * 1024 * 1024, overflow: 'drop-oldest' },
  setupTimeoutMs: 10_000,
  exitTimeoutMs: 5_000,
  receiveTimeoutMs: 60_000,
};

export const hostedShape = {
  inbox: z.strictObject({
    maxMessages: z.int().min(1).max(10_000_000),
    maxBytes: z.int().min(1),
    overflow: z.enum(['drop-oldest']),
  }),
  setupTimeoutMs: timeLimit,
  exitTimeoutMs: timeLimit,
  receiveTimeoutMs: timeLimit,
};
