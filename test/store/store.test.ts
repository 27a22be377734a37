/** The durable store: what it promises about numbers, durability, damage and a full disk, in memory and on a real disk. */
import test from 'ava';
import { MemoryDisk, openStore, storeDefaults } from '../../src/store/store.ts';
import type { LogRecord, Store, StoreEvent } from '../../src/store/store.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const append = (text: string, log = 'one') => ({ type: 'append', log, value: bytes(text) }) as const;

interface Opened {
  readonly store: Store;
  readonly events: StoreEvent[];
  readonly clock: VirtualClock;
}

async function open(disk: MemoryDisk): Promise<Opened> {
  const events: StoreEvent[] = [];
  const clock = new VirtualClock();
  const report = (event: StoreEvent): void => void events.push(event);
  return { store: await openStore({ engine: disk.open(), options: storeDefaults.store, clock, report }), events, clock };
}

async function all(store: Store, log = 'one', from?: number): Promise<string[]> {
  const records: LogRecord[] = [];
  for await (const record of store.records(log, from)) records.push(record);
  return records.map(({ number, value }) => `${number}:${value.toString()}`);
}

test('records get numbers without gaps, and are there after a crash once the write has resolved', async (t) => {
  const disk = new MemoryDisk();
  const first = await open(disk);
  t.deepEqual(await first.store.write([append('a'), append('b'), append('x', 'other')]), [1, 2, 1]);
  const numbers = await Promise.all(['c', 'd', 'e'].map((text) => first.store.write([append(text)])));
  t.deepEqual(numbers, [[3], [4], [5]]);
  t.is(first.store.status().commits, 2, 'writes of one turn share a sync');
  first.store.write([append('lost')], { durability: 'written' }).catch(() => undefined);
  disk.crash();
  const second = await open(disk);
  t.deepEqual(await all(second.store), ['1:a', '2:b', '3:c', '4:d', '5:e']);
  t.deepEqual(await all(second.store, 'one', 4), ['4:d', '5:e']);
  t.deepEqual(await second.store.write([append('f')]), [6]);
  t.deepEqual(second.events, []);
});
