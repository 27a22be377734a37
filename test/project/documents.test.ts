/** No file refers to a document that is not in the repository, or to an issue by its number. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const ROOT = join(import.meta.dirname, '../..');
const KINDS = ['*.md', '*.ts', '*.mjs', '*.js', '*.json', '*.c', '*.h', '*.py', '*.rb', '*.pl', '*.sh', '*.go', '.ci/run'];
// This file contains the words, the lock file contains hashes, and the fixtures were written by others.
const EXEMPT = /^(?:test\/project\/documents\.test\.ts|package-lock\.json|test\/fixtures\/.*)$/;

/** A document in capitals must be in the root directory, like README.md. */
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
