/** The kept log lines of plugins: numbered, bounded, and without secrets. */
import test from 'ava';
import { PluginLogs } from '../../src/plugin-host/plugin-host.ts';
import { LogRecord } from '../support/log-record.ts';

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

test('likely secrets are hidden from readers of the log', (t) => {
  const logs = new PluginLogs(new LogRecord().source, ['hunter2hunter2'], () => 0);
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
