/** docs/recordings.md: its plugin, its commands and its configuration do what the page says. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compilerErrors } from '../cli/typescript.ts';
import { PROJECT_DIR, runCo2, startCo2 } from '../support/processes.ts';
import type { Value } from '../../src/values/values.ts';
import { project } from './page.ts';
import { snippetsOf } from './snippets.ts';

const snippets = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/recordings.md'), 'utf8'));
// test/interop runs those in Python and curl.

function sourceOf(wanted: string): string {
  const snippet = snippets.find(({ name }) => name === wanted);
  if (!snippet) throw new Error(`docs/recordings.md has no snippet ${wanted}`);
  return snippet.source;
}

type Struct = Readonly<Record<string, Value>>;

test('every snippet is run by a test', (t) => {
  t.deepEqual(
    snippets.map(({ name }) => name),
    ['plugin', 'commands', 'printed', 'config', 'replay', 'client', 'curl', 'datasource', 'controller'],
  );
});

test('the plugin compiles strictly, and the commands print what the page says', async (t) => {
  const cwd = project(t, { 'plugins/lab/thermo.ts': sourceOf('plugin') });
  t.deepEqual(compilerErrors([join(cwd, 'plugins/lab/thermo.ts')]), []);
  const relay = await startCo2(t, { cwd });
  const co2 = (line: string) => runCo2(t, { args: [...line.split(' '), '--url', relay.url], cwd }).exit;
  const printed: string[] = [];
  for (const line of sourceOf('commands').trimEnd().split('\n')) {
    const { code, stdout, stderr } = await co2(line.replace('co2 ', ''));
    t.deepEqual({ code, stderr }, { code: 0, stderr: [] }, line);
    printed.push(...stdout);
  }
  t.deepEqual(printed, sourceOf('printed').trimEnd().split('\n'));
  const failed = await co2('command lab.thermo --data hot --type text/plain');
  t.is(failed.code, 1);
  t.regex(failed.stderr.join('\n'), /lab\.thermo failed: hot is not a temperature from 0 to 40/);
  const failedJson = await co2('command lab.thermo --data hot --type text/plain --json');
  t.is(failedJson.code, 1);
  t.deepEqual(JSON.parse(failedJson.stderr.join('')), {
    error: { kind: 'failed', code: 'FAILED', message: 'lab.thermo failed: hot is not a temperature from 0 to 40' },
  });
  const unstored = await co2('record replay lab.thermo --speed 0');
  t.deepEqual({ code: unstored.code, stdout: unstored.stdout }, { code: 0, stdout: [] });
  t.regex(unstored.stderr.join('\n'), /^co2: no frames of lab\.thermo are stored .*; co2 record start lab\.thermo --store keeps them$/);
  const json = await co2('command lab.thermo --data 23 --type text/plain --json');
  t.like(JSON.parse(json.stdout[0] ?? ''), { source: 'lab.thermo:command', type: 'text/plain', payload: '23' });
  await co2('command lab.thermo --data 25 --type text/plain --out answer.txt');
  t.is(readFileSync(join(cwd, 'answer.txt'), 'utf8'), '2425');
  const tailed = await co2('record tail lab.thermo --json --count 1');
  t.like(JSON.parse(tailed.stdout[0] ?? ''), { source: 'lab.thermo:record', payload: '20.00' });
  t.deepEqual((await co2('record tail lab.thermo --count 1')).stderr, ['co2: lab.thermo is idle; co2 record start lab.thermo starts it']);
  t.regex((await co2('record list')).stdout.join('\n'), /lab\.thermo:record +idle/);
  const wrong = await co2('record start lab.thremo');
  t.is(wrong.code, 1);
  t.regex(wrong.stderr.join('\n'), /there is no datasource 'lab\.thremo'; did you mean "lab\.thermo"\?/);
  t.is((await co2('command lab.thermo --data @none.bin')).code, 2);
});

test('the configuration records the bundled datasources to the network, a file and the store', async (t) => {
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': sourceOf('config') }) });
  const get = async (name: string) => (await relay.call('recording.get', name)) as { frames: number; stored: Struct; targets: Struct };
  while ((await get('sense.system')).stored.frames === 0)
    await relay.call('recording.subscribe', { name: 'sense.system', from: 'now', waitMs: 500 });
  const { targets } = await get('sense.system');
  t.like(targets, { dicts: { lost: 0 }, file: { lost: 0 }, store: { lost: 0 } });
  const [line = ''] = readFileSync(join(relay.cwd, '.co2/recordings/load.ndjson'), 'utf8').split('\n');
  const sample = JSON.parse((JSON.parse(line) as { payload: string }).payload) as { disks: object };
  t.deepEqual(Object.keys(sample), ['load', 'cpus', 'uptime', 'memory', 'disks']);
  t.deepEqual(Object.keys(sample.disks), ['/']);
  const args = [...sourceOf('replay').trim().split(' ').slice(1), '--url', relay.url];
  const { code, stdout } = await runCo2(t, { args, cwd: relay.cwd }).exit;
  t.is(code, 0);
  t.is(stdout[0], line);
  const random = (await relay.call('recording.subscribe', { name: 'sense.random', waitMs: 5_000 })) as { frames: { payload: Buffer }[] };
  t.regex(random.frames[0]?.payload.toString() ?? '', /^\d\d?$/);
  const other = runCo2(t, { args: ['record', 'start', 'sense.random', '--file', '/etc/x.ndjson', '--url', relay.url], cwd: relay.cwd });
  t.regex((await other.exit).stderr.join('\n'), /it is in none of recordingLimits\.directories/);
  t.false(existsSync('/etc/x.ndjson'));
});

test('a datasource that config.ts misspells is reported at the start', async (t) => {
  const config = sourceOf('config').replace('sense.random:record', 'sense.randm:record');
  const relay = await startCo2(t, { cwd: project(t, { 'config.ts': config }) });
  t.regex(
    await relay.stderr.line(/WARN recordings/),
    /sense\.randm:record is not recorded until a plugin offers this datasource; did you mean "sense\.random:record"\?$/,
  );
});
