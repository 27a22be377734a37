/** Which relays we are linked to, and how long we wait for them. */
import { z } from 'zod';

export interface MeshOptions {
  /** URLs of the peer relays, `http://192.168.1.7:2004`; both sides list each other. Credentials may stand in them. Default none. */
  readonly peers: readonly string[];
  /** The waiting line of each peer; when it is full the oldest dicts are dropped, counted and logged. */
  readonly outbox: {
    /** Default 10,000: some minutes of a busy network for a peer that restarts. */
    readonly maxMessages: number;
    /** Default 64 MiB: protects the memory of this relay from a peer that is away. */
    readonly maxBytes: number;
  };
  /** Pause before a peer that failed is tried again: random between 0 and a limit that doubles from `minMs` to `maxMs`. */
  readonly retry: {
    /** ms, default 250. */
    readonly minMs: number;
    /** ms, default 60,000: what a peer that was away for long waits at most for the first dict. */
    readonly maxMs: number;
  };
  /** ms for a peer to answer. Default 10,000; then the dict is sent again. */
  readonly peerTimeoutMs: number;
  /** ms that a stop waits for the outboxes to empty. Default 5,000; what is left then is lost and logged. */
  readonly drainMs: number;
}

export const meshDefaults: MeshOptions = {
  peers: [],
  outbox: { maxMessages: 10_000, maxBytes: 64 * 1024 * 1024 },
  retry: { minMs: 250, maxMs: 60_000 },
  peerTimeoutMs: 10_000,
  drainMs: 5_000,
};

const peerUrl = z.url({ protocol: /^https?$/, error: 'a URL like http://192.168.1.7:2004' });

export const meshShape = {
  peers: z.array(peerUrl),
  outbox: z.strictObject({ maxMessages: z.int().min(1).max(10_000_000), maxBytes: z.int().min(1024) }),
  retry: z.strictObject({ minMs: z.int().min(1).max(3_600_000), maxMs: z.int().min(1).max(3_600_000) }),
  peerTimeoutMs: z.int().min(1).max(600_000),
  drainMs: z.int().min(0).max(600_000),
};
