/**
 * nginx, HAProxy and Caddy in front of a relay, with the configurations of docs/proxies.md: the relay sees the real client, whatever that
 * client forges.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/create-relay.ts';
import { loadConfigFile } from '../../src/cli/read-options.ts';
import { systemClock } from '../../src/core/core.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { snippetsOf } from '../docs/snippets.ts';
import { project } from '../docs/page.ts';
import { answersIn, everything, requestBytes } from '../http/raw.ts';
import type { HeaderList, RawAnswer } from '../http/raw.ts';
import { PROJECT_DIR, run } from '../support/processes.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const snippets = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/proxies.md'), 'utf8'));
const CLIENT = '127.0.0.5';

function snippet(name: string): string {
  return snippets.find((one) => one.name === name)?.source ?? '';
}

/** What the program needs around the configuration of the page: to stay in the foreground, in a directory of its own. */
interface Proxy {
  readonly file: (source: string, dir: string) => string;
  readonly command: (file: string) => readonly [command: string, ...args: string[]];
}

const PROXIES: Readonly<Record<string, Proxy>> = {
  nginx: {
    file: (source, dir) => `daemon off;
master_process off;
pid ${dir}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join('\n  ')}
${source}}
`,
    command: (file) => ['nginx', '-c', file],
  },
  haproxy: { file: (source) => source, command: (file) => ['haproxy', '-db', '-f', file] },
  caddy: {
    file: (source) => `{\n\tadmin off\n}\n${source}`,
    command: (file) => ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'],
  },
};

/** The options of the page; strangers may also send dicts, so that a test sees their address. */
async function relayOptions(t: ExecutionContext): Promise<Config> {
  const dir = project(t, { 'config.ts': snippet('relay') });
  const { values } = await loadConfigFile({ name: 'config.ts', path: join(dir, 'config.ts') }, join(dir, 'cache'), systemClock);
  return { ...(values as Config), access: { anonymous: ['read', 'message'] } };
}

/** Starts the program with this configuration in front of the relay; returns its port once it listens. */
async function startProxy(t: ExecutionContext, name: string, source: string, relay: TestRelay): Promise<number> {
  const dir = temporaryDir(t);
  chmodSync(dir, 0o755);
  const [port = 0] = await freePorts(1);
  const file = join(dir, 'proxy.conf');
  const { file: whole, command } = PROXIES[name]!;
  writeFileSync(file, whole(source.replaceAll('8080', String(port)).replaceAll('2004', new URL(relay.url).port), dir));
  const [program, ...args] = command(file);
  const env = { HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir, PATH: `${process.env.PATH ?? ''}:/usr/sbin` };
  const running = run(t, program, args, { cwd: dir, env });
  let ended: string | undefined;
  running.exit.then(
    ({ stderr }) => (ended = stderr.join('\n')),
    (error: unknown) => (ended = String(error)),
  );
  // The programs report in different words, or not at all, that they listen.
  while (!(await isListening(port))) {
    if (ended !== undefined) throw new Error(`${name} did not start:\n${ended}`);
    await pause(20);
  }
  return port;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

/** Calls the proxy from {@link CLIENT}. */
async function post(
  port: number,
  method: string,
  params: readonly unknown[],
  more: HeaderList = [],
  host = 'relay.example',
): Promise<RawAnswer> {
  const body = serialiseCall(method, params as never);
  const socket = connect({ host: '127.0.0.1', port, localAddress: CLIENT });
  socket.on('error', () => undefined);
  socket.write(requestBytes(`http://127.0.0.1:${port}`, { headers: { Host: host }, more, body }));
  const [answer] = answersIn(await everything(socket));
  if (!answer) throw new Error('no answer');
  return answer;
}

/** Whether the body has a Content-Length or is chunked. */
function xmlOf({ body, headers }: RawAnswer): Buffer {
  if (headers['transfer-encoding'] !== 'chunked') return body;
  const text = body.toString('latin1');
  return Buffer.from(text.slice(text.indexOf('<?xml'), text.lastIndexOf('>') + 1), 'latin1');
}

const FORGED: readonly HeaderList[] = [
  [['X-Forwarded-For', '127.0.0.1']],
  [['x-forwarded-for', '127.0.0.1:80']],
  [
    ['X-Forwarded-For', '127.0.0.1'],
    ['X-Forwarded-For', '10.0.0.1'],
  ],
  [['X-Forwarded-For', '']],
  [['X-Forwarded-For', 'garbage"']],
  [['Forwarded', 'for=127.0.0.1']],
  [['FORWARDED', 'For="127.0.0.1:80"']],
  [['Forwarded', 'for="']],
  [['Forwarded', 'for=127.0.0.1;x="']],
  [
    ['Forwarded', 'for=127.0.0.1'],
    ['X-Forwarded-For', '127.0.0.1'],
  ],
  [['X-Real-IP', '127.0.0.1']],
  [['Connection', 'close, X-Forwarded-For']],
  [['Connection', 'close, Forwarded']],
];

for (const name of Object.keys(PROXIES)) {
  test.serial(`${name}: the relay sees calls as coming from the real client, whatever that client forges`, async (t) => {
    const relay = await startRelay(t, await relayOptions(t));
    const port = await startProxy(t, name, snippet(name), relay);
    t.like(parseResponse(xmlOf(await post(port, 'ping', []))), { kind: 'value', value: true });
    for (const [index, forged] of [[], ...FORGED].entries()) {
      const what = JSON.stringify(forged);
      const answer = await post(port, 'notify', [{ data: index }], forged);
      // A proxy may reject malformed requests.
      if (answer.status !== 200) {
        t.is(answer.status, 400, what);
        continue;
      }
      t.like(parseResponse(xmlOf(answer)), { kind: 'value', value: true }, what);
      const [{ dict }] = await relay.received.until(({ dict: { data } }) => data === index);
      t.deepEqual(dict.client_address, [CLIENT, 0], what);
      const call = await post(port, 'test.recorder.emit', [{ data: 1 }], forged);
      t.like(parseResponse(xmlOf(call)), { kind: 'fault', code: 403 }, `${what} gives no right`);
    }
    t.true(relay.received.all.length > FORGED.length / 2);
    const lines = relay.log.lines.all.filter(({ category }) => category === 'access');
    t.true(lines.length > FORGED.length);
    for (const { text } of lines) t.true(text.startsWith(`${CLIENT} `), text);
    // A host name that is not listed reaches no method: the proxy or the relay rejects the call.
    const foreign = await post(port, 'notify', [{ data: 'foreign' }], [], 'evil.example');
    t.notRegex(xmlOf(foreign).toString('latin1'), /<boolean>1</);
  });
}

test.serial('a proxy that writes Forwarded is believed alike, and one whose client adds the other header is not', async (t) => {
  const relay = await startRelay(t, await relayOptions(t));
  const source = snippet('haproxy')
    .replace(
      'http-request set-header X-Forwarded-For %[src]',
      'http-request set-header Forwarded "proto=http;for=\\"%[src]:%[src_port]\\""',
    )
    .replace('http-request del-header Forwarded', '# X-Forwarded-For of the client is passed on.');
  t.regex(source, /set-header Forwarded/);
  const port = await startProxy(t, 'haproxy', source, relay);
  t.like(parseResponse(xmlOf(await post(port, 'notify', [{ data: 1 }]))), { kind: 'value' });
  const [first] = await relay.received.first(1);
  const [address, clientPort] = first?.dict.client_address as [string, number];
  t.is(address, CLIENT);
  t.true(clientPort > 0);
  for (const forged of [[['X-Forwarded-For', '127.0.0.1']], [['X-Forwarded-For', '198.51.100.7']]] as const) {
    const answer = parseResponse(xmlOf(await post(port, 'notify', [{ data: 2 }], forged)));
    t.like(answer, { kind: 'fault', code: 403 });
    t.regex((answer as { text: string }).text, /name different clients/);
  }
  t.is(relay.received.all.length, 1);
});

test('every example on the page is run', (t) => {
  t.deepEqual(
    snippets.map(({ name }) => name),
    ['relay', ...Object.keys(PROXIES)],
  );
});
