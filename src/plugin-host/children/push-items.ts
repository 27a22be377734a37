/**
 * Pushes the items of a stream of a child, such as the results of work, to the relay, in batches: the next one gathers while the relay
 * processes the last.
 */
import { RelayError } from '../../core/core.ts';
import { decodedBytes } from '../../values/values.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';

/** A result of work, or a frame: a struct, a text, or bytes, of which large ones are pushed in pieces. */
export type PushedItem = Readonly<Record<string, Sendable | undefined>> | string | Uint8Array;

/** Pushes items with the options of `relay.push_items`. Resolves to false if no more are wanted. */
type Push = (items: readonly Sendable[], options: Record<string, Sendable>) => Promise<Value>;

// A batch of this size is pushed before more is gathered, so that neither side holds much.
const MAX_ITEMS = 1_000;
const MAX_BYTES = 1024 * 1024;
// More bytes at once would exceed what the relay accepts in one call.
const SLICE_BYTES = 1024 * 1024;

/**
 * Resolves when the relay has all items, and knows how they ended. Rejects if they cannot be pushed. `canceling` is aborted when the
 * relay wants no more.
 */
export async function pushItems(
  items: AsyncIterable<PushedItem>,
  push: Push,
  explain: (error: unknown) => string,
  canceling: AbortController,
): Promise<void> {
  const batch = new Batch(push, canceling);
  let end: Record<string, Sendable> = { end: true };
  try {
    for await (const item of items) for (const piece of slices(item)) await batch.add(piece);
  } catch (error) {
    end = { error: explain(error) };
  }
  await batch.finish(end);
}

class Batch {
  #items: PushedItem[] = [];
  #bytes = 0;
  #pushing: Promise<void> | undefined;

  constructor(
    private readonly push: Push,
    private readonly canceling: AbortController,
  ) {}

  /** Waits only while the batch is full and the last one is not processed. */
  async add(item: PushedItem): Promise<void> {
    this.#items.push(item);
    this.#bytes += sizeOf(item);
    if (this.#pushing && (this.#items.length >= MAX_ITEMS || this.#bytes >= MAX_BYTES)) await this.#pushing;
    if (!this.#pushing) this.#flush();
  }

  async finish(end: Record<string, Sendable>): Promise<void> {
    // Another push may have begun when one is answered; the end must not overtake it.
    while (this.#pushing) await this.#pushing;
    await this.push(this.#items, end);
  }

  #flush(): void {
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    this.#pushing = this.push(items, {}).then((isWanted) => {
      this.#pushing = undefined;
      if (isWanted === false) this.canceling.abort(new RelayError('UNAVAILABLE', 'it was canceled'));
      // What was yielded meanwhile must not wait for the next result.
      else if (this.#items.length > 0) this.#flush();
    });
    // The next `add` or `finish` reports the failure.
    this.#pushing.catch(() => undefined);
  }
}

function* slices(item: PushedItem): Generator<PushedItem, void, undefined> {
  if (!(item instanceof Uint8Array) || item.length <= SLICE_BYTES) yield item;
  else for (let start = 0; start < item.length; start += SLICE_BYTES) yield item.subarray(start, start + SLICE_BYTES);
}

function sizeOf(item: PushedItem): number {
  if (item instanceof Uint8Array) return item.length;
  return typeof item === 'string' ? Buffer.byteLength(item) : decodedBytes(item as Dict);
}
