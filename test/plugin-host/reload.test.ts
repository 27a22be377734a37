/** Live reload: what happens when a file is saved, with real files and a real watch. */
import { chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { NOT_RELOADED } from '../../src/plugin-host/hosted/hosted.ts';
import { hostOf, satelliteSource, writePlugins } from './kit.ts';
import { live, versioned } from './reload-kit.ts';

test('a saved module is reloaded, however it is saved, and its methods are exposed once', async (t) => {
  const { save, saveByRename, call, registry, status, host, changed } = await live(t, { 'ham/spam.ts': versioned('one') });
  t.is(await call('ham.spam.version'), 'one');
  await save('ham/spam.ts', versioned('two', '  /** Adds. */ @Exposed() more() { return 1; }'));
  await changed('ham.spam', 'reloaded');
  t.is(await call('ham.spam.version'), 'two');
  t.deepEqual(registry.names(), ['ham.spam.more', 'ham.spam.version']);
  t.is(host.methods().find(({ name }) => name === 'ham.spam.more')?.help, 'Adds.');
  await saveByRename('ham/spam.ts', versioned('three'));
  await changed('ham.spam', 'reloaded', 2);
  t.is(await call('ham.spam.version'), 'three');
  t.deepEqual(registry.names(), ['ham.spam.version']);
  t.like(status('ham.spam'), { state: { type: 'ready' }, restarts: 2, lastError: undefined });
  t.is(host.status().satellites.length, 1);
});

test('a changed helper reloads every module that imports it, and no other', async (t) => {
  const uses = (depth: string): string => versioned('', `  @Exposed() helper() { return text; }`, `import { text } from '${depth}';`);
  const { save, call, seen, changed } = await live(t, {
    'ham/a.ts': uses('./_middle.js'),
    'ham/b.ts': uses('../shared/deep/text.ts'),
    'ham/c.ts': versioned('alone'),
    'ham/_middle.ts': `export * from '../shared/deep/text.ts';`,
    'shared/deep/text.ts': `export const text = 'one';`,
  });
  await save('shared/deep/text.ts', `export const text = 'two';`);
  await changed('ham.a', 'reloaded');
  await changed('ham.b', 'reloaded');
  t.deepEqual([await call('ham.a.helper'), await call('ham.b.helper')], ['two', 'two']);
  t.deepEqual(seen.matching('plugin.version', { plugin: 'ham.c' }), []);
});

test('a helper that did not change stays the same object for all, and so do packages', async (t) => {
  const counts = versioned('1', `  @Exposed() count() { return next(); }`, `import { next } from './_count.ts';`);
  const { save, call, changed } = await live(t, {
    'ham/a.ts': counts,
    'ham/b.ts': counts,
    'ham/_count.ts': `let count = 0; export const next = () => ++count;`,
  });
  t.is(await call('ham.a.count'), 1);
  await save('ham/a.ts', `${counts} // changed`);
  await changed('ham.a', 'reloaded');
  t.deepEqual([await call('ham.a.count'), await call('ham.b.count')], [2, 3]);
});

test('new configuration reloads the plugin; invalid configuration does not', async (t) => {
  const { save, sent, notReloaded, status, remove, changed } = await live(t, {
    'ham/spam.ts': satelliteSource('Spam', `  async setup(config: unknown) { await this.send({ data: JSON.stringify(config) }); }`),
  });
  await save('ham/spam.config.ts', `import { high } from './_values.ts'; export default { high };`);
  await notReloaded();
  t.regex(status('ham.spam').lastError ?? '', /its configuration does not load: .*Cannot find module.*_values\.ts/);
  t.is(status('ham.spam').reloadError, status('ham.spam').lastError);
  await save('ham/_values.ts', `export const high = 2;`);
  await changed('ham.spam', 'reloaded');
  await save('ham/_values.ts', `export const high = 33;`);
  await changed('ham.spam', 'reloaded', 2);
  await remove('ham/spam.config.ts');
  await changed('ham.spam', 'reloaded', 3);
  t.deepEqual(
    sent.all.map(({ data }) => data),
    ['{}', '{"high":2}', '{"high":33}', '{}'],
  );
  t.like(status('ham.spam'), { lastError: undefined, reloadError: undefined });
});

test('new files load, deleted ones unload, renamed ones do both', async (t) => {
  const { save, call, lines, directory, remove, registry, host, changed } = await live(t, { 'ham/spam.ts': versioned('one') });
  await mkdir(join(directory, 'eggs'));
  await save('eggs/new.ts', versioned('new'));
  await changed('eggs.new', 'loaded');
  t.is(await call('eggs.new.version'), 'new');
  await remove('ham/spam.ts');
  await changed('ham.spam', 'unloaded');
  await rename(join(directory, 'eggs/new.ts'), join(directory, 'eggs/other.ts'));
  await changed('eggs.other', 'loaded');
  await changed('eggs.new', 'unloaded');
  t.deepEqual(registry.names(), ['eggs.other.version']);
  t.deepEqual(
    host.status().plugins.map(({ name }) => name),
    ['eggs.other'],
  );
  await rm(join(directory, 'eggs'), { recursive: true });
  await changed('eggs.other', 'unloaded');
  t.deepEqual(registry.names(), []);
  t.false(lines.all.some((one) => one.startsWith('error')));
});

test('a module that was not loaded at the start loads once it, or its helper, is fixed', async (t) => {
  const { save, call, host, status, changed } = await live(t, {
    'ham/spam.ts': `const a = ;\n`,
    'ham/eggs.ts': versioned('one', '', `import './_helper.ts';`),
  });
  t.deepEqual(
    host.status().problems.map(({ file }) => file),
    ['ham/eggs.ts', 'ham/spam.ts'],
  );
  t.is(status('ham.spam').state.type, 'not-loaded');
  await save('ham/spam.ts', versioned('one'));
  await changed('ham.spam', 'loaded');
  await save('ham/_helper.ts', ``);
  await changed('ham.eggs', 'loaded');
  t.deepEqual([await call('ham.spam.version'), await call('ham.eggs.version')], ['one', 'one']);
  t.deepEqual(host.status().problems, []);
});

test('a new file that does not load is logged with line and frame', async (t) => {
  const { save, notLoaded, status, lines, seen, host } = await live(t, { 'ham/spam.ts': versioned('one') });
  await save('ham/bad.ts', `const a = 1;\nconst b = ;\n`);
  const { rows } = await notLoaded({ file: 'ham/bad.ts', line: 2, column: 11 });
  t.true(rows.includes('> 2 | const b = ;'));
  t.true(lines.all.some((line) => line.startsWith('error plugin-host: ham/bad.ts:2:11: not loaded: ')));
  t.true(lines.all.includes('error plugin-host: > 2 | const b = ;'));
  t.like(status('ham.bad'), { state: { type: 'not-loaded' } });
  t.is(host.status().problems.length, 1);
  await save('ham/bad.ts', satelliteSource('Bad', `  setup() { throw new Error('no thermometer'); }`));
  const problem = { reason: /^plugin ham\.bad\.Bad: it refuses to start: no thermometer/ };
  await seen.event('plugin.problem', { outcome: /^not started, it is tried again in /, problem });
  t.like(status('ham.bad'), { state: { type: 'backoff', attempt: 1 } });
  t.regex(status('ham.bad').lastError ?? '', /^ham\/bad\.ts:6:\d+: /);
  t.is(seen.matching('plugin.problem').length, 2);
});

test('a new version that never finishes loading fails once, after its time limit', async (t) => {
  const { host, start, clock, directory, seen, call } = await hostOf(t, { 'ham/spam.ts': versioned('one') });
  await start();
  await writeFile(join(directory, 'ham/spam.ts'), `await new Promise(() => undefined);`);
  const look = host.rescan();
  await clock.whenPending();
  clock.advance(10_000);
  await look;
  await seen.event('plugin.problem', { outcome: NOT_RELOADED });
  t.is(clock.pending, 0);
  t.is(await call('ham.spam.version'), 'one');
});

test('each class of a new file that cannot be constructed is reported once', async (t) => {
  const bad = (name: string): string => `@Satellite()\nexport class ${name} { constructor() { throw new Error('no ${name}'); } }\n`;
  const { save, notLoaded, seen, host, changed } = await live(t, { 'ham/spam.ts': versioned('one') });
  await save('ham/two.ts', `import { Satellite } from 'co2-relay';\n${bad('One')}${bad('Two')}`);
  await notLoaded({ reason: /^ham\.two\.One: no One/ });
  await notLoaded({ reason: /^ham\.two\.Two: no Two/ });
  await save('ham/eggs.ts', versioned('one'));
  await changed('ham.eggs', 'loaded');
  t.is(seen.matching('plugin.problem').length, 2);
  t.is(host.status().problems.length, 2);
});

test('a directory that is created later, or replaced through a link, is noticed', async (t) => {
  const base = await writePlugins(t, {
    '1/ham/spam.ts': versioned('one'),
    '2/ham/spam.ts': versioned('two'),
    '2/ham/new.ts': versioned('new'),
  });
  await symlink(join(base, '1'), join(base, 'current'));
  const { call, seen, changed } = await live(t, join(base, 'current'));
  t.is(await call('ham.spam.version'), 'one');
  await symlink(join(base, '2'), join(base, 'next'));
  await rename(join(base, 'next'), join(base, 'current'));
  await changed('ham.spam', 'reloaded');
  await changed('ham.new', 'loaded');
  t.is(await call('ham.spam.version'), 'two');
  // It is watched where it leads now.
  await seen.event('plugins.watched', { directory: join(base, '2') });
  await writeFile(join(base, '2/ham/spam.ts'), versioned('three'));
  await changed('ham.spam', 'reloaded', 2);
  t.is(await call('ham.spam.version'), 'three');

  const later = await live(t, join(base, 'later'));
  await mkdir(join(base, 'later/ham'), { recursive: true });
  await writeFile(join(base, 'later/ham/spam.ts'), versioned('here'));
  await later.changed('ham.spam', 'loaded');
  t.is(await later.call('ham.spam.version'), 'here');
});

test('a link to itself does not prevent the watcher from noticing changes', async (t) => {
  const directory = await writePlugins(t, { 'ham/spam.ts': versioned('one') });
  await symlink('loop.ts', join(directory, 'ham/loop.ts'));
  const { save, lines, call, changed } = await live(t, directory);
  await symlink('late.ts', join(directory, 'ham/late.ts'));
  await save('ham/spam.ts', versioned('two'));
  await changed('ham.spam', 'reloaded');
  t.is(await call('ham.spam.version'), 'two');
  await save('ham/new.ts', versioned('three'));
  await changed('ham.new', 'loaded');
  t.deepEqual(
    lines.all.filter((one) => one.includes('once a second')),
    [],
  );
});

test('links within the directory are followed when they are swapped, of modules and of helpers', async (t) => {
  const uses = versioned('', `  @Exposed() helper() { return text; }`, `import { text } from './_text.ts';`);
  const { call, changed } = await live(t, {
    'ham/spam.ts': uses,
    'ham/_text1.ts': `export const text = 'one';`,
    'ham/_text2.ts': `export const text = 'two';`,
    'ham/_eggs1.ts': versioned('one'),
    'ham/_eggs2.ts': versioned('two'),
  }).then(async (kit) => {
    const swap = async (from: string, to: string): Promise<void> => {
      await symlink(from, join(kit.directory, 'ham/swap'));
      await rename(join(kit.directory, 'ham/swap'), join(kit.directory, to));
    };
    await kit.notLoaded({ file: 'ham/spam.ts' });
    await swap('_text1.ts', 'ham/_text.ts');
    await swap('_eggs1.ts', 'ham/eggs.ts');
    await kit.changed('ham.spam', 'loaded');
    await kit.changed('ham.eggs', 'loaded');
    t.deepEqual([await kit.call('ham.spam.helper'), await kit.call('ham.eggs.version')], ['one', 'one']);
    await swap('_text2.ts', 'ham/_text.ts');
    await swap('_eggs2.ts', 'ham/eggs.ts');
    return kit;
  });
  await changed('ham.spam', 'reloaded');
  await changed('ham.eggs', 'reloaded');
  t.deepEqual([await call('ham.spam.helper'), await call('ham.eggs.version')], ['two', 'two']);
});

test('a helper that is a link to a file outside the directory is not executed', async (t) => {
  const outside = await writePlugins(t, { 'evil.ts': `throw new Error('executed')` });
  const { save, notReloaded, directory } = await live(t, { 'ham/spam.ts': versioned('one') });
  await symlink(join(outside, 'evil.ts'), join(directory, 'ham/_evil.ts'));
  await save('ham/spam.ts', versioned('two', '', `import './_evil.ts';`));
  t.truthy(await notReloaded({ reason: /^ham\/_evil\.ts is a link to a file outside the directory/ }));
});

test('files that have become unsafe, including helpers, do not replace the running version', async (t) => {
  const uses = versioned('one', '', `import './_helper.ts';`);
  const { save, notReloaded, directory, status, call, changed } = await live(t, { 'ham/spam.ts': uses, 'ham/_helper.ts': '' });
  await chmod(join(directory, 'ham/_helper.ts'), 0o666);
  await notReloaded({ reason: /^ham\/_helper\.ts is not executed: every user of this machine can write to it/ });
  await chmod(join(directory, 'ham/_helper.ts'), 0o644);
  await changed('ham.spam', 'reloaded');
  await chmod(join(directory, 'ham/spam.ts'), 0o666);
  await save('ham/spam.ts', versioned('evil'));
  await notReloaded({ reason: /^every user of this machine can write to it/ });
  t.is(await call('ham.spam.version'), 'one');
  t.like(status('ham.spam'), { state: { type: 'ready' } });
  await chmod(join(directory, 'ham/spam.ts'), 0o644);
  await changed('ham.spam', 'reloaded', 2);
  t.is(await call('ham.spam.version'), 'evil');
});

test('a class that an index re-exports stays one satellite over reloads', async (t) => {
  const { save, host, registry, changed } = await live(t, {
    'ham/spam.ts': versioned('one'),
    'ham/index.ts': `export * from './spam.ts';`,
  });
  await save('ham/spam.ts', versioned('two'));
  await changed('ham.spam', 'reloaded');
  await changed('ham.index', 'reloaded');
  t.deepEqual(registry.names(), ['ham.spam.version']);
  t.deepEqual(
    host.status().satellites.map(({ name }) => name),
    ['ham.spam.Spam'],
  );
});

test('the directory is polled once a second where changes are not reported', async (t) => {
  const { save, call, changed } = await live(t, { 'ham/spam.ts': versioned('one') }, { watch: 'poll' });
  await save('ham/spam.ts', versioned('two'));
  await changed('ham.spam', 'reloaded');
  await save('ham/spam.ts', versioned('three'));
  await changed('ham.spam', 'reloaded', 2);
  t.is(await call('ham.spam.version'), 'three');
});

test('with watch: false the directory is scanned only on demand', async (t) => {
  const { save, call, host, changed } = await live(t, { 'ham/spam.ts': versioned('one') }, { watch: false });
  await save('ham/spam.ts', versioned('two'));
  await save('ham/new.ts', versioned('new'));
  await host.reloadPlugin('ham.spam');
  t.is(await call('ham.spam.version'), 'two');
  await host.rescan();
  await changed('ham.new', 'loaded');
});

test('startPlugin reports each state once', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': versioned('one') }, { watch: false });
  await kit.host.stopPlugin('ham.spam');
  await kit.host.startPlugin('ham.spam');
  const states = kit.seen.matching('plugin.state').map(({ state }) => state.type);
  t.deepEqual(states, ['starting', 'ready', 'stopping', 'stopped', 'starting', 'ready']);
});
