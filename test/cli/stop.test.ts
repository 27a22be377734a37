/** The `co2` command as it ends: signals, plugins that cling, errors that nobody caught, and what is left behind. */
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { temporaryDir } from '../support/relays.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import { CLINGING, NAUGHTY, noting } from './plugins.ts';

/** A file for the plugins' notes, and what they noted so far. */
function notes(t: ExecutionContext): { env: { NOTES: string }; read: () => string[] } {
  const file = join(temporaryDir(t), 'notes');
  return { env: { NOTES: file }, read: () => readFileSync(file, 'utf8').trim().split('\n') };
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test.serial(`${signal} stops the relay: plugins exit in reverse order, the code is 0, the port is free`, async (t) => {
    const { env, read } = notes(t);
    const files = { 'plugins/a/one.ts': noting('one'), 'plugins/b/two.ts': noting('two'), 'plugins/c/three.ts': noting('three') };
    const relay = await startCo2(t, { files, env });
    relay.kill(signal);
    const { code, signal: endedBy, stderr } = await relay.exit;
    t.deepEqual({ code, endedBy }, { code: 0, endedBy: null });
    t.deepEqual(read(), ['setup one', 'setup two', 'setup three', 'exit three', 'exit two', 'exit one']);
    t.true(stderr.at(-1)?.endsWith(' stopped'));
    const again = createServer().listen(relay.port, '127.0.0.1');
    await once(again, 'listening');
    await new Promise((resolve) => again.close(resolve));
  });
}

test.serial('a plugin with a timer and a hanging exit() does not delay the stop beyond its time limit', async (t) => {
  const { env, read } = notes(t);
  const files = { 'plugins/a/one.ts': noting('one'), 'plugins/b/cling.ts': CLINGING, 'config.ts': 'export default { exitTimeoutMs: 50 };' };
  const relay = await startCo2(t, { files, env });
  relay.kill('SIGTERM');
  const { code, stderr } = await relay.exit;
  t.is(code, 0);
  t.deepEqual(read(), ['setup one', 'exit one']);
  t.true(stderr.some((line) => /ERROR plugin\.b\.cling .*Clinging: exit failed: .*50 ms/.test(line)));
});

test.serial('a stop during the start prints no ready line and exits with code 0', async (t) => {
  const slow = `import { Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Slow extends Plugin {
  setup() {
    console.error('slow: setup begins');
    return new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  }
  exit() { console.error('slow: exit'); }
}
`;
  const relay = runCo2(t, { args: ['--port', '0'], files: { 'plugins/a/slow.ts': slow } });
  await relay.stderr.line(/slow: setup begins/);
  relay.kill('SIGTERM');
  const { code, stdout, stderr } = await relay.exit;
  t.is(code, 0);
  t.deepEqual(stdout, []);
  t.true(stderr.some((line) => line.includes('slow: exit')));
});

test.serial('the relay keeps running when the reader of its log goes away, and stops on request', async (t) => {
  const relay = await startCo2(t, { args: ['--log-level', 'debug'] });
  relay.closeStderr();
  for (let count = 0; count < 20; count++) await t.throwsAsync(relay.call('notify', { data: 1, host_id: 'x@10.0.0.1:1' }));
  t.true(await relay.call('ping'));
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
});

test.serial('a second signal kills the relay at once', async (t) => {
  const files = { 'plugins/b/cling.ts': CLINGING, 'config.ts': 'export default { exitTimeoutMs: 86_400_000 };' };
  const relay = await startCo2(t, { files });
  relay.kill('SIGINT');
  await relay.stderr.line(/clinging: exit begins/);
  relay.kill('SIGINT');
  t.like(await relay.exit, { code: null, signal: 'SIGINT' });
});

test.serial('an unhandled rejection in a plugin is logged, and the relay keeps running', async (t) => {
  const relay = await startCo2(t, { files: { 'plugins/ham/naughty.ts': NAUGHTY } });
  await relay.call('ham.naughty.forget');
  t.regex(await relay.stderr.line(/a forgotten promise/), / ERROR app unhandled promise rejection \(ham\/naughty\.ts:\d+:\d+\): /);
  t.true(await relay.call('ping'));
});

test.serial('an exception in a timer of a plugin stops the relay in order with code 1', async (t) => {
  const { env, read } = notes(t);
  const relay = await startCo2(t, { files: { 'plugins/ham/naughty.ts': NAUGHTY }, env });
  await relay.call('ham.naughty.explode');
  const { code, signal, stderr } = await relay.exit;
  t.deepEqual({ code, signal }, { code: 1, signal: null });
  t.deepEqual(read(), ['exit naughty']);
  t.true(
    stderr.some((line) => / ERROR app uncaught exception \(ham\/naughty\.ts:\d+:\d+\); stopping the relay: .*a bang in a timer/.test(line)),
  );
  t.true(
    stderr.some((line) => line.includes("isolation: 'child'")),
    'the remedy',
  );
});

for (const [asked, code] of [
  [7, 7],
  [0, 1],
] as const) {
  test.serial(
    `a plugin that exits the process with code ${asked} is named, and code ${code} tells a supervisor that nobody wanted that`,
    async (t) => {
      const relay = await startCo2(t, { files: { 'plugins/ham/naughty.ts': NAUGHTY } });
      await t.throwsAsync(relay.call('ham.naughty.end', asked));
      const end = await relay.exit;
      t.deepEqual({ code: end.code, signal: end.signal }, { code, signal: null });
      const told = end.stderr.find((line) => line.includes(`the process exits with code ${asked}`)) ?? '';
      t.regex(told, / ERROR app .*without a request to stop \(ham\/naughty\.ts:\d+:\d+\); exit\(\) of the plugins/);
    },
  );
}

test.serial('the host id and the admin token survive a restart, and only the owner can read the token', async (t) => {
  const cwd = temporaryDir(t);
  const random = (hostId: string): string | undefined => hostId.split('@')[0];
  const token = (): string => readFileSync(join(cwd, '.co2/admin.token'), 'utf8');
  const first = await startCo2(t, { cwd });
  t.is(statSync(join(cwd, '.co2/admin.token')).mode & 0o777, 0o600);
  const before = token();
  first.kill('SIGTERM');
  await first.exit;
  const second = await startCo2(t, { cwd });
  t.is(random(second.hostId), random(first.hostId));
  t.is(token(), before);
  const other = await startCo2(t);
  t.not(random(other.hostId), random(first.hostId));
});

test.serial('the relay starts again after SIGKILL', async (t) => {
  const cwd = temporaryDir(t);
  const first = await startCo2(t, { cwd });
  first.kill('SIGKILL');
  await first.exit;
  const second = await startCo2(t, { cwd, args: ['--port', String(first.port)] });
  t.is(second.hostId, first.hostId);
});
