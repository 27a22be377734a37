/** Takes what neighbours send: checks it, keeps it, and acknowledges it once it is stored. */
import { NO_PEERS } from './held-messages.ts';
import type { HeldMessages } from './held-messages.ts';
import { SYSTEM_TYPES, encodeHeld, heldOf } from './held-record.ts';
import type { Held } from './held-table.ts';
import type { Journal } from './journal.ts';
import { MAX_HOPS, MAX_PAYLOAD_BYTES } from './limits.ts';
import type { Link } from './link.ts';
import { MAX_HEAD_BYTES, decodeHead } from './message.ts';
import type { Envelope, Head } from './message.ts';
import type { Reports } from './reports.ts';
import { MAX_SEAL_BYTES, Verifier } from './seal.ts';
import type { Crypto } from './seal.ts';
import type { SeenMessages } from './seen.ts';
import type { Topology } from './topology.ts';

export interface ReceivingParts {
  readonly id: string;
  readonly crypto: Crypto;
  readonly topology: Topology;
  readonly seen: SeenMessages;
  readonly journal: Journal;
  readonly held: HeldMessages;
  readonly reports: Reports;
  /** The neighbours, to which broadcasts are passed on. */
  readonly peers: ReadonlySet<string>;
  readonly counters: { duplicates: number; expired: number; forged: number };
  /** Called with each message once it is stored, or at once if it is not durable. */
  readonly stored: (held: Held, head: Head) => void;
}

/** See the head of this file. */
export class Receiving {
  readonly #parts: ReceivingParts;
  readonly #verifier: Verifier;
  #now = 0;

  constructor(parts: ReceivingParts) {
    this.#parts = parts;
    this.#verifier = new Verifier(parts.crypto);
  }

  /** Takes a message that arrived over a link. */
  arrived(link: Link<Held>, number: number, envelope: Envelope, now: number): void {
    this.#now = now;
    const head = readHead(envelope, link.peer.id);
    if (!head) this.#refuseForged(link, number);
    else if (head.origin === this.#parts.id) this.#settleCopy(link, number);
    else if (envelope.ageMs >= head.ttlMs) {
      this.#parts.counters.expired++;
      link.settle(number, 'expired');
    } else if (head.target !== undefined && head.target !== this.#parts.id) this.#arrivedForOther(link, number, envelope, head);
    else this.#arrivedHere(link, number, envelope, head);
  }

  readonly #isKnown = (node: string): boolean => this.#parts.topology.knows(node) || this.#parts.peers.has(node);

  #refuseForged(link: Link<Held>, number: number): void {
    this.#parts.counters.forged++;
    link.settle(number, 'forged');
  }

  #arrivedForOther(link: Link<Held>, number: number, envelope: Envelope, head: Head): void {
    const { target = '' } = head;
    const held = this.#parts.held.messagesOf(head)?.get(head.number);
    if (held) {
      // The path of the first one may lead nowhere any more: it may go where its copy has not been.
      held.via = held.via.filter((id) => envelope.via.includes(id));
      this.#settleCopy(link, number);
      return;
    }
    const avoid = [...envelope.via, link.peer.id];
    const { topology } = this.#parts;
    if (topology.pathTo(target, avoid) === undefined) link.settle(number, topology.isTooFar(target) ? 'hops' : 'no-route');
    else if (topology.pathTo(target, avoid, envelope.hops) === undefined) link.settle(number, 'hops');
    else if (this.#parts.held.isOverQuota('node', target)) link.settle(number, 'quota');
    else if (!this.#verifier.isGenuine(envelope, head)) this.#refuseForged(link, number);
    else this.#acceptArrived(link, number, envelope, head, NO_PEERS, false);
  }

  #arrivedHere(link: Link<Held>, number: number, envelope: Envelope, head: Head): void {
    const { seen } = this.#parts;
    let look = seen.look(head);
    if (look === 'seen') {
      const held = this.#parts.held.messagesOf(head)?.get(head.number);
      if (held && head.target === undefined) this.#parts.held.doneFor(held, link.peer.id);
      this.#settleCopy(link, number, () => {
        this.#parts.reports.receiptDue(head, this.#now);
      });
      return;
    }
    if (!this.#verifier.isGenuine(envelope, head)) {
      this.#refuseForged(link, number);
      return;
    }
    if (look === 'full') {
      seen.advance(head);
      look = seen.look(head);
    }
    if (look === 'full') link.settle(number, 'gaps');
    else if (head.target !== undefined && this.#parts.held.isOverQuota('node', head.target)) link.settle(number, 'quota');
    else if (look === 'seen') this.#settleCopy(link, number);
    else {
      const passed = new Set([...envelope.via, link.peer.id]);
      const others = head.target === undefined && envelope.hops > 0 ? [...this.#parts.peers].filter((id) => !passed.has(id)) : NO_PEERS;
      this.#acceptArrived(link, number, envelope, head, others, true);
    }
  }

  #acceptArrived(link: Link<Held>, number: number, envelope: Envelope, head: Head, waitingFor: readonly string[], isLocal: boolean): void {
    const isFull = !head.isDurable && this.#parts.held.isMemoryFull(head.contentType.startsWith(SYSTEM_TYPES));
    if (isFull || (head.isDurable && this.#parts.journal.refusal !== undefined)) {
      link.settle(number, isFull ? 'quota' : 'storage');
      return;
    }
    if (isLocal) this.#parts.seen.add(head, this.#now, this.#isKnown);
    const arrival = { envelope, at: this.#now };
    const message = heldOf({ type: 'message', head, arrival, isOwn: false, isLocal, waitingFor }, this.#parts.held.stream(head));
    const held = this.#parts.held.keep(message, arrival);
    const stored = (): void => {
      link.settle(number);
      if (isLocal) this.#parts.reports.receiptDue(head, this.#now);
      this.#parts.stored(held, head);
    };
    if (!head.isDurable) {
      stored();
      return;
    }
    this.#parts.journal.append(held, encodeHeld(held, arrival), stored, () => {
      this.#parts.held.remove(held);
      link.settle(number, 'storage');
    });
  }

  /** Acknowledges a copy once the first one is stored, which may still be under way. */
  #settleCopy(link: Link<Held>, number: number, then?: () => void): void {
    this.#parts.counters.duplicates++;
    this.#parts.journal.whenSynced(
      () => {
        link.settle(number);
        then?.();
      },
      () => {
        link.settle(number, 'storage');
      },
    );
  }
}

/** The head of an envelope from this neighbour; undefined if the envelope cannot be one. */
function readHead({ head, seal, payload, hops, ageMs, via }: Envelope, peer: string): Head | undefined {
  if (head.length > MAX_HEAD_BYTES || seal.length > MAX_SEAL_BYTES || payload.length > MAX_PAYLOAD_BYTES) return undefined;
  if (!(hops >= 0 && hops < MAX_HOPS && ageMs >= 0) || via.length > MAX_HOPS || via.at(-1) !== peer) return undefined;
  try {
    return decodeHead(head);
  } catch {
    return undefined;
  }
}
