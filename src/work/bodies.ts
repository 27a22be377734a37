/** Payloads and results of units as plain bytes and as events, for the HTTP server. */
import { submitterOf } from '../access/access.ts';
import type { Principal, Submitter } from '../access/access.ts';
import type { Sendable } from '../values/values.ts';
import { writeJson } from '../json/json.ts';
import { isFinal } from './unit.ts';
import type { Unit } from './unit.ts';
import { unitOnWire, valueOf } from './unit-wire.ts';
import type { Work } from './work-units.ts';

export interface WorkBodiesParts {
  readonly work: Work;
  /** True if the caller may see and end the units of everybody. */
  readonly isAdmin: (caller: Principal) => boolean;
}

/** An event of a unit. */
export interface UnitEvent {
  readonly type: 'state' | 'result';
  /** From where to go on after it: the offset after a result, `end` after the final state; undefined for the states before. */
  readonly id: string | undefined;
  /** One line of JSON: the unit, or the result. */
  readonly data: string;
}

/** Which bytes of an output are read. */
export interface WantedBytes {
  readonly from: number;
  /** The offset after the last byte; undefined: to the end of the unit, which is waited for. */
  readonly to: number | undefined;
  /** Ends the reading. */
  readonly signal: AbortSignal;
}

// What one reader takes into memory at once.
const PAGE_BYTES = 64 * 1024;
// Readers that wait look again after this time, in case that the unit was released.
const WAIT_MS = 10_000;
const NOT_STARTED: readonly Unit['state']['type'][] = ['pending'];
const NOT_ENDED: readonly Unit['state']['type'][] = ['pending', 'running'];

/** Callers see the units that they submitted, admins those of everybody. Methods throw, or reject with, RelayErrors. */
export class WorkBodies {
  constructor(private readonly parts: WorkBodiesParts) {}

  /** Throws INVALID_PARAMS if there is no such unit of this caller. */
  requireUnit(id: string, caller: Principal): void {
    this.#find(id, caller);
  }

  /** Throws INVALID_PARAMS if the unit does not wait for a payload, and LIMIT if there is no room for `bytes` bytes. */
  requireUpload(id: string, bytes: number | undefined, caller: Principal): void {
    this.parts.work.requireUpload(this.#find(id, caller), bytes);
  }

  /** Stores the payload; resolves to the unit. If `body` throws, the unit waits for its payload as before. */
  async upload(id: string, body: AsyncIterable<Buffer>, caller: Principal): Promise<Sendable> {
    const { work } = this.parts;
    return unitOnWire(await work.upload(this.#find(id, caller), body), work);
  }

  /** How many bytes an output has until now. INVALID_PARAMS: there is no such unit or output. */
  async size(
    id: string,
    output: string,
    caller: Principal,
  ): Promise<{ readonly bytes: number; readonly hasEnded: boolean; readonly state: string }> {
    const unit = this.#find(id, caller);
    const bytes = await this.parts.work.withOutput(unit, output, async (stream) => {
      // The size of an output at another node is known after the first page.
      await stream.page({ maxBytes: 1, isRaw: true });
      return stream.next;
    });
    const { state } = this.#find(id, caller);
    // More may have come before its end.
    if (isFinal(state) && !isFinal(unit.state)) return this.size(id, output, caller);
    return { bytes, hasEnded: isFinal(state), state: state.type };
  }

  /** Bytes of an output as they come, in pieces of at most 64 KiB. Throws UNAVAILABLE if the unit is released meanwhile. */
  async *bytes(id: string, output: string, { from, to, signal }: WantedBytes, caller: Principal): AsyncGenerator<Buffer, void> {
    let unit = this.#find(id, caller);
    if (to === undefined) while (unit.state.type === 'pending') unit = await this.#change(unit, NOT_STARTED, caller, signal);
    const { stream, close } = await this.parts.work.openOutput(unit, output);
    const [end, waitMs] = to === undefined ? [Infinity, WAIT_MS] : [to, 0];
    try {
      for (let offset = from; offset < end;) {
        const maxBytes = Math.min(PAGE_BYTES, end - offset);
        const page = await stream.page({ from: offset, maxBytes, waitMs, isRaw: true, signal });
        this.#find(id, caller);
        for (const { item } of page.items) yield item.bytes;
        offset = page.next;
        if (page.items.length === 0 && (to !== undefined || page.state.type !== 'open')) return;
      }
    } finally {
      await close();
    }
  }

  /** The states of a unit, and its results from an offset on as they come, in order; the final state is the last. */
  async *events(
    id: string,
    { output, from, signal }: { readonly output: string | undefined; readonly from: number; readonly signal: AbortSignal },
    caller: Principal,
  ): AsyncGenerator<UnitEvent, void> {
    let unit = this.#find(id, caller);
    for (let shown = ''; unit.state.type === 'pending';) {
      const state = this.#stateOf(unit);
      // Its position may have changed.
      if (state.data !== shown) yield state;
      shown = state.data;
      unit = await this.#change(unit, NOT_STARTED, caller, signal);
    }
    if (unit.state.type === 'running') yield this.#stateOf(unit);
    // One that never ran has no outputs.
    if (output !== undefined || Object.keys(unit.outputs).length > 0) yield* this.#results(unit, output, from, signal);
    while (!isFinal(unit.state)) unit = await this.#change(unit, NOT_ENDED, caller, signal);
    yield this.#stateOf(unit);
  }

  async *#results(unit: Unit, output: string | undefined, from: number, signal: AbortSignal): AsyncGenerator<UnitEvent, void> {
    const { stream, close } = await this.parts.work.openOutput(unit, output);
    try {
      for (let offset = from; ;) {
        const page = await stream.page({ from: offset, maxBytes: PAGE_BYTES, waitMs: WAIT_MS, signal });
        for (const { next, item } of page.items) yield { type: 'result', id: String(next), data: writeJson(valueOf(item), 'a result') };
        offset = page.next;
        if (page.items.length === 0 && page.state.type !== 'open') return;
      }
    } finally {
      await close();
    }
  }

  #stateOf(unit: Unit): UnitEvent {
    const id = isFinal(unit.state) ? 'end' : undefined;
    return { type: 'state', id, data: writeJson(unitOnWire(unit, this.parts.work), 'a unit') };
  }

  /** The unit in its next state, or as it is after a while. Rejects if it is released, and with the reason of `signal`. */
  async #change(unit: Unit, from: readonly Unit['state']['type'][], caller: Principal, signal: AbortSignal): Promise<Unit> {
    await this.parts.work.leaving(unit, from, WAIT_MS, signal);
    signal.throwIfAborted();
    return this.#find(unit.id, caller);
  }

  #find(id: string, caller: Principal): Unit {
    return this.parts.work.find(id, this.#seer(caller));
  }

  /** Who may see only their own units; undefined for an admin, who sees all. */
  #seer(caller: Principal): Submitter | undefined {
    return this.parts.isAdmin(caller) ? undefined : submitterOf(caller);
  }
}
