/** How long dicts wait for a server that does not take them, and how often it is tried again. */
import { z } from 'zod';

export interface LinkOptions {
  /** The waiting line of each peer and each remote satellite; when it is full the oldest dicts are dropped, counted and logged. */
  readonly outbox: {
    /** Default 10,000: some minutes of a busy network for a peer that restarts. */
    readonly maxMessages: number;
    /** Default 64 MiB: protects the memory of this relay from a peer that is away. Counted is what a dict holds: its bytes, and about a kibibyte around them. */
    readonly maxBytes: number;
  };
  /** Pause before a server that failed is tried again: random between 0 and a limit that doubles from `minMs` to `maxMs`. */
  readonly retry: {
    /** ms, default 250. */
    readonly minMs: number;
    /** ms, default 60,000: what a peer that was away for long waits at most for the first dict. */
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
