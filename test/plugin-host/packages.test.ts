/** Plugins in npm packages: which are loaded, under what names, and how the others are reported. */
import { chmod, mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { hostOf, satelliteSource, started, writePlugins } from './kit.ts';
import type { Files, HostOverrides, Kit } from './kit.ts';

const WHO = satelliteSource('Who', `  /** Says who it is. */\n  @Exposed() who() { return this.toString(); }`);

/** What tsc makes of a plugin. */
const COMPILED = `import { Exposed, Plugin, Satellite } from 'co2-relay';
let Who = class Who extends Plugin {
    /** Says who it is. */
    who() { return this.toString(); }
};
Exposed({ params: [], returns: 'string' })(Who.prototype, 'who', {});
Satellite()(Who);
export { Who };
`;

/** The package.json of a plugin package, `more` over it. */
const manifest = (co2: unknown, more: object = {}): string =>
  JSON.stringify({ type: 'module', keywords: ['xml-rpc', 'co2-relay-plugin'], co2, ...more });

/** A project with a plugins directory and these packages among its dependencies. */
async function project(t: ExecutionContext, files: Files, dependencies: readonly string[], overrides: HostOverrides = {}): Promise<Kit> {
  const json = JSON.stringify({ dependencies: Object.fromEntries(dependencies.map((name) => [name, '*'])) });
  const projectDir = await writePlugins(t, { 'package.json': json, 'plugins/none.txt': '', ...files });
  return hostOf(t, join(projectDir, 'plugins'), { projectDir, ...overrides });
}

test('direct dependencies with the keyword load under the names of their co2 field, in TypeScript and in JavaScript', async (t) => {
  const kit = await project(
    t,
    {
      'node_modules/co2-ham/package.json': manifest({ package: 'ham', modules: { spam: 'dist/spam.js', 'more-spam': './src/more.ts' } }),
      'node_modules/co2-ham/dist/spam.js': COMPILED,
      'node_modules/co2-ham/src/more.ts': WHO,
      'node_modules/@lake/co2/package.json': manifest({ package: 'my-lake', modules: { level: 'level.mjs' } }),
      'node_modules/@lake/co2/level.mjs': COMPILED,
      'node_modules/plain/package.json': manifest({ package: 'plain', modules: { a: 'a.js' } }, { keywords: ['xml-rpc'] }),
      'node_modules/plain/a.js': COMPILED,
      'node_modules/transitive/package.json': manifest({ package: 'deep', modules: { a: 'a.js' } }),
      'node_modules/transitive/a.js': COMPILED,
      'plugins/ham/eggs.ts': WHO,
    },
    ['co2-ham', '@lake/co2', 'plain'],
  );
  await kit.start();
  t.deepEqual(kit.names(), ['ham.eggs.who', 'ham.more_spam.who', 'ham.spam.who', 'my_lake.level.who']);
  t.is(await kit.call('ham.spam.who'), 'ham.spam.Who');
  t.deepEqual(
    kit.names().map((name) => kit.method(name)?.help),
    Array<string>(4).fill('Says who it is.'),
  );
  t.is(kit.host.status().satellites[2]?.file, 'node_modules/co2-ham/dist/spam.js');
  t.deepEqual(kit.problems(), {});
  t.true(kit.lines.all.some((line) => /satellites running: 4, from .*plugins, node_modules\/co2-ham, node_modules\/@lake\/co2/.test(line)));
});

const HAM: Files = {
  'node_modules/co2-ham/package.json': manifest({ package: 'ham', modules: { spam: 'spam.js' } }),
  'node_modules/co2-ham/spam.js': COMPILED,
};

test('pluginPackages: false, devDependencies, and a project without a package.json load none', async (t) => {
  const off = await project(t, HAM, ['co2-ham'], { pluginPackages: false });
  await off.start();
  t.deepEqual(off.names(), []);
  const dev = await project(t, { ...HAM, 'package.json': JSON.stringify({ devDependencies: { 'co2-ham': '*' } }) }, []);
  await dev.start();
  t.deepEqual([dev.names(), dev.problems()], [[], {}]);
  const bare = await writePlugins(t, HAM);
  const { names, problems } = await started(t, bare, { projectDir: bare });
  t.deepEqual([names(), problems()], [[], {}]);
});

test('they need no plugins directory, are listed in pluginList and configured like others', async (t) => {
  const configured = satelliteSource(
    'Spam',
    `  setup(config: object) { void this.send({ data: config as never }); }\n  @Exposed() who() { return 1; }`,
  );
  const files = {
    ...HAM,
    'node_modules/co2-ham/spam.ts': configured,
    'node_modules/co2-ham/package.json': manifest({ package: 'ham', modules: { spam: 'spam.ts' } }),
  };
  const none = await project(t, files, ['co2-ham'], {
    pluginsDir: '/nowhere/at/all',
    directoryRequired: false,
    plugins: { 'ham.spam': { a: 1 } },
  });
  await none.start();
  t.deepEqual(none.names(), ['ham.spam.who']);
  t.deepEqual(none.sent.all, [{ satellite: 'ham.spam.Spam', data: { a: 1 } }]);
  const beside = await project(t, { ...files, 'plugins/ham/spam.config.ts': 'export default { b: 2 };' }, ['co2-ham'], {
    pluginList: ['ham'],
  });
  await beside.start();
  t.deepEqual(beside.sent.all, [{ satellite: 'ham.spam.Spam', data: { b: 2 } }]);
  const other = await project(t, { ...files, 'plugins/eggs/a.ts': WHO }, ['co2-ham'], { pluginList: ['eggs'] });
  await other.start();
  t.deepEqual(other.names(), ['eggs.a.who']);
});

test('a package and a file for one module are both refused, and both places are named', async (t) => {
  const again = {
    'node_modules/again/package.json': manifest({ package: 'eggs', modules: { a: 'a.js', 'x-y': 'a.js', x_y: 'a.js' } }),
    'node_modules/again/a.js': COMPILED,
  };
  const files = { ...HAM, ...again, 'plugins/ham/spam.ts': WHO, 'plugins/ham/fine.ts': WHO, 'plugins/eggs/a.ts': WHO };
  const kit = await project(t, files, ['co2-ham', 'again']);
  await kit.start();
  t.deepEqual(kit.names(), ['ham.fine.who']);
  const reasons = kit.problems();
  t.is(reasons['ham/spam.ts'], 'ham/spam.ts and node_modules/co2-ham/spam.js would both be module ham.spam; rename one');
  t.is(reasons['node_modules/co2-ham/spam.js'], 'node_modules/co2-ham/spam.js and ham/spam.ts would both be module ham.spam; rename one');
  t.regex(reasons['eggs/a.ts'] ?? '', /would both be module eggs\.a/);
  t.is(kit.host.status().problems.filter(({ module }) => module === 'eggs.x_y').length, 2);
});

/** What is wrong, the files of the package, the file that is named, and why. */
const WRONG: readonly [string, Files, string, RegExp][] = [
  [
    'a reserved package',
    { 'package.json': manifest({ package: 'system', modules: { a: 'a.js' } }) },
    'wrong/a.js',
    /"system" is reserved .*choose another co2\.package/,
  ],
  [
    'a module name that cannot be called',
    { 'package.json': manifest({ package: 'wrong', modules: { 'a.b': 'a.js' } }) },
    'wrong/a.js',
    /co2\.modules "a\.b" cannot be part/,
  ],
  ['no co2 field', { 'package.json': manifest(undefined) }, 'wrong', /needs a field such as "co2"/],
  ['a list of modules', { 'package.json': manifest({ package: 'wrong', modules: ['a'] }) }, 'wrong', /needs a field such as "co2"/],
  [
    'a module that is no file name',
    { 'package.json': manifest({ package: 'wrong', modules: { a: 7 } }) },
    'wrong',
    /"a" must name a file .*\.mjs/,
  ],
  ['another kind of file', { 'package.json': manifest({ package: 'wrong', modules: { a: 'a.sh' } }) }, 'wrong', /"a" must name a file/],
  [
    'a file that is not there',
    { 'package.json': manifest({ package: 'wrong', modules: { a: 'b.js' } }) },
    'wrong/b.js',
    /cannot be read: ENOENT/,
  ],
  [
    'a file outside',
    { 'package.json': manifest({ package: 'wrong', modules: { a: '../co2-ham/spam.js' } }) },
    'wrong/../co2-ham/spam.js',
    /outside its package/,
  ],
  ['a manifest that does not parse', { 'package.json': '{"co2": {' }, 'wrong', /JSON/],
  [
    'a module that does not compile',
    { 'package.json': manifest({ package: 'wrong', modules: { a: 'src/a.ts' } }), 'src/a.ts': 'let x = 1;\nlet = = 2;' },
    'wrong/src/a.ts:2',
    /./,
  ],
  [
    'a module that throws',
    { 'package.json': manifest({ package: 'wrong', modules: { a: 'a.js' } }), 'a.js': '\n\nthrow new Error("no luck");' },
    'wrong/a.js:3',
    /^no luck$/,
  ],
];

for (const [what, files, place, reason] of WRONG) {
  test(`reported, while the others load: ${what}`, async (t) => {
    const wrong = Object.fromEntries(
      Object.entries({ 'a.js': COMPILED, ...files }).map(([path, source]) => [`node_modules/wrong/${path}`, source]),
    );
    const kit = await project(t, { ...HAM, ...wrong }, ['co2-ham', 'wrong']);
    await kit.start();
    t.deepEqual(kit.names(), ['ham.spam.who']);
    t.deepEqual(Object.keys(kit.problems()), [`node_modules/${place}`]);
    t.regex(Object.values(kit.problems())[0] ?? '', reason);
    t.true(kit.lines.all.some((line) => line.startsWith(`error plugin-host: node_modules/${place}`)));
  });
}

test('a missing dependency, an invalid name and an invalid package.json are reported', async (t) => {
  const kit = await project(t, HAM, ['co2-ham', 'co2-eggs', '../co2-ham']);
  await kit.start();
  t.deepEqual(kit.names(), ['ham.spam.who']);
  t.regex(kit.problems()['node_modules/co2-eggs'] ?? '', /not installed; run npm install/);
  t.regex(kit.problems()['node_modules/../co2-ham'] ?? '', /not a valid package name/);
  const torn = await project(t, { ...HAM, 'package.json': '{' }, []);
  await torn.start();
  t.regex(torn.problems()['package.json'] ?? '', /no plugins of npm packages are loaded: .*JSON/);
});

test('linked packages and those of the workspace above load; files that others could write to do not', async (t) => {
  const elsewhere = await writePlugins(t, {
    'lib/package.json': manifest({ package: 'linked', modules: { a: 'a.ts', b: 'b.ts' } }),
    'lib/a.ts': WHO,
    'lib/b.ts': WHO,
  });
  const open = {
    'node_modules/open/package.json': manifest({ package: 'open', modules: { a: 'a.js' } }),
    'node_modules/open/a.js': COMPILED,
  };
  const workspace = await writePlugins(t, {
    ...HAM,
    ...open,
    'app/package.json': JSON.stringify({ dependencies: { linked: '*', 'co2-ham': '*', open: '*' } }),
  });
  await symlink(join(elsewhere, 'lib'), join(workspace, 'node_modules/linked'));
  await chmod(join(elsewhere, 'lib/b.ts'), 0o666);
  await chmod(join(workspace, 'node_modules/open'), 0o777);
  await mkdir(join(workspace, 'app/plugins'));
  const kit = await started(t, join(workspace, 'app/plugins'), { projectDir: join(workspace, 'app') });
  t.deepEqual(kit.names(), ['ham.spam.who', 'linked.a.who']);
  t.regex(kit.problems()['node_modules/linked/b.ts'] ?? '', /every user/);
  t.regex(kit.problems()['node_modules/open'] ?? '', /every user .*chmod o-w/);
  // Who may write to what names the packages may choose the code as well.
  await chmod(join(workspace, 'app/package.json'), 0o666);
  const all = await started(t, join(workspace, 'app/plugins'), { projectDir: join(workspace, 'app') });
  t.deepEqual(all.names(), []);
  await chmod(join(workspace, 'app/package.json'), 0o644);
  await rename(join(elsewhere, 'lib'), join(elsewhere, 'gone'));
  const dangling = await started(t, join(workspace, 'app/plugins'), { projectDir: join(workspace, 'app') });
  t.regex(dangling.problems()['node_modules/linked'] ?? '', /not installed/);
});
