/** Units of work on this relay: submitted, queued, run, and kept with their results until they are released or cleaned up. */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Submitter } from '../access/access.ts';
import { clean, randomHex, reasonOf, RelayError, suggest } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { OrphanWatch } from '../plugin-host/plugin-host.ts';
import { programExecutors } from './program-work.ts';
import type { WorkEvent } from '../relay/relay.ts';
import { systemReason } from '../state/state.ts';
import type { Store } from '../store/store.ts';
import { Stream } from '../streams/streams.ts';
import type { StreamState } from '../streams/streams.ts';
import type { Dict } from '../values/values.ts';
import type { Executor } from './executor.ts';
import { isAlive } from './process-mark.ts';
import type { WorkLimits, WorkProgram } from './options.ts';
import { Output } from './output.ts';
import type { OutputItem } from './output.ts';
import { Schedule } from './schedule.ts';
import type { Concurrency } from './schedule.ts';
import { ParamsSeal } from './secrets.ts';
import { CANCELED, MAX_STORED_PAYLOAD, PAYLOAD, UnitRun } from './unit-run.ts';
import type { OpenOutput, UnitRunParts } from './unit-run.ts';
import { isFinal } from './unit.ts';
import type { Unit, UnitState } from './unit.ts';
import { Units } from './units.ts';

/** A request to do work. */
export interface Submission {
  readonly type: string;
  /** Default: a new one. A unit of this id is answered as it is, if the same submitter made it. */
  readonly id?: string | undefined;
  /** Undefined: it is uploaded later. */
  readonly payload: Buffer | undefined;
  readonly params: Dict;
  readonly ttlMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface WorkParts {
  readonly store: Store;
  /** The absolute path of the directory of the units that have files. */
  readonly directory: string;
  readonly limits: WorkLimits;
  /** What plugins offer now, by type. */
  readonly offered: () => ReadonlyMap<string, Executor>;
  /** The programs of the `work` option, by type. */
  readonly programs: Readonly<Record<string, WorkProgram>>;
  /** The environment of the relay, of which programs inherit a few variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A secret of this relay. */
  readonly secret: string;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly events: EventSink<WorkEvent>;
  readonly log: Log;
}

const ID = /^[A-Za-z0-9][\w.-]{0,99}$/;
const newId = randomHex(10);
// Finished units are looked through this often.
const CLEAN_UP_MS = 60_000;

export class Work {
  readonly #parts: WorkParts;
  readonly #units: Units;
  readonly #schedule = new Schedule();
  readonly #seal: ParamsSeal;
  readonly #runs = new Map<string, UnitRun>();
  readonly #runParts: UnitRunParts;
  /** New units of a given id, until they are stored or refused. */
  readonly #submitting = new Map<string, Promise<Unit>>();
  /** Cancels the timer of each pending unit that expires. */
  readonly #expiries = new Map<string, () => void>();
  /** The bytes that have arrived of each payload that is being uploaded. */
  readonly #uploads = new Map<string, number>();
  readonly #orphans: OrphanWatch;
  readonly #programs: ReadonlyMap<string, Executor>;
  /** What can be submitted, by type; undefined if plugins have changed since they were asked. */
  #offered: ReadonlyMap<string, Executor> | undefined;
  #isOpen = false;
  #cancelCleanUp = (): void => undefined;

  constructor(parts: WorkParts) {
    this.#parts = parts;
    this.#units = new Units(parts);
    this.#seal = new ParamsSeal(parts.secret);
    this.#orphans = new OrphanWatch(parts.log);
    const surroundings = { ...parts, orphans: this.#orphans, directoryOf: (unit: string) => this.#units.directoryOf(unit) };
    this.#programs = programExecutors(parts.programs, surroundings);
    this.#runParts = {
      ...{ ...parts, units: this.#units, seal: this.#seal },
      onFree: ({ type }) => {
        this.#schedule.ended(type);
        this.#dispatch();
      },
    };
  }

  /** Reads the units of earlier runs: pending ones are queued again, and those that ran when the relay ended have failed. */
  async start(): Promise<void> {
    await this.#units.load();
    for (const unit of this.#units.all) {
      if (unit.state.type === 'running') await this.#units.settle(unit, orphaned(unit.state));
      else if (unit.state.type === 'pending') this.#enqueue(unit);
    }
    this.#isOpen = true;
    this.#cleanUpLater();
    this.refresh();
  }

  /** What plugins offer may have changed: starts what may start now. */
  readonly refresh = (): void => {
    this.#offered = undefined;
    this.#dispatch();
  };

  /** Read when it is needed: at a start each plugin changes its state several times, and most offer no work. */
  get #executors(): ReadonlyMap<string, Executor> {
    return (this.#offered ??= new Map([...this.#parts.offered(), ...this.#programs]));
  }

  /** Ends what runs. Pending units wait for the next start. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.#cancelCleanUp();
    for (const cancel of this.#expiries.values()) cancel();
    const running = [...this.#runs.values()];
    for (const run of running) run.abort(new RelayError('UNAVAILABLE', 'the relay was stopped while it ran'));
    await Promise.all(running.map(({ ended }) => ended));
    await this.#orphans.stop();
  }

  /** The types that can be submitted. */
  types(): readonly Executor[] {
    return [...this.#executors.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  /**
   * Stores a unit and queues it. Resolves once it is on the disk. Rejects with RelayErrors INVALID_PARAMS (no such type, parameters that it
   * does not take, an id of somebody else), LIMIT (a full queue or disk quota), STATE_DIRECTORY.
   */
  async submit(submission: Submission, submitter: Submitter): Promise<Unit> {
    const { type, payload, params, ttlMs, timeoutMs } = submission;
    const { limits, date } = this.#parts;
    this.#requireOpen();
    const id = submission.id ?? newId();
    if (!ID.test(id)) throw new RelayError('INVALID_PARAMS', `an id of a unit has 1 to 100 letters, digits, '.', '-' and '_'`);
    const known = this.#units.get(id) ?? this.#submitting.get(id);
    if (known) return this.#sameUnit(await known, type, submitter);
    const executor = this.#executorOf(type);
    requireParams(executor, params);
    this.#requireRoom(payload?.length ?? 0);
    const now = date();
    const unit: Unit = {
      ...{ id, type, submitter, submittedAt: now, expiresAt: now + (ttlMs ?? limits.ttlMs) },
      timeoutMs: Math.min(timeoutMs ?? Infinity, executor.timeoutMs ?? limits.timeoutMs),
      params: this.#seal.seal(params),
      ...{ payloadBytes: payload?.length ?? 0, state: { type: 'pending' }, outputs: {} },
      isUploading: payload === undefined ? true : undefined,
    };
    const stored = this.#storeNew(unit, executor, payload);
    if (submission.id === undefined) return stored;
    this.#submitting.set(id, stored);
    try {
      return await stored;
    } finally {
      this.#submitting.delete(id);
    }
  }

  /** The units that this submitter may see, oldest first. Undefined: all. */
  list(submitter: Submitter | undefined): readonly Unit[] {
    return this.#units.all.filter((unit) => submitter === undefined || unit.submitter.id === submitter.id);
  }

  /** Finds a unit. Rejects with a RelayError INVALID_PARAMS if there is none, or if it belongs to somebody else. */
  find(id: string, submitter: Submitter | undefined): Unit {
    const unit = this.#units.get(id);
    if (unit && (submitter === undefined || unit.submitter.id === submitter.id)) return unit;
    throw new RelayError('INVALID_PARAMS', `there is no unit '${clean(id, 100)}' of yours; work.list shows them`);
  }

  has(id: string): boolean {
    return this.#units.get(id) !== undefined;
  }

  /** Resolves to the unit once its state is none of `states`, or as it is after `waitMs`, or when `signal` is aborted. */
  leaving(unit: Unit, states: readonly UnitState['type'][], waitMs: number, signal: AbortSignal | undefined): Promise<Unit> {
    return this.#units.leaving(unit, states, waitMs, signal);
  }

  /** The sizes of its outputs until now. */
  outputsOf(unit: Unit): Unit['outputs'] {
    const run = this.#runs.get(unit.id);
    if (!run) return unit.outputs;
    const sizes = [...run.outputs].map(([name, stream]) => {
      const { next, refused } = stream.status();
      return [name, { bytes: next, truncated: refused > 0 }] as const;
    });
    return Object.fromEntries(sizes);
  }

  /** How many units of its type start before it; undefined if it does not wait. */
  positionOf({ type, id }: Unit): number | undefined {
    return this.#schedule.positionOf(type, id);
  }

  /** The parameters of a unit. */
  paramsOf({ params }: Unit): Dict {
    return this.#seal.open(params);
  }

  /** Units that run. */
  get running(): readonly Unit[] {
    return [...this.#runs.keys()].flatMap((id) => this.#units.get(id) ?? []);
  }

  /** Calls `read` with one of the outputs of a unit that has started as a stream, which ends with the unit. */
  async withOutput<T>(unit: Unit, name: string | undefined, read: (stream: Stream<OutputItem>, unit: Unit) => Promise<T>): Promise<T> {
    const { stream, close } = await this.openOutput(unit, name);
    try {
      return await read(stream, unit);
    } finally {
      await close();
    }
  }

  /** How many units wait for their start or their payload, of one type or all. */
  pending(type?: string): number {
    return this.#units.all.filter((unit) => unit.state.type === 'pending' && (type ?? unit.type) === unit.type).length;
  }

  /** Bytes of all payloads and results. */
  get bytes(): number {
    return this.#units.bytes;
  }

  /** Opens one of the outputs of a unit that has started: a stream, which ends with the unit. The reader closes it. */
  async openOutput(unit: Unit, name: string | undefined): Promise<OpenOutput> {
    const run = this.#runs.get(unit.id);
    const names = run ? [...run.outputs.keys()] : Object.keys(unit.outputs);
    const wanted = name ?? names[0] ?? 'results';
    if (names.length > 0 && !names.includes(wanted))
      throw new RelayError('INVALID_PARAMS', `the unit ${unit.id} has no output '${clean(wanted, 40)}' (${names.join(', ')})`);
    const running = run?.open(wanted);
    if (running) return running;
    // It may have ended since the caller found it.
    const stream = await this.#keptOutput(this.#units.get(unit.id) ?? unit, wanted);
    return { stream, close: () => stream.close() };
  }

  /** Ends a unit that is pending or running. Resolves to its final state; nothing happens to one that has ended. */
  async cancel(unit: Unit): Promise<Unit> {
    const run = this.#runs.get(unit.id);
    if (run) {
      run.abort(CANCELED);
      await run.ended;
    } else if (!isFinal(unit.state)) {
      this.#dequeue(unit);
      await this.#units.settle(unit, { type: 'canceled' });
    }
    return this.#units.get(unit.id) ?? unit;
  }

  /** Cancels a unit if it has not ended, and forgets it with its payload and its results. */
  async release(unit: Unit): Promise<void> {
    const ended = await this.cancel(unit);
    await this.#units.remove(ended);
    this.#parts.events.emit({ type: 'work.released', unit: unit.id, work: unit.type });
  }

  get #concurrency(): Concurrency {
    return { total: this.#parts.limits.maxRunning, of: (type) => this.#executors.get(type)?.maxConcurrent };
  }

  /** Starts what may start: called when a unit was added or has ended. */
  #dispatch(): void {
    if (!this.#isOpen) return;
    if (this.#schedule.pending === 0) return;
    for (;;) {
      const next = this.#schedule.take(this.#concurrency, (type) => this.#executors.get(type)?.isReady === true);
      if (!next) return;
      const unit = this.#units.get(next.unit);
      const executor = this.#executors.get(next.type);
      if (unit && executor) this.#begin(unit, executor);
      else this.#schedule.ended(next.type);
    }
  }

  /**
   * Throws a RelayError INVALID_PARAMS if this unit does not wait for a payload, and LIMIT if there is no room for one of `bytes` bytes;
   * undefined: its size is not known.
   */
  requireUpload(unit: Unit, bytes = 0): void {
    if (this.#uploads.has(unit.id)) throw new RelayError('INVALID_PARAMS', `the payload of the unit ${unit.id} is being uploaded already`);
    if (unit.state.type !== 'pending' || unit.isUploading !== true)
      throw new RelayError('INVALID_PARAMS', `the unit ${unit.id} does not wait for a payload; submit one with upload: true`);
    this.#requireRoom(bytes);
  }

  /**
   * Stores the payload of a unit that waits for it, and queues the unit. If `body` ends with an error, the unit waits for another upload.
   * Rejects with that error, or with RelayErrors INVALID_PARAMS (it does not wait for one), LIMIT (the disk quota), STATE_DIRECTORY.
   */
  async upload(unit: Unit, body: AsyncIterable<Buffer>): Promise<Unit> {
    this.#requireOpen();
    this.requireUpload(unit);
    this.#uploads.set(unit.id, 0);
    try {
      const payloadBytes = await this.#writePayload(unit, body);
      const current = this.#units.get(unit.id);
      if (current?.state.type !== 'pending') throw endedEarly(unit);
      this.#requireOpen();
      const complete: Unit = { ...current, payloadBytes, isUploading: false };
      await this.#units.put(complete);
      // It may have been canceled, or have expired, while it was stored.
      if (this.#units.get(unit.id) === complete) this.#schedule.add(complete.type, complete.id);
      this.#dispatch();
      return this.#units.get(unit.id) ?? complete;
    } finally {
      this.#uploads.delete(unit.id);
      // A release may have deleted its directory just before the file was created.
      if (!this.has(unit.id)) await rm(this.#units.pathOf(unit.id), { recursive: true, force: true });
    }
  }

  async #writePayload(unit: Unit, body: AsyncIterable<Buffer>): Promise<number> {
    const path = join(await this.#units.directoryOf(unit.id), PAYLOAD);
    const file = await open(path, 'w', 0o600).catch(payloadFailed);
    let bytes = 0;
    try {
      for await (const chunk of body) {
        this.#requireRoom(chunk.length);
        bytes += chunk.length;
        // It writes on from the end of the last chunk.
        await file.writeFile(chunk).catch(payloadFailed);
        if (this.#uploads.has(unit.id)) this.#countUploaded(unit, bytes);
      }
      await file.datasync().catch(payloadFailed);
      return bytes;
    } finally {
      await file.close();
    }
  }

  #countUploaded(unit: Unit, bytes: number): void {
    this.#uploads.set(unit.id, bytes);
    if (this.#units.get(unit.id)?.state.type !== 'pending') throw endedEarly(unit);
  }

  /** The same submission again is the same unit. */
  #sameUnit(unit: Unit, type: string, submitter: Submitter): Unit {
    if (unit.submitter.id === submitter.id && unit.type === type) return unit;
    throw new RelayError('INVALID_PARAMS', `there is another unit '${unit.id}' already; choose another id, or leave it out`);
  }

  /** Stores a new unit, and starts or queues it. Resolves to the unit as it was submitted. */
  async #storeNew(unit: Unit, executor: Executor, payload: Buffer | undefined): Promise<Unit> {
    const isSmall = payload !== undefined && payload.length <= MAX_STORED_PAYLOAD;
    if (isSmall && executor.isReady && this.#schedule.takeNew(unit.type, this.#concurrency)) {
      await this.#begin(unit, executor, payload).started;
      return unit;
    }
    const { maxPending } = this.#parts.limits;
    if (this.#expiries.size >= maxPending)
      throw new RelayError('LIMIT', `${maxPending} units wait already (workLimits.maxPending); submit it later`);
    if (payload && !isSmall) await this.#writePayload(unit, asIterable(payload));
    await this.#units.put(unit, isSmall && payload.length > 0 ? { payload } : {});
    this.#enqueue(unit);
    this.#dispatch();
    return unit;
  }

  /** Queues a pending unit, and lets it expire. */
  #enqueue(unit: Unit): void {
    const { clock, date } = this.#parts;
    const cancel = clock.after(Math.max(0, unit.expiresAt - date()), () => {
      void this.#expire(unit.id);
    });
    this.#expiries.set(unit.id, cancel);
    if (unit.isUploading !== true) this.#schedule.add(unit.type, unit.id);
  }

  #dequeue({ id, type }: Unit): void {
    this.#expiries.get(id)?.();
    this.#expiries.delete(id);
    this.#schedule.remove(type, id);
  }

  async #expire(id: string): Promise<void> {
    const unit = this.#units.get(id);
    if (unit?.state.type !== 'pending' || this.#runs.has(id)) return;
    this.#dequeue(unit);
    const reason = unit.isUploading ? 'its payload did not arrive in time' : 'it did not start in time (ttl)';
    await this.#units.settle(unit, { type: 'expired', reason });
  }

  /** Runs a unit: one that waited or, if its payload is given, a new one. The schedule counts it as running. */
  #begin(unit: Unit, executor: Executor, payload?: Buffer): UnitRun {
    this.#expiries.get(unit.id)?.();
    this.#expiries.delete(unit.id);
    const run = new UnitRun(unit, executor, this.#runParts, payload);
    this.#runs.set(unit.id, run);
    void run.ended.then(() => this.#runs.delete(unit.id));
    return run;
  }

  /** An output of a unit that does not run, as a stream with its end. */
  async #keptOutput(unit: Unit, name: string): Promise<Stream<OutputItem>> {
    const { clock } = this.#parts;
    const stored = await this.#units.output(unit.id, name);
    const filedBytes = stored ? undefined : unit.outputs[name]?.bytes;
    const storage = new Output({ directory: () => this.#units.directoryOf(unit.id), name, maxBytes: 0, stored, filedBytes });
    return new Stream<OutputItem>({ id: `${unit.id}/${name}`, storage, clock, report: () => undefined, state: streamState(unit) });
  }

  #executorOf(type: string): Executor {
    const executors = this.#executors;
    const executor = executors.get(type);
    if (executor) return executor;
    const hint = suggest(type, [...executors.keys()]);
    throw new RelayError(
      'INVALID_PARAMS',
      `nothing here does the work '${clean(type, 100)}'${hint || '; work.types lists what can be submitted'}`,
    );
  }

  #requireRoom(more: number): void {
    const { maxBytes } = this.#parts.limits;
    let arrived = 0;
    for (const bytes of this.#uploads.values()) arrived += bytes;
    if (this.#units.bytes + arrived + more <= maxBytes) return;
    throw new RelayError('LIMIT', `payloads and results fill their ${maxBytes} bytes (workLimits.maxBytes); release finished units`);
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw new RelayError('UNAVAILABLE', 'the relay does not take work now: it is starting or stopping');
  }

  #cleanUpLater(): void {
    this.#cancelCleanUp = this.#parts.clock.after(CLEAN_UP_MS, () => {
      void this.#cleanUp().finally(() => {
        if (this.#isOpen) this.#cleanUpLater();
      });
    });
  }

  /** Removes finished units that are too old or too many, the oldest first. */
  async #cleanUp(): Promise<void> {
    const { limits, date, log } = this.#parts;
    const ended = this.#units.all.filter(({ state }) => isFinal(state));
    const excess = ended.length - limits.maxKept;
    const due = ended.filter(({ endedAt = 0 }, index) => index < excess || endedAt + limits.keepMs <= date());
    for (const unit of due) {
      await this.release(unit).catch((error: unknown) => {
        log.warn(`the unit ${unit.id} cannot be cleaned up: ${reasonOf(error)}`);
      });
    }
  }
}

/** A unit that ran when the relay ended. Its process is gone, or does not know the relay any more. */
function orphaned({ process }: Extract<UnitState, { type: 'running' }>): UnitState {
  const still = process && isAlive(process) ? `; its process ${process.pid} still runs` : '';
  return { type: 'failed', reason: `orphaned: the relay ended while it ran${still}` };
}

function streamState({ state }: Unit): StreamState {
  if (state.type === 'failed') return { type: 'failed', reason: state.reason };
  return state.type === 'succeeded' ? { type: 'ended' } : { type: 'canceled', reason: `the unit is ${state.type}` };
}

/** Throws a RelayError INVALID_PARAMS for parameters that this work does not take. */
function requireParams({ type, params: allowed }: Executor, params: Dict): void {
  if (allowed === 'any') return;
  const unknown = Object.keys(params).find((name) => !allowed.includes(name));
  if (unknown === undefined) return;
  const known = allowed.length === 0 ? 'it takes none' : `it takes ${allowed.join(', ')}`;
  throw new RelayError('INVALID_PARAMS', `${type} does not take the parameter '${clean(unknown, 60)}': ${known}`);
}

function endedEarly({ id }: Unit): RelayError {
  return new RelayError('UNAVAILABLE', `the unit ${id} ended while its payload arrived`);
}

function payloadFailed(error: unknown): never {
  throw new RelayError('STATE_DIRECTORY', `the payload cannot be stored: ${systemReason(error)}`, { cause: error });
}

async function* asIterable(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield Promise.resolve(bytes);
}
