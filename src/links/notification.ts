/** A message on its way to servers: `notify(dict)` with each scalar as it came; only host_id, our stamp and what the kind of server gets are new. */
import type { Clock, Message, Sendable } from '../message/message.ts';
import { canonicalMembers, serialiseMembersCall } from '../xmlrpc/xmlrpc.ts';
import type { Outgoing } from './link.ts';

export interface NotificationParts {
  /** Our own host_id. */
  readonly by: string;
  readonly clock: Clock;
  /** What the stamp says as `hops`: forwards still allowed for whoever gets it. */
  readonly hops: number;
  /** Members besides `host_id` and `co2`. */
  readonly own?: Readonly<Record<string, Sendable>>;
}

export class Notification implements Outgoing {
  readonly id: string;
  /** Size in a waiting line. */
  readonly bytes: number;

  constructor(
    private readonly message: Message,
    private readonly parts: NotificationParts,
  ) {
    this.id = message.id;
    this.bytes = message.source.length;
  }

  /** The call `notify(dict)` as bytes, its age taken now. */
  body(): Buffer {
    const { hostId } = this.message;
    return serialiseMembersCall('notify', keptMembers(this.message), { host_id: hostId, ...this.parts.own, co2: this.#stamp() });
  }

  /** `co2: {id, hops, age, by, via, att?}`. */
  #stamp(): Sendable {
    const { id, ageMs, arrivedAt, via, attestation } = this.message;
    const { by, clock, hops } = this.parts;
    const stamp = { id, hops, age: Math.round(ageMs + clock.now() - arrivedAt), by, via };
    if (!attestation) return stamp;
    return { ...stamp, att: { by: attestation.by, observed_ip: attestation.observedIp, verdict: attestation.verdict } };
  }
}

// Written once for all peers and satellites, and forgotten with the message.
const KEPT = new WeakMap<Message, ReadonlyMap<string, string>>();

/** All members but those that relays set. */
function keptMembers(message: Message): ReadonlyMap<string, string> {
  const kept = KEPT.get(message);
  if (kept) return kept;
  // It was read within the limits of the door, or written here: no smaller limit may stop it now.
  const members = canonicalMembers(message.source, { limits: { maxBodyBytes: message.source.length }, allowNonFinite: true });
  for (const name of ['host_id', 'client_address', 'co2']) members.delete(name);
  KEPT.set(message, members);
  return members;
}
