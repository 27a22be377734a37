/** What flows from a producer to several readers: items with offsets, kept in memory or in a file. */
import type { MaybePromise } from '../core/core.ts';

/** An item of a stream. */
export interface StreamItem<Item> {
  /** Where it begins. The first item of a stream is at 0. */
  readonly offset: number;
  /** The offset of the item after it: that of this one plus 1, or plus its bytes in a stream of bytes. */
  readonly next: number;
  readonly item: Item;
}

/** The state of a stream. All but `open` are final. */
export type StreamState =
  | { readonly type: 'open' }
  /** Everything was pushed. */
  | { readonly type: 'ended' }
  /** The producer failed; readers get what it pushed before, then this error. */
  | { readonly type: 'failed'; readonly reason: string }
  /** The stream was canceled, or was idle for too long; readers get what they have not read yet, then this error. */
  | { readonly type: 'canceled'; readonly reason: string };

/** What a stream reports. */
export interface StreamEvent {
  /** Emitted for each change of state, and for the first one. */
  readonly type: 'stream.state';
  /** The id of the stream. */
  readonly id: string;
  readonly state: StreamState;
  /** The offset after its last item. */
  readonly next: number;
}

/** Counters of a stream. */
export interface StreamStatus {
  readonly state: StreamState;
  /** The offset of the oldest item that can still be read. */
  readonly first: number;
  /** The offset after the newest item. */
  readonly next: number;
  /** Bytes of the items in memory. */
  readonly bytes: number;
  readonly readers: number;
  /** Items that slow readers missed, all readers together. */
  readonly missed: number;
  /** Items, or bytes in a stream of bytes, that were not taken since the stream was full. */
  readonly refused: number;
}

/** A page of a stream, for callers that poll. */
export interface StreamPage<Item> {
  readonly items: readonly StreamItem<Item>[];
  /** The offset from which to go on. */
  readonly next: number;
  /** Items between the offset of the call and the first item here that can no longer be read. */
  readonly missed: number;
  /** The state of the stream once these items are read; `open` if more are there or may come. */
  readonly state: StreamState;
}

/** A reader that polls; see `Stream.cursor`. */
export interface StreamCursor<Item> {
  page(options?: PageOptions): Promise<StreamPage<Item>>;
  close(): void;
}

/** What is read, and until when. */
export interface ReadOptions {
  /** Where to begin. Default 0, the first item. */
  readonly from?: number | undefined;
  /** Ends the loop of this reader alone, with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** How much a page may hold, and how long it waits for its first item. */
export interface PageOptions {
  readonly from?: number | undefined;
  /** Default 256 KiB; the first item is always part of the page, whole or cut where items are bytes. */
  readonly maxBytes?: number | undefined;
  /** Default 0: the page is empty if nothing is there. */
  readonly waitMs?: number | undefined;
  /** True to cut items that consist of bytes anywhere, so that no page exceeds `maxBytes`. Default false. */
  readonly isRaw?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Where the items of a stream are kept. One stream uses it. */
export interface StreamStorage<Item> {
  /** The offset of the oldest item that can be read. */
  readonly first: number;
  /** The offset after the newest item that can be read. */
  readonly next: number;
  /** True while items were appended that cannot be read yet. */
  readonly isWriting: boolean;
  /** Bytes in memory. */
  readonly bytes: number;
  /** Items, or bytes in a stream of bytes, that were not taken since the storage was full. */
  readonly refused: number;
  /** Why nothing more can be kept; undefined while that works. */
  readonly failure: string | undefined;
  /** Called once; `changed` is called whenever more can be read, the producer may go on, or the storage failed. */
  start(changed: () => void): void;
  /** Appends an item. `slowest` is the offset that the slowest reader has reached, undefined if there is no reader. */
  append(item: Item, slowest: number | undefined): void;
  /** True if the producer has to wait. */
  isFull(slowest: number | undefined): boolean;
  /**
   * Items from this offset on: at least one if there is one, and no more once they have `maxBytes`. If `isRaw`, items that consist of
   * bytes may be joined and cut anywhere.
   */
  read(from: number, maxBytes: number, isRaw?: boolean): MaybePromise<readonly StreamItem<Item>[]>;
  /** Resolves once everything is on the disk, where there is one. Rejects with a RelayError STATE_DIRECTORY. */
  sync(): Promise<void>;
  /** Writes what waits and frees the memory; what is in a file stays there. */
  close(): Promise<void>;
}
