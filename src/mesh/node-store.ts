/** What the machine of this node keeps in the store, and the time that goes on over its starts. */
import { RelayError, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { MESSAGE_LOG, PEER_TABLE, SEEN_TABLE, TIME_TABLE } from '../mesh-core/mesh-core.ts';
import type { Effect, MeshNode, NodeEvent } from '../mesh-core/mesh-core.ts';
import type { Store, StoreOperation } from '../store/store.ts';

export interface NodeStoreParts {
  readonly store: Store;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly log: Log;
}

type Write = Extract<Effect, { readonly type: 'write' }>;
type Read = Extract<Effect, { readonly type: 'read' }>;

// Written with each batch, so that the time of the node includes the time that it was down.
const WALL_KEY = 'wall';
const NOW_KEY = 'now';
// The store refuses a batch while too much waits to be written.
const BUSY_MS = 50;
// How often the date of the machine is compared with its clock, and by how much they may differ from one time to the next.
const DATE_CHECK_MS = 60_000;
const DRIFT_MS = 1000;
// A stored date before this one is that of a machine that did not know the date: it says nothing about how long the node was down.
const EARLIEST = Date.UTC(2026, 0, 1);

/** See the head of this file. */
export class NodeStore {
  readonly #parts: NodeStoreParts;
  #offset = 0;
  #isDiskLow = false;
  #cancelCheck: (() => void) | undefined;

  constructor(parts: NodeStoreParts) {
    this.#parts = parts;
  }

  /** The time of the node in ms. It never decreases, also over restarts. */
  now(): number {
    return this.#offset + this.#parts.clock.now();
  }

  /** Finds out what time it is for the node, before anything else. */
  async begin(): Promise<void> {
    const { clock, date } = this.#parts;
    const [now = 0, wall] = [await this.#stored(NOW_KEY), await this.#stored(WALL_KEY)];
    // A clock of the machine that was set back meanwhile counts as if the node had not been down.
    const downMs = wall === undefined || wall < EARLIEST ? 0 : Math.max(0, date() - wall);
    this.#offset = Math.ceil(now + downMs + 1 - clock.now());
    this.#watchDate();
  }

  /** No more is written by itself. */
  stop(): void {
    this.#cancelCheck?.();
  }

  /**
   * A machine without a clock of its own starts in 1970, and learns the date later. If that were not stored at once, all the years between
   * would count as time that the node was down, and everything that waits would expire at the next start.
   */
  #watchDate(): void {
    const { clock, date } = this.#parts;
    const difference = date() - clock.now();
    this.#cancelCheck = clock.after(DATE_CHECK_MS, () => {
      if (Math.abs(date() - clock.now() - difference) > DRIFT_MS) void this.#storeTime();
      this.#watchDate();
    });
  }

  /** Never rejects: the next batch stores the time, too. */
  async #storeTime(): Promise<void> {
    const { store, date, log } = this.#parts;
    const put = (key: string, value: number): StoreOperation => ({
      type: 'put',
      table: TIME_TABLE,
      key,
      value: Buffer.from(String(value)),
    });
    try {
      await store.write([put(NOW_KEY, Math.floor(this.now())), put(WALL_KEY, date())], { durability: 'written', isProgress: true });
    } catch (error) {
      log.debug(`the time cannot be stored: ${reasonOf(error)}`);
    }
  }

  async #stored(key: string): Promise<number | undefined> {
    const value = await this.#parts.store.get(TIME_TABLE, key);
    const number = Number(value?.toString());
    return Number.isFinite(number) ? number : undefined;
  }

  /** Gives the node what it kept. */
  async restore({ restore }: MeshNode): Promise<void> {
    const { store, log } = this.#parts;
    for await (const { key } of store.entries(PEER_TABLE)) restore.peer(key);
    for await (const { key, value } of store.entries(SEEN_TABLE)) restore.seen(key, value);
    for await (const { number, value } of store.records(MESSAGE_LOG)) {
      try {
        restore.record(number, value);
      } catch (error) {
        log.error(`message ${number} of the mesh cannot be read and is not delivered: ${reasonOf(error)}`);
      }
    }
  }

  /** The event that tells the machine whether new messages may be stored; undefined if nothing changed since the last call. */
  changed(): NodeEvent | undefined {
    const isLow = this.#parts.store.state.type === 'disk-low';
    if (isLow === this.#isDiskLow) return undefined;
    this.#isDiskLow = isLow;
    return { type: 'storage', refusal: isLow ? 'the disk is almost full' : undefined };
  }

  /** Writes a batch; resolves to the event that answers it. Never rejects. */
  async write({ batch, operations, durability }: Write): Promise<NodeEvent> {
    const { store, date, clock } = this.#parts;
    const wall: StoreOperation = { type: 'put', table: TIME_TABLE, key: WALL_KEY, value: Buffer.from(String(date())) };
    for (;;) {
      try {
        // The machine refuses new messages while the disk is low; what it has accepted may use the reserve.
        const numbers = await store.write([...operations, wall], { durability, isProgress: true });
        return { type: 'written', batch, numbers };
      } catch (error) {
        if (!RelayError.is(error) || error.code !== 'UNAVAILABLE') return { type: 'write-failed', batch, reason: reasonOf(error) };
        await new Promise<void>((resolve) => {
          clock.after(BUSY_MS, resolve);
        });
      }
    }
  }

  /** Reads records; resolves to the event that answers it. Never rejects. */
  async read({ request, numbers }: Read): Promise<NodeEvent> {
    return { type: 'read', request, values: await Promise.all(numbers.map((number) => this.#record(number))) };
  }

  async #record(number: number): Promise<Buffer | undefined> {
    const { store, log } = this.#parts;
    try {
      return await store.record(MESSAGE_LOG, number);
    } catch (error) {
      log.error(`message ${number} of the mesh cannot be read: ${reasonOf(error)}`);
      return undefined;
    }
  }
}
