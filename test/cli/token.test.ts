/** `co2 token`: what it prints, how it ends, and that a running relay knows at once. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { pluginsDir } from '../support/relays.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import { call } from '../http/raw.ts';

test('a token is created, used, listed and revoked while the relay runs', async (t) => {
  const relay = await startCo2(t, { files: { 'config.ts': 'export default { maxWrongCredentials: 1_000_000 };' } });
  const { cwd, url } = relay;
  const made = await runCo2(t, {
    cwd,
    args: ['token', 'create', 'ci', '--classes', 'read,call', '--methods', 'ping,ham.*', '--expires', '30d'],
  }).exit;
  t.is(made.code, 0);
  const [token = '', ...rest] = made.stdout;
  t.regex(token, /^[\w-]{43}$/);
  t.deepEqual(rest, []);
  t.regex(made.stderr.join('\n'), /^token 'ci' grants read, call on ping, ham\.\* until \d{4}-.*not shown again$/);
  const headers = { authorization: `Bearer ${token}` };
  t.timeout(30_000);
  // The relay looks at the file once a second; the test's time limit ends this.
  const until = async (kind: string): Promise<ParsedResponse> => {
    for (;;) {
      const answer = await call(url, 'ping', [], { headers });
      if (answer.kind === kind) return answer;
    }
  };
  t.like(await until('value'), { value: true });
  t.like(await call(url, 'test', [], { headers }), { kind: 'fault', code: 403 });
  const listed = await runCo2(t, { cwd, args: ['token', 'list', '--json'] }).exit;
  t.like((JSON.parse(listed.stdout.join('')) as object[])[0], {
    name: 'ci',
    classes: ['read', 'call'],
    methods: ['ping', 'ham.*'],
    expired: false,
  });
  t.false(listed.stdout.join('').includes(token));
  t.false(readFileSync(join(cwd, '.co2/tokens.json'), 'utf8').includes(token));
  const revoked = await runCo2(t, { cwd, args: ['token', 'revoke', 'ci'] }).exit;
  t.deepEqual(revoked, { code: 0, signal: null, stdout: ['revoked ci'], stderr: [] });
  t.like(await until('fault'), { code: 401 });
});

test('the configuration names the state directory, --data overrides it, and JSON contains the token', async (t) => {
  const cwd = pluginsDir(t, { 'config.ts': "export default { dataDir: 'state' };" });
  const { code, stdout } = await runCo2(t, { cwd, args: ['token', 'create', 'a', '--json'] }).exit;
  t.is(code, 0);
  t.like(JSON.parse(stdout.join('')), { name: 'a', classes: ['read', 'message', 'call'], methods: ['*'], expires: null });
  t.true(readFileSync(join(cwd, 'state/tokens.json'), 'utf8').includes('"a"'));
  const other = await runCo2(t, { cwd, args: ['token', 'list', '--data', 'other'] }).exit;
  t.deepEqual([other.code, other.stdout], [0, []]);
  const listed = await runCo2(t, { cwd, args: ['token', 'list'] }).exit;
  t.deepEqual(listed.stdout, ['a  read,message,call  *  never expires']);
});

test('configured tokens are listed, and revoke explains where to remove them', async (t) => {
  const config = "export default { access: { tokens: { ci: { env: 'CI_TOKEN', methods: ['ham.*'], expires: '2020-01-31' } } } };";
  const cwd = pluginsDir(t, { 'config.ts': config });
  const listed = await runCo2(t, { cwd, args: ['token', 'list'] }).exit;
  t.deepEqual(listed.stdout, ['ci  read,message,call  ham.*  expired 2020-01-31  (configuration)']);
  const json = await runCo2(t, { cwd, args: ['token', 'list', '--json'] }).exit;
  t.like((JSON.parse(json.stdout.join('')) as object[])[0], { name: 'ci', methods: ['ham.*'], from: 'configuration', expired: true });
  const revoked = await runCo2(t, { cwd, args: ['token', 'revoke', 'ci'] }).exit;
  t.is(revoked.code, 1);
  t.regex(revoked.stderr.join(), /token 'ci' is defined in the configuration/);
});

test('--reads, or reads in the configuration, is stored, listed and applied by the relay', async (t) => {
  const files = {
    'config.ts': "export default { access: { tokens: { ci: { env: 'CI_TOKEN', reads: ['i8'] } } } };",
    'plugins/ham/gap.ts': `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Gap extends Plugin { @Exposed() since() { return [null]; } }`,
  };
  const cwd = pluginsDir(t, files);
  const env = { CI_TOKEN: 'a-secret-of-the-ci-1234' };
  const made = await runCo2(t, { cwd, env, args: ['token', 'create', 'py', '--reads', 'nil,i8'] }).exit;
  t.is(made.code, 0, made.stderr.join());
  const listed = await runCo2(t, { cwd, env, args: ['token', 'list'] }).exit;
  t.deepEqual(listed.stdout, [
    'ci  read,message,call  *  never expires  reads i8  (configuration)',
    'py  read,message,call  *  never expires  reads nil,i8',
  ]);
  const json = await runCo2(t, { cwd, env, args: ['token', 'list', '--json'] }).exit;
  t.like((JSON.parse(json.stdout.join('')) as object[])[1], { name: 'py', reads: ['nil', 'i8'] });
  const { url } = await startCo2(t, { cwd, env });
  const by = (token = ''): Promise<ParsedResponse> => call(url, 'ham.gap.since', [], { headers: { authorization: `Bearer ${token}` } });
  t.like(await by(made.stdout[0]), { kind: 'value', value: [null] });
  t.like(await by(env.CI_TOKEN), { kind: 'fault', code: -32603 });
});

const REFUSALS: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
  [[], 2, /^co2: token requires one of create, list and revoke; see co2 token --help$/],
  [['frob'], 2, /unknown command 'frob'.*; see co2 token --help$/],
  [['create'], 2, /missing required argument 'name'; see co2 token create --help$/],
  [['create', 'a b'], 1, /a token's name/],
  [['create', 'admin'], 1, /a token's name/],
  [['create', 'a', '--expires', 'soon'], 2, /--expires.*30d or a date/],
  [['create', 'a', '--expires', '2020-01-01'], 2, /--expires.*in the past; see co2 token create --help$/],
  [['create', 'a', '--classes', 'write'], 2, /--classes.*read, message, call, admin/],
  [['create', 'a', '--reads', 'nil,dom'], 2, /--reads.*expected some of nil, i8\.?; see co2 token create --help$/],
  [['create', 'a', '--methods', 'a b'], 2, /--methods.*'a b' is not a method pattern/],
  [['revoke', 'a'], 1, /no token 'a'; there are none/],
];

for (const [args, code, says] of REFUSALS) {
  test.serial(`co2 token ${args.join(' ')}: a one-line error`, async (t) => {
    const exit = await runCo2(t, { args: ['token', ...args] }).exit;
    t.is(exit.code, code);
    t.deepEqual(exit.stdout, []);
    t.is(exit.stderr.length, 1, exit.stderr.join('\n'));
    t.regex(exit.stderr[0]!, says);
  });
}
