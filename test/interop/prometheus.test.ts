/** A real Prometheus with the configuration and the rules of examples/monitoring, and a token made by the command of docs/monitoring.md. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { snippetsOf } from '../docs/snippets.ts';
import { PROJECT_DIR, run, runCo2 } from '../support/processes.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';

const EXAMPLE = join(PROJECT_DIR, 'examples/monitoring');
const COMMAND = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/monitoring.md'), 'utf8')).find(({ name }) => name === 'token')!.source;

test('Prometheus scrapes the relay with its token, and loads every rule', async (t) => {
  const dir = temporaryDir(t);
  const relay = await startRelay(t, { dataDir: join(dir, 'state'), access: { local: { classes: [] } } });
  t.is((await fetch(`${relay.url}/metrics`)).status, 403);
  const [, ...args] = COMMAND.trim().split(' ');
  const created = await runCo2(t, { args: [...args, '--data', join(dir, 'state')] }).exit;
  t.is(created.code, 0, created.stderr.join('\n'));
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, created.stdout[0]!);

  const config = readFileSync(join(EXAMPLE, 'prometheus.yml'), 'utf8')
    .replace('127.0.0.1:2004', new URL(relay.url).host)
    .replace('15s', '1s')
    .replace('# authorization:', 'authorization:')
    .replace('#   credentials_file: /etc/prometheus/co2-relay.token', `  credentials_file: ${tokenFile}`);
  writeFileSync(join(dir, 'prometheus.yml'), config);
  copyFileSync(join(EXAMPLE, 'alerts.yml'), join(dir, 'alerts.yml'));
  const checked = await run(t, 'promtool', ['check', 'config', join(dir, 'prometheus.yml')]).exit;
  t.is(checked.code, 0, checked.stderr.join('\n'));

  const [port = 0] = await freePorts(1);
  const flags = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=127.0.0.1:${port}`];
  const prometheus = run(t, 'prometheus', flags, { cwd: dir });
  await prometheus.stderr.line(/Server is ready to receive web requests/);
  const ask = async (path: string): Promise<unknown> => {
    const { data } = (await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()) as { data: unknown };
    return data;
  };
  const value = async (query: string): Promise<string | undefined> => {
    const { result } = (await ask(`query?query=${encodeURIComponent(query)}`)) as { result: { value: [number, string] }[] };
    return result[0]?.value[1];
  };
  await relay.log.line(/GET \/metrics 200/);
  // Prometheus stores the samples a moment after it has read them.
  while ((await value('up{job="co2-relay"}')) !== '1' || (await value('co2_ready')) === undefined);
  t.is(await value('co2_ready'), '1');
  t.is(await value('co2_plugin_state{state="ready"}'), '1');
  const { groups } = (await ask('rules')) as { groups: { rules: { name: string; health: string }[] }[] };
  t.is(groups[0]!.rules.length, readFileSync(join(EXAMPLE, 'alerts.yml'), 'utf8').split('alert: ').length - 1);
});
