/**
 * A message serialized for servers: `notify(dict)` with every scalar as it came, or as its server reads it; only host_id, our stamp and
 * some members are ours.
 */
import { heldBytes } from '../values/values.ts';
import type { Clock } from '../core/core.ts';
import type { Message } from '../message/message.ts';
import type { Sendable } from '../values/values.ts';
import { keptValues, serialiseCall, serialiseNotify } from '../xmlrpc/xmlrpc.ts';
import type { RelayMembers, WriteOptions } from '../xmlrpc/xmlrpc.ts';
import type { Outgoing } from './outbox.ts';

export interface NotificationParts {
  /** Our own host_id. */
  readonly by: string;
  readonly clock: Clock;
  /** `hops` of the stamp: how often the recipient may still forward it. */
  readonly hops: number;
  /** Members besides `host_id` and `co2`. */
  readonly own?: RelayMembers | undefined;
  /** True for one that several recipients get: its bytes are kept for a moment. Default false. */
  readonly isShared?: boolean | undefined;
  /** How the dict is written from its values, for a server that reads something special. Default: every scalar keeps its text. */
  readonly writing?: WriteOptions | undefined;
}

// Ages are compared with limits of seconds and more.
const SAME_AGE_MS = 50;
// Memory of a Notification besides its message, measured like the message.
const OWN_BYTES = 256;

export class Notification implements Outgoing {
  readonly id: string;
  /** Memory that it holds while it waits. */
  readonly bytes: number;
  readonly since: number;
  // A hundred satellites get the same bytes at once; those that get them later have them written again.
  #written: { readonly age: number; readonly body: WeakRef<Buffer> } | undefined;

  constructor(
    private readonly message: Message,
    private readonly parts: NotificationParts,
  ) {
    this.id = message.id;
    this.bytes = OWN_BYTES + heldBytes(message);
    this.since = message.arrivedAt;
  }

  /** The serialized call `notify(dict)` with its present age. Throws a RelayError if the server cannot be sent this dict. */
  body(): Buffer {
    const age = this.#age();
    if (this.parts.isShared !== true) return this.#write(age);
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
    if (parts.writing === undefined) return serialiseNotify(message, own);
    return serialiseCall(
      'notify',
      [new Map([...keptValues(message, { i8: parts.writing.i8 ?? false, nonFinite: true }), ...Object.entries(own)])],
      parts.writing,
    );
  }

  /** `co2: {id, hops, age, by, via, claim?, gen?, att?}`. */
  #stamp(age: number): Sendable {
    const { id, via, attestation, claim, generation = 0 } = this.message;
    const { by, hops } = this.parts;
    const claimed = claim === undefined ? { id, hops, age, by, via } : { id, hops, age, by, via, claim };
    const stamp = generation === 0 ? claimed : { ...claimed, gen: generation };
    if (!attestation) return stamp;
    return { ...stamp, att: { by: attestation.by, observed_ip: attestation.observedIp, verdict: attestation.verdict } };
  }
}
