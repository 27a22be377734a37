/**
 * `co2` against servers that are not relays, from Debian's packages: supervisord and aria2, each with a configuration of its own on a
 * loopback port.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { compilerErrors } from '../cli/typescript.ts';
import { run, runCo2 } from '../support/processes.ts';
import type { Program } from '../support/processes.ts';
import { freePorts, pluginsDir } from '../support/relays.ts';

async function co2(t: ExecutionContext, url: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCo2(t, { args: [...args, '--url', url] }).exit;
  t.is(code, 0, stderr.join('\n'));
  return stdout.join('\n');
}

/** Calls until there is an answer or `program` has exited: neither program reports when its port is open. */
async function untilThere(t: ExecutionContext, url: string, program: Program): Promise<void> {
  const ended = program.exit.then(({ stderr }) => {
    throw new Error(`it exited before it answered: ${stderr.join(' ')}`);
  });
  const asked = async (): Promise<void> => {
    while ((await runCo2(t, { args: ['ping', '--url', url] }).exit).code !== 0) continue;
  };
  await Promise.race([asked(), ended]);
}

/** Generates a client, type-checks it, and returns its source. */
async function client(t: ExecutionContext, url: string): Promise<string> {
  const cwd = pluginsDir(t, { 'package.json': '{"type":"module"}' });
  const path = join(cwd, 'client.ts');
  await co2(t, url, 'gen', 'client', '--out', path);
  t.deepEqual(compilerErrors([path]), []);
  return readFileSync(path, 'utf8');
}

const SUPERVISORD = (port: number): string => `[supervisord]
nodaemon=true
logfile=%(here)s/log
pidfile=%(here)s/pid
childlogdir=%(here)s
[inet_http_server]
port=127.0.0.1:${port}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
; Ends at once, so that nothing is left when the server is killed.
[program:short]
command=true
autostart=false
autorestart=false
startsecs=0
`;

test.serial('supervisord: methods, help, ping, status, a typed client', async (t) => {
  const [port = 0] = await freePorts(1);
  const cwd = pluginsDir(t, { 'supervisord.conf': SUPERVISORD(port) });
  const server = run(t, 'supervisord', ['--configuration', join(cwd, 'supervisord.conf')], { cwd });
  const url = `http://127.0.0.1:${port}/RPC2`;
  await untilThere(t, url, server);
  t.true((await co2(t, url, 'methods')).split('\n').includes('supervisor.startProcess'));
  const help = (await co2(t, url, 'help', 'supervisor.startProcess')).split('\n');
  t.deepEqual(help.slice(0, 4), ['boolean supervisor.startProcess(name: string, wait: boolean)', '', 'Start a process', '']);
  t.regex(help[4] ?? '', /^ {2}name {5}Process name/);
  t.regex(await co2(t, url, 'ping'), /^127\.0\.0\.1:\d+ answered system\.listMethods in \d+(?:\.\d)? ms; it has no ping$/);
  t.regex(await co2(t, url, 'status'), / result of supervisor\.getState:\nstatecode +1\nstatename +RUNNING$/);
  t.regex(await co2(t, url, 'call', 'supervisor.startProcess', 'short', 'false'), /^true$/);
  const source = await client(t, url);
  t.true(source.includes('readonly startProcess: (name: string, wait: boolean) => Promise<boolean>;'), source);
  t.true(source.includes('readonly getAllProcessInfo: () => Promise<readonly Value[]>;'), source);
  t.true(source.includes('     * @param name - Process name'), source);
});

test.serial('aria2: methods, help, ping, status, a client', async (t) => {
  const [port = 0] = await freePorts(1);
  const cwd = pluginsDir(t, {});
  const own = ['--no-conf', `--dir=${cwd}`, '--quiet', '--disable-ipv6', '--enable-dht=false', '--enable-rpc', `--rpc-listen-port=${port}`];
  const server = run(t, 'aria2c', own, { cwd });
  const url = `http://127.0.0.1:${port}/rpc`;
  await untilThere(t, url, server);
  t.true((await co2(t, url, 'methods')).split('\n').includes('aria2.addUri'));
  t.is(await co2(t, url, 'help', 'aria2.addUri'), 'aria2.addUri(...)\n\nthe server provides no documentation for aria2.addUri');
  t.regex(await co2(t, url, 'ping'), /^127\.0\.0\.1:\d+ answered system\.listMethods in \d+(?:\.\d)? ms; it has no ping$/);
  t.regex(await co2(t, url, 'status'), / result of aria2\.getGlobalStat:\ndownloadSpeed +0\n/);
  t.true((await client(t, url)).includes('readonly addUri: (...params: readonly Sendable[]) => Promise<Value>;'));
});
