/** NOTES.md names only files that exist, and its index lists the decision records. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';

const notes = readFileSync(join(PROJECT_DIR, 'NOTES.md'), 'utf8');
const DECISIONS = 'docs/decisions';
const files = readdirSync(join(PROJECT_DIR, DECISIONS)).sort();

test('every file that NOTES.md names exists', (t) => {
  const named = [...notes.matchAll(/\b(?:src|test|docs|plugins|examples|bench|bin)\/[\w./-]*\w/g)].map(([path]) => path);
  t.true(named.length > 20);
  t.deepEqual(
    named.filter((path) => !existsSync(join(PROJECT_DIR, path))),
    [],
  );
});

test('the decision records are numbered without gaps', (t) => {
  t.true(files.length > 0);
  t.deepEqual(
    files.map((name) => /^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1]),
    files.map((_name, index) => String(index + 1).padStart(4, '0')),
  );
});

test('every decision record has a title, a question, a decision, a reason and alternatives, and is short', (t) => {
  for (const name of files) {
    const text = readFileSync(join(PROJECT_DIR, DECISIONS, name), 'utf8');
    t.regex(text, new RegExp(`^# ${name.slice(0, 4)}: \\S.+\n`), name);
    t.deepEqual(
      [...text.matchAll(/^\*\*(\w+)\.\*\* ?/gm)].map(([, heading]) => heading),
      ['Question', 'Decision', 'Why', 'Alternatives'],
      name,
    );
    t.true(text.trimEnd().split('\n').length <= 30, `${name} is too long`);
  }
});

test('the index in NOTES.md lists every decision record with its title, in order', (t) => {
  const titles = files.map((name) => {
    const title = /^# (.+)/.exec(readFileSync(join(PROJECT_DIR, DECISIONS, name), 'utf8'))?.[1] ?? '';
    return `- [${title}](${DECISIONS}/${name})`;
  });
  t.deepEqual(
    notes.split('\n').filter((line) => line.startsWith('- [')),
    titles,
  );
});
