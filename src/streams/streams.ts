/** Streams: what flows from one producer to several readers, such as the results of work. Bounded, resumable by offset, and cancellable. */
export { fileBytes } from './file-bytes.ts';
export { memoryBytes } from './memory-bytes.ts';
export { memoryItems } from './memory-items.ts';
export type { MemoryItemsOptions } from './memory-items.ts';
export type {
  PageOptions,
  ReadOptions,
  StreamCursor,
  StreamEvent,
  StreamItem,
  StreamPage,
  StreamState,
  StreamStatus,
  StreamStorage,
} from './port.ts';
export { Stream } from './stream.ts';
export type { StreamOptions } from './stream.ts';
