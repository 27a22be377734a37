/** The documentation uses the standard terms of the field, and none of the private words that it used once. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';

// Endpoint, queue, anybody, submit, omitted, again, remote, cancel, fix.
const PRIVATE =
  /\b(?:doors?|waiting lines?|whoever|hand(?:s|ed)? in|told|left out|anew|elsewhere|call(?:s|ed)? off|mend(?:s|ed)?|stands? in)\b/gi;

test('no page uses a private word outside of code', (t) => {
  const names = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: PROJECT_DIR, encoding: 'utf8' }).split('\0');
  const pages = names.filter((name) => name !== '' && !name.startsWith('test/fixtures/') && existsSync(join(PROJECT_DIR, name)));
  t.true(pages.length > 10);
  const found = pages.flatMap((name) => {
    const prose = readFileSync(join(PROJECT_DIR, name), 'utf8').replace(/^```[\s\S]*?^```$/gm, '');
    return [...prose.replace(/`[^`\n]*`/g, '').matchAll(PRIVATE)].map(([word]) => `${name}: ${word}`);
  });
  t.deepEqual(found, []);
});
