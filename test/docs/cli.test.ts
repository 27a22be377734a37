/** Every command of docs/cli.md does what the page says: it is run against a relay, in the order of the page. */
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';

const PAGE = readFileSync(join(PROJECT_DIR, 'docs/cli.md'), 'utf8');
const TELLER = `import { Plugin, Satellite } from 'co2-relay';
@Satellite() export class Teller extends Plugin { receive() { this.log('a dict came'); } }
`;
const commands = [...PAGE.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, block = '']) => block.trim().split('\n'));
/** They print until they are interrupted. */
const ENDLESS = /^co2 (?:watch|log -f)/;

/** Parts of what the commands print. */
const SAYS: Readonly<Record<string, RegExp>> = {
  'co2 ping': /^127\.0\.0\.1:\d+ answered true in \d+(?:\.\d)? ms$/,
  'co2 call example.echo.add 2 3': /^5$/,
  'co2 call example.echo.add -- -2 3': /^1$/,
  "co2 methods 'example.*'": /^int example\.echo\.add\(a: int, b: int\)\n/,
  'co2 help example.echo.add': /example\.echo\.add\(a: int/,
  'co2 status': /^plugins {5}\d+, all well$/m,
  'co2 bench --seconds 0.2': /^round trips +\d+\/s .*\ndicts +\d+\/s .*\nbatched dicts +\d+\/s/m,
  'co2 completion bash': /complete -F _co2 co2/,
  'co2 stop': /^stopped the relay \(process \d+\)$/,
};

test('every command on the page is run', async (t) => {
  t.true(commands.length > 30);
  const cwd = pluginsDir(t, {
    'plugins/example/echo.ts': readFileSync(join(PROJECT_DIR, 'plugins/example/echo.ts'), 'utf8'),
    'plugins/ham/teller.ts': TELLER,
    'package.json': '{}',
  });
  const relay = await startCo2(t, { cwd });
  const bin = join(cwd, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'co2'), `#!/bin/sh\nexec ${process.execPath} ${join(PROJECT_DIR, 'bin/co2.mjs')} "$@"\n`);
  chmodSync(join(bin, 'co2'), 0o755);
  const env = { PATH: `${bin}:${process.env.PATH ?? ''}`, PORT: String(relay.port) };
  for (const command of commands) {
    const program = run(t, 'sh', ['-c', ENDLESS.test(command) ? `exec ${command}` : command], { cwd, env });
    if (ENDLESS.test(command) || command.includes('listen')) {
      // A line of a plugin, and dicts for all filters.
      const hasEnded = program.exit.then(() => true);
      const pause = () => new Promise<false>((resolve) => setTimeout(resolve, 200, false));
      do await relay.call('notify', { data: { chat: { nick: 'ann' } }, topic: 'x' });
      while (program.stdout.all.length === 0 && !(await Promise.race([hasEnded, pause()])));
      if (ENDLESS.test(command)) program.kill('SIGTERM');
    }
    const { code, stdout, stderr } = await program.exit;
    if (ENDLESS.test(command)) t.true(stdout.length > 0, command);
    else t.is(code, 0, `${command}: ${stderr.join('\n')}`);
    t.regex(stdout.join('\n'), SAYS[command] ?? /./, command);
  }
  t.is((await relay.exit).code, 0);
  t.true(readdirSync(cwd).includes('client.ts'));
});
