/** Options of links: how much waits for a server, and how often a failed one is retried. */
import * as z from 'zod/mini';

export interface LinkOptions {
  /** The queue of each peer and each remote satellite. When it is full, the oldest dicts are dropped, counted and logged. */
  readonly outbox: {
    /** Queued dicts. Default 10,000, which covers some minutes of a busy network while a peer restarts. */
    readonly maxMessages: number;
    /**
     * Memory of the queued dicts, counted as their bytes and about 1 KiB of overhead each. Default 64 MiB: it protects this relay while a
     * peer is away.
     */
    readonly maxBytes: number;
  };
  /** The pause before a failed server is tried again is random between 0 and a limit that doubles from `minMs` to `maxMs`. */
  readonly retry: {
    /** The first limit. Default 250. */
    readonly minMs: number;
    /** The largest limit. Default 60,000: a peer that was away for long waits at most a minute for its first dict. */
    readonly maxMs: number;
  };
}

export const linkDefaults: LinkOptions = {
  outbox: { maxMessages: 10_000, maxBytes: 64 * 1024 * 1024 },
  retry: { minMs: 250, maxMs: 60_000 },
};

export const linkShape = {
  outbox: z.strictObject({ maxMessages: z.int().check(z.gte(1), z.lte(10_000_000)), maxBytes: z.int().check(z.gte(1024)) }),
  retry: z
    .strictObject({ minMs: z.int().check(z.gte(1), z.lte(3_600_000)), maxMs: z.int().check(z.gte(1), z.lte(3_600_000)) })
    .check(z.refine(({ minMs, maxMs }) => minMs <= maxMs, { error: 'minMs at most maxMs' })),
};
