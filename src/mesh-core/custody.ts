/**
 * Stores messages and passes them on: accepts those of this node and of its neighbours, keeps each until the others have it, and tells what
 * became of it.
 */
import { nextDelay, RelayError } from '../core/core.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { decodeEntry, encodeHeld, heldOf } from './held.ts';
import type { Arrival, Held, HeldStream } from './held.ts';
import { Journal } from './journal.ts';
import {
  BATCH_MESSAGES,
  CACHE_BYTES,
  FRESH_MS,
  DURABLE_TTL_MS,
  MAX_GENERATION,
  MAX_HOPS,
  MAX_PAYLOAD_BYTES,
  MAX_PEERS,
  MAX_TTL_MS,
  QUOTA_BYTES,
  QUOTA_MESSAGES,
  RECEIPT_MS,
  RETRY,
  VOLATILE_TTL_MS,
} from './limits.ts';
import type { Link } from './link.ts';
import { LowMark } from './low-mark.ts';
import { MAX_HEAD_BYTES, decodeHead, encodeHead, streamKey } from './message.ts';
import type { Envelope, Head } from './message.ts';
import { NumberSet } from './number-set.ts';
import { Outbound } from './outbound.ts';
import type { Picked } from './outbound.ts';
import type { Part } from './send-queue.ts';
import { Heap } from './paths.ts';
import { PEER_TABLE } from './ports.ts';
import type { DeliveryStatus, Effect, ProcessingOutcome, RefusalReason, ReturnReason, Submission } from './ports.ts';
import { MAX_SEAL_BYTES, Verifier, sealGroup } from './seal.ts';
import type { Crypto, Signer } from './seal.ts';
import type { SeenMessages } from './seen.ts';
import type { Topology } from './topology.ts';

/** Limits that a host or a test may lower. */
export interface CustodyLimits {
  readonly quotaMessages: number;
  readonly quotaBytes: number;
  readonly cacheBytes: number;
}

export const custodyLimits: CustodyLimits = { quotaMessages: QUOTA_MESSAGES, quotaBytes: QUOTA_BYTES, cacheBytes: CACHE_BYTES };

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

/** What is kept of an own stream besides its messages. */
interface OwnStream {
  readonly held: HeldStream;
  /** The last number that was given, and the last one whose message is kept. */
  last: number;
  kept: number;
  readonly low: LowMark;
}

/** A submission that waits to be signed with others. */
interface Signing {
  readonly submission: Submission;
  readonly target: string | undefined;
  readonly sentAt: number;
}

// Receipts and reports of the mesh itself.
const RECEIPT = 'co2/receipt';
const OUTCOME = 'co2/outcome';
const NO_PEERS: readonly string[] = [];
const STATUSES: readonly DeliveryStatus[] = ['delivered', 'expired', 'rejected', 'dead-letter', 'dropped'];
const MAX_REASON_BYTES = 200;
// Expired messages are looked for at most this often, and once per ms for each thousand that are kept.
const SWEEP_MS = 250;

export class Custody {
  readonly #parts: CustodyParts;
  readonly #verifier: Verifier;
  readonly #journal: Journal;
  readonly #outbound: Outbound;
  readonly #streams = new Map<string, HeldStream>();
  readonly #own = new Map<string, OwnStream>();
  readonly #volatile = new Set<Held>();
  readonly #deliveries = new Map<number, Held>();
  readonly #peers = new Set<string>();
  // Lists of neighbours, shared by the messages that wait for the same ones.
  readonly #lists = new Map<string, readonly string[]>();
  readonly #attempts = new Heap<{ readonly at: number; readonly act: () => void }>((one, other) => one.at - other.at);
  readonly #receiptsDue = new Map<string, Head>();
  readonly #reads = new Map<number, (values: readonly (Buffer | undefined)[]) => void>();
  readonly #loading = new Map<string, number>();
  #signing: Signing[] = [];
  #earliestExpiry = Infinity;
  #sweepAt = 0;
  #lastDelivery = 0;
  #lastRead = 0;
  #cachedBytes = 0;
  #now = 0;

  constructor(parts: CustodyParts) {
    this.#parts = parts;
    this.#verifier = new Verifier(parts.crypto);
    this.#journal = new Journal({ effects: parts.effects, changes: () => parts.seen.changes() });
    this.#outbound = new Outbound(parts.topology, (held) => {
      this.#retryLater(held, (one) => {
        this.#outbound.enqueue(one, 'retry');
      });
    });
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
        if (held) this.#remove(held);
      }
      return;
    }
    const stream = this.#stream(entry.head);
    const earlier = stream.messages.get(entry.head.number);
    // The record was moved to the end of the log.
    if (earlier) this.#remove(earlier);
    const held = heldOf({ ...entry, waitingFor: this.#list(entry.waitingFor.filter((id) => this.#peers.has(id))) }, stream);
    held.arrival = undefined;
    this.#journal.restore(number, held);
    this.#keep(held);
  }

  /** Everything is restored: what waits is queued, and what was not processed is delivered again. */
  start(): void {
    for (const held of this.#journal.live.values()) {
      if (held.isLocal)
        this.#read([held], () => {
          this.#deliver(held, true);
        });
      this.#queue(held, 'backlog');
    }
  }

  // Messages of this node

  /** Takes a message of this node; it is signed with those that come until the next {@link flush}. */
  submit(submission: Submission, wallMs: number, now: number): void {
    this.#now = now;
    const problem = this.#problemOf(submission);
    if (problem) {
      this.#parts.effects.push({ type: 'refused', token: submission.token, reason: problem[0], text: problem[1] });
      return;
    }
    const { target } = submission;
    let node = target.type === 'node' ? target.id : undefined;
    if (target.type === 'any') {
      node = this.#parts.topology.nearest(target.capability, target.key);
      if (node === undefined) {
        const text = `no node that can be reached offers ${target.capability}`;
        this.#parts.effects.push({ type: 'refused', token: submission.token, reason: 'no-candidate', text });
        return;
      }
    }
    this.#signing.push({ submission, target: node, sentAt: wallMs });
  }

  #problemOf({
    payload,
    isDurable,
    ttlMs = 1,
    generation,
    target,
    hostId,
    ref = '',
    contentType,
  }: Submission): [RefusalReason, string] | undefined {
    if (generation > MAX_GENERATION) return ['generation', `more than ${MAX_GENERATION} messages were sent in answer to one another`];
    if (payload.length > MAX_PAYLOAD_BYTES)
      return ['invalid', `a message of ${payload.length} bytes is too large (limit ${MAX_PAYLOAD_BYTES})`];
    if (!(ttlMs >= 1 && ttlMs <= MAX_TTL_MS)) return ['invalid', `a life of ${ttlMs} ms is not between 1 ms and a week`];
    if ([hostId, ref, contentType].some((text) => Buffer.byteLength(text) > 255))
      return ['invalid', 'host_id, ref or type is longer than 255 bytes'];
    if (isDurable && this.#journal.failure !== undefined) return ['storage', `nothing can be stored: ${this.#journal.failure}`];
    if (target.type === 'node' && this.#isOverQuota('node', target.id)) return ['quota', `too much waits for node ${target.id}`];
    return undefined;
  }

  #signGathered(): void {
    while (this.#signing.length > 0) {
      const group = this.#signing.splice(0, BATCH_MESSAGES);
      const heads = group.map((one) => this.#headOf(one));
      const bytes = heads.map(encodeHead);
      const seals = sealGroup(bytes, this.#parts.signer, this.#parts.crypto);
      for (const [index, { submission }] of group.entries()) {
        const [head, headBytes, seal] = [heads[index], bytes[index], seals[index]];
        if (!head || !headBytes || !seal) continue;
        this.#acceptOwn(submission, head, { head: headBytes, seal, payload: submission.payload, hops: MAX_HOPS, ageMs: 0, via: [] });
      }
    }
  }

  #headOf({ submission, target, sentAt }: Signing): Head {
    const { id: origin, epoch, crypto } = this.#parts;
    const { isDurable, isOrdered, hostId, generation, ref = '', contentType, payload } = submission;
    const ttlMs = Math.floor(submission.ttlMs ?? (isDurable ? DURABLE_TTL_MS : VOLATILE_TTL_MS));
    const own = this.#ownStream({ origin, epoch, target, isDurable });
    const number = ++own.last;
    own.low.note(number, this.#now + ttlMs, this.#now);
    return {
      ...{ origin, epoch, target, number, low: this.#lowOf(own), sentAt: Math.max(0, Math.floor(sentAt)), ttlMs },
      ...{ isDurable, isOrdered, hostId, generation, ref, contentType, payloadHash: crypto.hash(payload) },
    };
  }

  /** Messages for one node are done with their receipt; others when they expire. Those of the present group are not kept yet. */
  #lowOf({ held, kept, low }: OwnStream): number {
    if (held.target === undefined || !held.isDurable) return low.at(this.#now);
    const [oldest = kept + 1] = held.messages.keys();
    return oldest;
  }

  #acceptOwn({ token }: Submission, head: Head, envelope: Envelope): void {
    const { id, effects } = this.#parts;
    const own = this.#ownStream(head);
    own.kept = head.number;
    const stream = own.held;
    const arrival = { envelope, at: this.#now };
    const waitingFor = head.target === undefined ? this.#list([...this.#peers]) : NO_PEERS;
    const held = heldOf({ type: 'message', head, arrival, isOwn: true, isLocal: head.target === id, waitingFor }, stream);
    const accepted = (): void => {
      if (token !== '') effects.push({ type: 'accepted', token, id: held.id });
      this.#stored(held, head);
    };
    if (!head.isDurable) {
      this.#keep(held);
      accepted();
      return;
    }
    // Kept at once, so that the low mark of the next one does not pass it.
    this.#keep(held);
    this.#journal.append(held, encodeHeld(held, arrival), accepted, (reason) => {
      this.#remove(held);
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
    if (this.#streams.get(streamKey(head))?.messages.has(head.number) === true) {
      this.#settleOnceSynced(link, number);
      return;
    }
    const avoid = [...envelope.via, link.peer.id];
    if (envelope.hops === 0) link.settle(number, 'hops');
    else if (this.#parts.topology.pathTo(target, avoid) === undefined) link.settle(number, 'no-route');
    else if (this.#isOverQuota('node', target)) link.settle(number, 'quota');
    else if (!this.#verifier.isGenuine(envelope, head)) link.settle(number, 'forged');
    else this.#acceptArrived(link, number, envelope, head, NO_PEERS, false);
  }

  #arrivedHere(link: Link<Held>, number: number, envelope: Envelope, head: Head): void {
    const { seen } = this.#parts;
    let look = seen.look(head);
    if (look === 'seen') {
      const held = this.#streams.get(streamKey(head))?.messages.get(head.number);
      if (held && head.target === undefined) this.#hasIt(held, link.peer.id);
      this.#settleOnceSynced(link, number, () => {
        this.#receiptDue(head);
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
      this.#acceptArrived(link, number, envelope, head, this.#list(others), true);
    }
  }

  #acceptArrived(link: Link<Held>, number: number, envelope: Envelope, head: Head, waitingFor: readonly string[], isLocal: boolean): void {
    if (head.isDurable && this.#journal.failure !== undefined) {
      link.settle(number, 'storage');
      return;
    }
    if (isLocal) this.#parts.seen.add(head, this.#now);
    const arrival = { envelope, at: this.#now };
    const held = heldOf({ type: 'message', head, arrival, isOwn: false, isLocal, waitingFor }, this.#stream(head));
    this.#keep(held);
    const stored = (): void => {
      link.settle(number);
      if (isLocal) this.#receiptDue(head);
      this.#stored(held, head);
    };
    if (!head.isDurable) {
      stored();
      return;
    }
    this.#journal.append(held, encodeHeld(held, arrival), stored, () => {
      this.#remove(held);
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
      if (payload) this.#takeSystem(head, payload);
      held.isLocal = false;
    }
    if (held.isLocal) this.#deliver(held, false);
    if (this.#isDone(held)) this.#finish(held);
    else this.#queue(held, this.#isFresh(held) ? 'fresh' : 'backlog');
    this.#limitQueues(held);
    this.#limitCache(held);
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
      this.#takeSystem(head, envelope.payload);
      held.isLocal = false;
      if (this.#isDone(held)) this.#finish(held);
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
    const { stream, number } = held;
    if (outcome.type !== 'done') {
      if (held.isOwn) this.#report(held, outcome.type, outcome.reason, this.#parts.id);
      else if (stream.target !== undefined) this.#tellOrigin(stream, number, outcome);
    }
    if (this.#isDone(held)) this.#finish(held);
  }

  /** Fills the links with what waits. */
  fill(links: Iterable<Link<Held>>, now: number): void {
    this.#now = now;
    if (!this.#outbound.isDirty) return;
    this.#outbound.isDirty = false;
    for (const link of links) {
      const { id } = link.peer;
      // What is being read goes first, so that nothing overtakes it.
      if (this.#loading.has(id)) continue;
      const picks = this.#outbound.pull(link, now);
      if (picks.every(({ held }) => held.arrival)) this.#push(link, picks);
      else this.#load(link, picks);
    }
  }

  #load(link: Link<Held>, picks: readonly Picked[]): void {
    const { id } = link.peer;
    for (const { held } of picks) this.#mark(held, id, 'in-flight');
    const request = this.#read(
      picks.map(({ held }) => held),
      () => {
        if (this.#loading.get(id) === request) this.#loading.delete(id);
        this.#outbound.isDirty = true;
        const usable = picks.filter(({ held }) => held.state !== 'gone');
        if (link.state.type === 'up') this.#push(link, usable);
        else for (const { held } of usable) this.#again(held, id);
      },
    );
    this.#loading.set(id, request);
  }

  #push(link: Link<Held>, picks: readonly Picked[]): void {
    if (picks.length === 0) return;
    const { id } = link.peer;
    const outgoing = picks.flatMap(({ held, isBacklog }) => {
      if (!held.arrival) return [];
      this.#mark(held, id, 'in-flight');
      const { envelope, at } = held.arrival;
      const { head, seal, payload, hops } = envelope;
      const ageMs = Math.max(0, Math.round(envelope.ageMs + this.#now - at));
      const via = [...envelope.via, this.#parts.id];
      return [{ item: held, isBacklog, envelope: { head, seal, payload, hops: hops - 1, ageMs, via } }];
    });
    if (outgoing.length > 0) link.push(outgoing, this.#now);
    for (const { item } of outgoing) this.#limitCache(item);
  }

  /** Reads messages back from the store; those that are damaged or gone stay without. */
  #read(helds: readonly Held[], then: () => void): number {
    const request = ++this.#lastRead;
    const missing = helds.filter(({ arrival, record }) => !arrival && record > 0);
    this.#reads.set(request, (values) => {
      for (const [index, held] of missing.entries()) {
        const value = values[index];
        if (value && held.state !== 'gone') held.arrival = this.#arrivalIn(value);
        if (held.arrival) this.#cachedBytes += held.bytes;
      }
      then();
    });
    this.#parts.effects.push({ type: 'read', request, numbers: missing.map(({ record }) => record) });
    return request;
  }

  #arrivalIn(value: Buffer): Arrival | undefined {
    const entry = decodeEntry(value);
    return entry.type === 'message' ? entry.arrival : undefined;
  }

  read(request: number, values: readonly (Buffer | undefined)[], now: number): void {
    this.#now = now;
    const then = this.#reads.get(request);
    this.#reads.delete(request);
    then?.(values);
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

  // What neighbours say

  /** A neighbour has stored it. */
  taken(held: Held, peer: string): void {
    this.#outbound.isDirty = true;
    if (held.state === 'gone') return;
    if (held.stream.target === undefined) {
      this.#hasIt(held, peer);
      return;
    }
    if (!held.isOwn || !held.stream.isDurable) {
      this.#finish(held);
      return;
    }
    held.state = 'custody';
    this.#release(held);
    const { topology } = this.#parts;
    const waitMs = 3 * 2 * (topology.pathTo(held.stream.target)?.cost ?? 0) + RECEIPT_MS * 2 ** Math.min(held.attempts, 4);
    this.#at(this.#now + waitMs, () => {
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
      this.#report(held, 'rejected', `node ${peer} refuses it: ${reason}`, peer);
      this.#hasIt(held, peer);
    } else if (target !== undefined && isFinal && !held.isOwn) this.#finish(held);
    else
      this.#retryLater(held, (one) => {
        this.#again(one, peer);
      });
  }

  /** The link is closed before the neighbour had it. */
  unsent(helds: readonly Held[], peer: string): void {
    for (const held of helds) if (held.state !== 'gone') this.#again(held, peer);
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
    for (const held of [...this.#all()]) this.#hasIt(held, id);
    this.#outbound.forgetPeer(id);
  }

  get peers(): ReadonlySet<string> {
    return this.#peers;
  }

  // Time

  /** Ends a step: signs and writes what was gathered, and sends the receipts that are due. */
  flush(now: number): void {
    this.#now = now;
    this.#sendReceipts();
    this.#signGathered();
    const moving = this.#journal.toMove();
    if (moving.length > 0) this.#move(moving);
    this.#journal.flush(now);
  }

  tick(now: number): void {
    this.#now = now;
    for (let next = this.#attempts.least; next && next.at <= now; next = this.#attempts.least) {
      this.#attempts.pop();
      next.act();
    }
    if (now >= this.#earliestExpiry && now >= this.#sweepAt) this.#expire(now);
  }

  /** When {@link tick} or {@link flush} has something to do. */
  get wakeAt(): number {
    const expiry = Math.max(this.#earliestExpiry, this.#sweepAt);
    const backlog = this.#outbound.isDirty ? this.#now + 50 : Infinity;
    return Math.min(this.#attempts.least?.at ?? Infinity, expiry, this.#journal.wakeAt, backlog);
  }

  /** How much is kept. */
  status(): { readonly durable: number; readonly volatile: number; readonly cachedBytes: number; readonly failure: string | undefined } {
    const { live, failure } = this.#journal;
    return { durable: live.size, volatile: this.#volatile.size, cachedBytes: this.#cachedBytes, failure };
  }

  #expire(now: number): void {
    let [earliest, count] = [Infinity, 0];
    for (const held of this.#all()) {
      if (held.expiresAt > now) earliest = Math.min(earliest, held.expiresAt);
      else if (this.#isForOthers(held)) {
        this.#expired(held);
        count++;
      }
    }
    this.#earliestExpiry = earliest;
    this.#sweepAt = now + Math.max(SWEEP_MS, (this.#journal.live.size + this.#volatile.size) / 1000);
    if (count > 0) this.#outbound.compact();
  }

  /** Whether it still waits for others; what waits for the satellites of this node only does not expire any more. */
  #isForOthers({ stream: { target }, waitingFor }: Held): boolean {
    return target === undefined ? waitingFor.length > 0 : target !== this.#parts.id;
  }

  #expired(held: Held): void {
    const { target } = held.stream;
    const who = target ?? held.waitingFor.join(', ');
    if (held.isOwn || target === undefined) {
      const why = held.state === 'custody' ? 'no receipt came from' : 'it did not reach';
      this.#report(held, 'expired', `${why} ${who} in time`, target ?? held.waitingFor[0]);
    }
    if (held.isLocal) {
      for (const peer of held.waitingFor) this.#outbound.uncount(held, peer);
      held.waitingFor = NO_PEERS;
    } else this.#finish(held);
  }

  // Receipts and reports

  #receiptDue(head: Head): void {
    if (head.isDurable && head.target === this.#parts.id) this.#receiptsDue.set(streamKey(head), head);
  }

  /** One receipt acknowledges all messages of a stream. A lost one is repaired by the next, since the origin sends again. */
  #sendReceipts(): void {
    for (const [key, { origin, epoch }] of this.#receiptsDue) {
      const numbers = this.#parts.seen.numbersOf(key);
      if (numbers) this.#submitSystem(origin, RECEIPT, numbers.encode(new ByteWriter().varint(epoch)).end(), false, '');
    }
    this.#receiptsDue.clear();
  }

  #tellOrigin({ key }: HeldStream, number: number, outcome: { readonly type: DeliveryStatus | 'done'; readonly reason: string }): void {
    const [origin = ''] = key.split('.');
    const status = STATUSES.findIndex((one) => one === outcome.type);
    const reason = Buffer.from(outcome.reason).subarray(0, MAX_REASON_BYTES).toString();
    this.#submitSystem(origin, OUTCOME, new ByteWriter().byte(status).text(reason).end(), true, `${key}.${number}`);
  }

  #submitSystem(id: string, contentType: string, payload: Buffer, isDurable: boolean, ref: string): void {
    const submission = {
      token: '',
      target: { type: 'node', id },
      payload,
      isDurable,
      isOrdered: false,
      hostId: '',
      generation: 0,
    } as const;
    this.#signing.push({ submission: { ...submission, contentType, ref }, target: id, sentAt: 0 });
  }

  #takeSystem(head: Head, payload: Buffer): void {
    try {
      if (head.contentType === RECEIPT) this.#takeReceipt(head, payload);
      if (head.contentType === OUTCOME) this.#takeOutcome(head, payload);
    } catch (error) {
      // A later version may send others.
      if (!RelayError.is(error)) throw error;
    }
  }

  #takeReceipt({ origin: target }: Head, payload: Buffer): void {
    const reader = new ByteReader(payload, 'a receipt');
    const epoch = reader.varint();
    const numbers = NumberSet.decode(reader);
    reader.end();
    const stream = this.#streams.get(streamKey({ origin: this.#parts.id, epoch, target, isDurable: true }));
    if (!stream) return;
    for (const [number, held] of stream.messages) {
      if (number > numbers.greatest) break;
      if (!numbers.has(number)) continue;
      this.#finish(held);
      this.#report(held, 'delivered', '', target);
    }
  }

  #takeOutcome({ origin, ref }: Head, payload: Buffer): void {
    const reader = new ByteReader(payload, 'a report');
    const status = STATUSES[reader.byte(STATUSES.length - 1)] ?? 'rejected';
    const reason = reader.text(MAX_REASON_BYTES);
    reader.end();
    // Only the node that a message was for may say so.
    if (ref.startsWith(`${this.#parts.id}.`) && ref.includes(`.u:${origin}.`)) {
      this.#parts.effects.push({ type: 'outcome', id: ref, status, reason, node: origin });
    }
  }

  /** Nothing is reported about messages of the mesh itself: there is never an error about an error. */
  #report(held: Held, status: DeliveryStatus, reason: string, node: string | undefined): void {
    if (held.isSystem) return;
    const { id } = held;
    this.#parts.effects.push({ type: 'outcome', id, status, reason, node });
  }

  // What is kept

  #stream(head: Pick<Head, 'origin' | 'epoch' | 'target' | 'isDurable'>): HeldStream {
    const key = streamKey(head);
    let stream = this.#streams.get(key);
    if (!stream) {
      stream = { key, target: head.target, isDurable: head.isDurable, messages: new Map() };
      this.#streams.set(key, stream);
    }
    return stream;
  }

  #ownStream(head: Pick<Head, 'origin' | 'epoch' | 'target' | 'isDurable'>): OwnStream {
    const key = streamKey(head);
    let own = this.#own.get(key);
    if (!own) this.#own.set(key, (own = { held: this.#stream(head), last: 0, kept: 0, low: new LowMark() }));
    return own;
  }

  #keep(held: Held): void {
    held.stream.messages.set(held.number, held);
    this.#outbound.count(held);
    if (!held.stream.isDurable) this.#volatile.add(held);
    if (held.arrival) this.#cachedBytes += held.bytes;
    this.#earliestExpiry = Math.min(this.#earliestExpiry, held.expiresAt);
  }

  #isDone({ stream: { target }, waitingFor, isLocal }: Held): boolean {
    return !isLocal && (target === undefined ? waitingFor.length === 0 : target === this.#parts.id);
  }

  #finish(held: Held): void {
    this.#journal.done(held);
    this.#remove(held);
  }

  #remove(held: Held): void {
    if (held.state === 'gone') return;
    const { stream } = held;
    held.state = 'gone';
    this.#journal.live.delete(held.record);
    this.#volatile.delete(held);
    stream.messages.delete(held.number);
    if (stream.messages.size === 0 && !this.#own.has(stream.key)) this.#streams.delete(stream.key);
    this.#outbound.uncount(held);
    this.#release(held);
  }

  /** The neighbour has a broadcast; it may be the last one. */
  #hasIt(held: Held, peer: string): void {
    if (!held.waitingFor.includes(peer)) return;
    this.#outbound.uncount(held, peer);
    held.waitingFor = this.#list(held.waitingFor.filter((id) => id !== peer));
    if (this.#isDone(held) && (held.record > 0 || !held.stream.isDurable)) this.#finish(held);
  }

  #release(held: Held): void {
    if (!held.arrival || (held.record === 0 && held.state !== 'gone')) return;
    held.arrival = undefined;
    this.#cachedBytes -= held.bytes;
  }

  #limitCache(held: Held): void {
    if (this.#cachedBytes > this.#parts.limits.cacheBytes && held.record > 0) this.#release(held);
  }

  #isOverQuota(kind: 'peer' | 'node', id: string): boolean {
    const { messages, bytes } = this.#outbound.queue(kind, id);
    return messages >= this.#parts.limits.quotaMessages || bytes >= this.#parts.limits.quotaBytes;
  }

  /** A neighbour for which too much waits loses the oldest. */
  #limitQueues({ waitingFor }: Held): void {
    for (const peer of waitingFor) {
      while (this.#isOverQuota('peer', peer)) {
        const queue = this.#outbound.queue('peer', peer);
        const counts = (one: Held): boolean => one.state !== 'gone' && one.waitingFor.includes(peer);
        const oldest = queue.shift('retry', counts) ?? queue.shift('backlog', counts) ?? queue.shift('fresh', counts);
        if (!oldest) break;
        this.#report(oldest, 'dropped', `too much waits for node ${peer}`, peer);
        this.#hasIt(oldest, peer);
      }
    }
  }

  #mark(held: Held, peer: string, state: 'in-flight'): void {
    held.lastHop = peer;
    if (held.stream.target !== undefined) held.state = state;
  }

  /** Queues a message again that a link did not get across. */
  #again(held: Held, peer: string): void {
    if (held.stream.target === undefined) {
      if (held.waitingFor.includes(peer)) this.#outbound.enqueueFor(held, peer);
    } else if (held.state === 'in-flight' || held.state === 'queued') {
      held.state = 'queued';
      this.#outbound.enqueue(held, 'retry');
    }
  }

  #retryLater(held: Held, retry: (held: Held) => void): void {
    const delayMs = nextDelay(held.attempts++, RETRY, this.#parts.random);
    this.#at(this.#now + delayMs, () => {
      if (held.state !== 'gone') retry(held);
    });
  }

  #at(at: number, act: () => void): void {
    this.#attempts.push({ at, act });
  }

  #move(helds: readonly Held[]): void {
    const request = ++this.#lastRead;
    this.#reads.set(request, (values) => {
      this.#journal.moved(values);
    });
    this.#parts.effects.push({ type: 'read', request, numbers: helds.map(({ record }) => record) });
  }

  #list(ids: readonly string[]): readonly string[] {
    if (ids.length === 0) return NO_PEERS;
    const key = ids.join();
    let list = this.#lists.get(key);
    if (!list) {
      if (this.#lists.size >= MAX_PEERS) this.#lists.clear();
      this.#lists.set(key, (list = ids));
    }
    return list;
  }

  *#all(): Iterable<Held> {
    yield* this.#journal.live.values();
    yield* this.#volatile;
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
