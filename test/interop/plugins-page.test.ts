/** The examples of docs/plugins.md that need more than Node, run as a reader would run them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { IN_OTHER_LANGUAGES, project, sourceOf } from '../docs/page.ts';
import type { Run } from '../docs/page.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

/** Runs its command lines in a directory with a `co2` command; returns that directory. */
async function linesOf(t: Parameters<Run>[0], source: string): Promise<string> {
  const cwd = project(t, {});
  const co2 = `co2() { ${process.execPath} ${join(PROJECT_DIR, 'bin/co2.mjs')} "$@"; }`;
  for (const line of source.trim().split('\n')) {
    const { code, stdout, stderr } = await run(t, 'sh', ['-c', `${co2}\n${line}`], { cwd }).exit;
    t.is(code, 0, [line, ...stdout, ...stderr].join('\n'));
  }
  return cwd;
}

const RUNS: Readonly<Record<(typeof IN_OTHER_LANGUAGES)[number], Run>> = {
  'program-commands': async (t, source) => {
    await linesOf(t, source);
  },

  'program-config': async (t, source) => {
    const cwd = await linesOf(t, sourceOf('program-commands'));
    writeFileSync(join(cwd, 'config.ts'), source);
    const relay = await startCo2(t, { cwd });
    t.is(await relay.call('ham.eggs.add', 2, 3), 5);
  },

  'program-in-c': async (t, source) => {
    const cwd = project(t, { 'programs/ham/eggs/eggs.c': source, 'config.ts': sourceOf('program-config') });
    const command = sourceOf('compile-c').replace('cc ', 'cc -Wall -Werror ');
    const { code, stderr } = await run(t, 'sh', ['-c', command], { cwd: join(cwd, 'programs/ham/eggs') }).exit;
    t.is(code, 0, stderr.join('\n'));
    const relay = await startCo2(t, { cwd });
    t.is(await relay.call('ham.eggs.fahrenheit', 36.6), 97.88);
    t.is(await relay.call('system.methodHelp', 'ham.eggs.fahrenheit'), 'Takes degrees Celsius.');
    await t.throwsAsync(relay.call('ham.eggs.fahrenheit', 'warm'), { message: 'one double is needed' });
    t.is(await relay.call('ham.eggs.fahrenheit', -40.5), -40.9);
    relay.kill('SIGTERM');
    t.is((await relay.exit).code, 0);
    t.deepEqual(
      relay.stderr.all.filter((line) => /SIGTERM to|SIGKILL|it ended with/.test(line)),
      [],
    );
    const byHand = await run(t, join(cwd, 'programs/ham/eggs/eggs'), []).exit;
    t.like(byHand, { code: 1, stdout: ["a satellite of co2-relay: name it under 'programs' in config.ts"] });
  },

  'compile-c': async (t, source) => {
    const cwd = project(t, { 'eggs.c': sourceOf('program-in-c') });
    const { code, stderr } = await run(t, 'sh', ['-c', source], { cwd }).exit;
    t.is(code, 0, stderr.join('\n'));
  },
};

for (const name of IN_OTHER_LANGUAGES) {
  test.serial(`${name} is run`, (t) => RUNS[name](t, sourceOf(name)));
}
