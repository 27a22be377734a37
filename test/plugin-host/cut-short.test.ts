/** Incomplete saves: the states between the steps in which a program writes a file never replace what runs. */
import { cp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { VirtualClock } from '../support/virtual-clock.ts';
import { satelliteSource } from './kit.ts';
import { live, versioned } from './reload-kit.ts';

/** Counts what it receives, and hands the count over. */
const COUNTS = `  received = 0;
  receive() { this.received++; }
  @Exposed() count() { return this.received; }
  handover() { return this.received; }
  restore(state: number) { this.received = state; }`;

/** Lets the watcher see a change and look at the directory. */
async function look({ clock }: { readonly clock: VirtualClock }): Promise<void> {
  await clock.whenPending();
  clock.advance(50);
}

test('an empty file, or one without satellites, replaces nothing and says what to do; deleting it unloads', async (t) => {
  const kit = await live(t, { 'ham/spam.ts': versioned('one', COUNTS) });
  kit.deliver(1);
  const cutShort = [
    ['', 'the file is empty; save it again, or delete it to unload ham.spam'],
    [
      `import { Plugin, Satellite } from 'co2-relay';\n`,
      'it no longer exports a class decorated with @Satellite; save it again, or delete it',
    ],
    [`export class Spam {}\n`, 'it no longer exports a class decorated with @Satellite'],
    [`// only a comment\n`, 'it no longer exports a class decorated with @Satellite'],
  ] as const;
  for (const [index, [source, reason]] of cutShort.entries()) {
    await kit.save('ham/spam.ts', source);
    const { problem } = await kit.notReloaded({ file: 'ham/spam.ts' }, index + 1);
    t.true(problem.reason.startsWith(reason), problem.reason);
    t.is(await kit.call('ham.spam.version'), 'one');
    t.true(kit.status('ham.spam').lastError?.startsWith(`ham/spam.ts: ${reason}`));
  }
  await t.throwsAsync(kit.host.reloadPlugin('ham.spam'), { code: 'PLUGIN_REFUSED', message: /no longer exports/ });
  await t.throwsAsync(kit.host.restartPlugin('ham.spam'), { code: 'PLUGIN_REFUSED', message: /no longer exports/ });
  kit.deliver(2);
  await kit.save('ham/spam.ts', versioned('two', COUNTS));
  await kit.changed('ham.spam', 'reloaded');
  kit.deliver(3);
  await kit.delivered('ham.spam.Spam', 3);
  t.deepEqual([await kit.call('ham.spam.version'), await kit.call('ham.spam.count')], ['two', 3]);
  await kit.save('ham/spam.ts', '');
  await kit.notReloaded({ file: 'ham/spam.ts' }, 6);
  await kit.remove('ham/spam.ts');
  await kit.changed('ham.spam', 'unloaded');
  t.deepEqual(kit.registry.names(), []);
});

test('a helper that is truncated reloads nothing until it has content again; one that began empty may stay so', async (t) => {
  const head = `import * as values from './_values.ts';\nimport './_empty.ts';`;
  const kit = await live(t, {
    'ham/spam.ts': versioned('one', `  @Exposed() value() { return (values as { value?: number }).value ?? 0; }`, head),
    'ham/_values.ts': `export const value = 1;`,
    'ham/_empty.ts': '',
  });
  await kit.save('ham/_values.ts', '');
  await kit.notReloaded({ file: 'ham/_values.ts', reason: /^the file is empty; save it again, or put a comment in it/ });
  t.is(await kit.call('ham.spam.value'), 1);
  await kit.save('ham/_empty.ts', '');
  await kit.save('ham/_values.ts', `export const value = 2;`);
  await kit.changed('ham.spam', 'reloaded');
  t.is(await kit.call('ham.spam.value'), 2);
  await kit.save('ham/_values.ts', `// nothing`);
  await kit.changed('ham.spam', 'reloaded', 2);
  t.is(await kit.call('ham.spam.value'), 0);
});

test('a configuration that is truncated replaces nothing', async (t) => {
  const kit = await live(t, {
    'ham/spam.ts': satelliteSource('Spam', `  async setup(config: unknown) { await this.send({ data: JSON.stringify(config) }); }`),
    'ham/spam.config.ts': `export default { high: 1 };`,
  });
  await kit.save('ham/spam.config.ts', '');
  await kit.notReloaded();
  await kit.save('ham/spam.config.ts', `export default { high: 2 };`);
  await kit.changed('ham.spam', 'reloaded');
  t.deepEqual(
    kit.sent.all.map(({ data }) => data),
    ['{"high":1}', '{"high":2}'],
  );
});

test('a package.json that cannot be read leaves the modules of its folder as they are', async (t) => {
  const manifest = JSON.stringify({ co2: { modules: ['spam'] } });
  const kit = await live(t, { 'ham/spam.ts': versioned('one'), 'ham/other.ts': versioned('no'), 'ham/package.json': manifest });
  t.deepEqual(kit.registry.names(), ['ham.spam.version']);
  for (const [index, text] of ['', manifest.slice(0, 20)].entries()) {
    await kit.save('ham/package.json', text);
    await kit.notLoaded({ file: 'ham/package.json', reason: /^cannot be read/ }, index + 1);
    t.deepEqual(kit.registry.names(), ['ham.spam.version']);
  }
  await kit.save('ham/package.json', JSON.stringify({ co2: { modules: ['spam', 'other'] } }));
  await kit.changed('ham.other', 'loaded');
  t.deepEqual(kit.seen.matching('plugin.version', { change: 'unloaded' }), []);
});

test('a deleted file is waited for: it is reloaded with its state when it reappears, and unloaded if it does not', async (t) => {
  const clock = new VirtualClock();
  const files = { 'ham/spam.ts': versioned('one', COUNTS), 'ham/spam.config.ts': 'export default {};', 'eggs/a.ts': versioned('a') };
  const kit = { ...(await live(t, files, { clock })), clock };
  kit.deliver(1);
  await rename(join(kit.directory, 'ham/spam.ts'), join(kit.directory, 'ham/spam.ts~'));
  await look(kit);
  await kit.unsettled();
  t.is(await kit.call('ham.spam.version'), 'one');
  await kit.save('ham/spam.ts', versioned('two', COUNTS));
  await look(kit);
  await kit.changed('ham.spam', 'reloaded');
  t.deepEqual([await kit.call('ham.spam.version'), await kit.call('ham.spam.count')], ['two', 1]);
  // A whole folder, as a deployment replaces it.
  await cp(join(kit.directory, 'ham'), join(kit.directory, '.ham'), { recursive: true });
  await rm(join(kit.directory, 'ham'), { recursive: true });
  await look(kit);
  await kit.unsettled(2);
  await writeFile(join(kit.directory, '.ham/spam.ts'), versioned('three', COUNTS));
  await rename(join(kit.directory, '.ham'), join(kit.directory, 'ham'));
  await look(kit);
  await kit.changed('ham.spam', 'reloaded', 2);
  t.deepEqual([await kit.call('ham.spam.version'), await kit.call('ham.spam.count')], ['three', 1]);
  t.deepEqual(kit.seen.matching('plugin.version', { change: 'unloaded' }), []);
  // A folder that gets another name: no two copies of it run at any time.
  await rename(join(kit.directory, 'eggs'), join(kit.directory, 'other'));
  await look(kit);
  await kit.unsettled(3);
  t.deepEqual(
    kit.host.status().plugins.map(({ name }) => name),
    ['eggs.a', 'ham.spam'],
  );
  await clock.whenPending();
  clock.advance(400);
  await kit.changed('other.a', 'loaded');
  t.deepEqual(
    kit.host.status().plugins.map(({ name }) => name),
    ['ham.spam', 'other.a'],
  );
  const unloaded = await kit.changed('eggs.a', 'unloaded');
  const starting = await kit.seen.event('plugin.state', { plugin: 'other.a', state: { type: 'starting' } });
  t.true(kit.seen.all.all.indexOf(unloaded) < kit.seen.all.all.indexOf(starting));
});

test('a truncated file that compiles is loaded only if it stays as it is', async (t) => {
  const clock = new VirtualClock();
  const whole = (version: string): string =>
    `${versioned('', `  @Exposed() helped() { return help(); }`)}\nfunction help() { return '${version}'; }\n`;
  const half = (source: string): string => source.slice(0, source.indexOf('\nfunction help'));
  const kit = { ...(await live(t, { 'ham/spam.ts': whole('one') }, { clock })), clock };
  await kit.save('ham/spam.ts', half(whole('two')));
  await look(kit);
  await kit.unsettled();
  await kit.save('ham/spam.ts', whole('two'));
  await look(kit);
  await kit.changed('ham.spam', 'reloaded');
  t.is(await kit.call('ham.spam.helped'), 'two');
  await kit.save('ham/spam.ts', half(whole('three')));
  await look(kit);
  await kit.unsettled(2);
  await clock.whenPending();
  clock.advance(400);
  await kit.changed('ham.spam', 'reloaded', 2);
  await t.throwsAsync(kit.call('ham.spam.helped'), { name: 'ReferenceError' });
});

test('while changes continue, complete files are reloaded, and deleted or truncated files are not yet', async (t) => {
  const clock = new VirtualClock();
  const files = { 'ham/spam.ts': versioned('one'), 'ham/eggs.ts': versioned('one'), 'ham/half.ts': versioned('one', '', '// a comment') };
  const kit = { ...(await live(t, files, { clock })), clock };
  await kit.remove('ham/eggs.ts');
  await look(kit);
  await kit.unsettled();
  await kit.save('ham/half.ts', versioned('one'));
  const changes = (plugin: string): number => kit.seen.matching('plugin.version', { plugin }).length;
  for (let n = 0; changes('ham.spam') === 0; n++) {
    await kit.save('ham/spam.ts', versioned(`another ${n}`));
    await clock.whenPending();
    clock.advance(300);
    await new Promise(setImmediate);
  }
  t.regex((await kit.call('ham.spam.version')) as string, /^another /);
  t.is(await kit.call('ham.eggs.version'), 'one');
  t.is(changes('ham.half'), 0);
  while (changes('ham.eggs') === 0) {
    await clock.whenPending();
    clock.advance(400);
    await new Promise(setImmediate);
  }
  await kit.changed('ham.half', 'reloaded');
});
