/** A program as a plugin: start, calls, message delivery, stop. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { messageOf } from '../kit.ts';
import { isAlive, programOf } from './kit.ts';

function dataMessage(text: string) {
  return messageOf(text, { source: `<struct><member><name>data</name><value><string>${text}</string></value></member></struct>` });
}

test('a program is started, its methods are called, messages arrive in order, and it is stopped', async (t) => {
  const kit = programOf(t, 'good');
  await kit.start();
  t.is(kit.plugin.status.state.type, 'ready');
  t.is(kit.plugin.status.version, '1.2.3');
  t.is(await kit.call('echo', 'hello'), 'hello');
  const [echo] = kit.plugin.methods;
  t.like(echo, { name: 'ham.echo', help: 'Does echo.', access: 'call' });
  t.deepEqual(echo?.signature, [['string', 'string']]);
  for (const word of ['one', 'two', 'three']) kit.deliver(dataMessage(word));
  await kit.seen.event('inbox.delivered', { satellite: 'ham' }, 3);
  t.deepEqual(await kit.call('heard'), ['one', 'two', 'three']);
  const { pid = 0 } = kit.plugin.status;
  await kit.plugin.stop();
  t.is(kit.plugin.status.state.type, 'stopped');
  t.false(isAlive(pid));
  await t.throwsAsync(kit.call('echo', 'x'), { code: 'NO_SUCH_METHOD' });
});

test('a program gets a clean environment and its own directory, and its files are private', async (t) => {
  const kit = programOf(t, 'good', { record: { env: { COLOUR: 'red' } } });
  await kit.start();
  const { cwd, umask, names } = (await kit.call('environment')) as { cwd: string; umask: string; names: string[] };
  t.is(cwd, join(kit.stateDir, 'programs', 'ham'));
  t.is(statSync(cwd).mode & 0o777, 0o700);
  t.is(umask, '77');
  const ours = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR'].filter((name) => process.env[name] !== undefined);
  t.deepEqual(names, ['CO2_PLUGIN_NAME', 'CO2_PLUGIN_TOKEN', 'CO2_PROTOCOL_VERSIONS', 'CO2_RELAY_URL', 'COLOUR', ...ours].sort());
});

test('a fault of a method reaches the caller unchanged', async (t) => {
  const kit = programOf(t, 'good');
  await kit.start();
  await t.throwsAsync(kit.call('fail'), { message: 'on purpose', code: 42 } as never);
});

test('an answer may be as large as the configured body limit, but not larger', async (t) => {
  const text = 'x'.repeat(9 * 1024 * 1024);
  const wide = programOf(t, 'good', { maxBodyBytes: 10 * 1024 * 1024 });
  await wide.start();
  t.is(await wide.call('echo', text), text);
  const narrow = programOf(t, 'good', { maxBodyBytes: 10_000 });
  await narrow.start();
  await t.throwsAsync(narrow.call('echo', text), { code: 'TRANSPORT', message: /its response is larger than 10000 bytes/ });
});

test('a crash is detected, callers get the state as the error, and the program is restarted', async (t) => {
  const kit = programOf(t, 'good');
  await kit.start();
  await t.throwsAsync(kit.call('die'), { code: 'TRANSPORT' } as never);
  await kit.until('ready', 2);
  t.like(kit.plugin.status, { restarts: 1, lastError: 'it ended with code 3' });
  t.is(await kit.call('echo', 'again'), 'again');
});
