/** A configuration that changes while the relay runs: what takes effect, what waits for a restart, and a wrong one that changes nothing. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readOptions } from '../../src/cli/read-options.ts';
import { reloadOf } from '../../src/cli/start.ts';
import { Gate } from '../support/gate.ts';
import { LogRecord } from '../support/log-record.ts';
import { pluginsDir } from '../support/relays.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { Exit, RelayProcess } from '../support/processes.ts';
import { request } from '../http/raw.ts';

const write = (relay: RelayProcess, source: string): void => {
  writeFileSync(join(relay.cwd, 'config.ts'), `export default ${source};\n`);
};
const reload = (t: ExecutionContext, relay: RelayProcess, ...args: string[]): Promise<Exit> =>
  runCo2(t, { args: ['reload', '--url', relay.url, ...args], cwd: relay.cwd }).exit;

test.serial('co2 reload applies live options, reports the others, and keeps flags and environment', async (t) => {
  const relay = await startCo2(t, {
    files: { 'config.ts': 'export default {};' },
    env: { CO2_MAX_MULTICALL: '7' },
    args: ['--log-level', 'info'],
  });
  t.like(await reload(t, relay), { code: 0, stdout: ['nothing changed'] });
  t.is((await request(relay.url, { headers: { host: 'relay.example' } })).status, 421);
  write(
    relay,
    `{ maintainer: 'ann', allowedHosts: ['relay.example'], drainMs: 1, maxMulticall: 1, log: { level: 'debug', levels: { relay: 'debug' } } }`,
  );
  t.like(await reload(t, relay), {
    code: 0,
    stdout: ['took effect: allowedHosts, maintainer, log.levels', 'needs a restart: drainMs'],
  });
  t.like(await relay.call('system.get_properties'), { maintainer: 'ann' });
  t.is((await request(relay.url, { headers: { host: 'relay.example' } })).status, 200);
  await relay.call('notify', { data: 1 });
  await relay.stderr.line(/ DEBUG relay accepted /);
  write(relay, '{}');
  t.deepEqual(JSON.parse((await reload(t, relay, '--json')).stdout.join('')), {
    took_effect: ['allowedHosts', 'maintainer', 'log.levels'],
    needs_restart: [],
  });
  t.is((await request(relay.url, { headers: { host: 'relay.example' } })).status, 421);
});

test.serial('an invalid configuration is rejected with a reason and changes nothing', async (t) => {
  const relay = await startCo2(t, { files: { 'config.ts': `export default { maintainer: 'ann' };` } });
  for (const [source, says] of [
    [`{ maintainer: 'bob', prot: 1 }`, /config\.ts: prot: there is no such option; did you mean "port"/],
    [`{ maintainer: 'bob', , }`, /cannot load config\.ts: line 1/],
  ] as const) {
    write(relay, source);
    const end = await reload(t, relay);
    t.like(end, { code: 1, stdout: [] });
    t.regex(end.stderr.join('\n'), /^co2: fault 520: /);
    t.regex(end.stderr.join('\n'), says);
    t.like(await relay.call('system.get_properties'), { maintainer: 'ann' });
  }
  t.is((await relay.stderr.lines(/ ERROR app reload failed, the configuration is unchanged: .*config\.ts/, 2)).length, 2);
});

test.serial('a missing configuration file is an error at a reload, also with another one beside it', async (t) => {
  const relay = await startCo2(t, { files: { 'config.mjs': `export default { maintainer: 'ann' };` } });
  write(relay, `{ maintainer: 'bob' }`);
  t.like(await reload(t, relay), { code: 0, stdout: ['nothing changed'] });
  rmSync(join(relay.cwd, 'config.ts'));
  rmSync(join(relay.cwd, 'config.mjs'));
  const end = await reload(t, relay);
  t.is(end.code, 1);
  t.regex(end.stderr.join(), /^co2: fault 520: config\.mjs no longer exists: .* was read at the start; restore it, or restart the relay$/);
  await relay.stderr.line(/ERROR app reload failed, the configuration is unchanged: config\.mjs no longer exists/);
  t.like(await relay.call('system.get_properties'), { maintainer: 'ann' });
});

test.serial('a file that never finishes loading times out, and the next reload works', async (t) => {
  const config = join(pluginsDir(t, { 'config.mjs': `export default { maintainer: 'ann' };` }), 'config.mjs');
  const read = await readOptions({ config });
  const [clock, log, reconfigured] = [new VirtualClock(), new LogRecord(), [] as string[]];
  const relay = {
    reconfigure: ({ maintainer }: { readonly maintainer: string }) => {
      reconfigured.push(maintainer);
      return { tookEffect: [], needsRestart: [] };
    },
  };
  const reloadNow = reloadOf({ config }, relay, read, log.source('app'), clock);
  const loading = new Gate<true>();
  Object.assign(globalThis, { configLoads: () => loading.push(true) });
  writeFileSync(config, 'configLoads();\nawait new Promise(() => {});\nexport default {};\n');
  const hanging = t.throwsAsync(reloadNow(), { message: /cannot load \S*config\.mjs: it took longer than 30 s; does it await/ });
  const next = reloadNow();
  await loading.first(1);
  writeFileSync(config, `export default { maintainer: 'bob' };\n`);
  clock.advance(30_000);
  t.like(await hanging, { code: 'CONFIG_INVALID' });
  await next;
  t.deepEqual(reconfigured, ['bob']);
  t.is(log.matching(/reload failed, the configuration is unchanged/).length, 1);
});

test.serial('SIGHUP reloads and logs it; a reload by call requires the admin token', async (t) => {
  const relay = await startCo2(t, { files: { 'config.ts': 'export default {};' } });
  write(relay, `{ maintainer: 'ann' }`);
  relay.kill('SIGHUP');
  await relay.stderr.line(/ INFO app reload: took effect: maintainer$/);
  t.like(await relay.call('system.get_properties'), { maintainer: 'ann' });
  await t.throwsAsync(relay.call('relay.reload'), { message: /needs the right 'admin'/ });
});
