/** Options of the mesh: the peers, and how long to wait for them. */
import { z } from 'zod';
import { parseHostId } from '../message/message.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** A peer with options, for one that reads or sends something special, or is reached by a relay plugin. */
export interface PeerOptions {
  /** URL of the peer; or, with `address`, a URL that a relay plugin carries: `memory://b`. No default. */
  readonly url: string;
  /**
   * Address and port in the host_id of a peer that a relay plugin carries, `192.168.1.7:2004`. Dicts that come by the carrier must be
   * this relay's, just as dicts over HTTP must come from its address. No default; not allowed for a peer over HTTP.
   */
  readonly address?: string | undefined;
  /**
   * How dicts are written for it: from their values, with these switches. A dict that cannot be written this way is dropped for this peer
   * alone, counted and logged. Default none: every scalar keeps its text.
   */
  readonly send?: WriteOptions | undefined;
  /** What it may send in addition. Default nothing. */
  readonly accept?: PeerAccept | undefined;
}

/** What is accepted in a peer's calls in addition. */
export interface PeerAccept {
  /** `NaN`, `INF` and the like in doubles. Default false: such a call is rejected, as from any caller. */
  readonly nonFinite?: boolean | undefined;
}

export interface MeshOptions {
  /**
   * URLs of the peer relays, `http://192.168.1.7:2004`, or {@link PeerOptions}; both sides list each other. A URL may contain
   * credentials. If a URL is listed twice, the first entry counts. Default none.
   */
  readonly peers: readonly (string | PeerOptions)[];
  /** ms for a peer to answer. Default 10,000; after that the dict is sent again. */
  readonly peerTimeoutMs: number;
  /** ms that a stop waits for the outboxes to empty. Default 5,000; what still waits then is lost and logged. */
  readonly drainMs: number;
}

export const meshDefaults: MeshOptions = {
  peers: [],
  peerTimeoutMs: 10_000,
  drainMs: 5_000,
};

const peerUrl = z
  .url({ protocol: /^https?$/, error: 'a URL like http://192.168.1.7:2004' })
  .refine(hasReadableCredentials, { error: 'a URL whose name and password are correctly percent-encoded' });

// Only the carrier interprets its parts.
const carriedUrl = z.url({
  protocol: /^(?!https?$)/,
  error: 'a URL like memory://b, which a relay plugin carries, since there is an address',
});

const writeOptions = z.strictObject({
  nil: z.boolean().optional(),
  i8: z.boolean().optional(),
  doubles: z.enum(['decimal', 'exponent']).optional(),
  nonFinite: z.boolean().optional(),
  charset: z.enum(['utf-8', 'ascii']).optional(),
  astral: z.boolean().optional(),
});

const peer = z
  .strictObject({
    url: z.string(),
    address: z
      .string()
      .refine((text) => addressAndPort(text) !== undefined, { error: 'an address and a port like 192.168.1.7:2004' })
      .optional(),
    send: writeOptions.optional(),
    accept: z.strictObject({ nonFinite: z.boolean().optional() }).optional(),
  })
  .superRefine(({ url, address }, context) => {
    const { error } = (address === undefined ? peerUrl : carriedUrl).safeParse(url);
    for (const { message } of error?.issues ?? []) context.addIssue({ code: 'custom', message, path: ['url'], input: url });
  });

export const meshShape = {
  peers: z.array(z.union([peerUrl, peer])),
  peerTimeoutMs: z.int().min(1).max(600_000),
  drainMs: z.int().min(0).max(600_000),
};

/** Parses a peer's `address`; undefined if it is invalid. */
export function addressAndPort(address: string): { readonly address: string; readonly port: number } | undefined {
  const host = parseHostId(`x@${address}`);
  return host && host.port > 0 ? host : undefined;
}

function hasReadableCredentials(text: string): boolean {
  try {
    const { username, password } = new URL(text);
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}
