/** What the `co2` command logs, and where to. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { run, runCo2, startCo2 } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';

const EAR = `import { Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Ear extends Plugin {
  receive() { this.log('heard'); this.debug('heard well'); }
}
`;

test.serial('log.file receives the console lines, log.accessFile a line per request', async (t) => {
  const files = {
    'config.ts': `export default { log: { file: 'logs/relay.log', accessFile: 'logs/access.log' } };`,
    'plugins/ham/ear.ts': EAR,
  };
  const relay = await startCo2(t, { files });
  await relay.call('ping');
  await t.throwsAsync(relay.call('no.such.method'));
  await relay.call('notify', { data: 1 });
  await relay.stderr.line(/heard/);
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  const read = (name: string): string[] =>
    readFileSync(join(relay.cwd, 'logs', name), 'utf8')
      .trim()
      .split('\n');
  t.deepEqual(read('relay.log'), [...stderr]);
  for (const name of ['relay.log', 'access.log']) t.is(statSync(join(relay.cwd, 'logs', name)).mode & 0o777, 0o600, name);
  const access = read('access.log');
  t.is(access.length, 3);
  t.regex(access[0]!, /^\d{4}-\S+ 127\.0\.0\.1 POST \/RPC2 ping 200 [\d.]+ ms$/);
  t.regex(access[1]!, / no\.such\.method 200 fault -32601 /);
  t.false(stderr.some((line) => line.includes('POST /RPC2')));
});

for (const [zone, offset] of [
  ['UTC', 'Z'],
  ['Asia/Kolkata', '\\+05:30'],
  ['America/St_Johns', '-0[23]:30'],
] as const) {
  test.serial(`all log times have their UTC offset: ${zone}`, async (t) => {
    const files = { 'config.ts': `export default { log: { file: 'relay.log', accessFile: 'access.log' } };` };
    const relay = await startCo2(t, { files, env: { TZ: zone } });
    await relay.call('ping');
    relay.kill('SIGTERM');
    const { stderr } = await relay.exit;
    const read = (name: string): string[] => readFileSync(join(relay.cwd, name), 'utf8').trim().split('\n');
    const lines = [...stderr, ...read('relay.log'), ...read('access.log')].filter((line) => !line.startsWith('    | '));
    const time = new RegExp(`^(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}${offset}) `);
    for (const line of lines) t.true(Math.abs(Date.now() - Date.parse(time.exec(line)?.[1] ?? '')) < 3_600_000, line);
  });
}

test.serial('without log.accessFile requests are not logged', async (t) => {
  const relay = await startCo2(t, { args: ['--log-level', 'debug'] });
  await relay.call('ping');
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  t.false(stderr.some((line) => line.includes('POST /RPC2')));
});

test.serial('log.levels sets a category, or all categories below a prefix', async (t) => {
  const files = {
    'config.ts': `export default { log: { level: 'warn', levels: { relay: 'debug', plugin: 'debug', 'plugin.ham.quiet': 'off' } } };`,
    'plugins/ham/ear.ts': EAR,
    'plugins/ham/quiet.ts': EAR,
  };
  const relay = await startCo2(t, { files });
  await relay.call('notify', { data: 1 });
  await relay.stderr.line(/DEBUG plugin\.ham\.ear heard well/);
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  t.true(stderr.some((line) => line.includes(' DEBUG relay accepted ')));
  t.false(stderr.some((line) => line.includes('plugin.ham.quiet heard')));
  t.false(stderr.some((line) => / (INFO|DEBUG) (app|plugin-host|mesh) /.test(line)));
});

test.serial('a log file that is a FIFO, a directory or a device is a start error', async (t) => {
  const cwd = pluginsDir(t, {});
  t.is((await run(t, 'mkfifo', [join(cwd, 'fifo')]).exit).code, 0);
  for (const option of ['file', 'accessFile']) {
    for (const name of ['fifo', '.', '/dev/null']) {
      writeFileSync(join(cwd, 'config.ts'), `export default { log: { ${option}: '${name}' } };`);
      const { code, stdout, stderr } = await runCo2(t, { args: ['start', '--port', '0'], cwd }).exit;
      t.deepEqual([code, stdout], [2, []]);
      t.regex(stderr.join('\n'), new RegExp(`log\\.${option}: cannot write .* \\(not a regular file\\); choose another file`));
    }
  }
});

test.serial('untrusted text stays on one log line', async (t) => {
  const relay = await startCo2(t, { args: ['--log-level', 'debug'] });
  const client = new XmlRpcClient(new URL(relay.url));
  t.teardown(() => client.close());
  await t.throwsAsync(client.call('notify', [{ data: 1, host_id: 'a\n2026-01-01 ERROR app forged \u202e' }]));
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  t.is(stderr.filter((line) => line.includes('forged')).length, 2, 'at debug and as a warning');
  t.false(stderr.some((line) => line.startsWith('2026-01-01 ERROR') || line.includes('\u202e')));
});

test.serial('neither the log calls nor the errors of a plugin can forge a log line', async (t) => {
  const parrot = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Parrot extends Plugin {
  @Exposed({ params: ['string'] })
  say(text: string) { this.log('heard ' + text); throw new Error('cannot say ' + text); }
}
`;
  const relay = await startCo2(t, { files: { 'plugins/a/parrot.ts': parrot } });
  await t.throwsAsync(relay.call('a.parrot.say', 'x\n2026-01-01T00:00:00.000 INFO app forged\u0085\u202e!'));
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  // Of the error, the log has the first line.
  t.is(stderr.filter((line) => line.includes('forged')).length, 1, stderr.join('\n'));
  t.is(stderr.filter((line) => /ERROR plugin\.a\.parrot a\.parrot\.say failed \(error [0-9a-f]{8}\): cannot say x /.test(line)).length, 1);
  t.true(stderr.filter((line) => line.includes('forged')).every((line) => line.startsWith('    | ')));
  t.false(stderr.some((line) => /[\u0085\u202e]/.test(line)));
});
