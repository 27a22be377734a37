/** A limit of open files that is too low: told at the start and when it is reached, and nothing more than that. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run } from '../support/processes.ts';
import type { Program } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';

/** The relay with a limit of its own, which Node cannot raise. */
function startLimited(t: ExecutionContext, limit: number, config: string): Program {
  const cwd = pluginsDir(t, { 'config.ts': `export default { ${config} };` });
  const script = `ulimit -n ${limit} && exec "$1" "$2" --port 0`;
  return run(t, 'sh', ['-c', script, 'sh', process.execPath, join(PROJECT_DIR, 'bin/co2.mjs')], { cwd });
}

async function urlOf(relay: Program): Promise<URL> {
  const ready = await relay.stdout.line(/listening on/).catch(async (error: unknown) => {
    throw new Error(`co2 did not start:\n${(await relay.exit).stderr.join('\n')}`, { cause: error });
  });
  return new URL(/listening on (\S+)/.exec(ready)?.[1] ?? '');
}

function opened(t: ExecutionContext, { port }: URL): Promise<Socket> {
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  return once(socket, 'connect').then(() => socket);
}

test('running out of file handles is logged once with a remedy, and the relay recovers', async (t) => {
  const relay = startLimited(t, 250, 'maxConnections: 500, unixSocket: "x.sock"');
  const url = await urlOf(relay);
  t.regex(await relay.stderr.line(/maxConnections is/), /WARN http maxConnections is 500, but .* only 250 files open.*ulimit -n/);
  for (let round = 1; round <= 2; round++) {
    const sockets = await Promise.all(Array.from({ length: 400 }, () => opened(t, url)));
    const said = await relay.stderr.lines(/ ERROR /, round);
    t.regex(said[round - 1] ?? '', / http out of file handles .*250 files.*raise the limit \(ulimit -n, .*or lower maxConnections$/);
    for (const socket of sockets) socket.destroy();
    await relay.stderr.lines(/file handles are available again/, round);
  }
  const client = new XmlRpcClient(url);
  t.teardown(() => client.close());
  t.true(await client.call('ping'));
  relay.kill('SIGTERM');
  const { code, stderr } = await relay.exit;
  t.is(code, 0);
  t.is(stderr.filter((line) => line.includes('out of file handles')).length, 2);
});

test('a sufficient limit is not logged', async (t) => {
  const relay = startLimited(t, 400, 'maxConnections: 300');
  await urlOf(relay);
  relay.kill('SIGTERM');
  const { code, stderr } = await relay.exit;
  t.is(code, 0);
  t.false(stderr.some((line) => /file handles|maxConnections/.test(line)));
});
