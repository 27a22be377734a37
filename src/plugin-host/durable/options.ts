/** Options of durable satellites. */
import * as z from 'zod/mini';

/** The options of durable satellites. */
export interface DurableOptions {
  /**
   * What is stored for one durable satellite (`@Satellite({ durable: true })`) until it has received it. When that is full, messages that
   * the satellite would get are refused before they are acknowledged.
   */
  readonly durableInbox: {
    /** Messages that may be stored for one satellite. Default 1,000,000, which is days of a quiet network: it protects the disk. */
    readonly maxMessages: number;
    /** Their bytes on the disk. Default 1 GiB: it protects the disk when messages are large. */
    readonly maxBytes: number;
    /**
     * How long messages are kept for a satellite whose plugin was removed or renamed, or does not load. Default 604,800,000, a week: long
     * enough to put back what was removed by mistake.
     */
    readonly keepMs: number;
  };
}

export const durableDefaults: DurableOptions = {
  durableInbox: { maxMessages: 1_000_000, maxBytes: 1024 * 1024 * 1024, keepMs: 7 * 24 * 60 * 60 * 1000 },
};

export const durableShape = {
  durableInbox: z.strictObject({
    maxMessages: z.int().check(z.gte(1), z.lte(100_000_000)),
    maxBytes: z.int().check(z.gte(1)),
    keepMs: z.int().check(z.gte(0)),
  }),
};
