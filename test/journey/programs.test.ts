/** Programs in a whole relay: how they are configured, called and notified, and how they affect the start. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createRelay } from '../../src/create-relay.ts';
import { FIXTURE, isAlive, pidIn } from '../plugin-host/programs/kit.ts';
import { LogRecord } from '../support/log-record.ts';
import { rejects } from '../support/relay-error.ts';
import { RECORDER_DIR, startRelay, temporaryDir } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const program = (mode: string, more: object = {}) => ({ name: 'ham', exec: process.execPath, args: [FIXTURE, mode], ...more });

test('a program is called, described and notified like a local satellite', async (t) => {
  const relay = await startRelay(t, { programs: [program('good')] });
  t.is(await relay.call('ham.echo', 'hello'), 'hello');
  t.is(await relay.call('system.methodHelp', 'ham.echo'), 'Does echo.');
  t.deepEqual(await relay.call('system.methodSignature', 'ham.echo'), [['string', 'string']]);
  await relay.call('notify', { data: 'news' });
  await relay.seen.event('inbox.delivered', { satellite: 'ham' });
  t.deepEqual(await relay.call('ham.heard'), ['news']);
  const plugin = relay.status().plugins.plugins.find(({ name }) => name === 'ham');
  t.like(plugin, { name: 'ham', kind: 'program', version: '1.2.3', restarts: 0, state: { type: 'ready' } });
  const { names } = (await relay.call('ham.environment')) as { names: string[] };
  t.true(names.includes('CO2_RELAY_URL'));
});

test('the relay does not start with a program that can never work as configured', async (t) => {
  await t.throwsAsync(startRelay(t, { programs: [program('refuses')] }), {
    code: 'PLUGIN_REFUSED',
    message: /a colour is needed/,
  } as never);
});

test('the log of a failed program says whether the start fails or someone has to start the program', async (t) => {
  const log = new LogRecord();
  const config = { port: 0, pluginsDir: RECORDER_DIR, dataDir: join(temporaryDir(t), 'state') };
  await t.throwsAsync(createRelay({ ...config, programs: [program('refuses')] }, { logs: log.source }), {
    code: 'PLUGIN_REFUSED',
  } as never);
  t.deepEqual(log.matching(/ham has failed/), [
    'ham has failed: plugin.setup failed: fault 7: a colour is needed; the relay does not start with it',
  ]);
  const relay = await startRelay(t, { programs: [program('misses-pings', { pingIntervalMs: 20, timeoutMs: 20, maxTimeouts: 1 })] });
  await relay.seen.event('plugin.state', { plugin: 'ham', state: { type: 'failed' } });
  t.is(relay.log.matching(/^ham has failed: .*; it is not started again by itself; start it by hand \(plugin\.start\)$/).length, 1);
});

test('names of members of Object.prototype are ordinary names', async (t) => {
  const names = ['__proto__', 'constructor', 'toString'];
  const relay = await startRelay(t, { programs: names.map((name) => program('good', { name })) });
  for (const name of names) {
    t.is(await relay.call(`${name}.echo`, name), name);
    t.is(await relay.call('system.methodHelp', `${name}.echo`), 'Does echo.');
  }
  const { plugins } = relay.status().plugins;
  t.deepEqual(
    names.map((name) => plugins.find((plugin) => plugin.name === name)?.state.type),
    ['ready', 'ready', 'ready'],
  );
});

test('the relay starts without a program that exits, and retries it', async (t) => {
  const relay = await startRelay(t, { programs: [program('crashes')] }).catch((error: unknown) => error as Error);
  if (relay instanceof Error) return t.fail(relay.message);
  const { attempt } = (await relay.seen.event('plugin.state', { plugin: 'ham', state: { type: 'backoff' } })).state as { attempt: number };
  t.is(attempt, 1);
  t.is(relay.log.matching(/plugin ham: it ended with code 5.*the relay runs without it for now/).length, 1);
});

test('two plugins with the same name', async (t) => {
  await t.throwsAsync(startRelay(t, { programs: [program('good'), program('good')] }), {
    code: 'CONFIG_INVALID',
    message: "createRelay: programs: found two plugins 'ham', the second as programs[1]; give each a name of its own",
  } as never);
  await t.throwsAsync(startRelay(t, { programs: [program('good', { name: 'test.recorder' })] }), {
    code: 'CONFIG_INVALID',
    message: /'test\.recorder'/,
  } as never);
});

const WRONG: readonly (readonly [object, RegExp])[] = [
  [{ name: 'my ham' }, /programs\.0\.name: found 'my ham', expected a name of letters/],
  [{ name: 'relay.ham' }, /programs\.0\.name: found 'relay\.ham', expected a name that begins with none of the relay's own/],
  [{ exec: '' }, /programs\.0\.exec: found '', expected a non-empty text/],
  [{ timeoutMs: 0 }, /programs\.0\.timeoutMs: found 0, expected at least 1/],
  [{ colour: 'red' }, /programs\.0\.colour: there is no such option/],
  [{ env: { 'A=B': 'x' } }, /programs\.0\.env/],
];

for (const [more, reason] of WRONG) {
  test(`rejected in the configuration: ${JSON.stringify(more)}`, async (t) => {
    const option = `programs.0.${Object.keys(more).join()}`;
    const { message } = await rejects(
      t,
      startRelay(t, { programs: [program('good', more)] }),
      'CONFIG_INVALID',
      option.endsWith('env') ? {} : { option },
    );
    t.regex(message, reason);
  });
}

test('a program runs in the configured working directory', async (t) => {
  const cwd = join(temporaryDir(t), 'work');
  mkdirSync(cwd);
  const relay = await startRelay(t, { programs: [program('good', { cwd })] });
  t.like(await relay.call('ham.environment'), { cwd });
});

test('a slow start logs what it waits for', async (t) => {
  const giveUp = new AbortController();
  const log = new LogRecord();
  const clock = new VirtualClock();
  const args = [FIXTURE, 'never-ready', join(temporaryDir(t), 'pid')];
  const config = { port: 0, dataDir: join(temporaryDir(t), 'state'), pluginsDir: RECORDER_DIR };
  const programs = [program('never-ready', { args, startTimeoutMs: 86_400_000 }), program('good', { name: 'eggs' })];
  const starting = createRelay({ ...config, programs }, { logs: log.source, clock, signal: giveUp.signal });
  await log.line(/^waits$/);
  await log.line(/^eggs is ready/);
  clock.advance(10_000);
  t.deepEqual(log.matching(/the start has waited/), [
    'the start has waited for programs for 5 s: ham (starting)',
    'the start has waited for programs for 10 s: ham (starting)',
  ]);
  giveUp.abort();
  await t.throwsAsync(starting, { code: 'UNAVAILABLE', message: /canceled while starting plugins/ } as never);
});

test('a start that waits for a program can be canceled at once, and leaves no process', async (t) => {
  const giveUp = new AbortController();
  const log = new LogRecord();
  const file = join(temporaryDir(t), 'pid');
  const starting = createRelay(
    {
      port: 0,
      dataDir: join(temporaryDir(t), 'state'),
      pluginsDir: RECORDER_DIR,
      programs: [program('never-ready', { args: [FIXTURE, 'never-ready', file], startTimeoutMs: 86_400_000 })],
    },
    { logs: log.source, signal: giveUp.signal },
  );
  await log.line(/^waits$/);
  giveUp.abort();
  await t.throwsAsync(starting, { code: 'UNAVAILABLE', message: /canceled while starting plugins/ } as never);
  t.false(isAlive(pidIn(file)));
});
