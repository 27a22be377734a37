/** Who may register, with what, how many; who is found; who is notified. */
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import type { Sendable } from '../../src/values/values.ts';
import { SELF, messageOf } from '../mesh/messages.ts';
import { refuses, rejects } from '../support/relay-error.ts';
import { makeKit, settle } from './kit.ts';

test('a registration answers the record, with a token that no list shows', async (t) => {
  const { satellites, register } = makeKit(t);
  const record = await register({ port: 5000 }, '192.0.2.7');
  t.like(record, { address: '192.0.2.7', port: 5000, path: '/RPC2', nick: record.hostId });
  t.regex(record.hostId, /^[0-9a-f]{16}@192\.0\.2\.7:5000$/);
  t.regex(record.token, /^[\w-]{32}$/);
  t.deepEqual(record.pings, { current: -1, count: 0, min: -1, max: -1, avg: -1, fails: 0 });
  const shown = JSON.stringify([satellites.list(), satellites.status()]);
  t.false(shown.includes(record.token));
  t.notRegex(shown, /token/i);
});

const BAD: readonly (readonly [string, Readonly<Record<string, Sendable | undefined>>])[] = [
  ['no port', {}],
  ['port 0', { port: 0 }],
  ['port 65536', { port: 65536 }],
  ['a port as text', { port: '5000' }],
  ['half a port', { port: 1.5 }],
  ['a path without slash', { port: 5000, path: 'RPC2' }],
  ['an empty path', { port: 5000, path: '' }],
  ['white space in the path', { port: 5000, path: '/a b' }],
  ['a line break in the path', { port: 5000, path: '/a\nb' }],
  ['a fragment', { port: 5000, path: '/a#b' }],
  ['an endless path', { port: 5000, path: `/${'x'.repeat(200)}` }],
  ['a nick that is no string', { port: 5000, nick: 7 }],
  ['our own address', { port: 2004 }],
];
for (const [what, props] of BAD) {
  test(`${what} is refused, and nothing is registered`, async (t) => {
    const { satellites, register } = makeKit(t);
    const error = await t.throwsAsync(register(props));
    t.true(RelayError.is(error) && error.code === 'INVALID_PARAMS', String(error));
    t.is(satellites.list().length, 0);
  });
}

test('an address that no URL can express is rejected', async (t) => {
  const { register } = makeKit(t);
  await t.throwsAsync(register({ port: 5000 }, 'fe80::1%eth0'), { code: 'INVALID_PARAMS' });
  t.is((await register({ port: 5000 }, '2001:db8::1')).address, '2001:db8::1');
});

test('a nick is cleaned and cut', async (t) => {
  const { register } = makeKit(t);
  const { nick } = await register({ port: 5000, nick: ` \u202e\u2028${'n'.repeat(500)} ` });
  t.true(nick.length <= 65, nick);
  t.notRegex(nick, /[\u202e\u2028]/);
  t.is((await register({ port: 5001, nick: '  ', host_id: 'a@192.0.2.7:5001' }, '192.0.2.7', 'a@192.0.2.7:5001')).nick, 'a@192.0.2.7:5001');
});

test('a registration with a token belongs to that token while it is valid; one without belongs to its address', async (t) => {
  const { satellites, register, validTokens, stateDir } = makeKit(t);
  const ci = { name: 'ci', id: 'first' };
  const { token } = await register({ port: 5000 }, '192.0.2.7', undefined, ci);
  const again = makeKit(t, {}, stateDir);
  await again.start();
  for (const kit of [{ satellites, register }, again]) {
    for (const other of [undefined, { name: 'ci', id: 'second' }, { name: 'other', id: 'x' }]) {
      const sender = kit.satellites.byEndpoint('192.0.2.7', 5000)!;
      const { message } = refuses(t, () => kit.satellites.requireOwner(sender, other), 'FORBIDDEN');
      t.regex(message, /192\.0\.2\.7:5000 was registered with a token: present the same one/);
      await rejects(t, kit.register({ port: 5000, path: '/mine' }, '192.0.2.7', undefined, other), 'FORBIDDEN');
      t.truthy(kit.satellites.byToken(token, '192.0.2.7'), 'the registration is as it was');
      t.is(kit.satellites.list()[0]?.path, '/RPC2');
      t.notThrows(() => kit.satellites.requireOwner(sender, ci));
    }
  }
  await register({ port: 5000, path: '/anew' }, '192.0.2.7', undefined, ci);
  validTokens.set('ci', 'second');
  await register({ port: 5000 }, '192.0.2.7');
  t.true(satellites.isSatelliteAddress('192.0.2.7'), 'of a token that is no more anybody may take it over');
  await register({ port: 5000 }, '192.0.2.7', undefined, { name: 'ci', id: 'second' });
  t.false(satellites.isSatelliteAddress('192.0.2.7'), 'and a token may take over what has none');
});

test('over the limit is refused; the same place again is not more; a place that became free is free', async (t) => {
  const { satellites, register } = makeKit(t, { maxSatellites: 2 });
  await register({ port: 5000 });
  const second = await register({ port: 5001 });
  const error = await t.throwsAsync(register({ port: 5002 }));
  t.true(RelayError.is(error) && error.code === 'LIMIT' && error.message.includes('2'));
  await t.notThrowsAsync(register({ port: 5000, nick: 'again' }));
  await satellites.unregister(satellites.byToken(second.token, '192.0.2.7')!);
  await t.notThrowsAsync(register({ port: 5002 }));
  t.deepEqual(
    satellites.list().map(({ port }) => port),
    [5000, 5002],
  );
});

test('of many at once no more than the limit get in', async (t) => {
  const { satellites, register } = makeKit(t, { maxSatellites: 5 });
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => register({ port: 5000 + n })));
  t.is(results.filter(({ status }) => status === 'fulfilled').length, 5);
  t.is(satellites.list().length, 5);
});

test('a repeated registration gets a new token, but keeps its position in the list and its waiting dicts', async (t) => {
  const { satellites, register, moods, notified, posts, clock } = makeKit(t);
  const url = 'http://192.0.2.7:5000/RPC2';
  const first = await register({ port: 5000, nick: 'one' });
  await register({ port: 5001 });
  moods.set(url, 'down');
  satellites.deliver(messageOf('waits'));
  await posts.first(1);
  await settle();
  moods.set(url, 'ok');
  const again = await register({ port: 5000, nick: 'two' });
  t.not(again.token, first.token);
  t.deepEqual(
    satellites.list().map(({ nick }) => nick.slice(0, 3)),
    ['two', satellites.list()[1]!.nick.slice(0, 3)],
  );
  t.is(satellites.byToken(first.token, '192.0.2.7'), undefined, 'the old token is worth nothing');
  t.truthy(satellites.byToken(again.token, '192.0.2.7'));
  await settle();
  t.deepEqual(notified(url), ['waits', 'waits'], 'tried at once, without a wait for the clock');
  t.true(clock.pending > 0);
});

test('with another path it is another server: the link to the old one ends', async (t) => {
  const { satellites, register, notified, closed } = makeKit(t);
  await register({ port: 5000, path: '/old' });
  await register({ port: 5000, path: '/new' });
  t.deepEqual(closed, ['http://192.0.2.7:5000/old']);
  satellites.deliver(messageOf('x'));
  await settle();
  t.deepEqual(notified('http://192.0.2.7:5000/new'), ['x']);
  t.deepEqual(notified('http://192.0.2.7:5000/old'), []);
});

test('found by token from its own address alone, by host_id with address and port, by place', async (t) => {
  const { satellites, register } = makeKit(t);
  const one = await register({ port: 5000 }, '192.0.2.7', 'a@192.0.2.7:5000');
  await register({ port: 5001 }, '192.0.2.7', 'b@192.0.2.7:5001');
  t.is(satellites.byToken(one.token, '192.0.2.7')?.hostId, 'a@192.0.2.7:5000');
  t.is(satellites.byToken(one.token, '192.0.2.8'), undefined);
  t.is(satellites.byToken('', '192.0.2.7'), undefined);
  t.is(satellites.byHostId('other@192.0.2.7:5001', '192.0.2.7')?.hostId, 'b@192.0.2.7:5001');
  t.is(satellites.byHostId('b@192.0.2.7:5001', '192.0.2.8'), undefined);
  t.is(satellites.byHostId('b@192.0.2.7:5002', '192.0.2.7'), undefined);
  t.is(satellites.byHostId('nonsense', '192.0.2.7'), undefined);
  t.is(satellites.byEndpoint('192.0.2.7', 5001)?.hostId, 'b@192.0.2.7:5001');
  t.true(satellites.isSatelliteAddress('192.0.2.7'));
  t.false(satellites.isSatelliteAddress('192.0.2.8'));
});

test('a notify carries host_id, the last hop, our stamp, and every scalar as it came', async (t) => {
  const { satellites, register, posts, start } = makeKit(t);
  await start();
  await register({ port: 5000 });
  const source =
    '<struct><member><name>data</name><value><double>1.0</double></value></member><member><name>host_id</name><value>forged</value></member>' +
    '<member><name>co2</name><value>forged</value></member><member><name>client_address</name><value>forged</value></member>' +
    '<member><name>more</name><value>kept</value></member></struct>';
  const clientAddress = ['203.0.113.5', 4711] as const;
  t.is(satellites.deliver(messageOf('x', { source, id: 'i.1', hostId: 'x@203.0.113.5:0', clientAddress, hopsLeft: 0 })), 1);
  const [{ dict }] = (await posts.first(1)) as [(typeof posts.all)[0]];
  t.deepEqual(Object.keys(dict).sort(), ['client_address', 'co2', 'data', 'host_id', 'more']);
  t.like(dict, { host_id: 'x@203.0.113.5:0', more: 'kept', data: 1 });
  t.deepEqual(dict.client_address, ['203.0.113.5', 4711]);
  t.like(dict.co2, { id: 'i.1', by: SELF, hops: 0 });
});

test('all but the sender are notified, in order; one that hangs or is down does not delay the others', async (t) => {
  const { satellites, register, notified, moods } = makeKit(t);
  const sender = await register({ port: 5000 });
  for (const port of [5001, 5002, 5003]) await register({ port });
  moods.set('http://192.0.2.7:5001/RPC2', 'hang').set('http://192.0.2.7:5002/RPC2', 'down');
  const { id } = satellites.byToken(sender.token, '192.0.2.7')!;
  for (const data of ['a', 'b', 'c']) t.is(satellites.deliver(messageOf(data), id), 3);
  await settle();
  t.deepEqual(notified('http://192.0.2.7:5000/RPC2'), []);
  t.deepEqual(notified('http://192.0.2.7:5001/RPC2'), ['a']);
  t.deepEqual(notified('http://192.0.2.7:5003/RPC2'), ['a', 'b', 'c']);
});

test('a stop sends the waiting dicts and the farewell, and closes all connections; a satellite that is down does not delay it', async (t) => {
  const { satellites, register, notified, moods, closed, clock } = makeKit(t);
  for (const port of [5000, 5001]) await register({ port });
  moods.set('http://192.0.2.7:5001/RPC2', 'down');
  satellites.deliver(messageOf('last'));
  await settle();
  await satellites.stop(messageOf('goodbye'));
  t.deepEqual(notified('http://192.0.2.7:5000/RPC2'), ['last', 'goodbye']);
  t.is(closed.length, 2);
  t.is(clock.pending, 0, 'no ping and no retry stays');
});

test('no other machine gets all places; this one may', async (t) => {
  const { register, satellites } = makeKit(t);
  const ports = Array.from({ length: 40 }, (_, index) => 5000 + index);
  const results = await Promise.allSettled(ports.map((port) => register({ port }, '192.0.2.7')));
  const [refused] = results.filter((result) => result.status === 'rejected');
  t.is(satellites.list().length, 25);
  t.regex(String(refused?.reason), /25 satellites are already registered from your address/);
  await Promise.all(ports.map((port) => register({ port }, '127.0.0.1')));
  await register({ port: 5000 }, '192.0.2.8');
  t.is(satellites.list().length, 66);
});
