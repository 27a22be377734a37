/** What a program that runs a relay does with it: plugins of its own classes, calls, dicts, events, and the log on stderr. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Exposed, Plugin, Satellite } from 'co2-relay';
import type { Dict } from 'co2-relay';
import { createRelay } from '../../src/create-relay.ts';
import type { EmbeddedConfig, RelayEvent, RunningRelay } from '../../src/create-relay.ts';
import { stderrLogs } from '../../src/core/core.ts';
import { dictOf, shareDict } from '../../src/values/values.ts';
import { PROJECT_DIR, run } from '../support/processes.ts';
import { rejects } from '../support/relay-error.ts';
import { pluginsDir, temporaryDir } from '../support/relays.ts';

@Satellite()
class Spam extends Plugin<{ colour?: string }> {
  readonly heard: Dict[] = [];
  #colour = '';
  override setup({ colour = 'none' }: { colour?: string }): void {
    this.#colour = colour;
  }
  override receive(dict: Dict): void {
    this.heard.push(dict);
    if (dict.data === 'ping') void this.send({ data: 'pong' });
  }
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }
  @Exposed({ access: 'admin' })
  about(): object {
    return { name: this.toString(), colour: this.#colour, heard: this.heard.map(({ data }) => data ?? null) };
  }
  @Exposed()
  fail(): never {
    throw new RangeError('out of eggs');
  }
}

@Satellite({ isolation: 'child' })
class Child extends Plugin {}

async function started(t: ExecutionContext, config: EmbeddedConfig = {}): Promise<RunningRelay> {
  const relay = await createRelay({
    ...{ port: 0, dataDir: join(temporaryDir(t), 'state'), pluginsDir: temporaryDir(t), watch: false },
    ...{ pluginPackages: false, log: { level: 'off' } },
    ...config,
  });
  t.teardown(() => relay.stop());
  return relay;
}

test('classes run as plugins: named, configured, called with every right, and heard', async (t) => {
  const relay = await started(t, { satellites: { 'ham.spam': Spam }, plugins: { 'ham.spam': { colour: 'red' } } });
  t.is(await relay.call('ham.spam.add', [2, 3]), 5);
  const routed = new Promise<void>((resolve) => {
    relay.on('message.routed', ({ message }) => {
      if (shareDict(message.frozen()).data === 'pong') resolve();
    });
  });
  t.regex(await relay.notify({ data: 'ping' }), /^[\da-f]+\.\w+$/);
  await routed;
  const about = dictOf([
    ['name', 'ham.spam.Spam'],
    ['colour', 'red'],
    ['heard', ['ping']],
  ]);
  t.deepEqual(await relay.call('ham.spam.about'), about);
  const response = await fetch(`${relay.url}/api/ham.spam.add`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '[1, 2]',
  });
  t.is(await response.text(), '3');
  const error = await t.throwsAsync(relay.call('ham.spam.fail'), {
    code: 'APPLICATION',
    message: /^ham\.spam\.fail failed .*: out of eggs /,
  });
  t.true(error.cause instanceof RangeError);
  await t.throwsAsync(relay.call('ham.spam.add', ['x', 1]), { code: 'INVALID_PARAMS' });
  await t.throwsAsync(relay.notify({ no: 'data' }), { code: 'INVALID_PARAMS' });
});

test('a list of classes makes modules of the package app, beside the files of the plugins directory', async (t) => {
  const directory = pluginsDir(t, { 'ham/eggs.mjs': 'export {};' });
  const relay = await started(t, { satellites: [Spam], pluginsDir: directory, pluginList: ['ham'] });
  t.is(await relay.call('app.spam.add', [1, 1]), 2);
  t.deepEqual(
    relay.status().plugins.plugins.map(({ name, file }) => [name, file]),
    [
      ['app.spam', 'app.spam (Spam)'],
      ['ham.eggs', 'ham/eggs.mjs'],
    ],
  );
  await relay.call('plugin.restart', ['app.spam']);
  t.is(await relay.call('app.spam.add', [2, 2]), 4);
  await relay.call('plugin.stop', ['app.spam']);
  await t.throwsAsync(relay.call('app.spam.add', [1, 1]), { code: 'NO_SUCH_METHOD' });
});

const WRONG: readonly (readonly [satellites: unknown, says: RegExp])[] = [
  [[class Eggs extends Plugin {}], /^satellites: Eggs is not decorated with @Satellite$/],
  [['spam'], /^satellites: found a string, expected a class decorated with @Satellite$/],
  [{ spam: Spam }, /^satellites: 'spam' is not the name of a module, such as 'ham\.spam'$/],
  [[Child], /^satellites: Child has isolation: 'child', but only a file can be loaded in another process$/],
];

for (const [satellites, says] of WRONG) {
  test(`createRelay refuses satellites, ${String(says)}`, async (t) => {
    await t.throwsAsync(started(t, { satellites: satellites as never }), { code: 'CONFIG_INVALID', message: says });
  });
}

test('a class cannot be moved to another process by the options, and a reserved name is a problem', async (t) => {
  const moved = started(t, { satellites: { 'ham.spam': Spam }, isolation: { 'ham.spam': 'child' } });
  const { message } = await rejects(t, moved, 'CONFIG_INVALID', { option: 'isolation' });
  t.regex(message, /^createRelay: isolation: ham\.spam is a class of this program/);
  const relay = await started(t, { satellites: { 'system.spam': Spam } });
  t.regex(relay.status().plugins.problems[0]?.reason ?? '', /package name "system" is reserved .* choose another package name/);
});

test('a listener that throws disturbs nothing, and hears nothing after it has ended', async (t) => {
  const lines: string[] = [];
  const log = { debug: () => 0, info: () => 0, warn: () => 0, isDebugEnabled: () => false, isInfoEnabled: () => false };
  const relay = await createRelay(
    { port: 0, dataDir: join(temporaryDir(t), 'state'), pluginsDir: temporaryDir(t), watch: false, satellites: [Spam] },
    { logs: () => ({ ...log, error: (text) => lines.push(text) }) },
  );
  t.teardown(() => relay.stop());
  const heard: RelayEvent['type'][] = [];
  relay.on('message.routed', () => {
    throw new Error('mine');
  });
  const end = relay.on('message.routed', ({ type }) => heard.push(type));
  await relay.notify({ data: 1 });
  end();
  await relay.notify({ data: 2 });
  t.deepEqual(heard, ['message.routed']);
  t.deepEqual(lines, ['a listener of message.routed failed:', 'a listener of message.routed failed:']);
});

test('a program without a log of its own gets warnings and errors on stderr: a broken plugin with its place', async (t) => {
  const directory = pluginsDir(t, { 'plugins/ham/broken.ts': 'const a = ;\n', 'plugins/ham/open.mjs': 'export {};' });
  const program = (log: string): string => `
    import { createRelay } from ${JSON.stringify(pathToFileURL(join(PROJECT_DIR, 'src/create-relay.ts')).href)};
    const relay = await createRelay({ port: 0, pluginPackages: false, watch: false${log} });
    await relay.stop();`;
  const start = async (log: string): Promise<readonly string[]> => {
    const args = ['--import', join(PROJECT_DIR, 'src/loader/from-source.mjs'), '--input-type=module', '-e', program(log)];
    const { code, stderr } = await run(t, process.execPath, args, { cwd: directory }).exit;
    t.is(code, 0, stderr.join('\n'));
    return stderr.map((line) => line.replace(/^\S+Z /, ''));
  };
  const lines = await start('');
  t.regex(lines[0] ?? '', /^(?:WARN|ERROR) plugin-host .*ham\/broken\.ts:1:11/);
  t.deepEqual(
    lines.filter((line) => line.startsWith('INFO') || line.startsWith('DEBUG')),
    [],
  );
  t.true((await start(", log: { level: 'info' }")).some((line) => line.startsWith('INFO plugin-host ')));
  t.deepEqual(await start(", log: { level: 'off' }"), []);
});

test('the log on stderr has levels by category, one entry per call, and drops lines when nobody reads', (t) => {
  const written: string[] = [];
  const stderr = { writableLength: 0, write: (text: string) => written.push(text.replace(/^\S+Z /, '')) };
  const logs = stderrLogs({ level: 'warn', levels: { plugin: 'debug', 'plugin.ham.spam': 'off' } }, stderr as never);
  logs('relay').info('hidden');
  logs('relay').warn('%s rows', 2, 'more');
  logs('plugin.eggs').debug('one\nforged\u001b[31m');
  logs('plugin.ham.spam').error('hidden');
  t.false(logs('relay').isInfoEnabled());
  t.true(logs('plugin.eggs').isDebugEnabled());
  stderr.writableLength = 2 * 1024 * 1024;
  logs('relay').error('dropped');
  stderr.writableLength = 0;
  logs('relay').error('after');
  t.deepEqual(written, [
    'WARN relay 2 rows more\n',
    'DEBUG plugin.eggs one\n  forged\ufffd[31m\n',
    'ERROR relay (1 lines before this one were dropped, because nobody reads stderr) after\n',
  ]);
});
