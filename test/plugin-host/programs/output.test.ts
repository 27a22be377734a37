/** The output of programs: split into lines, rate limited, and read at a pace that keeps the relay responsive. */
import test from 'ava';
import { LineCutter, LineLimit, OutputPace } from '../../../src/plugin-host/programs/output.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { programOf } from './kit.ts';

test('lines above a hundred per second are counted however the output is split, and the next second begins with a whole line', (t) => {
  const text = Buffer.from(Array.from({ length: 400 }, (_, n) => `line ${n}\n`).join(''));
  for (const size of [1, 7, 1_000, text.length]) {
    const clock = new VirtualClock();
    const told: string[] = [];
    const limit = new LineLimit(clock, (line) => told.push(line));
    const cutter = new LineCutter(limit, clock);
    for (let from = 0; from < text.length; from += size) cutter.push(text.subarray(from, from + size));
    t.is(told.length, 100, `pieces of ${size}`);
    t.is(told[99], 'line 99');
    cutter.push(Buffer.from('half a '));
    clock.advance(1_000);
    cutter.push(Buffer.from('line\n'));
    t.deepEqual(told.slice(100), ['… and 300 more lines (of 100 a second the log takes)', 'half a line']);
  }
});

test('text without a line end is logged after 2 s of silence, and later text is a separate line', (t) => {
  const clock = new VirtualClock();
  const told: string[] = [];
  const cutter = new LineCutter(new LineLimit(clock, (line) => told.push(line)), clock);
  cutter.push(Buffer.from('Password: '));
  clock.advance(1_999);
  t.deepEqual(told, []);
  clock.advance(1);
  t.deepEqual(told.splice(0), ['Password: ']);
  cutter.push(Buffer.from('wrong\nagain: '));
  t.deepEqual(told.splice(0), ['wrong']);
  clock.advance(1_500);
  cutter.push(Buffer.from('still '));
  clock.advance(1_999);
  t.deepEqual(told, [], 'each piece begins the silence again');
  clock.advance(1);
  t.deepEqual(told.splice(0), ['again: still ']);
  cutter.push(Buffer.from('\n'));
  clock.advance(60_000);
  t.deepEqual(told, [], 'the end of a line that was shown is no line');
  t.is(clock.pending, 0);
});

test('a growing row of dots is logged every 10 s, and a complete line is logged at once', (t) => {
  const clock = new VirtualClock();
  const told: string[] = [];
  const cutter = new LineCutter(new LineLimit(clock, (line) => told.push(line)), clock);
  for (let second = 0; second < 25; second++) {
    cutter.push(Buffer.from('.'));
    clock.advance(1_000);
  }
  t.deepEqual(told, ['.'.repeat(10), '.'.repeat(10)]);
  cutter.push(Buffer.from('\n'));
  t.is(told.at(-1), '.'.repeat(5));
  t.is(clock.pending, 0);
  cutter.push(Buffer.from('half'));
  cutter.end();
  t.is(told.at(-1), 'half');
  t.is(clock.pending, 0);
});

test('outputs are read up to 8 MiB per second, and reading resumes in the next second', (t) => {
  const clock = new VirtualClock();
  const told: string[] = [];
  const pace = new OutputPace(clock, { pause: () => told.push('pause'), resume: () => told.push('resume') });
  const piece = 64 * 1024;
  for (let read = piece; read < 8 * 1024 * 1024; read += piece) pace.took(piece);
  clock.advance(400);
  t.deepEqual(told, []);
  pace.took(piece);
  pace.took(piece);
  t.deepEqual(told, ['pause']);
  clock.advance(599);
  t.deepEqual(told, ['pause']);
  clock.advance(1);
  t.deepEqual(told, ['pause', 'resume']);
  pace.took(piece);
  t.deepEqual(told, ['pause', 'resume']);
  pace.took(8 * 1024 * 1024);
  pace.end();
  t.is(clock.pending, 0, 'nothing is waited for at its end');
});

test('endless output is read at the limited rate, and the program can be called meanwhile', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'floods-for-ever', { clock });
  await kit.start();
  for (let call = 0; call < 300; call++) t.is(await kit.call('echo', 'here'), 'here');
  await kit.plugin.stop();
  clock.advance(1_000);
  const { text } = await kit.log.line(/more lines/);
  const lines = Number(/\d+/.exec(text)?.[0]);
  // The last piece may exceed the limit, and a paused stream reads one piece ahead.
  t.true(lines <= (8 * 1024 * 1024 + 2 * 64 * 1024) / 2, `${lines} lines were read`);
});
