/** docs/recordings.md: its programs in Python record and are commanded, and its clients in Python and curl get frames. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { project } from '../docs/page.ts';
import { snippetsOf } from '../docs/snippets.ts';
import { PROJECT_DIR, run, runCo2, startCo2 } from '../support/processes.ts';
import type { Value } from '../../src/values/values.ts';

const snippets = new Map(
  snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/recordings.md'), 'utf8')).map(({ name, source }) => [name, source] as const),
);

interface Page extends Readonly<Record<string, Value>> {
  readonly frames: readonly { readonly payload: Buffer }[];
  readonly next: string;
}

const PROGRAMS = { 'datasource.py': snippets.get('datasource') ?? '', 'controller.py': snippets.get('controller') ?? '' };

test('the programs in Python record and are commanded, and a killed one goes on', async (t) => {
  const cwd = project(t, PROGRAMS);
  const program = (name: string): string => `{ name: 'lab.${name}', exec: 'python3', args: [${JSON.stringify(join(cwd, `${name}.py`))}] }`;
  const config = `export default { programs: [${program('datasource')}, ${program('controller')}] };`;
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': config }) });
  await relay.call('recording.start', 'lab.datasource');
  const subscribe = async (from: string): Promise<Page> =>
    (await relay.call('recording.subscribe', { name: 'lab.datasource', from, waitMs: 5_000 })) as Page;
  let page = await subscribe('first');
  while (page.frames.length === 0) page = await subscribe(page.next);
  t.is(page.frames[0]?.payload.toString(), 'tick 0');
  const list = await runCo2(t, { args: ['plugin', 'list', '--json', '--data', join(relay.cwd, '.co2')], cwd: relay.cwd }).exit;
  const pid =
    (JSON.parse(list.stdout.join('\n')) as { name: string; pid: number }[]).find(({ name }) => name === 'lab.datasource')?.pid ?? 0;
  process.kill(pid, 'SIGKILL');
  page = await subscribe(page.next);
  while (page.frames.every(({ payload }) => payload.toString() !== 'tick 0') || page.state !== 'recording')
    page = await subscribe(page.next);
  t.like(await relay.call('recording.get', 'lab.datasource'), { state: 'recording', restarts: 1 });
  const { stdout } = await runCo2(t, { args: ['command', 'lab.controller', '--data', 'one two', '--url', relay.url], cwd: relay.cwd }).exit;
  t.deepEqual(stdout, ['ONE', 'TWO']);
  t.like(await relay.call('recording.stop', 'lab.datasource'), { state: 'idle' });
});

test('the clients in Python and curl get frames', async (t) => {
  const relay = await startCo2(t, { cwd: project(t, { 'plugins/lab/thermo.ts': snippets.get('plugin') ?? '' }) });
  const here = (source: string): string => source.replaceAll('127.0.0.1:2004', new URL(relay.url).host);
  const python = await run(t, 'python3', ['-c', here(snippets.get('client') ?? '')]).exit;
  t.deepEqual([python.code, python.stderr], [0, []]);
  t.deepEqual([python.stdout[0], python.stdout.at(-1)], ['text/plain 5 bytes', 'succeeded']);
  const curl = run(t, 'sh', ['-c', `exec ${here(snippets.get('curl') ?? '')}`]);
  t.regex(
    await curl.stdout.line(/^data: \{"source"/),
    /^data: \{"source":"lab\.thermo:record","type":"text\/plain","timestamp":\d+,"payload":"20\.00"\}$/,
  );
  curl.kill('SIGTERM');
});
