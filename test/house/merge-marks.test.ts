/** A merge that was committed half done. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { globSync } from 'glob';

const root = fileURLToPath(new URL('../../', import.meta.url));

// Prettier turns the other markers of a conflict in Markdown into quotes and table rows; it leaves the first one as it is.
test('no file has the markers of a merge conflict', (t) => {
  const paths = globSync('{*,{.ci,bench,bin,docs,examples,plugins,src,test}/**/*}', {
    cwd: root,
    posix: true,
    nodir: true,
    ignore: '**/node_modules/**',
  });
  t.true(paths.includes('README.md') && paths.length > 100, 'the files are found');
  t.deepEqual(
    paths.filter((path) => /^(<{7} |>{7} |(> ){7})/m.test(readFileSync(root + path, 'latin1'))),
    [],
  );
});
