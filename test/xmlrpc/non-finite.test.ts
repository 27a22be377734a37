/** NaN and infinities are refused unless they are allowed. */
import test from 'ava';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { callOf, errorOf } from './wire.ts';

const SPELLINGS: readonly (readonly [text: string, value: number])[] = [
  ['NaN', NaN],
  ['nan', NaN],
  ['INF', Infinity],
  ['-INF', -Infinity],
  ['inf', Infinity],
  ['-inf', -Infinity],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
];

for (const [text, value] of SPELLINGS) {
  test(`a double ${text}`, (t) => {
    const body = callOf(`<double>${text}</double>`);
    const { code, text: said } = errorOf(() => parseCall(body));
    t.is(code, 'INVALID_REQUEST');
    t.regex(said, /only finite numbers/);
    t.deepEqual(parseCall(body, { allowNonFinite: true }).params, [value]);
  });
}

test('other spellings are refused even then', (t) => {
  for (const text of ['+NaN', 'NAN', 'Inf', '--INF', 'IN F', '1INF', '1e999', '']) {
    t.is(errorOf(() => parseCall(callOf(`<double>${text}</double>`), { allowNonFinite: true })).code, 'INVALID_REQUEST', text);
  }
  t.is(errorOf(() => parseCall(callOf('<int>NaN</int>'), { allowNonFinite: true })).code, 'INVALID_REQUEST');
});
