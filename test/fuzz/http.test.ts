/** Some hundreds of random HTTP requests with a seed that stays, to every listener of real relays. */
import test from 'ava';
import { fuzzHttp } from './http.ts';

test('a thousand random requests: no process ends, and every listener goes on', async (t) => {
  t.timeout(55_000);
  const { finding, exitCodes, requests } = await fuzzHttp({ requests: 1000, seed: 20 });
  t.is(finding, undefined);
  t.deepEqual(exitCodes, [0, 0]);
  t.true(requests >= 1000);
});
