/** README's first steps and the deployment files of docs/operations.md, as a reader uses them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { greeting } from '../../src/cli/start.ts';
import { PROJECT_DIR, runCo2, startCo2 } from '../support/processes.ts';
import { snippetsOf } from './snippets.ts';

const page = (name: string): string => readFileSync(join(PROJECT_DIR, name), 'utf8');

test.serial("README's commands and plugin: a plugin that is saved is called at once", async (t) => {
  const readme = page('README.md');
  const [, plugin = ''] = /^```ts\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  const relay = await startCo2(t, {
    args: ['--plugins', 'plugins'],
    files: { 'plugins/example/echo.ts': page('plugins/example/echo.ts') },
  });
  const co2 = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await runCo2(t, { args: [...line.split(' '), '--url', relay.url] }).exit;
    t.is(code, 0, stderr.join('\n'));
    return stdout.join('\n');
  };
  const [add = [], multiply = []] = [...readme.matchAll(/^\$ npx co2 (.*)\n(.*)$/gm)];
  t.is(await co2(add[1] ?? ''), add[2] ?? 'a result');
  t.true(readme.includes('Save this as `plugins/ham/eggs.ts`'));
  mkdirSync(join(relay.cwd, 'plugins/ham'));
  writeFileSync(join(relay.cwd, 'plugins/ham/eggs.ts'), plugin);
  await relay.stderr.line(/ham\.eggs loaded/);
  t.is(await co2(multiply[1] ?? ''), multiply[2] ?? 'a result');
  t.true(readme.includes('run `npx co2 watch` in a third terminal, and then `npx co2 notify hello`'));
  const watch = runCo2(t, { args: ['watch', '--no-events', '--url', relay.url] });
  await watch.stderr.line(/^watching /);
  await co2('notify hello');
  t.regex(await watch.stdout.line(/"hello"/), /\{"data":"hello"\}$/);
  t.regex(await watch.stdout.line(/greets/), /ham\.eggs\.Eggs {2}\{"data":\{"greets":"[^"]+","hops":0\}\}$/);
});

test('the unit for systemd and the Dockerfile start a relay with options that exist', async (t) => {
  const files = new Map(snippetsOf(page('docs/operations.md')).map(({ name, source }) => [name, source]));
  const [, args = ''] = /^ExecStart=\S+ co2 start (.*)$/m.exec(files.get('systemd') ?? '') ?? [];
  t.regex(args, /^--data \S+$/);
  const [, variables = ''] = /^ENV (.*)$/m.exec(files.get('docker') ?? '') ?? [];
  const env = Object.fromEntries(variables.split(' ').map((pair) => pair.split('=') as [string, string]));
  const { code, stdout, stderr } = await runCo2(t, { args: ['config', 'show', ...args.split(' ')], env }).exit;
  t.is(code, 0, stderr.join('\n'));
  t.regex(stdout.join('\n'), /0\.0\.0\.0/);
});

test('a start at a terminal says what to try next, with commands that exist', async (t) => {
  const status = () => ({ plugins: { plugins: [{ name: 'example.echo', state: { type: 'ready' } }] } });
  const text = greeting({ url: 'http://127.0.0.1:2004', status } as unknown as Parameters<typeof greeting>[0]);
  const commands = [...text.matchAll(/^ {2}co2 (\w+)/gm)].map(([, command = '']) => command);
  t.deepEqual(commands, ['call', 'new', 'watch']);
  for (const command of commands) t.is((await runCo2(t, { args: [command, '--help'] }).exit).code, 0, command);
});
