/** The units of this relay that other nodes run: sent to them, followed, canceled and released there, and given up when a node vanishes. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { RelayError, SerialQueue, clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { describeNode } from '../mesh/mesh.ts';
import type { MeshOutcome } from '../mesh/mesh.ts';
import type { PageOptions, StreamPage } from '../streams/streams.ts';
import { Double } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { serialiseStruct } from '../xmlrpc/xmlrpc.ts';
import { Follower } from './follower.ts';
import { MAX_CARRIED_BYTES, MAX_TRAVEL_MS, WORK_MESSAGE, encodeMessage, idAt } from './network.ts';
import type { WorkMessage, WorkNetwork } from './network.ts';
import { readPage, readReport } from './node-wire.ts';
import type { OutputPage, PayloadPiece, ReadChanges, UnitReport } from './node-wire.ts';
import type { OutputItem } from './output.ts';
import { hasSecrets } from './secrets.ts';
import type { ParamsSeal } from './secrets.ts';
import { PAYLOAD } from './unit-run.ts';
import type { OpenOutput } from './unit-run.ts';
import { asReported, endOfOutputs, isFinal } from './unit.ts';
import type { Placement, Unit, UnitState } from './unit.ts';
import type { Units } from './units.ts';

export interface SentUnitsParts {
  readonly units: Units;
  readonly network: WorkNetwork;
  readonly seal: ParamsSeal;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** A unit that another node runs. */
type Sent = Unit & { readonly placement: Placement };

/** What a node said last about a unit; it is not stored. */
interface Latest {
  readonly outputs: Unit['outputs'];
  readonly position: number | undefined;
}

// A node that was not heard of for this long has vanished, and its units are lost. A follower notices it within 35 s.
const LEASE_MS = 30_000;
// A cancel or a release is answered soon, or sent as a message.
const ANSWER_MS = 10_000;
// The state of a unit follows the end of its results.
const SETTLE_MS = 5_000;
const RETRY_MS = 1_000;
// Beyond the longest wait of a page.
const GRACE_MS = 10_000;
// The mesh reports that a message has expired soon after it did.
const EXPIRY_GRACE_MS = 60_000;
// Protects memory at a start: outcomes of all messages, also of dicts. A unit whose refusal is not among them expires.
const MAX_EARLY = 10_000;
// Errors that say nothing about the unit, but that the node could not be asked.
const CONNECTION = ['TRANSPORT', 'TIMEOUT', 'UNAVAILABLE', 'NOT_FOUND'];

/** See the head of this file. */
export class SentUnits {
  readonly #parts: SentUnitsParts;
  /** The unit of each message whose outcome is awaited. */
  readonly #messages = new Map<string, string>();
  readonly #followers = new Map<string, Follower>();
  readonly #latest = new Map<string, Latest>();
  /** When it became known that a node has a unit, by the clock. */
  readonly #since = new Map<string, number>();
  /** Changes of one unit, one after the other. */
  readonly #changes = new Map<string, SerialQueue>();
  /** Units that nodes have mentioned since they began to tell of all. */
  readonly #mentioned = new Map<string, Set<string>>();
  /** What the mesh, which starts first, reported before the units were read. */
  readonly #early: MeshOutcome[] = [];
  #hasStarted = false;
  #isOpen = false;

  constructor(parts: SentUnitsParts) {
    this.#parts = parts;
    parts.network.port.onOutcome((outcome) => {
      if (this.#hasStarted) this.#learn(outcome);
      else if (outcome.status !== 'delivered' && this.#early.length < MAX_EARLY) this.#early.push(outcome);
    });
  }

  /** Goes on with the units of earlier runs. */
  start(): void {
    this.#isOpen = true;
    for (const unit of this.#parts.units.all) {
      if (!isSent(unit)) continue;
      const { message, isDelivered, isHeld } = unit.placement;
      if (message !== undefined) this.#messages.set(message, unit.id);
      if (isDelivered === true) this.#since.set(unit.id, this.#parts.clock.now());
      // The relay ended before it was sent.
      if (message === undefined && isHeld === true && unit.isUploading !== true && unit.state.type === 'pending')
        void this.send(unit).catch((error: unknown) => this.#settle(unit.id, { type: 'failed', reason: reasonOf(error) }));
      this.#follow(unit.placement.node);
    }
    this.#hasStarted = true;
    for (const outcome of this.#early.splice(0)) this.#learn(outcome);
  }

  stop(): void {
    this.#isOpen = false;
    for (const follower of this.#followers.values()) follower.stop();
  }

  /** True if payload and parameters are kept here until the node fetches them: they are large, or must not be on other disks. */
  isHeld(unit: Unit, payload: Buffer | undefined): boolean {
    const { seal } = this.#parts;
    if (payload === undefined || hasSecrets(unit.params)) return true;
    return payload.length + Buffer.byteLength(serialiseStruct(seal.open(unit.params), WIRE)) > MAX_CARRIED_BYTES;
  }

  /** Sends a new unit with all that belongs to it, and stores it once the mesh has it. */
  async submit(unit: Sent, payload: Buffer): Promise<Unit> {
    const { seal, units } = this.#parts;
    const params = serialiseStruct(seal.open(unit.params), WIRE);
    // The node may refuse it before it is stored here.
    await this.#inTurn(unit.id, async () => {
      const message = await this.#post(unit, { ...this.#submission(unit), params }, payload);
      this.#messages.set(message, unit.id);
      await units.put({ ...unit, placement: { ...unit.placement, message } });
      this.#follow(unit.placement.node);
    });
    return units.get(unit.id) ?? unit;
  }

  /** Sends a unit that is stored with its payload, which the node fetches. Resolves once the mesh has it. */
  async send({ id }: Unit): Promise<void> {
    const { units } = this.#parts;
    await this.#change(id, async (unit) => {
      if (!isSent(unit) || unit.state.type !== 'pending') return;
      const hash = createHash('sha256');
      if (unit.payloadBytes > 0) for await (const chunk of createReadStream(this.#pathOf(unit))) hash.update(chunk as Buffer);
      const fetch = { bytes: unit.payloadBytes, hash: hash.digest('hex') };
      const message = await this.#post(unit, { ...this.#submission(unit), fetch });
      this.#messages.set(message, id);
      await units.put({ ...unit, placement: { ...unit.placement, message } }, { isSameState: true });
      this.#follow(unit.placement.node);
    });
  }

  /** A piece of the payload of a unit for the node that runs it, with the parameters. Rejects with a RelayError INVALID_PARAMS. */
  async piece(id: string, node: string, offset: number, limit: number): Promise<PayloadPiece> {
    const { units, seal } = this.#parts;
    const unit = units.get(id);
    if (!unit || unit.placement?.node !== node || unit.placement.isHeld !== true || isFinal(unit.state))
      throw new RelayError('INVALID_PARAMS', `there is no payload for the unit '${clean(id, 100)}' here`);
    const params = serialiseStruct(seal.open(unit.params), WIRE);
    if (unit.payloadBytes === 0) return { params, payload: Buffer.alloc(0) };
    const file = await open(this.#pathOf(unit), 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(limit), 0, limit, offset);
      return { params, payload: buffer.subarray(0, bytesRead) };
    } finally {
      await file.close();
    }
  }

  outputsOf(unit: Unit): Unit['outputs'] {
    return this.#latest.get(unit.id)?.outputs ?? unit.outputs;
  }

  positionOf(unit: Unit): number | undefined {
    return unit.state.type === 'pending' ? this.#latest.get(unit.id)?.position : undefined;
  }

  /**
   * Ends a unit. Resolves to its final state as the node says, or to `canceled` if the node cannot be asked now: it learns that by a
   * message, and ends the unit if it has begun it.
   */
  async cancel({ id }: Unit): Promise<Unit | undefined> {
    const { units, date } = this.#parts;
    const unit = units.get(id);
    if (!isSent(unit) || isFinal(unit.state)) return unit;
    const answer = await this.#ask(unit, 'work.cancel').catch((error: unknown) => {
      if (!isAboutConnection(error) && !isUnknown(error)) throw error;
      return undefined;
    });
    if (answer !== undefined) await this.#take(id, readReport(answer, date()));
    else {
      await this.#settle(id, { type: 'canceled' });
      await this.#retract(unit, 'cancel');
    }
    return units.get(id);
  }

  /** Has the node forget a unit, now or as soon as it can be reached. */
  async release(unit: Unit): Promise<void> {
    this.#latest.delete(unit.id);
    this.#since.delete(unit.id);
    this.#changes.delete(unit.id);
    if (!isSent(unit) || unit.placement.message === undefined) return;
    this.#messages.delete(unit.placement.message);
    const { state, placement } = unit;
    // It refused the unit, or never got it.
    if (placement.isDelivered !== true && (state.type === 'failed' || state.type === 'expired')) return;
    try {
      if ((await this.#ask(unit, 'work.release')) !== undefined && placement.isDelivered === true) return;
    } catch (error) {
      if (!isAboutConnection(error))
        this.#parts.log.warn(`${this.#name(placement.node)} does not release unit ${unit.id}: ${reasonOf(error)}`);
    }
    await this.#retract(unit, 'release');
  }

  /** Opens one of its outputs, which is read from the node page by page; its size is known after the first one. */
  openOutput(unit: Unit, name: string | undefined): OpenOutput {
    let size = 0;
    const stream = {
      get next(): number {
        return size;
      },
      page: async (options: PageOptions = {}): Promise<StreamPage<OutputItem>> => {
        const read = await this.#page(unit.id, name, options);
        ({ size } = read);
        return read;
      },
    };
    return { stream, close: () => Promise.resolve() };
  }

  async #page(
    id: string,
    name: string | undefined,
    { from = 0, maxBytes = MAX_PAGE_BYTES, waitMs = 0, isRaw = false, signal }: PageOptions,
  ): Promise<OutputPage> {
    const { units, clock } = this.#parts;
    const unit = units.get(id);
    if (!isSent(unit)) throw new RelayError('UNAVAILABLE', `the unit ${id} was released`);
    // Nothing is there yet, or nothing ever was.
    const isEmpty = unit.state.type === 'pending' || (isFinal(unit.state) && Object.keys(this.outputsOf(unit)).length === 0);
    if (isEmpty) return { items: [], next: from, missed: 0, size: 0, state: isFinal(unit.state) ? endOfOutputs(unit) : { type: 'open' } };
    const { node } = unit.placement;
    const wanted = {
      ...{ unit: idAt(id, this.#self), offset: new Double(from), limit: Math.min(maxBytes, MAX_PAGE_BYTES), waitMs, raw: isRaw },
      ...(name !== undefined && { stream: name }),
    };
    try {
      const timeoutMs = waitMs + GRACE_MS;
      const page = readPage(await this.#parts.network.calls.call(node, 'work.page', [wanted], { timeoutMs, signal }), from);
      // Readers ask for the state once the results have ended.
      if (page.state.type !== 'open') await units.leaving(unit, ['pending', 'running', 'lost'], SETTLE_MS, signal);
      return page;
    } catch (error) {
      if (!isAboutConnection(error)) throw error;
      const now = units.get(id) ?? unit;
      const isOver = now.state.type === 'lost' || waitMs === 0;
      if (isOver)
        throw new RelayError('UNAVAILABLE', `the results of unit ${id} are at ${this.#name(node)}: ${reasonOf(error)}`, { cause: error });
      // A reader that waits goes on when the node can be reached again, until the unit is lost.
      await new Promise<void>((resolve) => clock.after(Math.min(waitMs, RETRY_MS), resolve));
      signal?.throwIfAborted();
      return { items: [], next: from, missed: 0, state: { type: 'open' }, size: from };
    }
  }

  get #self(): string {
    return this.#parts.network.calls.self;
  }

  #pathOf({ id }: Unit): string {
    return join(this.#parts.units.pathOf(id), PAYLOAD);
  }

  #submission({ id, type, submitter, timeoutMs }: Sent): Extract<WorkMessage, { type: 'submit' }> {
    return { type: 'submit', unit: id, work: type, submitter: submitter.text, ...(timeoutMs > 0 && { timeoutMs }) };
  }

  #post(
    { id, placement, expiresAt }: Sent,
    message: WorkMessage,
    payload?: Buffer,
    ttlMs = expiresAt - this.#parts.date(),
  ): Promise<string> {
    const { port } = this.#parts.network;
    return port.submit({
      ...{ target: { type: 'node', id: placement.node }, contentType: WORK_MESSAGE, payload: encodeMessage(message, payload) },
      ...{ isDurable: true, isOrdered: true, ttlMs: Math.max(1, Math.min(ttlMs, MAX_TRAVEL_MS)), ref: id.slice(0, 200) },
    });
  }

  /** Takes back a submission if it still waits here, and says by a message, which waits for the node, that the unit is to end. */
  async #retract(unit: Sent, type: 'cancel' | 'release'): Promise<void> {
    const { message, isDelivered } = unit.placement;
    if (message === undefined) return;
    if (isDelivered !== true) await this.#parts.network.port.drop(message, 'its unit of work was canceled');
    await this.#post(unit, { type, unit: unit.id }, undefined, MAX_TRAVEL_MS);
  }

  /** Asks the node to do something with a unit, if there is a way to it. */
  async #ask({ id, placement: { node, message } }: Sent, method: string): Promise<Value | undefined> {
    const { port, calls } = this.#parts.network;
    if (message === undefined || port.path(node) === undefined) return undefined;
    return calls.call(node, method, [{ unit: idAt(id, this.#self) }], { timeoutMs: ANSWER_MS });
  }

  /** The node for people. */
  #name(node: string): string {
    return describeNode(node, this.#parts.network.port.nodes());
  }

  #learn(outcome: MeshOutcome): void {
    const unit = this.#messages.get(outcome.id);
    if (unit !== undefined) void this.#ended(unit, outcome);
  }

  /** What became of the message with a submission. Never rejects. */
  async #ended(id: string, { status, reason }: MeshOutcome): Promise<void> {
    if (status !== 'delivered') {
      const why = reason === '' ? '' : `: ${clean(reason, 500)}`;
      const node = this.#parts.units.get(id)?.placement?.node ?? '';
      if (status === 'expired') await this.#expire(id, node);
      else await this.#settle(id, { type: 'failed', reason: `${this.#name(node)} did not take it${why}` });
      return;
    }
    this.#since.set(id, this.#parts.clock.now());
    await this.#change(id, async (unit) => {
      if (!isSent(unit) || unit.placement.isDelivered === true) return;
      await this.#parts.units.put({ ...unit, placement: { ...unit.placement, isDelivered: true } }, { isSameState: true });
      this.#follow(unit.placement.node);
    });
    const node = this.#parts.units.get(id)?.placement?.node;
    if (node !== undefined) this.#followers.get(node)?.wake();
  }

  /** Follows a node while it has units of ours. */
  #follow(node: string): void {
    if (!this.#isOpen || this.#followers.has(node) || !this.#isNeeded(node)) return;
    const { network, clock, date, random, log } = this.#parts;
    const follower = new Follower({
      ...{ node, clock, date, random, log },
      ask: (after, waitMs, timeoutMs, signal) => network.calls.call(node, 'work.changes', [{ after, waitMs }], { timeoutMs, signal }),
      isReachable: () => network.port.path(node) !== undefined,
      isNeeded: () => this.#isNeeded(node),
      take: (changes) => this.#takeAll(node, changes),
      check: (heardAt) => this.#check(node, heardAt),
      onEnd: () => {
        this.#followers.delete(node);
        // A unit may have been sent just now.
        this.#follow(node);
      },
    });
    this.#followers.set(node, follower);
  }

  #isNeeded(node: string): boolean {
    return this.#unfinishedAt(node).some(({ placement: { message } }) => message !== undefined);
  }

  /** Units whose end is not known, with those that are only supposed to be lost. */
  #unfinishedAt(node: string): readonly Sent[] {
    return this.#parts.units.all
      .filter(isSent)
      .filter(({ placement, state }) => placement.node === node && (!isFinal(state) || state.type === 'lost'));
  }

  async #takeAll(node: string, { units, gone, isReset, hasMore }: ReadChanges): Promise<void> {
    if (isReset) this.#mentioned.set(node, new Set());
    const mentioned = this.#mentioned.get(node);
    const suffix = idAt('', this.#self);
    const idOf = (unit: string): string | undefined => {
      const id = unit.endsWith(suffix) ? unit.slice(0, -suffix.length) : '';
      return this.#parts.units.get(id)?.placement?.node === node ? id : undefined;
    };
    await Promise.all(
      units.map(async (one) => {
        const id = idOf(one.unit);
        if (id === undefined) return;
        mentioned?.add(id);
        await this.#take(id, one);
      }),
    );
    const lost = gone.flatMap((unit) => idOf(unit) ?? []);
    if (mentioned && !hasMore) {
      this.#mentioned.delete(node);
      const now = this.#parts.clock.now();
      for (const { id } of this.#unfinishedAt(node)) {
        // It may have arrived there just now, and not be stored yet.
        const since = this.#since.get(id);
        if (!mentioned.has(id) && since !== undefined && now - since >= LEASE_MS) lost.push(id);
      }
    }
    for (const id of lost) await this.#lose(id, `${this.#name(node)} does not have it any more`);
  }

  async #take(id: string, { report, position }: UnitReport): Promise<void> {
    const { units, date } = this.#parts;
    this.#latest.set(id, { outputs: report.outputs, position });
    if (!this.#since.has(id)) this.#since.set(id, this.#parts.clock.now());
    await this.#change(id, async (unit) => {
      const { startedAt = unit.startedAt, endedAt = isFinal(report.state) ? date() : undefined } = report;
      const next = asReported(unit, { ...report, startedAt, endedAt });
      if (!next) return;
      const isSameState = next.state.type === unit.state.type;
      if (isSameState && unit.placement?.isDelivered === true) return;
      await units.put(next, { isSameState });
    });
    if (isFinal(report.state)) this.#latest.delete(id);
  }

  /** Gives up the units of a node that was not heard of. Returns true if the node is to tell of all units when it answers again. */
  #check(node: string, heardAt: number): boolean {
    const { clock, date } = this.#parts;
    const now = clock.now();
    let isAllWanted = false;
    for (const { id, state, placement, expiresAt } of this.#unfinishedAt(node)) {
      const since = this.#since.get(id);
      // The relay may have ended just when it learned that.
      if (state.type === 'pending' && placement.isDelivered !== true && date() >= expiresAt + EXPIRY_GRACE_MS) void this.#expire(id, node);
      if (isFinal(state) || placement.isDelivered !== true || since === undefined || now - since < LEASE_MS) continue;
      const isSilent = now - heardAt >= LEASE_MS;
      if (isSilent) void this.#lose(id, `${this.#name(node)} was not heard of for ${LEASE_MS / 1000} s`);
      // It has never mentioned this unit, or has nothing new to tell of it.
      if (isSilent || !this.#latest.has(id)) isAllWanted = true;
    }
    return isAllWanted;
  }

  #expire(id: string, node: string): Promise<void> {
    return this.#settle(id, { type: 'expired', reason: `it did not reach ${this.#name(node)} in time (ttl)` });
  }

  #lose(id: string, reason: string): Promise<void> {
    return this.#settle(id, { type: 'lost', reason });
  }

  /** Never rejects. */
  async #settle(id: string, state: UnitState): Promise<void> {
    const { units, date, log } = this.#parts;
    try {
      await this.#change(id, async (unit) => {
        // What is only supposed gives way to what is known.
        if (isFinal(unit.state) && (unit.state.type !== 'lost' || state.type === 'lost')) return;
        const outputs = this.#latest.get(id)?.outputs ?? unit.outputs;
        await units.put({ ...unit, state, endedAt: date(), outputs });
      });
    } catch (error) {
      log.error(`the state ${state.type} of unit ${id} cannot be stored: ${reasonOf(error)}`);
    }
  }

  /** Runs `change` with a unit, unless it was released, after all earlier changes of it. */
  async #change(id: string, change: (unit: Unit) => Promise<void>): Promise<void> {
    await this.#inTurn(id, async () => {
      const unit = this.#parts.units.get(id);
      if (unit) await change(unit);
    });
  }

  async #inTurn(id: string, work: () => Promise<void>): Promise<void> {
    const queue = this.#changes.get(id) ?? new SerialQueue();
    this.#changes.set(id, queue);
    try {
      await queue.run(work);
    } finally {
      if (queue.length === 0) this.#changes.delete(id);
    }
  }
}

const WIRE = { nil: true, i8: true };
const MAX_PAGE_BYTES = 1024 * 1024;

function isSent(unit: Unit | undefined): unit is Sent {
  return unit?.placement !== undefined;
}

function isAboutConnection(error: unknown): boolean {
  return RelayError.is(error) && CONNECTION.includes(error.code);
}

/** The unit has not arrived there yet, or is not there any more. */
function isUnknown(error: unknown): boolean {
  return RelayError.is(error) && error.code === 'INVALID_PARAMS';
}
