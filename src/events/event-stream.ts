/**
 * One stream of typed events: a bounded ring of the latest ones, subscribers, waits for the next, a long poll by number, and `for await`.
 */
import { RelayError } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';

/** What every event has: a literal `type`, by which TypeScript narrows the union. */
export interface TypedEvent {
  readonly type: string;
}

/** An event that was emitted. Numbers increase by one, and no two runs of a relay use the same ones. */
export interface EmittedEvent<Event extends TypedEvent> {
  readonly number: number;
  readonly at: Date;
  readonly event: Event;
}

/** Where a part of the relay reports what happens to it. */
export interface EventSink<Event extends TypedEvent> {
  emit(event: Event): void;
  /** True if an event of this type would be kept or has a subscriber. Checked before an event is built on a hot path. */
  isWatched(type: Event['type']): boolean;
}

/** Ignores all events. */
export const NO_EVENTS: EventSink<TypedEvent> = { emit: () => undefined, isWatched: () => false };

/** The answer to a long poll. */
export interface EventBatch<Event extends TypedEvent> {
  readonly events: readonly EmittedEvent<Event>[];
  /** The number to pass to the next poll. */
  readonly next: number;
  /** True if events were missed: more were emitted than are kept, or the relay was restarted. */
  readonly missed: boolean;
}

/** The options of a stream. */
export interface EventStreamOptions<Event extends TypedEvent> {
  readonly clock: Clock;
  /** Returns ms since 1970. Default Date.now. */
  readonly date?: (() => number) | undefined;
  /** Types that are only sent to current subscribers and not kept: those emitted once per message. Default none. */
  readonly transient?: readonly Event['type'][] | undefined;
  /** Number of events kept. Default 1,000: enough for a bad day of two hundred plugins; they take some 100 KB. */
  readonly maxKept?: number | undefined;
}

const MAX_KEPT = 1_000;
// Leaves another 2^30 numbers before one exceeds an XML-RPC int.
const FIRST_NUMBERS = 2 ** 30;
// Each long poll holds a connection.
const MAX_WAITERS = 100;
// Unread events of one `for await` loop. Protects the heap from a slow loop; the oldest events are dropped.
const MAX_UNREAD = 10_000;

interface Subscriber<Event extends TypedEvent> {
  readonly types: ReadonlySet<string> | undefined;
  readonly receive: (emitted: EmittedEvent<Event>) => void;
}

/** A stream of typed events; see the head of this file. */
export class EventStream<Event extends TypedEvent> implements EventSink<Event> {
  readonly #options: EventStreamOptions<Event>;
  readonly #transient: ReadonlySet<string>;
  readonly #kept: EmittedEvent<Event>[] = [];
  readonly #subscribers = new Set<Subscriber<Event>>();
  /** The types that subscribers ask for, so that `isWatched` costs one look-up; undefined if one of them asks for all. */
  #watched: ReadonlySet<string> | undefined = new Set();
  readonly #closing = new AbortController();
  /** The number before that of the first event. */
  readonly #base: number;
  #last: number;
  #longPolls = 0;

  constructor(options: EventStreamOptions<Event>) {
    this.#options = options;
    this.#transient = new Set(options.transient);
    // Starts at the time in ms. Kept events do not come at a thousand a second for long, so no run repeats the numbers of an earlier one.
    this.#base = Math.floor(this.#now()) % FIRST_NUMBERS;
    this.#last = this.#base;
  }

  emit(event: Event): void {
    const isKept = !this.#transient.has(event.type);
    if (!isKept && this.#subscribers.size === 0) return;
    // Transient events have the number of the last kept one, so that a poll never waits for what is not kept.
    const emitted = { number: isKept ? ++this.#last : this.#last, at: new Date(this.#now()), event };
    if (isKept && this.#kept.push(emitted) > (this.#options.maxKept ?? MAX_KEPT)) this.#kept.shift();
    for (const { types, receive } of [...this.#subscribers]) if (types?.has(event.type) !== false) receive(emitted);
  }

  isWatched(type: Event['type']): boolean {
    return this.#watched?.has(type) !== false || !this.#transient.has(type);
  }

  /**
   * Calls `receive` with every event of these types (default all) from now on, within `emit`; it must not throw. Returns the function that
   * ends the subscription.
   */
  subscribe<Type extends Event['type'] = Event['type']>(
    receive: (event: Extract<Event, { readonly type: Type }>, emitted: EmittedEvent<Event>) => void,
    types?: readonly Type[],
  ): () => void {
    const subscriber: Subscriber<Event> = {
      types: types && new Set<string>(types),
      receive: (emitted) => {
        receive(emitted.event as Extract<Event, { readonly type: Type }>, emitted);
      },
    };
    this.#subscribers.add(subscriber);
    this.#collectWatched();
    return () => {
      this.#subscribers.delete(subscriber);
      this.#collectWatched();
    };
  }

  /** The kept events that match, oldest first. */
  kept(matches: (event: Event) => boolean = () => true): readonly EmittedEvent<Event>[] {
    return this.#kept.filter(({ event }) => matches(event));
  }

  /**
   * Resolves to the first matching event after the number `since` (default: the latest); it may be one that was emitted before the call
   * and kept. Rejects with the reason of `signal`, or with a RelayError UNAVAILABLE if the stream closes first.
   */
  next<Match extends Event = Event>(
    matches: ((event: Event) => event is Match) | ((event: Event) => boolean),
    { since = this.#last, signal }: { readonly since?: number; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Match> {
    const known = this.#kept.find(({ number, event }) => number > since && matches(event));
    if (known) return Promise.resolve(known.event as Match);
    return new Promise((resolve, reject) => {
      const ends = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
      const finish = (settle: () => void): void => {
        unsubscribe();
        ends.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => {
        const reason: unknown = ends.reason;
        finish(() => {
          reject(reason instanceof Error ? reason : new RelayError('UNAVAILABLE', String(reason)));
        });
      };
      const unsubscribe = this.subscribe((event) => {
        if (!matches(event)) return;
        finish(() => {
          resolve(event as unknown as Match);
        });
      });
      ends.addEventListener('abort', onAbort);
      if (ends.aborted) onAbort();
    });
  }

  /**
   * Long poll: returns the matching kept events after the number `since` (0: all kept events). If there are none yet, waits up to `waitMs`
   * for the first one. Rejects with a RelayError LIMIT if 100 callers wait already.
   */
  async after(since: number, { waitMs = 0, matches = () => true }: AfterOptions<Event> = {}): Promise<EventBatch<Event>> {
    // A number outside our range was issued by an earlier run of the relay.
    const isOurs = since === 0 || (since >= this.#base && since <= this.#last);
    const from = isOurs ? Math.max(since, this.#base) : this.#base;
    const isNew = ({ number, event }: EmittedEvent<Event>): boolean => number > from && matches(event);
    if (isOurs && waitMs > 0 && !this.#kept.some(isNew) && !this.#closing.signal.aborted) await this.#arrival(waitMs, matches);
    const oldest = this.#kept[0]?.number ?? this.#last + 1;
    return { events: this.#kept.filter(isNew), next: this.#last, missed: !isOurs || oldest > from + 1 };
  }

  /** Yields every event from now on; ends when the stream closes. A loop that falls more than 10,000 events behind misses the oldest. */
  async *[Symbol.asyncIterator](): AsyncGenerator<EmittedEvent<Event>, void, undefined> {
    const unread: EmittedEvent<Event>[] = [];
    let wake = nothing;
    const unsubscribe = this.subscribe((_event, emitted) => {
      if (unread.push(emitted) > MAX_UNREAD) unread.shift();
      wake();
    });
    const closed = this.#closing.signal;
    const onClose = (): void => {
      wake();
    };
    closed.addEventListener('abort', onClose);
    try {
      for (;;) {
        for (let emitted = unread.shift(); emitted; emitted = unread.shift()) yield emitted;
        if (closed.aborted) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      unsubscribe();
      closed.removeEventListener('abort', onClose);
    }
  }

  /** Ends all waits and loops. Events are still emitted and kept. */
  close(): void {
    this.#closing.abort(new RelayError('UNAVAILABLE', 'the relay is stopping'));
  }

  async #arrival(waitMs: number, matches: (event: Event) => boolean): Promise<void> {
    if (this.#longPolls >= MAX_WAITERS)
      throw new RelayError('LIMIT', `${MAX_WAITERS} callers are already waiting for events; poll with a wait of 0`);
    this.#longPolls++;
    const timeout = new AbortController();
    const cancelTimer = this.#options.clock.after(waitMs, () => {
      timeout.abort();
    });
    try {
      await this.next(matches, { signal: timeout.signal });
    } catch {
      // The time is over or the relay is stopping: the poll is answered with the events there are.
    } finally {
      cancelTimer();
      this.#longPolls--;
    }
  }

  #collectWatched(): void {
    const subscribers = [...this.#subscribers];
    const asksForAll = subscribers.some(({ types }) => types === undefined);
    this.#watched = asksForAll ? undefined : new Set(subscribers.flatMap(({ types }) => [...(types ?? [])]));
  }

  #now(): number {
    return (this.#options.date ?? Date.now)();
  }
}

interface AfterOptions<Event extends TypedEvent> {
  readonly waitMs?: number | undefined;
  readonly matches?: ((event: Event) => boolean) | undefined;
}

function nothing(): void {
  // The loop is not waiting.
}

/** A listener whose errors are logged, since they must not disturb the part that emits. */
export function guarded<Event>(listener: (event: Event) => void, type: string, log: Log): (event: Event) => void {
  return (event) => {
    try {
      listener(event);
    } catch (error) {
      log.error(`a listener of ${type} failed:`, error);
    }
  };
}
