/** Random HTTP requests with a fixed seed, sent to every listener of real relays. */
import test from 'ava';
import { fuzzHttp } from './http.ts';

test('a thousand random requests: no process exits, and every listener keeps answering', async (t) => {
  t.timeout(55_000);
  const { finding, exitCodes, requests } = await fuzzHttp({ requests: 1000, seed: 20 });
  t.is(finding, undefined);
  t.deepEqual(exitCodes, [0, 0]);
  t.true(requests >= 1000);
});
