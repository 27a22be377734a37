/** The durable store: what the relay has acknowledged and must not lose, in logs of numbered records and tables of keys. */
export { openStore } from './durable-store.ts';
export { levelDisk } from './level-disk.ts';
export { startStore } from './start-store.ts';
export { logStoreEvent } from './log-events.ts';
export { MemoryDisk } from './memory-disk.ts';
export { storeDefaults, storeShape } from './options.ts';
export type { StoreOptions } from './options.ts';
export type {
  LogRange,
  LogRecord,
  Store,
  StoreDamage,
  StoreEvent,
  StoreOperation,
  StoreState,
  StoreStatus,
  TableEntry,
  WriteOptions,
} from './port.ts';
