/** docs/services.md and the examples of services: their configurations, plugins and commands do what the page says. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { join } from 'node:path';
import test from 'ava';
import { compilerErrors } from '../cli/typescript.ts';
import { PROJECT_DIR, run, runCo2, startCo2 } from '../support/processes.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import { project } from './page.ts';
import { snippetsOf } from './snippets.ts';

const snippets = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/services.md'), 'utf8'));

function sourceOf(wanted: string): string {
  const snippet = snippets.find(({ name }) => name === wanted);
  if (!snippet) throw new Error(`docs/services.md has no snippet ${wanted}`);
  return snippet.source;
}

test('every snippet is run by a test', (t) => {
  t.deepEqual(
    snippets.map(({ name }) => name),
    ['config', 'report', 'status', 'node', 'shared', 'plugin', 'own', 'probe'],
  );
});

test('nodes are reported by curl, written to a log, and shown by the command', async (t) => {
  const file = join(temporaryDir(t), 'web.ndjson');
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': sourceOf('config').replace('/tmp/web.ndjson', file) }) });
  const [, ...args] = sourceOf('report')
    .trim()
    .replace('http://127.0.0.1:2004', relay.url)
    .match(/'[^']*'|[^' ]+/g) ?? [''];
  const { stdout } = await run(t, 'curl', ['-s', ...args.map((word) => word.replaceAll("'", ''))], { cwd: relay.cwd }).exit;
  t.is(stdout.join(''), '{"service":"web","nodes":1}');
  while (!existsSync(file)) await relay.call('service.list');
  const shown = await runCo2(t, { args: [...sourceOf('status').trim().split(' ').slice(1), '--url', relay.url], cwd: relay.cwd }).exit;
  t.is(shown.code, 0, shown.stderr.join('\n'));
  t.is(shown.stdout[0], 'web is running: 1 up, 0 down');
  t.regex(
    shown.stdout.join('\n'),
    /watcher +reports +watch\.http +running[^]*reactor +log +react\.filelog +running[^]*web1 +up +10\.0\.0\.1 +80/,
  );
  const listed = await runCo2(t, { args: ['service', 'list', '--url', relay.url], cwd: relay.cwd }).exit;
  t.regex(listed.stdout.join('\n'), /web +running +1 +0 +1 of 1 +1 of 1/);
  for (const [word, state] of [
    ['stop', 'stopped'],
    ['start', 'running'],
  ] as const) {
    const changed = await runCo2(t, { args: ['service', word, 'web', '--json', '--url', relay.url], cwd: relay.cwd }).exit;
    t.is((JSON.parse(changed.stdout.join('')) as { state: string }).state, state);
  }
  const wrong = await runCo2(t, { args: ['service', 'status', 'wob', '--url', relay.url], cwd: relay.cwd }).exit;
  t.is(wrong.code, 1);
  t.regex(wrong.stderr.join(''), /there is no service 'wob'; did you mean "web"\?/);
});

test('a watcher and a reactor of your own', async (t) => {
  const cwd = project(t, { 'plugins/ham/spam.ts': sourceOf('plugin'), 'config.ts': sourceOf('own') });
  t.deepEqual(compilerErrors([join(cwd, 'plugins/ham/spam.ts')]), []);
  const relay = await startCo2(t, { cwd });
  for (;;) {
    const { up } = (await relay.call('service.status', 'ham')) as { up: number };
    if (up === 3) break;
  }
  const { exit } = relay;
  relay.kill('SIGTERM');
  const { stderr, stdout } = await exit;
  const log = [...stderr, ...stdout].join('\n');
  for (const line of ['node1 is up at 10.0.0.1:8001', 'node3 is up at 10.0.0.1:8003', 'done']) t.true(log.includes(line), line);
});

test('the configuration of the probe starts', async (t) => {
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': sourceOf('probe') }) });
  t.like(await relay.call('service.status', 'web'), { state: 'running' });
});

test('a watcher runs at the node that shares it', async (t) => {
  const [here = 0, there = 0, web = 0] = await freePorts(3);
  const placed = (name: string): string =>
    sourceOf(name)
      .replaceAll('192.168.1.7:2004', `127.0.0.1:${there}`)
      .replaceAll('192.168.1.5:2004', `127.0.0.1:${here}`)
      .replaceAll('8080', String(web))
      .replaceAll('/tmp/web.ndjson', join(temporaryDir(t), 'web.ndjson'));
  await serve(t, web);
  await startCo2(t, { cwd: project(t, { 'config.ts': placed('shared') }), args: ['--port', String(there)] });
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': placed('node') }), args: ['--port', String(here)] });
  for (;;) {
    const { up } = (await relay.call('service.status', 'web')) as { up: number };
    if (up === 1) break;
  }
  const { watchers } = (await relay.call('service.status', 'web')) as { watchers: readonly unknown[] };
  t.like(watchers[0], { name: 'probe', type: 'watch.probe', node: 'cellar', state: 'running' });
});

async function serve(t: { teardown(fn: () => void): void }, port: number): Promise<Server> {
  const server = createServer((_request, response) => response.end('well'));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return server;
}

test('the example keeps the upstream file of nginx in step with the servers that are up', async (t) => {
  const directory = temporaryDir(t);
  const [file, reloads] = [join(directory, 'upstream.conf'), join(directory, 'reloads')];
  writeFileSync(reloads, '');
  const [one = 0, two = 0] = await freePorts(2);
  await serve(t, one);
  const second = await serve(t, two);
  const { default: example } = (await import('../../examples/proxy-upstream/config.ts')) as {
    default: { services: object; bundled: ['watch'] };
  };
  const services = JSON.parse(
    JSON.stringify(example.services)
      .replace('8001', String(one))
      .replace('8002', String(two))
      .replace('"path":"/"}', '"path":"/"},"intervalMs":50')
      .replace('/tmp/web-upstream.conf', file)
      .replace('"upstream":"web"', `"upstream":"web","reload":["sh","-c","echo reload >> ${reloads}"]`),
  ) as never;
  const pluginsDir = join(PROJECT_DIR, 'examples/proxy-upstream/plugins');
  const relay = await startRelay(t, { pluginsDir, bundled: example.bundled, services });
  const written = async (...lines: readonly string[]): Promise<void> => {
    const expected = `upstream web {\n${lines.map((line) => `  server ${line}\n`).join('')}}\n`;
    while (!existsSync(file) || readFileSync(file, 'utf8') !== expected) await relay.call('ping');
  };
  await written(`127.0.0.1:${one}; # web1`, `127.0.0.1:${two}; # web2`);
  second.closeAllConnections();
  second.close();
  await written(`127.0.0.1:${one}; # web1`);
  await serve(t, two);
  await written(`127.0.0.1:${one}; # web1`, `127.0.0.1:${two}; # web2`);
  await relay.stop();
  t.is(readFileSync(reloads, 'utf8'), 'reload\n'.repeat(3));
});
