/** Merges what was sent, acknowledged, delivered and reported in a run, and says which promises were not kept. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A message that was sent. */
interface Sent {
  readonly name: string;
  /** How it is sent: all but `memory` are durable, and those that are `ordered` do not overtake each other. */
  readonly kind: 'all' | 'ordered' | 'one' | 'memory';
  /** The relay that it is for; undefined: all. */
  readonly to: number | undefined;
  isAcknowledged: boolean;
  /** The reports that its sender got: a status, and the start of the relay in which that was. */
  outcomes: readonly (readonly [status: string, life: string])[];
}

/** A message that a satellite received. */
interface Received {
  readonly name: string;
  readonly id: string;
  readonly isRedelivered: boolean;
  /** The start of the relay in which that was. */
  readonly life: number;
}

/** Where a relay writes what it does. */
export interface Records {
  readonly directory: string;
}

export interface Counts {
  sent: number;
  acknowledged: number;
  delivered: number;
  redelivered: number;
}

/** Reads a file of lines of JSON. A line that is cut, since its writer was killed, is none. */
export function linesOf(file: string): readonly (readonly unknown[])[] {
  const found: (readonly unknown[])[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (!line.endsWith(']')) continue;
    found.push(JSON.parse(line) as unknown[]);
  }
  return found;
}

/** See the head of this file. */
export class Oracle {
  readonly #relays: readonly Records[];
  readonly #sent = new Map<string, Sent>();

  constructor(relays: readonly Records[]) {
    this.#relays = relays;
  }

  /** A client sends a durable message for all. */
  sent(name: string): void {
    this.#sent.set(name, { name, kind: 'all', to: undefined, isAcknowledged: false, outcomes: [] });
  }

  acknowledged(name: string): void {
    const sent = this.#sent.get(name);
    if (sent) sent.isAcknowledged = true;
  }

  /** Acknowledged messages that are not where they belong, or of which their sender knows nothing; one text for each. */
  missing(): readonly string[] {
    this.#readSenders();
    const missing: string[] = [];
    for (const [index, { directory }] of this.#relays.entries()) {
      const received = new Set(receivedIn(directory, 'durable').map(({ name }) => name));
      for (const { name, kind, to, isAcknowledged } of this.#sent.values()) {
        if (kind === 'memory' || !isAcknowledged || received.has(name)) continue;
        if (to === undefined || to === index) missing.push(`n${index} has not received ${name}, which was acknowledged`);
      }
    }
    for (const { name, kind, isAcknowledged, outcomes } of this.#sent.values())
      if (kind === 'one' && isAcknowledged && outcomes.length === 0) missing.push(`the sender of ${name} got no report`);
    return missing;
  }

  /** All promises that were not kept. `inOrder`: also whether the messages of a sender came in order. */
  violations({ inOrder }: { readonly inOrder: boolean }): readonly string[] {
    const found = [...this.missing(), ...this.#misreported()];
    for (const [index, { directory }] of this.#relays.entries()) {
      for (const satellite of ['durable', 'ordinary'] as const) {
        const received = receivedIn(directory, satellite);
        const at = `n${index} (${satellite})`;
        found.push(...this.#repeated(received, at), ...this.#unexpected(received, index, at));
        if (inOrder) found.push(...this.#disordered(received, at));
      }
    }
    return found;
  }

  counts(): Counts {
    const counts: Counts = { sent: 0, acknowledged: 0, delivered: 0, redelivered: 0 };
    for (const { isAcknowledged } of this.#sent.values()) {
      counts.sent++;
      if (isAcknowledged) counts.acknowledged++;
    }
    for (const { directory } of this.#relays) {
      for (const { isRedelivered } of receivedIn(directory, 'durable')) counts[isRedelivered ? 'redelivered' : 'delivered']++;
    }
    return counts;
  }

  #readSenders(): void {
    for (const { directory } of this.#relays) {
      const names = new Map<string, string>();
      const outcomes = new Map<string, (readonly [string, string])[]>();
      for (const [what, name, third = '', to = '', life = ''] of linesOf(join(directory, 'sent.jsonl')) as readonly (readonly string[])[]) {
        if (name === undefined) continue;
        if (what === 'sent' && !this.#sent.has(name)) {
          const target = to === '' ? undefined : Number(to.slice(1));
          this.#sent.set(name, { name, kind: third as Sent['kind'], to: target, isAcknowledged: false, outcomes: [] });
        } else if (what === 'acked') {
          this.acknowledged(name);
          names.set(third, name);
        } else if (what === 'outcome') outcomes.set(name, [...(outcomes.get(name) ?? []), [third, life]]);
      }
      for (const [id, list] of outcomes) {
        const sent = this.#sent.get(names.get(id) ?? '');
        if (sent) sent.outcomes = list;
      }
    }
  }

  /** Messages whose sender got a wrong report, or the same one twice. A relay that was killed may report again. */
  #misreported(): readonly string[] {
    return [...this.#sent.values()].flatMap(({ name, kind, outcomes }) => {
      const lives = new Set(outcomes.map(([, life]) => life));
      const statuses = [...new Set(outcomes.map(([status]) => status))];
      if (lives.size < outcomes.length) return [`the sender of ${name} got a report twice: ${statuses.join(', ')}`];
      const isRight = kind === 'one' ? statuses.every((status) => status === 'delivered') : statuses.length === 0;
      return isRight ? [] : [`the sender of ${name} got the report ${statuses.join(' and ')}`];
    });
  }

  /** What came again without saying so, or for no reason. */
  #repeated(received: readonly Received[], at: string): readonly string[] {
    const found: string[] = [];
    const lives = new Map<string, number>();
    const ids = new Map<string, string>();
    for (const { name, id, isRedelivered, life } of received) {
      const before = lives.get(name);
      lives.set(name, life);
      if (before !== undefined) {
        // What is in memory only is forgotten by a relay that is killed, and its neighbour may send it again.
        const isForgotten = this.#sent.get(name)?.kind === 'memory';
        if (!isRedelivered && (before === life || !isForgotten)) found.push(`${at} received ${name} twice, and it was not marked`);
      } else if (isRedelivered && life === 1) found.push(`${at} received ${name} as redelivered in its first life`);
      if ((ids.get(id) ?? name) !== name) found.push(`${at} received ${name} with the id of ${ids.get(id) ?? ''}`);
      ids.set(id, name);
    }
    return found;
  }

  #unexpected(received: readonly Received[], index: number, at: string): readonly string[] {
    return received.flatMap(({ name }) => {
      const sent = this.#sent.get(name);
      if (!sent) return [`${at} received ${name}, which nobody sent`];
      return sent.to === undefined || sent.to === index ? [] : [`${at} received ${name}, which is for n${sent.to}`];
    });
  }

  /** The first deliveries of what each sender sent in order. */
  #disordered(received: readonly Received[], at: string): readonly string[] {
    const found: string[] = [];
    const last = new Map<string, number>();
    const seen = new Set<string>();
    for (const { name } of received) {
      if (this.#sent.get(name)?.kind !== 'ordered' || seen.has(name)) continue;
      seen.add(name);
      const [sender = '', number = ''] = name.split('.');
      if (Number(number) < (last.get(sender) ?? 0)) found.push(`${at} received ${name} after ${sender}.${last.get(sender) ?? 0}`);
      last.set(sender, Math.max(Number(number), last.get(sender) ?? 0));
    }
    return found;
  }
}

function receivedIn(directory: string, satellite: 'durable' | 'ordinary'): readonly Received[] {
  return (linesOf(join(directory, `${satellite}.jsonl`)) as readonly (readonly [string, string, boolean, string])[]).map(
    ([name, id, isRedelivered, life]) => ({ name, id, isRedelivered, life: Number(life) }),
  );
}
