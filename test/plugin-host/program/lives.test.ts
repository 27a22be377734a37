/** Programs that live and end badly: what they write, what they do not answer, what they leave behind. */
import { join } from 'node:path';
import test from 'ava';
import { temporaryDir } from '../../support/relays.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { gone, isAlive, pidIn, programOf } from './kit.ts';

test('what it writes goes to its log line by line, without what would move a cursor', async (t) => {
  const kit = programOf(t, 'talks');
  await kit.start();
  t.like(await kit.log.line(/^said/), { category: 'plugin.ham', level: 'info', text: 'said \ufffd[31mred\ufffd[0m' });
  t.like(await kit.log.line(/^complained$/), { category: 'plugin.ham' });
});

test('ten megabytes without an end are one line of 2,000 characters', async (t) => {
  const kit = programOf(t, 'long-line');
  await kit.start();
  t.is(await kit.call('echo', 'still here'), 'still here');
  await kit.plugin.stop();
  const { text } = await kit.log.line(/^begin/);
  t.is(text, `begin${'x'.repeat(1_995)}…`);
});

test('a flood of lines is counted, not written', async (t) => {
  const kit = programOf(t, 'floods', { clock: new VirtualClock() });
  await kit.start();
  await kit.plugin.stop();
  const { text } = await kit.log.line(/more lines/);
  t.is(kit.log.matching(/^line \d+$/).length, 100);
  t.is(text, '… and 900 more lines (of 100 a second the log takes)');
});

test('it may close its output after the first line', async (t) => {
  const kit = programOf(t, 'closes-stdout');
  await kit.start();
  t.is(await kit.call('echo', 'quiet'), 'quiet');
});

test('one that heeds neither the question nor SIGTERM is killed, and its stop ends', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'ignores-sigterm', { clock });
  await kit.start();
  const { pid = 0 } = kit.plugin.status;
  const stopping = kit.plugin.stop();
  clock.advance(5_000);
  t.true(isAlive(pid));
  clock.advance(5_000);
  await stopping;
  t.false(isAlive(pid));
});

test('what it started goes with it', async (t) => {
  const file = join(temporaryDir(t), 'pid');
  const kit = programOf(t, 'forks', { args: [file] });
  await kit.start();
  t.true(isAlive(pidIn(file)));
  await kit.plugin.stop();
  await gone(pidIn(file));
  t.pass();
});

test('one that misses its pings is unresponsive, then ended and not started again', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'misses-pings', { clock });
  await kit.start();
  for (let missed = 1; missed <= 2; missed++) {
    clock.advance(5_000);
    clock.advance(5_000);
    t.deepEqual(await kit.until('unresponsive', missed), { type: 'unresponsive', missed });
  }
  t.is(await kit.call('echo', 'well after all'), 'well after all');
  t.is(kit.plugin.status.state.type, 'ready');
  for (let missed = 3; missed <= 4; missed++) {
    clock.advance(5_000);
    clock.advance(5_000);
    await kit.until('unresponsive', missed);
  }
  clock.advance(5_000);
  clock.advance(5_000);
  t.deepEqual(await kit.until('failed'), { type: 'failed', reason: 'it did not answer 3 times in a row (maxTimeouts)' });
});

test('a call that it never answers ends in its time, and counts as a missed ping; the others go on', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'good', { clock, record: { callTimeoutMs: 60_000 } });
  await kit.start();
  const hanging = kit.call('hang');
  t.is(await kit.call('echo', 'beside it'), 'beside it');
  clock.advance(5_000);
  t.is(kit.plugin.status.state.type, 'busy');
  clock.advance(55_000);
  await t.throwsAsync(hanging, { code: 'TIMEOUT', message: 'ham.hang was not answered in 60000 ms' } as never);
  await kit.until('unresponsive');
  t.is(await kit.call('echo', 'after it'), 'after it');
  t.is(kit.plugin.status.state.type, 'ready');
});

test('while it is not ready a caller is told why', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'good', { clock, random: () => 0.5 });
  await kit.start();
  await t.throwsAsync(kit.call('die'), { code: 'TRANSPORT' } as never);
  await kit.until('backoff');
  await t.throwsAsync(kit.call('echo', 'x'), {
    code: 'UNAVAILABLE',
    message: 'ham.echo: ham is started again in 1 s: it ended with code 3',
  } as never);
  clock.advance(250);
  await t.throwsAsync(kit.call('echo', 'x'), { message: 'ham.echo: ham is starting' });
  await kit.until('ready', 2);
  t.is(await kit.call('echo', 'x'), 'x');
});
