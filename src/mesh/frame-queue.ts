/** The two ends of the way of frames: those that wait for a request, and those that have overtaken others. */
import { RelayError } from '../core/core.ts';
import { BATCH_MESSAGES } from '../mesh-core/mesh-core.ts';
import type { Frame } from '../mesh-core/mesh-core.ts';
import type { Sendable } from '../values/values.ts';
import { frameBytes, frameOnWire } from './frames.ts';

/** Frames of one request or answer. */
export const MAX_FRAMES = 1024;
/** Requests with frames that a channel has under way at once: over a long way they follow one another closely. */
export const MAX_PUSHES = 8;
/** Bytes of XML that a server answers on its fastest way, without counting them while they arrive. */
export const SMALL_BYTES = 64 * 1024;
/** Bytes of XML of a request or answer, unless one message alone has more. */
export const LARGE_BYTES = 1024 * 1024;
const MAX_REQUEST_MESSAGES = 4 * BATCH_MESSAGES;
// The core has at most its windows in flight; more is a neighbour that no longer takes anything.
const MAX_QUEUED_BYTES = 64 * 2 ** 20;
// Requests or answers of one channel that may overtake a slow one, such as one of a MiB. Each that comes makes room for another one.
const MAX_EARLY = 4096;
const MAX_EARLY_BYTES = 32 * 2 ** 20;

interface Queued {
  readonly frame: Frame;
  readonly bytes: number;
  readonly messages: number;
}

/** Frames that wait to be sent. */
export class FrameQueue {
  #frames: Queued[] = [];
  #bytes = 0;
  #messages = 0;

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  /** True if so much waits that it should not wait for the answer to another request. */
  get isFull(): boolean {
    return this.#messages >= BATCH_MESSAGES || this.#bytes >= SMALL_BYTES;
  }

  /** False if too much waits. */
  add(frame: Frame): boolean {
    const one = { frame, bytes: frameBytes(frame), messages: frame.type === 'push' ? frame.items.length : 0 };
    this.#bytes += one.bytes;
    this.#messages += one.messages;
    this.#frames.push(one);
    return this.#bytes <= MAX_QUEUED_BYTES;
  }

  /** As many of the next ones as fit into a request of `maxBytes`, at least one. */
  take(maxBytes: number): Sendable[] {
    let [count, bytes, messages] = [0, 0, 0];
    for (const one of this.#frames) {
      const isTooMuch = bytes + one.bytes > maxBytes || messages + one.messages > MAX_REQUEST_MESSAGES || count >= MAX_FRAMES;
      if (count > 0 && isTooMuch) break;
      bytes += one.bytes;
      messages += one.messages;
      count++;
    }
    this.#bytes -= bytes;
    this.#messages -= messages;
    return this.#frames.splice(0, count).map(({ frame }) => frameOnWire(frame));
  }
}

/** Restores the order of frames that came in requests or answers that were numbered from 1. */
export class Ordered {
  #next = 1;
  readonly #early = new Map<number, { readonly frames: readonly Frame[]; readonly bytes: number }>();
  #bytes = 0;

  /**
   * Returns these frames and those that waited for them. Throws a RelayError INVALID_PARAMS for a number that cannot come, or if too much
   * waits.
   */
  add(number: number, frames: readonly Frame[]): readonly Frame[] {
    const isPossible = Number.isSafeInteger(number) && number >= this.#next && number <= this.#next + MAX_EARLY && !this.#early.has(number);
    if (!isPossible || this.#bytes > MAX_EARLY_BYTES)
      throw new RelayError('INVALID_PARAMS', `the frames of the mesh have the number ${number}, and ${this.#next} was expected`);
    if (number > this.#next) {
      const bytes = bytesOf(frames);
      this.#early.set(number, { frames, bytes });
      this.#bytes += bytes;
      return [];
    }
    this.#next++;
    const ready = [...frames];
    for (let next = this.#early.get(this.#next); next !== undefined; next = this.#early.get(this.#next)) {
      this.#early.delete(this.#next++);
      this.#bytes -= next.bytes;
      ready.push(...next.frames);
    }
    return ready;
  }
}

function bytesOf(frames: readonly Frame[]): number {
  let bytes = 0;
  for (const frame of frames) bytes += frameBytes(frame);
  return bytes;
}
