/** The cache only saves time: whatever is wrong with it, modules are compiled. */
import { chmodSync, existsSync, readFileSync, readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCache } from '../../src/loader/cache.mjs';
import { makePackage, makeTree, run } from './kit.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

test('an entry is found by all parts of its key', (t) => {
  const directory = join(makeTree(t, {}), 'a/b');
  const cache = openCache(directory);
  const key = cache.key('a', 'bc');
  t.not(key, cache.key('ab', 'c'));
  t.is(cache.get(key), undefined);
  cache.put(key, 'text\nwith é\n');
  t.is(cache.get(key), 'text\nwith é\n');
  t.is(openCache(directory).get(key), 'text\nwith é\n');
  t.is(statSync(directory).mode & 0o777, 0o700);
  t.is(statSync(join(directory, key)).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(directory), [key], 'no temporary file is left');
});

test('truncated, damaged and empty entries are ignored', (t) => {
  const directory = join(makeTree(t, {}), 'cache');
  const cache = openCache(directory);
  const key = cache.key('a');
  const file = join(directory, key);
  cache.put(key, 'some text');
  const good = readFileSync(file);
  for (const length of [0, 10, 64, 65, good.length - 1]) {
    writeFileSync(file, good);
    truncateSync(file, length);
    t.is(cache.get(key), undefined, `${length} bytes`);
  }
  for (const index of [0, 64, 65, good.length - 1]) {
    const bad = Buffer.from(good);
    bad[index] = (bad[index] ?? 0) ^ 1;
    writeFileSync(file, bad);
    t.is(cache.get(key), undefined, `byte ${index}`);
  }
  cache.put(key, 'some text');
  t.is(cache.get(key), 'some text');
});

test('without a directory, or with a file in its place, or one that others can write to, there is no cache', (t) => {
  const tree = makeTree(t, { file: '', 'open/x': '' });
  chmodSync(join(tree, 'open'), 0o777);
  const cache = openCache(undefined);
  cache.put(cache.key('a'), 'text');
  t.is(cache.get(cache.key('a')), undefined);
  for (const name of ['file', 'file/below', 'open']) {
    const bad = openCache(join(tree, name));
    bad.put(bad.key('a'), 'text');
    t.is(bad.get(bad.key('a')), undefined, name);
  }
  t.deepEqual(readdirSync(join(tree, 'open')), ['x']);
});

test('the first miss removes entries that are long unused or above the limit, and no others', (t) => {
  const directory = join(makeTree(t, {}), 'cache');
  openCache(directory).put('f'.repeat(64), 'first');
  const name = (number: number) => number.toString(16).padStart(64, '0');
  const age = (file: string, days: number) => utimesSync(join(directory, file), new Date(), new Date(Date.now() - days * DAY_MS));
  const others = [`${name(9999)}.0123.tmp`, 'README'];
  for (const file of others) {
    writeFileSync(join(directory, file), '');
    age(file, 40);
  }
  for (let number = 0; number < 2100; number += 1) {
    writeFileSync(join(directory, name(number)), '');
    age(name(number), number === 0 ? 31 : number / 100);
  }
  const cache = openCache(directory);
  cache.put('e'.repeat(64), 'second');
  t.is(readdirSync(directory).length, 2001);
  t.true(existsSync(join(directory, 'README')));
  t.false(existsSync(join(directory, name(0))));
  t.false(existsSync(join(directory, name(2099))));
  t.true(existsSync(join(directory, name(1900))));
  t.is(cache.get('e'.repeat(64)), 'second');
  t.false(existsSync(join(directory, others[0] ?? '')));
});

test('reading an entry marks it as used, but not at each start', (t) => {
  const directory = join(makeTree(t, {}), 'cache');
  const cache = openCache(directory);
  const key = cache.key('a');
  cache.put(key, 'text');
  for (const [days, renewed] of [
    [0.5, false],
    [2, true],
  ] as const) {
    const before = Date.now() - days * DAY_MS;
    utimesSync(join(directory, key), new Date(), new Date(before));
    t.is(cache.get(key), 'text');
    t.is(statSync(join(directory, key)).mtimeMs > before + DAY_MS / 4, renewed);
  }
});

test('a damaged entry is compiled again, a changed file too', async (t) => {
  const packageDir = makePackage(t);
  const cacheDir = join(packageDir, 'cache');
  const dir = makeTree(t, { 'a.ts': 'export const a: number = 1;\n' });
  const statements = `answer([swcIsLoaded(), (await import(${JSON.stringify(join(dir, 'a.ts'))})).a, swcIsLoaded()]);`;
  t.deepEqual(await run({ packageDir, cacheDir }, statements), [false, 1, true]);
  const [entry = ''] = readdirSync(cacheDir);
  writeFileSync(join(cacheDir, entry), readFileSync(join(cacheDir, entry), 'utf8').replace('= 1', '= 2'));
  t.deepEqual(await run({ packageDir, cacheDir }, statements), [false, 1, true]);
  t.deepEqual(await run({ packageDir, cacheDir }, statements), [false, 1, false]);
  writeFileSync(join(dir, 'a.ts'), 'export const a: number = 3;\n');
  t.deepEqual(await run({ packageDir, cacheDir }, statements), [false, 3, true]);
});

test('a module that does not compile is remembered too', async (t) => {
  const packageDir = makePackage(t);
  const cacheDir = join(packageDir, 'cache');
  const dir = makeTree(t, { 'a.ts': 'let = = 1;\n' });
  const statements = `answer([(await failure(import(${JSON.stringify(join(dir, 'a.ts'))}))).line, swcIsLoaded()]);`;
  t.deepEqual(await run({ packageDir, cacheDir }, statements), [1, true]);
  t.deepEqual(await run({ packageDir, cacheDir }, statements), [1, false]);
});

test('processes that start at the same time share one cache', async (t) => {
  const packageDir = makePackage(t);
  const cacheDir = join(packageDir, 'cache');
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, number) => [`m${number}.ts`, `export const n: number = ${number};\n`]));
  const dir = makeTree(t, files);
  const statements = `
    const paths = ${JSON.stringify(Object.keys(files).map((name) => join(dir, name)))};
    answer((await Promise.all(paths.map((path) => import(path)))).reduce((sum, { n }) => sum + n, 0));`;
  const sums = await Promise.all(Array.from({ length: 6 }, () => run({ packageDir, cacheDir }, statements)));
  t.deepEqual(
    sums,
    Array.from({ length: 6 }, () => 190),
  );
  t.is(readdirSync(cacheDir).length, 20);
});
