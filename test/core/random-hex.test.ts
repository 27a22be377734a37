/** The random names of clients that have none. */
import test from 'ava';
import { randomHex } from '../../src/core/random-hex.ts';

test('every name is new and as long as it should be, however many are made', (t) => {
  const next = randomHex(8);
  const names = Array.from({ length: 3000 }, next);
  t.true(names.every((name) => /^[0-9a-f]{16}$/.test(name)));
  t.is(new Set(names).size, names.length);
});
