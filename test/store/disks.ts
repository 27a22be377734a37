/** The disks on which the store is tested: one in memory, which loses what is not synced, and one of this machine. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryDisk, levelDisk, openStore, storeDefaults } from '../../src/store/store.ts';
import type { LogRecord, Store, StoreEvent } from '../../src/store/store.ts';
import type { Disk } from '../../src/store/engine.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

/** A store with what it reported. */
export interface Opened {
  readonly store: Store;
  readonly events: StoreEvent[];
  readonly clock: VirtualClock;
}

/** Opens a store on a disk. */
export async function openOn(disk: Disk): Promise<Opened> {
  const events: StoreEvent[] = [];
  const clock = new VirtualClock();
  const report = (event: StoreEvent): void => void events.push(event);
  return { store: await openStore({ disk, options: { ...storeDefaults.store, minFreePercent: 0 }, clock, report }), events, clock };
}

/** A machine whose power can fail. */
export interface Machine {
  /** Starts a process that opens the store. */
  start(): Promise<Opened>;
  /** The power fails; the process of the last start has ended. `kept`: how many of the batches that are not synced survive. */
  crash(kept?: number): Promise<void>;
  remove(): Promise<void>;
}

/** In memory. */
export function memoryMachine(): Machine {
  const disk = new MemoryDisk();
  return {
    start: () => openOn(disk),
    crash: async (kept) => {
      disk.crash(kept);
    },
    remove: async () => undefined,
  };
}

/** On the disk of this machine; a crash is the end of the process alone, which loses nothing that is written. */
export function levelMachine(): Machine & { readonly directory: () => string } {
  const root = mkdtempSync(join(tmpdir(), 'co2-store-'));
  let generation = 0;
  let last: Opened | undefined;
  const directory = (): string => join(root, String(generation));
  return {
    directory,
    start: async () => (last = await openOn(levelDisk(directory()))),
    crash: async () => {
      // LevelDB locks its directory within the process too, so the next start gets the files as a killed process leaves them.
      const before = directory();
      generation++;
      cpSync(before, directory(), { recursive: true });
      await last?.store.close();
    },
    remove: async () => {
      await last?.store.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

export const MACHINES = { memory: memoryMachine, level: levelMachine };

/** All records of a log, as `number:text`. */
export async function recordsOf(store: Store, log: string, from?: number): Promise<string[]> {
  const records: LogRecord[] = [];
  for await (const record of store.records(log, from)) records.push(record);
  return records.map(({ number, value }) => `${number}:${value.toString()}`);
}

/** All entries of a table, as `key=text`. */
export async function entriesOf(store: Store, table: string, prefix?: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key, value } of store.entries(table, prefix)) found.push(`${key}=${value.toString()}`);
  return found;
}
