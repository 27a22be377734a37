/** A stream: one producer, several readers that each begin at any offset, and an end that all of them see. */
import { RelayError, reasonOf } from '../core/core.ts';
import type { Clock, MaybePromise } from '../core/core.ts';
import type {
  PageOptions,
  ReadOptions,
  StreamCursor,
  StreamEvent,
  StreamItem,
  StreamPage,
  StreamState,
  StreamStatus,
  StreamStorage,
} from './port.ts';

/** What a stream depends on. */
export interface StreamOptions<Item> {
  readonly id: string;
  readonly storage: StreamStorage<Item>;
  readonly clock: Clock;
  /** Gets each change of state; must not throw. */
  readonly report: (event: StreamEvent) => void;
  /** Cancels the stream if nothing was pushed or read for this long. Default: never. */
  readonly idleMs?: number | undefined;
  /** Cancels the stream when it is aborted. Default: nothing does. */
  readonly signal?: AbortSignal | undefined;
  /** The final state of a stream whose items are read from an earlier run of the relay. Default: it is open. */
  readonly state?: StreamState | undefined;
}

/** See the head of this file. */
export class Stream<Item> {
  readonly id: string;
  readonly #options: StreamOptions<Item>;
  readonly #storage: StreamStorage<Item>;
  /** Made once the producer asks for its signal: most do not. */
  #canceled: AbortController | undefined;
  readonly #positions = new Set<Position>();
  /** Readers and producers that wait for a change. */
  readonly #waiting = new Set<() => void>();
  #state: StreamState;
  #missed = 0;
  #active: number;
  #cancelTimer = (): void => undefined;
  #detach = (): void => undefined;

  constructor(options: StreamOptions<Item>) {
    const { id, storage, clock, signal, state = { type: 'open' } } = options;
    this.id = id;
    this.#options = options;
    this.#storage = storage;
    this.#active = clock.now();
    this.#state = state;
    storage.start(() => {
      this.#changed();
    });
    if (state.type !== 'open') return;
    this.#report();
    if (signal) this.#cancelWith(signal);
    this.#watchIdle();
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Aborted when the stream is canceled, for the producer. */
  get signal(): AbortSignal {
    this.#canceled ??= this.#newSignal();
    return this.#canceled.signal;
  }

  /** The offset after the newest item that can be read. */
  get next(): number {
    return this.#storage.next;
  }

  status(): StreamStatus {
    const { first, next, bytes, refused } = this.#storage;
    return { state: this.#state, first, next, bytes, refused, readers: this.#positions.size, missed: this.#missed };
  }

  /**
   * Appends an item, and returns a promise if the producer has to wait before the next one. Throws, or rejects, with a RelayError if the
   * stream is not open any more.
   */
  push(item: Item): MaybePromise<void> {
    this.#requireOpen();
    this.#touch();
    const slowest = this.#slowest();
    this.#storage.append(item, slowest);
    this.#changed();
    if (!this.#storage.isFull(slowest)) return undefined;
    const room = this.#room();
    // A producer that does not wait learns by its next push.
    room.catch(() => undefined);
    return room;
  }

  /** Ends the stream: everything was pushed. Nothing happens if it has ended. */
  end(): void {
    this.#finish({ type: 'ended' });
  }

  /** Ends the stream with the failure of its producer. Nothing happens if it has ended. */
  fail(reason: string): void {
    this.#finish({ type: 'failed', reason });
  }

  /** Cancels the stream; its producer learns of it by {@link signal}. Nothing happens if it has ended. */
  cancel(reason: string): void {
    this.#finish({ type: 'canceled', reason });
  }

  /** Resolves once everything that was pushed is on the disk, where the storage has one. Rejects with a RelayError STATE_DIRECTORY. */
  sync(): Promise<void> {
    return this.#storage.sync();
  }

  /** Cancels the stream if it is open, and frees the memory; what is in a file stays there. */
  async close(): Promise<void> {
    this.cancel('it was closed');
    await this.#storage.close();
  }

  /**
   * The items from an offset on, and each new one as it is pushed; ends with the stream. A difference between the `next` of an item and the
   * `offset` of the following one is what this reader missed. Throws a RelayError when everything is read of a stream that failed
   * (APPLICATION) or was canceled (UNAVAILABLE), and the reason of `signal`.
   */
  async *read({ from = 0, signal }: ReadOptions = {}): AsyncGenerator<StreamItem<Item>, void, undefined> {
    const position: Position = { offset: from };
    this.#positions.add(position);
    try {
      for (;;) {
        signal?.throwIfAborted();
        const page = await this.#storage.read(position.offset, PAGE_BYTES);
        this.#touch();
        for (const one of page) {
          this.#missed += one.offset - position.offset;
          yield one;
          signal?.throwIfAborted();
          this.#move(position, one.next);
        }
        if (page.length > 0) continue;
        if (!this.#isRead(position.offset)) await this.#change(signal);
        else if (this.#state.type === 'ended') return;
        else throw brokenBy(this.#state);
      }
    } finally {
      this.#positions.delete(position);
      this.#changed();
    }
  }

  /**
   * The items from an offset on that are there, as one page. If there are none and the stream is open, waits up to `waitMs` for the first.
   * Rejects with the reason of `signal`.
   */
  async page({ from = 0, maxBytes = PAGE_BYTES, waitMs = 0, isRaw = false, signal }: PageOptions = {}): Promise<StreamPage<Item>> {
    this.#touch();
    if (waitMs > 0 && this.#storage.next <= from) await this.#arrival(from, waitMs, signal);
    const items = await this.#storage.read(from, maxBytes, isRaw);
    this.#touch();
    const missed = Math.max(0, (items[0]?.offset ?? from) - from);
    this.#missed += missed;
    const next = items.at(-1)?.next ?? from;
    return { items, next, missed, state: this.#isRead(next) ? this.#state : { type: 'open' } };
  }

  /**
   * A reader that polls, for whom a producer waits where items are not dropped: each page releases what comes before its `from`. `close`
   * ends it.
   */
  cursor(): StreamCursor<Item> {
    const position: Position = { offset: 0 };
    this.#positions.add(position);
    return {
      page: (options = {}) => {
        this.#move(position, Math.max(position.offset, options.from ?? 0));
        return this.page(options);
      },
      close: () => {
        this.#positions.delete(position);
        this.#changed();
      },
    };
  }

  /** True if nothing comes after this offset any more. */
  #isRead(offset: number): boolean {
    return this.#state.type !== 'open' && !this.#storage.isWriting && offset >= this.#storage.next;
  }

  async #arrival(from: number, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const timeout = new AbortController();
    const cancelTimer = this.#options.clock.after(waitMs, () => {
      timeout.abort();
    });
    // Waiting is reading: the stream is not idle.
    const position = { offset: from };
    this.#positions.add(position);
    try {
      const ends = signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal;
      while (this.#storage.next <= from && !this.#isRead(from) && !timeout.signal.aborted) await this.#change(ends);
    } catch {
      signal?.throwIfAborted();
    } finally {
      this.#positions.delete(position);
      cancelTimer();
    }
  }

  /** Resolves at the next change; rejects with the reason of `signal`. */
  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#waiting.delete(finish);
        signal?.removeEventListener('abort', finish);
        if (signal?.aborted) reject(signal.reason instanceof Error ? signal.reason : new RelayError('UNAVAILABLE', String(signal.reason)));
        else resolve();
      };
      this.#waiting.add(finish);
      signal?.addEventListener('abort', finish);
      if (signal?.aborted) finish();
    });
  }

  /** Resolves once the producer may push again, or has ended the stream; rejects with a RelayError if it failed or was canceled. */
  async #room(): Promise<void> {
    while (this.#state.type === 'open' && this.#storage.isFull(this.#slowest())) await this.#change(undefined);
    if (this.#state.type !== 'ended') this.#requireOpen();
  }

  #slowest(): number | undefined {
    let slowest: number | undefined;
    for (const { offset } of this.#positions) slowest = Math.min(slowest ?? offset, offset);
    return slowest;
  }

  #move(position: Position, offset: number): void {
    position.offset = offset;
    // A producer may wait for this reader.
    if (this.#waiting.size > 0) this.#changed();
  }

  #changed(): void {
    const { failure } = this.#storage;
    if (failure !== undefined) this.fail(failure);
    if (this.#waiting.size > 0) for (const wake of [...this.#waiting]) wake();
  }

  #finish(state: StreamState): void {
    if (this.#state.type !== 'open') return;
    this.#state = state;
    this.#cancelTimer();
    this.#detach();
    if (state.type === 'canceled') this.#canceled?.abort(brokenBy(state));
    this.#report();
    this.#changed();
  }

  #newSignal(): AbortController {
    const controller = new AbortController();
    if (this.#state.type === 'canceled') controller.abort(brokenBy(this.#state));
    return controller;
  }

  #report(): void {
    this.#options.report({ type: 'stream.state', id: this.id, state: this.#state, next: this.#storage.next });
  }

  #requireOpen(): void {
    if (this.#state.type !== 'open') throw brokenBy(this.#state);
  }

  #cancelWith(signal: AbortSignal): void {
    const cancel = (): void => {
      this.cancel(reasonOf(signal.reason));
    };
    signal.addEventListener('abort', cancel, { once: true });
    this.#detach = () => {
      signal.removeEventListener('abort', cancel);
    };
    if (signal.aborted) cancel();
  }

  #touch(): void {
    if (this.#options.idleMs !== undefined) this.#active = this.#options.clock.now();
  }

  /** One timer for many pushes: when it is due, it waits for the rest of the time since the last one. */
  #watchIdle(): void {
    const { idleMs, clock } = this.#options;
    if (idleMs === undefined || this.#state.type !== 'open') return;
    const left = this.#active + idleMs - clock.now();
    if (left <= 0) this.cancel(`nothing was pushed or read for ${idleMs} ms`);
    else
      this.#cancelTimer = clock.after(left, () => {
        this.#watchIdle();
      });
  }
}

/** How far a reader has come. */
interface Position {
  offset: number;
}

// What a reader takes from the storage at once.
const PAGE_BYTES = 256 * 1024;

function brokenBy(state: StreamState): RelayError {
  switch (state.type) {
    case 'failed':
      return new RelayError('APPLICATION', state.reason);
    case 'canceled':
      return new RelayError('UNAVAILABLE', `the stream was canceled: ${state.reason}`);
    default:
      return new RelayError('UNAVAILABLE', 'the stream has ended');
  }
}
