/** Short runs of random HTTP requests with a fixed seed: to every listener of real relays, and with and without the fast path. */
import test from 'ava';
import { fuzzHttp } from './http.ts';
import { fuzzPlain } from './plain.ts';

test('a thousand random requests end no process and block no listener', async (t) => {
  t.timeout(55_000);
  const { finding, exitCodes, requests } = await fuzzHttp({ requests: 1000, seed: 20 });
  t.is(finding, undefined);
  t.deepEqual(exitCodes, [0, 0]);
  t.true(requests >= 1000);
});

test('with and without the fast path, random requests have the same answers, effects and log lines', async (t) => {
  t.timeout(55_000);
  t.is((await fuzzPlain({ requests: 2500, seed: 11 })).finding, undefined);
});

test('the same holds under rate limits and lockouts', async (t) => {
  t.timeout(55_000);
  t.is((await fuzzPlain({ requests: 400, seed: 12, atOnce: 1 })).finding, undefined);
});
