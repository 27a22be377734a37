/** What plugins did and said lately: numbered, bounded, awaited, and without secrets. */
import test from 'ava';
import { PluginEvents, PluginLogs } from '../../src/plugin-host/plugin-host.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

// The date; numbers begin after it.
const BASE = 86_400_000;

const eventsOf = () => {
  const clock = new VirtualClock();
  const events = new PluginEvents(clock, () => BASE);
  const happen = (plugin: string, type: 'ready' | 'stopped' = 'ready'): void => {
    events.add({ type: 'plugin-state', plugin, state: { type } });
  };
  return { clock, events, happen };
};

test('who asks gets what came since; who is up to date waits for the next, or for the end of the wait', async (t) => {
  const { clock, events, happen } = eventsOf();
  happen('ham');
  happen('eggs', 'stopped');
  const all = await events.after(0, 1_000);
  t.deepEqual(all, {
    events: [
      { number: BASE + 1, at: new Date(BASE), plugin: 'ham', state: { type: 'ready' } },
      { number: BASE + 2, at: new Date(BASE), plugin: 'eggs', state: { type: 'stopped' } },
    ],
    next: BASE + 2,
    missed: false,
  });
  const waits = events.after(BASE + 2, 1_000);
  happen('ham', 'stopped');
  t.deepEqual(
    (await waits).events.map(({ number, plugin }) => [number, plugin]),
    [[BASE + 3, 'ham']],
  );
  const inVain = events.after(BASE + 3, 1_000);
  clock.advance(1_000);
  t.deepEqual(await inVain, { events: [], next: BASE + 3, missed: false });
  t.deepEqual(await events.after(BASE + 3, 0), { events: [], next: BASE + 3, missed: false });
  t.is(clock.pending, 0);
});

test('what is lost is told: too many events, or a number of a relay that ran before', async (t) => {
  const { events, happen } = eventsOf();
  t.deepEqual(await events.after(7, 1_000), { events: [], next: BASE, missed: true });
  for (let n = 0; n < 1_010; n++) happen(`p${n}`);
  const batch = await events.after(BASE + 5, 0);
  t.deepEqual([batch.events.length, batch.events[0]?.number, batch.next, batch.missed], [1_000, BASE + 11, BASE + 1_010, true]);
  t.false((await events.after(BASE + 10, 0)).missed);
});

test('a relay that started anew is noticed however many events it has counted since', async (t) => {
  const before = new PluginEvents(new VirtualClock(), () => 1_792_000_000_000);
  const after = new PluginEvents(new VirtualClock(), () => 1_792_000_002_500);
  const event = { type: 'plugin-state', plugin: 'ham', state: { type: 'ready' } } as const;
  for (let count = 0; count < 50; count++) before.add(event);
  const { next, missed } = await before.after(0, 0);
  t.false(missed);
  for (let count = 0; count < 100; count++) after.add(event);
  const batch = await after.after(next, 60_000);
  t.deepEqual([batch.events.length, batch.missed], [100, true]);
  t.false((await after.after(batch.next, 0)).missed);
});

test('a hundred may wait, not more; a stop answers them all', async (t) => {
  const { clock, events } = eventsOf();
  const waiting = Array.from({ length: 100 }, () => events.after(0, 60_000));
  await t.throwsAsync(events.after(0, 60_000), { message: /^100 callers wait/ });
  events.stop();
  t.is((await Promise.all(waiting)).length, 100);
  t.is(clock.pending, 0);
  t.deepEqual((await events.after(0, 60_000)).events, [], 'nobody waits after the end');
});

test('the last lines of each plugin are kept, and no more than that', (t) => {
  const record = new LogRecord();
  const logs = new PluginLogs(record.source, ['hunter2hunter2'], () => 0);
  const ham = logs.source('plugin.ham.spam');
  logs.source('plugin.eggs').warn('other');
  logs.source('relay').info('no plugin');
  ham.info('one %s', 'two');
  ham.error('a\nb\u001b[31m');
  t.deepEqual(
    logs.lines('ham.spam', 10).map(({ number, level, text }) => [number, level, text]),
    [
      [1, 'info', 'one two'],
      [2, 'error', 'a | b�[31m'],
    ],
  );
  t.deepEqual(
    logs.lines('ham.spam', 1).map(({ number }) => number),
    [2],
  );
  t.deepEqual(logs.lines('ham.spam', 10, 2), []);
  t.is(logs.lines('ham.spam', 10, 900).length, 2, 'a number of a relay that ran before');
  t.deepEqual(logs.lines('relay', 10), []);
  t.deepEqual(logs.lines('ham.spam', 0), []);
  t.is(record.lines.all.length, 4, 'the log itself has them all');
  for (let n = 0; n < 600; n++) ham.info(`line ${n}`);
  t.is(logs.lines('ham.spam', 1_000).length, 500);
  for (let n = 0; n < 100; n++) ham.info('x'.repeat(10_000));
  const kept = logs.lines('ham.spam', 1_000).map(({ text }) => text.length);
  t.true(kept.reduce((sum, length) => sum + length, 0) <= 64 * 1024 && kept.length > 30);
});

test('what looks like a secret is hidden where lines are asked for', (t) => {
  const logs = new PluginLogs(new LogRecord().source, ['hunter2hunter2'], () => 0);
  const log = logs.source('plugin.ham');
  const said = [
    'the token is hunter2hunter2.',
    'connect http://plugin:s3cr3t-of-mine@127.0.0.1:2004/RPC2',
    'Authorization: Bearer abcdefgh12345678',
    'CO2_PLUGIN_TOKEN=abcdef123456 PATH=/bin',
    '{"password": "swordfish", "user": "ann"}',
    'nothing to hide: tokens are nice',
  ];
  for (const text of said) log.info(text);
  t.deepEqual(
    logs.lines('ham', 10).map(({ text }) => text),
    [
      'the token is (hidden).',
      'connect http://plugin:(hidden)@127.0.0.1:2004/RPC2',
      'Authorization: Bearer (hidden)',
      'CO2_PLUGIN_TOKEN=(hidden) PATH=/bin',
      '{"password": "(hidden)", "user": "ann"}',
      'nothing to hide: tokens are nice',
    ],
  );
});
