/**
 * The programs of templates/ as written by `co2 new plugin`: they pass their tests, conform to the protocol and run in a relay, and their
 * tests detect bugs.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { run, runCo2, startCo2 } from '../support/processes.ts';
import type { Exit } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

/** Returns the line with this prefix, without the prefix. */
function step(lines: readonly string[], beginning: string): string {
  const line = lines.find((one) => one.startsWith(beginning)) ?? '';
  return line.slice(beginning.length).trim();
}

/** Runs a command line in a directory, as a person would. */
function shell(t: ExecutionContext, cwd: string, line: string): Promise<Exit> {
  return run(t, 'sh', ['-c', line], { cwd }).exit;
}

// A JDK is a download of 200 MB, so this language is tested where there is one.
const hasJdk = spawnSync('javac', ['--version']).status === 0;

const LANGUAGES: readonly (readonly [language: string, passes: RegExp, broken: readonly [string, string]])[] = [
  ['python', /^OK$/, ['return a + b', 'return a - b']],
  ['perl', /^Result: PASS$/, ['$x + $y', '$x - $y']],
  ['ruby', /4 runs, 12 assertions, 0 failures, 0 errors/, ['one + other', 'one - other']],
  ['c', /^ok - stops on request$/, ['__builtin_add_overflow', '__builtin_sub_overflow']],
  ['go', /^PASS$/, ['return a + b', 'return a - b']],
  ['php', /^ok - stops on request$/, ['$a + $b', '$a - $b']],
  ...(hasJdk ? [['java', /^ok - stops on request$/, ['Math.addExact', 'Math.subtractExact']] as const] : []),
  ['sh', /^ok - stops on request$/, ['$(($1 + $2))', '$(($1 - $2))']],
];

for (const [language, passes, [right, wrong]] of LANGUAGES) {
  test.serial(`${language}: a new program passes its test and runs in a relay, and its test detects a bug`, async (t) => {
    const cwd = pluginsDir(t, {});
    const made = await runCo2(t, { args: ['new', 'plugin', 'ham/my-spam', '--lang', language], cwd }).exit;
    t.is(made.code, 0, made.stderr.join('\n'));
    const testLine = step(made.stdout, 'test it:');
    const passed = await shell(t, cwd, testLine);
    const said = [...passed.stdout, ...passed.stderr];
    t.is(passed.code, 0, said.join('\n'));
    t.true(
      said.some((line) => passes.test(line)),
      said.join('\n'),
    );
    t.false(
      said.some((one) => one.includes('warning')),
      said.join('\n'),
    );

    await shell(t, cwd, step(made.stdout, 'build it:'));
    const checked = await shell(t, cwd, step(made.stdout, 'check it:'));
    t.is(checked.code, 0, checked.stdout.join('\n'));
    t.regex(checked.stdout.at(-1) ?? '', /^\d+ passed/);
    await runs(t, cwd, step(made.stdout, 'add it to config.ts:'));

    const source = join(cwd, /wrote ([^ ,]+)/.exec(made.stdout[0] ?? '')?.[1] ?? '');
    const before = readFileSync(source, 'utf8');
    t.true(before.includes(right));
    writeFileSync(source, before.replace(right, wrong));
    t.not((await shell(t, cwd, testLine)).code, 0);
  });
}

/**
 * A relay with the printed configuration: the program is described and called, receives and sends dicts, and stops with the relay; run by
 * hand it prints a help text.
 */
async function runs(t: ExecutionContext, cwd: string, line: string): Promise<void> {
  writeFileSync(join(cwd, 'config.ts'), `export default { ${line} };\n`);
  const relay = await startCo2(t, { cwd });
  t.is(await relay.call('ham.my_spam.add', 2, 3), 5);
  t.is(await relay.call('ham.my_spam.add', -7, 3), -4);
  t.is(await relay.call('system.methodHelp', 'ham.my_spam.add'), 'Adds two numbers.');
  t.deepEqual(await relay.call('system.methodSignature', 'ham.my_spam.add'), [['int', 'int', 'int']]);
  await t.throwsAsync(relay.call('ham.my_spam.add', 2, 'x'), { message: /./ }, 'wrong parameters cause a fault');
  // Languages differ in the result of an overflow, but this call and the next one are answered.
  await relay.call('ham.my_spam.add', 2_147_483_647, 2_147_483_647).catch((error: unknown) => t.regex(String(error), /fault/i));
  t.is(await relay.call('ham.my_spam.add', 2, 3), 5);
  await t.throwsAsync(relay.call('ham.my_spam.subtract', 1, 2), { message: /ham\.my_spam\.subtract/ });
  const other = await scriptedPeer(t);
  await relay.call('relay.register', { port: other.port, nick: 'other' });
  await relay.call('notify', { data: { no: 'ping', text: 'satellite 🛰' } });
  await relay.call('notify', { data: 'ping' });
  const heard = await other.notified.first(3);
  const { host_id: sender } = heard[1] as { host_id: string };
  t.deepEqual(heard.map(({ data }) => data).at(-1), { pong: sender });
  const [, pid = ''] = /process (\d+)/.exec(await relay.stderr.line(/ham\.my_spam is ready/)) ?? [];
  const info = await runCo2(t, { args: ['plugin', 'info', 'ham.my_spam', '--url', relay.url, '--json'], cwd }).exit;
  t.like(JSON.parse(info.stdout.join('')), { state: 'ready', version: '0.1.0', restarts: 0, last_error: '' });
  relay.kill('SIGTERM');
  t.is((await relay.exit).code, 0);
  t.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
  t.deepEqual(
    relay.stderr.all.filter((one) => /SIGTERM to|SIGKILL|it ended with/.test(one)),
    [],
  );
  const exec = /exec: '([^']+)'/.exec(line)?.[1] ?? '';
  const byHand = await run(t, join(cwd, exec), []).exit;
  t.not(byHand.code, 0);
  t.deepEqual(byHand.stderr, ["ham.my_spam is a satellite that co2-relay starts: add it to 'programs' in config.ts"]);
}

for (const [language, [right, wrong], result] of [
  ['python', ["'words': len(", "'words': 1 + len("], { line: 'one two', words: 2 }],
  ['sh', ['print NF, $0', 'print NR, $0'], '2 one two\n'],
] as const) {
  test.serial(
    `${language}: a new program that works passes its test and the checks, runs in a relay, and its test detects a bug`,
    async (t) => {
      const cwd = pluginsDir(t, {});
      const made = await runCo2(t, { args: ['new', 'plugin', 'ham/my-spam', '--kind', 'work', '--lang', language], cwd }).exit;
      t.is(made.code, 0, made.stderr.join('\n'));
      const testLine = step(made.stdout, 'test it:');
      const passed = await shell(t, cwd, testLine);
      t.is(passed.code, 0, [...passed.stdout, ...passed.stderr].join('\n'));
      const checked = await shell(t, cwd, step(made.stdout, 'check it:'));
      t.is(checked.code, 0, checked.stdout.join('\n'));
      t.true(
        checked.stdout.some((line) => /^ok\s+plugin\.cancel ends its work/.test(line)),
        checked.stdout.join('\n'),
      );
      t.regex(checked.stdout.at(-1) ?? '', /^\d+ passed/);

      writeFileSync(join(cwd, 'config.ts'), `export default { ${step(made.stdout, 'add it to config.ts:')} };\n`);
      const relay = await startCo2(t, { cwd });
      await relay.call('work.submit', { type: 'ham.my_spam:count', payload: 'one two', id: 'u1' });
      t.like(await relay.call('work.status', { unit: 'u1', waitMs: 20_000 }), { state: 'succeeded' });
      const { items } = (await relay.call('work.results', { unit: 'u1' })) as { items: readonly unknown[] };
      const [first] = items;
      t.deepEqual(Buffer.isBuffer(first) ? first.toString() : { ...(first as object) }, result);

      const source = join(cwd, /wrote ([^ ,]+)/.exec(made.stdout[0] ?? '')?.[1] ?? '');
      const before = readFileSync(source, 'utf8');
      t.true(before.includes(right));
      writeFileSync(source, before.replace(right, wrong));
      t.not((await shell(t, cwd, testLine)).code, 0);
    },
  );
}
