/** Relays that prove who they are, on real sockets: hello, pins, sessions, and what becomes of forged ones. */
import test from 'ava';
import { freePorts, startRelay } from '../support/relays.ts';

test('two relays prove their keys, pin each other, and forward dicts in a proven session', async (t) => {
  const [one = 0, two = 0] = await freePorts(2);
  const a = await startRelay(t, { port: one, peers: [`http://127.0.0.1:${two}`], nick: 'a' });
  const b = await startRelay(t, { port: two, peers: [`http://127.0.0.1:${one}`], nick: 'b', retry: { minMs: 5, maxMs: 20 } });
  await b.seen.event('peer.pinned', { peer: `http://127.0.0.1:${one}`, nick: 'a' });
  await a.emit({ data: 'to b' });
  t.is((await b.received.first(1))[0]?.dict.data, 'to b');
  await b.emit({ data: 'to a' });
  t.is((await a.received.first(1))[0]?.dict.data, 'to a');
  t.like(a.status().mesh.peers[0], { trust: 'key', proof: { session: 'proven', nick: 'b', answer: 'trusted' } });
});
