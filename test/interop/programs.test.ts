/** The programs of examples/satellites/ in five languages, each run and supervised by a real relay as its README says. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

const EXAMPLES = join(PROJECT_DIR, 'examples/satellites');

/** The compiled C program. */
async function compiled(t: ExecutionContext): Promise<string> {
  const program = join(temporaryDir(t), 'program');
  const source = join(EXAMPLES, 'c/program.c');
  const libraries = ['-lxmlrpc_client', '-lxmlrpc', '-lxmlrpc_util'];
  const { code, stderr } = await run(t, 'cc', ['-Wall', '-Werror', '-o', program, source, ...libraries]).exit;
  t.is(code, 0, stderr.join('\n'));
  return program;
}

const PROGRAMS: readonly (readonly [language: string, program: (t: ExecutionContext) => Promise<string>])[] = [
  ['Python', async () => join(EXAMPLES, 'python/program.py')],
  ['Perl', async () => join(EXAMPLES, 'perl/program.pl')],
  ['Ruby', async () => join(EXAMPLES, 'ruby/program.rb')],
  ['C', compiled],
  ['shell', async () => join(EXAMPLES, 'shell/program.sh')],
];

for (const [language, program] of PROGRAMS) {
  test.serial(`${language}: is called, told of dicts, sends, is described, and ends with the relay`, async (t) => {
    const exec = await program(t);
    const files = { 'config.ts': `export default { programs: [{ name: 'far.adder', exec: ${JSON.stringify(exec)} }] };` };
    const relay = await startCo2(t, { files });
    t.is(await relay.call('far.adder.add', 2, 3), 5);
    t.is(await relay.call('far.adder.add', -7, 3), -4);
    t.is(await relay.call('system.methodHelp', 'far.adder.add'), 'Adds two integers.');
    t.deepEqual(await relay.call('system.methodSignature', 'far.adder.add'), [['int', 'int', 'int']]);
    const other = await scriptedPeer(t);
    await relay.call('relay.register', { port: other.port, nick: 'other' });
    await relay.call('notify', { data: { no: 'ping' } });
    await relay.call('notify', { data: 'ping' });
    const heard = await other.notified.first(3);
    t.deepEqual(heard.map(({ data }) => data).at(-1), { pong: 'far.adder' });
    await t.throwsAsync(relay.call('far.adder.subtract', 1, 2), { message: /no method is named/ });
    const [, pid = ''] = /process (\d+)/.exec(await relay.stderr.line(/far\.adder is ready/)) ?? [];
    t.notThrows(() => process.kill(Number(pid), 0));
    relay.kill('SIGTERM');
    t.is((await relay.exit).code, 0);
    t.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
  });

  test.serial(`${language}: run by hand it says what it is and what to do instead`, async (t) => {
    const { code, stderr } = await run(t, await program(t), []).exit;
    t.not(code, 0);
    t.regex(stderr.join('\n'), /satellite of co2-relay.*programs: \[\{ name: /);
  });
}
