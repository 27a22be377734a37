/** The documentation uses the standard terms of the field instead of the project's former private vocabulary. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';

// The standard terms: endpoint, queue, anyone, submit, tell or report, omitted, again, remote, cancel, fix, replace.
const PRIVATE =
  /\b(?:doors?|waiting lines?|whoever|hand(?:s|ed)? in|told|left out|anew|elsewhere|call(?:s|ed)? off|mend(?:s|ed)?|stands? in)\b/gi;

test('no page uses a private term outside of code', (t) => {
  const names = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: PROJECT_DIR, encoding: 'utf8' }).split('\0');
  const pages = names.filter((name) => name !== '' && !name.startsWith('test/fixtures/') && existsSync(join(PROJECT_DIR, name)));
  t.true(pages.length > 10);
  const found = pages.flatMap((name) => {
    const prose = readFileSync(join(PROJECT_DIR, name), 'utf8').replace(/^```[\s\S]*?^```$/gm, '');
    return [...prose.replace(/`[^`\n]*`/g, '').matchAll(PRIVATE)].map(([word]) => `${name}: ${word}`);
  });
  t.deepEqual(found, []);
});
