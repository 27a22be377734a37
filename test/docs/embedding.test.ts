/** The program in docs/embedding.md compiles strictly and prints what its comments say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compilerErrors } from '../cli/typescript.ts';
import { PROJECT_DIR, run } from '../support/processes.ts';
import { project } from './page.ts';
import { snippetsOf } from './snippets.ts';

test('the program of docs/embedding.md runs', async (t) => {
  const [snippet, ...others] = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/embedding.md'), 'utf8'));
  t.deepEqual(others, []);
  const directory = project(t, { 'program.ts': snippet?.source ?? '' });
  t.deepEqual(compilerErrors([join(directory, 'program.ts')]), []);
  const args = ['--import', join(PROJECT_DIR, 'src/loader/from-source.mjs'), 'program.ts'];
  const { code, stdout, stderr } = await run(t, process.execPath, args, { cwd: directory }).exit;
  t.deepEqual({ code, stderr }, { code: 0, stderr: [] });
  t.is(stdout.length, 3);
  t.regex(stdout[0] ?? '', /^http:\/\/127\.0\.0\.1:\d+$/);
  t.deepEqual(stdout.slice(1), ['5', '[]']);
});
