/** What an error message says of a value. */
import test from 'ava';
import { Double, describeValue, dictOf, showValue } from '../../src/values/values.ts';

const Nameless = (() =>
  class {
    own = 1;
  })();

const VALUES: readonly (readonly [value: unknown, described: string, shown: string])[] = [
  [null, 'null', 'null'],
  [undefined, 'undefined', 'undefined'],
  ['secret', 'a string', "'secret'"],
  ['a\nb', 'a string', "'a\ufffdb'"],
  [true, 'a boolean', 'true'],
  [5, 'an int', '5'],
  [2 ** 31, 'an integer beyond 32 bits', '2147483648'],
  [1.5, 'a double', '1.5'],
  [NaN, 'not a finite number', 'NaN'],
  [5n, 'a bigint', 'a bigint'],
  [[1], 'an array', 'an array'],
  [{ a: 1 }, 'an object', 'an object'],
  [dictOf([['a', 1]]), 'an object', 'an object'],
  [new Map(), 'an object', 'an object'],
  [new Date(0), 'a date', 'a date'],
  [new Date(NaN), 'an invalid date', 'an invalid date'],
  [Buffer.from('x'), 'bytes', 'bytes'],
  [new Double(1), 'an instance of Double', 'an instance of Double'],
  [new Nameless(), 'an object of a class', 'an object of a class'],
  [() => 1, 'a function', 'a function'],
];

for (const [index, [value, described, shown]] of VALUES.entries()) {
  test(`value ${index} is described as ${described}`, (t) => {
    t.is(describeValue(value), described);
    t.is(showValue(value), shown);
  });
}
