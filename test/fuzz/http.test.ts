/** A short run of random HTTP requests with a fixed seed, to every listener of real relays. */
import test from 'ava';
import { fuzzHttp } from './http.ts';

test('a thousand random requests end no process and block no listener', async (t) => {
  t.timeout(55_000);
  const { finding, exitCodes, requests } = await fuzzHttp({ requests: 1000, seed: 20 });
  t.is(finding, undefined);
  t.deepEqual(exitCodes, [0, 0]);
  t.true(requests >= 1000);
});
