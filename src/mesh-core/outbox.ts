/** What an operator sees of the messages that wait here for other nodes, and what becomes of one that is tried again or given up. */
import type { HeldMessages } from './held-messages.ts';
import type { Held } from './held-table.ts';
import type { Link } from './link.ts';
import { decodeHead } from './message.ts';
import type { Outbound } from './outbound.ts';
import type { Effect, FailureReason, OutboxAnswer, OutboxCommand, OutboxEntry } from './ports.ts';
import type { Reports } from './reports.ts';
import type { Sending } from './sending.ts';
import type { Topology } from './topology.ts';

export interface OutboxParts {
  readonly effects: Effect[];
  readonly topology: Topology;
  readonly held: HeldMessages;
  readonly outbound: Outbound;
  readonly sending: Sending;
  readonly reports: Reports;
  /** Counts what is given up. */
  readonly counters: { dropped: number };
}

/** The state of the node at the moment of a command. */
export interface OutboxMoment {
  readonly now: () => number;
  readonly links: ReadonlyMap<string, Link<Held>>;
}

const FAILURES: Readonly<Record<FailureReason, string>> = {
  'no-route': 'the neighbour knows no path to the node',
  quota: 'too much waits at the neighbour',
  storage: 'the neighbour cannot store it',
  gaps: 'the neighbour waits for earlier messages of the stream',
  hops: 'the node is too far from the neighbour: a message crosses at most 16 links',
  forged: 'the neighbour says that it is not what its origin signed',
  expired: 'it was too old when the neighbour got it',
  'link-closed': 'the link was closed before it was acknowledged',
  'no-receipt': 'the node that it is for did not confirm it in time',
};

// Entries of one answer: each may have to be read from the disk.
const MAX_ENTRIES = 100;

/** See the head of this file. */
export class Outbox {
  readonly #parts: OutboxParts;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Carries out a command; the answer may have to wait for the store. */
  handle(request: number, command: OutboxCommand, moment: OutboxMoment): void {
    const { effects, held: messages } = this.#parts;
    const answer = (one: OutboxAnswer): void => {
      effects.push({ type: 'outbox', request, answer: one });
    };
    if (command.type === 'list') {
      const limit = Math.min(Math.max(1, command.limit), MAX_ENTRIES);
      const found = this.#page(command.after ?? 0, limit + 1, command.node);
      const page = found.slice(0, limit);
      this.#withContent(page, () => {
        const entries = page.filter(({ state }) => state !== 'gone').map((held) => this.#entryOf(held, moment));
        answer({ type: 'list', entries, hasMore: found.length > limit });
      });
      return;
    }
    const held = messages.find(command.id);
    if (!held || !messages.waitsForOthers(held)) answer({ type: 'unknown' });
    else if (command.type === 'show') {
      this.#withContent([held], () => {
        if (held.state === 'gone') answer({ type: 'unknown' });
        else answer({ type: 'message', entry: this.#entryOf(held, moment), payload: held.arrival?.envelope.payload });
      });
    } else {
      if (command.type === 'retry') this.#retry(held, moment);
      else this.#drop(held, command.reason);
      answer({ type: 'done' });
    }
  }

  #page(after: number, count: number, node: string | undefined): readonly Held[] {
    const { held: messages, outbound } = this.#parts;
    const page: Held[] = [];
    if (node !== undefined && outbound.waitingFor(node).messages === 0) return page;
    for (const held of messages.after(after)) {
      if (!messages.waitsForOthers(held) || (node !== undefined && !waitingFor(held).includes(node))) continue;
      if (page.push(held) === count) break;
    }
    return page;
  }

  /** Calls `then` while the messages are in memory, those whose records can be read. */
  #withContent(helds: readonly Held[], then: () => void): void {
    const { held: messages, sending } = this.#parts;
    const missing = helds.filter(({ arrival }) => !arrival);
    if (missing.length === 0) {
      then();
      return;
    }
    sending.read(missing, () => {
      then();
      for (const held of missing) messages.release(held);
    });
  }

  #entryOf(held: Held, moment: OutboxMoment): OutboxEntry {
    const { stream, id, bytes, attempts, lastReason, record } = held;
    const head = held.arrival && decodeHead(held.arrival.envelope.head);
    const [origin = ''] = id.split('.');
    const leftMs = held.expiresAt - moment.now();
    return {
      ...{ position: record, id, origin, target: stream.target, waitingFor: waitingFor(held), state: this.#stateOf(held, moment) },
      ...{ isDurable: stream.isDurable, bytes, ttlLeftMs: Math.max(0, leftMs), attempts, head },
      lastReason: lastReason && FAILURES[lastReason],
      lastHop: stream.target === undefined ? undefined : held.lastHop,
      ageMs: head && head.ttlMs - leftMs,
    };
  }

  #stateOf(held: Held, { links }: OutboxMoment): OutboxEntry['state'] {
    const { target } = held.stream;
    if (held.state === 'in-flight' || held.state === 'custody') return held.state;
    if (target !== undefined) return this.#parts.topology.pathTo(target) ? 'queued' : 'waiting';
    const open = held.waitingFor.flatMap((id) => links.get(id) ?? []);
    if (open.some((link) => link.isInFlight((one) => one.is(held)))) return 'in-flight';
    return open.length > 0 ? 'queued' : 'waiting';
  }

  #retry(held: Held, { links }: OutboxMoment): void {
    const { outbound } = this.#parts;
    held.attempts = 0;
    if (held.stream.target === undefined) {
      for (const id of held.waitingFor) if (links.get(id)?.isInFlight((one) => one.is(held)) === false) outbound.enqueueFor(held, id);
    } else if (held.state !== 'in-flight') {
      held.state = 'queued';
      outbound.enqueue(held, 'retry');
    }
  }

  #drop(held: Held, reason: string): void {
    const { held: messages, reports, counters } = this.#parts;
    const { target } = held.stream;
    counters.dropped++;
    if (held.isOwn || target === undefined) reports.report(held, 'dropped', reason, waitingFor(held)[0]);
    else {
      // The proof that this node has had it is in its content.
      this.#withContent([held], () => {
        const head = held.arrival?.envelope.head;
        if (head) reports.tellOriginDropped(held, reason, head);
        messages.finish(held);
      });
      return;
    }
    messages.doneForOthers(held);
  }
}

/** The nodes that are to get a message next, as an operator sees it. */
function waitingFor({ stream: { target }, waitingFor: neighbours }: Held): readonly string[] {
  return target === undefined ? neighbours : [target];
}
