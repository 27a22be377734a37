/** The junction: who gets a dict that comes in or goes out, with which stamp, and how often. */
import test from 'ava';
import { Double, dictOf, shareDict } from '../../src/values/values.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { parseCall, parseStruct, serialiseCall, serialiseNotify } from '../../src/xmlrpc/xmlrpc.ts';
import type { Caller } from '../../src/rpc/rpc.ts';
import { startRelay } from '../support/relays.ts';
import { DATA, SELF, callerOf, local, makeHeart, received } from './heart.ts';

const PEER = callerOf('peer', '192.0.2.9');
const STAMP = { id: 'far.1', hops: 14, age: 30, by: 'p@192.0.2.9:2004', via: ['o@198.51.100.1:2004'] };
const FORWARDED = { data: 1, host_id: 'o@198.51.100.1:2004', co2: STAMP };

for (const method of ['notify', 'relay.relay']) {
  test(`${method} by a client: all satellites and all peers, with our stamp`, async (t) => {
    const heart = makeHeart();
    t.is(await heart.call(method, [received({ data: 1 })], callerOf('local', '192.0.2.5')), true);
    t.deepEqual(
      heart.delivered.map(({ except }) => except),
      [undefined],
    );
    t.is(heart.forwarded.length, 1);
    const message = heart.forwarded[0]!;
    t.is(heart.delivered[0]?.message, message, 'one object for all');
    t.like(message, { hopsLeft: 16, ageMs: 0, via: [], verdict: 'checked', clientAddress: ['192.0.2.5', 4711] });
    t.regex(message.hostId, /^[0-9a-f]{16}@192\.0\.2\.5:0$/);
    t.deepEqual(message.attestation, { by: SELF, observedIp: '192.0.2.5', verdict: 'checked' });
    t.like(heart.status(), { accepted: 1, sent: 0, duplicates: 0, originRefused: 0 });
  });
}

test('send by a satellite: all others and all peers, as our own', async (t) => {
  const heart = makeHeart();
  const id = await heart.router.send('ham.spam.Spam', { data: 'x' });
  t.is(heart.delivered[0]?.except, 'ham.spam.Spam');
  t.like(heart.forwarded[0], { id, hostId: SELF, clientAddress: ['192.0.2.1', 2004], hopsLeft: 16, via: [], verdict: 'local' });
  t.is(heart.forwarded[0]?.attestation, undefined);
  t.like(heart.status(), { accepted: 0, sent: 1 });
});

test('send takes a Map too, and a dict without data is refused to its sender', async (t) => {
  const heart = makeHeart();
  await heart.router.send('ham.spam.Spam', new Map([['data', 'x']]));
  t.is(heart.forwarded.length, 1);
  const error = await t.throwsAsync(heart.router.send('ham.spam.Spam', { date: 'x' }));
  t.like(error, { code: 'INVALID_PARAMS' });
  t.regex(error.message, /no member 'data'/);
});

test('notify by a peer: its stamp is trusted, so the mesh knows which relays had the dict', async (t) => {
  const heart = makeHeart();
  t.is(await heart.call('notify', [received(FORWARDED)], PEER), true);
  t.like(heart.forwarded[0], {
    id: 'far.1',
    hopsLeft: 14,
    ageMs: 30,
    via: [...STAMP.via, STAMP.by],
    hostId: 'o@198.51.100.1:2004',
    verdict: 'vouched',
  });
  t.is(heart.delivered.length, 1);
});

test('a repeated notify by a peer is answered with true and counted, but not delivered', async (t) => {
  const heart = makeHeart();
  for (let time = 0; time < 3; time++) t.is(await heart.call('notify', [received(FORWARDED)], PEER), true);
  t.is(heart.delivered.length, 1);
  t.is(heart.forwarded.length, 1);
  t.like(heart.status(), { accepted: 1, duplicates: 2 });
});

test('our own dict that comes back is a duplicate', async (t) => {
  const heart = makeHeart();
  const id = await heart.router.send('ham.spam.Spam', { data: 1 });
  t.is(await heart.call('notify', [received({ data: 1, host_id: SELF, co2: { ...STAMP, id } })], PEER), true);
  t.is(heart.delivered.length, 1);
  t.is(heart.status().duplicates, 1);
});

const STRANGERS: readonly (readonly [what: string, caller: Caller])[] = [
  ['a client on this machine', local],
  ['a client with the token', callerOf('token', '192.0.2.5')],
  ['a satellite', callerOf('satellite', '192.0.2.5')],
  ['a stranger', callerOf('anonymous', '192.0.2.5')],
];

for (const [what, caller] of STRANGERS) {
  test(`the co2 key of ${what} is not believed, and cannot suppress a dict`, async (t) => {
    const heart = makeHeart({ access: { anonymous: ['message'] } });
    for (let time = 0; time < 2; time++) await heart.call('notify', [received({ data: 1, co2: { ...STAMP, hops: 0 } })], caller);
    t.is(heart.delivered.length, 2);
    for (const { message } of heart.delivered) {
      t.not(message.id, 'far.1');
      t.like(message, { hopsLeft: 16, via: [] });
      t.false('co2' in message.frozen().dict);
    }
    await heart.call('notify', [received(FORWARDED)], PEER);
    t.is(heart.delivered.length, 3, 'the real one still gets through');
  });
}

test('our own dict that comes back after a restart, with a forgotten id, is a duplicate, too', async (t) => {
  const heart = makeHeart();
  t.is(await heart.call('notify', [received({ ...FORWARDED, host_id: SELF })], PEER), true);
  t.deepEqual([heart.delivered.length, heart.forwarded.length], [0, 0]);
  t.like(heart.status(), { accepted: 0, duplicates: 1 });
});

test('only this relay may use its host_id; a client at its address may not', async (t) => {
  const heart = makeHeart();
  const error = await t.throwsAsync(heart.call('notify', [received({ data: 1, host_id: SELF })], callerOf('local', '192.0.2.1')));
  t.like(error, { code: 'ORIGIN_REFUSED' });
  t.regex(error.message, /is this relay's own: omit host_id/);
  t.deepEqual([heart.delivered.length, heart.forwarded.length], [0, 0]);
});

test('the co2 key of a satellite here is not believed either', async (t) => {
  const heart = makeHeart();
  await heart.router.send('ham.spam.Spam', { data: 1, host_id: 'forged@10.0.0.1:1', client_address: ['10.0.0.1', 1], co2: STAMP });
  const message = heart.delivered[0]!.message;
  t.not(message.id, 'far.1');
  const { dict } = message.frozen();
  t.deepEqual(Object.keys(dict).sort(), ['client_address', 'data', 'host_id']);
  t.is(dict.host_id, SELF);
  t.deepEqual(dict.client_address, ['192.0.2.1', 2004]);
});

test('what a satellite here sends is forwarded with the members that this relay sets, once each', async (t) => {
  const heart = makeHeart();
  const own = { host_id: SELF, co2: { id: 'new' } };
  const forwarded = async (dict: Readonly<Record<string, Sendable>>): Promise<string> => {
    await heart.router.send('ham.spam.Spam', dict);
    return serialiseNotify(heart.forwarded.at(-1)!, own).toString();
  };
  const expected = serialiseCall('notify', [{ data: [1, new Double(2)], ...own }]).toString();
  t.is(await forwarded({ data: [1, new Double(2)] }), expected);
  t.is(await forwarded({ data: [1, new Double(2)], host_id: 'forged@10.0.0.1:1', client_address: 'forged', co2: STAMP }), expected);
});

test('a peer whose stamp is damaged or lies about its last hop delivers nothing', async (t) => {
  const heart = makeHeart();
  for (const [change, code] of [
    [{ hops: 99 }, 'INVALID_PARAMS'],
    [{ by: 'p@192.0.2.8:2004' }, 'ORIGIN_REFUSED'],
    [{ by: 'nobody' }, 'ORIGIN_REFUSED'],
  ] as const) {
    const dict = received({ ...FORWARDED, co2: { ...STAMP, ...change } });
    t.like(await t.throwsAsync(heart.call('notify', [dict], PEER)), { code });
  }
  t.is(heart.delivered.length + heart.forwarded.length, 0);
  t.is(heart.status().originRefused, 2);
});

test('a program beside a peer, without a stamp, is a client like any other', async (t) => {
  const heart = makeHeart();
  await heart.call('notify', [received({ data: 1, host_id: 'x@192.0.2.9:80' })], PEER);
  t.like(heart.delivered[0]?.message, { verdict: 'checked', hostId: 'x@192.0.2.9:80' });
  await t.throwsAsync(heart.call('notify', [received({ data: 1, host_id: 'o@198.51.100.1:2004' })], PEER), { code: 'ORIGIN_REFUSED' });
});

test('a forged host_id: a fault 403, a counter, a log line, and nothing is delivered', async (t) => {
  const heart = makeHeart();
  const error = await t.throwsAsync(heart.call('notify', [received({ data: 1, host_id: 'o@198.51.100.1:2004' })]));
  t.like(error, { code: 'ORIGIN_REFUSED', fault: 403 });
  t.is(heart.delivered.length + heart.forwarded.length, 0);
  t.is(heart.status().originRefused, 1);
  const told = heart.log.lines.all.filter(({ text }) => /refused a dict from local caller 127\.0\.0\.1: .*198\.51\.100\.1/.test(text));
  t.deepEqual(
    told.map(({ level }) => level),
    ['debug', 'warn'],
  );
});

test('every refusal is logged at debug with the id that the dict claims; forged origins are a warning, once a second', async (t) => {
  const heart = makeHeart();
  const forged = { ...FORWARDED, co2: { ...STAMP, by: 'p@203.0.113.9:2004' } };
  for (let time = 0; time < 5; time++) await t.throwsAsync(heart.call('notify', [received(forged)], PEER));
  t.is(heart.log.matching(/^refused far\.1 from peer caller 192\.0\.2\.9: co2\.by/).length, 5);
  t.is(heart.log.lines.all.filter(({ level }) => level === 'warn').length, 1);
  t.is(heart.status().originRefused, 5);
});

test('a refused dict does not use up its id', async (t) => {
  const heart = makeHeart();
  await t.throwsAsync(heart.call('notify', [received({ ...FORWARDED, host_id: 'x' })], PEER));
  await heart.call('notify', [received(FORWARDED)], PEER);
  t.is(heart.delivered.length, 1);
});

const NO_DICTS: readonly (readonly [what: string, params: readonly Value[]])[] = [
  ['nothing', []],
  ['an empty struct', [dictOf()]],
  ['no data', [received({ x: 1 })]],
  ['a string', ['data']],
  ['a number', [5]],
  ['nil', [null]],
  ['a list', [[1]]],
  ['bytes', [Buffer.from('data')]],
  ['two structs', [DATA, DATA]],
  ['a struct and more', [DATA, 1]],
];

for (const [what, params] of NO_DICTS) {
  test(`notify with ${what}: invalid parameters, and nothing is delivered`, async (t) => {
    const heart = makeHeart();
    for (const method of ['notify', 'relay.relay']) {
      t.like(await t.throwsAsync(heart.call(method, params)), { code: 'INVALID_PARAMS', fault: -32602 });
    }
    t.is(heart.delivered.length + heart.forwarded.length, 0);
    t.is(heart.status().accepted, 0);
  });
}

test('data may be anything, nil too; host_id and client_address are set, all other members stay', async (t) => {
  const heart = makeHeart();
  const others = { data: null, zeta: [1, { deep: 'x' }], alpha: Buffer.from('b'), constructor: 'own', toString: 5, '': 'empty' };
  const given = received({ ...others, client_address: 'forged', host_id: 'mine@127.0.0.1:99' });
  await heart.call('notify', [given]);
  const dict = shareDict(heart.delivered[0]!.message.frozen());
  const { host_id: hostId, client_address: address, ...rest } = dict;
  t.is(hostId, 'mine@127.0.0.1:99');
  t.deepEqual(address, ['127.0.0.1', 4711]);
  t.deepEqual(received(rest), received(others));
  t.true(Object.isFrozen(dict) && Object.isFrozen(dict.zeta));
});

test('a member __proto__ is plain data on its way', async (t) => {
  const heart = makeHeart();
  await heart.call('notify', [
    dictOf([
      ['data', 1],
      ['__proto__', dictOf([['polluted', true]])],
    ]),
  ]);
  const { dict } = heart.delivered[0]!.message.frozen();
  t.true(Object.hasOwn(dict, '__proto__'));
  t.is(Object.getPrototypeOf(dict), null);
  t.is((dict as unknown as { polluted?: unknown }).polluted, undefined);
});

test('peers get the XML as it came', async (t) => {
  const heart = makeHeart();
  const call = parseCall(serialiseCall('notify', [{ data: new Double(1) }]));
  await heart.call('notify', call.params, { ...local, sourceOf: (dict) => call.sourceOf(dict) });
  t.regex(heart.forwarded[0]!.payload.toString(), /<double>1\.0<\/double>/);
  t.deepEqual(parseStruct(heart.forwarded[0]!.payload), call.params[0]);
});

class Own {
  readonly member = 1;
}

/** Lists inside each other. */
function nested(levels: number): Sendable {
  let value: Sendable = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

const UNSENDABLE: readonly (readonly [what: string, dict: unknown])[] = [
  ['no dict at all', 'text'],
  ['a list', [1]],
  ['nothing', undefined],
  ['no data', { x: 1 }],
  ['data undefined', { data: undefined }],
  ['a function', { data: () => 1 }],
  ['NaN', { data: NaN }],
  ['a class instance', { data: new Own() }],
  ['a control character', { data: 'a\u0000b' }],
  ['too deep', { data: nested(100) }],
  ['more values than anybody reads', { data: Array.from({ length: 250_000 }, () => 1) }],
  ['more members than anybody reads', { data: Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`m${index}`, 1])) }],
  ['more bytes than anybody reads', { data: 'x'.repeat(9 * 1024 * 1024) }],
  ['a member name longer than anybody reads', { data: 1, ['n'.repeat(2000)]: 1 }],
];

for (const [what, dict] of UNSENDABLE) {
  test(`send of ${what}: the sender hears of it, nobody else gets it`, async (t) => {
    const heart = makeHeart();
    await t.throwsAsync(heart.router.send('ham.spam.Spam', dict as Sendable));
    t.is(heart.delivered.length + heart.forwarded.length, 0);
    t.is(heart.status().sent, 0);
  });
}

test('changes that a satellite makes to its object after send have no effect', async (t) => {
  const heart = makeHeart();
  const mine = { data: [1, 2] };
  const sent = heart.router.send('ham.spam.Spam', mine);
  mine.data.push(3);
  await sent;
  mine.data.push(4);
  t.deepEqual(heart.delivered[0]?.message.frozen().dict.data, [1, 2]);
});

test('ids are never the same twice, over two relays neither', async (t) => {
  const [one, other] = [makeHeart(), makeHeart()];
  const ids = new Set<string>();
  for (let index = 0; index < 200; index++) for (const { router } of [one, other]) ids.add(await router.send('s', { data: 1 }));
  t.is(ids.size, 400);
  for (const id of ids) t.regex(id, /^[!-~]{1,30}$/);
});

test('before it listens a relay says so', async (t) => {
  const heart = makeHeart({}, [], false);
  t.like(await t.throwsAsync(heart.call('notify', [DATA])), { code: 'UNAVAILABLE', fault: 503 });
  t.like(await t.throwsAsync(heart.router.send('s', { data: 1 })), { code: 'UNAVAILABLE' });
  t.is(heart.delivered.length, 0);
});

test('a satellite calls like any client, gets its own copy of the result, and needs the right for each method', async (t) => {
  const given: Value[] = [];
  const heart = makeHeart({}, [{ name: 'a.b.echo', invoke: async ([value]) => (given.push(value!), value) }]);
  const call = (name: string, params: Sendable[], options = {}): Promise<Value> =>
    heart.dispatcher.callFromSatellite('ham.spam.Spam', name, params, options);
  const mine = { list: [1, 2] };
  const answer = (await call('a.b.echo', [mine])) as Dict;
  t.deepEqual(answer.list, [1, 2]);
  t.not(given[0], mine);
  t.not(answer, given[0]);
  await t.throwsAsync(call('a.b.nobody', []), { code: 'NO_SUCH_METHOD' });
  await t.throwsAsync(call('ping', [], { node: 'b7' }), { code: 'NOT_FOUND', message: /'b7'/ });
});

test('a relay that sends as a peer and is not listed is reported once', async (t) => {
  const heart = makeHeart();
  const sends = (id: string, by: string, caller: Caller): Promise<Sendable> =>
    heart.call('notify', [received({ data: id, co2: { ...STAMP, id, by } })], caller);
  await sends('a.1', 'b@192.0.2.5:2004', callerOf('local', '192.0.2.5'));
  await sends('a.2', 'b@192.0.2.5:2004', callerOf('local', '192.0.2.5'));
  await sends('a.3', 'c@192.0.2.77:2004', callerOf('local', '192.0.2.5'));
  await heart.call('notify', [received(FORWARDED)], PEER);
  const lines = heart.log.lines.all.map((line) => JSON.stringify(line)).filter((line) => line.includes('not one of its peers'));
  t.is(lines.length, 1);
  t.regex(lines[0]!, /relay b@192\.0\.2\.5:2004 sends to this relay, .* add http:\/\/192\.0\.2\.5:2004 to peers/);
  t.is(heart.delivered.length, 4, 'its dicts arrive all the same');
});

test('a relay that was registered as a satellite with a token is not reported as missing in peers, since it gets the dicts', async (t) => {
  const root = await startRelay(t);
  const [satellite, stranger] = [await startRelay(t, { peers: [root.url] }), await startRelay(t, { peers: [root.url] })];
  const { status } = await fetch(`${root.url}/api/relay.register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${root.adminToken}` },
    body: JSON.stringify([{ port: Number(new URL(satellite.url).port) }]),
  });
  t.is(status, 200);
  await satellite.emit({ data: 'from a satellite' });
  await root.received.first(1);
  await stranger.emit({ data: 'from a stranger' });
  await root.received.first(2);
  const lines = root.log.lines.all.map((line) => JSON.stringify(line)).filter((line) => line.includes('not one of its peers'));
  t.is(lines.length, 1);
  t.true(lines[0]!.includes(new URL(stranger.url).host));
});
