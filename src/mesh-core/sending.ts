/** Moves waiting messages to the links: reads them back from the store if needed, and tries again later what did not get across. */
import { RelayError, nextDelay } from '../core/core.ts';
import { HeldQueue } from './held-queue.ts';
import { decodeEntry } from './held-record.ts';
import type { Arrival, Held, HeldTable } from './held-table.ts';
import type { HeldMessages } from './held-messages.ts';
import type { Journal } from './journal.ts';
import { RETRY } from './limits.ts';
import type { Link } from './link.ts';
import type { Outbound, Picked } from './outbound.ts';
import { Heap } from './paths.ts';
import type { Effect } from './ports.ts';

export interface SendingParts {
  readonly id: string;
  readonly random: () => number;
  readonly effects: Effect[];
  readonly table: HeldTable;
  readonly journal: Journal;
  readonly outbound: Outbound;
  readonly held: HeldMessages;
  /** Counts what is sent again. */
  readonly counters: { repeated: number };
  /** Called with a message whose record cannot be read. */
  readonly damaged: (held: Held) => void;
}

// Messages that wait for about the same time wait together.
const TOGETHER_MS = 16;

/** See the head of this file. */
export class Sending {
  readonly #parts: SendingParts;
  readonly #later = new Heap<{ readonly at: number; readonly act: () => void }>((one, other) => one.at - other.at);
  readonly #groups = new Map<string, HeldQueue>();
  readonly #reads = new Map<number, (values: readonly (Buffer | undefined)[]) => void>();
  /** The neighbours whose next batch is being read, with the number of the request. */
  readonly #loading = new Map<string, number>();
  #lastRead = 0;
  // The time of the present answer of the store.
  #now = 0;

  constructor(parts: SendingParts) {
    this.#parts = parts;
  }

  /** Fills the links with what waits. */
  fill(links: Iterable<Link<Held>>, now: number): void {
    const { outbound } = this.#parts;
    if (!outbound.isDirty) return;
    outbound.isDirty = false;
    for (const link of links) {
      // What is being read goes first, so that nothing overtakes it.
      if (this.#loading.has(link.peer.id)) continue;
      const picks = outbound.pull(link, now);
      if (picks.every(({ held }) => held.arrival)) this.#push(link, picks, now);
      else this.#load(link, picks);
    }
  }

  /** Queues a message again that a link did not get across. */
  again(held: Held, peer: string): void {
    const { outbound } = this.#parts;
    if (held.stream.target === undefined) {
      if (held.waitingFor.includes(peer)) outbound.enqueueFor(held, peer);
    } else if (held.state === 'in-flight' || held.state === 'queued') {
      held.state = 'queued';
      outbound.enqueue(held, 'retry');
    }
  }

  /** Queues a message again after a delay that grows with the attempts: for the neighbour that gave it back, if there is one. */
  retryLater(held: Held, peer: string | undefined, now: number): void {
    const at = now + nextDelay(held.attempts++, RETRY, this.#parts.random);
    this.laterWith(held, at, peer ?? 'any', (one) => {
      if (peer === undefined) this.#parts.outbound.enqueue(one, 'retry');
      else this.again(one, peer);
    });
  }

  /**
   * Calls `act` with a message, by {@link tick}, some ms after this time at most, unless it is gone by then. A million may wait for that:
   * those with about the same time and the same `purpose`, of which there are few, wait together for the same `act`.
   */
  laterWith(held: Held, at: number, purpose: string, act: (held: Held) => void): void {
    const step = Math.ceil(at / TOGETHER_MS);
    const key = `${purpose} ${step}`;
    let group = this.#groups.get(key);
    if (!group) {
      const queue = new HeldQueue(this.#parts.table);
      this.#groups.set(key, (group = queue));
      this.at(step * TOGETHER_MS, () => {
        this.#groups.delete(key);
        for (let one = queue.shift(); one; one = queue.shift()) act(one);
      });
    }
    group.push(held);
  }

  /** Calls `act` at this time, by {@link tick}. */
  at(at: number, act: () => void): void {
    this.#later.push({ at, act });
  }

  tick(now: number): void {
    for (let next = this.#later.least; next && next.at <= now; next = this.#later.least) {
      this.#later.pop();
      next.act();
    }
  }

  /** When {@link tick} has something to do. */
  get wakeAt(): number {
    return this.#later.least?.at ?? Infinity;
  }

  /** Reads messages back from the store, those that are not in memory. Those whose record is damaged are gone when `then` is called. */
  read(helds: readonly Held[], then: () => void): number {
    const missing = helds.filter(isMissing);
    return this.#request(missing, (values, numbers) => {
      for (const [index, held] of missing.entries()) {
        if (held.state === 'gone' || held.arrival) continue;
        const value = values[index];
        held.arrival = value && arrivalIn(value);
        if (held.arrival) this.#parts.held.cached(held);
        else if (held.record === numbers[index]) this.#parts.damaged(held);
      }
      // Meanwhile a record may have been moved to the end of the log, or another link may have released a message.
      if (helds.some(isMissing)) this.read(helds, then);
      else then();
    });
  }

  /** Calls `then` with the payload of a message, which may be gone by then; undefined if its record cannot be read. */
  payloadOf(held: Held, then: (payload: Buffer | undefined) => void): void {
    if (held.arrival || held.record <= 0) then(held.arrival?.envelope.payload);
    else
      this.#request([held], ([value]) => {
        then(value && arrivalIn(value)?.envelope.payload);
      });
  }

  /** The answer of the store. */
  answered(request: number, values: readonly (Buffer | undefined)[], now: number): void {
    this.#now = now;
    const then = this.#reads.get(request);
    this.#reads.delete(request);
    then?.(values);
  }

  /** Moves the oldest records to the end of the log, if that is much longer than what lives in it. */
  tidy(): void {
    const { journal } = this.#parts;
    const oldest = journal.toMove();
    if (oldest.length === 0) return;
    this.#request(oldest, (values) => {
      for (const [index, held] of oldest.entries()) if (!values[index] && held.state !== 'gone') this.#parts.damaged(held);
      journal.moved(values);
    });
  }

  #request(helds: readonly Held[], then: (values: readonly (Buffer | undefined)[], numbers: readonly number[]) => void): number {
    const request = ++this.#lastRead;
    const numbers = helds.map(({ record }) => record);
    this.#reads.set(request, (values) => {
      then(values, numbers);
    });
    this.#parts.effects.push({ type: 'read', request, numbers });
    return request;
  }

  #load(link: Link<Held>, picks: readonly Picked[]): void {
    const { id } = link.peer;
    for (const { held } of picks) mark(held, id);
    const request = this.read(
      picks.map(({ held }) => held),
      () => {
        if (this.#loading.get(id) === request) this.#loading.delete(id);
        this.#parts.outbound.isDirty = true;
        const usable = picks.filter(({ held }) => held.state !== 'gone');
        if (link.state.type === 'up') this.#push(link, usable, this.#now);
        else for (const { held } of usable) this.again(held, id);
      },
    );
    this.#loading.set(id, request);
  }

  #push(link: Link<Held>, picks: readonly Picked[], now: number): void {
    const { id, held: messages, counters } = this.#parts;
    const outgoing = picks.flatMap(({ held, part }) => {
      if (!held.arrival) return [];
      mark(held, link.peer.id);
      if (part === 'retry') counters.repeated++;
      const isBacklog = part === 'backlog';
      const { envelope, at } = held.arrival;
      const { head, seal, payload, hops } = envelope;
      const ageMs = Math.max(0, Math.round(envelope.ageMs + now - at));
      return [{ item: held, isBacklog, envelope: { head, seal, payload, hops: hops - 1, ageMs, via: [...envelope.via, id] } }];
    });
    if (outgoing.length > 0) link.push(outgoing, now);
    for (const { item } of outgoing) messages.limitCache(item);
  }
}

function isMissing({ arrival, record, state }: Held): boolean {
  return !arrival && record > 0 && state !== 'gone';
}

function mark(held: Held, peer: string): void {
  held.lastHop = peer;
  if (held.stream.target !== undefined) held.state = 'in-flight';
}

function arrivalIn(value: Buffer): Arrival | undefined {
  try {
    const entry = decodeEntry(value);
    return entry.type === 'message' ? entry.arrival : undefined;
  } catch (error) {
    if (!RelayError.is(error)) throw error;
    return undefined;
  }
}
