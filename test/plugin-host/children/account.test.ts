/** The list of files that a child imported: it is read back unchanged, and invalid entries are ignored. */
import test from 'ava';
import { accountOnWire, readAccount } from '../../../src/plugin-host/children/job.ts';
import type { Value } from '../../../src/values/values.ts';

const FILE = { file: '/p/ham/spam.ts', print: { stamp: '1:2:3:4', hash: 'x' }, imports: [['/p/a.js', '/p/a.ts'] as [string, string]] };
const GONE = { file: '/p/a.ts', print: { stamp: '', hash: undefined }, imports: [['/p/b.ts', undefined] as [string, undefined]] };

test('the list of imported files survives XML-RPC unchanged', (t) => {
  t.deepEqual(readAccount(accountOnWire([FILE, GONE]) as Value), [FILE, GONE]);
});

test('only the nearest of too many files are sent, and surplus entries are ignored on receipt', (t) => {
  const many = Array.from({ length: 1_001 }, () => FILE);
  t.is((accountOnWire(many) as Value[]).length, 1_000);
  t.deepEqual(readAccount(many as unknown as Value), []);
});

test('invalid entries are ignored', (t) => {
  const [wire = null] = accountOnWire([FILE]) as Value[];
  const struct = wire as Readonly<Record<string, Value>>;
  for (const answer of [undefined, true, '', {}, [1], [null], [{}], [[]]] as (Value | undefined)[]) t.deepEqual(readAccount(answer), []);
  const wrongs: readonly Readonly<Record<string, Value>>[] = [
    { file: 1 },
    { file: 'x'.repeat(5_001) },
    { stamp: null },
    { hash: [] },
    { imports: {} },
  ];
  for (const wrong of wrongs) t.deepEqual(readAccount([{ ...struct, ...wrong }, wire]), [FILE]);
  t.deepEqual(readAccount([{ ...struct, imports: [1, ['a'], ['a', 2], [], ['a', '']] }]), [{ ...FILE, imports: [['a', undefined]] }]);
});
