/** Python's standard library against a real relay: as a client, and as a peer with only notify. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';
import type { Program } from '../support/processes.ts';

const BUNDLED = ['--plugins', join(PROJECT_DIR, 'plugins')];
const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

async function startPeer(t: ExecutionContext, port = 0): Promise<Program & { url: string; port: number }> {
  const program = run(t, 'python3', ['-u', script('peer.py'), String(port)]);
  const bound = Number((await program.stdout.line(/^port \d+$/)).slice(5));
  return { ...program, port: bound, url: `http://127.0.0.1:${bound}` };
}

/** The dicts that a peer printed, once there are `count`. */
async function dictsOf({ stdout }: Program, count: number): Promise<{ data: unknown; host_id: string }[]> {
  return (await stdout.lines(/^\{/, count)).map((line) => JSON.parse(line) as { data: unknown; host_id: string });
}

test.serial("Python's xmlrpc.client: introspection, calls, values, faults, multicall, notify", async (t) => {
  const relay = await startCo2(t, { args: BUNDLED });
  const { code, stdout, stderr } = await run(t, 'python3', [script('client.py'), relay.url]).exit;
  t.is(code, 0, stderr.join('\n'));
  t.deepEqual(stdout, ['introspection ok', 'calls ok', 'values ok', 'faults ok', 'multicall ok', 'notify ok']);
  const [line] = (await relay.call('chat.room.history', 1)) as string[];
  t.is(line, 'py: h\u00e9llo');
});

test.serial('a SimpleXMLRPCServer with nothing but notify, as a peer, gets every dict once and in order', async (t) => {
  const peer = await startPeer(t);
  const relay = await startCo2(t, { args: [...BUNDLED, '--peer', peer.url] });
  for (let n = 0; n < 10; n++) await relay.call('chat.room.say', 'ann', `line ${n} h\u00e9`);
  const dicts = await dictsOf(peer, 10);
  t.deepEqual(
    dicts.map(({ data }) => data),
    Array.from({ length: 10 }, (_, n) => ({ chat: { nick: 'ann', text: `line ${n} h\u00e9` } })),
  );
  t.true(dicts.every(({ host_id }) => host_id === relay.hostId));
});

test.serial('such a peer that was killed gets what waited, in order, when it is started again', async (t) => {
  const first = await startPeer(t);
  const files = { 'config.ts': `export default { retry: { minMs: 5, maxMs: 20 } };` };
  const relay = await startCo2(t, { files, args: [...BUNDLED, '--log-level', 'debug', '--peer', first.url] });
  await relay.call('notify', { data: 'before' });
  await dictsOf(first, 1);
  // The answer has arrived; an unanswered dict would be sent again.
  await relay.stderr.line(/ DEBUG mesh forwarded /);
  first.kill('SIGKILL');
  await first.exit;
  for (let n = 0; n < 5; n++) await relay.call('notify', { data: n });
  await relay.stderr.line(/ WARN mesh peer .* is down/);
  const second = await startPeer(t, first.port);
  const dicts = await dictsOf(second, 5);
  t.deepEqual(
    dicts.map(({ data }) => data),
    [0, 1, 2, 3, 4],
  );
});
