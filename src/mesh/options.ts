/** Which relays we are linked to, and how long we wait for them. */
import { z } from 'zod';

export interface MeshOptions {
  /** URLs of the peer relays, `http://192.168.1.7:2004`; both sides list each other. Credentials may stand in them. Default none. */
  readonly peers: readonly string[];
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

export const meshShape = {
  peers: z.array(peerUrl),
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
