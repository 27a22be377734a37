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

const from = (value: unknown) => ({ type: 'application/json', payload: JSON.stringify({ from: value }) });

test('counts down', async (t) => {
  const relay = await start(t);
  const { state, frames } = await relay.command('ham.spam', from(2));
  assert.equal(state, 'succeeded');
  assert.deepEqual(
    frames.map(({ payload }) => payload.toString()),
    ['{"count":2}', '{"count":1}'],
  );
});

test('callers get their own frames', async (t) => {
  const relay = await start(t);
  const answers = await Promise.all([1, 2, 3].map((count) => relay.command('ham.spam', from(count))));
  assert.deepEqual(
    answers.map(({ frames }) => frames.length),
    [1, 2, 3],
  );
});

test('fails with a reason', async (t) => {
  const relay = await start(t);
  const { state, reason } = await relay.command('ham.spam', from('many'));
  assert.equal(state, 'failed');
  assert.match(reason, /from must be a number up to 100/);
});
