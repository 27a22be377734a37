/** How often a caller may call: bursts, the long run, calls inside calls, and who is counted as one. */
import test from 'ava';
import { relayDefaults } from '../../src/relay/relay.ts';
import { asReceived, callerOf, makeHeart, received } from '../relay/heart.ts';
import { RateLimits } from '../../src/access/rate-limits.ts';
import { LogRecord } from '../support/log-record.ts';
import { VirtualClock } from '../support/virtual-clock.ts';
import type { Heart } from '../relay/heart.ts';

const TIGHT = { perSecond: 2, burst: 5 };
const STRANGER = callerOf('anonymous', '198.51.100.7');

function tight(): Heart & { clock: VirtualClock } {
  const clock = new VirtualClock();
  const limits = { ...relayDefaults.limits, anonymous: TIGHT, token: TIGHT };
  return { ...makeHeart({ limits }, [], true, clock), clock };
}

const limited = { code: 'RATE_LIMITED', fault: 429 };

test('a burst passes, then the long run: two calls per second', async (t) => {
  const { call, clock, status, log } = tight();
  for (let index = 0; index < 5; index++) t.true(await call('ping', [], STRANGER));
  const error = await t.throwsAsync(call('ping', [], STRANGER));
  t.like(error, { ...limited, retryAfterMs: 500 });
  t.regex(error.message, /2 per second.*5 at once.*500 ms/);
  clock.advance(499);
  t.like(await t.throwsAsync(call('ping', [], STRANGER)), limited);
  clock.advance(1);
  t.true(await call('ping', [], STRANGER));
  t.like(await t.throwsAsync(call('ping', [], STRANGER)), limited);
  t.is(status().rateLimited, 3);
  t.is(log.matching(/limits\.anonymous/).length, 1, 'told once');
  clock.advance(3_600_000);
  for (let index = 0; index < 5; index++) t.true(await call('ping', [], STRANGER));
  t.like(await t.throwsAsync(call('ping', [], STRANGER)), limited);
  t.is(log.matching(/limits\.anonymous/).length, 2, 'told again after a pause');
});

test('unknown and forbidden methods count too', async (t) => {
  const { call } = tight();
  for (const name of ['no.such', 'notify', 'constructor', 'no.such', 'x']) await t.throwsAsync(call(name, [], STRANGER));
  t.like(await t.throwsAsync(call('ping', [], STRANGER)), limited);
});

test('each call of a multicall counts, and those over the limit are refused one by one', async (t) => {
  const { call } = tight();
  const calls = Array.from({ length: 7 }, () => received({ methodName: 'ping', params: [] }));
  const results = asReceived(await call('system.multicall', [calls], STRANGER)) as unknown as readonly (
    readonly boolean[] | { faultCode: number }
  )[];
  t.deepEqual(
    results.map((result) => ('faultCode' in result ? result.faultCode : result[0])),
    [true, true, true, true, 429, 429, 429],
  );
  t.like(await t.throwsAsync(call('ping', [], STRANGER)), limited);
});

test('method_call counts twice: for itself and for the method that it calls', async (t) => {
  const { call } = tight();
  const ping = received({ method_name: 'ping' });
  t.true(await call('method_call', [ping], STRANGER));
  t.true(await call('method_call', [ping], STRANGER));
  t.like(await t.throwsAsync(call('method_call', [ping], STRANGER)), limited);
});

test('each address has its own bucket, each token too wherever it calls from, and roles do not share', async (t) => {
  const { call } = tight();
  for (let index = 0; index < 5; index++) await call('ping', [], STRANGER);
  t.like(await t.throwsAsync(call('ping', [], STRANGER)), limited);
  t.true(await call('ping', [], callerOf('anonymous', '198.51.100.8')));
  for (let index = 0; index < 5; index++) t.true(await call('ping', [], callerOf('token', `198.51.100.${index}`)));
  t.like(await t.throwsAsync(call('ping', [], callerOf('token', '198.51.100.77'))), limited);
  t.true(await call('ping', [], callerOf('peer', '198.51.100.7')));
});

test('a plugin in this process is not counted', (t) => {
  const limits = new RateLimits({ ...relayDefaults.limits, satellite: TIGHT }, new VirtualClock(), new LogRecord().source('relay'));
  for (let index = 0; index < 100; index++) limits.take(callerOf('plugin'));
  t.is(limits.refused, 0);
  for (let index = 0; index < 5; index++) limits.take(callerOf('satellite'));
  t.throws(() => {
    limits.take(callerOf('satellite'));
  });
});

test('asking takes nothing', (t) => {
  const limits = new RateLimits({ ...relayDefaults.limits, anonymous: TIGHT }, new VirtualClock(), new LogRecord().source('relay'));
  for (let index = 0; index < 50; index++) limits.require(STRANGER);
  for (let index = 0; index < 5; index++) limits.take(STRANGER);
  t.like(
    t.throws(() => {
      limits.require(STRANGER);
    }),
    limited,
  );
});

test('the table is bounded: the least recently used bucket goes first', (t) => {
  const log = new LogRecord().source('relay');
  const limits = new RateLimits({ ...relayDefaults.limits, anonymous: { perSecond: 1, burst: 1 } }, new VirtualClock(), log, 3);
  const take = (last: number): void => {
    limits.take(callerOf('anonymous', `198.51.100.${last}`));
  };
  for (const last of [1, 2, 3]) take(last);
  t.throws(
    () => {
      take(1);
    },
    undefined,
    'still known, and used just now',
  );
  take(4);
  t.notThrows(() => {
    take(2);
  }, 'forgotten for the fourth');
  t.throws(() => {
    take(1);
  });
});
