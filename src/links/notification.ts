/** A message on its way to servers: `notify(dict)` with each scalar as it came, or as its server reads it; only host_id, our stamp and what the kind of server gets are new. */
import { heldBytes } from '../values/values.ts';
import type { Clock } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import type { Sendable } from '../values/values.ts';
import { keptMembers, keptValues, serialiseCall, serialiseMembersCall } from '../xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../xmlrpc/xmlrpc.ts';
import type { Outgoing } from './link.ts';

export interface NotificationParts {
  /** Our own host_id. */
  readonly by: string;
  readonly clock: Clock;
  /** What the stamp says as `hops`: forwards still allowed for whoever gets it. */
  readonly hops: number;
  /** Members besides `host_id` and `co2`. */
  readonly own?: Readonly<Record<string, Sendable>> | undefined;
  /** What its server reads: the dict is written from its values. Default: each scalar in its own text. */
  readonly writing?: WriteOptions | undefined;
}

// An age is compared with limits of seconds and more.
const SAME_AGE_MS = 50;
// What a Notification holds besides its message, measured as for the message itself.
const OWN_BYTES = 256;

export class Notification implements Outgoing {
  readonly id: string;
  /** What it holds while it waits. */
  readonly bytes: number;
  // A hundred satellites get the same bytes at once; whoever gets them later has them written anew.
  #written: { readonly age: number; readonly body: WeakRef<Buffer> } | undefined;

  constructor(
    private readonly message: Message,
    private readonly parts: NotificationParts,
  ) {
    this.id = message.id;
    this.bytes = OWN_BYTES + heldBytes(message);
  }

  /** The call `notify(dict)` as bytes, its age taken now. Throws a RelayError if its server cannot be sent what is in it. */
  body(): Buffer {
    const age = this.#age();
    const written = this.#written?.body.deref();
    if (written && this.#written && age - this.#written.age < SAME_AGE_MS) return written;
    const body = this.#write(age);
    this.#written = { age, body: new WeakRef(body) };
    return body;
  }

  #age(): number {
    const { ageMs, arrivedAt } = this.message;
    return Math.round(ageMs + this.parts.clock.now() - arrivedAt);
  }

  #write(age: number): Buffer {
    const { message, parts } = this;
    const own = { host_id: message.hostId, ...parts.own, co2: this.#stamp(age) };
    if (parts.writing === undefined) return serialiseMembersCall('notify', keptMembers(message), own);
    return serialiseCall(
      'notify',
      [new Map([...keptValues(message, { i8: parts.writing.i8 ?? false, nonFinite: true }), ...Object.entries(own)])],
      parts.writing,
    );
  }

  /** `co2: {id, hops, age, by, via, claim?, att?}`. */
  #stamp(age: number): Sendable {
    const { id, via, attestation, claim } = this.message;
    const { by, hops } = this.parts;
    const stamp = claim === undefined ? { id, hops, age, by, via } : { id, hops, age, by, via, claim };
    if (!attestation) return stamp;
    return { ...stamp, att: { by: attestation.by, observed_ip: attestation.observedIp, verdict: attestation.verdict } };
  }
}
