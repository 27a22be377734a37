/** The units that other nodes submit: taken from the mesh, run here as any other, with large payloads fetched from where they come from. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { submitterAt } from '../access/access.ts';
import { RelayError, nextDelay, reasonOf } from '../core/core.ts';
import type { BackOff, Clock } from '../core/core.ts';
import type { MeshArrival } from '../mesh/mesh.ts';
import { Double, dictOf } from '../values/values.ts';
import type { Dict } from '../values/values.ts';
import { parseStruct } from '../xmlrpc/xmlrpc.ts';
import { WORK_MESSAGE, decodeMessage, idAt } from './network.ts';
import type { WorkMessage, WorkNetwork } from './network.ts';
import { readPiece } from './node-wire.ts';
import type { Fetch, Unit } from './unit.ts';
import type { Work } from './work-units.ts';

export interface ReceivedUnitsParts {
  readonly work: Work;
  readonly network: WorkNetwork;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

// Payloads that are fetched at once: each holds a piece in memory.
const MAX_FETCHES = 4;
const PIECE_BYTES = 512 * 1024;
const PIECE_TIMEOUT_MS = 30_000;
const BACK_OFF: BackOff = { firstMs: 500, factor: 2, maxMs: 30_000, jitter: 0.5 };
// Errors after which the other node is asked again.
const PASSING = ['TRANSPORT', 'TIMEOUT', 'UNAVAILABLE', 'NOT_FOUND', 'LIMIT', 'RATE_LIMITED'];

/** See the head of this file. */
export class ReceivedUnits {
  readonly #parts: ReceivedUnitsParts;
  readonly #stopping = new AbortController();
  #toFetch: Unit[] = [];
  #fetches = 0;

  /** Takes messages from now on; they wait until work has started. */
  constructor(parts: ReceivedUnitsParts) {
    this.#parts = parts;
    parts.network.port.receive(WORK_MESSAGE, async (arrival) => {
      await this.#receive(arrival);
      return { type: 'done' };
    });
  }

  /** Goes on with payloads that were not fetched completely. */
  start(): void {
    for (const unit of this.#parts.work.list(undefined)) if (unit.fetch && unit.isUploading === true) this.#toFetch.push(unit);
    this.#fetchNext();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Rejects with the RelayError with which a message is refused. */
  async #receive({ head, payload: bytes, ageMs }: MeshArrival): Promise<void> {
    const { work, network } = this.#parts;
    await work.opened;
    try {
      if (head.target !== network.calls.self) throw new RelayError('INVALID_PARAMS', 'a unit of work is for one node');
      network.requireSubmitter(head.origin);
      const { message, payload } = decodeMessage(bytes);
      const id = idAt(message.unit, head.origin);
      if (message.type === 'submit') await this.#admit(id, message, payload, { origin: head.origin, ttlMs: head.ttlMs - ageMs });
      else await this.#end(id, message.type);
    } catch (error) {
      // A relay that stops takes it again at its next start.
      if (!work.isOpen) await new Promise<never>(() => undefined);
      throw error;
    }
  }

  async #admit(
    id: string,
    message: Extract<WorkMessage, { readonly type: 'submit' }>,
    payload: Buffer,
    { origin, ttlMs }: { readonly origin: string; readonly ttlMs: number },
  ): Promise<void> {
    const { work: type, timeoutMs, params, fetch } = message;
    if (ttlMs <= 0) throw new RelayError('INVALID_PARAMS', 'it arrived too late (ttl)');
    const unit = await this.#parts.work.admit({
      ...{ id, type, timeoutMs, ttlMs, submitter: submitterAt(origin, message.submitter) },
      params: params === undefined ? dictOf() : parseStruct(params),
      ...{ payload: fetch ? undefined : Buffer.from(payload), fetch: fetch && { node: origin, ...fetch } },
    });
    if (!unit?.fetch) return;
    this.#toFetch.push(unit);
    this.#fetchNext();
  }

  async #end(id: string, type: 'cancel' | 'release'): Promise<void> {
    const { work } = this.#parts;
    if (!work.has(id)) await work.bar(id);
    else if (type === 'cancel') await work.cancel(work.find(id, undefined));
    else await work.release(work.find(id, undefined));
  }

  #fetchNext(): void {
    while (this.#fetches < MAX_FETCHES && !this.#stopping.signal.aborted) {
      const unit = this.#toFetch.shift();
      if (!unit?.fetch) return;
      this.#fetches++;
      void this.#fetch(unit, unit.fetch).finally(() => {
        this.#fetches--;
        this.#fetchNext();
      });
    }
  }

  /** Never rejects. */
  async #fetch(unit: Unit, fetch: Fetch): Promise<void> {
    const { work } = this.#parts;
    let params = dictOf();
    const pieces = this.#pieces(unit, fetch, (first) => (params = first));
    await work
      .fetched(unit, pieces, () => params)
      .catch(async (error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        await work.refuse(unit, `its payload cannot be fetched from node ${fetch.node}: ${reasonOf(error)}`);
      })
      .catch(() => undefined);
  }

  /** The payload in pieces, from the byte on that is missing, however often the other node cannot be reached meanwhile. */
  async *#pieces({ id }: Unit, { node, bytes, hash: expected }: Fetch, onParams: (params: Dict) => void): AsyncGenerator<Buffer, void> {
    const { calls } = this.#parts.network;
    const { signal } = this.#stopping;
    const hash = createHash('sha256');
    const unit = id.slice(0, -idAt('', node).length);
    for (let [offset, failures, isFirst] = [0, 0, true]; isFirst || offset < bytes;) {
      try {
        const wanted = { unit, offset: new Double(offset), limit: PIECE_BYTES };
        const { params, payload } = readPiece(await calls.call(node, 'work.payload', [wanted], { timeoutMs: PIECE_TIMEOUT_MS, signal }));
        if (isFirst) onParams(parseStruct(params));
        if (payload.length === 0 && offset < bytes) throw new RelayError('INVALID_PARAMS', `it ends after ${offset} of ${bytes} bytes`);
        [isFirst, failures] = [false, 0];
        offset += payload.length;
        hash.update(payload);
        yield payload;
      } catch (error) {
        signal.throwIfAborted();
        if (!RelayError.is(error) || !PASSING.includes(error.code)) throw error;
        await this.#pause(nextDelay(failures++, BACK_OFF, this.#parts.random));
        this.#requirePending(id);
      }
    }
    requireHash(hash, expected);
  }

  /** Throws a RelayError UNAVAILABLE if the unit has ended meanwhile. */
  #requirePending(id: string): void {
    const { work } = this.#parts;
    if (!work.has(id) || work.find(id, undefined).state.type !== 'pending') throw new RelayError('UNAVAILABLE', 'the unit has ended');
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancelTimer();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancelTimer = this.#parts.clock.after(ms, end);
      signal.addEventListener('abort', end);
    });
    signal.throwIfAborted();
  }
}

function requireHash(hash: Hash, expected: string): void {
  if (hash.digest('hex') !== expected) throw new RelayError('INVALID_PARAMS', 'it is not the payload that was submitted');
}
