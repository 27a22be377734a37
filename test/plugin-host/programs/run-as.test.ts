/** Programs that run as another user: with real users if the tests run as root; otherwise the start must fail and ask for root. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { programShape } from '../../../src/plugin-host/programs/options.ts';
import { identityOf } from '../../../src/plugin-host/programs/run-as.ts';
import { runCo2, startCo2 } from '../../support/processes.ts';
import { refuses } from '../../support/relay-error.ts';
import { pluginsDir, temporaryDir } from '../../support/relays.ts';
import { FIXTURE, programOf } from './kit.ts';

const isRoot = process.geteuid?.() === 0;

const passwd = (): string => 'root:x:0:0:root:/root:/bin/sh\nweather:x:601:602:,,,:/srv/weather:/bin/false\nroot2:x:0:0::/:/bin/sh\n';
const group = (): string => 'root:x:0:\nsensors:x:700:weather\n';
const asRoot = { euid: 0, passwd, group };

test('users and groups are found by name or number; the default group is that of the user', (t) => {
  const cases = [
    [{ user: 'weather' }, { uid: 601, gid: 602, home: '/srv/weather' }],
    [{ user: 601 }, { uid: 601, gid: 602, home: '/srv/weather' }],
    [{ user: '601' }, { uid: 601, gid: 602, home: '/srv/weather' }],
    [
      { user: 'weather', group: 'sensors' },
      { uid: 601, gid: 700, home: '/srv/weather' },
    ],
    [
      { user: 'weather', group: 4711 },
      { uid: 601, gid: 4711 },
    ],
    [
      { user: 4711, group: '700' },
      { uid: 4711, gid: 700, home: undefined },
    ],
  ] as const;
  for (const [record, identity] of cases) t.like(identityOf(record, asRoot), identity, JSON.stringify(record));
  t.is(identityOf({}, { ...asRoot, euid: 1000 }), undefined);
});

test('invalid users and groups are rejected with advice', (t) => {
  const cases = [
    [
      { user: 'weather' },
      'user',
      1000,
      /it is to run as user weather, and only root can run programs as other users: start the relay as root, or leave/,
    ],
    [{ user: 0, group: 0 }, 'user', undefined, /only root can run programs as other users/],
    [{ group: 'sensors' }, 'group', 0, /it has a group \(sensors\) and no user; set user as well/],
    [
      { user: 'nobody-here' },
      'user',
      0,
      /there is no user 'nobody-here' in \/etc\/passwd; if a directory service knows it, write its number/,
    ],
    [{ user: 'weather', group: 'nothing' }, 'group', 0, /there is no group 'nothing' in \/etc\/group/],
    [{ user: 4711 }, 'group', 0, /user 4711 is not in \/etc\/passwd, which would name its group; set group as well/],
  ] as const;
  for (const [record, option, euid, text] of cases) {
    const { message } = refuses(t, () => identityOf(record, { ...asRoot, euid }), 'CONFIG_INVALID', { option });
    t.regex(message, text);
  }
});

test('the configuration accepts a user as a name or a number', (t) => {
  const parsed = (user: unknown): boolean => programShape.safeParse({ name: 'ham', exec: './ham', user, group: user }).success;
  for (const user of ['nobody', '_www', 'a.b-c', 'DOM@user', 0, 65534, '65534']) t.true(parsed(user), String(user));
  for (const user of ['', ' ', 'a b', 'a:b', '-u', '../x', 'a\n', -1, 1.5, 2 ** 32 - 1, 2 ** 32, true, null])
    t.false(parsed(user), String(user));
});

/** Copies the program to a directory that every user can read. */
function openCopy(t: ExecutionContext): string {
  const directory = temporaryDir(t);
  chmodSync(directory, 0o755);
  const file = join(directory, 'program.mjs');
  copyFileSync(FIXTURE, file);
  chmodSync(file, 0o644);
  return file;
}

test('a program with its own user can neither read the admin token of its relay nor list its state directory', async (t) => {
  const file = openCopy(t);
  const cwd = pluginsDir(t, { 'secret.txt': 'mine' });
  chmodSync(cwd, 0o711);
  chmodSync(join(cwd, 'secret.txt'), 0o640);
  const reads = [join(cwd, '.co2', 'admin.token'), join(cwd, '.co2', 'host-id'), join(cwd, 'secret.txt'), file];
  const record = { name: 'ham', exec: process.execPath, args: [file, 'identity', ...reads], user: 'nobody' };
  writeFileSync(join(cwd, 'config.ts'), `export default ${JSON.stringify({ programs: [record] })};`);
  if (!isRoot) {
    for (const args of [
      ['config', 'check'],
      ['--port', '0'],
    ]) {
      const end = await runCo2(t, { args, cwd }).exit;
      t.not(end.code, 0);
      t.regex(
        end.stderr.join('\n'),
        /ham.*only root can run programs as other users: start the relay as root, or leave user and group out/,
      );
    }
    return;
  }
  t.is((await runCo2(t, { args: ['config', 'check'], cwd }).exit).code, 0);
  const relay = await startCo2(t, { cwd });
  const nobody = identityOf({ user: 'nobody' });
  const uid = String(nobody?.uid);
  const gid = String(nobody?.gid);
  t.not(uid, '0');
  t.deepEqual(
    { ...((await relay.call('ham.identity')) as object) },
    {
      ...{ uid, gid, groups: gid, home: nobody?.home ?? '', write: uid },
      read: 'EACCES,EACCES,EACCES,read',
      list: 'EACCES',
    },
  );
  const own = statSync(join(cwd, '.co2', 'programs', 'ham'));
  t.deepEqual([own.uid, own.gid, own.mode & 0o777], [Number(uid), Number(gid), 0o700]);
  t.is(statSync(join(cwd, '.co2')).mode & 0o777, 0o711, 'to pass through, not to list or write');
  t.true(readFileSync(join(cwd, '.co2', 'admin.token'), 'utf8').length > 10);
  t.is(
    await relay.call('plugin.restart', 'ham').then(
      () => true,
      () => false,
    ),
    false,
    'the token is needed for that',
  );
});

test('without a user option a program runs as the user of the relay', async (t) => {
  const kit = programOf(t, 'identity');
  await kit.start();
  const { uid } = (await kit.call('identity')) as { uid: string };
  t.is(uid, String(process.geteuid?.()));
});

test('a program runs with another group, given by number', async (t) => {
  const kit = programOf(t, 'identity', { record: { user: 4711, group: 4712, args: [openCopy(t), 'identity'] } });
  chmodSync(dirname(kit.stateDir), 0o711);
  if (!isRoot) {
    await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: /only root can run programs as other users/ });
    return;
  }
  await kit.start();
  t.like(await kit.call('identity'), { uid: '4711', gid: '4712', groups: '4712', home: '', write: '4711' });
  t.is(kit.plugin.status.state.type, 'ready');
});

test('the error for an inaccessible working directory or executable names the directory that blocks access', async (t) => {
  const closed = temporaryDir(t);
  mkdirSync(join(closed, 'below'));
  const script = join(closed, 'below', 'run.sh');
  writeFileSync(script, '#!/bin/sh\n');
  chmodSync(script, 0o755);
  const cases = [
    [
      { cwd: join(closed, 'below') },
      /its working directory \/.*\/below \(cwd\) is closed to user 4711: \/.* does not let it pass \(mode 700\); open that to it/,
    ],
    [{ cwd: '/', exec: script }, /user 4711 may not execute \/.*\/run\.sh: \/.* does not let it pass \(mode 700\)/],
    [{}, /its working directory \/.*\/state\/programs\/ham \(cwd\) is closed to user 4711: \/.* does not let it pass \(mode 700\)/],
  ] as const;
  for (const [record, message] of cases) {
    const kit = programOf(t, 'identity', { record: { user: 4711, group: 4711, ...record } });
    await t.throwsAsync(kit.start(), { code: 'PLUGIN_REFUSED', message: isRoot ? message : /only root can run programs as other users/ });
  }
});
