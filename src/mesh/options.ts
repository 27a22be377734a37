/** Which relays we are linked to, and how long we wait for them. */
import { z } from 'zod';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** A peer that reads or sends something else than relays do. */
export interface PeerOptions {
  /** As it stands in a list of URLs. No default. */
  readonly url: string;
  /**
   * How dicts are written for it: each from its values, with these switches. What it cannot be sent so is refused for it alone, counted and logged.
   * Default none: each scalar goes in its own text, as it came.
   */
  readonly send?: WriteOptions | undefined;
  /** What it may send that others may not. Default nothing. */
  readonly accept?: PeerAccept | undefined;
}

/** Widens what is read of a peer's calls. */
export interface PeerAccept {
  /** `NaN`, `INF` and the like in doubles. Default false: such a call is refused, as anybody's. */
  readonly nonFinite?: boolean | undefined;
}

export interface MeshOptions {
  /**
   * URLs of the peer relays, `http://192.168.1.7:2004`, or {@link PeerOptions}; both sides list each other. Credentials may stand in a URL. Of a URL that is listed
   * twice the first entry counts. Default none.
   */
  readonly peers: readonly (string | PeerOptions)[];
  /** ms for a peer to answer. Default 10,000; then the dict is sent again. */
  readonly peerTimeoutMs: number;
  /** ms that a stop waits for the outboxes to empty. Default 5,000; what is left then is lost and logged. */
  readonly drainMs: number;
}

export const meshDefaults: MeshOptions = {
  peers: [],
  peerTimeoutMs: 10_000,
  drainMs: 5_000,
};

const peerUrl = z
  .url({ protocol: /^https?$/, error: 'a URL like http://192.168.1.7:2004' })
  .refine(hasReadableCredentials, { error: 'a URL whose name and password are percent-encoded rightly' });

const writeOptions = z.strictObject({
  nil: z.boolean().optional(),
  i8: z.boolean().optional(),
  doubles: z.enum(['decimal', 'exponent']).optional(),
  nonFinite: z.boolean().optional(),
  charset: z.enum(['utf-8', 'ascii']).optional(),
  astral: z.boolean().optional(),
});

const peer = z.strictObject({
  url: peerUrl,
  send: writeOptions.optional(),
  accept: z.strictObject({ nonFinite: z.boolean().optional() }).optional(),
});

export const meshShape = {
  peers: z.array(z.union([peerUrl, peer])),
  peerTimeoutMs: z.int().min(1).max(600_000),
  drainMs: z.int().min(0).max(600_000),
};

function hasReadableCredentials(text: string): boolean {
  try {
    const { username, password } = new URL(text);
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}
