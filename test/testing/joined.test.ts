/** Several test relays: dicts travel between them by the rules for peers. */
import test from 'ava';
import { Plugin, Satellite } from 'co2-relay';
import type { Context, Dict } from 'co2-relay';
import { createTestRelay, joinTestRelays } from 'co2-relay/testing';
import type { TestRelay, TestRelayOptions } from 'co2-relay/testing';
import type { ExecutionContext } from 'ava';
import { rejects } from '../support/relay-error.ts';

/** Sends a dict about every message that it receives, except those reports themselves. */
@Satellite()
class Ear extends Plugin {
  override async receive({ data, host_id }: Dict, { hops, verdict, ageMs }: Context): Promise<void> {
    if (typeof data === 'string') await this.send({ data: [data, hops, verdict, ageMs, host_id ?? null] });
  }
}

async function relayOf(t: ExecutionContext, options: TestRelayOptions = {}): Promise<TestRelay> {
  const relay = await createTestRelay({ plugins: [Ear], ...options });
  t.teardown(() => relay.stop());
  return relay;
}

const heard = (relay: TestRelay): (readonly unknown[])[] => relay.sent.map(({ data }) => (data as readonly unknown[]).slice(0, 3));

test('a test relay is joined with its peers by one option, and deliver waits for both relays', async (t) => {
  const a = await relayOf(t);
  const b = await relayOf(t, { peers: [a] });
  t.not(a.hostId, b.hostId);
  await a.deliver({ data: 'hello' });
  t.deepEqual([heard(a), heard(b)], [[['hello', 0, 'checked']], [['hello', 1, 'attested']]]);
  await b.deliver({ data: 'back', host_id: 'me@192.0.2.3:1' });
  t.deepEqual(heard(a).at(-1), ['back', 1, 'attested']);
  t.like(a.status().mesh.peers[0], { state: 'up', isSending: false, refused: 0, dropped: 0 });
});

test('in a chain, a triangle and a ring, every satellite receives a dict once', async (t) => {
  const relays = await Promise.all(Array.from({ length: 7 }, () => relayOf(t)));
  const [a, b, c, d, e, f, g] = relays as [TestRelay, TestRelay, TestRelay, TestRelay, TestRelay, TestRelay, TestRelay];
  joinTestRelays(a, b);
  joinTestRelays(b, c);
  joinTestRelays(c, d, e);
  joinTestRelays(e, f);
  joinTestRelays(f, g);
  joinTestRelays(g, a);
  await a.deliver({ data: 'x' });
  for (const [index, relay] of relays.entries()) t.is(heard(relay).length, 1, `relay ${index}`);
  t.deepEqual(heard(d), [['x', 3, 'attested']]);
});

test('the peers of one relay are linked to it, not to each other', async (t) => {
  const [a, b] = [await relayOf(t), await relayOf(t)];
  const c = await relayOf(t, { peers: [a, b] });
  await a.deliver({ data: 'x' });
  t.deepEqual([heard(c)[0]?.[1], heard(b)[0]?.[1]], [1, 2]);
});

test('a dict from a satellite has the host_id of its relay', async (t) => {
  const [a, b] = [await relayOf(t), await relayOf(t, { plugins: [] })];
  joinTestRelays(a, b);
  await b.deliver({ data: 'x' });
  t.is((await a.nextSent()).host_id, a.hostId);
});

test('dicts for a peer that has stopped are sent when the retry is due', async (t) => {
  const a = await relayOf(t);
  const b = await relayOf(t, { peers: [a] });
  t.is(a.clock, b.clock);
  await a.settled();
  await b.stop();
  await a.deliver({ data: 'x' });
  const [link] = a.status().mesh.peers;
  t.like(link, { state: 'down', waiting: 2 });
  t.regex(link?.lastError ?? '', /there is no test relay at http:\/\/10\./);
  const tries = (): number => a.logs.filter(({ text }) => text.includes(' is down ')).length;
  t.is(tries(), 1);
  await a.clock.advance(60_000);
  t.true(tries() > 3);
});

test('only running relays of the kit can be joined', async (t) => {
  const a = await relayOf(t);
  t.throws(
    () => {
      joinTestRelays(a, { ...a });
    },
    { instanceOf: TypeError },
  );
  await a.stop();
  await rejects(t, createTestRelay({ peers: [a] }), 'UNAVAILABLE', { reason: 'stopped' });
});
