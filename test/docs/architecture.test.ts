/** docs/architecture.md describes every directory of the sources. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { globSync } from 'glob';
import { PROJECT_DIR } from '../support/processes.ts';

const page = readFileSync(join(PROJECT_DIR, 'docs/architecture.md'), 'utf8');

test('the layout lists every directory of src/ and of src/plugin-host/, each with a sentence', (t) => {
  const layout = /^src\/\n((?: {2}.*\n)+)/m.exec(page)?.[1] ?? '';
  const listed = new Set([...layout.matchAll(/^ +([a-z-]+)\/ +\S/gm)].map(([, name]) => name));
  const directories = globSync(['src/*/', 'src/plugin-host/*/'], { cwd: PROJECT_DIR, posix: true }).map((path) => path.split('/').at(-1));
  t.true(directories.length > 15);
  t.deepEqual(
    directories.filter((name) => !listed.has(name)),
    [],
  );
});
