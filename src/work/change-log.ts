/** Which units of other nodes have changed, in order, so that each node can ask for the changes of its own. */
import { randomHex } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Unit } from './unit.ts';

/** What has changed since a cursor. */
export interface Changes {
  readonly units: readonly string[];
  /** Units that are not here any more. */
  readonly gone: readonly string[];
  readonly next: string;
  /** True if this begins with the first unit, since there is no cursor or one of another start of this relay. */
  readonly isReset: boolean;
  /** True if more is to be asked for at once. */
  readonly hasMore: boolean;
}

interface Submitted {
  /** The number of the last change of each unit, the oldest change first. */
  readonly changes: Map<string, number>;
  readonly gone: Map<string, number>;
  /** Changes up to this one may be missing in `gone`. */
  forgotten: number;
  readonly waiting: Set<() => void>;
}

const newInstance = randomHex(8);
const PAGE = 500;
// Protects memory from a node that submits and releases without asking. A node that missed more begins again with all units.
const MAX_GONE = 1_000;

/** See the head of this file. */
export class ChangeLog {
  readonly #clock: Clock;
  readonly #instance = newInstance();
  readonly #nodes = new Map<string, Submitted>();
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A unit is new, or in another state. */
  note(node: string, { id }: Unit): void {
    const { changes, waiting } = this.#of(node);
    changes.delete(id);
    changes.set(id, ++this.#last);
    for (const wake of [...waiting]) wake();
  }

  /** A unit was removed. */
  forget(node: string, { id }: Unit): void {
    const submitted = this.#of(node);
    const { changes, gone, waiting } = submitted;
    changes.delete(id);
    gone.set(id, ++this.#last);
    const [oldest] = gone;
    if (gone.size > MAX_GONE && oldest) {
      gone.delete(oldest[0]);
      submitted.forgotten = oldest[1];
    }
    for (const wake of [...waiting]) wake();
  }

  /** The changes of the units of a node since a cursor, `''` for all. If there are none, waits up to `waitMs`. */
  async after(node: string, cursor: string, waitMs: number, signal: AbortSignal | undefined): Promise<Changes> {
    const now = this.#since(node, cursor);
    if (now.isReset || now.units.length > 0 || now.gone.length > 0 || waitMs <= 0) return now;
    const { waiting } = this.#of(node);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        waiting.delete(end);
        cancelTimer();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const cancelTimer = this.#clock.after(waitMs, end);
      waiting.add(end);
      signal?.addEventListener('abort', end, { once: true });
    });
    return this.#since(node, cursor);
  }

  #since(node: string, cursor: string): Changes {
    const { changes, gone, forgotten } = this.#of(node);
    const [instance, text = ''] = cursor.split('.');
    const isReset = instance !== this.#instance || !/^\d{1,15}$/.test(text) || Number(text) < forgotten;
    const from = isReset ? 0 : Number(text);
    const newer = [...changes].filter(([, number]) => number > from);
    const page = newer.slice(0, PAGE);
    const hasMore = page.length < newer.length;
    const last = hasMore ? (page.at(-1)?.[1] ?? from) : this.#last;
    const removed = isReset ? [] : [...gone].filter(([, number]) => number > from && number <= last);
    return { units: page.map(([id]) => id), gone: removed.map(([id]) => id), next: `${this.#instance}.${last}`, isReset, hasMore };
  }

  #of(node: string): Submitted {
    const known = this.#nodes.get(node);
    if (known) return known;
    const submitted = { changes: new Map<string, number>(), gone: new Map<string, number>(), forgotten: 0, waiting: new Set<() => void>() };
    this.#nodes.set(node, submitted);
    return submitted;
  }
}
