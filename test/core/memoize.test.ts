/** The bounded cache of a pure function. */
import test from 'ava';
import { memoize } from '../../src/core/core.ts';

test('a repeated text is computed once, but again after many others or if it is long', (t) => {
  const asked: string[] = [];
  const lengthOf = memoize((text) => {
    asked.push(text);
    return text.length;
  });
  t.deepEqual([lengthOf('a'), lengthOf('bb'), lengthOf('a')], [1, 2, 1]);
  t.deepEqual(asked, ['a', 'bb']);
  for (let index = 0; index < 1000; index++) lengthOf(`other ${index}`);
  asked.length = 0;
  t.is(lengthOf('a'), 1);
  const long = 'x'.repeat(5000);
  t.deepEqual([lengthOf(long), lengthOf(long)], [5000, 5000]);
  t.deepEqual(asked, ['a', long, long]);
});
