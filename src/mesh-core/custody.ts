/**
 * Stores messages and passes them on: accepts those of this node and of its neighbours, keeps each until the others have it, and tells what
 * became of it.
 */
import { NO_PEERS, HeldMessages } from './held-messages.ts';
import type { CustodyLimits } from './held-messages.ts';
import { decodeEntry, encodeHeld, heldOf } from './held.ts';
import type { Held } from './held.ts';
import { Journal } from './journal.ts';
import { FRESH_MS, MAX_HOPS, MAX_PAYLOAD_BYTES, MAX_PEERS, RECEIPT_MS } from './limits.ts';
import type { Link } from './link.ts';
import { MAX_HEAD_BYTES, decodeHead } from './message.ts';
import type { Envelope, Head } from './message.ts';
import { Origin } from './origin.ts';
import type { Signed } from './origin.ts';
import { Outbound } from './outbound.ts';
import { PEER_TABLE } from './ports.ts';
import type { Effect, ProcessingOutcome, ReturnReason, Submission } from './ports.ts';
import { Reports } from './reports.ts';
import { Sending } from './sending.ts';
import { MAX_SEAL_BYTES, Verifier } from './seal.ts';
import type { Crypto, Signer } from './seal.ts';
import type { SeenMessages } from './seen.ts';
import type { Part } from './send-queue.ts';
import type { Topology } from './topology.ts';

export interface CustodyParts {
  readonly id: string;
  readonly epoch: number;
  readonly signer: Signer;
  readonly crypto: Crypto;
  readonly random: () => number;
  readonly effects: Effect[];
  readonly topology: Topology;
  readonly seen: SeenMessages;
  readonly limits: CustodyLimits;
}

export class Custody {
  readonly #parts: CustodyParts;
  readonly #verifier: Verifier;
  readonly #journal: Journal;
  readonly #outbound: Outbound;
  readonly #held: HeldMessages;
  readonly #origin: Origin;
  readonly #reports: Reports;
  readonly #deliveries = new Map<number, Held>();
  readonly #peers = new Set<string>();
  readonly #sending: Sending;
  #lastDelivery = 0;
  #now = 0;

  constructor(parts: CustodyParts) {
    this.#parts = parts;
    this.#verifier = new Verifier(parts.crypto);
    this.#journal = new Journal({ effects: parts.effects, changes: () => parts.seen.changes() });
    this.#outbound = new Outbound(parts.topology, (held) => {
      this.#sending.retryLater(
        held,
        (one) => {
          this.#outbound.enqueue(one, 'retry');
        },
        this.#now,
      );
    });
    const common = { journal: this.#journal, outbound: this.#outbound };
    this.#held = new HeldMessages({ id: parts.id, limits: parts.limits, ...common });
    this.#sending = new Sending({ id: parts.id, random: parts.random, effects: parts.effects, held: this.#held, ...common });
    this.#origin = new Origin({ ...parts, journal: this.#journal, held: this.#held });
    this.#reports = new Reports({ id: parts.id, effects: parts.effects, seen: parts.seen, held: this.#held, origin: this.#origin });
  }

  // Start

  /** A neighbour that was remembered. */
  restorePeer(id: string): void {
    this.#peers.add(id);
  }

  /** A record of the log, in the order of the numbers. `now` is the present time. Throws a RelayError INVALID_PARAMS if it is malformed. */
  restoreRecord(number: number, value: Buffer, now: number): void {
    this.#now = now;
    const entry = decodeEntry(value);
    this.#journal.restored(number);
    if (entry.type === 'done') {
      for (const one of entry.numbers) {
        const held = this.#journal.live.get(one);
        if (held) this.#held.remove(held);
      }
      return;
    }
    const stream = this.#held.stream(entry.head);
    const earlier = stream.messages.get(entry.head.number);
    // The record was moved to the end of the log.
    if (earlier) this.#held.remove(earlier);
    const held = heldOf({ ...entry, waitingFor: this.#held.list(entry.waitingFor.filter((id) => this.#peers.has(id))) }, stream);
    held.arrival = undefined;
    this.#journal.restore(number, held);
    this.#held.keep(held);
  }

  /** Everything is restored: what waits is queued, and what was not processed is delivered again. */
  start(): void {
    for (const held of this.#journal.live.values()) {
      if (held.isLocal)
        this.#sending.read([held], () => {
          this.#deliver(held, true);
        });
      this.#queue(held, 'backlog');
    }
  }

  // Messages of this node

  /** Takes a message of this node; it is signed with those that come until the next {@link flush}. */
  submit(submission: Submission, wallMs: number, now: number): void {
    this.#now = now;
    const problem = this.#origin.submit(submission, wallMs);
    if (problem) this.#parts.effects.push({ type: 'refused', token: submission.token, reason: problem[0], text: problem[1] });
  }

  #acceptOwn({ token, head, envelope }: Signed): void {
    const { id, effects } = this.#parts;
    const stream = this.#held.ownStream(head);
    const arrival = { envelope, at: this.#now };
    const waitingFor = head.target === undefined ? this.#held.list([...this.#peers]) : NO_PEERS;
    const held = heldOf({ type: 'message', head, arrival, isOwn: true, isLocal: head.target === id, waitingFor }, stream);
    const accepted = (): void => {
      if (token !== '') effects.push({ type: 'accepted', token, id: held.id });
      this.#stored(held, head);
    };
    // Kept at once, so that the low mark of the next one does not pass it.
    this.#held.keep(held);
    if (!head.isDurable) {
      accepted();
      return;
    }
    this.#journal.append(held, encodeHeld(held, arrival), accepted, (reason) => {
      this.#held.remove(held);
      effects.push({ type: 'refused', token, reason: 'storage', text: `nothing can be stored: ${reason}` });
    });
  }

  // Messages of neighbours

  /** Takes a message that arrived over a link. */
  arrived(link: Link<Held>, number: number, envelope: Envelope, now: number): void {
    this.#now = now;
    const head = readHead(envelope, link.peer.id);
    if (!head) link.settle(number, 'forged');
    else if (head.origin === this.#parts.id) this.#settleOnceSynced(link, number);
    else if (envelope.ageMs >= head.ttlMs) link.settle(number, 'expired');
    else if (head.target !== undefined && head.target !== this.#parts.id) this.#arrivedForOther(link, number, envelope, head);
    else this.#arrivedHere(link, number, envelope, head);
  }

  #arrivedForOther(link: Link<Held>, number: number, envelope: Envelope, head: Head): void {
    const { target = '' } = head;
    if (this.#held.messagesOf(head)?.has(head.number)) {
      this.#settleOnceSynced(link, number);
      return;
    }
    const avoid = [...envelope.via, link.peer.id];
    if (envelope.hops === 0) link.settle(number, 'hops');
    else if (this.#parts.topology.pathTo(target, avoid) === undefined) link.settle(number, 'no-route');
    else if (this.#held.isOverQuota('node', target)) link.settle(number, 'quota');
    else if (!this.#verifier.isGenuine(envelope, head)) link.settle(number, 'forged');
    else this.#acceptArrived(link, number, envelope, head, NO_PEERS, false);
  }

  #arrivedHere(link: Link<Held>, number: number, envelope: Envelope, head: Head): void {
    const { seen } = this.#parts;
    let look = seen.look(head);
    if (look === 'seen') {
      const held = this.#held.messagesOf(head)?.get(head.number);
      if (held && head.target === undefined) this.#held.doneFor(held, link.peer.id);
      this.#settleOnceSynced(link, number, () => {
        this.#reports.receiptDue(head);
      });
      return;
    }
    if (!this.#verifier.isGenuine(envelope, head)) {
      link.settle(number, 'forged');
      return;
    }
    if (look === 'full') {
      seen.advance(head);
      look = seen.look(head);
    }
    if (look === 'full') link.settle(number, 'gaps');
    else if (look === 'seen') this.#settleOnceSynced(link, number);
    else {
      const passed = new Set([...envelope.via, link.peer.id]);
      const others = head.target === undefined && envelope.hops > 0 ? [...this.#peers].filter((id) => !passed.has(id)) : [];
      this.#acceptArrived(link, number, envelope, head, this.#held.list(others), true);
    }
  }

  #acceptArrived(link: Link<Held>, number: number, envelope: Envelope, head: Head, waitingFor: readonly string[], isLocal: boolean): void {
    const isFull = !head.isDurable && this.#held.isMemoryFull;
    if (isFull || (head.isDurable && this.#journal.refusal !== undefined)) {
      link.settle(number, isFull ? 'quota' : 'storage');
      return;
    }
    if (isLocal) this.#parts.seen.add(head, this.#now);
    const arrival = { envelope, at: this.#now };
    const held = heldOf({ type: 'message', head, arrival, isOwn: false, isLocal, waitingFor }, this.#held.stream(head));
    this.#held.keep(held);
    const stored = (): void => {
      link.settle(number);
      if (isLocal) this.#reports.receiptDue(head);
      this.#stored(held, head);
    };
    if (!head.isDurable) {
      stored();
      return;
    }
    this.#journal.append(held, encodeHeld(held, arrival), stored, () => {
      this.#held.remove(held);
      link.settle(number, 'storage');
    });
  }

  /** Acknowledges a copy once the first one is stored, which may still be under way. */
  #settleOnceSynced(link: Link<Held>, number: number, then?: () => void): void {
    this.#journal.whenSynced(
      () => {
        link.settle(number);
        then?.();
      },
      () => {
        link.settle(number, 'storage');
      },
    );
  }

  // What is stored goes on

  #stored(held: Held, head: Head): void {
    if (held.state === 'gone') return;
    if (held.isSystem && held.isLocal) {
      const payload = held.arrival?.envelope.payload;
      if (payload) this.#reports.take(head, payload);
      held.isLocal = false;
    }
    if (held.isLocal) this.#deliver(held, false);
    if (this.#held.isDone(held)) this.#held.finish(held);
    else this.#queue(held, this.#isFresh(held) ? 'fresh' : 'backlog');
    this.#limitQueues(held);
    this.#held.limitCache(held);
  }

  #queue(held: Held, part: Part): void {
    if (held.stream.target !== this.#parts.id) this.#outbound.enqueue(held, part);
  }

  /** What has waited in another relay is part of a backlog here as well. */
  #isFresh({ stream: { target }, waitingFor, arrival }: Held): boolean {
    const { topology } = this.#parts;
    if ((arrival?.envelope.ageMs ?? 0) > FRESH_MS) return false;
    if (target !== undefined) return topology.pathTo(target) !== undefined;
    return waitingFor.some((id) => topology.hasLink(id));
  }

  #deliver(held: Held, isRedelivered: boolean): void {
    if (!held.arrival) return;
    const { envelope, at } = held.arrival;
    const head = decodeHead(envelope.head);
    if (held.isSystem) {
      this.#reports.take(head, envelope.payload);
      held.isLocal = false;
      if (this.#held.isDone(held)) this.#held.finish(held);
      return;
    }
    const delivery = ++this.#lastDelivery;
    this.#deliveries.set(delivery, held);
    const ageMs = envelope.ageMs + this.#now - at;
    this.#parts.effects.push({ type: 'deliver', delivery, head, payload: envelope.payload, ageMs, via: envelope.via, isRedelivered });
  }

  /** The satellites of this node have had a message. */
  processed(delivery: number, outcome: ProcessingOutcome, now: number): void {
    this.#now = now;
    const held = this.#deliveries.get(delivery);
    this.#deliveries.delete(delivery);
    if (!held) return;
    held.isLocal = false;
    if (outcome.type !== 'done') {
      if (held.isOwn) this.#reports.report(held, outcome.type, outcome.reason, this.#parts.id);
      else if (held.stream.target !== undefined) this.#reports.tellOrigin(held, outcome.type, outcome.reason);
    }
    if (this.#held.isDone(held)) this.#held.finish(held);
  }

  /** Fills the links with what waits. */
  fill(links: Iterable<Link<Held>>, now: number): void {
    this.#now = now;
    this.#sending.fill(links, now);
  }

  /** The records that were asked for. */
  read(request: number, values: readonly (Buffer | undefined)[], now: number): void {
    this.#now = now;
    this.#sending.answered(request, values, now);
  }

  written(batch: number, numbers: readonly number[], now: number): void {
    this.#now = now;
    this.#journal.written(batch, numbers);
  }

  writeFailed(batch: number, reason: string, now: number): void {
    this.#now = now;
    this.#journal.writeFailed(batch, reason);
    this.#parts.effects.push({ type: 'alarm', text: `nothing can be stored any more: ${reason}` });
  }

  /** Refuses new durable messages for this reason; undefined: accepts them again. */
  refuseNew(reason: string | undefined): void {
    this.#journal.refuseNew(reason);
  }

  // What neighbours say

  /** A neighbour has stored it. */
  taken(held: Held, peer: string): void {
    this.#outbound.isDirty = true;
    if (held.state === 'gone') return;
    if (held.stream.target === undefined) {
      this.#held.doneFor(held, peer);
      return;
    }
    if (!held.isOwn || !held.stream.isDurable) {
      this.#held.finish(held);
      return;
    }
    held.state = 'custody';
    this.#held.release(held);
    const { topology } = this.#parts;
    const waitMs = 3 * 2 * (topology.pathTo(held.stream.target)?.cost ?? 0) + RECEIPT_MS * 2 ** Math.min(held.attempts, 4);
    this.#sending.at(this.#now + waitMs, () => {
      if (held.state !== 'custody') return;
      held.attempts++;
      held.state = 'queued';
      this.#outbound.enqueue(held, 'retry');
    });
  }

  /** A neighbour gave it back. */
  returned(held: Held, peer: string, reason: ReturnReason): void {
    this.#outbound.isDirty = true;
    if (held.state === 'gone') return;
    const { target } = held.stream;
    const isFinal = reason === 'forged' || reason === 'hops' || reason === 'expired';
    if (target === undefined && isFinal) {
      this.#reports.report(held, 'rejected', `node ${peer} refuses it: ${reason}`, peer);
      this.#held.doneFor(held, peer);
    } else if (target !== undefined && isFinal && !held.isOwn) this.#held.finish(held);
    else
      this.#sending.retryLater(
        held,
        (one) => {
          this.#sending.again(one, peer);
        },
        this.#now,
      );
  }

  /** The link is closed before the neighbour had it. */
  unsent(helds: readonly Held[], peer: string): void {
    for (const held of helds) if (held.state !== 'gone') this.#sending.again(held, peer);
    this.#outbound.linkDown(peer);
  }

  /** Paths have changed, or a link is up. */
  pathsChanged(): void {
    this.#outbound.isDirty = true;
  }

  /** Remembers a neighbour: broadcasts wait for it from now on. */
  addPeer(id: string): void {
    if (this.#peers.has(id) || this.#peers.size >= MAX_PEERS) return;
    this.#peers.add(id);
    this.#journal.put({ type: 'put', table: PEER_TABLE, key: id, value: Buffer.alloc(0) });
  }

  /** Forgets a neighbour: nothing waits for it any more. */
  forgetPeer(id: string): void {
    if (!this.#peers.delete(id)) return;
    this.#journal.put({ type: 'delete', table: PEER_TABLE, key: id });
    for (const held of [...this.#held.all()]) this.#held.doneFor(held, id);
    this.#outbound.forgetPeer(id);
  }

  get peers(): ReadonlySet<string> {
    return this.#peers;
  }

  // Time

  /** Ends a step: signs and writes what was gathered, and sends the receipts that are due. */
  flush(now: number): void {
    this.#now = now;
    this.#reports.sendReceipts();
    for (const signed of this.#origin.sign(now)) this.#acceptOwn(signed);
    this.#sending.tidy();
    this.#journal.flush(now);
  }

  tick(now: number): void {
    this.#now = now;
    this.#sending.tick(now);
    const expired = this.#held.expired(now);
    for (const held of expired) this.#expired(held);
    if (expired.length > 0) this.#outbound.compact();
  }

  /** When {@link tick} or {@link flush} has something to do. */
  get wakeAt(): number {
    const backlog = this.#outbound.isDirty ? this.#now + 50 : Infinity;
    return Math.min(this.#sending.wakeAt, this.#held.wakeAt, this.#journal.wakeAt, backlog);
  }

  /** How much is kept, and why nothing can be stored, if so. */
  status(): ReturnType<HeldMessages['status']> & { readonly failure: string | undefined } {
    return { ...this.#held.status(), failure: this.#journal.refusal };
  }

  #expired(held: Held): void {
    const { target } = held.stream;
    const who = target ?? held.waitingFor.join(', ');
    if (held.isOwn || target === undefined) {
      const why = held.state === 'custody' ? 'no receipt came from' : 'it did not reach';
      this.#reports.report(held, 'expired', `${why} ${who} in time`, target ?? held.waitingFor[0]);
    }
    this.#held.doneForOthers(held);
  }

  /** A neighbour for which too much waits loses the oldest. */
  #limitQueues({ waitingFor }: Held): void {
    for (const peer of waitingFor) {
      while (this.#held.isOverQuota('peer', peer)) {
        const queue = this.#outbound.queue('peer', peer);
        const counts = (one: Held): boolean => one.state !== 'gone' && one.waitingFor.includes(peer);
        const oldest = queue.shift('retry', counts) ?? queue.shift('backlog', counts) ?? queue.shift('fresh', counts);
        if (!oldest) break;
        this.#reports.report(oldest, 'dropped', `too much waits for node ${peer}`, peer);
        this.#held.doneFor(oldest, peer);
      }
    }
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
