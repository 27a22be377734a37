/** One relay per state directory, even after a crash. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { askLock, lockDirectory } from '../../src/state/state.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import { rejects } from '../support/relay-error.ts';
import { startRelay } from '../support/relays.ts';

/** A directory with a path short enough for a socket on every system. */
function shortDir(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'co2-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

test('a second relay on a state directory does not start, in this process or in another, until the first is gone', async (t) => {
  const dataDir = shortDir(t);
  const first = await startRelay(t, { dataDir });
  const error = await rejects(t, startRelay(t, { dataDir }), 'STATE_DIRECTORY', { reason: 'locked', path: dataDir });
  t.true(error.message.includes(`is in use by the relay of process ${process.pid}`));
  const other = await runCo2(t, { args: ['--port', '0', '--data', dataDir] }).exit;
  t.like(other, { code: 1, stdout: [] });
  t.regex(other.stderr.join('\n'), /is in use by the relay of process \d+; choose another with --data/);
  t.is(await first.call('ping'), true);
  await first.stop();
  t.false(readdirSync(dataDir).some((name) => name.startsWith('relay.lock')));
  const second = await startRelay(t, { dataDir });
  t.is(await second.call('ping'), true);
});

test('the lock of a killed relay is taken over, by one of many', async (t) => {
  const dataDir = shortDir(t);
  const killed = await startCo2(t, { args: ['--data', dataDir] });
  killed.kill('SIGKILL');
  await killed.exit;
  t.true(readdirSync(dataDir).includes('relay.lock'));
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(dataDir)));
  const taken = results.filter((result) => result.status === 'fulfilled');
  t.is(taken.length, 1);
  await taken[0]?.value();
  t.deepEqual(
    readdirSync(dataDir).filter((name) => name.startsWith('relay.lock')),
    [],
  );
});

for (const [what, name] of [
  ['bytes', 'x'.repeat(120)],
  ['bytes though not in characters', 'ü'.repeat(60)],
] as const) {
  test(`a path that is too long for a socket in ${what} is locked as well`, async (t) => {
    const dataDir = join(shortDir(t), name);
    const killed = await startCo2(t, { args: ['--data', dataDir] });
    t.is((await askLock(dataDir, 10_000))?.pid, killed.pid);
    const other = await runCo2(t, { args: ['--port', '0', '--data', dataDir] }).exit;
    t.like(other, { code: 1, stdout: [] });
    t.regex(other.stderr.join('\n'), new RegExp(`is in use by the relay of process ${killed.pid}; choose another with --data`));
    killed.kill('SIGKILL');
    await killed.exit;
    t.is(await askLock(dataDir, 10_000), undefined);
    const next = await startCo2(t, { args: ['--data', dataDir] });
    await t.throwsAsync(lockDirectory(dataDir), { code: 'STATE_DIRECTORY' });
    next.kill('SIGTERM');
    t.is((await next.exit).code, 0);
    t.false(readdirSync(dataDir).some((file) => file.startsWith('relay.lock')));
  });
}

test('the locks of two long directories in one process are two', async (t) => {
  const above = shortDir(t);
  const directories = ['a', 'b'].map((letter) => join(above, letter.repeat(120)));
  for (const directory of directories) mkdirSync(directory);
  const [a = '', b = ''] = directories;
  const unlockA = await lockDirectory(a);
  const unlockB = await lockDirectory(b);
  await unlockA();
  t.is(await askLock(a, 10_000), undefined);
  t.is((await askLock(b, 10_000))?.pid, process.pid);
  await unlockB();
  t.deepEqual([readdirSync(a), readdirSync(b)], [[], []]);
});

test('a process that was killed while it removed a stale lock does not block the next start', async (t) => {
  const dataDir = shortDir(t);
  const killed = await startCo2(t, { args: ['--data', dataDir] });
  killed.kill('SIGKILL');
  await killed.exit;
  writeFileSync(join(dataDir, 'relay.lock.stale'), '');
  const results = await Promise.allSettled(Array.from({ length: 4 }, () => lockDirectory(dataDir)));
  const taken = results.filter((result) => result.status === 'fulfilled');
  t.is(taken.length, 1);
  await taken[0]?.value();
  t.false(readdirSync(dataDir).some((name) => name.startsWith('relay.lock')));
});
