/** Watches a simulated mesh from outside: what was sent, acknowledged, delivered and reported, and whether that is what was promised. */
import type { Effect, Submission } from '../../src/mesh-core/mesh-core.ts';

/** A promise that was not kept. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** A message that a node submitted. */
interface Sent {
  readonly from: number;
  readonly submission: Submission;
  readonly at: number;
  /** Its id; undefined if it was not acknowledged, or was refused. */
  accepted: { readonly id: string } | undefined;
  readonly deliveries: Map<number, Delivery>;
  /** What was reported about it other than delivery. */
  readonly reports: Set<string>;
}

interface Delivery {
  /** How often the node had crashed at the time of the last one. */
  crashes: number;
  count: number;
  /** When the satellites had it. */
  processedAt: number;
}

export interface OracleParts {
  readonly now: () => number;
  readonly ids: readonly string[];
  readonly crashesOf: (index: number) => number;
  /** When a node crashed last. */
  readonly crashedAtOf: (index: number) => number;
}

// The note that satellites have had a message is written soon and synced by the system within 5 s; a pause of at most 12 s may delay it.
const NOTED_MS = 20_000;

/** See the head of this file. Every method but {@link missing} throws a {@link Violation}. */
export class Oracle {
  readonly #parts: OracleParts;
  readonly #sent = new Map<string, Sent>();
  readonly #byId = new Map<string, Sent>();
  readonly counts = { submitted: 0, accepted: 0, refused: 0, delivered: 0, redelivered: 0, outcomes: 0 };

  constructor(parts: OracleParts) {
    this.#parts = parts;
  }

  submitted(from: number, submission: Submission): void {
    this.counts.submitted++;
    this.#sent.set(submission.token, {
      from,
      submission,
      at: this.#parts.now(),
      accepted: undefined,
      deliveries: new Map(),
      reports: new Set(),
    });
  }

  effect(index: number, effect: Effect): void {
    switch (effect.type) {
      case 'accepted':
        this.#accepted(effect.token, effect.id);
        return;
      case 'refused':
        this.counts.refused++;
        return;
      case 'deliver':
        this.#delivered(index, effect);
        return;
      case 'outcome':
        this.#reported(effect);

        break;

      default:
    }
  }

  /** The durable messages that neither arrived nor were reported, among nodes that run. Those of broadcasts count if `withBroadcasts`. */
  missing(runs: (index: number) => boolean, withBroadcasts: boolean): readonly string[] {
    const missing: string[] = [];
    for (const { from, submission, accepted, deliveries, reports } of this.#sent.values()) {
      if (!accepted || !submission.isDurable || !runs(from) || reports.size > 0) continue;
      const { target } = submission;
      if (target.type === 'all' && !withBroadcasts) continue;
      const targets = target.type === 'all' ? this.#parts.ids.keys() : [this.#indexIn(accepted.id)];
      for (const index of targets) {
        if (index !== from && runs(index) && !deliveries.has(index)) missing.push(`${accepted.id} from ${from} at ${index}`);
      }
    }
    return missing;
  }

  #accepted(token: string, id: string): void {
    const sent = this.#sent.get(token);
    if (!sent || this.#byId.has(id)) throw new Violation(`${id} was acknowledged twice or was never sent`);
    this.counts.accepted++;
    sent.accepted = { id };
    this.#byId.set(id, sent);
  }

  #delivered(index: number, { head, payload, isRedelivered }: Effect & { type: 'deliver' }): void {
    const token = tokenIn(payload);
    const sent = this.#sent.get(token);
    const { ids } = this.#parts;
    if (!sent?.submission.payload.equals(payload)) throw new Violation(`node ${index} got a forged payload`);
    const { submission, from, deliveries } = sent;
    if (head.origin !== ids[from] || head.hostId !== submission.hostId)
      throw new Violation(`node ${index} got ${token} with a forged origin`);
    if (head.target === undefined ? index === from : head.target !== ids[index])
      throw new Violation(`node ${index} is not to get ${token}`);
    const crashes = this.#parts.crashesOf(index);
    const earlier = deliveries.get(index);
    this.counts[isRedelivered ? 'redelivered' : 'delivered']++;
    if (!earlier) {
      deliveries.set(index, { crashes, count: 1, processedAt: Infinity });
      return;
    }
    const mayRepeat = earlier.crashes < crashes && (isRedelivered || !submission.isDurable || !sent.accepted);
    // A node that crashed before it had synced the message knows nothing of it: the neighbour sends it again, and that is right.
    if (!mayRepeat && !(earlier.crashes < crashes && !head.isDurable)) {
      throw new Violation(`node ${index} delivered ${token} twice${isRedelivered ? ', the second time marked' : ''}`);
    }
    if (head.isDurable && this.#parts.crashedAtOf(index) - earlier.processedAt > NOTED_MS) {
      throw new Violation(`node ${index} delivered ${token} again, though it crashed long after its satellites had had it`);
    }
    earlier.crashes = crashes;
    earlier.count++;
    // The note of the last time counts: that of each time before was lost with a crash.
    earlier.processedAt = Infinity;
  }

  /** The satellites of a node have had a message. */
  processed(index: number, { payload }: Effect & { type: 'deliver' }): void {
    const delivery = this.#sent.get(tokenIn(payload))?.deliveries.get(index);
    if (delivery) delivery.processedAt = Math.min(delivery.processedAt, this.#parts.now());
  }

  #reported({ id, status }: Effect & { type: 'outcome' }): void {
    const sent = this.#byId.get(id);
    // A durable message may be on the disk though its node crashed before it said so.
    if (!sent) return;
    // The target may have stored it and crashed before its satellites got it, so that is verified at the end.
    if (status === 'delivered') return;
    this.counts.outcomes++;
    sent.reports.add(status);
    const age = this.#parts.now() - sent.at;
    const { ttlMs = Infinity } = sent.submission;
    // The age is rounded on every link, and half of a measured round trip is added for each.
    if (status === 'expired' && age < ttlMs - 1000) throw new Violation(`${id} expired after ${age} ms of ${ttlMs} ms`);
  }

  #indexIn(id: string): number {
    return this.#parts.ids.findIndex((one) => id.includes(`.u:${one}`));
  }
}

function tokenIn(payload: Buffer): string {
  return payload.toString('latin1', 0, payload.indexOf(0x20));
}
