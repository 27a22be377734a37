/** Requests of which a part might get lost on the way in are refused on every listener before anybody asks who sent them. */
import test from 'ava';
import { HttpRelays, answerTo } from '../fuzz/http-relays.ts';
import type { Target } from '../fuzz/http-relays.ts';
import { startRelay } from '../support/relays.ts';
import { request } from './raw.ts';
import type { HeaderList } from './raw.ts';

const dummies = (count: number): HeaderList => Array.from({ length: count }, () => ['D', ''] as const);
const FORWARDED: HeaderList = [['X-Forwarded-For', '203.0.113.9']];

test('every listener, plain or TLS, rejects too many headers with 431 and accepts a realistic number', async (t) => {
  t.timeout(50_000);
  const relays = new HttpRelays();
  await relays.start();
  t.teardown(() => relays.stop());
  const status = async (target: Target, headers: HeaderList): Promise<string> => {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return (await answerTo(target.connect(), target.ping(lines))).slice(0, 12);
  };
  const names = relays.targets.map(({ name }) => name);
  t.deepEqual(names, ['plain tcp', 'plain unix', 'programs', 'secure tls', 'secure tcp', 'secure unix']);
  for (const target of relays.targets.filter(({ name }) => name !== 'secure tcp')) {
    t.is(await status(target, dummies(80)), 'HTTP/1.1 200', target.name);
    for (const count of [100, 994, 995, 1000, 2000, 3500])
      t.is(await status(target, [...dummies(count), ...FORWARDED]), 'HTTP/1.1 431', `${count} at ${target.name}`);
  }
});

test('a request with a forwarding header among a thousand others is rejected, so the header is never dropped', async (t) => {
  const { url } = await startRelay(t);
  for (const more of [
    [...dummies(1000), ...FORWARDED],
    [...FORWARDED, ...dummies(1000)],
  ]) {
    const { status, headers, body } = await request(url, { more });
    t.is(status, 431);
    t.is(headers.connection, 'close');
    t.regex(body.toString(), /more than 100 headers/);
  }
});

test('an overlong credential is rejected, not truncated', async (t) => {
  const relay = await startRelay(t);
  const right = `Bearer ${relay.adminToken}`;
  t.is((await request(relay.url, { method: 'GET', headers: { authorization: right } })).status, 200);
  const padded = `${right}${' '.repeat(2048)}x`;
  t.is((await request(relay.url, { method: 'GET', headers: { authorization: padded } })).status, 401);
});
