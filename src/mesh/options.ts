/** Which relays we are linked to, and how long we wait for them. */
import { z } from 'zod';
import { parseHostId } from '../message/message.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** A peer that reads or sends something else than relays do. */
export interface PeerOptions {
  /** As it stands in a list of URLs; or, with `address`, one that a relay plugin carries: `memory://b`. No default. */
  readonly url: string;
  /**
   * Address and port in the host_id of a peer that a relay plugin carries, `192.168.1.7:2004`: what comes by the carrier must be this relay's, as what comes over HTTP must come from its
   * address. No default; a peer over HTTP has none.
   */
  readonly address?: string | undefined;
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

// Every part of it is the carrier's business.
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
      .refine((text) => placeOf(text) !== undefined, { error: 'an address and a port like 192.168.1.7:2004' })
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

/** The parts of a peer's `address`; undefined if it is none. */
export function placeOf(address: string): { readonly address: string; readonly port: number } | undefined {
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
