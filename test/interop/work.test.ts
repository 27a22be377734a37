/** docs/work.md: its program in Python does work, and its clients in Python and curl submit some and read the results. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { project } from '../docs/page.ts';
import { snippetsOf } from '../docs/snippets.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

const snippets = new Map(
  snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/work.md'), 'utf8')).map(({ name, source }) => [name, source] as const),
);

test('the program in Python does work', async (t) => {
  const cwd = project(t, { 'shout.py': snippets.get('python') ?? '' });
  const config = `export default { programs: [{ name: 'lab.shout', exec: 'python3', args: [${JSON.stringify(join(cwd, 'shout.py'))}] }] };`;
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': config }) });
  await relay.call('work.submit', { type: 'lab.shout:shout', payload: 'one\ntwo', id: 'u1' });
  t.like(await relay.call('work.status', { unit: 'u1', waitMs: 30_000 }), { state: 'succeeded' });
  t.like(await relay.call('work.results', 'u1'), { items: ['ONE\n', 'TWO\n'], ended: true });
});

test('the clients in Python and curl print the results', async (t) => {
  const relay = await startCo2(t, { cwd: project(t, { 'plugins/ham/spam.ts': snippets.get('plugin') ?? '' }) });
  const here = (source: string): string => source.replaceAll('127.0.0.1:2004', new URL(relay.url).host);
  const python = await run(t, 'python3', ['-c', here(snippets.get('client') ?? '')]).exit;
  t.deepEqual(python, { ...python, code: 0, stdout: ['2', '3', 'succeeded'], stderr: [] });
  const curl = await run(t, 'sh', ['-c', here(snippets.get('curl') ?? '')]).exit;
  t.is(curl.code, 0);
  const [submitted = '', results = ''] = curl.stdout.join('').replace('}{', '}\n{').split('\n');
  t.like(JSON.parse(submitted), { unit: 'mine', state: 'pending' });
  t.like(JSON.parse(results), { items: [{ line: 'one two', words: 2 }] });
});

test('curl sends a payload and gets the results, whole, in part and as events', async (t) => {
  const cwd = project(t, { 'config.ts': snippets.get('programs') ?? '', 'words.txt': 'b\na\n' });
  const relay = await startCo2(t, { cwd });
  const script = (snippets.get('transfer') ?? '').replaceAll('127.0.0.1:2004', new URL(relay.url).host);
  const { code, stdout } = await run(t, 'sh', ['-ec', script], { cwd }).exit;
  t.is(code, 0);
  t.is(readFileSync(join(cwd, 'sorted.txt'), 'utf8'), 'a\nb\n');
  t.is(stdout[0], 'b');
  t.deepEqual(stdout.slice(1, 4), ['event: result', 'id: 4', 'data: {"$base64":"YQpiCg=="}']);
  t.regex(stdout.join('\n'), /event: state\nid: end\ndata: \{.*"state":"succeeded"/);
});
