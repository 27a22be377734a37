/** Helpers outside of the plugins directory are reloaded, and files that cannot be reloaded are named. */
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { writePlugins } from './kit.ts';
import type { Files } from './kit.ts';
import { live, versioned } from './reload-kit.ts';
import type { LiveKit, LiveOverrides } from './reload-kit.ts';

interface Project extends LiveKit {
  /** Writes a file of the project. */
  readonly write: (path: string, text: string) => Promise<void>;
  readonly at: (path: string) => string;
}

/** A project whose plugins directory is `plugins`. */
async function project(t: ExecutionContext, files: Files, overrides: LiveOverrides = {}): Promise<Project> {
  const root = await writePlugins(t, files);
  const at = (path: string): string => join(root, path);
  return { ...(await live(t, at('plugins'), overrides)), at, write: (path, text) => writeFile(at(path), text) };
}

const USES = versioned('', `  @Exposed() value() { return value; }`, `import { value } from '../../shared.ts';`);

test('a helper outside of the plugins directory, and what that imports, is reloaded however it is saved', async (t) => {
  const { write, at, call, notReloaded, changed, seen } = await project(t, {
    'plugins/ham/spam.ts': USES,
    'plugins/ham/other.ts': versioned('other'),
    'shared.ts': `export { value } from './lib/deep/value.ts';`,
    'lib/deep/value.ts': `export const value = 1;`,
    'unused.ts': '',
  });
  t.is(await call('ham.spam.value'), 1);
  await write('lib/deep/value.ts', `export const value = 2;`);
  await changed('ham.spam', 'reloaded');
  t.is(await call('ham.spam.value'), 2);
  await write('next.ts', `export const value = 33;`);
  await rename(at('next.ts'), at('shared.ts'));
  await changed('ham.spam', 'reloaded', 2);
  t.is(await call('ham.spam.value'), 33);
  await write('shared.ts', `import { word } from './new/word.ts';\nexport const value = word + ;`);
  await notReloaded({ file: at('shared.ts'), line: 2, column: 29 });
  await write('shared.ts', `export { value } from './new/more/value.ts';`);
  await notReloaded({}, 2);
  // Where it is looked for there is no folder yet.
  await mkdir(at('new/more'), { recursive: true });
  await write('new/more/value.ts', `export const value = 4;`);
  await changed('ham.spam', 'reloaded', 3);
  t.is(await call('ham.spam.value'), 4);
  await rm(at('new'), { recursive: true });
  await notReloaded({}, 3);
  await mkdir(at('new/more'), { recursive: true });
  await write('new/more/value.ts', `export const value = 5;`);
  await changed('ham.spam', 'reloaded', 4);
  t.is(await call('ham.spam.value'), 5);
  t.deepEqual(seen.matching('plugin.version', { plugin: 'ham.other' }), []);
});

test('restart, reload and start run the files on the disk, including helpers outside, without a watcher', async (t) => {
  const files = { 'plugins/ham/spam.ts': USES, 'shared.ts': `export const value = 1;` };
  const { write, call, host } = await project(t, files, { watch: false });
  await write('shared.ts', `export const value = 2;`);
  await host.restartPlugin('ham.spam');
  t.is(await call('ham.spam.value'), 2);
  await write('plugins/ham/spam.ts', USES.replace('return value;', 'return value + 100;'));
  await host.restartPlugin('ham.spam');
  t.is(await call('ham.spam.value'), 102);
  await write('shared.ts', `export const value = 3;`);
  await host.reloadPlugin('ham.spam');
  t.is(await call('ham.spam.value'), 103);
  await host.stopPlugin('ham.spam');
  await write('shared.ts', `export const value = 4;`);
  await host.startPlugin('ham.spam');
  t.is(await call('ham.spam.value'), 104);
  await write('shared.ts', '');
  await t.throwsAsync(host.restartPlugin('ham.spam'), { code: 'PLUGIN_REFUSED', message: /shared\.ts: the file is empty/ });
  t.is(await call('ham.spam.value'), 104);
});

test('a helper outside is polled where changes are not reported', async (t) => {
  const files = { 'plugins/ham/spam.ts': USES, 'shared.ts': `export const value = 1;` };
  const { write, call, changed } = await project(t, files, { watch: 'poll' });
  await write('shared.ts', `export const value = 2;`);
  await changed('ham.spam', 'reloaded');
  t.is(await call('ham.spam.value'), 2);
});

test('CommonJS files and packages stay as they were, and are named at each reload', async (t) => {
  const source = versioned(
    '',
    `  @Exposed() values() { return [old.value, thing, value]; }`,
    `import old from './_old.cjs';\nimport thing from 'thing';\nimport { value } from '../../shared.ts?some';`,
  );
  const { write, call, changed, lines, host, status } = await project(t, {
    'plugins/ham/spam.ts': source,
    'plugins/ham/_old.cjs': `exports.value = 1;`,
    'shared.ts': `export const value = 1;`,
    'node_modules/thing/package.json': `{ "name": "thing", "version": "1.0.0", "type": "module", "exports": "./index.js" }`,
    'node_modules/thing/index.js': `export default 1;`,
  });
  await write('shared.ts', `export const value = 2;`);
  t.deepEqual((await changed('ham.spam', 'reloaded')).notReloaded, []);
  t.deepEqual(await call('ham.spam.values'), [1, 1, 2]);
  t.deepEqual(status('ham.spam').notReloaded, []);

  await write('plugins/ham/_old.cjs', `exports.value = 2;`);
  t.deepEqual((await changed('ham.spam', 'reloaded', 2)).notReloaded, ['ham/_old.cjs (CommonJS)']);
  t.regex(
    lines.all.find((line) => line.includes('with the old code of')) ?? '',
    /^warn plugin-host: ham\.spam reloaded in \d+ ms \(ham\/spam\.ts\), but with the old code of ham\/_old\.cjs \(CommonJS\), which a process can import only once: restart the relay, or run/,
  );
  t.deepEqual(await call('ham.spam.values'), [1, 1, 2]);

  await write('node_modules/thing/index.js', `export default 2;`);
  await host.restartPlugin('ham.spam');
  const old = ['ham/_old.cjs (CommonJS)', 'node_modules/thing'];
  t.deepEqual((await changed('ham.spam', 'restarted')).notReloaded, old);
  t.deepEqual(status('ham.spam').notReloaded, old);
});

test('a helper outside that every user may write to is not executed', async (t) => {
  const { at, notReloaded, call } = await project(t, { 'plugins/ham/spam.ts': USES, 'shared.ts': `export const value = 1;` });
  await chmod(at('shared.ts'), 0o666);
  await notReloaded({ reason: /shared\.ts is not executed: every user of this machine can write to it/ });
  t.is(await call('ham.spam.value'), 1);
});

test('files that editors and merges leave behind are not modules', async (t) => {
  const { write, changed, host, registry, lines } = await project(t, { 'plugins/ham/spam.ts': versioned('one') });
  const names = ['flycheck_spam.ts', '#spam.ts#', '.#spam.ts', 'spam.ts~', '.spam.ts.swp', '4913', 'spam.ts.tmp', 'spam.ts___jb_tmp___'];
  const others = [
    'spam_flymake.ts',
    'spam_BASE_1234.ts',
    'spam_LOCAL_1234.ts',
    'spam.sync-conflict-20261121-101010-ABC.ts',
    '.goutputstream-A1.ts',
  ];
  for (const name of [...names, ...others]) await write(`plugins/ham/${name}`, versioned('copy'));
  await write('plugins/ham/late.ts', versioned('late'));
  await changed('ham.late', 'loaded');
  t.deepEqual(registry.names(), ['ham.late.version', 'ham.spam.version']);
  t.deepEqual(host.status().problems, []);
  t.false(lines.all.some((one) => /reloaded|not loaded/.test(one)));
});

test('the memory that reloads retain is counted', async (t) => {
  const files = { 'plugins/ham/spam.ts': USES, 'shared.ts': `export const value = 1;` };
  const { write, host, status } = await project(t, files, { watch: false });
  t.deepEqual(status('ham.spam').kept, { versions: 0, bytes: 0 });
  const before = host.status().kept;
  await host.reloadPlugin('ham.spam');
  await write('shared.ts', `export const value = 2;`);
  await host.restartPlugin('ham.spam');
  const { versions = 0, bytes = 0 } = status('ham.spam').kept ?? {};
  // Both files by the reload, both by the restart, since one changed that the other imports.
  t.is(versions, 4);
  t.true(bytes > 2 * USES.length && bytes < 500_000, String(bytes));
  const after = host.status().kept;
  t.true(after.versions >= before.versions + 4);
  t.true(after.bytes >= before.bytes + bytes);
});
