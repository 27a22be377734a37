/**
 * Opens the store as a step of the start, so that it is closed after everything that uses it. One that does not exist yet is made by the
 * first write: a relay that keeps nothing durably starts faster, and needs no room for it.
 */
import { RelayError } from '../core/core.ts';
import type { Steps } from '../core/core.ts';
import { openStore } from './durable-store.ts';
import type { StoreDependencies } from './durable-store.ts';
import type { LogRange, LogRecord, Store, StoreOperation, StoreState, StoreStatus, TableEntry, WriteOptions } from './port.ts';

// A large store is verified.
const START_TIMEOUT_MS = 10 * 60_000;

/** Rejects as `openStore` does. */
export async function startStore(steps: Steps, dependencies: StoreDependencies): Promise<Store> {
  const store = new LazyStore(dependencies);
  await steps.start({
    name: 'the store',
    start: async () => {
      if (await dependencies.disk.exists()) await store.open();
    },
    stop: () => store.close(),
    startTimeoutMs: START_TIMEOUT_MS,
  });
  return store;
}

const EMPTY: LogRange = { first: 1, next: 1 };

/** A store that is opened by {@link open} or its first write, and is empty until then. */
class LazyStore implements Store {
  #opening: Promise<Store> | undefined;
  #store: Store | undefined;
  #isClosed = false;

  constructor(private readonly dependencies: StoreDependencies) {}

  async open(): Promise<Store> {
    if (this.#isClosed) throw new RelayError('STATE_DIRECTORY', 'the store is closed: the relay stops');
    this.#opening ??= openStore(this.dependencies);
    try {
      return (this.#store = await this.#opening);
    } catch (error) {
      // The next write tries again.
      this.#opening = undefined;
      throw error;
    }
  }

  async write(operations: readonly StoreOperation[], options?: WriteOptions): Promise<readonly number[]> {
    return (this.#store ?? (await this.open())).write(operations, options);
  }

  submit(operations: readonly StoreOperation[], options?: WriteOptions): Promise<readonly number[]> {
    return this.#store?.submit(operations, options) ?? this.write(operations, options);
  }

  async get(table: string, key: string): Promise<Buffer | undefined> {
    return this.#store?.get(table, key);
  }

  async record(log: string, number: number): Promise<Buffer | undefined> {
    return this.#store?.record(log, number);
  }

  async *records(log: string, from?: number): AsyncGenerator<LogRecord, void, undefined> {
    if (this.#store) yield* this.#store.records(log, from);
  }

  async *entries(table: string, prefix?: string): AsyncGenerator<TableEntry, void, undefined> {
    if (this.#store) yield* this.#store.entries(table, prefix);
  }

  range(log: string): LogRange {
    return this.#store?.range(log) ?? EMPTY;
  }

  count(table: string): number {
    return this.#store?.count(table) ?? 0;
  }

  get state(): StoreState {
    return this.#store?.state ?? { type: this.#isClosed ? 'closed' : 'open' };
  }

  status(): StoreStatus {
    return this.#store?.status() ?? { state: this.state, batches: 0, commits: 0, refused: 0, pendingBytes: 0, damaged: 0 };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const store = await this.#opening?.catch(() => undefined);
    await store?.close();
  }
}
