/**
 * A module in a child is saved while its process runs: another process takes its place, and nobody notices but the author. Real processes,
 * real files.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { ERRORS } from '../../../src/core/core.ts';
import type { PluginStatus } from '../../../src/plugin-host/plugin-host.ts';
import type { RelayEvent } from '../../../src/relay/relay.ts';
import { NOT_RELOADED } from '../../../src/plugin-host/hosted/hosted.ts';
import type { Like } from '../../support/event-record.ts';
import { XmlRpcClient } from '../../../src/client/internal.ts';
import { pluginsDir, startRelay } from '../../support/relays.ts';
import type { TestRelay } from '../../support/relays.ts';
import { gone, isAlive } from '../programs/kit.ts';

/** A satellite in a child that answers its version and its process. */
function spam(version: string, body = '', head = ''): string {
  return `import { Dict, Exposed, Plugin, Satellite } from 'co2-relay';
${head}
@Satellite({ isolation: 'child' })
export class Spam extends Plugin {
  @Exposed() version() { return ${JSON.stringify(version)}; }
  @Exposed() pid() { return process.pid; }
  @Exposed() die() { process.exit(3); }
${body}
}
`;
}

/** It keeps what it receives, and hands it over. */
const KEEPS = `
  seen: unknown[] = [];
  private wanted: (() => void) | undefined;
  async receive(dict: Dict) { await new Promise(setImmediate); this.seen.push(dict.data); this.wanted?.(); }
  handover() { return { seen: this.seen, process: process.pid }; }
  restore(state: { seen: unknown[] }) { this.seen = [...state.seen]; }
  @Exposed() async all(count: number) {
    while (this.seen.length < count) await new Promise<void>((resolve) => { this.wanted = resolve; });
    return this.seen;
  }`;

interface Saved extends TestRelay {
  readonly save: (source: string, file?: string) => void;
  readonly plugin: () => PluginStatus;
  readonly pid: () => Promise<number>;
  /** As the operator. */
  readonly admin: (method: string) => Promise<unknown>;
}

async function started(t: ExecutionContext, source: string, files: Readonly<Record<string, string>> = {}): Promise<Saved> {
  t.timeout(55_000);
  const directory = pluginsDir(t, { 'ham/spam.ts': source, ...files });
  const relay = await startRelay(t, { pluginsDir: directory });
  // What is saved from here on is a change.
  await relay.seen.event('plugins.watched');
  const operator = new XmlRpcClient(new URL(relay.url), { token: relay.adminToken });
  t.teardown(() => operator.close());
  return {
    ...relay,
    save: (text, file = 'ham/spam.ts') => {
      writeFileSync(join(directory, file), text);
    },
    plugin: () => relay.status().plugins.plugins.find(({ name }) => name === 'ham.spam')!,
    pid: async () => (await relay.call('ham.spam.pid')) as number,
    admin: (method) => operator.call(method, ['ham.spam']),
  };
}

type ProblemEvent = Extract<RelayEvent, { type: 'plugin.problem' }>;

/** Resolves when a module was reloaded for the `count`th time. */
function reloaded({ seen }: TestRelay, plugin = 'ham.spam', count = 1): Promise<unknown> {
  return seen.event('plugin.version', { plugin, change: 'reloaded' }, count);
}

/** Resolves with the `count`th problem like this of a new version that does not run. */
function notReloaded({ seen }: TestRelay, problem: Like<ProblemEvent['problem']> = {}, count = 1): Promise<ProblemEvent> {
  return seen.event('plugin.problem', { outcome: NOT_RELOADED, problem }, count);
}

test.serial(
  'a version that fails to compile or start is logged with file, line and frame, and the old process keeps running',
  async (t) => {
    const relay = await started(t, spam('one'));
    const { log, save, plugin } = relay;
    const pid = await relay.pid();
    const broken: readonly (readonly [string, RegExp, RegExp])[] = [
      ['const a = 1;\nconst b = ;\n', /^ham\/spam\.ts:2:11: Expression expected$/, /> 2 \| const b = ;/],
      ["\nthrow new Error('not here');", /^ham\/spam\.ts:2:\d+: not here$/, /> 2 \| throw new Error\('not here'\);/],
      [
        spam('two', "setup() { throw new Error('no sensor'); }"),
        /^ham\/spam\.ts:8:\d+: .*refuses to start: no sensor/,
        /> +8 \| .*no sensor/,
      ],
    ];
    for (const [index, [source, reason, frame]] of broken.entries()) {
      save(source);
      const { rows } = await notReloaded(relay, { module: 'ham.spam', file: 'ham/spam.ts' }, index + 1);
      t.regex(plugin().lastError ?? '', reason);
      t.true(rows.some((row) => frame.test(row)));
      t.is(log.matching(/^ham\/spam\.ts:\d+:\d+: not reloaded, the previous version keeps running: /).length, index + 1);
      t.is(log.matching(frame).length, 1);
      t.is(await relay.call('ham.spam.version'), 'one');
      t.is(await relay.pid(), pid);
      t.like(plugin(), { state: { type: 'ready' }, restarts: 0, pid, reloadError: plugin().lastError });
    }
    t.deepEqual(relay.status().plugins.problems, []);
    save(spam('three'));
    await reloaded(relay);
    t.is(log.matching(/^ham\.spam reloaded in \d+ ms \(ham\/spam\.ts\)$/).length, 1);
    t.is(await relay.call('ham.spam.version'), 'three');
    await gone(pid);
    t.like(plugin(), { state: { type: 'ready' }, restarts: 1, pid: await relay.pid(), lastError: undefined, reloadError: undefined });
  },
);

test.serial(
  'hundreds of messages during three reloads arrive once and in order; state is handed over and old processes exit',
  async (t) => {
    const relay = await started(t, spam('0', KEEPS));
    const { save } = relay;
    const count = 400;
    const pids = new Set([await relay.pid()]);
    const sending = (async () => {
      for (let n = 0; n < count; n++) t.true(await relay.call('notify', { data: n }));
    })();
    for (let version = 1; version <= 3; version++) {
      save(spam(String(version), KEEPS));
      await reloaded(relay, 'ham.spam', version);
      pids.add(await relay.pid());
    }
    await sending;
    t.deepEqual(
      await relay.call('ham.spam.all', count),
      Array.from({ length: count }, (_, n) => n),
    );
    t.is(await relay.call('ham.spam.version'), '3');
    t.is(pids.size, 4);
    t.like(relay.status().plugins.plugins[0]?.satellites[0], { failed: 0, dropped: 0, refused: 0 });
    t.deepEqual(relay.seen.matching('inbox.dropped'), []);
    for (const pid of [...pids].slice(0, 3)) await gone(pid);
    const [, , , last = 0] = [...pids];
    t.true(isAlive(last));
    await relay.stop();
    t.false(isAlive(last));
  },
);

test.serial('methods of either the old or the new version are exposed at all times during a reload', async (t) => {
  const relay = await started(t, spam('one'));
  const answers = new Set<unknown>();
  const asking = (async () => {
    while (!answers.has('two')) answers.add(await relay.call('ham.spam.version'));
  })();
  relay.save(spam('two', '@Exposed() added() { return 1; }'));
  await asking;
  t.deepEqual([...answers], ['one', 'two']);
  const names = (await relay.call('system.listMethods')) as string[];
  t.deepEqual(
    names.filter((name) => name.startsWith('ham.')),
    ['ham.spam.added', 'ham.spam.die', 'ham.spam.pid', 'ham.spam.version'],
  );
});

test.serial('the old process finishes a call in progress before it exits', async (t) => {
  const slow = `
  private finish: (() => void) | undefined;
  @Exposed() async slow() { await this.send({ data: 'called' }); await new Promise<void>((resolve) => { this.finish = resolve; }); return process.pid; }
  @Exposed() finishSlow() { this.finish?.(); }`;
  const relay = await started(t, spam('one', slow));
  const pid = await relay.pid();
  const called = relay.events.next(({ type }) => type === 'message.routed');
  const answer = relay.call('ham.spam.slow');
  await called;
  // Old versions answer until the new one is set up, so this lets the call go in the middle of the swap.
  relay.save(spam('two', "async setup() { await this.call('ham.spam.finishSlow'); }"));
  t.is(await answer, pid);
  await reloaded(relay);
  t.is(await relay.call('ham.spam.version'), 'two');
  await gone(pid);
  t.not(await relay.pid(), pid);
});

test.serial(
  'if handover() throws, the old process keeps running and the error is logged once; a restart replaces the process',
  async (t) => {
    const relay = await started(t, spam('one', "handover() { throw new Error('torn'); }"));
    const pid = await relay.pid();
    relay.save(spam('two'));
    await notReloaded(relay, {
      reason: /^plugin ham\.spam\.Spam: handover of the running version failed: torn; to drop its state, restart the plugin$/,
    });
    t.is(relay.seen.matching('plugin.problem').length, 1);
    t.is(await relay.pid(), pid);
    t.true(await relay.call('notify', { data: 1 }));
    await relay.admin('plugin.restart');
    t.is(await relay.call('ham.spam.version'), 'two');
  },
);

test.serial('a process that crashes while being replaced loses its state but no messages', async (t) => {
  const relay = await started(t, spam('one', KEEPS));
  relay.save(
    spam(
      'two',
      `${KEEPS}\nasync setup() { await this.call('ham.spam.die').catch(() => undefined); await this.call('notify', [{ data: 'meanwhile' }]); }`,
    ),
  );
  await reloaded(relay);
  await relay.call('notify', { data: 'after' });
  t.deepEqual(await relay.call('ham.spam.all', 2), ['meanwhile', 'after']);
  t.is(await relay.call('ham.spam.version'), 'two');
  t.like(relay.plugin(), { state: { type: 'ready' }, pid: await relay.pid() });
});

test.serial('a stop cancels a reload and leaves no process behind', async (t) => {
  const relay = await started(t, spam('one'));
  const pid = await relay.pid();
  relay.save(spam('two', "setup() { this.log('sets up', process.pid); return new Promise<void>(() => undefined); }"));
  const { text } = await relay.log.line(/^sets up \d+$/);
  await relay.stop();
  t.false(isAlive(pid));
  t.false(isAlive(Number(text.split(' ')[2])));
  t.deepEqual(relay.seen.matching('plugin.problem'), []);
});

test.serial('a new configuration file reloads the child', async (t) => {
  const source = spam(
    'one',
    'limit = 0; setup(config: { limit: number }) { this.limit = config.limit; } @Exposed() bound() { return this.limit; }',
  );
  const relay = await started(t, source, { 'ham/spam.config.ts': 'export default { limit: 1 };' });
  t.is(await relay.call('ham.spam.bound'), 1);
  relay.save('export default { limit: 2 };', 'ham/spam.config.ts');
  await reloaded(relay);
  t.is(await relay.call('ham.spam.bound'), 2);
  relay.save('export default { limit: ', 'ham/spam.config.ts');
  await notReloaded(relay, { file: 'ham/spam.config.ts', line: 1, reason: /^its configuration does not load: / });
  t.is(await relay.call('ham.spam.bound'), 2);
});

test.serial(
  'a child that failed to load starts once it loads; a stopped child stays stopped and later starts its current version',
  async (t) => {
    const relay = await started(t, spam('one').replace('export class', 'export clas'));
    t.like(relay.plugin(), { state: { type: 'failed' } });
    t.is(relay.status().plugins.problems.length, 1);
    relay.save(spam('two'));
    await relay.seen.event('plugin.state', { plugin: 'ham.spam', state: { type: 'ready' } });
    t.is(await relay.call('ham.spam.version'), 'two');
    t.deepEqual(relay.status().plugins.problems, []);
    await relay.admin('plugin.stop');
    relay.save(spam('three'));
    await t.throwsAsync(relay.admin('plugin.reload'), { code: ERRORS.PLUGIN_REFUSED.fault } as never);
    await relay.admin('plugin.start');
    t.is(await relay.call('ham.spam.version'), 'three');
  },
);

test.serial('a saved decorator moves a module to another process and back; without a decorator it stays where it is', async (t) => {
  const relay = await started(t, spam('one'));
  relay.save(spam('two').replace("{ isolation: 'child' }", ''));
  await relay.seen.event('plugin.version', { plugin: 'ham.spam', change: 'loaded' });
  t.is(await relay.pid(), process.pid);
  relay.save(spam('three'));
  while (relay.plugin().kind !== 'child' || relay.plugin().state.type !== 'ready')
    await relay.events.next(({ type }) => type === 'plugin.state');
  const pid = await relay.pid();
  t.not(pid, process.pid);
  const cutShort = [
    ['', { reason: /^the file is empty; save it again, or delete it to unload ham\.spam$/ }],
    ["import { Plugin, Satellite } from 'co2-relay';\n", { reason: /^it no longer exports a class decorated with @Satellite/ }],
    ["import { Satellite } from 'co2-relay';\n@Satellite()\nexport class Spam {", { line: 3 }],
  ] as const;
  for (const [source, problem] of cutShort) {
    relay.save(source);
    await notReloaded(relay, { file: 'ham/spam.ts', ...problem });
    t.like(relay.plugin(), { kind: 'child', state: { type: 'ready' }, pid });
    t.is(await relay.call('ham.spam.version'), 'three');
  }
  relay.save(spam('four'));
  await reloaded(relay);
  t.is(await relay.call('ham.spam.version'), 'four');
});

test.serial('neither a truncated helper nor a truncated configuration replaces a running child', async (t) => {
  const head = "import * as values from './_values.ts';";
  const relay = await started(t, spam('one', '@Exposed() value() { return (values as { value?: number }).value ?? 0; }', head), {
    'ham/_values.ts': 'export const value = 1;',
    'ham/spam.config.ts': 'export default { a: 1 };',
  });
  const pid = await relay.pid();
  relay.save('', 'ham/_values.ts');
  await notReloaded(relay, { reason: /^ham\/_values\.ts: the file is empty; save it again/ });
  t.is(await relay.pid(), pid);
  relay.save('export const value = 2;', 'ham/_values.ts');
  await reloaded(relay);
  t.is(await relay.call('ham.spam.value'), 2);
  const next = await relay.pid();
  relay.save('', 'ham/spam.config.ts');
  await notReloaded(relay, { reason: /^ham\/spam\.config\.ts: the file is empty; save it again/ });
  t.is(await relay.pid(), next);
});

test.serial('a child reloads when a file that it imports changes, wherever the file is, but not for other files', async (t) => {
  const head = "import { word } from '../_lib/word.ts';";
  const relay = await started(t, spam('one', '@Exposed() word() { return word; }', head), {
    '_lib/word.ts': "export const word = 'a';",
    'ham/eggs.ts': spam('one').replace('class Spam', 'class Eggs'),
  });
  t.is(await relay.call('ham.spam.word'), 'a');
  // Another module of the folder, and a file that nobody imports.
  relay.save('export {};', 'ham/_other.ts');
  relay.save(spam('two').replace('class Spam', 'class Eggs'), 'ham/eggs.ts');
  await reloaded(relay, 'ham.eggs');
  relay.save('export const word = ;', '_lib/word.ts');
  await notReloaded(relay, { file: '_lib/word.ts', line: 1 });
  t.is(await relay.call('ham.spam.word'), 'a');
  relay.save("export { word } from './more.ts';", '_lib/word.ts');
  await notReloaded(relay, {}, 2);
  relay.save("export const word = 'b';", '_lib/more.ts');
  await reloaded(relay);
  t.is(await relay.call('ham.spam.word'), 'b');
  t.is(relay.seen.matching('plugin.version', { plugin: 'ham.spam', change: 'reloaded' }).length, 1);
  t.is(relay.plugin().restarts, 1);
});

test.serial('a child also includes helpers outside of the plugins directory, and a restart loads their current version', async (t) => {
  t.timeout(55_000);
  const root = pluginsDir(t, {
    'plugins/ham/spam.ts': spam('one', '@Exposed() value() { return value; }', "import { value } from '../../shared.ts';"),
    'shared.ts': "export { value } from './lib/value.ts';",
    'lib/value.ts': 'export const value = 1;',
  });
  const relay = await startRelay(t, { pluginsDir: join(root, 'plugins') });
  await relay.seen.event('plugins.watched');
  t.is(await relay.call('ham.spam.value'), 1);
  writeFileSync(join(root, 'lib/value.ts'), 'export const value = 2;');
  await reloaded(relay);
  t.is(await relay.call('ham.spam.value'), 2);
  const unwatched = await startRelay(t, { pluginsDir: join(root, 'plugins'), watch: false });
  writeFileSync(join(root, 'shared.ts'), 'export const value = 3;');
  const operator = new XmlRpcClient(new URL(unwatched.url), { token: unwatched.adminToken });
  t.teardown(() => operator.close());
  t.like(await operator.call('plugin.restart', ['ham.spam']), { state: 'ready', kept_versions: 0, not_reloaded: [] });
  t.is(await unwatched.call('ham.spam.value'), 3);
});

test.serial('a child does not execute a world-writable helper either', async (t) => {
  const directory = pluginsDir(t, {
    'ham/spam.ts': spam('one', '', "import './_open.ts';"),
    'ham/_open.ts': "process.stdout.write('executed');",
  });
  chmodSync(join(directory, 'ham/_open.ts'), 0o666);
  const relay = await startRelay(t, { pluginsDir: directory });
  const [problem] = relay.status().plugins.problems;
  t.regex(problem?.reason ?? '', /every user of this machine can write to it/);
  t.deepEqual(relay.log.matching(/executed/), relay.log.matching(/would be executed/));
});

test.serial('a child whose import never finishes is not loaded, and the log names the slow step', async (t) => {
  const directory = pluginsDir(t, { 'ham/spam.ts': spam('one', '', 'await new Promise(() => undefined);') });
  const relay = await startRelay(t, { pluginsDir: directory, setupTimeoutMs: 500 });
  t.like(relay.status().plugins.problems, [{ file: 'ham/spam.ts', reason: 'ham/spam.ts: loading it took longer than 500 ms' }]);
});
