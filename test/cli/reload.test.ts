/** A configuration that changes while the relay runs: what takes effect, what waits for a restart, and a wrong one that changes nothing. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { Exit, RelayProcess } from '../support/processes.ts';
import { request } from '../http/raw.ts';

const write = (relay: RelayProcess, source: string): void => {
  writeFileSync(join(relay.cwd, 'config.ts'), `export default ${source};\n`);
};
const reload = (t: ExecutionContext, relay: RelayProcess, ...args: string[]): Promise<Exit> =>
  runCo2(t, { args: ['reload', '--url', relay.url, ...args], cwd: relay.cwd }).exit;

test.serial('co2 reload: live options change, others wait, flags and environment stay', async (t) => {
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

test.serial('a wrong configuration is refused with its reason, and the old one stays', async (t) => {
  const relay = await startCo2(t, { files: { 'config.ts': `export default { maintainer: 'ann' };` } });
  for (const [source, says] of [
    [`{ maintainer: 'bob', prot: 1 }`, /config\.ts: prot: there is no such option; did you mean "port"/],
    [`{ maintainer: 'bob', , }`, /config\.ts does not load: line 1/],
  ] as const) {
    write(relay, source);
    const end = await reload(t, relay);
    t.like(end, { code: 1, stdout: [] });
    t.regex(end.stderr.join('\n'), /^co2: fault 520: /);
    t.regex(end.stderr.join('\n'), says);
    t.like(await relay.call('system.get_properties'), { maintainer: 'ann' });
  }
  t.is((await relay.stderr.lines(/ ERROR app reload refused, the old configuration stays: config\.ts/, 2)).length, 2);
});

test.serial('SIGHUP reloads and says so; nobody without the admin token may', async (t) => {
  const relay = await startCo2(t, { files: { 'config.ts': 'export default {};' } });
  write(relay, `{ maintainer: 'ann' }`);
  relay.kill('SIGHUP');
  await relay.stderr.line(/ INFO app reload: took effect: maintainer$/);
  t.like(await relay.call('system.get_properties'), { maintainer: 'ann' });
  await t.throwsAsync(relay.call('relay.reload'), { message: /needs the right 'admin'/ });
});
