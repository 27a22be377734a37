/** Options of links: how much waits for a server, and how often a failed one is retried. */
import { z } from 'zod';

export interface LinkOptions {
  /** Limits of the outbox of each peer and each remote satellite; when it is full the oldest dicts are dropped, counted and logged. */
  readonly outbox: {
    /** Default 10,000: a few minutes of a busy network, for a peer that restarts. */
    readonly maxMessages: number;
    /**
     * Default 64 MiB: protects the memory of this relay from a peer that is down. A dict counts with its bytes and about a kibibyte of
     * overhead.
     */
    readonly maxBytes: number;
  };
  /** Delay before a server that failed is retried: random between 0 and a limit that doubles from `minMs` to `maxMs`. */
  readonly retry: {
    /** ms, default 250. */
    readonly minMs: number;
    /** ms, default 60,000: a peer that was down for long gets its first dict after this time at the latest. */
    readonly maxMs: number;
  };
}

export const linkDefaults: LinkOptions = {
  outbox: { maxMessages: 10_000, maxBytes: 64 * 1024 * 1024 },
  retry: { minMs: 250, maxMs: 60_000 },
};

export const linkShape = {
  outbox: z.strictObject({ maxMessages: z.int().min(1).max(10_000_000), maxBytes: z.int().min(1024) }),
  retry: z
    .strictObject({ minMs: z.int().min(1).max(3_600_000), maxMs: z.int().min(1).max(3_600_000) })
    .refine(({ minMs, maxMs }) => minMs <= maxMs, { error: 'minMs at most maxMs' }),
};
