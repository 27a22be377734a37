/** Options of the mesh: the peers, and how long to wait for them. */
import * as z from 'zod/mini';
import { serverName } from '../core/core.ts';
import { parseHostId } from '../message/message.ts';
import { writeOptionsShape } from '../rpc/rpc.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** A peer that needs other settings than the default, or that is reached by a transport of a relay plugin. */
export interface PeerOptions {
  /** The URL, as in a list of URLs. With `address`, a URL that a relay plugin handles, such as `memory://b`. Required; no default. */
  readonly url: string;
  /**
   * Only for a peer that a relay plugin reaches: address and port in the `host_id` of that peer, such as `192.168.1.7:2004`. What arrives
   * through the transport must come from that `host_id`, just as what arrives over HTTP must come from its address. Default none.
   */
  readonly address?: string | undefined;
  /**
   * How dicts are written for this peer: each is written from its values, with these switches. A dict that cannot be written so is dropped
   * for this peer only, counted and logged. Default none: each scalar is sent in its original text.
   */
  readonly send?: WriteOptions | undefined;
  /** What this peer may send that others may not. Default nothing. */
  readonly accept?: PeerAccept | undefined;
  /**
   * True for a peer that is trusted by its address, without `relay.hello`: a program that is no relay, where `trust` would require a proof.
   * Default false: a peer that does not know `relay.hello` is trusted by its address with `trust: 'pin'` or `'pair'`, until it has proved
   * its key once.
   */
  readonly classic?: boolean | undefined;
}

/** What is read from the calls of a peer besides the usual. */
export interface PeerAccept {
  /** `NaN`, `INF` and similar values in doubles. Default false: such a call is refused, as it is from everybody else. */
  readonly nonFinite?: boolean | undefined;
}

export interface MeshOptions {
  /**
   * The peer relays: URLs such as `http://192.168.1.7:2004`, or objects ({@link PeerOptions}). Each relay must list the other. A URL may
   * contain credentials. If a URL is listed twice, the first entry counts. Default none.
   */
  readonly peers: readonly (string | PeerOptions)[];
  /**
   * How long a peer or remote satellite may take to answer. Default 10,000. After that a dict is sent to a peer again; a satellite does not
   * get it a second time.
   */
  readonly peerTimeoutMs: number;
  /**
   * Every peer is pinged at the start, and again whenever it got no dict for about this time, so that its state is known before there is
   * something to send. Default 60,000; 0: never. A peer that does not know the method `ping` may answer with a fault.
   */
  readonly peerPingIntervalMs: number;
  /**
   * Announce this relay on the local network, and find others there, by mDNS (`_co2._tcp`). A relay that is found is not trusted and not
   * called until `co2 peers pair`, or until it proves the credential that `trust: 'clusterSecret'` or `'ca'` asks for. Default false: who
   * listens on the network learns the names, versions and addresses of relays.
   */
  readonly discovery: boolean;
  /** The UDP port of discovery. Default 5353, that of mDNS; relays with another one find only each other. */
  readonly discoveryPort: number;
  /** How often relays are searched for again. Default 60,000. One that does not answer three times in a row is not shown any more. */
  readonly discoveryIntervalMs: number;
  /** How long a stop waits for the outboxes to become empty. Default 5,000. Dicts that are left are lost and logged. */
  readonly drainMs: number;
}

export const meshDefaults: MeshOptions = {
  peers: [],
  peerTimeoutMs: 10_000,
  peerPingIntervalMs: 60_000,
  discovery: false,
  discoveryPort: 5353,
  discoveryIntervalMs: 60_000,
  drainMs: 5_000,
};

const peerUrl = z
  .url({ protocol: /^https?$/, error: 'a URL like http://192.168.1.7:2004' })
  .check(z.refine(hasReadableCredentials, { error: 'a URL whose name and password are correctly percent-encoded' }));

// Only the carrier interprets its parts.
const carriedUrl = z.url({
  protocol: /^(?!https?$)/,
  error: 'a URL like memory://b, which a relay plugin carries, since there is an address',
});

const peer = z
  .strictObject({
    url: z.string(),
    address: z.optional(
      z.string().check(z.refine((text) => addressAndPort(text) !== undefined, { error: 'an address and a port like 192.168.1.7:2004' })),
    ),
    send: z.optional(writeOptionsShape),
    classic: z.optional(z.boolean()),
    accept: z.optional(z.strictObject({ nonFinite: z.optional(z.boolean()) })),
  })
  .check(
    z.superRefine(({ url, address }, context) => {
      const { error } = (address === undefined ? peerUrl : carriedUrl).safeParse(url);
      for (const { message } of error?.issues ?? []) context.addIssue({ code: 'custom', message, path: ['url'], input: url });
    }),
  );

export const meshShape = {
  peers: z.array(z.union([peerUrl, peer])),
  peerTimeoutMs: z.int().check(z.gte(1), z.lte(600_000)),
  peerPingIntervalMs: z.int().check(z.gte(0), z.lte(86_400_000)),
  discovery: z.boolean(),
  discoveryPort: z.int().check(z.gte(1), z.lte(65_535)),
  discoveryIntervalMs: z.int().check(z.gte(1_000), z.lte(3_600_000)),
  drainMs: z.int().check(z.gte(0), z.lte(600_000)),
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

/** The peers with their options; of two with the same server the first. */
export function distinctPeers(peers: MeshOptions['peers']): readonly PeerOptions[] {
  const byName = new Map<string, PeerOptions>();
  for (const peer of peers) {
    const options = typeof peer === 'string' ? { url: peer } : peer;
    const name = serverName(new URL(options.url));
    if (!byName.has(name)) byName.set(name, options);
  }
  return [...byName.values()];
}
