/** Durable satellites in the test kit: what is stored outlives a restart and a crash, in order, and says when it may have come before. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Plugin, Satellite } from 'co2-relay';
import type { Context, Dict } from 'co2-relay';
import { createTestRelay } from 'co2-relay/testing';

interface Received {
  readonly data: unknown;
  readonly redelivered: boolean;
}

/** A durable class, what its instances received, and a gate at which they wait. */
function ledger() {
  const received: Received[] = [];
  const state = { isBlocked: false, releases: [] as (() => void)[] };
  @Satellite({ durable: true })
  class Ledger extends Plugin {
    override async receive({ data }: Dict, { redelivered }: Context): Promise<void> {
      received.push({ data, redelivered });
      if (state.isBlocked) await new Promise<void>((resolve) => state.releases.push(resolve));
    }
  }
  return { received, state, Ledger };
}

async function relayOf(t: ExecutionContext, plugin: ReturnType<typeof ledger>['Ledger'], config = {}) {
  const relay = await createTestRelay({ plugins: [plugin], config });
  t.teardown(() => relay.stop());
  return relay;
}

test('what a durable satellite received is not delivered again after a restart', async (t) => {
  const { received, Ledger } = ledger();
  const relay = await relayOf(t, Ledger);
  for (const data of ['a', 'b', 'c']) await relay.deliver({ data });
  await relay.restart();
  await relay.deliver({ data: 'd' });
  t.deepEqual(
    received,
    ['a', 'b', 'c', 'd'].map((data) => ({ data, redelivered: false })),
  );
  t.like(relay.status().plugins.satellites[0], { durable: true, waiting: 0 });
});

test('after a power failure, what was acknowledged is delivered in order, and the one in progress is marked', async (t) => {
  const { received, state, Ledger } = ledger();
  const relay = await relayOf(t, Ledger);
  await relay.deliver({ data: 1 });
  state.isBlocked = true;
  for (const data of [2, 3, 4]) await relay.call('notify', [{ data }]);
  while (received.length === 1) await nextTurn();
  t.is(relay.status().plugins.satellites[0]?.waiting, 3);
  state.isBlocked = false;
  await relay.restart({ crash: true });
  t.deepEqual(
    received.slice(2).map(({ data }) => data),
    [2, 3, 4],
  );
  t.true(received.find((one, index) => index >= 2 && one.data === 2)?.redelivered);
  t.false(received.at(-1)?.redelivered, 'the last one was never begun');
});

test('a message in progress when the relay stops is delivered again, marked', async (t) => {
  const { received, state, Ledger } = ledger();
  const relay = await relayOf(t, Ledger);
  state.isBlocked = true;
  await relay.call('notify', [{ data: 'slow' }]);
  await relay.call('notify', [{ data: 'next' }]);
  while (received.length === 0) await nextTurn();
  state.isBlocked = false;
  await relay.restart();
  t.deepEqual(received.slice(1), [
    { data: 'slow', redelivered: true },
    { data: 'next', redelivered: false },
  ]);
});
