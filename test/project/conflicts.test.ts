/** No file contains a merge conflict marker, not even one that prettier has reformatted as a quotation (`> > > > > > > branch`). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '../..');
const MARKER = /^(?:<{7} |>{7} |(?:> ){6}>)/m;

test('no file has merge conflict markers', (t) => {
  const files = execFileSync('git', ['ls-files', '-z', '*.md', '*.ts', '*.mjs', '*.json'], { cwd: ROOT, encoding: 'utf8' });
  const names = files.split('\0').filter((name) => name !== '');
  t.true(names.length > 100);
  t.deepEqual(
    names.filter((name) => MARKER.test(readFileSync(join(ROOT, name), 'utf8'))),
    [],
  );
});
