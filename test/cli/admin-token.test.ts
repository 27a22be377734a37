/**
 * To whom the command gives the admin token by itself: to the relay that has the state directory, and to nobody who listens in its place.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { Exit } from '../support/processes.ts';
import { freePorts, pluginsDir } from '../support/relays.ts';
import { serialiseResponse } from '../../src/xmlrpc/xmlrpc.ts';

interface Impostor {
  readonly server: Server;
  /** The credentials of each request, undefined for one that had none. */
  readonly seen: (string | undefined)[];
  readonly port: number;
}

/** Answers every call as a relay would. */
async function impostor(
  t: ExecutionContext,
  where: { readonly port: number; readonly host: string } | { readonly path: string },
): Promise<Impostor> {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    request.resume().on('end', () => response.setHeader('content-type', 'text/xml').end(serialiseResponse('as if')));
  }).listen(where);
  t.teardown(() => server.close());
  await once(server, 'listening');
  const bound = server.address()!;
  return { server, seen, port: typeof bound === 'string' ? 0 : bound.port };
}

/** A working directory whose relay ran once, on `port`. */
async function stoppedRelay(t: ExecutionContext, port: number, signal: NodeJS.Signals): Promise<string> {
  const cwd = pluginsDir(t, { 'config.ts': `export default { port: ${port}, unixSocket: 'co2.sock' };` });
  const relay = await startCo2(t, { cwd, args: ['--port', String(port)] });
  t.is((await runCo2(t, { args: ['status'], cwd }).exit).code, 0);
  relay.kill(signal);
  await relay.exit;
  return cwd;
}

const commands = (port: number): readonly (readonly string[])[] => [
  ['ping'],
  ['call', 'test', '1'],
  ['notify', 'data=1'],
  ['plugin', 'list'],
  ['plugin', 'log', 'ham.spam'],
  ['gen', 'client', '--out', '-'],
  ['status', '--data', '.co2', '--url', `http://127.0.0.1:${port}`],
  ['status', '--config', 'config.ts', '--url', `http://localhost:${port}`],
];

const said = ({ stdout, stderr }: Exit): string => [...stdout, ...stderr].join('\n');

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test.serial(`after ${signal}, no command sends the token to a program on the relay's old port, and each reports it`, async (t) => {
    const [port = 0] = await freePorts(1);
    const cwd = await stoppedRelay(t, port, signal);
    const { seen } = await impostor(t, { port, host: '127.0.0.1' });
    const cases: readonly (readonly string[])[] = [['status'], ...(signal === 'SIGKILL' ? [] : commands(port))];
    for (const args of cases) {
      const end = await runCo2(t, { args, cwd }).exit;
      t.is(end.code, 3, args.join(' '));
      t.regex(
        end.stderr.join('\n'),
        /^co2: http:.*: the admin token of \/.*\/\.co2 was not sent: no relay runs on this state directory, so another program listens there; start the relay/,
      );
    }
    t.deepEqual(seen, [], 'it was not even called');
    // A URL alone may name any server, which is called without a credential.
    const end = await runCo2(t, { args: ['ping', '--url', `http://127.0.0.1:${port}`], cwd }).exit;
    t.is(end.code, 0);
    t.regex(end.stderr.join('\n'), /^co2: the admin token of \/.*\/\.co2 was not sent: no relay runs on this state directory/);
    // A ping is one call to connect and one to measure.
    t.deepEqual(seen, [undefined, undefined]);
    t.is((await runCo2(t, { args: ['status', '--token', 'mine'], cwd }).exit).code, 0);
    t.is(Buffer.from((seen[2] ?? '').slice(6), 'base64').toString(), 'token:mine', 'what a person gives is sent');
  });
}

test.serial('the token is sent only to the running relay', async (t) => {
  const cwd = pluginsDir(t, { 'config.ts': `export default { unixSocket: 'co2.sock' };` });
  const relay = await startCo2(t, { cwd });
  const other = await impostor(t, { port: 0, host: '127.0.0.1' });
  const socket = await impostor(t, { path: join(cwd, 'other.sock') });
  for (const url of [`http://127.0.0.1:${other.port}`, `http://localhost:${other.port}`, `http+unix:${join(cwd, 'other.sock')}`]) {
    const end = await runCo2(t, { args: ['status', '--data', '.co2', '--url', url], cwd }).exit;
    t.is(end.code, 3);
    t.regex(
      said(end),
      /the relay listens on (127\.0\.0\.1:\d+|\/.*\/co2\.sock) instead; start the relay \(co2 start\), or select the right one/,
    );
    t.is((await runCo2(t, { args: ['ping', '--url', url], cwd }).exit).code, 0);
  }
  t.deepEqual([other.seen, socket.seen], [Array(4).fill(undefined), Array(2).fill(undefined)]);
  for (const url of [relay.url, `http://localhost:${relay.port}`, `http+unix:${join(cwd, 'co2.sock')}`]) {
    const end = await runCo2(t, { args: ['status', '--url', url], cwd }).exit;
    t.deepEqual([end.code, end.stderr], [0, []], said(end));
  }
});

test.serial('a relay on all addresses, or on several, is found at each of them', async (t) => {
  const own = Object.values(networkInterfaces())
    .flat()
    .find((net) => net?.family === 'IPv4' && !net.internal)?.address;
  const hosts = [
    ['0.0.0.0', ['127.0.0.1', '127.0.0.9', 'localhost', ...(own === undefined ? [] : [own])]],
    ['127.0.0.2,127.0.0.3', ['127.0.0.2', '127.0.0.3']],
  ] as const;
  for (const [host, names] of hosts) {
    const relay = await startCo2(t, { env: { CO2_HOST: host } });
    for (const name of names) {
      const end = await runCo2(t, { args: ['status', '--url', `http://${name}:${relay.port}`], cwd: relay.cwd }).exit;
      t.deepEqual([end.code, end.stderr], [0, []], `${host} ${name}: ${said(end)}`);
    }
  }
});

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((net) => net?.address === '::1');

test.serial('localhost resolves to the address that the relay listens on', async (t) => {
  const relay = await startCo2(t);
  const other = hasIpv6 ? await impostor(t, { port: relay.port, host: '::1' }) : undefined;
  const end = await runCo2(t, { args: ['status', '--url', `http://localhost:${relay.port}`], cwd: relay.cwd }).exit;
  t.is(end.code, 0, said(end));
  t.true(said(end).includes(relay.hostId));
  if (other) t.deepEqual(other.seen, []);
});

test.serial('no token is sent if the lock does not report the addresses of its relay', async (t) => {
  const [port = 0] = await freePorts(1);
  const cwd = await stoppedRelay(t, port, 'SIGTERM');
  const { seen } = await impostor(t, { port, host: '127.0.0.1' });
  const answers: readonly (readonly [answer: string | undefined, says: RegExp])[] = [
    ['4711\n', /the relay \(process 4711\) does not report its addresses; is it starting, or an older version\?$/],
    ['4711\n{"scheme":"http"}\n', /the relay \(process 4711\) does not report its addresses/],
    ['x'.repeat(100_000), /relay\.lock: its answer is too long$/],
    [undefined, /relay\.lock: the relay that holds it did not answer within 1000 ms$/],
  ];
  for (const [answer, says] of answers) {
    const lock = createSocketServer((socket) => {
      socket.on('error', () => undefined);
      if (answer !== undefined) socket.end(answer);
    }).listen(join(cwd, '.co2', 'relay.lock'));
    await once(lock, 'listening');
    const end = await runCo2(t, { args: ['status', '--timeout', '1'], cwd }).exit;
    lock.close();
    await once(lock, 'close');
    t.is(end.code, 3);
    t.regex(said(end), says);
  }
  t.deepEqual(seen, []);
});

test.serial('the token is not sent to other machines or to a URL with its own credentials', async (t) => {
  const relay = await startCo2(t);
  const { seen, port } = await impostor(t, { port: 0, host: '0.0.0.0' });
  // It reaches this machine, but is not an address of it.
  t.is((await runCo2(t, { args: ['ping', '--url', `http://0.0.0.0:${port}`], cwd: relay.cwd }).exit).code, 0);
  t.is((await runCo2(t, { args: ['ping', '--url', `http://me:mine@127.0.0.1:${port}`], cwd: relay.cwd }).exit).code, 0);
  t.is(seen[0], undefined);
  t.is(Buffer.from((seen[2] ?? '').slice(6), 'base64').toString(), 'me:mine');
});
