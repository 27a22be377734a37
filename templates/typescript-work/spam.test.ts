/** Tests of ham.spam: run it in an in-memory relay. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createTestRelay, type TestRelay } from 'co2-relay/testing';
import { Spam } from './spam.ts';

async function start(t: TestContext): Promise<TestRelay> {
  const relay = await createTestRelay({ plugins: { 'ham.spam': Spam } });
  t.after(() => relay.stop());
  return relay;
}

test('counts the words of each line', async (t) => {
  const relay = await start(t);
  const { state, results } = await relay.work('ham.spam:count', { payload: 'one two\nthree' });
  assert.equal(state, 'succeeded');
  assert.deepEqual(results, [
    { line: 'one two', words: 2 },
    { line: 'three', words: 1 },
  ]);
});

test('counts nothing in an empty payload', async (t) => {
  const relay = await start(t);
  assert.deepEqual((await relay.work('ham.spam:count')).results, [{ line: '', words: 0 }]);
});

test('takes no parameters', async (t) => {
  const relay = await start(t);
  await assert.rejects(relay.work('ham.spam:count', { params: { least: 1 } }), /does not take the parameter 'least'/);
});
