/** docs/work.md: its plugin, its programs and its command do what the page says, and a killed relay keeps what the page promises. */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { compilerErrors } from '../cli/typescript.ts';
import { PROJECT_DIR, runCo2, startCo2 } from '../support/processes.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import type { RelayProcess } from '../support/processes.ts';
import { freePorts } from '../support/relays.ts';
import { project } from './page.ts';
import { snippetsOf } from './snippets.ts';

const snippets = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/work.md'), 'utf8'));
// test/interop runs those in Python and curl.

function sourceOf(wanted: string): string {
  const snippet = snippets.find(({ name }) => name === wanted);
  if (!snippet) throw new Error(`docs/work.md has no snippet ${wanted}`);
  return snippet.source;
}

type Struct = Readonly<Record<string, Value>>;

async function ended(relay: RelayProcess, unit: string): Promise<Struct> {
  return (await relay.call('work.status', { unit, waitMs: 30_000 })) as Struct;
}

async function resultsOf(relay: RelayProcess, unit: string, more: Record<string, Sendable> = {}): Promise<readonly Value[]> {
  const { items } = (await relay.call('work.results', { unit, ...more })) as { items: readonly Value[] };
  return items;
}

test('every snippet is run by a test', (t) => {
  t.deepEqual(
    snippets.map(({ name }) => name),
    ['plugin', 'submit', 'submitted', 'programs', 'python', 'bundled', 'checksum', 'node', 'client', 'curl', 'transfer'],
  );
});

test('the plugin compiles strictly, runs in a child, and the command prints its results', async (t) => {
  const cwd = project(t, { 'plugins/ham/spam.ts': sourceOf('plugin') });
  t.deepEqual(compilerErrors([join(cwd, 'plugins/ham/spam.ts')]), []);
  const relay = await startCo2(t, { cwd });
  const [, input = '', line = ''] = /^printf '(.*)' \| co2 (.*)\n$/.exec(sourceOf('submit')) ?? [];
  const args = [...line.split(' '), '--url', relay.url];
  const { code, stdout, stderr } = await runCo2(t, { args, cwd, input: input.replace('\\n', '\n') }).exit;
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: sourceOf('submitted').trimEnd().split('\n'), stderr: [] });
  const info = (await relay.call('work.types')) as readonly Struct[];
  t.deepEqual(
    info.map(({ type, help, max_concurrent: max }) => ({ type, help, max })),
    [{ type: 'ham.spam:count', help: 'Counts the words of a text, line by line.', max: 2 }],
  );
});

test('programs are work: stdin, stdout, stderr and the exit code are kept apart', async (t) => {
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': sourceOf('programs') }) });
  const sorted = (await relay.call('work.submit', { type: 'shell.sort', payload: 'b\na\n' })) as { unit: string };
  t.is((await ended(relay, sorted.unit)).state, 'succeeded');
  t.deepEqual(await resultsOf(relay, sorted.unit), [Buffer.from('a\nb\n')]);
  const args = ['work', 'submit', 'shell.greet', 'name=Ann', '--follow', '--url', relay.url];
  const greeted = await runCo2(t, { args, cwd: relay.cwd }).exit;
  t.deepEqual(greeted.stdout, ['hello Ann']);
  t.is(greeted.stderr[0], 'done');
  t.is(greeted.code, 3);
  const inJson = await runCo2(t, { args: [...args, '--json'], cwd: relay.cwd }).exit;
  t.is(inJson.code, 3);
  const { error } = JSON.parse(inJson.stderr.at(-1) ?? '') as { error: { message: string } };
  t.like(error, { kind: 'failed', code: 'FAILED' });
  t.regex(error.message, /^unit \w+ failed: /);
  const refused = await runCo2(t, { args: ['work', 'submit', 'shell.greet', 'nick=Ann', '--url', relay.url], cwd: relay.cwd }).exit;
  t.is(refused.code, 1);
  t.regex(refused.stderr.join('\n'), /does not take the parameter 'nick': it takes name/);
});

test('units run at another node, at any, and at each of a group', async (t) => {
  const [attic = 0, cellar = 0] = await freePorts(2);
  const configOf = (nick: string, peer: number): Record<string, string> => ({
    'config.ts': sourceOf('programs').replace('work: {', `nick: '${nick}', peers: ['http://127.0.0.1:${peer}'], work: {`),
    'words.txt': 'b\na\n',
  });
  await startCo2(t, { cwd: project(t, configOf('cellar', attic)), args: ['--port', String(cellar)] });
  const relay = await startCo2(t, { cwd: project(t, configOf('attic', cellar)), args: ['--port', String(attic)] });
  // Until the nick is known.
  while (((await relay.call('relay.get_routes')) as readonly Value[]).length === 0) await relay.call('relay.ping');
  const [piped = '', ...lines] = sourceOf('node').trim().split('\n');
  const [, input = '', first = ''] = /^printf '(.*)' \| co2 (.*)$/.exec(piped) ?? [];
  const follow = await runCo2(t, { args: [...first.split(' '), '--url', relay.url], cwd: relay.cwd, input: input.replaceAll('\\n', '\n') })
    .exit;
  t.deepEqual([follow.code, follow.stdout], [0, ['apple', 'pear']], follow.stderr.join('\n'));
  const shown: (readonly string[])[] = [];
  for (const line of lines) {
    const { code, stdout, stderr } = await runCo2(t, { args: [...line.split(' ').slice(1), '--url', relay.url], cwd: relay.cwd }).exit;
    t.is(code, 0, [line, ...stderr].join('\n'));
    shown.push(stdout);
  }
  t.deepEqual(
    shown.map(({ length }) => length),
    [1, 2, 5],
    'a unit, two of a group, and a table of all four',
  );
  t.regex(shown[2]?.join('\n') ?? '', /@[a-z2-7]{32} +shell\.sort/);
});

test('the bundled work is turned on by its name', async (t) => {
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': sourceOf('bundled'), 'photo.jpg': 'hello' }) });
  const types = (await relay.call('work.types')) as readonly Struct[];
  t.deepEqual(
    types.map(({ type }) => type),
    ['task.checksum:execute', 'task.http:execute', 'task.sleep:execute'],
  );
  await relay.call('work.submit', { type: 'task.sleep:execute', params: { seconds: 600 }, id: 'asleep' });
  while (((await relay.call('work.status', 'asleep')) as Struct).state !== 'running');
  const [, , sleeping] = (await relay.call('work.types')) as readonly Struct[];
  t.like(sleeping, { running: 1, pending: 0, is_ready: true });
  const { exit } = runCo2(t, { args: ['call', 'relay.get_status', '--json', '--data', join(relay.cwd, '.co2')], cwd: relay.cwd });
  const { work, plugins } = JSON.parse((await exit).stdout.join('\n')) as { work: Struct; plugins: readonly Struct[] };
  t.like(work, { running: [{ unit: 'asleep', type: 'task.sleep:execute' }], pending: 0, kept: 0, bytes: 0 });
  t.is(sleeping?.version, plugins.find(({ name }) => name === 'task.sleep')?.version);
  const args = sourceOf('checksum').trim().split(' ').slice(1);
  const { stdout } = await runCo2(t, { args: [...args, '--url', relay.url], cwd: relay.cwd }).exit;
  t.deepEqual(stdout, ['{"algorithm":"sha256","digest":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","bytes":5}']);
});

test('a killed relay keeps ended units, runs pending ones, and fails the one that ran', async (t) => {
  const cwd = project(t, {
    'config.ts': `export default { work: { 'shell.cat': { exec: 'cat' }, 'shell.wait': { exec: 'sleep', args: ['600'], maxConcurrent: 1 } } };`,
  });
  const first = await startCo2(t, { cwd });
  const large = 'x'.repeat(200_000);
  await first.call('work.submit', { type: 'shell.cat', payload: large, id: 'done' });
  t.is((await ended(first, 'done')).state, 'succeeded');
  await first.call('work.submit', { type: 'shell.wait', id: 'running', timeoutMs: 600_000 });
  await first.call('work.submit', { type: 'shell.wait', id: 'waiting' });
  while (((await first.call('work.status', 'running')) as Struct).state !== 'running');
  first.kill('SIGKILL');
  await first.exit;
  const second = await startCo2(t, { cwd });
  t.is(((await second.call('work.status', 'done')) as Struct).state, 'succeeded');
  const items = (await resultsOf(second, 'done', { limit: 1_000_000 })) as readonly Buffer[];
  t.is(Buffer.concat(items).toString(), large);
  const orphan = (await second.call('work.status', 'running')) as { state: string; reason: string };
  t.is(orphan.state, 'failed');
  t.regex(orphan.reason, /^orphaned: the relay ended while it ran/);
  const waiting = (await second.call('work.status', 'waiting')) as Struct;
  t.true(waiting.state === 'running' || waiting.state === 'pending');
  t.is(((await second.call('work.cancel', 'waiting')) as Struct).state, 'canceled');
  for (const unit of ['done', 'running', 'waiting']) t.true(await second.call('work.release', unit));
  t.deepEqual(await readdir(join(cwd, '.co2/work')), []);
});
