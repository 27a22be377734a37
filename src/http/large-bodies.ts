/** Reading the bodies of calls: small ones at once; large ones in slices, and few at a time. */
import { Fifo } from '../core/core.ts';
import { readJson, readJsonInSlices } from '../json/json.ts';
import type { JsonDocument, ReadOptions } from '../json/json.ts';
import { parseCall, parseCallInSlices } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall, ParseOptions } from '../xmlrpc/xmlrpc.ts';

// As large as a slice of a body that is read in slices, whose docs say how long one takes.
const LARGE_BYTES = 256 * 1024;
// Each takes one slice in a turn of the loop: protects the other callers' time, and the heap, where values take a multiple of their body.
const MAX_AT_ONCE = 2;

/** The large bodies of one door. Those that wait are there already, and no more than the door has connections. */
export class LargeBodies {
  readonly #waiting = new Fifo<() => void>();
  #reading = 0;

  /** Reads a call, a small one at once. Throws the RelayErrors of `parseCall`. */
  parse(body: Uint8Array, options: ParseOptions): ParsedCall | Promise<ParsedCall> {
    if (body.byteLength <= LARGE_BYTES) return parseCall(body, options);
    return this.#inTurn(() => parseCallInSlices(body, options));
  }

  /** Reads JSON, if it is little at once. Throws the RelayErrors of `readJson`. */
  readJson(body: Uint8Array, options: ReadOptions): JsonDocument | Promise<JsonDocument> {
    if (body.byteLength <= LARGE_BYTES) return readJson(body, options);
    return this.#inTurn(() => readJsonInSlices(body, options));
  }

  async #inTurn<T>(read: () => Promise<T>): Promise<T> {
    if (this.#reading < MAX_AT_ONCE) this.#reading++;
    else await this.#turn();
    try {
      return await read();
    } finally {
      const next = this.#waiting.shift();
      // Who waited longest takes the place over.
      if (next) next();
      else this.#reading--;
    }
  }

  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
