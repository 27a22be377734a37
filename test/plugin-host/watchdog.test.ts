/** The watchdog names the plugin that blocks the event loop, and no other. */
import test from 'ava';
import { Watchdog } from '../../src/plugin-host/modules/watchdog.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { messageOf, satelliteSource, started } from './kit.ts';

function kit() {
  const clock = new VirtualClock();
  const log = new LogRecord();
  let cpu = 0;
  const dog = new Watchdog({ limitMs: 250, clock, logs: log.source, cpuMs: () => cpu });
  /** Computes so long, as far as the clocks can tell. */
  const compute = (ms: number): void => {
    cpu += ms;
    late(ms);
  };
  /** The loop does not turn for so long. */
  const late = (ms: number): void => {
    clock.advanceHeld(ms);
  };
  return { clock, log, dog, compute, late, ham: dog.of('ham.spam'), eggs: dog.of('eggs.bacon') };
}

test('a call that blocks the event loop is logged with plugin and time once a second, and counted each time', (t) => {
  const { clock, dog, log, compute, ham, eggs } = kit();
  dog.run(ham, 'receive', () => {
    compute(250);
  });
  t.is(ham.held, 0, 'the limit itself is allowed');
  for (let n = 0; n < 3; n++) dog.run(ham, 'receive', () => compute(300));
  dog.run(eggs, 'eggs.bacon.fry', () => compute(400));
  t.deepEqual([ham.held, eggs.held], [3, 1]);
  t.deepEqual(
    log.lines.all.map(({ category, text }) => `${category}: ${text.replace(/,.*/, '')}`),
    [
      'plugin.ham.spam: ham.spam blocked the event loop for 300 ms in receive',
      'plugin.eggs.bacon: eggs.bacon blocked the event loop for 400 ms in eggs.bacon.fry',
    ],
  );
  clock.advance(1_000);
  const thrown = new Error('no');
  const failing = (): unknown =>
    dog.run(ham, 'setup', () => {
      compute(300);
      throw thrown;
    });
  t.is(t.throws(failing), thrown);
  t.regex(log.lines.all.at(-1)!.text, /300 ms in setup.*\(and 2 more/);
});

test('a plugin that calls one that blocks the event loop is not blamed', (t) => {
  const { dog, compute, ham, eggs } = kit();
  dog.run(ham, 'receive', () => {
    compute(100);
    dog.run(eggs, 'eggs.bacon.fry', () => compute(300));
    dog.run(eggs, 'eggs.bacon.fry', () => compute(200));
    compute(100);
  });
  t.deepEqual([ham.held, eggs.held], [0, 1]);
});

test('a block after an await is attributed to the only active plugin; of several all are named and none is blamed', (t) => {
  const { clock, dog, log, compute, late, ham, eggs } = kit();
  dog.begin(ham);
  clock.advance(1_000);
  t.is(log.lines.all.length, 0);
  compute(400);
  clock.advance(0);
  t.is(ham.held, 1);
  t.regex(log.lines.all[0]!.text, /^ham\.spam blocked the event loop for 3[0-9][0-9] ms in something after an await/);
  late(5_000);
  clock.advance(0);
  t.is(ham.held, 1, 'the machine was busy, or asleep');
  dog.run(eggs, 'receive', () => compute(300));
  clock.advance(0);
  t.deepEqual([ham.held, eggs.held], [1, 1], 'it is known who that was');
  dog.begin(eggs);
  clock.advance(60);
  compute(400);
  dog.end(eggs);
  clock.advance(0);
  t.deepEqual([ham.held, eggs.held], [1, 1]);
  t.regex(log.lines.all.at(-1)!.text, /one of these plugins: ham\.spam, eggs\.bacon/);
  dog.end(ham);
  clock.advance(60);
  t.is(clock.pending, 0, 'the heart beats only while somebody is at work');
});

test('a satellite that computes is named in the log and counted in the status, the one beside it is not', async (t) => {
  const spins = `const end = performance.now() + 300; while (performance.now() < end);`;
  const files = {
    'ham/busy.ts': satelliteSource('Busy', `  receive() { ${spins} }\n  @Exposed() spin() { ${spins} }`),
    'ham/calm.ts': satelliteSource('Calm', '  receive() { void this.send({ data: 1 }); }'),
  };
  const real = { now: () => performance.now(), after: () => () => undefined };
  const { host, lines, call, seen, sent } = await started(t, files, {}, real);
  host.deliver(messageOf(1));
  await sent.until(() => true);
  await seen.event('inbox.delivered', { satellite: 'ham.busy.Busy' });
  t.true(lines.all.some((line) => /^warn plugin\.ham\.busy: ham\.busy blocked the event loop for \d+ ms in receive/.test(line)));
  await call('ham.busy.spin');
  t.deepEqual(
    host.status().plugins.map(({ name, held }) => [name, held]),
    [
      ['ham.busy', 2],
      ['ham.calm', 0],
    ],
  );
});

test('a watchdog without a limit sets no timer', (t) => {
  const timers: number[] = [];
  const after = (ms: number): (() => void) => {
    timers.push(ms);
    return () => undefined;
  };
  const dog = new Watchdog({ limitMs: Infinity, clock: { now: () => 0, after }, logs: new LogRecord().source });
  dog.begin(dog.of('ham.spam'));
  t.deepEqual(timers, []);
});
