/** Pings on a virtual clock: when, on what, what they say, and who is dropped. */
import test from 'ava';
import { messageOf } from '../mesh/messages.ts';
import { makeKit, settle } from './kit.ts';

const URL = 'http://192.0.2.7:5000/RPC2';
const OPTIONS = { pingIntervalMs: 1000, maxPingFails: 3 };

test('a satellite is pinged at its interval, and its record says how it answers', async (t) => {
  const { clock, posts, register, satellites } = makeKit(t, OPTIONS);
  await register({ port: 5000 });
  clock.advance(999);
  t.is(posts.all.length, 0);
  for (let n = 1; n <= 3; n++) {
    clock.advance(n === 1 ? 1 : 1000);
    await settle();
    t.is(posts.all.length, n);
  }
  t.true(posts.all.every(({ to, method, dict }) => to === URL && method === 'ping' && Object.keys(dict).length === 0));
  t.deepEqual(satellites.list()[0]?.pings, { current: 0, count: 3, min: 0, max: 0, avg: 0, fails: 0 });
});

test('it is dropped after so many failures in a row, not before, and may register again at once', async (t) => {
  const { clock, moods, register, satellites, log, closed, seen } = makeKit(t, OPTIONS);
  const { token } = await register({ port: 5000 });
  moods.set(URL, 'down');
  for (const fails of [1, 2]) {
    clock.advance(1000);
    await settle();
    t.is(satellites.list()[0]?.pings.fails, fails);
  }
  clock.advance(1000);
  await seen.event('satellite.expired', { satellite: '192.0.2.7:5000' });
  t.deepEqual(
    log.lines.all
      .filter(({ level }) => level === 'warn')
      .map(({ text }) => text.startsWith('dropped satellite 192.0.2.7:5000: it failed 3 times in a row')),
    [true],
  );
  t.deepEqual(satellites.list(), []);
  t.like(satellites.status(), { dropped: 1, registered: 1 });
  t.is(satellites.byToken(token, '192.0.2.7'), undefined);
  t.deepEqual(closed, [URL]);
  t.is(clock.pending, 0, 'nobody pings it any more');
  await register({ port: 5000 });
  t.is(satellites.list()[0]?.pings.fails, 0);
});

test('an answered ping or notify between failures resets the count', async (t) => {
  const { clock, moods, register, satellites } = makeKit(t, OPTIONS);
  await register({ port: 5000 });
  const fail = async (times: number): Promise<void> => {
    moods.set(URL, 'down');
    for (let n = 0; n < times; n++) {
      clock.advance(1000);
      await settle();
    }
    moods.set(URL, 'ok');
  };
  await fail(2);
  clock.advance(1000);
  await settle();
  t.is(satellites.list()[0]?.pings.fails, 0);
  await fail(2);
  satellites.deliver(messageOf('x'));
  await settle();
  t.is(satellites.list()[0]?.pings.fails, 0);
  await fail(2);
  t.is(satellites.list()[0]?.pings.fails, 2, 'still there');
});

test('while a dict waits for a satellite that is down, pings go on, and an answer sends the dict at once', async (t) => {
  const { clock, moods, register, satellites, notified, posts } = makeKit(t, { ...OPTIONS, maxPingFails: 1000 });
  await register({ port: 5000 });
  moods.set(URL, 'down');
  satellites.deliver(messageOf('x'));
  // Long enough for the pause between two tries to be half a minute.
  for (let n = 0; n < 100; n++) {
    clock.advance(1000);
    await settle();
  }
  const tries = notified(URL).length;
  t.true(posts.all.filter(({ method }) => method === 'ping').length > 50);
  moods.set(URL, 'ok');
  clock.advance(1000);
  await settle();
  t.is(notified(URL).length, tries + 1);
  t.is(satellites.status().satellites[0]?.link.forwarded, 1);
});

test('a dict on its way is not overtaken by pings, and not judged', async (t) => {
  const { clock, moods, register, satellites, posts } = makeKit(t, OPTIONS);
  await register({ port: 5000 });
  moods.set(URL, 'hang');
  satellites.deliver(messageOf('x'));
  for (let n = 0; n < 10; n++) {
    clock.advance(1000);
    await settle();
  }
  t.deepEqual(
    posts.all.map(({ method }) => method),
    ['notify'],
  );
  t.is(satellites.list()[0]?.pings.fails, 0);
});

test('a ping that never ends only delays its own satellite', async (t) => {
  const { clock, moods, register, posts } = makeKit(t, OPTIONS);
  await register({ port: 5000 });
  await register({ port: 5001 });
  moods.set(URL, 'hang');
  for (let n = 0; n < 3; n++) {
    clock.advance(1000);
    await settle();
  }
  t.is(posts.all.filter(({ to }) => to === URL).length, 1);
  t.is(posts.all.filter(({ to }) => to !== URL).length, 3);
});

for (const [what, end] of [
  ['revoked', (tokens: Map<string, string>) => tokens.delete('ci')],
  ['replaced by another of its name', (tokens: Map<string, string>) => tokens.set('ci', 'second')],
] as const)
  test(`a satellite that registered with a token stays until that is ${what}, over restarts too`, async (t) => {
    const { clock, register, satellites, seen, validTokens, stateDir } = makeKit(t, OPTIONS);
    await register({ port: 5000 }, '192.0.2.7', undefined, { name: 'ci', id: 'first' });
    await register({ port: 5001 }, '192.0.2.8');
    t.false(satellites.isSatelliteAddress('192.0.2.7'), 'its address gives nothing that the token does not');
    t.true(satellites.isSatelliteAddress('192.0.2.8'));
    clock.advance(1000);
    await settle();
    t.is(satellites.list().length, 2);
    const again = makeKit(t, OPTIONS, stateDir);
    await again.start();
    t.false(again.satellites.isSatelliteAddress('192.0.2.7'));
    for (const kit of [{ clock, satellites, seen, validTokens }, again]) {
      end(kit.validTokens);
      kit.clock.advance(1000);
      await settle();
      await kit.seen.event('satellite.expired', { satellite: '192.0.2.7:5000', reason: /^the token 'ci' .* is no longer valid/ });
      t.deepEqual(
        kit.satellites.list().map(({ port }) => port),
        [5001],
      );
    }
  });
