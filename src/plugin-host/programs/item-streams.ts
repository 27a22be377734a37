/** The streams of items that the processes of plugins push to the relay, in batches whose answer is the permission for the next. */
import { RelayError, randomHex, unlessAborted } from '../../core/core.ts';
import type { Sendable } from '../../values/values.ts';

/** Items that a process pushed, and whether they are its last ones. */
export interface ItemBatch {
  readonly items: readonly Sendable[];
  /** True: the stream is complete. A text: it failed, and this is why. Default: more items may follow. */
  readonly end?: true | { readonly error: string } | undefined;
}

// More would only delay the first of them.
const MAX_ITEMS = 10_000;
// Not guessable, though a token is needed as well.
const newId = randomHex(12);

/** One stream: a process pushes, the relay iterates. */
export class ItemStream {
  readonly id = newId();
  #batch: ItemBatch | undefined;
  /** Answers the push of the current batch. */
  #permit: (isOpen: boolean) => void = () => undefined;
  #wake: () => void = () => undefined;
  #failure: RelayError | undefined;
  #isClosed = false;
  /** True once the process has pushed its last item, or has ended. */
  isEnded = false;

  /** Takes a batch. Resolves to true when its items are processed, to false if no more are wanted. Throws a RelayError INVALID_PARAMS. */
  push(batch: ItemBatch): Promise<boolean> {
    if (batch.items.length > MAX_ITEMS)
      throw new RelayError('INVALID_PARAMS', `relay.push_items: ${batch.items.length} items at once (limit ${MAX_ITEMS})`);
    if (this.#batch) throw new RelayError('INVALID_PARAMS', 'relay.push_items: wait for the answer to a push before the next one');
    if (this.isEnded || this.#isClosed) return Promise.resolve(false);
    this.isEnded = batch.end !== undefined;
    this.#batch = batch;
    this.#wake();
    return new Promise((resolve) => (this.#permit = resolve));
  }

  /** Its process has ended. */
  fail(error: RelayError): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#failure = error;
    this.#wake();
  }

  /** The items, in order. Throws a RelayError APPLICATION if the process says that it failed, or the error of {@link fail}. */
  async *items(signal: AbortSignal): AsyncGenerator<Sendable, void, undefined> {
    for (;;) {
      const batch = this.#batch;
      if (batch) {
        yield* batch.items;
        this.#batch = undefined;
        this.#permit(true);
        if (batch.end === true) return;
        if (batch.end) throw new RelayError('APPLICATION', batch.end.error);
      } else if (this.#failure) throw this.#failure;
      else await unlessAborted(signal, () => new Promise<void>((resolve) => (this.#wake = resolve)));
    }
  }

  /** No more items are wanted. */
  close(): void {
    this.#isClosed = true;
    this.#batch = undefined;
    this.#permit(false);
  }
}

/** The open streams of one process, by id. */
export class ItemStreams {
  readonly #open = new Map<string, ItemStream>();

  /** A new stream, which must be {@link close}d. */
  open(): ItemStream {
    const stream = new ItemStream();
    this.#open.set(stream.id, stream);
    return stream;
  }

  /** As {@link ItemStream.push}; undefined if there is no such stream (any more). */
  push(id: string, batch: ItemBatch): Promise<boolean> | undefined {
    return this.#open.get(id)?.push(batch);
  }

  close(stream: ItemStream): void {
    this.#open.delete(stream.id);
    stream.close();
  }

  /** The process has ended. */
  fail(error: RelayError): void {
    for (const stream of this.#open.values()) stream.fail(error);
    this.#open.clear();
  }
}
