/** A full disk is reported in one line, at the start and while the relay runs, and nothing that was acknowledged is lost. */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run } from '../support/processes.ts';
import type { Program } from '../support/processes.ts';
import { pluginsDir, temporaryDir } from '../support/relays.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';

const CO2 = join(PROJECT_DIR, 'bin', 'co2.mjs');

interface OnDisk extends Program {
  /** The disk, as this process sees it. */
  readonly disk: string;
}

interface DiskOptions {
  /** A shell command that runs between the mount and the start; `$1` is the disk. */
  readonly before?: string;
  /** The files in its working directory. */
  readonly files?: Readonly<Record<string, string>>;
  readonly data?: string;
}

/** Runs the command with its state directory on a disk of `size`, in a mount namespace of its own. */
function startOnDisk(t: ExecutionContext, size: string, { before = ':', files = {}, data = '$1/state' }: DiskOptions = {}): OnDisk {
  const disk = temporaryDir(t);
  const script = `mount -t tmpfs -o size=${size} tmpfs "$1" && ${before} && exec "$2" "$3" --port 0 --data "${data}"`;
  const args = ['-r', '-m', 'sh', '-c', script, 'sh', disk, process.execPath, CO2];
  const program = run(t, 'unshare', args, { cwd: pluginsDir(t, files), env: { DISK: disk } });
  return { ...program, disk: `/proc/${program.pid}/root${disk}` };
}

async function clientOf(t: ExecutionContext, relay: Program): Promise<XmlRpcClient> {
  const ready = await relay.stdout.line(/listening on/);
  const client = new XmlRpcClient(new URL(/listening on (\S+)/.exec(ready)?.[1] ?? ''));
  t.teardown(() => client.close());
  return client;
}

/** Fills a disk to the last byte; the returned function frees the space. */
function fill(disk: string): () => void {
  const filler = join(disk, 'filler');
  const file = openSync(filler, 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(512));
  } catch {
    // The disk is full.
  }
  closeSync(file);
  return () => {
    rmSync(filler);
  };
}

test('a state directory on a full disk: one line that says so, exit code 1, nothing on stdout', async (t) => {
  const { code, stdout, stderr } = await startOnDisk(t, '4k').exit;
  t.is(code, 1);
  t.deepEqual(stdout, []);
  t.is(stderr.length, 1);
  t.regex(stderr[0] ?? '', /^co2: the state directory .* cannot be used: the disk is full; choose another with --data$/);
});

test('a disk that fills up while the relay runs: a registration is rejected before it is acknowledged, and everything else continues', async (t) => {
  // Room for the name, the token, the key and the number of the start, a page each, but not for the satellites.
  const relay = startOnDisk(t, '16k');
  const client = await clientOf(t, relay);
  const error = await t.throwsAsync(client.call('relay.register', [{ port: 9, nick: 'ann' }]));
  t.like(error, { code: 503 });
  t.regex(error.message, /cannot be saved \(see the log\)/);
  await relay.stderr.line(/satellites .*(the disk is full|ENOSPC)/);
  t.is(await client.call('relay.get_num_satellites'), 0);
  t.is(await client.call('notify', [{ data: 1 }]), true);
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
});

test('a satellite that unregisters while the disk is full gets an error and stays registered until there is room', async (t) => {
  const relay = startOnDisk(t, '1m');
  const client = await clientOf(t, relay);
  const registered = (await client.call('relay.register', [{ port: 9, nick: 'ann' }])) as { token: string };
  const makeRoom = fill(relay.disk);
  const error = await t.throwsAsync(client.call('relay.unregister', [{ token: registered.token }]));
  t.like(error, { code: 503 });
  t.regex(error.message, /still registered/);
  t.is(await client.call('relay.get_num_satellites'), 1);
  makeRoom();
  await client.call('relay.unregister', [{ token: registered.token }]);
  t.is(await client.call('relay.get_num_satellites'), 0);
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
});

const TALKER = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Talker extends Plugin {
  @Exposed({ params: ['int', 'int'] })
  talk(from: number, to: number) { for (let n = from; n < to; n++) this.log('line ' + n + ' ' + 'x'.repeat(90)); }
}
`;

test('a log file on a full disk: the relay says so on its console, and the file gets every line once there is room', async (t) => {
  const files = {
    'plugins/ham/talker.ts': TALKER,
    'config.ts': `export default { log: { file: process.env.DISK + '/relay.log', accessFile: process.env.DISK + '/access.log' } };`,
  };
  const relay = startOnDisk(t, '1m', { files, data: '.co2' });
  const client = await clientOf(t, relay);
  const makeRoom = fill(relay.disk);
  await client.call('ham.talker.talk', [0, 500]);
  await relay.stderr.lines(/ERROR app log\.(file|accessFile): cannot write \S+ \(the disk is full\)/, 1);
  await client.call('ham.talker.talk', [500, 1000]);
  makeRoom();
  await relay.stderr.line(/INFO app log\.file: \S+relay\.log is written again/);
  await client.call('ham.talker.talk', [1000, 1010]);
  // The disk is unmounted with the process, but open files stay readable.
  const [log, access] = [openSync(join(relay.disk, 'relay.log'), 'r'), openSync(join(relay.disk, 'access.log'), 'r')];
  relay.kill('SIGTERM');
  const { code, stderr } = await relay.exit;
  t.is(code, 0);
  const read = readFileSync(log, 'utf8').trim().split('\n');
  const numbers = read.flatMap((line) => /^\S+ INFO plugin\.ham\.talker line (\d+) x{90}$/.exec(line)?.[1] ?? []).map(Number);
  t.deepEqual(
    numbers,
    Array.from({ length: 1010 }, (_, n) => n),
  );
  t.deepEqual(read, [...stderr]);
  t.is(readFileSync(access, 'utf8').trim().split('\n').length, 3);
  closeSync(log);
  closeSync(access);
});

test('a read-only state directory with the lock of a killed relay: one line that says so', async (t) => {
  // A socket file without a listener, as a killed relay leaves it.
  const leaveLock = `python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$1/state/relay.lock"`;
  const first = `"$2" "$3" --port 0 --data "$1/state" >/dev/null 2>&1 & pid=$!; until [ -S "$1/state/relay.lock" ]; do sleep 0.1; done; kill $pid; wait $pid`;
  const before = `{ ${first}; ${leaveLock}; } && mount -o remount,ro "$1"`;
  const { code, stdout, stderr } = await startOnDisk(t, '1m', { before }).exit;
  t.is(code, 1);
  t.deepEqual(stdout, []);
  t.is(stderr.length, 1, stderr.join('\n'));
  t.regex(stderr[0] ?? '', /^co2: .*relay\.lock cannot be created: the file system is read-only; choose another directory with --data$/);
});
