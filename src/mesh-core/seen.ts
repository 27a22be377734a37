/** Recognizes messages that this node has had, by the numbers of their streams. */
import type { StoreOperation } from '../store/store.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { FORGET_MS, MAX_STREAMS } from './limits.ts';
import { streamKey } from './message.ts';
import type { Head } from './message.ts';
import { NumberSet } from './number-set.ts';

// Looking for them takes a millisecond.
const FORGOTTEN_AT_ONCE = 1024;

/** The table with the numbers of each durable stream. */
export const SEEN_TABLE = 'mesh-seen';

interface SeenStream {
  readonly numbers: NumberSet;
  readonly isDurable: boolean;
  /** The number of a broadcast with which this node came to know the stream: earlier ones need not come. */
  readonly begin: number;
  lastAt: number;
}

/** See the head of this file. What is kept of a durable stream is written in the batch of the message that changed it. */
export class SeenMessages {
  // In the order of their last message.
  readonly #streams = new Map<string, SeenStream>();
  readonly #changed = new Set<string>();

  /** `new`, `seen`, or `full` if the stream has so many gaps that the message must come later. The head need not be verified. */
  look(head: Head): 'new' | 'seen' | 'full' {
    const stream = this.#streams.get(streamKey(head));
    if (!stream) return 'new';
    if (stream.numbers.has(head.number)) return 'seen';
    return stream.numbers.isFull ? 'full' : 'new';
  }

  /** Closes the gaps below the low mark of a head that is verified. */
  advance(head: Head): void {
    this.#streams.get(streamKey(head))?.numbers.advance(head.low - 1);
  }

  /** Adds a message that is verified. `isKnown` tells nodes of the mesh from those of which nothing is known. */
  add(head: Head, now: number, isKnown: (node: string) => boolean): void {
    const key = streamKey(head);
    const stream = this.#streams.get(key) ?? {
      numbers: new NumberSet(),
      isDurable: head.isDurable,
      begin: head.target === undefined ? head.number : 1,
      lastAt: now,
    };
    this.#streams.delete(key);
    this.#streams.set(key, stream);
    stream.numbers.advance(head.low - 1);
    stream.numbers.add(head.number);
    stream.lastAt = now;
    if (head.isDurable) this.#changed.add(key);
    if (this.#streams.size > MAX_STREAMS) this.#makeRoom(isKnown);
  }

  /** The numbers of a stream; undefined if it is unknown. */
  numbersOf(key: string): NumberSet | undefined {
    return this.#streams.get(key)?.numbers;
  }

  /** True if nothing between `after` and `number` is missing in a stream, as far as this node must get it. */
  hasAllBetween(key: string, after: number, number: number): boolean {
    const stream = this.#streams.get(key);
    return !stream || stream.numbers.missingFrom(Math.max(after + 1, stream.begin)) >= number;
  }

  /** What must be written since the last call. */
  changes(): readonly StoreOperation[] {
    const operations = [...this.#changed].map((key): StoreOperation => {
      const stream = this.#streams.get(key);
      if (!stream) return { type: 'delete', table: SEEN_TABLE, key };
      const value = stream.numbers.encode(new ByteWriter().varint(Math.floor(stream.lastAt))).end();
      return { type: 'put', table: SEEN_TABLE, key, value };
    });
    this.#changed.clear();
    return operations;
  }

  /** Takes over an entry of the table. Throws a RelayError INVALID_PARAMS if it is malformed. */
  restore(key: string, value: Buffer): void {
    const reader = new ByteReader(value, 'an entry of the store');
    const lastAt = reader.varint();
    const numbers = NumberSet.decode(reader);
    reader.end();
    this.#streams.set(key, { numbers, isDurable: true, begin: 1, lastAt });
  }

  /**
   * Closes the gaps of streams without a message for so long that none can be on its way. Their numbers are kept: somebody may have
   * recorded a message, and send it again as if it were new.
   */
  closeOld(now: number): void {
    for (const [key, { lastAt, numbers, isDurable }] of this.#streams) {
      if (now - lastAt <= FORGET_MS || numbers.through === numbers.greatest) continue;
      numbers.advance(numbers.greatest);
      if (isDurable) this.#changed.add(key);
    }
  }

  /** Anybody can make keys, and streams with them: those of unknown nodes are forgotten first, then those of the node that has most. */
  #makeRoom(isKnown: (node: string) => boolean): void {
    const ofUnknown: string[] = [];
    const byNode = new Map<string, string[]>();
    for (const key of this.#streams.keys()) {
      const node = key.slice(0, key.indexOf('.'));
      if (isKnown(node)) {
        const keys = byNode.get(node);
        if (keys) keys.push(key);
        else byNode.set(node, [key]);
      } else if (ofUnknown.push(key) === FORGOTTEN_AT_ONCE) break;
    }
    const [most = []] = [...byNode.values()].sort((one, other) => other.length - one.length);
    for (const key of ofUnknown.length > 0 ? ofUnknown : most.slice(0, Math.ceil(most.length / 2))) this.#forget(key);
  }

  #forget(key: string): void {
    if (this.#streams.get(key)?.isDurable === true) this.#changed.add(key);
    this.#streams.delete(key);
  }
}
