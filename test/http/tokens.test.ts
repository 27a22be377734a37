/** Tokens against a running relay: made, ended and revoked while it runs, from the configuration, and guessed. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createRelay } from '../../src/create-relay.ts';
import type { AppStatus } from '../../src/app.ts';
import type { RunningRelay } from '../../src/create-relay.ts';
import type { Config } from '../../src/config/config.ts';
import type { RelayEvent } from '../../src/relay/relay.ts';
import { dictOf } from '../../src/values/values.ts';
import type { Dict } from '../../src/values/values.ts';
import { addToken, removeToken } from '../../src/access/access.ts';
import { LogRecord } from '../support/log-record.ts';
import { rejects } from '../support/relay-error.ts';
import { RECORDER_DIR, temporaryDir } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import { call, request } from './raw.ts';

interface Timed extends Omit<RunningRelay, 'status'> {
  readonly status: () => AppStatus;
  readonly clock: VirtualClock;
  readonly log: LogRecord;
  readonly dataDir: string;
  /** Lets time pass, and the date with it. */
  readonly pass: (ms: number) => void;
  /** The fault code of a call; 0 if there is none. */
  readonly code: (authorization: string | undefined, method?: string, more?: Readonly<Record<string, string>>) => Promise<number>;
}

const START = Date.parse('2026-11-21T00:00:00Z');

async function timed(t: ExecutionContext, config: Config = {}, env: Readonly<Record<string, string>> = {}): Promise<Timed> {
  const clock = new VirtualClock();
  const log = new LogRecord();
  const dataDir = join(temporaryDir(t), 'state');
  let date = START;
  const relay = await createRelay(
    { port: 0, dataDir, pluginsDir: RECORDER_DIR, trustedProxies: ['127.0.0.0/8'], ...config },
    { clock, logs: log.source, date: () => date, env },
  );
  t.teardown(() => relay.stop());
  return {
    ...{ ...relay, clock, log, dataDir },
    status: () => relay.status(),
    pass: (ms) => {
      date += ms;
      clock.advance(ms);
    },
    code: async (authorization, method = 'ping', more = {}) => {
      const answer = await call(relay.url, method, [], { headers: { ...more, authorization } });
      return answer.kind === 'fault' ? answer.code : 0;
    },
  };
}

test('while the relay runs, a created token works and a revoked token is rejected within a second', async (t) => {
  const { dataDir, pass, code } = await timed(t);
  const token = `Bearer ${await addToken(dataDir, { name: 'ci', classes: ['read'], methods: ['ping'] }, undefined, new Date(START))}`;
  pass(1000);
  t.is(await code(token), 0);
  t.is(await code(token, 'notify'), 403);
  await removeToken(dataDir, 'ci');
  pass(1000);
  t.is(await code(token), 401);
});

test('a registration belongs to the token that created it, and ends when another token takes over its name', async (t) => {
  const { url, dataDir, pass, events } = await timed(t);
  const { port } = await scriptedPeer(t);
  const make = async (name: string): Promise<string> =>
    `Bearer ${await addToken(dataDir, { name, classes: ['message'], methods: ['*'] }, undefined, new Date(START))}`;
  const ask = async (authorization: string | undefined, method: string, props: Dict = dictOf([['port', port]])): Promise<unknown> => {
    const answer = await call(url, method, [props], { headers: { authorization } });
    return answer.kind === 'fault' ? answer.code : answer.value;
  };
  const first = await make('ci');
  const other = await make('other');
  pass(1000);
  const { token, host_id: hostId } = (await ask(first, 'relay.register')) as Dict;
  for (const stranger of [undefined, other]) {
    t.is(await ask(stranger, 'relay.register'), 403);
    t.is(await ask(stranger, 'relay.unregister'), 403);
    t.is(await ask(stranger, 'relay.unregister', dictOf([['host_id', hostId!]])), 403);
  }
  t.true(await ask(undefined, 'relay.unregister', dictOf([['token', token!]])), 'its own token is enough');
  t.like(await ask(undefined, 'relay.register'), { addr: ['127.0.0.1', port] });
  t.true(await ask(undefined, 'relay.unregister'), 'without a token the address is');
  t.like(await ask(first, 'relay.register'), { addr: ['127.0.0.1', port] });
  t.like(await ask(first, 'relay.register'), { addr: ['127.0.0.1', port] });
  await removeToken(dataDir, 'ci');
  const second = await make('ci');
  pass(1000);
  t.is(await ask(first, 'relay.register'), 401);
  pass(30_000);
  const isExpired = (event: RelayEvent): boolean => event.type === 'satellite.expired' && event.reason.startsWith("the token 'ci' ");
  await events.next(isExpired, { since: 0 });
  t.like(await ask(second, 'relay.register'), { addr: ['127.0.0.1', port] });
});

test('an expired token is reported as expired and does not count as a guess', async (t) => {
  const { url, dataDir, pass, code, status } = await timed(t);
  const grant = { name: 'ci', classes: ['read'], methods: ['*'] } as const;
  const token = `Bearer ${await addToken(dataDir, grant, new Date(START + 60_000), new Date(START))}`;
  pass(59_999);
  t.is(await code(token), 0);
  pass(1);
  for (let index = 0; index < 20; index++) t.is(await code(token), 401);
  const refused = await call(url, 'ping', [], { headers: { authorization: token } });
  t.regex((refused as { text: string }).text, /'ci' has expired/);
  t.deepEqual(status().http, { wrongCredentials: 0, lockOuts: 0 });
});

test('tokens of the configuration support secrets, classes, globs and expiry', async (t) => {
  const SECRET = 'correct-horse-battery';
  const { url, code, pass } = await timed(
    t,
    { access: { tokens: { ci: { env: 'CI', classes: ['read'], methods: ['p*'], expires: '2026-11-21T00:01:00Z' } } } },
    { CI: SECRET },
  );
  t.is(await code(`Bearer ${SECRET}`), 0);
  t.is(await code(`Bearer ${SECRET}`, 'test'), 403);
  t.is(await code(`Basic ${Buffer.from(`anybody:${SECRET}`).toString('base64')}`), 0);
  const refused = await call(url, 'test', [], { headers: { authorization: `Bearer ${SECRET}` } });
  t.regex((refused as { text: string }).text, /test is not among the methods that the token 'ci' may call \(p\*\)/);
  pass(60_000);
  t.is(await code(`Bearer ${SECRET}`), 401);
});

test('a missing secret, or one shared by two tokens, aborts the start', async (t) => {
  await rejects(t, timed(t, { access: { tokens: { ci: { env: 'CI' } } } }), 'CONFIG_INVALID', { option: 'access.tokens.ci' });
  const two = { access: { tokens: { a: { env: 'A' }, b: { env: 'B' } } } };
  const same = 'correct-horse-battery';
  const { message } = await rejects(t, timed(t, two, { A: same, B: same }), 'CONFIG_INVALID', { option: 'access.tokens.b' });
  t.regex(message, /^access\.tokens\.b: has the same secret as token a/);
});

test('ten wrong credentials lock out an address for a minute, even with valid ones; other addresses and anonymous calls work', async (t) => {
  const { url, adminToken, code, pass, log, status } = await timed(t);
  const guesser = { 'x-forwarded-for': '198.51.100.7' };
  for (let index = 0; index < 10; index++) t.is(await code(`Bearer guess-${index}`, 'ping', guesser), 401);
  for (let index = 0; index < 5; index++) t.is(await code('Bearer more', 'ping', guesser), 429);
  t.is(await code(`Bearer ${adminToken}`, 'ping', guesser), 429);
  const page = await request(url, { method: 'GET', headers: { ...guesser, authorization: 'Bearer more' } });
  t.like(page, { status: 429, headers: { 'retry-after': '60' } });
  t.is(await code(undefined, 'ping', guesser), 0);
  t.is(await code(`Bearer ${adminToken}`, 'ping', { 'x-forwarded-for': '198.51.100.8' }), 0);
  t.deepEqual(status().http, { wrongCredentials: 10, lockOuts: 1 });
  t.is(log.matching(/wrong credentials from 198\.51\.100\.7/).length, 1);
  pass(59_999);
  t.is(await code(`Bearer ${adminToken}`, 'ping', guesser), 429);
  pass(1);
  t.is(await code(`Bearer ${adminToken}`, 'ping', guesser), 0);
  t.is(await code('Bearer again', 'ping', guesser), 401);
});

test('wrong credentials over a longer period do not accumulate', async (t) => {
  const { code, pass } = await timed(t, { maxWrongCredentials: 3 });
  const guesser = { 'x-forwarded-for': '2001:db8::1' };
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 2; index++) t.is(await code('Bearer wrong', 'ping', guesser), 401);
    pass(60_000);
  }
  for (let index = 1; index <= 3; index++) t.is(await code('Bearer wrong', 'ping', { 'x-forwarded-for': `2001:db8::${index}` }), 401);
  t.is(await code('Bearer wrong', 'ping', { 'x-forwarded-for': '2001:db8::99' }), 429, 'one subscriber, many addresses');
});

test('on this machine, guessing is stopped, but the operator is not locked out', async (t) => {
  const { adminToken, code } = await timed(t, { trustedProxies: [] });
  for (let index = 0; index < 10; index++) t.is(await code('Bearer wrong'), 401);
  t.is(await code('Bearer wrong'), 429);
  t.is(await code(`Bearer ${adminToken}`), 0);
  // Whoever comes through a proxy here is somebody else.
  const proxied = { via: '1.1 proxy' };
  for (let index = 0; index < 10; index++) t.is(await code('Bearer wrong', 'ping', proxied), 401);
  t.is(await code(`Bearer ${adminToken}`, 'ping', proxied), 429);
});

test('over the rate limit, a call gets fault 429 in HTTP 200, and a page 429 with Retry-After; invalid bodies count, too', async (t) => {
  const { url, code, pass } = await timed(t, { limits: { anonymous: { perSecond: 0.5, burst: 3 } } });
  const headers = { 'x-forwarded-for': '198.51.100.7' };
  t.is((await request(url, { method: 'GET', headers })).status, 200);
  t.is(await code(undefined, 'ping', headers), 0);
  t.is((await request(url, { body: 'garbage', headers })).status, 200);
  t.is(await code(undefined, 'ping', headers), 429);
  const garbage = await request(url, { body: 'garbage', headers });
  t.true(garbage.body.includes('<int>429</int>'), 'refused before it is read');
  const page = await request(url, { method: 'GET', headers });
  t.like(page, { status: 429, headers: { 'retry-after': '2' } });
  t.is(await code(undefined, 'ping', { 'x-forwarded-for': '198.51.100.8' }), 0);
  pass(2000);
  t.is(await code(undefined, 'ping', headers), 0);
});
