/** Reading JSON in slices gives the same result as reading it at once, wherever the slices end, and other work runs between them. */
import test from 'ava';
import type { RelayError } from '../../src/core/core.ts';
import { readJson, readJsonInSlices } from '../../src/json/json.ts';
import { turnsDuring } from '../support/turns.ts';

const TEXTS = [
  '{"a":[1,2.5,{"b":"\u00e4"},[],{}],"c":null,"d":{"$base64":"AAE="},"e":true}',
  '\ufeff[1]',
  ' 7 ',
  '"x"',
  '',
  '[1,2',
  '[1]]',
  '{"a":1,"a":2}',
  '[1,,2]',
];

for (const text of TEXTS) {
  test(`same result: ${JSON.stringify(text)}`, async (t) => {
    const body = Buffer.from(text);
    let refused: RelayError | undefined;
    let value: unknown;
    try {
      value = readJson(body).value;
    } catch (error) {
      refused = error as RelayError;
    }
    for (const sliceBytes of [1, 2, 3, 5, 16]) {
      if (refused === undefined) t.deepEqual((await readJsonInSlices(body, {}, sliceBytes)).value, value);
      else await t.throwsAsync(readJsonInSlices(body, {}, sliceBytes), { code: refused.code, message: refused.message });
    }
  });
}

test('other work runs after every slice', async (t) => {
  const { turns } = await turnsDuring(() => readJsonInSlices(Buffer.from(`[${'{"a":1},'.repeat(30_000)}0]`), {}, 16 * 1024));
  t.true(turns >= 14, `${turns} turns`);
});
