/** A disk that is full: told in one line, at the start and while the relay runs, and nothing is lost. */
import test from 'ava';
import { join } from 'node:path';
import { PROJECT_DIR, run } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';
import { XmlRpcClient } from '../../src/xmlrpc/xmlrpc.ts';

const CO2 = join(PROJECT_DIR, 'bin', 'co2.mjs');

/** The command with its state directory on a disk of `size`, in a mount namespace of its own. */
function startOnDisk(t: Parameters<typeof run>[0], size: string, before = ':') {
  const disk = temporaryDir(t);
  const script = `mount -t tmpfs -o size=${size} tmpfs "$1" && ${before} && exec "$2" "$3" --port 0 --data "$1/state"`;
  return run(t, 'unshare', ['-r', '-m', 'sh', '-c', script, 'sh', disk, process.execPath, CO2], { cwd: temporaryDir(t) });
}

test('a state directory on a full disk: one line that says so, exit code 1, nothing on stdout', async (t) => {
  const { code, stdout, stderr } = await startOnDisk(t, '4k').exit;
  t.is(code, 1);
  t.deepEqual(stdout, []);
  t.is(stderr.length, 1);
  t.regex(stderr[0] ?? '', /^co2: the state directory .* cannot be used: the disk is full; choose another with --data$/);
});

test('a disk that is full while the relay runs: a registration is refused before it is acknowledged, and everything else goes on', async (t) => {
  // Room for the name and the token, a page each, and none for the satellites.
  const relay = startOnDisk(t, '8k');
  const ready = await relay.stdout.line(/listening on/);
  const client = new XmlRpcClient(new URL(/listening on (\S+)/.exec(ready)?.[1] ?? ''));
  t.teardown(() => client.close());
  const error = await t.throwsAsync(client.call('relay.register', [{ port: 9, nick: 'ann' }]));
  t.like(error, { code: 503 });
  t.regex(error.message, /cannot be kept on disk, the log says why/);
  await relay.stderr.line(/satellites .*(the disk is full|ENOSPC)/);
  t.is(await client.call('relay.get_num_satellites'), 0);
  t.is(await client.call('notify', [{ data: 1 }]), true);
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
});
