/** Which files are modules, and what they are called. */
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { nameModules } from '../../src/plugin-host/hosted/module-file.ts';
import { hostOf, satelliteSource, started, writePlugins } from './kit.ts';

const WHO = satelliteSource('Who', `  @Exposed() who() { return this.toString(); }`);

test('package is the folder, module is the file, a file at the top is in package plugins', async (t) => {
  const { names, call } = await started(t, {
    'ham/spam.ts': WHO,
    'top.mts': WHO,
    'ham/index.ts': WHO,
    'my-pkg/my-mod.ts': WHO,
    'js/a.js': WHO.replaceAll(/@Satellite\(\)|@Exposed\(\)|, type Context/g, '') + `Exposed({})(Who.prototype, 'who', {}); Satellite(Who);`,
    'js/b.mjs':
      WHO.replaceAll(/@Satellite\(\)|@Exposed\(\)|, type Context/g, '') + `Exposed({})(Who.prototype, 'who', {}); Satellite(Who);`,
  });
  t.deepEqual(names(), ['ham.index.who', 'ham.spam.who', 'js.a.who', 'js.b.who', 'my_pkg.my_mod.who', 'plugins.top.who']);
  t.is(await call('my_pkg.my_mod.who'), 'my_pkg.my_mod.Who');
});

test('helpers are not modules', (t) => {
  const files = [
    'ham/_spam.ts',
    'ham/spam.config.ts',
    'ham/spam.test.ts',
    'ham/spam.d.ts',
    'ham/spam.d.mts',
    '_lib/spam.ts',
    '.git/spam.ts',
  ];
  t.deepEqual(nameModules([...files, 'node_modules/spam.ts', 'ham/deep/spam.ts', 'ham/.spam.ts', 'ham/spam.json', 'ham/spam.cts']), []);
});

test('names that cannot be part of a method name are reported in one line', (t) => {
  const [dotted, spaced, digit] = nameModules(['ham/a.b.ts', 'ham/bad\nname.ts', '9lives/x.ts']);
  for (const one of [dotted, spaced, digit]) {
    t.regex(one?.refused ?? '', /cannot be part of a method name/);
    t.notRegex(one?.refused ?? '', /\n/);
  }
});

test('two files for one module are both refused, and each is named', async (t) => {
  const { names, problems } = await started(t, {
    'ham/a-b.ts': WHO,
    'ham/a_b.ts': WHO,
    'ham/spam.ts': WHO,
    'ham/spam.js': 'export {}',
    'plugins/x.ts': WHO,
    'x.ts': WHO,
    'ham/fine.ts': WHO,
  });
  t.deepEqual(names(), ['ham.fine.who']);
  t.deepEqual(Object.keys(problems()).sort(), ['ham/a-b.ts', 'ham/a_b.ts', 'ham/spam.js', 'ham/spam.ts', 'plugins/x.ts', 'x.ts']);
  t.regex(problems()['x.ts'] ?? '', /x\.ts and plugins\/x\.ts would both be module plugins\.x/);
});

test('packages named like the relay’s own methods are not loaded', async (t) => {
  const reserved = ['sys', 'system', 'co2', 'relay', 'web', 'work', 'plugin', 'recording', 'service'];
  const { names, problems, lines } = await started(t, Object.fromEntries([...reserved, 'ham'].map((name) => [`${name}/spam.ts`, WHO])));
  t.deepEqual(names(), ['ham.spam.who']);
  t.is(Object.keys(problems()).length, reserved.length);
  t.true(lines.all.some((line) => /^error plugin-host: system\/spam\.ts: not loaded: .*reserved/.test(line)));
});

test('pluginList loads only these packages; an unknown one ends the start with a suggestion', async (t) => {
  const directory = await writePlugins(t, { 'ham/spam.ts': WHO, 'eggs/spam.ts': WHO });
  t.deepEqual((await started(t, directory, { pluginList: ['eggs'] })).names(), ['eggs.spam.who']);
  const misspelt = await hostOf(t, directory, { pluginList: ['eg_gs'] });
  await t.throwsAsync(misspelt.start(), { code: 'CONFIG_INVALID', message: /pluginList: .*no package "eg_gs"; did you mean "eggs"\?/ });
});

test('the configuration of an unknown module ends the start with a suggestion', async (t) => {
  const { start } = await hostOf(t, { 'ham/spam.ts': WHO }, { plugins: { 'ham.spm': {} } });
  await t.throwsAsync(start(), { code: 'CONFIG_INVALID', message: /no module "ham\.spm"; did you mean "ham\.spam"\?/ });
});

test('co2.modules names the modules of a folder', async (t) => {
  const { names, problems } = await started(t, {
    'ham/package.json': JSON.stringify({ co2: { modules: ['spam', 'egs', 7] } }),
    'ham/spam.ts': WHO,
    'ham/eggs.ts': WHO,
    'other/package.json': JSON.stringify({ name: 'other', co2: 'yes' }),
    'other/spam.ts': WHO,
    'torn/package.json': '{"co2": {',
    'torn/spam.ts': WHO,
  });
  t.deepEqual(names(), ['ham.spam.who', 'other.spam.who']);
  t.regex(problems()['ham/package.json'] ?? '', /"egs".*did you mean "eggs"/);
  t.regex(problems()['torn/package.json'] ?? '', /no module of its folder is loaded/);
});

test('a co2.modules with invalid entries is reported, and its names load', async (t) => {
  const { names, problems } = await started(t, {
    'ham/package.json': JSON.stringify({ co2: { modules: ['spam', 7] } }),
    'ham/spam.ts': WHO,
    'eggs/package.json': JSON.stringify({ co2: { modules: 'spam' } }),
    'eggs/spam.ts': WHO,
  });
  t.deepEqual(names(), ['ham.spam.who']);
  t.deepEqual(Object.keys(problems()), ['eggs/package.json', 'ham/package.json']);
});

test('files that another user could have written are not executed', async (t) => {
  const outside = await writePlugins(t, { 'evil.ts': WHO });
  const directory = await writePlugins(t, { 'ham/fine.ts': WHO, 'ham/open.ts': WHO, 'folder/open.ts': WHO });
  await symlink(join(outside, 'evil.ts'), join(directory, 'ham/linked.ts'));
  await symlink(outside, join(directory, 'elsewhere'));
  await symlink(join(directory, 'nothing.ts'), join(directory, 'ham/dangling.ts'));
  execFileSync('/usr/bin/mkfifo', [join(directory, 'ham/fifo.ts')]);
  await chmod(join(directory, 'ham/open.ts'), 0o666);
  await chmod(join(directory, 'folder'), 0o777);
  const { names, problems } = await started(t, directory);
  t.deepEqual(names(), ['ham.fine.who']);
  const reasons = problems();
  t.regex(reasons['ham/linked.ts'] ?? '', /outside/);
  t.regex(reasons['elsewhere/evil.ts'] ?? '', /outside/);
  t.regex(reasons['ham/dangling.ts'] ?? '', /cannot be read/);
  t.regex(reasons['ham/fifo.ts'] ?? '', /not a regular file/);
  t.regex(reasons['ham/open.ts'] ?? '', /every user/);
  t.regex(reasons['folder/open.ts'] ?? '', /folder; chmod/);
});

test('files that are not sources, or belong to another user, are not executed', async (t) => {
  const directory = await writePlugins(t, {
    'ham/fine.ts': WHO,
    'ham/large.ts': `${WHO}//${'x'.repeat(4 * 1024 * 1024)}`,
    'ham/new\nline.ts': WHO,
    'ham/same-name.ts': WHO,
    'ham/same_name.mts': WHO,
    'ham/foreign.ts': WHO,
    'ham/half.ts': WHO.slice(0, -20),
    'ham/helped.ts': `import './_foreign.ts';\n${WHO}`,
    'ham/_foreign.ts': '',
  });
  const isRoot = process.getuid?.() === 0;
  // Only root can give files away.
  if (isRoot) for (const file of ['ham/foreign.ts', 'ham/_foreign.ts']) await chown(join(directory, file), 65_533, 65_533);
  else for (const file of ['ham/foreign.ts', 'ham/helped.ts']) await rm(join(directory, file));
  const { names, problems } = await started(t, directory);
  t.deepEqual(names(), ['ham.fine.who']);
  const reasons = problems();
  t.regex(reasons['ham/large.ts'] ?? '', /^it has \d+ bytes, and a source may have at most 4194304/);
  t.regex(reasons['ham/new\ufffdline.ts'] ?? '', /the file name "new\ufffdline" cannot be part of a method name/);
  t.regex(reasons['ham/same-name.ts'] ?? '', /would both be module ham\.same_name; rename one/);
  t.regex(reasons['ham/same_name.mts'] ?? '', /would both be module ham\.same_name; rename one/);
  t.regex(Object.entries(reasons).find(([file]) => file.startsWith('ham/half.ts'))?.[1] ?? '', /Expected|Unexpected/);
  t.is(Object.keys(reasons).length, isRoot ? 7 : 5);
  for (const file of isRoot ? ['ham/foreign.ts', 'ham/helped.ts'] : [])
    t.regex(reasons[file] ?? '', /it belongs to user 65533, who is neither the owner of the directory/);
});

test('a directory of another user is loaded: the user that deploys need not be the one that runs the relay', async (t) => {
  const directory = await writePlugins(t, { 'ham/fine.ts': WHO });
  if (process.getuid?.() === 0) for (const path of ['', 'ham', 'ham/fine.ts']) await chown(join(directory, path), 65_533, 65_533);
  t.deepEqual((await started(t, directory)).names(), ['ham.fine.who']);
});

test('a missing directory means that there are no plugins, or ends the start if it was required', async (t) => {
  const directory = await writePlugins(t, { file: '' });
  const missing = join(directory, 'nowhere');
  const { names, lines } = await started(t, missing, { directoryRequired: false });
  t.deepEqual(names(), []);
  t.true(lines.all.some((line) => line.startsWith('info plugin-host: no plugins')));
  await t.throwsAsync((await hostOf(t, missing)).start(), { code: 'CONFIG_INVALID', message: /no such directory/ });
  await t.throwsAsync((await hostOf(t, join(directory, 'file'))).start(), { code: 'CONFIG_INVALID', message: /not a directory/ });
  await mkdir(join(directory, 'open'));
  await chmod(join(directory, 'open'), 0o777);
  await t.throwsAsync((await hostOf(t, join(directory, 'open'))).start(), { code: 'CONFIG_INVALID', message: /every user/ });
});

test('a class that several modules export is one satellite', async (t) => {
  const { host } = await started(t, {
    'ham/spam.ts': `${WHO} export default Who; export const again = Who;`,
    'ham/index.ts': `export * from './spam.ts'; export class Plain {}`,
  });
  t.deepEqual(
    host.status().satellites.map(({ name }) => name),
    ['ham.spam.Who'],
  );
});
