/** The `co2` command as it starts: its one line on stdout, its flags, its configuration file. */
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { pluginsDir, temporaryDir } from '../support/relays.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import { noting } from './plugins.ts';

test.serial('the ready line is the only output on stdout at every log level', async (t) => {
  const relay = await startCo2(t, {
    args: ['start', '--port', '0', '--log-level', 'debug'],
    files: { 'plugins/ham/spam.ts': noting('spam') },
  });
  t.is(await relay.call('ham.spam.who'), 'spam');
  relay.kill('SIGTERM');
  const { stdout, stderr, code } = await relay.exit;
  t.is(code, 0);
  t.deepEqual(stdout, [`co2-relay ${relay.version} listening on ${relay.url} as ${relay.hostId}`]);
  t.regex(relay.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
  t.regex(relay.hostId, new RegExp(`^[0-9a-f]{16}@127\\.0\\.0\\.1:${relay.port}$`));
  t.true(stderr.some((line) => line.includes(' DEBUG ')));
});

test.serial('the relay answers calls after the ready line', async (t) => {
  const relay = await startCo2(t);
  t.true(await relay.call('ping'));
});

test.serial('--host sets the address, which becomes part of host_id', async (t) => {
  const relay = await startCo2(t, { args: ['--host', '127.0.0.2'] });
  t.is(relay.url, `http://127.0.0.2:${relay.port}`);
  t.true(relay.hostId.endsWith(`@127.0.0.2:${relay.port}`));
  t.true(await relay.call('ping'));
});

test.serial('--port sets the port', async (t) => {
  const holder = createServer().listen(0, '127.0.0.3');
  await once(holder, 'listening');
  const { port } = holder.address() as { port: number };
  await new Promise((resolve) => holder.close(resolve));
  const relay = await startCo2(t, { args: ['--host', '127.0.0.3', '--port', String(port)] });
  t.is(relay.url, `http://127.0.0.3:${port}`);
});

test.serial('--plugins sets the plugins directory to any path', async (t) => {
  const elsewhere = pluginsDir(t, { 'ham/spam.ts': noting('elsewhere') });
  const relay = await startCo2(t, { args: ['--plugins', elsewhere], files: { 'plugins/ham/eggs.ts': noting('eggs') } });
  t.is(await relay.call('ham.spam.who'), 'elsewhere');
  t.false(((await relay.call('co2.get_method_names')) as string[]).includes('ham.eggs.who'));
});

test.serial('--data creates a private directory, and nothing is written outside it', async (t) => {
  const relay = await startCo2(t, { args: ['--data', 'deep/down'] });
  t.is(statSync(join(relay.cwd, 'deep/down')).mode & 0o777, 0o700);
  t.true(existsSync(join(relay.cwd, 'deep/down/admin.token')));
  t.false(existsSync(join(relay.cwd, '.co2')));
});

test.serial('config.ts of the working directory is read, and flags override it', async (t) => {
  const files = {
    'config.ts': `import { defineConfig } from 'co2-relay/config';\nexport default defineConfig({ host: '127.0.0.4', maintainer: 'ann' });\n`,
  };
  const byFile = await startCo2(t, { files });
  t.true(byFile.url.startsWith('http://127.0.0.4:'));
  t.like(await byFile.call('system.get_properties'), { maintainer: 'ann', host: '127.0.0.4' });
  const byFlag = await startCo2(t, { files, args: ['--host', '127.0.0.5'] });
  t.true(byFlag.url.startsWith('http://127.0.0.5:'));
  t.like(await byFlag.call('system.get_properties'), { maintainer: 'ann' });
});

test.serial('paths in the file of --config are relative to it', async (t) => {
  const files = {
    'etc/relay.ts': `export default { pluginsDir: 'drop', dataDir: 'state', log: { file: 'relay.log' } };\n`,
    'etc/drop/ham/spam.ts': noting('beside the file'),
  };
  const relay = await startCo2(t, { files, args: ['--config', 'etc/relay.ts'] });
  t.is(await relay.call('ham.spam.who'), 'beside the file');
  t.true(existsSync(join(relay.cwd, 'etc/state/host-id')));
  t.true(existsSync(join(relay.cwd, 'etc/relay.log')));
  t.false(existsSync(join(relay.cwd, 'etc/state/cache/state')));
});

test.serial('--peer may be repeated', async (t) => {
  const [one, other] = [await scriptedPeer(t), await scriptedPeer(t)];
  const relay = await startCo2(t, { args: ['--peer', one.url, '--peer', other.url] });
  await relay.call('notify', { data: 'to both' });
  for (const peer of [one, other]) {
    const [dict] = await peer.notified.first(1);
    t.is(dict?.data, 'to both');
  }
});

test.serial('--help and start --help show every flag', async (t) => {
  for (const args of [['--help'], ['start', '--help']]) {
    const { code, stdout, stderr } = await runCo2(t, { args }).exit;
    t.is(code, 0);
    t.deepEqual(stderr, []);
    for (const flag of ['--port', '--host', '--plugins', '--data', '--config', '--peer', '--help']) {
      t.true(
        stdout.some((line) =>
          line
            .trimStart()
            .replace(/^-\w, /, '')
            .startsWith(flag),
        ),
        `${args.join(' ')}: ${flag}`,
      );
    }
  }
});

test.serial('--version prints the version of the package and starts nothing', async (t) => {
  const cwd = temporaryDir(t);
  const { code, stdout, stderr } = await runCo2(t, { args: ['--version'], cwd }).exit;
  t.deepEqual({ code, stderr }, { code: 0, stderr: [] });
  t.is(stdout.length, 1);
  t.regex(stdout[0]!, /^\d+\.\d+\.\d+$/);
  t.false(existsSync(join(cwd, '.co2')));
});
