/** A message on its way to peers: written once, whatever the number of peers, each scalar as it came; only our stamp is new. */
import type { Clock, Message, Sendable } from '../message/message.ts';
import type { Outgoing } from '../links/links.ts';
import { canonicalMembers, serialiseCallWith, serialiseMembers } from '../xmlrpc/xmlrpc.ts';

export class Forward implements Outgoing {
  readonly id: string;
  /** Size in a waiting line. */
  readonly bytes: number;
  #kept: ReadonlyMap<string, string> | undefined;

  /** `by` is our own host_id. */
  constructor(
    private readonly message: Message,
    private readonly by: string,
    private readonly clock: Clock,
  ) {
    this.id = message.id;
    this.bytes = message.source.length;
  }

  /** The call `notify(dict)` as bytes, its age taken now. */
  body(): Buffer {
    this.#kept ??= keptMembers(this.message.source);
    const struct = serialiseMembers(this.#kept, { host_id: this.message.hostId, co2: this.#stamp() });
    return serialiseCallWith('notify', [struct]);
  }

  /** `co2: {id, hops, age, by, via, att?}`. */
  #stamp(): Sendable {
    const { id, hopsLeft, ageMs, arrivedAt, via, attestation } = this.message;
    const age = Math.round(ageMs + this.clock.now() - arrivedAt);
    const stamp = { id, hops: hopsLeft - 1, age, by: this.by, via };
    if (!attestation) return stamp;
    return { ...stamp, att: { by: attestation.by, observed_ip: attestation.observedIp, verdict: attestation.verdict } };
  }
}

/** All members but those that relays set. */
function keptMembers(source: string): ReadonlyMap<string, string> {
  // It was read within the limits of the door, or written here: no smaller limit may stop it now.
  const members = canonicalMembers(source, { maxBodyBytes: source.length });
  for (const name of ['host_id', 'client_address', 'co2']) members.delete(name);
  return members;
}
