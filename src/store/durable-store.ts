/** The store: gathers batches while the previous ones are written, numbers and checksums what it writes, and verifies what it reads. */
import { RelayError, clean, reasonOf } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { withGap } from './contents.ts';
import type { Contents, LogContents } from './contents.ts';
import { DiskSpace, isLow } from './disk-space.ts';
import type { Disk, Engine, EngineOperation, KeyRange, Pair } from './engine.ts';
import { OVERHEAD_BYTES, SUMMARY_KEY } from './keys.ts';
import type { StoreOptions } from './options.ts';
import type {
  LogRange,
  LogRecord,
  Store,
  StoreDamage,
  StoreEvent,
  StoreOperation,
  StoreState,
  StoreStatus,
  TableEntry,
  WriteOptions,
} from './port.ts';
import { openVerified } from './recovery.ts';

/** What a store depends on. */
export interface StoreDependencies {
  readonly disk: Disk;
  readonly options: StoreOptions['store'];
  readonly clock: Clock;
  /** Gets what the store reports; must not throw. */
  readonly report: (event: StoreEvent) => void;
}

// Waiting batches, in memory. Protects the heap while the disk is slower than the senders.
const MAX_PENDING_BYTES = 64 * 1024 * 1024;
// One write to the disk: large enough to keep it busy, small enough that nobody waits long for it.
const MAX_COMMIT_BYTES = 8 * 1024 * 1024;
// A value is held in memory several times while it is written.
const MAX_VALUE_BYTES = 64 * 1024 * 1024;
const MAX_KEY_BYTES = 512;
// While there is no pause, a note is behind by as many commits: a start does not notice if these are missing.
const MAX_UNNOTED = 64;

/**
 * Opens a store: verifies what the disk holds, and reports what is damaged. Rejects with a RelayError STATE_DIRECTORY if the system refuses
 * to open it.
 */
export async function openStore(dependencies: StoreDependencies): Promise<Store> {
  const { engine, contents, damage } = await openVerified(dependencies.disk);
  const store = new DurableStore(dependencies, engine, contents);
  await store.start(damage);
  return store;
}

/** Batches that are written together. */
class Commit {
  readonly operations: EngineOperation[] = [];
  /** Logs whose oldest records are forgotten with it. */
  readonly trimmed = new Set<LogContents>();
  readonly done: Promise<void>;
  resolve!: () => void;
  reject!: (error: RelayError) => void;
  bytes = 0;
  batches = 0;
  isSynced = false;
  /** Makes its records visible. Undefined while it gathers. */
  publish: (() => void) | undefined;

  constructor(readonly number: number) {
    this.done = new Promise<void>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Every batch of it handles the rejection; a commit of the store itself has none.
    this.done.catch(() => undefined);
  }

  /** Ends the gathering: adds the summary of what the store contains with this commit. */
  seal(contents: Contents): void {
    if (this.publish) return;
    contents.commit = this.number;
    this.operations.push({ type: 'put', key: SUMMARY_KEY, value: contents.encode() });
    this.publish = contents.publisher();
  }
}

class DurableStore implements Store {
  readonly #engine: Engine;
  readonly #dependencies: StoreDependencies;
  readonly #contents: Contents;
  readonly #space: DiskSpace;
  /** Not written yet; the last one still gathers. */
  readonly #waiting: Commit[] = [];
  #state: StoreState = { type: 'open' };
  #isWriting = false;
  #idle: Promise<void> = Promise.resolve();
  readonly #trimmed = new Set<LogContents>();
  #clearing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #lastCommit: number;
  /** The newest commits that are synced, and noted as such. */
  #lastSynced = 0;
  #noted = 0;
  #noting: NodeJS.Immediate | undefined;
  #pendingBytes = 0;
  #batches = 0;
  #commits = 0;
  #refused = 0;
  #damaged = 0;

  constructor(dependencies: StoreDependencies, engine: Engine, contents: Contents) {
    this.#engine = engine;
    this.#dependencies = dependencies;
    this.#contents = contents;
    this.#lastCommit = contents.commit;
    this.#space = new DiskSpace(dependencies.clock, () => this.#lookAtSpace());
  }

  async start(damage: readonly StoreDamage[]): Promise<void> {
    for (const one of damage) this.#reportDamage(one);
    // What trims before the last end did not reach.
    const behind = [...this.#contents.logs()].map(([, log]) => log).filter(({ cleared, first }) => cleared < first);
    if (behind.length > 0) this.#clear(behind);
    await this.#space.start();
  }

  get state(): StoreState {
    return this.#state;
  }

  status(): StoreStatus {
    return {
      ...{ state: this.#state, batches: this.#batches, commits: this.#commits, refused: this.#refused },
      ...{ pendingBytes: this.#pendingBytes, damaged: this.#damaged },
    };
  }

  range(log: string): LogRange {
    return this.#contents.range(log);
  }

  count(table: string): number {
    return this.#contents.count(table);
  }

  async write(operations: readonly StoreOperation[], options?: WriteOptions): Promise<readonly number[]> {
    return this.submit(operations, options);
  }

  submit(
    operations: readonly StoreOperation[],
    { durability = 'synced', isProgress = false }: WriteOptions = {},
  ): Promise<readonly number[]> {
    const bytes = this.#check(operations, isProgress);
    const commit = this.#gathering(bytes);
    const numbers: number[] = [];
    for (const operation of operations) {
      const number = this.#add(commit, operation);
      if (number !== undefined) numbers.push(number);
    }
    commit.bytes += bytes;
    commit.batches++;
    commit.isSynced ||= durability === 'synced';
    this.#pendingBytes += bytes;
    return commit.done.then(() => numbers);
  }

  async get(name: string, key: string): Promise<Buffer | undefined> {
    const table = this.#contents.table(name);
    const version = table.versions.get(key);
    if (version === undefined) return undefined;
    const stored = table.layout.key(key);
    const value = await this.#read(stored);
    if (value === undefined) return undefined;
    const decoded = table.layout.decode(stored, value);
    if (decoded) return decoded.value;
    // A newer value, which is being written, is not the damaged one.
    if (table.versions.get(key) === version) {
      this.#contents.delete(table, key);
      await this.#setAside([stored, value], `table ${name}, key ${clean(key, 100)}: the checksum is wrong`);
    }
    return undefined;
  }

  async *records(name: string, from = 1): AsyncGenerator<LogRecord, void, undefined> {
    const log = this.#contents.log(name);
    for (let at = Math.max(from, log.first); at < log.visible;) {
      const end = log.visible;
      for await (const [key, stored] of this.#pairs(log.layout.range(at, end))) {
        const number = log.layout.numberIn(key);
        // Trimmed since the page was read.
        if (number < log.first) continue;
        const value = log.layout.decode(number, stored);
        if (value) yield { number, value };
        else await this.#setRecordAside(name, number, [key, stored]);
      }
      at = Math.max(end, log.first);
    }
  }

  async record(name: string, number: number): Promise<Buffer | undefined> {
    const log = this.#contents.log(name);
    const isKept = (): boolean => number >= log.first && number < log.visible;
    if (!isKept()) return undefined;
    const key = log.layout.key(number);
    const stored = await this.#read(key);
    // Another reader may have set it aside, or a trim removed it meanwhile.
    if (stored === undefined || !isKept()) return undefined;
    const value = log.layout.decode(number, stored);
    if (!value) await this.#setRecordAside(name, number, [key, stored]);
    return value;
  }

  async *entries(name: string, prefix = ''): AsyncGenerator<TableEntry, void, undefined> {
    const { layout } = this.#contents.table(name);
    for await (const [stored, value] of this.#pairs(layout.range(prefix))) {
      const key = layout.keyIn(stored);
      const decoded = layout.decode(stored, value);
      if (decoded) yield { key, value: decoded.value };
      // Reports it, if it is still there.
      else await this.get(name, key);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#space.stop();
    while (this.#isWriting) await this.#idle;
    await this.#clearing;
    clearImmediate(this.#noting);
    if (this.#state.type !== 'failed') this.#note();
    this.#setState({ type: 'closed' });
    await this.#engine.close();
  }

  /** The bytes of a batch that may be written; throws a RelayError if it may not. */
  #check(operations: readonly StoreOperation[], isProgress: boolean): number {
    const { type } = this.#state;
    if (this.#closing || (type !== 'open' && (type !== 'disk-low' || (!isProgress && operations.some(isAddition))))) {
      this.#refused++;
      throw new RelayError('STATE_DIRECTORY', this.#reasonAgainst());
    }
    let bytes = 0;
    for (const operation of operations) bytes += bytesOf(operation);
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > MAX_PENDING_BYTES) {
      this.#refused++;
      throw new RelayError('UNAVAILABLE', 'the disk is too slow for what has to be stored; try again later', { retryAfterMs: 1_000 });
    }
    // Names are checked by the look-up, before anything is changed.
    let newKeys = 0;
    for (const one of operations) {
      if (one.type === 'append' || one.type === 'trim') this.#contents.log(one.log);
      else if (one.type === 'put' && !this.#contents.table(one.table).versions.has(one.key)) newKeys++;
    }
    if (newKeys > 0 && this.#contents.isFull(newKeys)) throw new RelayError('LIMIT', 'the store has too many entries; remove some first');
    return bytes;
  }

  #reasonAgainst(): string {
    const state = this.#state;
    if (state.type === 'failed')
      return `nothing can be stored since a write failed (${state.reason}); free or repair the disk and restart the relay`;
    if (state.type === 'disk-low') {
      const mib = Math.floor(state.freeBytes / 2 ** 20);
      return `nothing more is stored while the disk is nearly full (${mib} MiB free); free some of it`;
    }
    return 'the store is closed: the relay is stopping';
  }

  /** The commit that gathers, or a new one if that is full. */
  #gathering(bytes: number): Commit {
    const last = this.#waiting.at(-1);
    if (last && last.bytes + bytes <= MAX_COMMIT_BYTES) return last;
    last?.seal(this.#contents);
    const commit = new Commit(++this.#lastCommit);
    this.#waiting.push(commit);
    if (!this.#isWriting) {
      this.#isWriting = true;
      this.#idle = this.#writeAll();
    }
    return commit;
  }

  #add(commit: Commit, operation: StoreOperation): number | undefined {
    switch (operation.type) {
      case 'append': {
        const log = this.#contents.log(operation.log);
        const number = log.next++;
        commit.operations.push({ type: 'put', key: log.layout.key(number), value: log.layout.encode(number, operation.value) });
        return number;
      }
      case 'trim': {
        const log = this.#contents.log(operation.log);
        const first = Math.min(operation.through + 1, log.next);
        if (first <= log.first) return undefined;
        log.first = first;
        commit.trimmed.add(log);
        log.gaps = log.gaps.filter(([, to]) => to > first);
        return undefined;
      }
      case 'put': {
        const table = this.#contents.table(operation.table);
        this.#contents.put(table, operation.key, commit.number);
        const key = table.layout.key(operation.key);
        commit.operations.push({ type: 'put', key, value: table.layout.encode(key, commit.number, operation.value) });
        return undefined;
      }
      case 'delete': {
        const table = this.#contents.table(operation.table);
        if (this.#contents.delete(table, operation.key)) commit.operations.push({ type: 'del', key: table.layout.key(operation.key) });
        return undefined;
      }
    }
  }

  async #writeAll(): Promise<void> {
    // What is written in the same turn goes together.
    await Promise.resolve();
    for (let commit = this.#waiting.shift(); commit; commit = this.#waiting.shift()) {
      if (this.#state.type === 'failed') commit.reject(new RelayError('STATE_DIRECTORY', this.#reasonAgainst()));
      else await this.#writeOne(commit);
      this.#pendingBytes -= commit.bytes;
    }
    this.#isWriting = false;
  }

  async #writeOne(commit: Commit): Promise<void> {
    commit.seal(this.#contents);
    try {
      await this.#engine.batch(commit.operations, commit.isSynced);
    } catch (error) {
      // A sync that failed once may seem to succeed when it is tried again, though the data is lost.
      this.#setState({ type: 'failed', reason: reasonOf(error) });
      commit.reject(new RelayError('STATE_DIRECTORY', this.#reasonAgainst(), { cause: error }));
      return;
    }
    if (commit.isSynced) this.#synced(commit.number);
    commit.publish?.();
    this.#commits++;
    this.#batches += commit.batches;
    commit.resolve();
    if (commit.trimmed.size > 0) this.#clear(commit.trimmed);
    this.#space.wrote(commit.bytes);
  }

  /** Notes the commit once writes pause, or after many: the write of a note takes a tenth of the time of a small commit. */
  #synced(commit: number): void {
    this.#lastSynced = commit;
    this.#noting ??= setImmediate(() => {
      this.#noting = undefined;
      // The end of the commit that is being written comes here again.
      if (!this.#isWriting || this.#lastSynced - this.#noted >= MAX_UNNOTED) this.#note();
    });
  }

  #note(): void {
    if (this.#lastSynced === this.#noted) return;
    this.#noted = this.#lastSynced;
    try {
      this.#engine.note(this.#noted);
    } catch (error) {
      this.#setState({ type: 'failed', reason: reasonOf(error) });
    }
  }

  /** Deletes the records that trims have left behind; a start deletes those that this does not reach. */
  #clear(logs: Iterable<LogContents>): void {
    for (const log of logs) this.#trimmed.add(log);
    this.#clearing ??= this.#clearAll();
  }

  async #clearAll(): Promise<void> {
    for (const log of this.#trimmed) {
      this.#trimmed.delete(log);
      const { first, cleared } = log;
      log.cleared = first;
      // What fails here is repeated by the next start; a broken disk shows at the next write.
      await this.#engine.clear(log.layout.range(cleared, first)).catch(() => undefined);
    }
    this.#clearing = undefined;
  }

  async *#pairs(range: KeyRange): AsyncGenerator<Pair, void, undefined> {
    try {
      for await (const page of this.#engine.pages(range)) yield* page;
    } catch (error) {
      throw unreadable(error);
    }
  }

  async #read(key: Buffer): Promise<Buffer | undefined> {
    try {
      return await this.#engine.get(key);
    } catch (error) {
      throw unreadable(error);
    }
  }

  async #setRecordAside(name: string, number: number, pair: Pair): Promise<void> {
    const log = this.#contents.log(name);
    // Another reader may have come first.
    if (log.gaps.some(([from, to]) => number >= from && number < to)) return;
    log.gaps = withGap(log.gaps, [number, number + 1]);
    await this.#setAside(pair, `log ${name}, number ${number}: the checksum is wrong`);
  }

  /** Reports and removes a pair that is damaged; the caller has taken it out of the contents. */
  async #setAside(pair: Pair, what: string): Promise<void> {
    this.#reportDamage({ what, movedTo: await this.#engine.setAside(pair, what) });
    if (this.#closing || this.#state.type === 'failed') return;
    this.#gathering(0).operations.push({ type: 'del', key: pair[0] });
  }

  async #lookAtSpace(): Promise<void> {
    // A system that does not say how much is free is not watched; what it refuses later fails the store.
    const space = await this.#engine.space().catch(() => undefined);
    const { type } = this.#state;
    if (!space || (type !== 'open' && type !== 'disk-low')) return;
    const low = isLow(space, this.#dependencies.options, type === 'disk-low');
    if (low !== (type === 'disk-low')) this.#setState(low ? { type: 'disk-low', ...space } : { type: 'open' });
  }

  #reportDamage(damage: StoreDamage): void {
    this.#damaged++;
    this.#dependencies.report({ type: 'store.damage', ...damage });
  }

  #setState(state: StoreState): void {
    this.#state = state;
    this.#dependencies.report({ type: 'store.state', state });
  }
}

function isAddition({ type }: StoreOperation): boolean {
  return type === 'append' || type === 'put';
}

/** The bytes that an operation takes while it waits; throws a RelayError LIMIT if it is too large. */
function bytesOf(operation: StoreOperation): number {
  let bytes = OVERHEAD_BYTES;
  if (operation.type === 'put' || operation.type === 'delete') {
    const length = Buffer.byteLength(operation.key);
    if (length > MAX_KEY_BYTES) throw new RelayError('LIMIT', `a key of ${length} bytes cannot be stored (limit ${MAX_KEY_BYTES})`);
    bytes += length;
  }
  if (operation.type === 'put' || operation.type === 'append') {
    const { length } = operation.value;
    if (length > MAX_VALUE_BYTES) throw new RelayError('LIMIT', `${length} bytes cannot be stored at once (limit ${MAX_VALUE_BYTES})`);
    bytes += length;
  }
  return bytes;
}

function unreadable(error: unknown): RelayError {
  return new RelayError('STATE_DIRECTORY', 'what is stored cannot be read; restart the relay so that it is verified', { cause: error });
}
