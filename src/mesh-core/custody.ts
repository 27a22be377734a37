/**
 * Stores messages and passes them on: accepts those of this node and of its neighbours, keeps each until the others have it, and tells what
 * became of it.
 */
import { NO_PEERS, HeldMessages } from './held-messages.ts';
import type { CustodyLimits } from './held-messages.ts';
import { decodeEntry, encodeHeld, heldOf } from './held-record.ts';
import { HeldTable } from './held-table.ts';
import type { Held } from './held-table.ts';
import { Journal } from './journal.ts';
import { FRESH_MS, MAX_HOPS, MAX_PEERS, RECEIPT_MS } from './limits.ts';
import type { Link } from './link.ts';
import { decodeHead } from './message.ts';
import type { Envelope, Head } from './message.ts';
import { Ordering } from './ordering.ts';
import { Origin } from './origin.ts';
import type { Signed } from './origin.ts';
import { Outbound } from './outbound.ts';
import { Outbox } from './outbox.ts';
import { PEER_TABLE } from './ports.ts';
import type { Effect, NodeCounters, OutboxCommand, ProcessingOutcome, ReturnReason, Submission } from './ports.ts';
import { Receiving } from './receiving.ts';
import { Reports } from './reports.ts';
import { Sending } from './sending.ts';
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

// How long a memory that is full of what is on its way is left alone.
const CROWDED_MS = 50;

export class Custody {
  readonly #parts: CustodyParts;
  readonly #journal: Journal;
  readonly #outbound: Outbound;
  readonly #held: HeldMessages;
  readonly #origin: Origin;
  readonly #reports: Reports;
  readonly #deliveries = new Map<number, Held>();
  readonly #peers = new Set<string>();
  readonly #sending: Sending;
  readonly #outbox: Outbox;
  readonly #ordering: Ordering;
  readonly #receiving: Receiving;
  /** See {@link NodeCounters}. */
  readonly counters: { -readonly [K in keyof NodeCounters]: number } = {
    ...{ accepted: 0, delivered: 0, forwarded: 0, duplicates: 0, expired: 0, dropped: 0, forged: 0, repeated: 0 },
  };
  #lastDelivery = 0;
  #crowdedUntil = 0;
  #now = 0;

  constructor(parts: CustodyParts) {
    this.#parts = parts;
    const table = new HeldTable();
    const { shortLog } = parts.limits;
    this.#journal = new Journal({ table, effects: parts.effects, changes: () => parts.seen.changes(), shortLog });
    this.#outbound = new Outbound(table, parts.topology, (held) => {
      this.#sending.retryLater(held, undefined, this.#now);
    });
    const common = { table, journal: this.#journal, outbound: this.#outbound };
    this.#held = new HeldMessages({ id: parts.id, limits: parts.limits, ...common });
    this.#sending = new Sending({
      ...{ ...parts, ...common, held: this.#held, counters: this.counters },
      damaged: (held) => {
        this.#damaged(held);
      },
    });
    this.#origin = new Origin({ ...parts, journal: this.#journal, held: this.#held });
    this.#reports = new Reports({ ...parts, held: this.#held, origin: this.#origin, sending: this.#sending });
    this.#ordering = new Ordering({
      ...{ seen: parts.seen, sending: this.#sending },
      deliver: (held, head) => {
        this.#deliver(held, false, head);
      },
    });
    const { counters } = this;
    this.#receiving = new Receiving({
      ...parts,
      ...common,
      ...{ held: this.#held, reports: this.#reports, peers: this.#peers, counters },
      stored: (held, head) => {
        this.#stored(held, head);
      },
    });
    this.#outbox = new Outbox({ ...parts, ...common, held: this.#held, sending: this.#sending, reports: this.#reports, counters });
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
    if (entry.type !== 'message') {
      for (const one of entry.numbers) {
        const held = this.#journal.live.get(one);
        if (held) held.isLocal = false;
        if (held && (entry.type === 'done' || this.#held.isDone(held))) this.#held.remove(held);
      }
      return;
    }
    const earlier = this.#held.messagesOf(entry.head)?.get(entry.head.number);
    // The record was moved to the end of the log.
    if (earlier) this.#held.remove(earlier);
    // Asked for now, since a stream may end with its last message.
    const stream = this.#held.stream(entry.head);
    const waitingFor = entry.waitingFor.filter((id) => this.#peers.has(id));
    this.#journal.restore(number, this.#held.keep(heldOf({ ...entry, waitingFor }, stream), undefined));
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
    const waitingFor = head.target === undefined ? [...this.#peers] : NO_PEERS;
    const message = heldOf({ type: 'message', head, arrival, isOwn: true, isLocal: head.target === id, waitingFor }, stream);
    // Kept at once, so that the low mark of the next one does not pass it.
    const held = this.#held.keep(message, arrival);
    const accepted = (): void => {
      if (token !== '') {
        this.counters.accepted++;
        effects.push({ type: 'accepted', token, id: held.id });
      }
      this.#stored(held, head);
    };
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
    this.#receiving.arrived(link, number, envelope, now);
  }

  // What is stored goes on

  #stored(held: Held, head: Head): void {
    if (held.state === 'gone') return;
    if (held.isSystem && held.isLocal) {
      const payload = held.arrival?.envelope.payload;
      if (payload) this.#reports.take(head, payload);
      held.isLocal = false;
    }
    if (held.isLocal) this.#ordering.deliver(held, head, this.#now);
    const canBeSent = this.#canBeSent(held);
    if (this.#held.isDone(held)) this.#held.finish(held);
    else this.#queue(held, canBeSent && isYoung(held) ? 'fresh' : 'backlog');
    this.#limitQueues(held);
    if (!head.isDurable && this.#now >= this.#crowdedUntil && this.#held.isMemoryFull(false)) this.#limitMemory();
    this.#held.limitCache(held, canBeSent);
  }

  /** What is in memory only and waits for nodes that are away gives way. */
  #limitMemory(): void {
    const { topology } = this.#parts;
    const isStranded = ({ isLocal, stream: { target }, waitingFor }: Held): boolean => {
      if (isLocal) return false;
      return target === undefined ? !waitingFor.some((id) => topology.hasLink(id)) : topology.pathTo(target) === undefined;
    };
    for (const held of this.#held.crowding(isStranded)) {
      const node = held.stream.target ?? held.waitingFor[0];
      this.counters.dropped++;
      if (held.isOwn || held.stream.target === undefined)
        this.#reports.report(held, 'dropped', `memory is full, and node ${String(node)} is away`, node);
      this.#held.finish(held);
    }
    // It is full of what is on its way: that needs some time.
    if (this.#held.isMemoryFull(false)) this.#crowdedUntil = this.#now + CROWDED_MS;
  }

  #queue(held: Held, part: Part): void {
    if (held.stream.target !== this.#parts.id) this.#outbound.enqueue(held, part);
  }

  /** True if there is a path to its target, which may be this node, or a link to a neighbour that a broadcast waits for. */
  #canBeSent({ stream: { target }, waitingFor }: Held): boolean {
    const { topology, id } = this.#parts;
    if (target === id) return true;
    if (target !== undefined) return topology.pathTo(target) !== undefined;
    return waitingFor.some((id) => topology.hasLink(id));
  }

  /** `known` is its head, if that is decoded already. */
  #deliver(held: Held, isRedelivered: boolean, known?: Head): void {
    if (!held.arrival) return;
    const { envelope, at } = held.arrival;
    const head = known ?? decodeHead(envelope.head);
    if (held.isSystem) {
      this.#reports.take(head, envelope.payload);
      held.isLocal = false;
      if (this.#held.isDone(held)) this.#held.finish(held);
      return;
    }
    this.counters.delivered++;
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
    else this.#journal.processed(held);
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

  /** The record of a message cannot be read any more. */
  #damaged(held: Held): void {
    const { target } = held.stream;
    this.counters.dropped++;
    if (held.isOwn || target === undefined) this.#reports.report(held, 'dropped', 'its record in the store is damaged', target);
    this.#held.finish(held);
  }

  // What neighbours say

  /** A neighbour has stored it. */
  taken(held: Held, peer: string): void {
    this.#outbound.isDirty = true;
    if (!held.isOwn) this.counters.forwarded++;
    if (held.attempts > 0) this.#outbound.retrySucceeded(peer);
    if (held.state === 'gone') return;
    if (held.stream.target === undefined) {
      this.#held.doneFor(held, peer);
      this.#held.limitCache(held, this.#canBeSent(held));
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
    this.#sending.laterWith(held, this.#now + waitMs, 'receipt', (one) => {
      if (one.state !== 'custody') return;
      one.attempts++;
      one.lastReason = 'no-receipt';
      one.state = 'queued';
      this.#outbound.enqueue(one, 'retry');
    });
  }

  /** A neighbour gave it back. */
  returned(held: Held, peer: string, reason: ReturnReason): void {
    this.#outbound.isDirty = true;
    if (held.state === 'gone') return;
    held.lastReason = reason;
    const { target } = held.stream;
    const isFinal = reason === 'forged' || reason === 'hops' || reason === 'expired';
    if (target === undefined && isFinal) {
      this.#reports.report(held, 'rejected', `node ${peer} refuses it: ${reason}`, peer);
      this.#held.doneFor(held, peer);
    } else if (target !== undefined && isFinal && !held.isOwn) this.#held.finish(held);
    else this.#sending.retryLater(held, peer, this.#now);
  }

  /** The link is closed before the neighbour had it. */
  unsent(helds: readonly Held[], peer: string): void {
    for (const held of helds) {
      held.lastReason = 'link-closed';
      if (held.state !== 'gone') this.#sending.again(held, peer);
    }
    this.#outbound.linkDown(peer);
  }

  /** What waits for a neighbour: broadcasts, and messages for itself. */
  waitingFor(id: string): { readonly messages: number; readonly bytes: number } {
    return this.#outbound.waitingFor(id);
  }

  /** An operator looks at what waits here for other nodes, or changes it. */
  handleOutbox(request: number, command: OutboxCommand, links: ReadonlyMap<string, Link<Held>>, now: number): void {
    this.#now = now;
    this.#outbox.handle(request, command, { links, now: () => this.#now });
  }

  /** Paths have changed, or a link is up. */
  pathsChanged(): void {
    this.#outbound.isDirty = true;
  }

  /**
   * Broadcasts wait for this neighbour from now on. It is remembered over restarts, unless it `isEphemeral`. Returns the one that had to be
   * forgotten for it, if there are too many.
   */
  addPeer(id: string, isEphemeral: boolean): string | undefined {
    if (this.#peers.has(id)) return undefined;
    const { topology, effects } = this.#parts;
    const absent = this.#peers.size < MAX_PEERS ? undefined : [...this.#peers].find((one) => !topology.hasLink(one));
    if (absent !== undefined) {
      const text = `${MAX_PEERS} neighbours are remembered, which is the limit: nothing waits any more for node ${absent}, which is away`;
      effects.push({ type: 'alarm', text });
      this.forgetPeer(absent);
    }
    this.#peers.add(id);
    if (!isEphemeral) this.#journal.put({ type: 'put', table: PEER_TABLE, key: id, value: Buffer.alloc(0) });
    return absent;
  }

  /** Forgets a neighbour: nothing waits for it any more. */
  forgetPeer(id: string): void {
    if (!this.#peers.delete(id)) return;
    this.#journal.put({ type: 'delete', table: PEER_TABLE, key: id });
    for (const held of this.#held.waitingForPeer(id)) this.#held.doneFor(held, id);
    this.#outbound.forgetPeer(id);
  }

  get peers(): ReadonlySet<string> {
    return this.#peers;
  }

  // Time

  /** Ends a step: signs and writes what was gathered, and sends the receipts that are due. */
  flush(now: number): void {
    this.#now = now;
    this.#reports.sendReceipts(now);
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
    return Math.min(this.#sending.wakeAt, this.#held.wakeAt, this.#journal.wakeAt, this.#reports.wakeAt, backlog);
  }

  /** How much is kept, and why nothing can be stored, if so. */
  status(): ReturnType<HeldMessages['status']> & { readonly failure: string | undefined } {
    return { ...this.#held.status(), failure: this.#journal.refusal };
  }

  #expired(held: Held): void {
    const { target } = held.stream;
    const who = target ?? held.waitingFor.join(', ');
    this.counters.expired++;
    if (held.isOwn || target === undefined) {
      const why = held.state === 'custody' ? 'no receipt came from' : 'it did not reach';
      const isTooFar = target !== undefined && this.#parts.topology.isTooFar(target);
      const text = `${why} ${who} in time${isTooFar ? `: that is more than ${MAX_HOPS} hops away, the limit` : ''}`;
      this.#reports.report(held, 'expired', text, target ?? held.waitingFor[0]);
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
        this.counters.dropped++;
        this.#reports.report(oldest, 'dropped', `too much waits for node ${peer}`, peer);
        this.#held.doneFor(oldest, peer);
      }
    }
  }
}

/** What has waited in another relay is part of a backlog here as well. */
function isYoung({ arrival }: Held): boolean {
  return (arrival?.envelope.ageMs ?? 0) <= FRESH_MS;
}
