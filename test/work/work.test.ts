/** Units of work with a store whose power can fail, a virtual clock, and work that the tests control. */
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { EventStream } from '../../src/events/events.ts';
import type { WorkEvent } from '../../src/relay/relay.ts';
import { MemoryDisk, openStore, storeDefaults } from '../../src/store/store.ts';
import { dictOf } from '../../src/values/values.ts';
import { Work, pluginExecutor, workDefaults } from '../../src/work/work.ts';
import type { Executor, Submission, Unit, WorkLimits } from '../../src/work/work.ts';
import type { WorkResult } from '../../src/plugin/internal.ts';
import { Gate } from '../support/gate.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const ME = { id: 'token:me', text: 'token me' };
const OTHER = { id: 'token:other', text: 'token other' };

interface Kit {
  work: Work;
  readonly clock: VirtualClock;
  readonly states: Gate<string>;
  readonly executors: Map<string, Executor>;
  readonly directory: string;
  readonly disk: MemoryDisk;
  /** Ends the relay without a word, and starts it again on what the disk holds. */
  readonly crash: () => Promise<void>;
}

async function kitOf(t: ExecutionContext, limits: Partial<WorkLimits> = {}): Promise<Kit> {
  const directory = await mkdtemp(join(tmpdir(), 'co2-work-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const clock = new VirtualClock();
  const disk = new MemoryDisk();
  const states = new Gate<string>();
  const executors = new Map<string, Executor>();
  const open = async (): Promise<Work> => {
    const events = new EventStream<WorkEvent>({ clock });
    events.subscribe((event) => {
      states.push(event.type === 'work.state' ? `${event.unit} ${event.state}` : `${event.unit} released`);
    });
    const store = await openStore({ disk, options: storeDefaults.store, clock, report: () => undefined });
    const work = new Work({
      ...{ store, directory, clock, events, secret: 'a secret', date: () => 1_700_000_000_000 + clock.now() },
      ...{ limits: { ...workDefaults.workLimits, ...limits }, offered: () => executors, programs: {}, env: {} },
      log: {
        debug: () => undefined,
        info: () => undefined,
        warn: t.log,
        error: t.log,
        isDebugEnabled: () => false,
        isInfoEnabled: () => false,
      },
    });
    await work.start();
    return work;
  };
  const kit: Kit = {
    ...{ work: await open(), clock, states, executors, directory, disk },
    crash: async () => {
      disk.crash();
      kit.work = await open();
    },
  };
  return kit;
}

const ABOUT = { help: '', payload: 'bytes', maxConcurrent: undefined, timeoutMs: undefined, isReady: true } as const;

/** Work that yields what `run` yields. */
function offer(kit: Kit, type: string, run: () => AsyncIterable<WorkResult>): void {
  kit.executors.set(type, pluginExecutor({ ...ABOUT, type, takesParams: true, run }));
  kit.work.refresh();
}

/** Work that ends as `run` settles. */
function offerRun(kit: Kit, type: string, run: Executor['run'], more: Partial<Executor> = {}): void {
  kit.executors.set(type, { ...ABOUT, type, params: 'any', outputs: ['results'], run, ...more });
  kit.work.refresh();
}

const done: Executor['run'] = () => Promise.resolve(undefined);

/** Never ends by itself. */
const untilAborted: Executor['run'] = ({ signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('aborted'));
    });
  });

const submission = (id: string, type = 'ham.spam:work', more: Partial<Submission> = {}): Submission => ({
  ...{ type, id, payload: Buffer.alloc(0), params: dictOf() },
  ...more,
});

async function resultsOf(kit: Kit, unit: Unit): Promise<readonly string[]> {
  const found: string[] = [];
  await kit.work.withOutput(unit, undefined, async (stream) => {
    for (let from = 0; ;) {
      const page = await stream.page({ from, waitMs: 10_000 });
      for (const { offset, item } of page.items) found.push(`${offset} ${item.kind} ${item.bytes.toString()}`);
      if (page.items.length === 0 && page.state.type !== 'open') return;
      from = page.next;
    }
  });
  return found;
}

test('a unit runs, and its results and its end are there after a crash', async (t) => {
  const kit = await kitOf(t);
  offer(kit, 'ham.spam:work', async function* () {
    yield 'one';
    yield Buffer.from('two');
    yield await Promise.resolve({ three: 3 });
  });
  const unit = await kit.work.submit(submission('u1'), ME);
  t.is(unit.state.type, 'pending');
  await kit.states.until((state) => state === 'u1 succeeded');
  const expected = ['0 text one', '3 bytes two', '6 struct {"three":3}\n'];
  t.deepEqual(await resultsOf(kit, kit.work.find('u1', ME)), expected);
  await kit.crash();
  t.is(kit.work.find('u1', ME).state.type, 'succeeded');
  t.deepEqual(await resultsOf(kit, kit.work.find('u1', ME)), expected);
  t.deepEqual(kit.states.all, ['u1 pending', 'u1 running', 'u1 succeeded']);
});

test('large results are in files, can be read from any byte on, and are gone with the unit', async (t) => {
  const kit = await kitOf(t);
  const block = Buffer.alloc(50_000, 'x');
  offer(kit, 'ham.spam:work', async function* () {
    for (let index = 0; index < 10; index++) yield await Promise.resolve(block);
    yield 'the end';
  });
  await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 succeeded');
  await kit.crash();
  const unit = kit.work.find('u1', ME);
  t.deepEqual(unit.outputs, { results: { bytes: 500_007, truncated: false } });
  const tail = await kit.work.withOutput(unit, 'results', (stream) => stream.page({ from: 499_999, maxBytes: 100 }));
  t.deepEqual(
    tail.items.map(({ item }) => `${item.kind} ${item.bytes.toString()}`),
    ['bytes x', 'text the end'],
  );
  t.is(tail.state.type, 'ended');
  await kit.work.release(unit);
  t.deepEqual(await readdir(kit.directory), []);
  t.false(kit.work.has('u1'));
});

test('a reader that is behind when the unit ends gets the rest, and so does the next one', async (t) => {
  const kit = await kitOf(t);
  const goOn = new Gate<'go on'>();
  offer(kit, 'ham.spam:work', async function* () {
    for (let index = 0; index < 4; index++) yield Buffer.alloc(50_000, String(index));
    await goOn.until(() => true);
    yield 'the end';
  });
  const unit = await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 running');
  const { stream, close } = await kit.work.openOutput(unit, 'results');
  t.is((await stream.page({ maxBytes: 10, waitMs: 10_000, isRaw: true })).next, 10);
  goOn.push('go on');
  await kit.states.until((state) => state === 'u1 succeeded');
  // Nothing is left to cancel, but this resolves only when the run is over.
  await kit.work.cancel(unit);
  const rest = await stream.page({ from: 10, maxBytes: 1_000_000, isRaw: true });
  t.deepEqual([rest.next, rest.state.type], [200_007, 'ended']);
  const bytes = Buffer.concat(rest.items.map(({ item }) => item.bytes));
  t.deepEqual([rest.items[0]?.offset, bytes.length], [10, 199_997], 'every byte, in order, in any number of pieces');
  await close();
  const again = await kit.work.withOutput(unit, 'results', (kept) => kept.page({ from: 199_999, isRaw: true }));
  t.is(again.items[0]?.item.bytes.toString(), '3the end');
});

test('results whose file is gone or cut are an error, never an empty success', async (t) => {
  const kit = await kitOf(t);
  offer(kit, 'ham.spam:work', async function* () {
    yield await Promise.resolve(Buffer.alloc(100_000));
  });
  const unit = await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 succeeded');
  const file = join(kit.directory, 'u1', 'results');
  const read = (): Promise<unknown> => kit.work.withOutput(kit.work.find('u1', ME), 'results', (stream) => stream.page({ isRaw: true }));
  await kit.work.cancel(unit);
  await t.notThrowsAsync(read());
  await truncate(file, 50_000);
  await t.throwsAsync(read(), { code: 'STATE_DIRECTORY', message: 'the results cannot be read: 50000 of 100000 bytes are there' });
  await rm(file);
  await t.throwsAsync(read(), { code: 'STATE_DIRECTORY', message: /^the results cannot be read: .*ENOENT/ });
});

test('an error of the work is the reason of its failure, after its results', async (t) => {
  const kit = await kitOf(t);
  offer(kit, 'ham.spam:work', async function* () {
    yield await Promise.resolve('before');
    throw new Error('the oven is cold');
  });
  await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 failed');
  const unit = kit.work.find('u1', ME);
  t.deepEqual(unit.state, { type: 'failed', reason: 'the oven is cold' });
  const page = await kit.work.withOutput(unit, undefined, (stream) => stream.page());
  t.is(page.items[0]?.item.bytes.toString(), 'before');
  t.deepEqual(page.state, { type: 'failed', reason: 'the oven is cold' });
});

test('units that ran when the relay crashed have failed, and those that waited run', async (t) => {
  const kit = await kitOf(t, { maxRunning: 1 });
  let isSecondRun = false;
  offerRun(kit, 'ham.spam:work', async (order, report) => {
    return isSecondRun ? undefined : untilAborted(order, report);
  });
  await kit.work.submit(submission('u1'), ME);
  await kit.work.submit(submission('u2'), ME);
  await kit.states.until((state) => state === 'u1 running');
  t.is(kit.work.positionOf(kit.work.find('u2', ME)), 0);
  isSecondRun = true;
  await kit.crash();
  await kit.states.until((state) => state === 'u2 succeeded');
  const { state } = kit.work.find('u1', ME);
  t.is(state.type, 'failed');
  t.regex('reason' in state ? state.reason : '', /^orphaned/);
});

test('a unit that starts at once is written twice: as running, and with its end', async (t) => {
  const kit = await kitOf(t);
  const written: string[] = [];
  kit.disk.faults.onBatch = () => {
    written.push(kit.states.all.at(-1) ?? 'nothing');
  };
  offerRun(kit, 'ham.spam:work', done);
  await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 succeeded');
  t.deepEqual(written, ['nothing', 'u1 running'], 'no state is reported before it is written');
  t.deepEqual(kit.states.all, ['u1 pending', 'u1 running', 'u1 succeeded']);
});

test('units that are submitted and end at the same time share their writes', async (t) => {
  const kit = await kitOf(t, { maxRunning: 4 });
  let writes = 0;
  kit.disk.faults.onBatch = () => {
    writes++;
  };
  offerRun(kit, 'ham.spam:work', done);
  await Promise.all(Array.from({ length: 40 }, (_, index) => kit.work.submit(submission(`u${index}`), ME)));
  await kit.states.until((state) => state.endsWith('succeeded'), 40);
  // 4 start with the first write, and 4 with each that has the ends of the last.
  t.true(writes <= 12, `${writes} writes`);
});

test('a unit runs only once it is stored, and one that was not acknowledged may be submitted again', async (t) => {
  const kit = await kitOf(t, { maxRunning: 1 });
  let runs = 0;
  offerRun(kit, 'ham.spam:work', (order, report) => {
    runs++;
    return runs === 1 ? untilAborted(order, report) : done(order, report);
  });
  kit.disk.space = { freeBytes: 0, totalBytes: 2 ** 40 };
  await kit.crash();
  await t.throwsAsync(kit.work.submit(submission('u1'), ME), { code: 'STATE_DIRECTORY' });
  t.is(runs, 0);
  t.false(kit.work.has('u1'));
  t.deepEqual(kit.work.running, []);
  kit.disk.space = { freeBytes: 2 ** 40, totalBytes: 2 ** 41 };
  await kit.crash();
  await kit.work.submit(submission('u1'), ME);
  await kit.work.submit(submission('u2'), ME);
  await kit.work.cancel(kit.work.find('u1', ME));
  await kit.states.until((state) => state === 'u2 succeeded');
  t.is(runs, 2);
});

test('an id that is submitted twice at the same time is one unit, which runs once', async (t) => {
  const kit = await kitOf(t);
  let runs = 0;
  offerRun(kit, 'ham.spam:work', () => {
    runs++;
    return Promise.resolve(undefined);
  });
  const units = await Promise.all([kit.work.submit(submission('u1'), ME), kit.work.submit(submission('u1'), ME)]);
  t.deepEqual([...new Set(units.map(({ id }) => id))], ['u1']);
  await t.throwsAsync(Promise.all([kit.work.submit(submission('u2'), ME), kit.work.submit(submission('u2'), OTHER)]), {
    code: 'INVALID_PARAMS',
  });
  await kit.states.until((state) => state === 'u2 succeeded');
  t.is(runs, 2);
  t.deepEqual(
    kit.states.all.filter((state) => state.startsWith('u1')),
    ['u1 pending', 'u1 running', 'u1 succeeded'],
  );
});

test('a unit whose output cannot be stored has failed, and its place is free', async (t) => {
  const kit = await kitOf(t, { maxRunning: 1 });
  offer(kit, 'ham.spam:work', async function* () {
    yield await Promise.resolve(Buffer.alloc(100 * 1024));
  });
  // Where its directory should be.
  await writeFile(join(kit.directory, 'u1'), '');
  await kit.work.submit(submission('u1'), ME);
  await kit.work.submit(submission('u2'), ME);
  await kit.states.until((state) => state === 'u2 succeeded');
  const { state } = kit.work.find('u1', ME);
  t.is(state.type, 'failed');
  t.regex('reason' in state ? state.reason : '', /^a result cannot be stored/);
});

test('a unit is canceled while it waits and while it runs; again changes nothing', async (t) => {
  const kit = await kitOf(t, { maxRunning: 1 });
  const aborted = new Gate<string>();
  offerRun(kit, 'ham.spam:work', (order, report) => {
    order.signal.addEventListener('abort', () => {
      aborted.push(order.unit);
    });
    return untilAborted(order, report);
  });
  const one = await kit.work.submit(submission('u1'), ME);
  const two = await kit.work.submit(submission('u2'), ME);
  await kit.states.until((state) => state === 'u1 running');
  t.is((await kit.work.cancel(two)).state.type, 'canceled');
  t.is((await kit.work.cancel(one)).state.type, 'canceled');
  t.deepEqual(aborted.all, ['u1']);
  t.is((await kit.work.cancel(kit.work.find('u1', ME))).state.type, 'canceled');
  t.deepEqual(
    kit.states.all.filter((state) => state.endsWith('canceled')),
    ['u2 canceled', 'u1 canceled'],
  );
});

test('a unit that does not start in time expires, and one that runs too long fails', async (t) => {
  const kit = await kitOf(t);
  offerRun(kit, 'ham.spam:work', untilAborted, { timeoutMs: 5_000 });
  offerRun(kit, 'ham.spam:down', done, { isReady: false });
  await kit.work.submit(submission('u1'), ME);
  await kit.work.submit(submission('u2', 'ham.spam:down', { ttlMs: 3_000 }), ME);
  await kit.states.until((state) => state === 'u1 running');
  kit.clock.advance(3_000);
  await kit.states.until((state) => state === 'u2 expired');
  kit.clock.advance(2_000);
  await kit.states.until((state) => state === 'u1 failed');
  t.deepEqual(kit.work.find('u1', ME).state, { type: 'failed', reason: 'it took longer than 5000 ms' });
});

test('the same id is the same unit, and belongs to its submitter', async (t) => {
  const kit = await kitOf(t);
  offerRun(kit, 'ham.spam:work', done);
  await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 succeeded');
  t.is((await kit.work.submit(submission('u1'), ME)).state.type, 'succeeded');
  await t.throwsAsync(kit.work.submit(submission('u1'), OTHER), { code: 'INVALID_PARAMS' });
  t.throws(() => kit.work.find('u1', OTHER), { code: 'INVALID_PARAMS' });
  t.is(kit.work.find('u1', undefined).id, 'u1', 'an admin sees all');
  t.deepEqual(kit.work.list(OTHER), []);
});

test('a type runs as many units as it allows, in order, and delays no other type', async (t) => {
  const kit = await kitOf(t, { maxRunning: 3 });
  const ends = new Map<string, () => void>();
  const run: Executor['run'] = (order) =>
    new Promise((resolve) =>
      ends.set(order.unit, () => {
        resolve(0);
      }),
    );
  offerRun(kit, 'ham.spam:many', run, { maxConcurrent: 2 });
  offerRun(kit, 'ham.spam:other', run);
  for (const id of ['a1', 'a2', 'a3', 'a4']) await kit.work.submit(submission(id, 'ham.spam:many'), ME);
  await kit.work.submit(submission('b1', 'ham.spam:other'), ME);
  await kit.states.until((state) => state.endsWith('running'), 3);
  t.deepEqual(kit.states.all.filter((state) => state.endsWith('running')).sort(), ['a1 running', 'a2 running', 'b1 running']);
  ends.get('a1')?.();
  await kit.states.until((state) => state === 'a3 running');
  t.is(kit.work.positionOf(kit.work.find('a4', ME)), 0);
});

test('parameters are refused unless they are declared, and secret ones are never stored in clear', async (t) => {
  const kit = await kitOf(t);
  const seen: unknown[] = [];
  offerRun(kit, 'ham.spam:work', (order, report) => {
    seen.push(Object.fromEntries(Object.entries(order.params)));
    return done(order, report);
  });
  offerRun(kit, 'ham.spam:none', done, { params: [] });
  const params = dictOf([
    ['secret_key', 'hunter2'],
    ['size', 3],
  ]);
  await t.throwsAsync(kit.work.submit(submission('u0', 'ham.spam:none', { params }), ME), { code: 'INVALID_PARAMS' });
  const unit = await kit.work.submit(submission('u1', 'ham.spam:work', { params }), ME);
  await kit.states.until((state) => state === 'u1 succeeded');
  t.deepEqual(seen, [{ secret_key: 'hunter2', size: 3 }]);
  t.false(JSON.stringify(unit).includes('hunter2'));
});

test('output beyond its limit is dropped, and the unit says so', async (t) => {
  const kit = await kitOf(t, { maxOutputBytes: 100 });
  offer(kit, 'ham.spam:work', async function* () {
    for (let index = 0; index < 5; index++) yield await Promise.resolve(Buffer.alloc(30));
  });
  await kit.work.submit(submission('u1'), ME);
  await kit.states.until((state) => state === 'u1 succeeded');
  t.deepEqual(kit.work.find('u1', ME).outputs, { results: { bytes: 100, truncated: true } });
});
