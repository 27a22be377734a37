/** The kept log lines of the relay and its plugins: numbered, bounded, and without secrets. */
import test from 'ava';
import { RecentLogs } from '../../src/core/core.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

test('the last lines of each plugin are kept, and no more than that', (t) => {
  const record = new LogRecord();
  const logs = new RecentLogs(record.source, ['hunter2hunter2'], () => 0, new VirtualClock());
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

test('likely secrets are hidden from readers of the log', (t) => {
  const logs = new RecentLogs(new LogRecord().source, ['hunter2hunter2'], () => 0, new VirtualClock());
  const log = logs.source('plugin.ham');
  const said = [
    'the token is hunter2hunter2.',
    'connect http://plugin:s3cr3t-of-mine@127.0.0.1:2004/RPC2',
    'http://ann:with:colons@host/',
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
      'http://ann:(hidden)@host/',
      'Authorization: Bearer (hidden)',
      'CO2_PLUGIN_TOKEN=(hidden) PATH=/bin',
      '{"password": "(hidden)", "user": "ann"}',
      'nothing to hide: tokens are nice',
    ],
  );
});

test('all lines are kept together but those of the access log, and a reader may wait for the next one', async (t) => {
  const clock = new VirtualClock();
  const logs = new RecentLogs(new LogRecord().source, ['hunter2hunter2'], () => 0, clock);
  logs.source('plugin.ham').info('of a plugin');
  logs.source('mesh').warn('of the relay: hunter2hunter2');
  logs.source('access').info('GET /');
  const seen = async (query: Partial<Parameters<RecentLogs['recent']>[0]> = {}): Promise<readonly string[]> =>
    (await logs.recent({ count: 10, waitMs: 0, ...query })).map(({ number, category, text }) => `${number} ${category} ${text}`);
  t.deepEqual(await seen(), ['1 plugin.ham of a plugin', '2 mesh of the relay: (hidden)']);
  t.deepEqual(await seen({ since: 2 }), []);
  const next = seen({ since: 2, waitMs: 1_000 });
  logs.source('relay').error('more');
  t.deepEqual(await next, ['3 relay more']);
  const none = seen({ since: 3, waitMs: 1_000 });
  clock.advance(1_000);
  t.deepEqual(await none, []);
  const gone = new AbortController();
  const left = seen({ since: 3, waitMs: 1_000, gone: gone.signal });
  gone.abort();
  t.deepEqual(await left, []);
  const many = Array.from({ length: 20 }, () => seen({ since: 3, waitMs: 1_000 }));
  await t.throwsAsync(seen({ since: 3, waitMs: 1_000 }), { code: 'LIMIT' });
  logs.close();
  t.deepEqual((await Promise.all(many)).flat(), []);
  t.is(clock.pending, 0);
});
