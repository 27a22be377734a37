/** The bundled watchers and reactors: watch.http, watch.probe, react.filelog, react.webhook and react.exec, on real sockets and files. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Value } from '../../src/values/values.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

type Struct = Readonly<Record<string, Value>>;

const start = (t: ExecutionContext, web: NonNullable<Config['services']>[string], plugins: Config['plugins'] = {}): Promise<TestRelay> =>
  startRelay(t, { pluginList: [], bundled: ['watch', 'react'], services: { web }, plugins }, { random: () => 0 });

const told = { told: { type: 'watch.http' } };

async function post(relay: TestRelay, body: unknown, service = 'web', headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${relay.url}/service/${service}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

async function nodesOf(relay: TestRelay): Promise<Readonly<Record<string, string>>> {
  const { nodes } = (await relay.call('service.status', 'web')) as { nodes: Readonly<Record<string, Struct>> };
  return Object.fromEntries(
    Object.entries(nodes).map(([name, node]) => [name, `${node.status as string} ${node.host as string}:${node.port as number}`]),
  );
}

/** Resolves once the nodes that changed so far include this one. */
async function changed(relay: TestRelay, name: string, status: 'up' | 'down', count = 1): Promise<void> {
  await relay.seen.event('service.changed', { nodes: { [name]: { status } } }, count);
}

test('watch.http takes each form of a report, with all words for the states', async (t) => {
  const relay = await start(t, { watchers: told });
  await relay.seen.event('service.state', { state: 'running' });
  const answer = await post(relay, {
    web1: { status: 'nodeup', host: '10.0.0.1', port: 80 },
    web2: { status: 'up', host: '10.0.0.2', port: 80 },
  });
  t.is(answer.status, 200);
  t.deepEqual(await answer.json(), { service: 'web', nodes: 2 });
  await changed(relay, 'web2', 'up');
  t.deepEqual(await nodesOf(relay), { web1: 'up 10.0.0.1:80', web2: 'up 10.0.0.2:80' });
  await post(relay, { name: 'web1', event: 'nodedown' });
  await changed(relay, 'web1', 'down');
  await post(relay, { name: 'web1', status: 'UP', port: 81 });
  await changed(relay, 'web1', 'up', 2);
  await post(relay, { web2: { status: 'down' } });
  await changed(relay, 'web2', 'down');
  t.deepEqual(await nodesOf(relay), { web1: 'up 10.0.0.1:81', web2: 'down 10.0.0.2:80' });
  await post(relay, [{ name: 'web3', status: 'up', host: '10.0.0.3', port: 80 }]);
  await changed(relay, 'web3', 'up');
  t.deepEqual(await nodesOf(relay), { web3: 'up 10.0.0.3:80' });
  t.is(await relay.call('watch.http.report', 'web', { web4: { status: 'up' } }), 1);
  await changed(relay, 'web4', 'up');
});

test('watch.http answers what is wrong with a report, and goes on', async (t) => {
  const relay = await start(t, { watchers: told });
  await relay.seen.event('service.state', { state: 'running' });
  for (const [body, status, detail] of [
    [{ web1: { status: 'sick' } }, 422, /the status of web1 must be up or down/],
    [{ web1: 'up' }, 422, /web1 is not a struct/],
    [{ 'web\n1': { status: 'up' } }, 422, /the name of a node/],
    [{ web1: { status: 'up', host: 'a b' } }, 422, /the host of web1/],
    [{ web1: { status: 'up', port: 1e6 } }, 422, /the port of web1/],
    [[{ status: 'up' }], 422, /the name of a node/],
    [{ web1: { status: '__proto__' } }, 422, /the status of web1/],
    ['"up"', 422, /expected/],
    ['{', 400, /the text ends/],
    ['', 400, /the body is empty/],
  ] as const) {
    const answer = await post(relay, body);
    t.is(answer.status, status, JSON.stringify(body));
    t.regex(((await answer.json()) as { detail: string }).detail, detail);
  }
  const unknown = await post(relay, { a: { status: 'up' } }, 'wob');
  t.is(unknown.status, 404);
  const problem = (await unknown.json()) as { code: number; detail: string };
  t.is(problem.code, 404);
  t.regex(problem.detail, /no service of this name .*\(there are: web\)/);
  t.is((await fetch(`${relay.url}/service/web`)).status, 405);
  t.is((await post(relay, { a: { status: 'up' } }, 'web', { 'content-type': 'text/plain' })).status, 415);
  t.is((await post(relay, { a: { status: 'up' } }, 'web', { origin: 'http://evil.example' })).status, 403);
  t.is((await post(relay, { a: { status: 'up' } }, 'web', { authorization: 'Bearer wrong' })).status, 401);
  t.is((await post(relay, { a: { status: 'up' } })).status, 200);
  await changed(relay, 'a', 'up');
  t.is(relay.seen.matching('service.endpoint', { state: { type: 'backoff' } }).length, 0);
});

test('without the watcher, /service says how to turn it on', async (t) => {
  const relay = await startRelay(t);
  const answer = await post(relay, { a: { status: 'up' } });
  t.is(answer.status, 404);
  t.regex(((await answer.json()) as { detail: string }).detail, /bundled: \['watch'\]/);
});

test('a node that is not reported again in time is down', async (t) => {
  const relay = await start(t, { watchers: { told: { type: 'watch.http', cfg: { expireMs: 200 } } } });
  await relay.seen.event('service.state', { state: 'running' });
  await post(relay, { a: { status: 'up' } });
  await changed(relay, 'a', 'up');
  await changed(relay, 'a', 'down');
  t.deepEqual(await nodesOf(relay), { a: 'down :0' });
});

async function listen(t: ExecutionContext, server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

const close = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));

test('watch.probe notices which nodes accept connections, and damps flaps', async (t) => {
  const server = createTcpServer((socket) => socket.destroy());
  const port = await listen(t, server);
  const unused = createTcpServer();
  const closed = await listen(t, unused);
  await close(unused);
  const nodes = [
    { name: 'one', host: '127.0.0.1', port },
    { host: '127.0.0.1', port: closed },
  ];
  const cfg = { nodes, intervalMs: 50, timeoutMs: 1_000, rise: 2, fall: 3 };
  const relay = await start(t, { watchers: { probe: { type: 'watch.probe', cfg } } });
  await changed(relay, 'one', 'up');
  t.deepEqual(await nodesOf(relay), { one: `up 127.0.0.1:${port}`, [`127.0.0.1:${closed}`]: `down 127.0.0.1:${closed}` });
  await close(server);
  await changed(relay, 'one', 'down');
  await listen(
    t,
    createTcpServer((socket) => socket.destroy()),
    port,
  );
  await changed(relay, 'one', 'up', 2);
  t.is(relay.seen.matching('service.changed').length, 3);
});

test('watch.probe asks by HTTP, and one failure in between takes no node down', async (t) => {
  const paths: (string | undefined)[] = [];
  let isSick = false;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    paths.push(request.url);
    response.statusCode = isSick || paths.length % 3 === 0 ? 503 : 204;
    response.end();
  });
  const port = await listen(t, server);
  const cfg = { nodes: [{ name: 'one', host: '127.0.0.1', port }], http: { path: '/healthz' }, intervalMs: 50, fall: 2 };
  const relay = await start(t, { watchers: { probe: { type: 'watch.probe', cfg } } });
  await changed(relay, 'one', 'up');
  while (paths.length < 10) await relay.call('service.list');
  t.is(relay.seen.matching('service.changed').length, 1);
  isSick = true;
  await changed(relay, 'one', 'down');
  t.true(paths.every((path) => path === '/healthz'));
});

test('watch.probe and react.filelog refuse configurations that cannot work', async (t) => {
  const probe = (cfg: Record<string, Value>): ReturnType<typeof start> => start(t, { watchers: { probe: { type: 'watch.probe', cfg } } });
  await t.throwsAsync(probe({}), { message: /web\.watchers\.probe: .*cfg\.nodes/ });
  await t.throwsAsync(
    probe({
      nodes: [
        { host: 'a', port: 1 },
        { host: 'a', port: 1 },
      ],
    }),
    { message: /two nodes a:1/ },
  );
  await t.throwsAsync(start(t, { reactors: { log: { type: 'react.filelog', cfg: { file: '/nowhere/log' } } } }), {
    message: /the directory \/nowhere cannot be written to: ENOENT/,
  });
  await t.throwsAsync(start(t, { reactors: { log: { type: 'react.filelog', cfg: { file: 'log' } } } }), { message: /absolute path/ });
});

test('react.filelog writes a line for each change, and begins a new file at its limit', async (t) => {
  const file = join(temporaryDir(t), 'web.ndjson');
  const relay = await start(t, { watchers: told, reactors: { log: { type: 'react.filelog', cfg: { file, maxBytes: 1_024 } } } });
  await relay.seen.event('service.state', { state: 'running' });
  for (let port = 1; port <= 10; port++) {
    await post(relay, { a: { status: 'up', host: '10.0.0.1', port } });
    await relay.seen.event('service.changed', { nodes: { a: { port } } });
  }
  await relay.stop();
  const ports = [`${file}.1`, file].flatMap((name) =>
    readFileSync(name, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { service: string; nodes: { a: { port: number } } }).nodes.a.port),
  );
  t.deepEqual(
    ports,
    Array.from({ length: 10 }, (_, index) => index + 1),
  );
  t.true(readFileSync(file).length <= 1_024);
});

test('react.webhook sends each change, again after a failure, and only to addresses that are allowed', async (t) => {
  const bodies: string[] = [];
  let failures = 1;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    void request.toArray().then((chunks: Buffer[]) => {
      bodies.push(`${request.headers['x-key'] as string} ${Buffer.concat(chunks).toString()}`);
      response.statusCode = failures-- > 0 ? 503 : 204;
      response.end();
    });
  });
  const port = await listen(t, server);
  const hook = { type: 'react.webhook', cfg: { url: `http://127.0.0.1:${port}/hook`, headers: { 'x-key': 'k' } } };
  await t.throwsAsync(start(t, { reactors: { hook } }), { message: /web\.reactors\.hook: .*127\.0\.0\.1 is not a public address/ });
  const byName = { type: 'react.webhook', cfg: { url: `http://localhost:${port}/hook`, retries: 0 } };
  const off = await start(t, { watchers: told, reactors: { hook: byName } });
  await off.seen.event('service.state', { state: 'running' });
  await post(off, { a: { status: 'up' } });
  await off.seen.event('service.endpoint', { name: 'hook', state: { type: 'backoff', reason: /not a public address/ } });
  await off.stop();
  t.deepEqual(bodies, []);
  const relay = await start(t, { watchers: told, reactors: { hook } }, { 'react.webhook': { allowAddresses: ['127.0.0.0/8'] } });
  await relay.seen.event('service.state', { state: 'running' });
  await post(relay, { a: { status: 'up', host: '10.0.0.1', port: 80 } });
  await changed(relay, 'a', 'up');
  await relay.stop();
  const body = 'k {"service":"web","nodes":{"a":{"name":"a","status":"up","host":"10.0.0.1","port":80}}}';
  t.deepEqual(bodies, [body, body]);
});

test('react.exec is off unless a program is allowed, and gives it each change', async (t) => {
  const directory = temporaryDir(t);
  const [exec, output] = [join(directory, 'update'), join(directory, 'output')];
  writeFileSync(
    exec,
    '#!/bin/sh\nread line; echo "$line $1 $COLOUR" >> "$OUT"; [ ! -e "$OUT.fail" ] || { rm "$OUT.fail"; echo broken >&2; exit 3; }\n',
  );
  chmodSync(exec, 0o755);
  const proxy = { type: 'react.exec', cfg: { exec, args: ['again'], env: { COLOUR: 'red', OUT: output } } };
  await t.throwsAsync(start(t, { reactors: { proxy } }), { message: /is not allowed; list it: plugins: \{ 'react\.exec'/ });
  const relay = await start(t, { watchers: told, reactors: { proxy } }, { 'react.exec': { allow: [exec] } });
  await relay.seen.event('service.state', { state: 'running' });
  await post(relay, { a: { status: 'up', host: '10.0.0.1', port: 80 } });
  await changed(relay, 'a', 'up');
  writeFileSync(`${output}.fail`, '');
  await post(relay, { b: { status: 'down' } });
  await relay.seen.event('service.endpoint', { name: 'proxy', state: { type: 'backoff', reason: /it ended with code 3: broken/ } });
  await relay.seen.event('service.endpoint', { name: 'proxy', state: { type: 'running' } }, 2);
  await relay.stop();
  const lines = readFileSync(output, 'utf8').trim().split('\n');
  const a = '"a":{"name":"a","status":"up","host":"10.0.0.1","port":80}';
  const b = '"b":{"name":"b","status":"down","host":"","port":0}';
  t.is(lines[0], `{"service":"web","changes":{${a}},"nodes":{${a}}} again red`);
  // The second program failed; the third gets all nodes.
  const last = JSON.parse((lines.at(-1) ?? '').replace(' again red', '')) as { changes: object; nodes: object };
  t.deepEqual(last.changes, JSON.parse(`{${a},${b}}`));
  t.deepEqual(last.nodes, last.changes);
});

test('react.exec forgets nodes that are down when there are ever new ones', async (t) => {
  const directory = temporaryDir(t);
  const [exec, output] = [join(directory, 'update'), join(directory, 'output')];
  writeFileSync(exec, '#!/bin/sh\ncat > "$OUT.part" && mv "$OUT.part" "$OUT"\n');
  chmodSync(exec, 0o755);
  const proxy = { type: 'react.exec', cfg: { exec, env: { OUT: output } } };
  const relay = await start(t, { watchers: told, reactors: { proxy } }, { 'react.exec': { allow: [exec] } });
  await relay.seen.event('service.state', { state: 'running' });
  await post(relay, { a: { status: 'up' } });
  for (const round of ['one', 'two']) {
    const names = Array.from({ length: 9_000 }, (_, number) => `${round}${number}`);
    t.is((await post(relay, Object.fromEntries(names.map((name) => [name, { status: 'down' }])))).status, 200);
    await changed(relay, `${round}0`, 'down');
  }
  await relay.stop();
  const { changes, nodes } = JSON.parse(readFileSync(output, 'utf8')) as Record<'changes' | 'nodes', Readonly<Record<string, object>>>;
  t.is(Object.keys(changes).length, 9_000);
  t.is(Object.keys(nodes).length, 10_001);
  t.like(nodes, { a: { status: 'up' }, two0: { status: 'down' }, one8999: { status: 'down' } });
  t.is(nodes.one0, undefined);
});
