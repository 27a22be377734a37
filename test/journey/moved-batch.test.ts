/** A batch from a peer whose name resolves to a new address: all its dicts count as the peer's, not only the first one. */
import test from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { startRelay } from '../support/relays.ts';

const NAME = 'relay-b.test';

for (const [title, config] of [
  ['where strangers may send dicts', {}],
  ['where strangers may not', { access: { local: ['read'] } }],
] as const) {
  test(`every dict in a batch of a peer that moved is accepted, ${title}`, async (t) => {
    let at = '127.0.0.2';
    const resolve = (): Promise<readonly string[]> => Promise.resolve([at]);
    const relay = await startRelay(t, { peers: [`http://${NAME}:9`], ...config }, { resolve });
    const peer = new XmlRpcClient(new URL(relay.url), { localAddress: '127.0.0.3' });
    t.teardown(() => peer.close());
    at = '127.0.0.3';
    const by = 'b@127.0.0.3:9';
    const results = await peer.multicall(
      [0, 1, 2].map((data) => ({
        method: 'notify',
        params: [{ data, host_id: 'client@127.0.0.44:5', co2: { id: `b.${data}`, hops: 3, age: 0, by, via: [] } }],
      })),
    );
    t.deepEqual(
      results.map(({ fault }) => fault?.message),
      [undefined, undefined, undefined],
    );
    await relay.received.first(3);
    t.deepEqual(
      relay.received.all.map(({ dict }) => dict.data),
      [0, 1, 2],
    );
  });
}
