/**
 * Programs that stop answering: a program that hangs is killed and restarted, unless the relay itself was paused. The tests stop real
 * processes by SIGSTOP.
 */
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { PauseWatch } from '../../../src/plugin-host/programs/pause-watch.ts';
import { LogRecord } from '../../support/log-record.ts';
import { startCo2 } from '../../support/processes.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { FIXTURE, gone, programOf } from './kit.ts';

const QUICK = { pingIntervalMs: 50, timeoutMs: 50 } as const;

test('a program that is stopped by SIGSTOP is killed and restarted, and works again', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'good', { clock });
  await kit.start();
  const { pid = 0 } = kit.plugin.status;
  process.kill(pid, 'SIGSTOP');
  for (const missed of [1, 2, 3]) {
    clock.advance(5_000);
    clock.advance(5_000);
    await kit.seen.event('plugin.state', { state: missed < 3 ? { type: 'unresponsive', missed } : { type: 'stopping' } });
  }
  // SIGTERM does not end a stopped process.
  clock.advance(5_000);
  await kit.until('backoff');
  clock.advance(1);
  await kit.until('ready', 2);
  await gone(pid);
  t.is(await kit.call('echo', 'again'), 'again');
  t.like(kit.plugin.status, { restarts: 1, lastError: 'it did not answer 3 times in a row (maxTimeouts)' });
});

test('a program that resumes before the limit of missed pings is not restarted', async (t) => {
  const kit = programOf(t, 'good', { record: { ...QUICK, maxTimeouts: 1_000 } });
  await kit.start();
  const { pid = 0 } = kit.plugin.status;
  process.kill(pid, 'SIGSTOP');
  await kit.until('unresponsive');
  process.kill(pid, 'SIGCONT');
  await kit.until('ready', 2);
  t.like(kit.plugin.status, { pid, restarts: 0 });
});

test('a program that hangs after every start is restarted with growing back-off and finally fails', async (t) => {
  const kit = programOf(t, 'misses-pings', { record: { ...QUICK, pingIntervalMs: 1, timeoutMs: 20, maxTimeouts: 1 } });
  await kit.start();
  const { reason } = (await kit.until('failed')) as { reason: string };
  t.regex(reason, /it was started 5 times in 60 s and ended each time; the last time: it did not answer 1 times in a row/);
  const attempts = kit.seen.matching('plugin.state').flatMap(({ state }) => (state.type === 'backoff' ? [state.attempt] : []));
  t.deepEqual(attempts, [1, 2, 3, 4, 5]);
});

test('pings missed while the event loop of the relay is blocked do not count', async (t) => {
  const kit = programOf(t, 'good', { record: { maxTimeouts: 1, callTimeoutMs: 1_500 } });
  await kit.start();
  const { pid = 0 } = kit.plugin.status;
  const hanging = kit.call('hang');
  // A call has to be answered within its time limit afterwards, also on a loaded machine.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
  await t.throwsAsync(hanging, { code: 'TIMEOUT' } as never);
  t.is(await kit.call('echo', 'still here'), 'still here');
  t.like(kit.plugin.status, { pid, restarts: 0, state: { type: 'ready' } });
  t.is(kit.log.matching(/the relay did not run for about \d+ ms; pings that programs missed in that time do not count/).length, 1);
  await t.throwsAsync(kit.call('hang'), { code: 'TIMEOUT' } as never);
  await kit.until('backoff');
});

test('a relay and its program that are both stopped for some seconds continue without a restart', async (t) => {
  const record = { name: 'ham', exec: process.execPath, args: [FIXTURE], pingIntervalMs: 50, timeoutMs: 2_000, maxTimeouts: 1 };
  const relay = await startCo2(t, { files: { 'config.ts': `export default { programs: [${JSON.stringify(record)}] };` } });
  const pid = Number(/process (\d+)/.exec(await relay.stderr.line(/ham is ready/))?.[1]);
  process.kill(pid, 'SIGSTOP');
  // By then a ping is in flight, and the pause lasts longer than its timeout.
  await pause(300);
  relay.kill('SIGSTOP');
  await pause(3_000);
  relay.kill('SIGCONT');
  process.kill(pid, 'SIGCONT');
  await relay.stderr.line(/the relay did not run for about/);
  t.is(await relay.call('ham.echo', 'well'), 'well');
  t.deepEqual(
    relay.stderr.all.filter((line) => line.includes('started again')),
    [],
  );
});

test('pings that time out while the relay is paused do not count, whichever timer fires first', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'misses-pings', { clock, record: { maxTimeouts: 1 } });
  await kit.start();
  clock.advance(5_000);
  clock.advanceHeld(30_000);
  clock.advance(0);
  t.is(kit.log.matching(/did not run for about/).length, 1);
  t.is(await kit.call('echo', 'well'), 'well');
  clock.advance(5_000);
  clock.advance(5_000);
  await kit.until('backoff');
});

test('the pause watch runs a timer only while there is a program, and reports a pause once', (t) => {
  const clock = new VirtualClock();
  const log = new LogRecord();
  const watch = new PauseWatch(clock, log.source('plugin-host'));
  t.is(clock.pending, 0);
  watch.begin();
  watch.begin();
  const began = clock.now();
  clock.advance(10_500);
  clock.advanceHeld(1_000);
  t.false(watch.wasPausedSince(began), 'late by a second is not late');
  clock.advance(0);
  clock.advanceHeld(4_000);
  t.true(watch.wasPausedSince(began));
  const end = clock.now();
  clock.advance(2_000);
  t.true(watch.wasPausedSince(end));
  t.false(watch.wasPausedSince(end + 1));
  t.deepEqual(log.matching(/./), ['the relay did not run for about 3000 ms; pings that programs missed in that time do not count']);
  watch.end();
  t.is(clock.pending, 1);
  watch.end();
  t.is(clock.pending, 0);
});
