/** Every code snippet in docs/plugins.md is run as a reader would run it, and does what the text says. */
import { chmodSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import ts from 'typescript';
import { createTestRelay } from 'co2-relay/testing';
import type { TestRelay, TestRelayOptions } from 'co2-relay/testing';
import { loadConfigFile } from '../../src/cli/read-options.ts';
import { systemClock } from '../../src/core/core.ts';
import { compilerErrors } from '../cli/typescript.ts';
import { PROJECT_DIR, runCo2 } from '../support/processes.ts';
import { freePorts, pluginsDir, startRelay } from '../support/relays.ts';
import { IN_OTHER_LANGUAGES, project, snippets, sourceOf } from './page.ts';
import type { Run } from './page.ts';
import { RELAY_RUNS } from './relay-runs.ts';
import { snippetsOf } from './snippets.ts';

/** Starts a relay with the snippet as `plugins/ham/spam.ts`, after a strict type check. */
async function load(t: ExecutionContext, source: string, config: TestRelayOptions['config'] = {}): Promise<TestRelay> {
  const directory = project(t, { 'plugins/ham/spam.ts': source });
  t.deepEqual(compilerErrors([join(directory, 'plugins/ham/spam.ts')]), []);
  const relay = await createTestRelay({ pluginsDir: join(directory, 'plugins'), config });
  t.teardown(() => relay.stop());
  return relay;
}

/** The compiler's diagnostics for a project with this tsconfig.json, as `file:line text`. */
function projectErrors(t: ExecutionContext, tsconfig: string, files: Readonly<Record<string, string>>): readonly string[] {
  // This project cannot be installed in itself.
  const base = join(PROJECT_DIR, 'templates/tsconfig.base.json');
  const directory = project(t, { 'tsconfig.json': tsconfig.replace('co2-relay/tsconfig.json', base), ...files });
  const host = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (found: ts.Diagnostic) => t.fail(ts.flattenDiagnosticMessageText(found.messageText, ' ')),
  };
  const parsed = ts.getParsedCommandLineOfConfigFile(join(directory, 'tsconfig.json'), {}, host);
  const paths = { 'co2-relay': [join(PROJECT_DIR, 'src/plugin/plugin.ts')] };
  const typeRoots = [join(PROJECT_DIR, 'node_modules/@types')];
  const program = ts.createProgram(parsed?.fileNames ?? [], { ...parsed?.options, paths, typeRoots, skipLibCheck: true });
  return ts.getPreEmitDiagnostics(program).flatMap(({ file, start = 0, messageText }) => {
    if (!file?.fileName.includes('/plugins/')) return [];
    const line = file.getLineAndCharacterOfPosition(start).line + 1;
    return [`${basename(file.fileName)}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`];
  });
}

const RUNS: Readonly<Record<string, Run>> = {
  ...RELAY_RUNS,

  'five-lines': async (t, source) => {
    t.is(source.trim().split('\n').length, 5);
    const relay = await load(t, source);
    await relay.deliver({ data: 'hello' });
    t.true(relay.logs.some(({ category, text }) => category === 'plugin.ham.spam' && text === 'heard hello'));
  },

  scaffold: async (t, source) => {
    const cwd = pluginsDir(t, {});
    for (const line of source.trim().split('\n')) {
      t.true(line.startsWith('co2 '));
      const end = await runCo2(t, { args: line.split(' ').slice(1), cwd }).exit;
      t.is(end.code, 0, [...end.stdout, ...end.stderr].join('\n'));
    }
  },

  'receive-and-send': async (t, source) => {
    const relay = await load(t, source);
    await relay.deliver({ data: 'ping', host_id: 'ann@192.0.2.7:1' });
    t.deepEqual(relay.sent[0]?.data, { pong: 'ann@192.0.2.7:1', hops: 0 } as never);
  },

  exposed: async (t, source) => {
    const relay = await load(t, source);
    t.is(await relay.call('ham.spam.add', [250]), 250);
    t.is(await relay.call('ham.spam.kilograms'), 0.25);
    t.like(await relay.call('ham.spam.state'), { grams: 250, kilograms: 0.25 });
    t.is(await relay.call('system.methodHelp', ['ham.spam.add']), 'Adds a weight in grams; answers the sum.');
    await t.throwsAsync(relay.call('ham.spam.add', [-1]), { code: 1, message: 'a weight is not negative' } as never);
    await t.throwsAsync(relay.call('ham.spam.add', ['1']), { code: -32602 } as never);
    await t.throwsAsync(relay.call('ham.spam.reset'), { code: 403, message: /'admin'/ } as never);
    t.true(await relay.call('ham.spam.reset', [], { as: 'admin' }));
  },

  schema: async (t, source) => {
    const relay = await load(t, source);
    t.is(await relay.call('ham.spam.set', ['red', 50]), 'red at 50 %');
    await t.throwsAsync(relay.call('ham.spam.set', ['red', 101]), { code: -32602, message: /parameter 2/ } as never);
  },

  call: async (t, source) => {
    const relay = await load(t, source);
    const names = await relay.call('system.listMethods');
    t.is(await relay.call('ham.spam.count'), (names as readonly string[]).length);
  },

  configuration: async (t, source) => {
    const relay = await load(t, source, { plugins: { 'ham.spam': { room: 'north wing' } } });
    t.is(await relay.call('ham.spam.about'), 'north wing: warns from 30 on');
    await t.throwsAsync(load(t, source), { code: 'PLUGIN_REFUSED', message: /key "room".*found nothing/ });
  },

  'config-file': async (t, source) => {
    const directory = project(t, { 'config.ts': source });
    t.deepEqual(compilerErrors([join(directory, 'config.ts')]), []);
    const { values } = await loadConfigFile(
      { name: 'config.ts', path: join(directory, 'config.ts') },
      join(directory, 'cache'),
      systemClock,
    );
    const relay = await load(t, sourceOf('configuration'), values as object);
    t.is(await relay.call('ham.spam.about'), 'north wing: warns from 30 on');
  },

  injection: async (t, source) => {
    const relay = await load(t, source);
    await relay.call('ham.spam.feed', [20]);
    t.is(await relay.call('ham.spam.feed', [22]), 21);
    t.true(relay.logs.some(({ category, text }) => category === 'plugin.ham.spam' && text === 'fed with 22'));
  },

  merge: async (t, source) => {
    const relay = await load(t, source);
    const deliveries = [1, 2, 3, 4].flatMap((value) => [
      relay.deliver({ data: { room: 'hall', value } }),
      relay.deliver({ data: { room: 'attic', value } }),
    ]);
    await Promise.all(deliveries);
    const shown = relay.logs.filter(({ category }) => category === 'plugin.ham.spam').map(({ text }) => text);
    const showing = (room: string, value: number): string => `shows ${JSON.stringify({ room, value })}`;
    t.deepEqual(
      shown.filter((text) => text.startsWith('shows')),
      [showing('hall', 4), showing('attic', 4)],
    );
  },

  'to-nodes': async (t, source) => {
    const [port, other] = await freePorts(2);
    const directory = project(t, { 'plugins/ham/spam.ts': source });
    t.deepEqual(compilerErrors([join(directory, 'plugins/ham/spam.ts')]), []);
    const cellar = await startRelay(t, { nick: 'cellar', host: '127.0.0.1', port: other!, peers: [`http://127.0.0.1:${port}`] });
    const common = { host: '127.0.0.1', port: port!, pluginsDir: join(directory, 'plugins'), log: { level: 'info' } } as const;
    const relay = await startRelay(t, { ...common, nick: 'attic', peers: [cellar.url] });
    await relay.seen.event('mesh.link', { state: 'up' });
    const id = (await relay.call('ham.spam.order', 'cellar', 'apples')) as string;
    const [received] = await cellar.received.first(1);
    t.like(received?.dict.data, { order: 'apples' });
    t.like(await relay.seen.event('message.outcome'), { id, satellite: 'ham.spam.Orders', status: 'delivered' });
    await relay.log.line(new RegExp(`^${id} is delivered`));
  },

  durable: async (t, source) => {
    const relay = await load(t, source);
    const id = await relay.deliver({ data: 'ten' });
    await relay.call('plugin.stop', ['ham.spam'], { as: 'admin' });
    await relay.call('notify', [{ data: 'twenty' }]);
    await relay.restart({ crash: true });
    const lines = relay.logs.filter(({ category }) => category === 'plugin.ham.spam').map(({ text }) => text);
    const booked = lines.filter((text) => text.includes('"'));
    t.is(booked[0], `books ${id} "ten"`);
    t.regex(booked[1] ?? '', /^books \S+ "twenty"$/);
    t.is(booked.length, 2);
  },

  lifecycle: async (t, source) => {
    const relay = await load(t, source);
    t.is(await relay.call('ham.spam.ticks'), 0);
    await relay.stop();
    t.deepEqual(
      relay.sent.map(({ data }) => data),
      [{ ticks: 0 }] as never,
    );
  },

  testing: async (t, source) => {
    const directory = project(t, { 'plugins/ham/pong.test.ts': source });
    t.deepEqual(compilerErrors([join(directory, 'plugins/ham/pong.test.ts')]), []);
    const { code, stdout } = await runCo2(t, { args: ['test'], cwd: directory }).exit;
    t.is(code, 0, stdout.join('\n'));
    t.true(stdout.includes('# pass 2'));
  },

  tsconfig: async (t, source) => {
    const errors = projectErrors(t, source, {
      'plugins/ham/spam.ts': sourceOf('injection'),
      'plugins/ham/bad.ts': 'export const a: string = 1;',
    });
    t.deepEqual(errors, ["bad.ts:1 Type 'number' is not assignable to type 'string'."]);
    const forgotten = projectErrors(t, source, {
      'plugins/ham/_shapes.ts': 'export interface Reading { value: number }\nexport class Sensor {}\n',
      'plugins/ham/_again.ts': "export { Reading } from './_shapes.ts';\n",
      'plugins/ham/shapes.ts': `import { Exposed, Plugin, Satellite } from 'co2-relay';
import { Reading, Sensor } from './_shapes.ts';
@Satellite() export class Shapes extends Plugin { @Exposed() take(reading: Reading, sensor: Sensor): number { return sensor ? reading.value : 0; } }
`,
    });
    t.deepEqual(forgotten, [
      "_again.ts:1 Re-exporting a type when 'verbatimModuleSyntax' is enabled requires using 'export type'.",
      "shapes.ts:2 'Reading' is a type and must be imported using a type-only import when 'verbatimModuleSyntax' is enabled.",
    ]);
  },

  'npm-package': async (t, source) => {
    const spam = `import { Exposed, Satellite } from 'co2-relay';
class Spam { add(a, b) { return a + b; } }
Exposed({ params: ['int', 'int'] })(Spam.prototype, 'add', {});
Satellite()(Spam);
export { Spam };`;
    const directory = pluginsDir(t, {
      'package.json': '{"dependencies":{"co2-ham":"*"}}',
      'node_modules/co2-ham/package.json': source,
      'node_modules/co2-ham/dist/spam.js': spam,
    });
    const relay = await createTestRelay({ config: { pluginPackages: true, projectDir: directory } });
    t.teardown(() => relay.stop());
    t.is(await relay.call('ham.spam.add', [2, 3]), 5);
  },

  errors: async (t, source) => {
    const spam = (exposed: string, head = ''): string =>
      `import { Exposed, Plugin, Satellite } from 'co2-relay';\n@Satellite()\nexport class Spam extends Plugin {\n${head}\n  ${exposed}\n  add(a: number) { return a; }\n}\n`;
    const cwd = pluginsDir(t, {
      'plugins/ham/broken.ts': `const a = 1;\nconst b = ;\n`,
      'plugins/ham/option.ts': spam(`@Exposed({ parms: ['int'] })`),
      'plugins/ham/type.ts': spam(`@Exposed({ params: ['strin'] })`),
      'plugins/ham/needs.ts': spam('', 'constructor(readonly url: URL) { super(); }'),
      'plugins/ham/hidden.ts': spam('').replace('export class', 'class'),
      'plugins/system/spam.ts': spam(''),
      'plugins/ham/open.ts': spam(''),
      'away.ts': spam(''),
    });
    chmodSync(join(cwd, 'plugins/ham/open.ts'), 0o666);
    symlinkSync('../../away.ts', join(cwd, 'plugins/ham/away.ts'));
    const relay = runCo2(t, { args: ['start', '--port', '0'], cwd });
    await relay.stdout.line(/listening/);
    const logged = relay.stderr.all.filter((line) => line.includes(' plugin-host ')).map((line) => line.replace(/^.* plugin-host /, ''));
    for (const line of source.trim().split('\n')) t.true(logged.includes(line), `${line}\nis none of\n${logged.join('\n')}`);
  },
};

for (const { name, source } of snippets) {
  // Those are run in test/interop/plugins-page.test.ts.
  if (IN_OTHER_LANGUAGES.some((other) => other === name)) continue;
  test.serial(`${name} is run`, async (t) => {
    const runIt = RUNS[name];
    if (!runIt) return t.fail(`test/docs/plugins.test.ts does not say how ${name} is run`);
    await runIt(t, source);
  });
}

test('every test has a snippet on the page', (t) => {
  t.deepEqual(
    [...Object.keys(RUNS), ...IN_OTHER_LANGUAGES].filter((name) => sourceOf(name) === ''),
    [],
  );
});

test('snippets that no test runs, names without a snippet, and duplicate names are found', (t) => {
  t.is(snippetsOf('# a\n\n<!-- test: x -->\n\n```ts\nconst a = 1;\n```\n').length, 1);
  t.throws(() => snippetsOf('```ts\na\n```\n'), { message: /^line 1: code without/ });
  t.throws(() => snippetsOf('<!-- test: x -->\ntext\n'), { message: 'line 2: x has no code' });
  t.throws(() => snippetsOf('<!-- test: x -->\n'), { message: 'x has no code' });
  t.throws(() => snippetsOf('<!-- test: x -->\n```ts\n```\n<!-- test: x -->\n```ts\n```\n'), { message: /^line 4: x .* twice$/ });
  t.throws(() => snippetsOf('<!-- test: x -->\n```ts\na'), { message: 'line 2: the code block is not closed' });
});
