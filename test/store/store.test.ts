/** The durable store: what it promises about numbers, durability, a full disk and failing writes, in memory and on a real disk. */
import test from 'ava';
import fc from 'fast-check';
import { RelayError, SILENT, Steps, systemClock } from '../../src/core/core.ts';
import { MemoryDisk, logStoreEvent, startStore, storeDefaults } from '../../src/store/store.ts';
import type { Store, StoreEvent, StoreOperation } from '../../src/store/store.ts';
import { LogRecord } from '../support/log-record.ts';
import { MACHINES, entriesOf, openOn, recordsOf } from './disks.ts';
import { runModel, step } from './model.ts';

const append = (text: string, log = 'one'): StoreOperation => ({ type: 'append', log, value: Buffer.from(text) });
const put = (key: string, text: string, table = 'states'): StoreOperation => ({ type: 'put', table, key, value: Buffer.from(text) });
const remove = (key: string, table = 'states'): StoreOperation => ({ type: 'delete', table, key });
const trim = (through: number, log = 'one'): StoreOperation => ({ type: 'trim', log, through });

for (const [kind, machineOf] of Object.entries(MACHINES)) {
  test(`${kind}: records get numbers without gaps, and are there after a crash once the write has resolved`, async (t) => {
    const machine = machineOf();
    t.teardown(() => machine.remove());
    const first = await machine.start();
    t.deepEqual(await first.store.write([append('a'), append('b'), append('x', 'other')]), [1, 2, 1]);
    t.deepEqual(await Promise.all(['c', 'd', 'e'].map((text) => first.store.write([append(text)]))), [[3], [4], [5]]);
    t.is(first.store.status().commits, 2, 'writes of one turn share a sync');
    await machine.crash();
    const { store, events } = await machine.start();
    t.deepEqual(await recordsOf(store, 'one'), ['1:a', '2:b', '3:c', '4:d', '5:e']);
    t.deepEqual(await recordsOf(store, 'one', 4), ['4:d', '5:e']);
    t.deepEqual(await Promise.all([0, 3, 5, 6].map(async (number) => String(await store.record('one', number)))), [
      ...['undefined', 'c', 'e', 'undefined'],
    ]);
    t.is(await store.record('unheard-of', 1), undefined);
    t.deepEqual(await store.write([append('f')]), [6]);
    t.deepEqual(await recordsOf(store, 'unheard-of'), []);
    t.deepEqual(events, []);
  });

  test(`${kind}: a batch is atomic, and keys have their latest value`, async (t) => {
    const machine = machineOf();
    t.teardown(() => machine.remove());
    const first = await machine.start();
    await first.store.write([put('unit/2', 'pending'), put('unit/1', 'pending'), append('a'), put('other', '')]);
    await first.store.write([put('unit/1', 'running'), remove('unit/2'), remove('never there')]);
    await machine.crash();
    const { store, events } = await machine.start();
    t.deepEqual(await entriesOf(store, 'states'), ['other=', 'unit/1=running']);
    t.deepEqual(await entriesOf(store, 'states', 'unit/'), ['unit/1=running']);
    t.is((await store.get('states', 'unit/1'))?.toString(), 'running');
    t.is(await store.get('states', 'unit/2'), undefined);
    t.is(store.count('states'), 2);
    t.deepEqual(events, []);
  });

  test(`${kind}: trimmed records are gone for good, and their numbers are not used again`, async (t) => {
    const machine = machineOf();
    t.teardown(() => machine.remove());
    const first = await machine.start();
    await first.store.write(['a', 'b', 'c'].map((text) => append(text)));
    await first.store.write([trim(2)]);
    t.deepEqual(await recordsOf(first.store, 'one'), ['3:c']);
    t.deepEqual([await first.store.record('one', 2), String(await first.store.record('one', 3))], [undefined, 'c']);
    await first.store.write([trim(99)]);
    t.deepEqual(first.store.range('one'), { first: 4, next: 4 });
    await machine.crash();
    const { store, events } = await machine.start();
    t.deepEqual(store.range('one'), { first: 4, next: 4 });
    t.deepEqual(await store.write([append('d')]), [4]);
    t.deepEqual(await recordsOf(store, 'one'), ['4:d']);
    t.deepEqual(events, []);
  });

  test(`${kind}: after any sequence of writes, crashes and restarts the store holds what a model holds`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const machine = machineOf();
        try {
          await runModel(t, machine, steps);
        } finally {
          await machine.remove();
        }
      }),
      { numRuns: kind === 'memory' ? 150 : 12 },
    );
  });
}

const refused = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return RelayError.is(error) ? `${error.code}: ${error.message}` : String(error);
};

test('what is only written survives the end of the process, and a power failure may lose it', async (t) => {
  const disk = new MemoryDisk();
  const first = await openOn(disk);
  await first.store.write([append('a')]);
  await first.store.write([append('b')], { durability: 'written' });
  await first.store.write([append('c')], { durability: 'written' });
  t.deepEqual(await recordsOf((await openOn(disk)).store, 'one'), ['1:a', '2:b', '3:c']);
  disk.crash(1);
  const { store, events } = await openOn(disk);
  t.deepEqual(await recordsOf(store, 'one'), ['1:a', '2:b']);
  t.deepEqual(events, []);
});

test('while a sync runs the next batches gather, and a sync covers what was written before it', async (t) => {
  const disk = new MemoryDisk();
  const { store } = await openOn(disk);
  let syncs = 0;
  disk.faults.onBatch = (sync) => {
    if (sync) syncs++;
  };
  const first = store.write([append('first')]);
  await Promise.resolve();
  await Promise.resolve();
  const later = Array.from({ length: 50 }, (_, index) =>
    store.write([append(String(index))], { durability: index === 7 ? 'synced' : 'written' }),
  );
  await Promise.all([first, ...later]);
  t.is(syncs, 2);
  t.is(store.status().batches, 51);
  t.is(disk.unsynced, 0);
});

test('a low disk: new data is refused before anything is written, progress and deletions are not, and it is reported once', async (t) => {
  const disk = new MemoryDisk();
  disk.space = { freeBytes: 63 * 2 ** 20, totalBytes: 2 ** 30 };
  const { store, events, clock } = await openOn(disk);
  const low = { type: 'disk-low', ...disk.space } as const;
  t.deepEqual(store.state, low);
  t.is(
    await refused(store.write([append('a')])),
    'STATE_DIRECTORY: nothing more is stored while the disk is nearly full (63 MiB free); free some of it',
  );
  t.is(
    await refused(store.write([put('unit', 'pending')])),
    'STATE_DIRECTORY: nothing more is stored while the disk is nearly full (63 MiB free); free some of it',
  );
  await store.write([put('unit', 'succeeded'), append('end')], { isProgress: true });
  await store.write([remove('unit'), trim(1)]);
  disk.space = { freeBytes: 65 * 2 ** 20, totalBytes: 2 ** 30 };
  await look(clock);
  t.is(store.state.type, 'disk-low', 'a little more is not enough');
  disk.space = { freeBytes: 80 * 2 ** 20, totalBytes: 2 ** 30 };
  await look(clock);
  t.deepEqual(await store.write([append('b')]), [2]);
  t.deepEqual(events, [
    { type: 'store.state', state: low },
    { type: 'store.state', state: { type: 'open' } },
  ]);
  t.is(store.status().refused, 2);
});

/** Lets the store look at the disk once more. */
async function look(clock: { advance(ms: number): void; whenPending(): Promise<void> }): Promise<void> {
  clock.advance(2_000);
  await clock.whenPending();
}

test('a failed sync fails the store: everything that waits and everything new is refused, and what was acknowledged is still read', async (t) => {
  const disk = new MemoryDisk();
  const { store, events } = await openOn(disk);
  await store.write([append('a')]);
  disk.faults.onBatch = () => {
    throw new Error('EIO: i/o error, fdatasync');
  };
  const first = store.write([append('b')]);
  await Promise.resolve();
  await Promise.resolve();
  const second = store.write([append('c')]);
  const text =
    'STATE_DIRECTORY: nothing can be stored since a write failed (EIO: i/o error, fdatasync); free or repair the disk and restart the relay';
  t.is(await refused(first), text);
  t.is(await refused(second), text);
  disk.faults.onBatch = undefined;
  t.is(await refused(store.write([append('d')], { isProgress: true })), text);
  t.deepEqual(await recordsOf(store, 'one'), ['1:a']);
  t.deepEqual(events, [{ type: 'store.state', state: { type: 'failed', reason: 'EIO: i/o error, fdatasync' } }]);
  await store.close();
  t.deepEqual(await recordsOf((await openOn(disk)).store, 'one'), ['1:a']);
});

test('what cannot be stored is refused with the limit, and changes nothing', async (t) => {
  const { store } = await openOn(new MemoryDisk());
  t.is(await refused(store.write([append('a'), put('k'.repeat(513), '')])), 'LIMIT: a key of 513 bytes cannot be stored (limit 512)');
  t.is(await refused(store.write([append('a'), append('b', 'Not a name')])), "INTERNAL: 'Not a name' cannot be the name of a log or table");
  const names = Array.from({ length: 64 }, (_, index) => append('x', `log-${index}`));
  t.is(await refused(store.write([...names, append('x', 'one-more')])), 'LIMIT: a store has at most 64 logs and tables');
  t.deepEqual(store.range('one'), { first: 1, next: 1 });
  t.deepEqual(await store.write([append('a', 'log-1')]), [1]);
});

test('when the disk is slower than the senders they are refused beyond 64 MiB, and one large batch is not', async (t) => {
  const disk = new MemoryDisk();
  const { store } = await openOn(disk);
  const large = { type: 'append', log: 'one', value: Buffer.alloc(48 * 2 ** 20) } as const;
  const first = store.write([large]);
  t.is(await refused(store.write([large])), 'UNAVAILABLE: the disk is too slow for what has to be stored; try again later');
  await first;
  t.deepEqual(await store.write([large]), [2]);
  t.is(store.status().pendingBytes, 0);
});

test('a closed store has written what waited, and refuses more', async (t) => {
  const disk = new MemoryDisk();
  const { store } = await openOn(disk);
  const last = store.write([append('a')]);
  await store.close();
  t.deepEqual(await last, [1]);
  t.is(await refused(store.write([append('b')])), 'STATE_DIRECTORY: the store is closed: the relay is stopping');
  await store.close();
});

test('damage, a low disk and a failed write are errors in the log, and a disk with space again is news', (t) => {
  const log = new LogRecord();
  const write = (event: StoreEvent): void => {
    logStoreEvent(event, log.source('store'));
  };
  write({ type: 'store.damage', what: 'log one, number 1: the checksum is wrong', movedTo: '/state/store/damaged/records.jsonl' });
  write({ type: 'store.state', state: { type: 'disk-low', freeBytes: 2 ** 20, totalBytes: 2 ** 30 } });
  write({ type: 'store.state', state: { type: 'open' } });
  write({ type: 'store.state', state: { type: 'failed', reason: 'EIO\n' } });
  t.deepEqual(
    log.lines.all.map(({ level }) => level),
    ['error', 'error', 'info', 'error'],
  );
  t.is(log.matching(/number 1: the checksum is wrong; what was there is in \/state/).length, 1);
});

test('a store that does not exist is made by the first write, and opened by the next start', async (t) => {
  const disk = new MemoryDisk();
  const start = async (): Promise<{ readonly store: Store; readonly stop: () => Promise<void> }> => {
    const steps = new Steps({ clock: systemClock, log: SILENT });
    const store = await startStore(steps, { disk, options: storeDefaults.store, clock: systemClock, report: () => undefined });
    return { store, stop: () => steps.stop() };
  };
  const first = await start();
  t.deepEqual(first.store.range('one'), { first: 1, next: 1 });
  t.is(await first.store.get('states', 'a'), undefined);
  t.false(await disk.exists());
  t.deepEqual(await Promise.all([first.store.write([put('a', 'x')]), first.store.write([append('r')])]), [[], [1]]);
  await first.stop();
  await t.throwsAsync(first.store.write([put('b', 'y')]), { code: 'STATE_DIRECTORY' });
  const second = await start();
  t.is((await second.store.get('states', 'a'))?.toString(), 'x');
  t.deepEqual(second.store.range('one'), { first: 1, next: 2 });
  await second.stop();
});
