/** docs/faults.md agrees with the table of errors in the code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ERRORS, REASONS } from '../../src/core/core.ts';
import { PROJECT_DIR } from '../support/processes.ts';

const page = readFileSync(join(PROJECT_DIR, 'docs/faults.md'), 'utf8');
const sentence = (meaning: string): string => `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`;

test('docs/faults.md describes every code with its number, meaning, and advice for caller and operator, and no other code', (t) => {
  const sections = [...page.matchAll(/^## `([A-Z_]+)` \((-?\d+)\)\n\n(.+)\n\n- Caller: \S.+\n- Operator: \S.+$/gm)];
  t.deepEqual(
    sections.map(([, code, fault, meaning]) => [code, Number(fault), meaning]),
    Object.entries(ERRORS).map(([code, { fault, meaning }]) => [code, fault, sentence(meaning)]),
  );
  t.is(page.match(/^## `/gm)?.length, sections.length);
});

test('the overview of docs/faults.md lists every code with its number', (t) => {
  const rows = [...page.matchAll(/^\| (-?\d+) +\| `([A-Z_]+)` +\| \S.+ \|$/gm)].map(([, fault, code]) => [code, Number(fault)]);
  t.deepEqual(
    rows,
    Object.entries(ERRORS).map(([code, { fault }]) => [code, fault]),
  );
});

test('docs/faults.md lists every reason with its meaning', (t) => {
  const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| (\S.*?) +\|$/gm)].map(([, reason, meaning]) => [reason, meaning]);
  t.deepEqual(rows, Object.entries(REASONS));
});
