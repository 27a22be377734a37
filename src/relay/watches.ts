/**
 * Watches: what passes the relay, for callers that look on. Each has a bounded queue, which it reads by long polls, so that no dict is
 * missed between two of them; nothing is kept for a relay that nobody watches.
 */
import { BoundedQueue, RelayError, SILENT } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { EmittedEvent, EventStream } from '../events/events.ts';
import { randomHex } from './random-hex.ts';
import type { RelayEvent } from './relay-events.ts';

/** What a poll answers. */
export interface WatchBatch {
  /** The name of the watch, to poll with. */
  readonly id: string;
  /** Oldest first. */
  readonly events: readonly EmittedEvent<RelayEvent>[];
  /** How many were dropped since the last poll because the queue was full. */
  readonly missed: number;
}

export interface Poll {
  /** Undefined opens a watch; the answer comes at once. */
  readonly id: string | undefined;
  readonly waitMs: number;
  /** Aborted when the caller has gone. */
  readonly gone: AbortSignal | undefined;
}

interface Watch {
  readonly types: ReadonlySet<string>;
  readonly queue: BoundedQueue<EmittedEvent<RelayEvent>>;
  readonly unsubscribe: () => void;
  /** Of the dropped events, how many the caller knows of. */
  reported: number;
  isPolled: boolean;
  polledAt: number;
}

// Each holds its queue and a connection: a few people, a dashboard, and programs that forgot to close.
const MAX_WATCHES = 20;
// Per watch: what a busy relay does in a second, and eight bodies of a usual size. Protects the heap from a reader that is too slow.
const MAX_EVENTS = 1_000;
const MAX_BYTES = 8 * 1024 * 1024;
// One answer; the rest waits for the next poll.
const MAX_ANSWER_BYTES = 1024 * 1024;
// A watch that is not polled for this long is closed.
const EXPIRY_MS = 60_000;
// What an event takes besides the payload of its message.
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
   * Opens a watch of events of these types, or answers what it has queued; waits up to `waitMs` for the first one. Rejects with a
   * RelayError LIMIT if there are too many watches or one is polled twice at once, INVALID_PARAMS if there is no such watch of these types.
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
    // The caller learns what is dropped; the log need not.
    const queue = new BoundedQueue<EmittedEvent<RelayEvent>>({ name: 'a watch', limits, bytesOf, log: SILENT });
    // An expired watch is noticed by the next event, without a timer: until then it costs nothing.
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
      // The time is over, the caller has gone or the relay stops: the poll is answered with what there is.
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
