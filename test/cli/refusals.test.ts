/** What stops the `co2` command from starting: each case is one clear line on stderr, nothing on stdout, and an exit code that is not 0. */
import test from 'ava';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { Co2Options } from '../support/processes.ts';
import { REFUSING } from './plugins.ts';

interface Refusal extends Co2Options {
  readonly title: string;
  /** What the line says. */
  readonly says: RegExp;
  readonly code: 1 | 2;
}

const USAGE = 2;
const FAILED = 1;
const config = (source: string): Pick<Refusal, 'args' | 'files'> => ({ args: ['--port', '0'], files: { 'config.ts': source } });

const REFUSALS: readonly Refusal[] = [
  { title: 'an unknown flag, with the nearest', args: ['--prot', '1'], says: /--prot.*--port/, code: USAGE },
  { title: 'an unknown word', args: ['strat'], says: /strat.*start/, code: USAGE },
  { title: '--port without a value', args: ['--port'], says: /--port.*missing/, code: USAGE },
  { title: '--port that is no number', args: ['--port', 'http'], says: /--port.*'http'.*integer/, code: USAGE },
  { title: '--port out of range', args: ['--port', '65536'], says: /--port: found 65536, expected at most 65535/, code: USAGE },
  { title: '--host that is no name', args: ['--host', '', '--port', '0'], says: /--host: found '', expected/, code: USAGE },
  { title: '--host of another machine', args: ['--host', '192.0.2.1', '--port', '0'], says: /192\.0\.2\.1.*--host/, code: FAILED },
  { title: '--plugins that is not there', args: ['--plugins', 'nowhere', '--port', '0'], says: /nowhere.*no such directory/, code: USAGE },
  {
    title: '--plugins that is a file',
    args: ['--plugins', 'a', '--port', '0'],
    files: { a: '' },
    says: /\/a: .*file, not a directory/,
    code: USAGE,
  },
  {
    title: '--data that is a file',
    args: ['--data', 'a', '--port', '0'],
    files: { a: '' },
    says: /\/a .*found a file.*--data/,
    code: FAILED,
  },
  {
    title: '--data below a file',
    args: ['--data', 'a/b', '--port', '0'],
    files: { a: '' },
    says: /a\/b .*found a file.*--data/,
    code: FAILED,
  },
  {
    title: '--peer that is no URL',
    args: ['--peer', 'next-door', '--port', '0'],
    says: /--peer: found 'next-door', expected a URL/,
    code: USAGE,
  },
  {
    title: '--peer of another kind',
    args: ['--peer', 'ftp://127.0.0.1', '--port', '0'],
    says: /--peer: found 'ftp:.*expected a URL/,
    code: USAGE,
  },
  { title: '--log-level that there is not', args: ['--log-level', 'loud'], says: /--log-level.*'loud'.*debug, info/, code: USAGE },
  { title: '--config that is not there', args: ['--config', 'mine.ts'], says: /mine\.ts.*no such file.*--config/, code: USAGE },
  {
    title: 'a configuration that does not compile, with line and column',
    ...config('export default {\n  port: 1,,\n};\n'),
    says: /config\.ts.*line 2, column 11/,
    code: USAGE,
  },
  {
    title: 'a configuration that throws',
    ...config('const a: string = undefined!;\na.trim();\nexport default {};\n'),
    says: /config\.ts.*line 2.*trim/,
    code: USAGE,
  },
  { title: 'a configuration without a default export', ...config('export const a = 1;'), says: /config\.ts.*default export/, code: USAGE },
  { title: 'a configuration that is no object', ...config('export default 7;'), says: /config\.ts: found 7, expected/, code: USAGE },
  {
    title: 'an unknown key, with the nearest',
    ...config('export default { prot: 1 };'),
    says: /config\.ts: prot:.*\bport\b/,
    code: USAGE,
  },
  {
    title: 'an unknown key inside, with the nearest',
    ...config('export default { retry: { minMS: 5 } };'),
    says: /config\.ts: retry\.minMS.*retry\.minMs/,
    code: USAGE,
  },
  {
    title: 'a wrong value: file, key, found, expected',
    ...config("export default { maxBodyBytes: 'much' };"),
    says: /config\.ts: maxBodyBytes: found 'much', expected .*number/,
    code: USAGE,
  },
  {
    title: 'a wrong value in a list',
    ...config("export default { access: { anonymous: ['reed'] } };"),
    says: /config\.ts: access\.anonymous\.0: found 'reed', expected one of "read"/,
    code: USAGE,
  },
  {
    title: 'a package in pluginList that is not there, with the nearest',
    args: ['--port', '0'],
    files: { 'config.ts': "export default { pluginList: ['hma'] };", 'plugins/ham/spam.ts': REFUSING },
    says: /pluginList.*"hma".*ham/,
    code: USAGE,
  },
  {
    title: 'with strictStart a plugin whose setup throws, with its reason and place',
    args: ['--port', '0'],
    env: { CO2_STRICT_START: 'true' },
    files: { 'plugins/ham/spam.ts': REFUSING },
    says: /ham\.spam\.Refusing.*the key "colour" is missing.*ham\/spam\.ts:\d+/,
    code: FAILED,
  },
];

for (const { title, says, code, ...options } of REFUSALS) {
  test.serial(title, async (t) => {
    const end = await runCo2(t, options).exit;
    t.deepEqual(end.stdout, []);
    t.is(end.stderr.length, 1, end.stderr.join('\n'));
    t.regex(end.stderr[0]!, says);
    t.true(end.stderr[0]!.startsWith('co2: '));
    t.is(end.code, code);
  });
}

test.serial('a port that is in use', async (t) => {
  const first = await startCo2(t);
  const end = await runCo2(t, { args: ['--port', String(first.port)] }).exit;
  t.like(end, { code: FAILED, stdout: [] });
  t.deepEqual(end.stderr, [`co2: port ${first.port} on 127.0.0.1 is in use; is another relay running? Choose another with --port`]);
  t.true(await first.call('ping'));
});

// Where nobody may make a directory, not even root.
for (const place of ['/sys', '/proc']) {
  test.serial(`a state directory that cannot be created in ${place}`, async (t) => {
    const end = await runCo2(t, { args: ['--port', '0', '--data', `${place}/co2-test/state`] }).exit;
    t.like(end, { code: FAILED, stdout: [] });
    t.is(end.stderr.length, 1, end.stderr.join('\n'));
    t.true(end.stderr[0]!.startsWith(`co2: the state directory ${place}/co2-test/state cannot be used: `));
    t.regex(end.stderr[0]!, /choose another with --data$/);
  });
}

for (const key of ['file', 'accessFile']) {
  test.serial(`a log.${key} that is not writable`, async (t) => {
    const files = { 'config.ts': `export default { log: { ${key}: 'a/b.log' } };`, a: '' };
    const end = await runCo2(t, { args: ['--port', '0'], files }).exit;
    t.like(end, { code: USAGE, stdout: [] });
    t.is(end.stderr.length, 1, end.stderr.join('\n'));
    t.regex(end.stderr[0]!, new RegExp(`^co2: .*log\\.${key}.*a/b\\.log`));
  });

  test.serial(`a log.${key} whose directory cannot be created`, async (t) => {
    const files = { 'config.ts': `export default { log: { ${key}: '/proc/nope/x.log' } };` };
    const end = await runCo2(t, { args: ['--port', '0'], files }).exit;
    t.like(end, { code: USAGE, stdout: [] });
    t.is(end.stderr.length, 1, end.stderr.join('\n'));
    t.regex(end.stderr[0]!, new RegExp(`^co2: log\\.${key}: cannot write /proc/nope/x\\.log .*choose another file$`));
  });
}
