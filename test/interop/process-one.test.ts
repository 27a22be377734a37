/** The relay in a container: as process 1 of a process namespace, and below an init. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run } from '../support/processes.ts';
import type { Program } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';

const CO2 = join(PROJECT_DIR, 'bin/co2.mjs');

// The process that it starts exits at once and leaves another one, which prints its number and exits.
const PARENT = `import { spawn } from 'node:child_process';
import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Parent extends Plugin {
  @Exposed() leave() {
    const child = spawn('sh', ['-c', 'sh -c "echo orphan \\\\$\\\\$ >&2" &'], { stdio: ['ignore', 'ignore', 'inherit'] });
    return new Promise<number>((resolve) => child.once('exit', () => resolve(0)));
  }
}
`;

/** Starts it, below `init` if given, as the first process of a namespace. */
function startFirst(t: ExecutionContext, init: readonly string[]): Program {
  const cwd = pluginsDir(t, { 'plugins/ham/parent.ts': PARENT });
  return run(t, 'unshare', ['-r', '-p', '-f', '--mount-proc', ...init, process.execPath, CO2, '--port', '0'], { cwd });
}

async function clientOf(t: ExecutionContext, relay: Program): Promise<XmlRpcClient> {
  const client = new XmlRpcClient(new URL(/listening on (\S+)/.exec(await relay.stdout.line(/listening on/))?.[1] ?? ''));
  t.teardown(() => client.close());
  return client;
}

/** The number, outside of the namespace, of the process that is number 1 inside. */
function first({ pid }: Program): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}

test('as process 1 the relay warns that orphans are not reaped, and stops in order at SIGTERM', async (t) => {
  const relay = startFirst(t, []);
  const client = await clientOf(t, relay);
  t.regex(await relay.stderr.line(/process 1/), / INFO app running as process 1: .*docker run --init/);
  t.true(await client.call('ping'));
  process.kill(first(relay), 'SIGTERM');
  const { code, stderr } = await relay.exit;
  t.is(code, 0);
  t.true(stderr.at(-1)?.endsWith(' stopped'));
});

test('below an init SIGTERM reaches the relay, and orphans of its programs are reaped', async (t) => {
  const relay = startFirst(t, ['tini', '--']);
  const client = await clientOf(t, relay);
  await client.call('ham.parent.leave');
  const orphan = /\d+$/.exec(await relay.stderr.line(/^orphan \d+$/))?.[0] ?? '';
  while (readdirSync(`/proc/${first(relay)}/root/proc`).includes(orphan)) await new Promise(setImmediate);
  process.kill(first(relay), 'SIGTERM');
  const { code, stderr } = await relay.exit;
  t.is(code, 0);
  t.true(stderr.at(-1)?.endsWith(' stopped'));
  t.false(stderr.some((line) => line.includes('process 1')));
});
