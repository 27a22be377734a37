/** What happened to plugins lately: a bounded ring of numbered changes of state, for who polls and who waits for the next one. */
import { RelayError } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { PluginEvent, PluginState } from './hosted/hosted.ts';

/** A change of state, with its number; numbers have no gaps, and those of a relay that ran before were others. */
export interface NumberedEvent {
  readonly number: number;
  readonly at: Date;
  readonly plugin: string;
  readonly state: PluginState;
}

export interface EventBatch {
  readonly events: readonly NumberedEvent[];
  /** What to ask with next. */
  readonly next: number;
  /** True if events were missed: too many came meanwhile, or the relay was started anew. */
  readonly missed: boolean;
}

// A bad day of two hundred plugins; some 100 KB.
const MAX_EVENTS = 1_000;
// Room for as many events before a number is no int of XML-RPC any more.
const FIRST_NUMBERS = 2 ** 30;
// Each holds a connection.
const MAX_WAITERS = 100;

export class PluginEvents {
  readonly #events: NumberedEvent[] = [];
  readonly #waiters = new Set<() => void>();
  /** The number before the first. */
  readonly #base: number;
  #last: number;
  #isStopped = false;

  /** `date`: ms since 1970. */
  constructor(
    private readonly clock: Clock,
    private readonly date: () => number,
  ) {
    // Nobody changes state a thousand times a second for long, so no start begins with numbers that the one before it gave.
    this.#base = Math.floor(date()) % FIRST_NUMBERS;
    this.#last = this.#base;
  }

  add({ plugin, state }: PluginEvent): void {
    this.#events.push({ number: ++this.#last, at: new Date(this.date()), plugin, state });
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    this.#wakeAll();
  }

  /** What came after the number `since` (0: all that is known); if that is nothing, the first that comes within `waitMs`. Rejects with a RelayError LIMIT if too many wait. */
  async after(since: number, waitMs: number): Promise<EventBatch> {
    // Who counts otherwise counts events of a relay that ran before.
    const isOurs = since === 0 || (since >= this.#base && since <= this.#last);
    const from = isOurs ? Math.max(since, this.#base) : this.#base;
    if (isOurs && from === this.#last && waitMs > 0 && !this.#isStopped) await this.#wait(waitMs);
    const events = this.#events.filter(({ number }) => number > from);
    const first = events[0]?.number ?? from + 1;
    return { events, next: this.#last, missed: !isOurs || first > from + 1 };
  }

  /** Answers whoever waits; nobody waits from now on. */
  stop(): void {
    this.#isStopped = true;
    this.#wakeAll();
  }

  #wait(ms: number): Promise<void> {
    if (this.#waiters.size >= MAX_WAITERS)
      throw new RelayError('LIMIT', `${MAX_WAITERS} callers wait for plugins to change their state already; ask with a wait of 0`);
    return new Promise((resolve) => {
      const callOff = this.clock.after(ms, () => {
        wake();
      });
      const wake = (): void => {
        callOff();
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
