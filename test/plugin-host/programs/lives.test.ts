/** Programs that misbehave at run time: their output, calls that they do not answer, and processes that they leave behind. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { temporaryDir } from '../../support/relays.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { gone, isAlive, pidIn, programOf } from './kit.ts';

test('output is logged line by line, without control characters', async (t) => {
  const kit = programOf(t, 'talks');
  await kit.start();
  t.like(await kit.log.line(/^said/), { category: 'plugin.ham', level: 'info', text: 'said \ufffd[31mred\ufffd[0m' });
  t.like(await kit.log.line(/^complained$/), { category: 'plugin.ham' });
});

test('ten megabytes without a line end are logged as one line of 2,000 characters', async (t) => {
  const kit = programOf(t, 'long-line');
  await kit.start();
  t.is(await kit.call('echo', 'still here'), 'still here');
  await kit.plugin.stop();
  const { text } = await kit.log.line(/^begin/);
  t.is(text, `begin${'x'.repeat(1_995)}…`);
});

test('lines above the rate limit are counted instead of logged', async (t) => {
  const kit = programOf(t, 'floods', { clock: new VirtualClock() });
  await kit.start();
  await kit.plugin.stop();
  const { text } = await kit.log.line(/more lines/);
  t.is(kit.log.matching(/^line \d+$/).length, 100);
  t.is(text, '… and 900 more lines (of 100 a second the log takes)');
});

test('a program may close its output after the first line', async (t) => {
  const kit = programOf(t, 'closes-stdout');
  await kit.start();
  t.is(await kit.call('echo', 'quiet'), 'quiet');
});

test('a program that ignores plugin.stop and SIGTERM is killed, and the stop completes', async (t) => {
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

test('the child processes of a program end with it', async (t) => {
  const file = join(temporaryDir(t), 'pid');
  const kit = programOf(t, 'forks', { args: [file] });
  await kit.start();
  t.true(isAlive(pidIn(file)));
  await kit.plugin.stop();
  await gone(pidIn(file));
  t.pass();
});

test('a program that misses its pings is unresponsive, then killed and restarted', async (t) => {
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
  await kit.until('backoff');
  t.is(kit.plugin.status.lastError, 'it did not answer 3 times in a row (maxTimeouts)');
  clock.advance(0);
  await kit.until('ready', 2);
  t.is(kit.plugin.status.restarts, 1);
});

test('an unanswered call times out and counts as a missed ping; other calls continue', async (t) => {
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

test('a call to a program that is not ready is rejected with its state', async (t) => {
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
  await t.throwsAsync(kit.call('echo', 'x'), { code: 'UNAVAILABLE', message: 'ham.echo: ham is starting' });
  await kit.until('ready', 2);
  t.is(await kit.call('echo', 'x'), 'x');
});

/** Creates a program from these lines of JavaScript. */
function inline(source: string): { exec: string; args: readonly string[] } {
  return { exec: process.execPath, args: ['-e', source] };
}

test('a prompt without a line end is logged while the program waits, on both outputs', async (t) => {
  const kit = programOf(t, 'prompts');
  await kit.start();
  await kit.log.line(/^How many\?$/);
  await kit.log.line(/^\.\.\.$/);
  t.is(await kit.call('echo', 'alive'), 'alive');
});

test('an unfinished first line is logged without its token', async (t) => {
  const record = inline('process.stdout.write(`co2|1|http|127.0.0.1:80|/${process.env.CO2_PLUGIN_TOKEN}`); setInterval(() => {}, 1000)');
  const kit = programOf(t, '', { record: { ...record, startTimeoutMs: 4_000 } });
  await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: /its first line did not come in 4000 ms/ });
  t.is(kit.log.matching(/its first line has no line end yet: 'co2\|1\|http\|127\.0\.0\.1:80\|\/\(hidden\)'/).length, 1);
});

test('the token of a program is never logged, whichever line contains it', async (t) => {
  const kit = programOf(t, 'tells-token');
  await kit.start();
  await kit.log.line(/^my token is \(hidden\)$/);
  await kit.log.line(/^http:\/\/plugin:\(hidden\)@127\.0\.0\.1:1\/RPC2$/);
  const wrong = programOf(t, '', {
    record: inline('console.log(`co2|1|http|127.0.0.1:80/${process.env.CO2_PLUGIN_TOKEN}`); setInterval(() => {}, 1000)'),
  });
  await t.throwsAsync(wrong.start(), {
    code: 'PLUGIN_REFUSED',
    message: /its handshake says that it listens at '127\.0\.0\.1:80\/\(hidden\)'; expected/,
  });
});

const FOREGROUND = /run it in the foreground \(many programs have an option for that: --foreground, --no-daemon, -n, -f, "daemon off"\)/;

test('the error for a program that forks and exits advises to stay in the foreground, whether or not its child stays in the group', async (t) => {
  for (const [source, reason] of [
    [
      "require('child_process').spawn('sleep', ['1000'], { stdio: 'inherit' }).once('spawn', () => process.exit(0))",
      /it ended with code 0 and left processes behind, which were ended; /,
    ],
    ['process.exit(0)', /it ended with code 0 before its first line; if it puts itself into the background, /],
  ] as const) {
    const kit = programOf(t, '', { record: inline(source), clock: new VirtualClock(), random: () => 0.5 });
    const { message } = await t.throwsAsync(kit.start());
    t.regex(message, reason);
    t.regex(message, FOREGROUND);
    t.is(kit.plugin.status.state.type, 'backoff');
    t.is(kit.log.matching(FOREGROUND).length, 1);
  }
});

test('a daemon in its own group that holds the output open is reported, with or without a handshake', async (t) => {
  const file = join(temporaryDir(t), 'pids');
  // Each start left a daemon behind.
  t.teardown(() => {
    for (const pid of readFileSync(file, 'utf8').trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
  });
  for (const first of ['', "console.log('co2|1|poll');"]) {
    const source = `${first} const child = require('child_process').spawn('sleep', ['1000'], { stdio: 'inherit', detached: true });
      child.once('spawn', () => { require('fs').appendFileSync(process.argv[1], child.pid + '\\n'); process.exit(0); })`;
    const { exec, args } = inline(source);
    const kit = programOf(t, '', { record: { exec, args: [...args, file] }, random: () => 0.999 });
    await t.throwsAsync(kit.start());
    t.regex(kit.plugin.status.lastError ?? '', FOREGROUND);
    t.regex((await kit.log.line(/still holds its output/)).text, FOREGROUND);
    await kit.plugin.stop();
  }
});

test('the output of a program that exits at once is logged, even if its first line is not a handshake', async (t) => {
  for (let times = 0; times < 3; times++) {
    const kit = programOf(t, '', {
      record: inline("process.stdout.write('no database'); process.exitCode = 3"),
      clock: new VirtualClock(),
    });
    await t.throwsAsync(kit.start());
    await kit.log.line(/no database/);
  }
  t.pass();
});
