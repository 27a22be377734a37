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

test('counts from 0', async (t) => {
  const relay = await start(t);
  const frames = await relay.record('ham.spam', 2);
  assert.deepEqual(
    frames.map(({ payload }) => payload.toString()),
    ['{"count":0}', '{"count":1}'],
  );
  assert.equal(frames[0]?.type, 'application/json');
});

test('begins again when it is started again', async (t) => {
  const relay = await start(t);
  await relay.record('ham.spam');
  assert.equal((await relay.record('ham.spam'))[0]?.payload.toString(), '{"count":0}');
});
