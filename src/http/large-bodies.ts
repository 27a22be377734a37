/** Parses request bodies: small ones at once, large ones in slices and only a few at a time. */
import { Fifo } from '../core/core.ts';
import { readJson, readJsonInSlices } from '../json/json.ts';
import type { JsonDocument, ReadOptions } from '../json/json.ts';
import { parseCall, parseCallInSlices } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall, ParseOptions } from '../xmlrpc/xmlrpc.ts';

// The size of one slice.
const LARGE_BYTES = 256 * 1024;
// Each parses one slice per turn of the event loop. This protects other callers from delays, and the heap: values outgrow their body.
const MAX_AT_ONCE = 2;

/** The large bodies of one server. The number of waiting bodies is bounded by the number of connections. */
export class LargeBodies {
  readonly #waiting = new Fifo<() => void>();
  #reading = 0;

  /** Parses a call. Throws the RelayErrors of `parseCall`. */
  parse(body: Uint8Array, options: ParseOptions): ParsedCall | Promise<ParsedCall> {
    if (body.byteLength <= LARGE_BYTES) return parseCall(body, options);
    return this.#inTurn(() => parseCallInSlices(body, options));
  }

  /** Parses JSON. Throws the RelayErrors of `readJson`. */
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
      // The slot passes to the body that waited longest.
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
