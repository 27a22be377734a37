/** GROUND, the words of the house: a dict and its stamp, host_ids, errors. Everybody may import it; it imports nobody. */
import type { Frozen } from '../values/values.ts';

export { canonicalAddress, formatHostId, hostPort, isLoopback, isUnspecified, parseHostId } from './host-id.ts';
export type { HostId, Identity } from './host-id.ts';

export { addressBlock } from './address-block.ts';

/** Relays that a dict may cross, its origin not counted: twice the widest mesh we know, and the end of any loop. */
export const HOP_LIMIT = 16;

/**
 * What the relay knows of a dict's origin:
 * `local` a satellite here sent it; `checked` the host_id's address is the client's; `signed` the relay of that host_id signed it, so no
 * relay in between can have changed it; `vouched` another relay sent it in the name of that host_id; `attested` so did one that wrote down
 * the address that it saw.
 */
export type Verdict = 'local' | 'checked' | 'signed' | 'vouched' | 'attested';

/** What the first relay saw of a client that is no relay; travels as `co2.att`. */
export interface Attestation {
  /** host_id of the relay that saw it. */
  readonly by: string;
  /** The client's address as that relay saw it, canonical. */
  readonly observedIp: string;
  readonly verdict: 'checked';
}

/** Who is to get a message of this relay: everybody, its own satellites, or only the satellites of other nodes. */
export type Destination = 'all' | 'here' | 'away';

/** A dict inside the relay, with its stamp. Immutable; one object for all satellites and peers. */
export interface Message {
  /** Unique over all relays and restarts; the same at every relay that the dict crosses. */
  readonly id: string;
  /** The server that sent the dict first. */
  readonly hostId: string;
  /** `[ip, port]` of the last hop. */
  readonly clientAddress: readonly [string, number];
  /**
   * `<struct>…</struct>` in UTF-8, as it came or as it was sent: what peers get, no scalar rewritten. In memory of its own, so that a
   * waiting message keeps nothing else alive.
   */
  readonly payload: Buffer;
  /**
   * True if this relay wrote the payload, without any member that each relay sets itself: it is forwarded without being read again. Default
   * false.
   */
  readonly isOwnWriting?: boolean | undefined;
  /**
   * The dict as satellites see it, `host_id` and `client_address` set. A cached view: the garbage collector may drop it while the message
   * waits, and the next call decodes `payload` again.
   */
  readonly frozen: () => Frozen;
  readonly destination: Destination;
  /** Forwards still allowed. */
  readonly hopsLeft: number;
  /** ms since it was sent, at the moment when it got here. */
  readonly ageMs: number;
  /** This relay's clock (ms, monotonic) at the moment when it got here. */
  readonly arrivedAt: number;
  /** host_ids of the relays that it crossed, oldest first; ours is not among them. */
  readonly via: readonly string[];
  readonly verdict: Verdict;
  readonly attestation?: Attestation | undefined;
  /** The id in a stamp that is not believed, since no peer sent it: by it copies of one dict are recognised. Travels as `co2.claim`. */
  readonly claim?: string | undefined;
  /** How many messages in a row were sent in answer to one another, up to this one. Default 0: it answers none. Travels as `co2.gen`. */
  readonly generation?: number | undefined;
  /** True if it may have been delivered before the last end of this relay. Default false. */
  readonly isRedelivered?: boolean | undefined;
}

/** Forwards made so far: 0 for a dict that was sent here. */
export function hopsOf(message: Pick<Message, 'hopsLeft'>): number {
  return HOP_LIMIT - message.hopsLeft;
}
