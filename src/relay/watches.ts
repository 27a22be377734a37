/**
 * Watches let callers observe the events of the relay. Each watch has a bounded queue that its caller reads by long polls, so no event is
 * missed between two polls. Nothing is queued while there is no watch.
 */
import { BoundedQueue, RelayError, SILENT, randomHex } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { EmittedEvent, EventStream } from '../events/events.ts';
import type { RelayEvent } from './relay-events.ts';

/** The result of a poll. */
export interface WatchBatch {
  /** The id of the watch, which the next poll must pass. */
  readonly id: string;
  /** The queued events, oldest first. */
  readonly events: readonly EmittedEvent<RelayEvent>[];
  /** The number of events dropped since the last poll because the queue was full. */
  readonly missed: number;
}

export interface Poll {
  /** The watch to poll. Undefined opens a new watch and returns at once. */
  readonly id: string | undefined;
  readonly waitMs: number;
  /** Aborted when the caller disconnects. */
  readonly gone: AbortSignal | undefined;
}

interface Watch {
  readonly types: ReadonlySet<string>;
  readonly queue: BoundedQueue<EmittedEvent<RelayEvent>>;
  readonly unsubscribe: () => void;
  /** The number of dropped events already reported to the caller. */
  reported: number;
  isPolled: boolean;
  polledAt: number;
}

// Each watch holds a queue and a connection. This is enough for some people, a dashboard and a few programs that never closed theirs.
const MAX_WATCHES = 20;
// Per watch: the events of one second on a busy relay, and eight bodies of a typical size. It protects the heap from slow readers.
const MAX_EVENTS = 1_000;
const MAX_BYTES = 8 * 1024 * 1024;
// The size limit of one response; further events stay queued for the next poll.
const MAX_ANSWER_BYTES = 1024 * 1024;
// A watch is closed if it is not polled for this long.
const EXPIRY_MS = 60_000;
// The estimated memory of an event besides the payload of its message.
const EVENT_BYTES = 300;

export class Watches {
  readonly #events: Pick<EventStream<RelayEvent>, 'subscribe' | 'next'>;
  readonly #clock: Pick<Clock, 'after' | 'now'>;
  readonly #watches = new Map<string, Watch>();
  readonly #name = randomHex(16);

  constructor(events: Pick<EventStream<RelayEvent>, 'subscribe' | 'next'>, clock: Pick<Clock, 'after' | 'now'>) {
    this.#events = events;
    this.#clock = clock;
  }

  /**
   * Opens a watch for events of these types, or returns the queued events of an existing one, waiting up to `waitMs` for the first event.
   * Rejects with a RelayError LIMIT if there are too many watches or another poll of the watch is pending, or INVALID_PARAMS if no such
   * watch exists for these types.
   */
  async poll(types: readonly RelayEvent['type'][], { id, waitMs, gone }: Poll): Promise<WatchBatch> {
    if (id === undefined) return { id: this.#open(types), events: [], missed: 0 };
    const watch = this.#watches.get(id);
    if (watch && this.#isExpired(watch)) this.#close(id, watch);
    if (!watch || this.#isExpired(watch) || types.some((type) => !watch.types.has(type)))
      throw new RelayError('INVALID_PARAMS', `there is no such watch: it ends ${EXPIRY_MS / 1000} s after its last poll; open a new one`);
    if (watch.isPolled) throw new RelayError('LIMIT', 'this watch is being polled already; open another one');
    watch.isPolled = true;
    try {
      if (watch.queue.length === 0 && waitMs > 0) await this.#arrival(watch, waitMs, gone);
      return { id, ...take(watch) };
    } finally {
      watch.isPolled = false;
      watch.polledAt = this.#clock.now();
    }
  }

  #open(types: readonly RelayEvent['type'][]): string {
    for (const [id, watch] of this.#watches) if (this.#isExpired(watch)) this.#close(id, watch);
    if (this.#watches.size >= MAX_WATCHES)
      throw new RelayError('LIMIT', `${MAX_WATCHES} callers are watching already; a watch ends ${EXPIRY_MS / 1000} s after its last poll`);
    const id = this.#name();
    const limits = { maxMessages: MAX_EVENTS, maxBytes: MAX_BYTES };
    // Dropped events are reported to the caller and therefore not logged.
    const queue = new BoundedQueue<EmittedEvent<RelayEvent>>({ name: 'a watch', limits, bytesOf, log: SILENT });
    // The next event closes an expired watch. A timer is not needed, since an expired watch costs nothing until then.
    const unsubscribe = this.#events.subscribe((_event, emitted) => {
      if (this.#isExpired(watch)) this.#close(id, watch);
      else queue.push(emitted);
    }, types);
    const watch: Watch = {
      ...{ types: new Set<string>(types), queue, unsubscribe },
      ...{ reported: 0, isPolled: false, polledAt: this.#clock.now() },
    };
    this.#watches.set(id, watch);
    return id;
  }

  #isExpired({ isPolled, polledAt }: Watch): boolean {
    return !isPolled && this.#clock.now() - polledAt > EXPIRY_MS;
  }

  #close(id: string, watch: Watch): void {
    watch.unsubscribe();
    this.#watches.delete(id);
  }

  async #arrival({ types }: Watch, waitMs: number, gone: AbortSignal | undefined): Promise<void> {
    const timeout = new AbortController();
    const cancelTimer = this.#clock.after(waitMs, () => {
      timeout.abort();
    });
    try {
      const signal = gone ? AbortSignal.any([timeout.signal, gone]) : timeout.signal;
      await this.#events.next(({ type }) => types.has(type), { signal });
    } catch {
      // The poll timed out, the caller disconnected or the relay is stopping: return the events queued so far.
    } finally {
      cancelTimer();
    }
  }
}

function bytesOf({ event }: EmittedEvent<RelayEvent>): number {
  return EVENT_BYTES + (event.type === 'message.routed' ? event.message.payload.length : 0);
}

function take(watch: Watch): Omit<WatchBatch, 'id'> {
  const { queue } = watch;
  const missed = queue.dropped - watch.reported;
  watch.reported = queue.dropped;
  const events: EmittedEvent<RelayEvent>[] = [];
  let bytes = 0;
  for (let first = queue.first; first; first = queue.first) {
    bytes += bytesOf(first);
    if (events.length > 0 && bytes > MAX_ANSWER_BYTES) break;
    events.push(first);
    queue.shift();
  }
  return { events, missed };
}
