/** Units of work of this relay: submitted, queued and run here or by another node, and kept until they are released or cleaned up. */
import type { Submitter } from '../access/access.ts';
import { clean, randomHex, RelayError } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { OrphanWatch, isNameOf } from '../plugin-host/plugin-host.ts';
import { programExecutors } from './program-work.ts';
import type { WorkEvent } from '../relay/relay.ts';
import type { Store } from '../store/store.ts';
import { Stream } from '../streams/streams.ts';
import type { Dict } from '../values/values.ts';
import type { Changes } from './change-log.ts';
import { CleanUp } from './clean-up.ts';
import { Executors, requireParams } from './executor.ts';
import type { Executor } from './executor.ts';
import type { WorkLimits, WorkProgram } from './options.ts';
import { MAX_TRAVEL_MS } from './network.ts';
import type { WorkNetwork } from './network.ts';
import type { PayloadPiece } from './node-wire.ts';
import { Output } from './output.ts';
import type { OutputItem } from './output.ts';
import { Schedule } from './schedule.ts';
import type { Concurrency } from './schedule.ts';
import { ParamsSeal } from './secrets.ts';
import { SentUnits } from './sent-units.ts';
import type { Admission, Submission } from './submission.ts';
import { CANCELED, MAX_STORED_PAYLOAD, UnitRun, orphaned } from './unit-run.ts';
import type { OpenOutput, OutputReader, UnitRunParts } from './unit-run.ts';
import { endOfOutputs, isFinal } from './unit.ts';
import type { Fetch, Unit, UnitState } from './unit.ts';
import { Units } from './units.ts';
import { Uploads } from './uploads.ts';

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
  /** Other nodes that can run units of this relay. Undefined: there are none. */
  readonly network?: WorkNetwork | undefined;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  /** Uniform in [0, 1). Default Math.random. */
  readonly random?: (() => number) | undefined;
  readonly events: EventSink<WorkEvent>;
  readonly log: Log;
}

const ID = /^[A-Za-z0-9][\w.-]{0,99}$/;
const newId = randomHex(10);

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
  readonly #uploads: Uploads;
  /** Units that other nodes run. */
  readonly #sent: SentUnits | undefined;
  readonly #orphans: OrphanWatch;
  readonly #executors: Executors;
  #isOpen = false;
  #onOpen: () => void = () => undefined;
  /** Resolves once work has started. */
  readonly opened = new Promise<void>((resolve) => (this.#onOpen = resolve));
  readonly #cleanUp: CleanUp;

  constructor(parts: WorkParts) {
    this.#parts = parts;
    this.#units = new Units(parts);
    this.#cleanUp = new CleanUp({ ...parts, units: this.#units, release: (unit) => this.release(unit) });
    this.#uploads = new Uploads(this.#units, parts.limits.maxBytes);
    this.#seal = new ParamsSeal(parts.secret);
    const { network, random = Math.random } = parts;
    this.#sent = network && new SentUnits({ ...parts, network, random, units: this.#units, seal: this.#seal });
    this.#orphans = new OrphanWatch(parts.log);
    const surroundings = { ...parts, orphans: this.#orphans, directoryOf: (unit: string) => this.#units.directoryOf(unit) };
    this.#executors = new Executors(parts.offered, programExecutors(parts.programs, surroundings));
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
      if (unit.placement && unit.isUploading !== true) continue;
      if (unit.state.type === 'running') await this.#units.settle(unit, orphaned(unit.state));
      else if (unit.state.type === 'pending') this.#enqueue(unit);
    }
    this.#isOpen = true;
    this.#sent?.start();
    this.#cleanUp.start();
    this.refresh();
    this.#onOpen();
  }

  /** What plugins offer may have changed: starts what may start now. */
  readonly refresh = (): void => {
    this.#executors.refresh();
    this.#dispatch();
  };

  /** Ends what runs. Pending units wait for the next start. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.#cleanUp.stop();
    this.#sent?.stop();
    for (const cancel of this.#expiries.values()) cancel();
    const running = [...this.#runs.values()];
    for (const run of running) run.abort(new RelayError('UNAVAILABLE', 'the relay was stopped while it ran'));
    await Promise.all(running.map(({ ended }) => ended));
    await this.#orphans.stop();
  }

  /** Id of this relay as a node; `''` if it is none. */
  get node(): string {
    return this.#parts.network?.calls.self ?? '';
  }

  /** The types that can be submitted. */
  types(): readonly Executor[] {
    return this.#executors.list();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Stores a unit and queues it, here or for another node. Resolves once it is on the disk. Rejects with RelayErrors INVALID_PARAMS (no
   * such type, parameters that it does not take, an id of somebody else), LIMIT (a full queue or disk quota), STATE_DIRECTORY.
   */
  async submit(submission: Submission, submitter: Submitter): Promise<Unit> {
    this.#requireOpen();
    const id = submission.id ?? newId();
    if (!ID.test(id)) throw new RelayError('INVALID_PARAMS', `an id of a unit has 1 to 100 letters, digits, '.', '-' and '_'`);
    const known = this.#units.get(id) ?? this.#submitting.get(id);
    if (known) return this.#sameUnit(await known, submission.type, submitter);
    const stored = submission.node === undefined ? this.#queueNew(id, submission, submitter) : this.#sendNew(id, submission, submitter);
    if (submission.id === undefined) return stored;
    this.#submitting.set(id, stored);
    try {
      return await stored;
    } finally {
      this.#submitting.delete(id);
    }
  }

  /** Stores and queues a unit that another node submits, once: nothing happens if it is or was here. Rejects as {@link submit} does. */
  async admit(admission: Admission): Promise<Unit | undefined> {
    this.#requireOpen();
    const { id, submitter, fetch } = admission;
    if (this.#units.isBarred(id) || this.#units.get(id)) return undefined;
    this.#uploads.requireRoom(fetch?.bytes ?? 0);
    return this.#queueNew(id, admission, submitter, fetch);
  }

  /** A unit that another node did not submit yet must not come any more: it was canceled there. */
  async bar(id: string): Promise<void> {
    await this.#units.bar(id, this.#parts.date() + MAX_TRAVEL_MS);
  }

  async #queueNew(id: string, submission: Submission, submitter: Submitter, fetch?: Fetch): Promise<Unit> {
    const { payload, params, ttlMs, timeoutMs, group } = submission;
    const { limits, date } = this.#parts;
    const executor = this.#executors.require(submission.type);
    const { type } = executor;
    requireParams(executor, params);
    this.#uploads.requireRoom(payload?.length ?? 0);
    const now = date();
    const unit: Unit = {
      ...{ id, type, submitter, submittedAt: now, expiresAt: now + (ttlMs ?? limits.ttlMs) },
      timeoutMs: Math.min(timeoutMs ?? Infinity, executor.timeoutMs ?? limits.timeoutMs),
      params: this.#seal.seal(params),
      ...{ payloadBytes: payload?.length ?? 0, state: { type: 'pending' }, outputs: {} },
      ...{ isUploading: payload === undefined ? true : undefined, group, fetch },
    };
    return this.#storeNew(unit, executor, payload);
  }

  /** Stores a unit for another node, which checks its type and parameters. */
  async #sendNew(
    id: string,
    { type, payload, params, ttlMs, timeoutMs = 0, node, group }: Submission,
    submitter: Submitter,
  ): Promise<Unit> {
    const { limits, date } = this.#parts;
    const sent = this.#sent;
    if (!sent || node === undefined) throw new RelayError('NOT_FOUND', 'this relay is no node of a mesh; submit the unit without a node');
    if (ttlMs !== undefined && ttlMs > MAX_TRAVEL_MS)
      throw new RelayError('INVALID_PARAMS', `a unit waits for another node for at most a week: ttl must not exceed ${MAX_TRAVEL_MS}`);
    this.#requireSeat();
    const now = date();
    const unit: Unit = {
      ...{ id, type, submitter, timeoutMs, params: this.#seal.seal(params), payloadBytes: payload?.length ?? 0 },
      ...{ submittedAt: now, expiresAt: now + Math.min(ttlMs ?? limits.ttlMs, MAX_TRAVEL_MS) },
      ...{ state: { type: 'pending' }, outputs: {}, group },
    };
    if (payload && !sent.isHeld(unit, payload)) return sent.submit({ ...unit, placement: { node } }, payload);
    this.#uploads.requireRoom(payload?.length ?? 0);
    const held: Unit = { ...unit, placement: { node, isHeld: true }, isUploading: payload === undefined ? true : undefined };
    if (payload && payload.length > 0) await this.#uploads.write(held, [payload]);
    await this.#units.put(held);
    if (payload) await sent.send(held);
    else this.#enqueue(held);
    return this.#units.get(id) ?? held;
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

  get(id: string): Unit | undefined {
    return this.#units.get(id);
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
    if (unit.placement && this.#sent) return this.#sent.outputsOf(unit);
    const run = this.#runs.get(unit.id);
    if (!run) return unit.outputs;
    const sizes = [...run.outputs].map(([name, stream]) => {
      const { next, refused } = stream.status();
      return [name, { bytes: next, truncated: refused > 0 }] as const;
    });
    return Object.fromEntries(sizes);
  }

  /** How many units of its type start before it; undefined if it does not wait. */
  positionOf(unit: Unit): number | undefined {
    return unit.placement ? this.#sent?.positionOf(unit) : this.#schedule.positionOf(unit.type, unit.id);
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
  async withOutput<T>(unit: Unit, name: string | undefined, read: (stream: OutputReader, unit: Unit) => Promise<T>): Promise<T> {
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
    if (unit.placement && this.#sent) return this.#sent.openOutput(unit, name);
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
    if (unit.placement?.message !== undefined && this.#sent) return (await this.#sent.cancel(unit)) ?? unit;
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
    if (ended.placement) await this.#sent?.release(ended);
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
    if (this.#uploads.has(unit)) throw new RelayError('INVALID_PARAMS', `the payload of the unit ${unit.id} is being uploaded already`);
    if (unit.state.type !== 'pending' || unit.isUploading !== true || unit.fetch)
      throw new RelayError('INVALID_PARAMS', `the unit ${unit.id} does not wait for a payload; submit one with upload: true`);
    this.#uploads.requireRoom(bytes);
  }

  /**
   * Stores the payload of a unit that waits for it, and queues the unit. If `body` ends with an error, the unit waits for another upload.
   * Rejects with that error, or with RelayErrors INVALID_PARAMS (it does not wait for one), LIMIT (the disk quota), STATE_DIRECTORY.
   */
  async upload(unit: Unit, body: AsyncIterable<Buffer>): Promise<Unit> {
    this.#requireOpen();
    this.requireUpload(unit);
    return this.#complete(unit, body, () => ({}));
  }

  /** Stores the payload of a unit that another node submitted and this relay fetches, with the parameters that came with it. */
  async fetched(unit: Unit, body: AsyncIterable<Buffer>, params: () => Dict): Promise<void> {
    await this.#complete(unit, body, () => {
      requireParams(this.#executors.require(unit.type), params());
      return { params: this.#seal.seal(params()) };
    });
  }

  async #complete(unit: Unit, body: AsyncIterable<Buffer>, more: () => Partial<Unit>): Promise<Unit> {
    return this.#uploads.take(unit, body, async (current, payloadBytes) => {
      this.#requireOpen();
      const complete: Unit = { ...current, payloadBytes, isUploading: false, ...more() };
      await this.#units.put(complete);
      if (complete.placement) {
        this.#forgetExpiry(unit.id);
        await this.#sent?.send(complete);
      } else if (this.#units.get(unit.id) === complete) {
        // It may have been canceled, or have expired, while it was stored.
        this.#schedule.add(complete.type, complete.id);
        this.#dispatch();
      }
      return this.#units.get(unit.id) ?? complete;
    });
  }

  /** Ends a unit that waits, since it cannot be run. */
  async refuse(unit: Unit, reason: string): Promise<void> {
    const current = this.#units.get(unit.id);
    if (current?.state.type !== 'pending' || this.#runs.has(unit.id)) return;
    this.#dequeue(current);
    await this.#units.settle(current, { type: 'failed', reason });
  }

  /** What has changed of the units that a node submitted. */
  changesFor(node: string, after: string, waitMs: number, signal: AbortSignal | undefined): Promise<Changes> {
    this.#requireOpen();
    return this.#units.changes.after(node, after, waitMs, signal);
  }

  /** A piece of the payload of a unit for the node that runs it. */
  async payloadPiece(id: string, node: string, offset: number, limit: number): Promise<PayloadPiece> {
    if (!this.#sent) throw new RelayError('UNAVAILABLE', 'this relay is no node of a mesh');
    return this.#sent.piece(id, node, offset, limit);
  }

  /** The same submission again is the same unit. */
  #sameUnit(unit: Unit, type: string, submitter: Submitter): Unit {
    if (unit.submitter.id === submitter.id && isNameOf(type, unit.type)) return unit;
    throw new RelayError('INVALID_PARAMS', `there is another unit '${unit.id}' already; choose another id, or leave it out`);
  }

  /** Stores a new unit, and starts or queues it. Resolves to the unit as it was submitted. */
  async #storeNew(unit: Unit, executor: Executor, payload: Buffer | undefined): Promise<Unit> {
    const isSmall = payload !== undefined && payload.length <= MAX_STORED_PAYLOAD;
    if (isSmall && executor.isReady && this.#schedule.takeNew(unit.type, this.#concurrency)) {
      await this.#begin(unit, executor, payload).started;
      return unit;
    }
    this.#requireSeat();
    if (payload && !isSmall) await this.#uploads.write(unit, [payload]);
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
    this.#forgetExpiry(id);
    this.#schedule.remove(type, id);
  }

  #forgetExpiry(id: string): void {
    this.#expiries.get(id)?.();
    this.#expiries.delete(id);
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
    this.#forgetExpiry(unit.id);
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
    return new Stream<OutputItem>({ id: `${unit.id}/${name}`, storage, clock, report: () => undefined, state: endOfOutputs(unit) });
  }

  #requireSeat(): void {
    const { maxPending } = this.#parts.limits;
    if (this.#expiries.size < maxPending) return;
    throw new RelayError('LIMIT', `${maxPending} units wait already (workLimits.maxPending); submit it later`);
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw new RelayError('UNAVAILABLE', 'the relay does not take work now: it is starting or stopping');
  }
}
