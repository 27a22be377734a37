/** The door for what carriers of relay plugins bring: documents of a peer, treated as its `notify` over HTTP would be. */
import { Fifo, RelayError, clean } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { FaultAnswer } from '../core/core.ts';
import type { Receive } from '../plugin/plugin.ts';
import type { Sendable, Value } from '../values/values.ts';
import { parseCallInSlices, serialiseFault, serialiseResponse } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall } from '../xmlrpc/xmlrpc.ts';
import { callerOf } from './caller.ts';
import type { Caller } from './caller.ts';
import type { Principal } from '../access/access.ts';

export interface CarrierDoorParts {
  /** Asked for with each document: the relay is made after the links, and those need a receiver. */
  readonly relay: () => {
    call(name: string, params: readonly Value[], caller: Caller): Promise<Sendable>;
    count(caller: Principal): void;
    requireAllowance(caller: Principal): void;
    faultFor(error: unknown, method: string): FaultAnswer;
  };
  readonly maxBodyBytes: number;
}

/** A peer that is not reached over HTTP. */
export interface CarriedPeer {
  /** As its host_id has them; canonical. */
  readonly address: string;
  readonly port: number;
  /** True if it may send doubles that are not finite. */
  readonly nonFinite: boolean;
}

// A relay sends one at a time; the rest is room for a carrier that had to wait.
const MAX_WAITING = 16;
// Small documents may wait whatever `maxBodyBytes` is; large ones have its bytes together.
const MIN_WAITING_BYTES = 64 * 1024;

export class CarrierDoor {
  readonly #parts: CarrierDoorParts;
  readonly #onIdle: (() => void)[] = [];
  #isOpen = false;
  #underWay = 0;

  constructor(parts: CarrierDoorParts) {
    this.#parts = parts;
  }

  /** Lets documents in; before that they are answered fault 503. */
  open(): void {
    this.#isOpen = true;
  }

  /** Lets no new document in, and waits for those that are under way. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    if (this.#underWay === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle.push(resolve);
    });
  }

  /** What a carrier hands the documents of this peer to: one after the other, in order. */
  receiver({ address, port, nonFinite }: CarriedPeer): Receive {
    const standing: Principal = { role: { kind: 'peer' }, address, port, isDirect: true, isPeer: true };
    const waiting = new Fifo<() => Promise<void>>();
    let waitingBytes = 0;
    let isBusy = false;
    const run = async (): Promise<void> => {
      isBusy = true;
      for (let next = waiting.shift(); next; next = waiting.shift()) await next();
      isBusy = false;
    };
    return async (document) => {
      if (!this.#isOpen) return this.#refuse(new RelayError('UNAVAILABLE', 'the relay is starting or stopping; call again in a moment'));
      // A carrier is somebody's code: it may hand in anything.
      const bytes = ArrayBuffer.isView(document) ? document.byteLength : 0;
      if (waiting.length > 0 && waitingBytes + bytes > Math.max(MIN_WAITING_BYTES, this.#parts.maxBodyBytes))
        return this.#refuse(new RelayError('UNAVAILABLE', `documents of ${waitingBytes} bytes wait already; send it again later`));
      if (waiting.length >= MAX_WAITING)
        return this.#refuse(new RelayError('UNAVAILABLE', `${MAX_WAITING} documents wait already; send one at a time`));
      this.#underWay++;
      const answer = await new Promise<Uint8Array>((resolve) => {
        waitingBytes += bytes;
        waiting.push(async () => {
          waitingBytes -= bytes;
          resolve(await this.#answer(document, standing, nonFinite));
        });
        if (!isBusy) void run();
      });
      if (--this.#underWay === 0) for (const tell of this.#onIdle.splice(0)) tell();
      return answer;
    };
  }

  /** Never rejects. */
  async #answer(document: Uint8Array, standing: Principal, nonFinite: boolean): Promise<Uint8Array> {
    const { maxBodyBytes } = this.#parts;
    const relay = this.#parts.relay();
    let method = 'a document';
    try {
      // As at the HTTP door: who is over its limit has nothing read.
      relay.requireAllowance(standing);
      const call = await this.#read(document, standing, { limits: { maxBodyBytes }, allowNonFinite: nonFinite });
      method = call.methodName;
      if (method !== 'notify' && !isBatch(call)) {
        relay.count(standing);
        throw new RelayError('NO_SUCH_METHOD', `a carrier brings notify, or system.multicall of notify, not '${clean(method, 100)}'`);
      }
      const result = await relay.call(
        method,
        call.params,
        callerOf(standing, (dict) => call.sourceOf(dict)),
      );
      return serialiseResponse(result, call.extensions);
    } catch (error) {
      return this.#refuse(error, method);
    }
  }

  async #read(
    document: unknown,
    standing: Principal,
    options: Parameters<typeof parseCallInSlices>[1],
  ): ReturnType<typeof parseCallInSlices> {
    try {
      if (!(document instanceof Uint8Array)) throw new RelayError('INVALID_REQUEST', 'a carrier hands in bytes');
      return await parseCallInSlices(document, options);
    } catch (error) {
      // A call counts itself; what is none costs as much to read.
      this.#parts.relay().count(standing);
      throw error;
    }
  }

  #refuse(error: unknown, method = 'a document'): Uint8Array {
    const { code, text } = this.#parts.relay().faultFor(error, method);
    return serialiseFault(code, text);
  }
}

/** True for `system.multicall` with calls of notify alone, also with none: that asks whether it is there. */
function isBatch({ methodName, params }: Pick<ParsedCall, 'methodName' | 'params'>): boolean {
  const [list] = params;
  if (methodName !== 'system.multicall' || params.length !== 1 || !Array.isArray(list)) return false;
  return list.every((call: Value) => isDict(call) && call.methodName === 'notify');
}
