/** The units of this relay and their small payloads and outputs, as the store keeps them, and their directories. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { clean } from '../core/core.ts';
import { isCode } from '../state/state.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { WorkEvent } from '../relay/relay.ts';
import type { Store, StoreOperation } from '../store/store.ts';
import type { Output, StoredOutput } from './output.ts';
import { ChangeLog } from './change-log.ts';
import { inState, isFinal, originOf, reasonOfState } from './unit.ts';
import type { OutputSize, Unit, UnitState } from './unit.ts';

const UNITS = 'work-units';
const PAYLOADS = 'work-payloads';
const OUTPUTS = 'work-outputs';
// Units of other nodes that are gone, so that a submission that comes again begins nothing.
const GONE = 'work-gone';
// Protects memory from a node that cancels what it never submitted. The oldest are forgotten first.
const MAX_GONE = 100_000;
// Payloads that are also in memory until their unit ends: a few hundred of the largest ones.
const MAX_RECENT_BYTES = 16 * 1024 * 1024;

export interface UnitsParts {
  readonly store: Store;
  /** The absolute path of the directory of the units that have files. */
  readonly directory: string;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly events: EventSink<WorkEvent>;
  readonly log: Log;
}

interface Settling {
  readonly exit?: number | string | undefined;
  readonly outputs?: ReadonlyMap<string, Output> | undefined;
}

/** What is written together with a unit. */
interface StoredWith {
  readonly payload?: Buffer | undefined;
  readonly outputs?: readonly (readonly [name: string, output: StoredOutput])[];
  readonly isSameState?: boolean;
}

export class Units {
  readonly #parts: UnitsParts;
  /** In the order of their submission. */
  readonly #units = new Map<string, Unit>();
  /** Who waits for another state of a unit, by its id. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Payloads that will probably be needed soon, so that they are not read from the disk. */
  readonly #recent = new Map<string, Buffer>();
  #recentBytes = 0;
  /** Bytes of payloads and outputs of all units. */
  #bytes = 0;
  /** Until when units of other nodes must not come again, ms since 1970. */
  readonly #gone = new Map<string, number>();
  /** What has changed of the units that other nodes submitted. */
  readonly changes: ChangeLog;

  constructor(parts: UnitsParts) {
    this.#parts = parts;
    this.changes = new ChangeLog(parts.clock);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get all(): readonly Unit[] {
    return [...this.#units.values()];
  }

  get(id: string): Unit | undefined {
    return this.#units.get(id);
  }

  /** Reads the units of earlier runs, and deletes directories that belong to none of them. */
  async load(): Promise<void> {
    const { store, directory, log } = this.#parts;
    const loaded: Unit[] = [];
    for await (const { key, value } of store.entries(UNITS)) {
      const unit = readUnit(value);
      if (unit) loaded.push(unit);
      else log.error(`the record of the unit ${clean(key)} cannot be read, and is ignored`);
    }
    for (const unit of loaded.sort((a, b) => a.submittedAt - b.submittedAt)) this.#remember(unit);
    for await (const { key, value } of store.entries(GONE)) this.#gone.set(key, Number(value.toString()));
    // There is none until a unit needs one.
    const names = await readdir(directory).catch((error: unknown) => {
      if (isCode(error, 'ENOENT')) return [];
      throw error;
    });
    for (const name of names) {
      if (!this.#units.has(name)) await rm(join(directory, name), { recursive: true, force: true });
    }
  }

  /**
   * Stores a unit in its present state, then tells it, unless only something else of it has changed. What is given with it is written with
   * it, or not at all.
   */
  async put(unit: Unit, { payload, outputs = [], isSameState = false }: StoredWith = {}): Promise<void> {
    const operations = [recordOf(unit)];
    if (payload) {
      operations.push({ type: 'put', table: PAYLOADS, key: unit.id, value: payload });
      this.#keepRecent(unit.id, payload);
    }
    for (const [name, output] of outputs)
      operations.push({ type: 'put', table: OUTPUTS, key: `${unit.id}/${name}`, value: encodeOutput(output) });
    // A payload is of no use once the work has ended.
    if (isFinal(unit.state)) {
      operations.push({ type: 'delete', table: PAYLOADS, key: unit.id });
      this.#dropRecent(unit.id);
    }
    await this.#parts.store.write(operations, { isProgress: this.#units.has(unit.id) });
    this.#remember(unit);
    if (!isSameState) this.#tell(unit);
  }

  /**
   * Stores a new unit that starts at once: the record says that it runs, since nothing happens to it between its first two states. They
   * are reported one after the other. Its payload is not stored, because a unit that has started is never run again.
   */
  async putStarted(pending: Unit, running: Unit): Promise<void> {
    await this.#parts.store.write([recordOf(running)]);
    for (const unit of [pending, running]) {
      this.#remember(unit);
      this.#tell(unit);
    }
  }

  /** Stores the final state of a unit with its small outputs, then tells it. */
  async settle(unit: Unit, state: UnitState, { exit, outputs = new Map() }: Settling = {}): Promise<void> {
    const sizes: Record<string, OutputSize> = {};
    const small: [string, StoredOutput][] = [];
    for (const [name, output] of outputs) {
      sizes[name] = { bytes: output.next, truncated: output.refused > 0 };
      const stored = output.stored();
      if (stored) small.push([name, stored]);
    }
    await this.put(inState(unit, state, { endedAt: this.#parts.date(), exit, outputs: sizes }), { outputs: small });
  }

  /** Resolves to the unit once its state is none of `states`, or as it is after `waitMs`, or when `signal` is aborted. */
  async leaving(unit: Unit, states: readonly UnitState['type'][], waitMs: number, signal: AbortSignal | undefined): Promise<Unit> {
    const { clock } = this.#parts;
    const current = (): Unit => this.#units.get(unit.id) ?? unit;
    const isThere = (): boolean => !states.includes(current().state.type);
    if (isThere() || waitMs <= 0) return current();
    const waiting = this.#waiting.get(unit.id) ?? new Set();
    this.#waiting.set(unit.id, waiting);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        waiting.delete(look);
        cancelTimer();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const look = (): void => {
        if (isThere()) end();
      };
      const cancelTimer = clock.after(waitMs, end);
      waiting.add(look);
      signal?.addEventListener('abort', end, { once: true });
    });
    if (waiting.size === 0) this.#waiting.delete(unit.id);
    return current();
  }

  /** Forgets a unit and everything that belongs to it. */
  async remove(unit: Unit): Promise<void> {
    const { id, outputs, expiresAt } = unit;
    const operations: StoreOperation[] = [
      { type: 'delete', table: UNITS, key: id },
      { type: 'delete', table: PAYLOADS, key: id },
      ...Object.keys(outputs).map((name) => ({ type: 'delete', table: OUTPUTS, key: `${id}/${name}` }) as const),
    ];
    if (originOf(unit) !== undefined && expiresAt > this.#parts.date()) operations.push(...this.#bar(id, expiresAt));
    await this.#parts.store.write(operations, { isProgress: true });
    this.#forget(id);
    await rm(join(this.#parts.directory, id), { recursive: true, force: true });
  }

  /** A unit of another node that has not come must not come any more, until then. */
  async bar(id: string, until: number): Promise<void> {
    await this.#parts.store.write(this.#bar(id, until), { isProgress: true });
  }

  /** True if a unit of another node was here, or was canceled before it came. */
  isBarred(id: string): boolean {
    return (this.#gone.get(id) ?? 0) > this.#parts.date();
  }

  /** Forgets which units must not come any more, once they cannot. */
  async forgetBarred(): Promise<void> {
    const now = this.#parts.date();
    const due = [...this.#gone].filter(([, until]) => until <= now).map(([id]) => id);
    if (due.length === 0) return;
    await this.#parts.store.write(
      due.map((key) => ({ type: 'delete', table: GONE, key })),
      { isProgress: true },
    );
    for (const id of due) this.#gone.delete(id);
  }

  #bar(id: string, until: number): readonly StoreOperation[] {
    this.#gone.set(id, until);
    const operations: StoreOperation[] = [{ type: 'put', table: GONE, key: id, value: Buffer.from(String(until)) }];
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > MAX_GONE && oldest !== undefined) {
      this.#gone.delete(oldest);
      operations.push({ type: 'delete', table: GONE, key: oldest });
    }
    return operations;
  }

  async payload(id: string): Promise<Buffer | undefined> {
    return this.#recent.get(id) ?? this.#parts.store.get(PAYLOADS, id);
  }

  async output(id: string, name: string): Promise<StoredOutput | undefined> {
    const value = await this.#parts.store.get(OUTPUTS, `${id}/${name}`);
    return value && decodeOutput(value);
  }

  /** The directory of a unit, which is created. */
  async directoryOf(id: string): Promise<string> {
    const path = this.pathOf(id);
    await mkdir(path, { recursive: true, mode: 0o700 });
    return path;
  }

  pathOf(id: string): string {
    return join(this.#parts.directory, id);
  }

  #keepRecent(id: string, payload: Buffer): void {
    if (this.#recentBytes + payload.length > MAX_RECENT_BYTES) return;
    this.#recent.set(id, payload);
    this.#recentBytes += payload.length;
  }

  #dropRecent(id: string): void {
    this.#recentBytes -= this.#recent.get(id)?.length ?? 0;
    this.#recent.delete(id);
  }

  #tell({ id, type, state }: Unit): void {
    this.#parts.events.emit({ type: 'work.state', unit: id, work: type, state: state.type, reason: reasonOfState(state) });
    const waiting = this.#waiting.get(id);
    if (waiting) for (const look of [...waiting]) look();
  }

  #remember(unit: Unit): void {
    const before = this.#units.get(unit.id);
    this.#bytes += bytesOf(unit) - (before ? bytesOf(before) : 0);
    this.#units.set(unit.id, unit);
    const origin = originOf(unit);
    if (origin !== undefined) this.changes.note(origin, unit);
  }

  #forget(id: string): void {
    const unit = this.#units.get(id);
    if (!unit) return;
    this.#bytes -= bytesOf(unit);
    this.#units.delete(id);
    const origin = originOf(unit);
    if (origin !== undefined) this.changes.forget(origin, unit);
  }
}

function recordOf(unit: Unit): StoreOperation {
  return { type: 'put', table: UNITS, key: unit.id, value: Buffer.from(JSON.stringify(unit)) };
}

/** On the disk of this relay. */
function bytesOf({ payloadBytes, outputs, placement }: Unit): number {
  if (placement) return placement.isHeld === true ? payloadBytes : 0;
  let sum = payloadBytes;
  for (const { bytes } of Object.values(outputs)) sum += bytes;
  return sum;
}

/** A record that was written by this version; undefined if it is not one. */
function readUnit(value: Buffer): Unit | undefined {
  try {
    const unit = JSON.parse(value.toString()) as Partial<Unit>;
    return typeof unit.id === 'string' && typeof unit.type === 'string' && unit.state !== undefined ? (unit as Unit) : undefined;
  } catch {
    return undefined;
  }
}

/** The length of the index, 4 bytes, then the index, then the bytes. */
function encodeOutput({ bytes, index }: StoredOutput): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(index.length);
  return Buffer.concat([length, index, bytes]);
}

function decodeOutput(value: Buffer): StoredOutput {
  const end = 4 + value.readUInt32BE();
  return { index: value.subarray(4, end), bytes: value.subarray(end) };
}
