/** `co2 check-plugin` as its user meets it: lines, exit codes, JSON, and no process left when it is interrupted. */
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { runCo2 } from '../support/processes.ts';
import type { Exit } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { FIXTURE } from '../check-plugin/kit.ts';

const NODE = process.execPath;

/** The fixture, by its name. */
const check = (t: ExecutionContext, mode: string, ...flags: string[]): Promise<Exit> =>
  runCo2(t, { args: ['check-plugin', ...flags, NODE, '--', FIXTURE, mode] }).exit;

test.serial('a correct program passes every check', async (t) => {
  const cwd = pluginsDir(t, {});
  copyFileSync(FIXTURE, join(cwd, 'my-thermo.mjs'));
  // Found by its own first line, as programs are.
  writeFileSync(join(cwd, 'my-thermo'), `#!/bin/sh\nexec ${NODE} ${join(cwd, 'my-thermo.mjs')} "$@"\n`);
  chmodSync(join(cwd, 'my-thermo'), 0o755);
  const { code, stdout, stderr } = await runCo2(t, { args: ['check-plugin', './my-thermo', '--call'], cwd }).exit;
  t.is(code, 0, stdout.join('\n'));
  t.deepEqual(stderr, []);
  t.true(stdout.includes('ok      its methods answer what their signatures say: my_thermo.add(int, int)'), stdout.join('\n'));
  t.regex(stdout.at(-1) ?? '', /^\d+ passed$/);
  t.true(stdout.slice(0, -2).every((line) => line.startsWith('ok ')));
});

test.serial('a failed check prints expected and actual behaviour and a remedy, and exits with 1', async (t) => {
  const { code, stdout } = await check(t, 'setup-false', '--name', 'ham.spam');
  t.is(code, 1);
  const at = stdout.indexOf('FAILED  plugin.setup accepts its configuration');
  t.deepEqual(stdout.slice(at + 1, at + 4), [
    '        expected: anything but false, or fault -32601',
    '        found:    it answered false, which rejects its configuration',
    '        do:       answer with a fault whose text says why (protocol-for-programs.md, "What the relay calls")',
  ]);
  t.regex(stdout.at(-1) ?? '', /^\d+ passed, 1 failed, \d+ skipped$/);
});

test.serial('a note is not a failure', async (t) => {
  const { code, stdout } = await check(t, 'helpless');
  t.is(code, 0);
  t.regex(stdout.at(-1) ?? '', /^\d+ passed, 1 passed with a note$/);
});

test.serial('--json prints JSON, and --verbose prints the traffic to standard error', async (t) => {
  const { code, stdout, stderr } = await check(
    t,
    'wants-config',
    '--json',
    '--verbose',
    '--config',
    '{"colour": "red"}',
    '--env',
    'A=1',
    '--name',
    'ham',
  );
  const report = JSON.parse(stdout.join('\n')) as {
    name: string;
    ok: boolean;
    counts: object;
    findings: { check: string; verdict: string }[];
  };
  t.is(code, 0);
  t.like(report, { name: 'ham', program: NODE, ok: true, skipped: 0, counts: { failed: 0, note: 0, ok: report.findings.length } });
  t.like(report.findings[0], { check: 'started by hand, it explains what it is and ends', verdict: 'ok' });
  t.true(stderr.some((line) => line.includes('<methodName>plugin.setup</methodName>') && line.includes('<string>red</string>')));
});

test.serial('the configuration may be a file', async (t) => {
  const cwd = pluginsDir(t, { 'setup.json': '{"colour": "red"}' });
  const args = ['check-plugin', '--config', 'setup.json', NODE, '--', FIXTURE, 'wants-config'];
  t.is((await runCo2(t, { args, cwd }).exit).code, 0);
});

test.serial('an interrupted check stops the program', async (t) => {
  const program = runCo2(t, { args: ['check-plugin', '--verbose', NODE, '--', FIXTURE, 'no-ping'] });
  const line = await program.stderr.line(/first line: co2\|1\|http/);
  await program.stderr.line(/<methodName>ping</);
  program.kill('SIGINT');
  t.is((await program.exit).code, 130);
  const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? '';
  await t.throwsAsync(fetch(`http://127.0.0.1:${port}/`));
});

const WRONG: readonly (readonly [args: readonly string[], says: RegExp])[] = [
  [[], /missing required argument 'program'; see co2 check-plugin --help/],
  [['./nothing'], /there is no .*\/nothing/],
  [['./plugins/ham/spam.ts'], /is a plugin module.*co2 test/],
  [['--name', 'system.ham', NODE], /--name: 'system\.ham': expected a name that begins with none of the relay's own words/],
  [['--config', '[1]', NODE], /--config.*no such file/],
  [['--config', '{', NODE], /--config.*expected a JSON object/],
  [['--timeout', 'soon', NODE], /--timeout.*integer number of ms/],
  [['--env', 'A', NODE], /--env.*NAME=VALUE/],
];

for (const [args, says] of WRONG) {
  test.serial(`invalid usage: co2 check-plugin ${args.join(' ').replace(NODE, 'node')}`, async (t) => {
    const { code, stdout, stderr } = await runCo2(t, { args: ['check-plugin', ...args] }).exit;
    t.is(code, 2);
    t.deepEqual(stdout, []);
    t.is(stderr.length, 1);
    t.regex(stderr[0] ?? '', says);
  });
}

test.serial('co2 --help lists check-plugin', async (t) => {
  const { stdout } = await runCo2(t, { args: ['--help'] }).exit;
  t.true(stdout.some((line) => /^ +check-plugin .*check whether a program conforms/.test(line)));
});
