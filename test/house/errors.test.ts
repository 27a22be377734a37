/** The table of faults in README is the table in the code. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { ERRORS } from '../../src/core/core.ts';

test('README lists every code with its number and meaning, and no other', (t) => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\| (-?\d+) +\| `([A-Z_]+)` +\| (.+?) +\|$/gm)].map(([, fault, code, meaning]) => [
    code,
    Number(fault),
    meaning,
  ]);
  t.deepEqual(
    rows,
    Object.entries(ERRORS).map(([code, { fault, meaning }]) => [code, fault, meaning]),
  );
});
