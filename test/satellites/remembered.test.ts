/** What is on disk: private, without tokens, whole after a crash, set aside when it is damaged. */
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import { StateFile } from '../../src/state/state.ts';
import { rejects } from '../support/relay-error.ts';
import { temporaryDir } from '../support/relays.ts';
import { makeKit } from './kit.ts';

test('registrations survive a restart, in order, with the same tokens; those that ended do not', async (t) => {
  const first = makeKit(t, { pingIntervalMs: 1000, maxPingFails: 1 });
  const one = await first.register({ port: 5000, nick: 'one', path: '/x' }, '192.0.2.7', 'a@192.0.2.7:5000');
  const left = await first.register({ port: 5001 });
  await first.register({ port: 5002 });
  await first.register({ port: 5003 }, '2001:db8::1');
  await first.satellites.unregister(first.satellites.byToken(left.token, '192.0.2.7')!);
  first.moods.set('http://192.0.2.7:5002/RPC2', 'down');
  first.clock.advance(1000);
  await first.seen.event('satellite.expired');
  await first.register({ port: 5004 });

  const second = makeKit(t, {}, first.stateDir);
  await second.start();
  t.deepEqual(
    second.satellites.list().map(({ address, port }) => `${address} ${port}`),
    ['192.0.2.7 5000', '2001:db8::1 5003', '192.0.2.7 5004'],
  );
  const { token: _token, ...record } = one;
  t.deepEqual(second.satellites.list()[0], record);
  t.truthy(second.satellites.byToken(one.token, '192.0.2.7'));
});

test('the answer is sent once the registration is on disk; the file is private and contains no token', async (t) => {
  const { register, stateDir } = makeKit(t);
  const { token } = await register({ port: 5000 });
  const file = join(stateDir, 'satellites.json');
  const text = readFileSync(file, 'utf8');
  t.true(text.includes('5000'));
  t.false(text.includes(token));
  t.is(statSync(file).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(stateDir), ['satellites.json']);
});

for (const [what, content] of [
  ['half a file', '{"version": 1, "satellites": [{"addr'],
  ['an empty file', ''],
  ['another shape', '{"version": 1, "satellites": [{"address": "192.0.2.7"}]}'],
  ['an address that is none', JSON.stringify({ version: 1, satellites: [{ ...kept(), address: 'evil.example' }] })],
  ['a path that leads elsewhere', JSON.stringify({ version: 1, satellites: [{ ...kept(), path: '@evil.example/' }] })],
  ['a newer version', JSON.stringify({ version: 2, satellites: [] })],
  ['a file without end', ' '.repeat(9 * 1024 * 1024)],
] as const) {
  test(`${what}: reported, set aside, and the start goes on`, async (t) => {
    const { stateDir, start, log, satellites, register } = makeKit(t);
    const file = join(stateDir, 'satellites.json');
    writeFileSync(file, content);
    await start();
    t.deepEqual(
      log.lines.all
        .filter(({ level }) => level === 'error')
        .map(({ text }) => /satellites\.json is damaged .* satellites must register again/.test(text)),
      [true],
    );
    t.is(satellites.list().length, 0);
    t.is(readFileSync(`${file}.damaged`, 'utf8'), content);
    t.false(existsSync(file));
    await register({ port: 5000 });
    t.true(existsSync(file));
  });
}

function kept() {
  const ctime = '2026-01-01T00:00:00.000Z';
  return { address: '192.0.2.7', port: 5000, path: '/RPC2', host_id: 'a@192.0.2.7:5000', nick: 'a', ctime, token: '0'.repeat(64) };
}

test('stored satellites at our own address, or over the limit, are dropped and logged', async (t) => {
  const { stateDir, start, log, satellites } = makeKit(t, { maxSatellites: 1 });
  const content = { version: 1, satellites: [{ ...kept(), port: 2004 }, kept(), { ...kept(), port: 5001 }] };
  writeFileSync(join(stateDir, 'satellites.json'), JSON.stringify(content));
  await start();
  t.deepEqual(
    satellites.list().map(({ port }) => port),
    [5000],
  );
  t.is(log.matching(/^dropped satellite /).length, 2);
});

test('a registration that cannot be saved is rejected, and the previous one stays', async (t) => {
  const { stateDir, register, satellites, closed } = makeKit(t);
  const before = await register({ port: 5000, nick: 'before' });
  // A directory where the file is to be written: no rename replaces it, whoever runs the test.
  mkdirSync(join(stateDir, 'satellites.json.new', 'x'), { recursive: true });
  for (const props of [{ port: 5000, nick: 'after' }, { port: 5001 }, { port: 5000, path: '/other' }]) {
    const error = await t.throwsAsync(register(props));
    t.true(RelayError.is(error) && error.code === 'UNAVAILABLE', String(error));
    t.false(error.message.includes(stateDir), 'no path of the machine leaves it');
  }
  t.deepEqual(
    satellites.list().map(({ nick, path }) => `${nick} ${path}`),
    ['before /RPC2'],
  );
  t.truthy(satellites.byToken(before.token, '192.0.2.7'));
  t.false(closed.includes('http://192.0.2.7:5000/RPC2'));
});

test('a state file keeps the last value of many that are saved at once, and leaves nothing beside it', async (t) => {
  const directory = temporaryDir(t);
  const file = new StateFile(join(directory, 'x.json'), 1000);
  t.deepEqual(await file.load(String), { kind: 'nothing' });
  let value = 0;
  const saves = Array.from({ length: 50 }, () => {
    value++;
    return file.save(() => value);
  });
  t.true(new Set(saves).size < 50, 'whoever waits for one write shares it');
  await Promise.all(saves);
  t.deepEqual(await file.load(Number), { kind: 'value', value: 50 });
  t.deepEqual(readdirSync(directory), ['x.json']);
});

test('a state file too large to be read again is not written, and the old value stays', async (t) => {
  const file = new StateFile(join(temporaryDir(t), 'x.json'), 100);
  await file.save(() => 'small');
  const save = (value: string): Promise<void> => file.save(() => value);
  const data = { reason: 'unwritable', path: file.path } as const;
  t.regex((await rejects(t, save('x'.repeat(200)), 'STATE_DIRECTORY', data)).message, /larger than 100 bytes/);
  // The limit counts bytes, not characters.
  await rejects(t, save('é'.repeat(60)), 'STATE_DIRECTORY', data);
  t.deepEqual(await file.load(String), { kind: 'value', value: 'small' });
  await t.notThrowsAsync(file.save(() => 'next'));
});

test('a state file that cannot be read stops the start', async (t) => {
  const { stateDir, start } = makeKit(t);
  mkdirSync(join(stateDir, 'satellites.json'));
  await rejects(t, start(), 'STATE_DIRECTORY', { reason: 'unreadable', path: join(stateDir, 'satellites.json') });
});
