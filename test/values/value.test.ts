/** Dicts are plain data whatever their names, and wrapped numbers are identified by marks. */
import test from 'ava';
import { Double, Int64, dictOf, isDict } from '../../src/values/values.ts';
import { hasMark } from '../../src/core/core.ts';

test('members of any name are plain data, and nothing else changes', (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '0', 'valueOf'];
  const dict = dictOf(names.map((name) => [name, dictOf([['polluted', true]])] as const));
  t.deepEqual(Object.keys(dict).sort(), [...names].sort());
  t.is(Object.getPrototypeOf(dict), null);
  t.is(({} as Record<string, unknown>).polluted, undefined);
  t.deepEqual(Object.keys(dictOf()), []);
});

test('only decoded structs and plain objects are dicts', (t) => {
  class Own {
    member = 1;
  }
  for (const yes of [dictOf(), {}, { a: 1 }, Object.create(null)]) t.true(isDict(yes));
  for (const no of [null, undefined, [], new Date(), Buffer.from(''), new Own(), new Map(), 'x', 1, () => 1]) t.false(isDict(no));
});

test('Double and Int64 are identified by their marks', (t) => {
  t.true(Double.is(new Double(1)));
  t.true(Int64.is(new Int64(1n)));
  t.true(Double.is({ [Symbol.for('co2-relay.Double')]: true, value: 1 }), 'of another copy');
  t.true(Int64.is({ [Symbol.for('co2-relay.Int64')]: true, value: 1n }), 'of another copy');
  for (const no of [new Int64(1n), { value: 1 }, 1, null, undefined]) t.false(Double.is(no));
  for (const no of [new Double(1), { value: 1n }, 1n, null, undefined]) t.false(Int64.is(no));
  t.false(hasMark({ [Symbol.for('x')]: 'true' }, Symbol.for('x')), 'a mark is exactly true');
  const closed = new Proxy(
    {},
    {
      get: () => {
        throw new Error('nobody looks');
      },
    },
  );
  t.false(hasMark(closed, Symbol.for('x')));
});
