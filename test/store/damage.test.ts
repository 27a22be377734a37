/** A damaged store: whatever happens to its files, the rest survives, the damage is reported once, and nothing is deleted. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { MemoryDisk, levelDisk } from '../../src/store/store.ts';
import type { StoreEvent, StoreOperation } from '../../src/store/store.ts';
import { entriesOf, openOn, recordsOf } from './disks.ts';
import type { Opened } from './disks.ts';

const root = mkdtempSync(join(tmpdir(), 'co2-damage-'));
const whole = join(root, 'whole');
test.after.always(() => {
  rmSync(root, { recursive: true, force: true });
});

// So many that LevelDB has written one buffer to a table, which it does in the background, before it fills the next but one.
const RECORDS = 400;
const append = (value: Buffer): StoreOperation => ({ type: 'append', log: 'one', value });
const put = (key: string, text: string): StoreOperation => ({ type: 'put', table: 'states', key, value: Buffer.from(text) });
/** The value of a record: so large that LevelDB has several tables and a log. */
const valueOf = (number: number): Buffer => Buffer.alloc(96 * 1024, `<${number}>`);
const damageIn = (events: readonly StoreEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'store.damage' ? [event.what] : []));
const namesIn = (directory: string, pattern: RegExp): string[] =>
  readdirSync(directory)
    .filter((name) => pattern.test(name))
    .sort();

test.before(async () => {
  mkdirSync(whole);
  const { store } = await openOn(levelDisk(join(whole, 'store')));
  for (let number = 1; number <= RECORDS; number++)
    await store.write([append(valueOf(number)), put(`unit-${number % 10}`, String(number))], { durability: 'written' });
  await store.write([]);
  await store.close();
});

/** A copy of the files, changed by `damage`. */
function damaged(name: string, damage: (level: string) => void): string {
  const directory = join(root, name);
  cpSync(whole, directory, { recursive: true });
  damage(join(directory, 'store', 'level'));
  return join(directory, 'store');
}

function only(level: string, pattern: RegExp, index = 0): string {
  const name = namesIn(level, pattern).at(index);
  if (name === undefined) throw new Error(`no file ${String(pattern)} in ${level}`);
  return join(level, name);
}

/** The numbers of the records that are there with the right value. */
async function intact({ store }: Opened): Promise<Set<number>> {
  const found = new Set<number>();
  for await (const { number, value } of store.records('one')) if (value.equals(valueOf(number))) found.add(number);
  return found;
}

const cut = (file: string, share: number): void => {
  truncateSync(file, Math.floor(statSync(file).size * share));
};
const flip = (file: string, share: number): void => {
  const bytes = readFileSync(file);
  const at = Math.floor(bytes.length * share);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  writeFileSync(file, bytes);
};

const CASES: Readonly<Record<string, { readonly damage: (level: string) => void; readonly atLeast: number }>> = {
  'a bit of a table flipped': { damage: (level) => flip(only(level, /\.ldb$/), 0.5), atLeast: RECORDS - 2 },
  'a bit of the log flipped': { damage: (level) => flip(only(level, /\.log$/, -1), 0.5), atLeast: RECORDS - 4 },
  'a table cut': { damage: (level) => cut(only(level, /\.ldb$/), 0.3), atLeast: 50 },
  'a table gone': { damage: (level) => rmSync(only(level, /\.ldb$/)), atLeast: 50 },
  'the manifest cut, which LevelDB does not notice': { damage: (level) => cut(only(level, /^MANIFEST/), 0.5), atLeast: RECORDS },
  'a bit of the manifest flipped': { damage: (level) => flip(only(level, /^MANIFEST/), 0.5), atLeast: RECORDS },
  'the manifest gone': { damage: (level) => rmSync(only(level, /^MANIFEST/)), atLeast: RECORDS },
  'the name of the manifest gone, which LevelDB does not notice': { damage: (level) => rmSync(join(level, 'CURRENT')), atLeast: RECORDS },
  'the log cut': { damage: (level) => cut(only(level, /\.log$/, -1), 0.5), atLeast: 100 },
  'the log gone': { damage: (level) => rmSync(only(level, /\.log$/, -1)), atLeast: 100 },
  'every file gone': { damage: (level) => rmSync(level, { recursive: true }), atLeast: 0 },
};

for (const [name, { damage, atLeast }] of Object.entries(CASES)) {
  test(`${name}: the rest survives, and the damage is reported once`, async (t) => {
    const directory = damaged(name.replaceAll(/\W/g, '-'), damage);
    const before = existsSync(join(directory, 'level')) ? readdirSync(join(directory, 'level')) : [];
    const first = await openOn(levelDisk(directory));
    const found = await intact(first);
    t.true(found.size >= atLeast, `${found.size} of ${RECORDS} records survived`);
    const reported = damageIn(first.events);
    t.true(reported.length > 0);
    if (found.size < RECORDS) t.regex(reported.join('\n'), /log one|the newest writes are missing/);
    t.is(first.store.status().damaged, reported.length);
    // Nothing was deleted: the files as they were are kept, unless only single records were wrong.
    const movedTo = first.events.flatMap((event) => (event.type === 'store.damage' ? [event.movedTo] : []))[0];
    if (movedTo?.endsWith('records.jsonl')) t.is(readFileSync(movedTo, 'utf8').trim().split('\n').length, RECORDS - found.size);
    else t.deepEqual(readdirSync(movedTo ?? '').sort(), before.sort());
    const [next = 0] = await first.store.write([append(Buffer.from('new'))]);
    await first.store.close();

    const second = await openOn(levelDisk(directory));
    t.deepEqual(damageIn(second.events), []);
    t.deepEqual(await intact(second), new Set([...found].filter((number) => number < next)));
    t.deepEqual(await recordsOf(second.store, 'one', next), [`${next}:new`]);
    await second.store.close();
    t.false(existsSync(join(directory, 'unverified')));
  });
}

test('a start that ends before everything is verified leaves the next one what it found', async (t) => {
  const directory = damaged('interrupted', (level) => cut(only(level, /^MANIFEST/), 0.5));
  // LevelDB deletes the tables that the manifest does not name, and then the process is killed.
  const disk = levelDisk(directory);
  await disk.open().then(
    (engine) => engine.close(),
    () => undefined,
  );
  const opened = await openOn(levelDisk(directory));
  t.is((await intact(opened)).size, RECORDS);
  await opened.store.close();
});

test('entries that are missing, old or back again are noticed, and each table is counted by itself', async (t) => {
  const disk = new MemoryDisk();
  const { store } = await openOn(disk);
  await store.write([put('a', '1'), put('b', '1'), { ...put('c', '1'), table: 'others' } as StoreOperation]);
  const old = new Map<string, Buffer>();
  disk.damage((key, value) => {
    old.set(key.toString('latin1'), value);
    return value;
  });
  await (await openOn(disk)).store.write([put('a', '2'), { type: 'delete', table: 'states', key: 'b' }]);
  const back = (text: string): Buffer => Buffer.from(`\x03states\0${text}`);
  const current = new Map<string, Buffer>();
  disk.damage((key, value) => {
    current.set(key.toString('latin1'), value);
    return value;
  });
  const found = async (change: (key: Buffer, value: Buffer) => Buffer | undefined): Promise<string[]> => {
    const copy = new MemoryDisk();
    await (
      await copy.open()
    ).batch(
      [...current].map(([key, value]) => ({ type: 'put', key: Buffer.from(key, 'latin1'), value })),
      true,
    );
    copy.damage(change);
    const { events } = await openOn(copy);
    t.deepEqual(damageIn((await openOn(copy)).events), []);
    return damageIn(events).slice(1);
  };
  t.deepEqual(await found((key, value) => (key.equals(back('a')) ? old.get(key.toString('latin1')) : value)), [
    'table states: at least one entry has an older value',
  ]);
  t.deepEqual(await found((key, value) => (key.equals(back('a')) ? undefined : value)), ['table states: 1 of 1 entries are missing']);
  t.deepEqual(await found((key, value) => (key.toString('latin1').startsWith('\x03others') ? undefined : value)), [
    'table others: 1 of 1 entries are missing',
  ]);
});

test('a wrong checksum is reported with the key, what is wrong is set aside, and the other entries are read', async (t) => {
  const disk = new MemoryDisk();
  const { store } = await openOn(disk);
  await store.write([put('a', '1'), put('b\n', '1'), append(Buffer.from('x')), append(Buffer.from('y'))]);
  disk.damage((key, value) =>
    key.includes('b\n') || (key.length > 1 && key.at(-1) === 1) ? Buffer.concat([value, Buffer.from('!')]) : value,
  );
  const first = await openOn(disk);
  t.deepEqual(damageIn(first.events), ['log one, number 1: the checksum is wrong', 'table states, key b\ufffd: the checksum is wrong']);
  t.is(disk.setAside.length, 2);
  t.deepEqual(await entriesOf(first.store, 'states'), ['a=1']);
  t.deepEqual(await recordsOf(first.store, 'one'), ['2:y']);
  t.deepEqual((await openOn(disk)).events, []);
});

test('without the summary everything that is intact is read, and numbers go on', async (t) => {
  const disk = new MemoryDisk();
  const { store } = await openOn(disk);
  await store.write([put('a', '1'), append(Buffer.from('x')), append(Buffer.from('y'))]);
  disk.damage((key, value) => (key.length === 1 ? Buffer.concat([value, Buffer.from('!')]) : value));
  const first = await openOn(disk);
  t.is(damageIn(first.events)[0], 'the summary: the checksum is wrong');
  t.deepEqual(await entriesOf(first.store, 'states'), ['a=1']);
  t.deepEqual(await recordsOf(first.store, 'one'), ['1:x', '2:y']);
  t.deepEqual(await first.store.write([append(Buffer.from('z'))]), [3]);
  t.deepEqual((await openOn(disk)).events, []);
});

test('a single record that is damaged is reported once, also if it is read twice at the same time', async (t) => {
  const disk = new MemoryDisk();
  const { store, events } = await openOn(disk);
  await store.write([append(Buffer.from('x')), append(Buffer.from('y'))]);
  disk.damage((key, value) => (key.length > 1 && key.at(-1) === 1 ? Buffer.concat([value, Buffer.from('!')]) : value));
  t.deepEqual(await Promise.all([store.record('one', 1), store.record('one', 1)]), [undefined, undefined]);
  t.is((await store.record('one', 2))?.toString(), 'y');
  t.is(await store.record('one', 1), undefined);
  t.deepEqual(damageIn(events), ['log one, number 1: the checksum is wrong']);
  t.is(disk.setAside.length, 1);
});

test('what is damaged while the relay runs is reported when it is read', async (t) => {
  const disk = new MemoryDisk();
  const { store, events } = await openOn(disk);
  await store.write([put('a', '1'), append(Buffer.from('x')), append(Buffer.from('y'))]);
  disk.damage((key, value) => (key.length > 1 && key.at(-1) !== 2 ? Buffer.concat([value, Buffer.from('!')]) : value));
  t.deepEqual(await recordsOf(store, 'one'), ['2:y']);
  t.is(await store.get('states', 'a'), undefined);
  t.deepEqual(damageIn(events), ['log one, number 1: the checksum is wrong', 'table states, key a: the checksum is wrong']);
  await store.write([put('a', '2')]);
  t.is((await store.get('states', 'a'))?.toString(), '2');
  t.deepEqual((await openOn(disk)).events, []);
});
