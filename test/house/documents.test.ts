/** No text of the project refers to a document that is not in the repository, or to the tracker of its issues by number. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '../..');
const KINDS = ['*.md', '*.ts', '*.mjs', '*.js', '*.json', '*.c', '*.h', '*.py', '*.rb', '*.pl', '*.sh', '*.go', '.ci/run'];
// This file has the words, the lock file has hashes, and fixtures come from elsewhere.
const EXEMPT = /^(?:test\/house\/documents\.test\.ts|package-lock\.json|test\/fixtures\/.*)$/;

/** A document in capitals is one of the root, as README.md, or it does not exist. */
const CAPITALS = /(?<![\w/.-])[A-Z]{3,}\.md\b/g;
const WORDS = /\bARCHITECTURE\b|\bissues? #?\d+\b|(?<![\w./'-])shared\/[A-Za-z]/g;

test('no file names a document that does not exist, or an issue by number', (t) => {
  const files = execFileSync('git', ['ls-files', '-z', ...KINDS], { cwd: ROOT, encoding: 'utf8' }).split('\0');
  const names = files.filter((name) => name !== '' && !EXEMPT.test(name) && existsSync(join(ROOT, name)));
  t.true(names.length > 100);
  const found = names.flatMap((name) => {
    const text = readFileSync(join(ROOT, name), 'utf8');
    const missing = [...text.matchAll(CAPITALS)].filter(([document]) => !existsSync(join(ROOT, document)));
    return [...missing, ...text.matchAll(WORDS)].map(([word]) => `${name}: ${word}`);
  });
  t.deepEqual(found, []);
});
