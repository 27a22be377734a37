/** `co2 init`, `co2 new plugin`, `co2 test`: what they write compiles, passes its test and runs in a relay, and no file is overwritten. */
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { run, runCo2, startCo2 } from '../support/processes.ts';
import { planPlugin } from '../../src/cli/scaffold.ts';
import { systemReason } from '../../src/state/state.ts';
import { nameModules } from '../../src/plugin-host/plugin-host.ts';
import type { Exit } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { compilerErrors } from './typescript.ts';

const make = (t: ExecutionContext, cwd: string, ...args: string[]): Promise<Exit> =>
  runCo2(t, { args: ['new', 'plugin', ...args], cwd }).exit;
const files = (cwd: string): string[] =>
  readdirSync(cwd, { recursive: true, encoding: 'utf8' }).filter((path) => /\.\w+$/.test(path) && !path.startsWith('.co2'));

/** Runs the command that a line of the output tells the user to run. */
function copied(t: ExecutionContext, cwd: string, line = ''): Promise<Exit> {
  const [command = '', ...args] = line.replace(/^[^:]+: +/, '').split(' ');
  return run(t, command, args, { cwd }).exit;
}

test.serial('a new TypeScript plugin compiles in strict mode, passes its test and answers calls in a relay', async (t) => {
  const cwd = pluginsDir(t, { 'package.json': '{"type":"module"}' });
  const made = await make(t, cwd, 'ham/my-spam');
  t.like(made, { code: 0, stderr: [] });
  const [wrote, testLine, , callLine] = made.stdout;
  t.is(wrote, 'wrote plugins/ham/my-spam.ts and plugins/ham/my-spam.test.ts');
  t.deepEqual(files(cwd).sort(), ['package.json', 'plugins/ham/my-spam.test.ts', 'plugins/ham/my-spam.ts']);
  t.deepEqual(compilerErrors([join(cwd, 'plugins/ham/my-spam.ts'), join(cwd, 'plugins/ham/my-spam.test.ts')]), []);

  const passed = await copied(t, cwd, testLine);
  t.is(passed.code, 0, passed.stdout.join('\n'));
  t.true(passed.stdout.includes('# pass 3'));

  const relay = await startCo2(t, { cwd });
  t.is(await relay.call('ham.my_spam.pings'), 0);
  const [, command = ''] = /co2\.mjs (call .*)$/.exec(callLine ?? '') ?? [];
  const called = await runCo2(t, { args: [...command.split(' '), '--url', relay.url], cwd }).exit;
  t.deepEqual(called.stdout, ['5']);
});

for (const kind of ['watcher', 'reactor']) {
  test.serial(`a new ${kind} compiles in strict mode, passes its test and runs in a relay`, async (t) => {
    const cwd = pluginsDir(t, { 'package.json': '{"type":"module"}' });
    const made = await make(t, cwd, 'ham/my-spam', '--kind', kind);
    t.like(made, { code: 0, stderr: [] });
    t.deepEqual(compilerErrors([join(cwd, 'plugins/ham/my-spam.ts'), join(cwd, 'plugins/ham/my-spam.test.ts')]), []);
    const passed = await copied(t, cwd, made.stdout[1]);
    t.is(passed.code, 0, passed.stdout.join('\n'));
    t.true(passed.stdout.includes('# pass 2'));
    const [, service = ''] = /try it: +(services: .*) in config\.ts/.exec(made.stdout[3] ?? '') ?? [];
    writeFileSync(join(cwd, 'nodes'), 'web1 10.0.0.1 80\n');
    writeFileSync(join(cwd, 'config.ts'), `export default { port: 0, ${service.replace('/tmp/nodes', join(cwd, 'nodes'))} };`);
    const relay = await startCo2(t, { cwd });
    const shown = await runCo2(t, { args: ['service', 'list', '--url', relay.url], cwd }).exit;
    t.regex(shown.stdout.join('\n'), /web +running/);
  });
}

test.serial('a new plugin for work compiles in strict mode, passes its test and does work in a relay', async (t) => {
  const cwd = pluginsDir(t, { 'package.json': '{"type":"module"}' });
  const made = await make(t, cwd, 'ham/my-spam', '--kind', 'work');
  t.like(made, { code: 0, stderr: [] });
  t.deepEqual(compilerErrors([join(cwd, 'plugins/ham/my-spam.ts'), join(cwd, 'plugins/ham/my-spam.test.ts')]), []);
  const passed = await copied(t, cwd, made.stdout[1]);
  t.is(passed.code, 0, passed.stdout.join('\n'));
  t.true(passed.stdout.includes('# pass 3'));
  const relay = await startCo2(t, { cwd });
  const [, command = ''] = /co2\.mjs (work .*)$/.exec(made.stdout[3] ?? '') ?? [];
  const done = await runCo2(t, { args: [...command.split(' '), '--url', relay.url], cwd, input: 'one two' }).exit;
  t.deepEqual(done.stdout, ['{"line":"one two","words":2}']);
  const refused = await make(t, cwd, 'ham/other', '--kind', 'work', '--lang', 'c');
  t.regex(refused.stderr.join(), /--kind work: there is no template in 'c'; choose one of typescript, python, sh/);
});

test.serial('a new datasource and a new controller compile in strict mode, pass their tests and work in a relay', async (t) => {
  const cwd = pluginsDir(t, { 'package.json': '{"type":"module"}' });
  for (const kind of ['datasource', 'controller']) {
    const made = await make(t, cwd, `ham/my-${kind}`, '--kind', kind);
    t.like(made, { code: 0, stderr: [] });
    t.deepEqual(compilerErrors([join(cwd, `plugins/ham/my-${kind}.ts`), join(cwd, `plugins/ham/my-${kind}.test.ts`)]), []);
    const passed = await copied(t, cwd, made.stdout[1]);
    t.is(passed.code, 0, passed.stdout.join('\n'));
  }
  const relay = await startCo2(t, { cwd });
  const co2 = (...args: string[]) => runCo2(t, { args: [...args, '--url', relay.url], cwd }).exit;
  t.deepEqual((await co2('record', 'start', 'ham.my_datasource')).stdout, ['ham.my_datasource started']);
  t.deepEqual((await co2('record', 'tail', 'ham.my_datasource', '--count', '1')).stdout, ['{"count":0}']);
  t.deepEqual((await co2('command', 'ham.my_controller', '--data', '{"from": 2}')).stdout, ['{"count":2}', '{"count":1}']);
  const refused = await make(t, cwd, 'ham/other', '--kind', 'datasource', '--lang', 'c');
  t.regex(refused.stderr.join(), /--kind datasource: there is no template in 'c'; choose one of typescript/);
});

test.serial('a new plugin in plain JavaScript passes its test and answers calls, with help, in a relay', async (t) => {
  const cwd = pluginsDir(t, {});
  const made = await make(t, cwd, 'ham/my-spam', '--lang', 'javascript');
  t.like(made, { code: 0, stderr: [] });
  t.is(made.stdout[0], 'wrote plugins/ham/my-spam.mjs and plugins/ham/my-spam.test.mjs');
  const passed = await copied(t, cwd, made.stdout[1]);
  t.is(passed.code, 0, passed.stdout.join('\n'));
  t.true(passed.stdout.includes('# pass 3'));
  const relay = await startCo2(t, { cwd });
  t.is(await relay.call('ham.my_spam.add', 2, 3), 5);
  t.is(await relay.call('system.methodHelp', 'ham.my_spam.add'), 'Adds two numbers.');
  const clash = await make(t, cwd, 'ham/my_spam', '--lang', 'typescript');
  t.regex(clash.stderr.join(), /ham\/my-spam\.mjs.*would both be module ham\.my_spam/);
});

test.serial('co2 test finds the tests and fails if one of them fails', async (t) => {
  const cwd = pluginsDir(t, {});
  await make(t, cwd, 'ham/spam');
  const source = readFileSync(join(cwd, 'plugins/ham/spam.ts'), 'utf8');
  writeFileSync(join(cwd, 'plugins/ham/spam.ts'), source.replace('return a + b', 'return a - b'));
  const failed = await runCo2(t, { args: ['test'], cwd }).exit;
  t.is(failed.code, 1);
  t.true(failed.stdout.includes('# pass 2'), failed.stdout.join('\n'));
  t.true(failed.stdout.includes('# fail 1'));
});

const WRITTEN: readonly (readonly [language: string, files: readonly string[], steps: readonly string[]])[] = [
  ['python', ['ham/my-spam.py *', 'ham/my_spam_test.py'], ['python3', 'python3 programs/ham/my_spam_test.py', './programs/ham/my-spam.py']],
  ['perl', ['ham/my-spam.pl *', 'ham/my-spam.t'], ['perl librpc-xml-perl', 'prove programs/ham/my-spam.t', './programs/ham/my-spam.pl']],
  [
    'ruby',
    ['ham/my-spam.rb *', 'ham/my-spam_test.rb'],
    ['ruby ruby-xmlrpc ruby-minitest', 'ruby programs/ham/my-spam_test.rb', './programs/ham/my-spam.rb'],
  ],
  [
    'c',
    ['ham/my-spam/my-spam.c', 'ham/my-spam/my-spam_test.c', 'ham/my-spam/Makefile'],
    ['gcc libc6-dev make libxmlrpc-core-c3-dev', 'make -C programs/ham/my-spam test', './programs/ham/my-spam/my-spam'],
  ],
  [
    'go',
    ['ham/my-spam/my-spam.go', 'ham/my-spam/my-spam_test.go', 'ham/my-spam/xmlrpc.go', 'ham/my-spam/go.mod'],
    ['golang-go', '(cd programs/ham/my-spam && go test)', './programs/ham/my-spam/my-spam'],
  ],
  [
    'php',
    ['ham/my-spam.php *', 'ham/my-spam_test.php'],
    ['php-cli php-xml', 'php programs/ham/my-spam_test.php', './programs/ham/my-spam.php'],
  ],
  [
    'java',
    ['ham/my-spam *', 'ham/my-spam_test.java'],
    ['default-jdk-headless', 'java programs/ham/my-spam_test.java', './programs/ham/my-spam'],
  ],
  ['sh', ['ham/my-spam.sh *', 'ham/my-spam_test.sh *'], ['curl', 'sh programs/ham/my-spam_test.sh', './programs/ham/my-spam.sh']],
];

// test/interop runs these programs and their tests.
for (const [language, expected, [packages = '', testLine = '', exec = '']] of WRITTEN) {
  test.serial(`a new program in ${language}: its files and the next steps`, async (t) => {
    const cwd = pluginsDir(t, {});
    const made = await make(t, cwd, 'ham/my-spam', '--lang', language);
    t.like(made, { code: 0, stderr: [] });
    const [wrote = '', ...steps] = made.stdout;
    const paths = wrote.replace('wrote ', '').split(/, | and /);
    const shown = paths.map((path) => path.replace('programs/', '') + (statSync(join(cwd, path)).mode & 0o111 ? ' *' : ''));
    t.deepEqual(shown, expected);
    t.deepEqual(
      steps.filter((step) => !/^(build|check|run|call) it: /.test(step)),
      [
        `requires: apt-get install ${packages}`,
        `test it:  ${testLine}`,
        `add it to config.ts:  programs: [{ name: 'ham.my_spam', exec: '${exec}'${language === 'c' ? ", send: { astral: 'replace' }" : ''} }]`,
      ],
    );
    t.true(steps.some((step) => /^check it: .* check-plugin --name ham\.my_spam /.test(step) && step.endsWith(` ${exec}`)));
    t.is(
      steps.find((step) => step.startsWith('build it: ')),
      { c: 'build it: make -C programs/ham/my-spam', go: 'build it: (cd programs/ham/my-spam && go build)' }[language],
    );
    const sources = paths.map((path) => readFileSync(join(cwd, path), 'utf8'));
    t.deepEqual(
      sources.filter((source) => /ham\.spam|(?<!my[-_])spam/.test(source)),
      [],
      'every name is replaced',
    );
    t.true(sources[0]?.includes(`ham.my_spam is a satellite that co2-relay starts: add it to 'programs' in config.ts`));
    if (shown[0]?.endsWith('*') === true) t.regex(sources[0] ?? '', /^#!\/(usr\/bin\/env [-\w ]+|bin\/sh)\n/);
  });
}

test.serial('plugins are written to the plugins directory of the configuration or to --dir; --json prints JSON', async (t) => {
  const cwd = pluginsDir(t, { 'config.ts': "export default { pluginsDir: 'mine' };" });
  const made = await make(t, cwd, 'ham/spam', '--json');
  t.deepEqual(JSON.parse(made.stdout.join('')), {
    module: 'ham.spam',
    files: ['mine/ham/spam.ts', 'mine/ham/spam.test.ts'],
    packages: [],
    test: (JSON.parse(made.stdout.join('')) as { test: string }).test,
  });
  const other = await make(t, cwd, 'ham/eggs', '--dir', join(cwd, 'other'));
  t.is(other.stdout[0], 'wrote other/ham/eggs.ts and other/ham/eggs.test.ts');
  t.regex(other.stdout[2] ?? '', /^run it: .* start --plugins \S*other$/);
});

test.serial('existing files are only overwritten with --force', async (t) => {
  const cwd = pluginsDir(t, { 'plugins/ham/spam.test.ts': '// mine' });
  const refused = await make(t, cwd, 'ham/spam');
  t.like(refused, { code: 2, stdout: [] });
  t.deepEqual(refused.stderr, ['co2: plugins/ham/spam.test.ts already exists; choose another name, or overwrite it with --force']);
  t.deepEqual(files(cwd), ['plugins/ham/spam.test.ts']);
  t.is(readFileSync(join(cwd, 'plugins/ham/spam.test.ts'), 'utf8'), '// mine');
  t.is((await make(t, cwd, 'ham/spam', '--force')).code, 0);
  t.not(readFileSync(join(cwd, 'plugins/ham/spam.test.ts'), 'utf8'), '// mine');
});

test.serial('existing files of a program are not overwritten', async (t) => {
  const cwd = pluginsDir(t, { 'programs/ham/spam/Makefile': '# mine' });
  const refused = await make(t, cwd, 'ham/spam', '--lang', 'c');
  t.like(refused, { code: 2, stdout: [] });
  t.regex(refused.stderr.join(), /programs\/ham\/spam\/Makefile already exists; choose another name/);
  t.is(readFileSync(join(cwd, 'programs/ham/spam/Makefile'), 'utf8'), '# mine');
  t.deepEqual(readdirSync(join(cwd, 'programs/ham/spam')), ['Makefile']);
});

const WRONG: readonly [name: string, says: RegExp][] = [
  ['spam', /^invalid plugin name 'spam': expected package\/module, such as ham\/spam$/],
  ['ham.spam', /such as ham\/spam$/],
  ['a/b/c', /expected package\/module/],
  ['../spam', /is a helper/],
  ['ham/..', /is a helper/],
  ['ham/_spam', /leading "_"/],
  ['ham/spam.test', /"\.test"/],
  ['node_modules/spam', /node_modules/],
  ['ham/.c', /expected package\/module/],
  ['ham/$(id)', /cannot be part of a method name/],
  ["ham/a'b", /cannot be part of a method name/],
  ['ham/a\nb', /cannot be part of a method name/],
  ['ham/9', /the file name "9" cannot be part of a method name/],
  ['ham/sp am', /the file name "sp am" cannot be part/],
  ['relay/spam', /package name "relay" is reserved for the relay's own methods; rename the folder/],
  ['ham/eggs-and', /ham\/eggs-and\.ts and ham\/eggs_and\.js would both be module ham\.eggs_and; rename one/],
];

for (const [name, says] of WRONG) {
  test(`'${name}' is not a valid plugin name`, (t) => {
    const error = t.throws(() => planPlugin(name, ['ham/eggs_and.js'], nameModules));
    t.regex(error.message, says);
  });
}

test.serial('an unknown language, an unwritable directory and a missing test are each reported on one line', async (t) => {
  const cwd = pluginsDir(t, { a: '' });
  t.regex(
    (await make(t, cwd, 'ham/spam', '--lang', 'cobol')).stderr.join(),
    /--lang.*'cobol'.*typescript, javascript, python, perl, ruby, c, go, php, java, sh.*co2 new plugin --help/,
  );
  t.deepEqual((await make(t, cwd, 'ham/spam', '--dir', 'a')).stderr, [
    `co2: cannot write ${join(cwd, 'a/ham/spam.ts')}: ${systemReason(Object.assign(new Error(), { code: 'ENOTDIR' }))}`,
  ]);
  const none = await runCo2(t, { args: ['test'], cwd }).exit;
  t.like(none, { code: 2, stdout: [] });
  t.deepEqual(none.stderr, [`co2: no tests (*.test.ts) below ${join(cwd, 'plugins')}; co2 new plugin writes one`]);
  t.regex((await runCo2(t, { args: ['new'], cwd }).exit).stderr.join(), /new requires one of .*plugin/);
});

test.serial('co2 init writes a project whose test passes and whose relay has the new and the bundled plugins', async (t) => {
  const cwd = pluginsDir(t, {});
  const made = await runCo2(t, { args: ['init', 'mine'], cwd }).exit;
  t.like(made, { code: 0, stderr: [] });
  const [wrote, cdLine, testLine, , callLine] = made.stdout;
  const expected = ['config.ts', 'plugins/ham/spam.ts', 'plugins/ham/spam.test.ts', 'tsconfig.json', 'package.json', '.gitignore'];
  t.is(wrote, `wrote ${expected.slice(0, -1).join(', ')} and .gitignore`);
  t.is(cdLine, 'go there: cd mine');
  const project = join(cwd, 'mine');
  t.deepEqual(readdirSync(project).sort(), ['.gitignore', 'config.ts', 'package.json', 'plugins', 'tsconfig.json']);
  t.deepEqual(compilerErrors(expected.slice(0, 3).map((path) => join(project, path))), []);
  const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    type: string;
    dependencies: Record<string, string>;
  };
  t.like(manifest, { type: 'module', private: true });
  t.regex(manifest.dependencies['co2-relay'] ?? '', /^\^\d+\.\d+\.\d+/);
  const passed = await copied(t, project, testLine);
  t.is(passed.code, 0, passed.stdout.join('\n'));
  const relay = await startCo2(t, { cwd: project });
  t.is(await relay.call('example.echo.add', 2, 3), 5);
  t.deepEqual(await relay.call('chat.room.history', 1), []);
  t.deepEqual(
    relay.stderr.all.filter((line) => / (?:WARN|ERROR) /.test(line) && !line.includes('Node')),
    [],
  );
  const [, command = ''] = /co2\.mjs (call .*)$/.exec(callLine ?? '') ?? [];
  const called = await runCo2(t, { args: [...command.split(' '), '--url', relay.url], cwd: project }).exit;
  t.deepEqual(called.stdout, ['5']);
});

test.serial('co2 init keeps the files of a project, makes it one of ES modules, and says what else they need', async (t) => {
  const kept = { 'tsconfig.json': '{}', '.gitignore': 'dist/\n', 'plugins/ham/spam.ts': '// mine' };
  const cwd = pluginsDir(t, { ...kept, 'package.json': '{\n    "name": "mine",\n    "dependencies": {}\n}\n' });
  const made = await runCo2(t, { args: ['init'], cwd }).exit;
  t.like(made, { code: 0, stderr: [] });
  t.deepEqual(made.stdout.slice(0, 5), [
    'wrote config.ts and plugins/ham/spam.test.ts',
    'set "type": "module" in package.json',
    'kept plugins/ham/spam.ts, tsconfig.json and .gitignore',
    'tsconfig.json is not changed: add "extends": "co2-relay/tsconfig.json", so that the editor agrees with the relay',
    '.gitignore is not changed: add .co2/, the state directory of the relay, which contains its admin token',
  ]);
  for (const [path, source] of Object.entries(kept)) t.is(readFileSync(join(cwd, path), 'utf8'), source);
  t.is(readFileSync(join(cwd, 'package.json'), 'utf8'), '{\n    "type": "module",\n    "name": "mine",\n    "dependencies": {}\n}\n');
  const again = await runCo2(t, { args: ['init'], cwd }).exit;
  t.like(again, { code: 2, stdout: [], stderr: ['co2: config.ts already exists; add a plugin to this project with co2 new plugin'] });
});

test.serial('co2 init leaves "type": "commonjs" alone, refuses a package.json that is not JSON, and prints JSON', async (t) => {
  const cwd = pluginsDir(t, { 'package.json': '{"type":"commonjs"}' });
  const made = await runCo2(t, { args: ['init', '--json'], cwd }).exit;
  const result = JSON.parse(made.stdout.join('')) as Readonly<Record<string, readonly string[]>>;
  t.like(result, { directory: cwd, changed: [], kept: ['package.json'] } as never);
  t.true(result.hints?.[0]?.startsWith('package.json has "type": "commonjs": set it to "module"'));
  t.is(result.next?.length, 3);
  const torn = pluginsDir(t, { 'package.json': '{' });
  const refused = await runCo2(t, { args: ['init'], cwd: torn }).exit;
  t.like(refused, { code: 2, stdout: [] });
  t.regex(refused.stderr.join(), /^co2: package\.json is not valid JSON: /);
  t.deepEqual(readdirSync(torn), ['package.json'], 'nothing is written');
});
