/** A plugin in a child cannot harm others: real processes that leak, crash, block and lose their relay. */
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { argumentsOf } from '../../../src/plugin-host/children/job.ts';
import { pluginsDir, startRelay } from '../../support/relays.ts';
import type { RelayEvent } from '../../../src/relay/relay.ts';
import type { TestRelay } from '../../support/relays.ts';
import { isAlive } from '../programs/kit.ts';

const SPAM = `import { spawnSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { Exposed, Plugin, Satellite } from 'co2-relay';
const kept: unknown[] = [];
@Satellite({ isolation: 'child' })
export class Spam extends Plugin {
  @Exposed() pid() { return process.pid; }
  @Exposed() heap() { for (;;) kept.push(Array.from({ length: 10_000 }, (_, n) => ({ n }))); }
  @Exposed() async bytes() { for (;;) { kept.push(Buffer.alloc(1 << 20, 1)); await new Promise(setImmediate); } }
  @Exposed() later() { setTimeout(() => { throw new Error('thrown by a timer'); }, 1); }
  @Exposed() garbage() { writeSync(3, 'Segmentation fault'); return new Promise(() => undefined); }
  @Exposed() forever() { return new Promise(() => undefined); }
  @Exposed() echo(text: string) { return text; }
  @Exposed() shell(script: string) { return spawnSync('/bin/sh', ['-c', script], { stdio: 'ignore' }).status; }
  @Exposed() environment() { return Object.keys(process.env).filter((name) => name.startsWith('CO2_')); }
}
`;

async function started(t: ExecutionContext): Promise<TestRelay> {
  t.timeout(55_000);
  const directory = pluginsDir(t, {
    'ham/spam.ts': SPAM,
    'ham/eggs.ts': SPAM.replace("{ isolation: 'child' }", ''),
  });
  return startRelay(t, { pluginsDir: directory, maxMemoryMb: 64 });
}

/** Resolves when the child, which has ended, is ready again. */
async function readyAgain({ seen }: TestRelay): Promise<void> {
  const began = seen.all.all.indexOf(await seen.event('plugin.state', { plugin: 'ham.spam', state: { type: 'backoff' } }));
  const isReady = (event: RelayEvent): boolean =>
    event.type === 'plugin.state' && event.plugin === 'ham.spam' && event.state.type === 'ready' && seen.all.all.indexOf(event) > began;
  await seen.all.until(isReady);
}

for (const [method, reason] of [
  ['heap', /SIGABRT: out of memory \(maxMemoryMb: 64\)/],
  ['bytes', /code 86: out of memory \(maxMemoryMb: 64\)/],
  ['later', /it ended with code 1/],
] as const) {
  test.serial(
    `if a child exits (${method}), its call fails, the reason is logged, other plugins keep running, and it restarts`,
    async (t) => {
      const relay = await started(t);
      const pid = await relay.call('ham.spam.pid');
      await relay.call(`ham.spam.${method}`).catch(() => undefined);
      await relay.seen.event('plugin.state', { plugin: 'ham.spam', state: { type: 'backoff' } });
      t.true(relay.log.matching(reason).length > 0);
      t.is(await relay.call('ham.eggs.pid'), process.pid);
      await readyAgain(relay);
      t.not(await relay.call('ham.spam.pid'), pid);
      const status = relay.status().plugins.plugins.find(({ name }) => name === 'ham.spam');
      t.regex(status?.lastError ?? '', reason);
      t.is(status?.restarts, 1);
    },
  );
}

test.serial('if a child is killed during calls, all of them fail at once, and it restarts', async (t) => {
  const relay = await started(t);
  const pid = (await relay.call('ham.spam.pid')) as number;
  const calls = Array.from({ length: 200 }, () => relay.callDirectly('ham.spam.forever'));
  // Its answer shows that the calls have arrived.
  await relay.call('ham.spam.pid');
  const began = performance.now();
  process.kill(pid, 'SIGKILL');
  for (const result of await Promise.allSettled(calls)) t.is(result.status, 'rejected');
  // The time limit of a call is a minute.
  t.true(performance.now() - began < 20_000);
  await readyAgain(relay);
  t.not(await relay.call('ham.spam.pid'), pid);
});

test.serial('if a child writes garbage into its pipe, its calls fail, and it is replaced', async (t) => {
  const relay = await started(t);
  const pid = (await relay.call('ham.spam.pid')) as number;
  const call = relay.callDirectly('ham.spam.forever');
  const error = await t.throwsAsync(relay.call('ham.spam.garbage'));
  t.regex(error.message, /it sent something that is not a part of a document/);
  await t.throwsAsync(call, { code: 'TRANSPORT' });
  await readyAgain(relay);
  t.false(isAlive(pid));
  t.is(await relay.call('ham.eggs.pid'), process.pid);
  t.regex(
    relay.status().plugins.plugins.find(({ name }) => name === 'ham.spam')?.lastError ?? '',
    /it ended with code 87: it lost its pipe to the relay/,
  );
});

test.serial(
  'a stopped child refuses calls over the limit and answers the others when it continues; large values hold up no small one',
  async (t) => {
    const relay = await started(t);
    const pid = (await relay.call('ham.spam.pid')) as number;
    process.kill(pid, 'SIGSTOP');
    t.teardown(() => {
      if (isAlive(pid)) process.kill(pid, 'SIGCONT');
    });
    const large = 'x'.repeat(2_000_000);
    const order: string[] = [];
    const calls = Array.from({ length: 1_000 }, async (_, n) => {
      const text = n % 100 === 0 ? large : String(n);
      t.is(await relay.callDirectly('ham.spam.echo', text), text);
      order.push(text.length > 10 ? 'large' : 'small');
    });
    await t.throwsAsync(relay.callDirectly('ham.spam.echo', 'one more'), { code: 'RATE_LIMITED', message: /1000 calls/ });
    process.kill(pid, 'SIGCONT');
    await Promise.all(calls);
    t.deepEqual(
      order.slice(-10),
      Array.from({ length: 10 }, () => 'large'),
    );
  },
);

test.serial('a stop during calls ends the child, and the calls', async (t) => {
  const relay = await started(t);
  const pid = (await relay.call('ham.spam.pid')) as number;
  const calls = Array.from({ length: 20 }, () => relay.callDirectly('ham.spam.forever'));
  await relay.call('ham.spam.pid');
  await relay.stop();
  t.false(isAlive(pid));
  for (const result of await Promise.allSettled(calls)) t.is(result.status, 'rejected');
});

test.serial('a child exits with its relay and passes on neither its token nor its pipe', async (t) => {
  const relay = await started(t);
  const pid = (await relay.call('ham.spam.pid')) as number;
  const names = (await relay.call('ham.spam.environment')) as string[];
  t.deepEqual(names.sort(), ['CO2_PLUGIN_NAME', 'CO2_PROTOCOL_VERSIONS']);
  t.is(await relay.call('ham.spam.shell', ': >&1'), 0);
  t.not(await relay.call('ham.spam.shell', ': >&3'), 0);
  t.true(isAlive(pid));
  await relay.stop();
  t.false(isAlive(pid));
});

test.serial('a manually started runner reports what to run instead', async (t) => {
  const job = {
    relayPlugins: [],
    configSource: '',
    setupTimeoutMs: 1,
    exitTimeoutMs: 1,
    receiveTimeoutMs: 1,
    maxMemoryMb: 64,
    debug: false,
  };
  const found = {
    file: 'a.ts',
    folder: '',
    stem: 'a',
    packageName: 'plugins',
    moduleName: 'a',
    module: 'plugins.a',
    root: '/',
    rootName: '',
    path: 'a.ts',
  };
  const child = spawn(process.execPath, argumentsOf({ found, ...job }), { env: {}, stdio: ['ignore', 'inherit', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 2);
  t.regex(said, /the relay starts it: say isolation/);
});
