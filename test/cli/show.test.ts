/** How answers are shown: short for people, exact for programs. */
import test from 'ava';
import { toJson, toTable } from '../../src/cli/values.ts';

test('a table rounds to three decimal places, JSON does not', (t) => {
  const records = [
    { nick: 'ann', ping_avg: 22.351888888888887, ping_count: 9 },
    { nick: 'bob', ping_avg: 1, ping_count: 12345 },
  ];
  t.deepEqual(toTable(records, ['nick', 'ping_avg', 'ping_count']).split('\n'), [
    'nick  ping_avg  ping_count',
    'ann   22.352    9',
    'bob   1         12345',
  ]);
  t.true(toJson(records).includes('22.351888888888887'));
});
