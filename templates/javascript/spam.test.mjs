// @ts-check
/** Tests of ham.spam: run it in an in-memory relay. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestRelay } from 'co2-relay/testing';
import { Spam } from './spam.mjs';

async function start(/** @type {import('node:test').TestContext} */ t) {
  const relay = await createTestRelay({ plugins: { 'ham.spam': Spam } });
  t.after(() => relay.stop());
  return relay;
}

test('answers and counts pings', async (t) => {
  const relay = await start(t);
  await relay.deliver({ data: 'ping', host_id: 'ann@192.0.2.7:2004' });
  assert.deepEqual((await relay.nextSent()).data, { pong: 'ann@192.0.2.7:2004', hops: 0 });
  assert.equal(await relay.call('ham.spam.pings'), 1);
});

test('ignores other dicts', async (t) => {
  const relay = await start(t);
  await relay.deliver({ data: 'hello' });
  assert.deepEqual([relay.sent, relay.errors], [[], []]);
});

test('adds two numbers and rejects anything else', async (t) => {
  const relay = await start(t);
  assert.equal(await relay.call('ham.spam.add', [2, 3]), 5);
  await assert.rejects(relay.call('ham.spam.add', ['2', 3]), /parameter 1 is a string, expected int/);
});
