/** What comes by a relay plugin's carrier is held to what holds at the HTTP door for a peer. */
import test from 'ava';
import type { Dict, Sendable } from '../../src/values/values.ts';
import { CustomEndpoint } from '../../src/relay/relay.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../../src/xmlrpc/xmlrpc.ts';
import { Gate } from '../support/gate.ts';
import { SELF, makeHeart } from './heart.ts';
import type { HeartOptions } from './heart.ts';

const BY = 'p@192.0.2.9:2004';
const STAMP = { id: 'far.1', hops: 14, age: 30, by: BY, via: ['o@198.51.100.1:2004'] };
const FORWARDED = { data: 1, host_id: 'o@198.51.100.1:2004', co2: STAMP };
const notify = (dict: Sendable): Buffer => serialiseCall('notify', [dict]);

function doorOf(options: HeartOptions = {}, nonFinite = false) {
  const heart = makeHeart(options);
  const door = new CustomEndpoint(heart.dispatcher, 2000);
  const receive = door.receiver({ address: '192.0.2.9', port: 2004, nonFinite });
  const hand = async (document: Uint8Array): Promise<ParsedResponse> => parseResponse(await receive(document));
  return { heart, door, hand };
}

test('a forwarded dict: accepted as the peer’s, and answered true once it is', async (t) => {
  const { heart, door, hand } = doorOf();
  door.open();
  t.like(await hand(notify(FORWARDED)), { kind: 'value', value: true });
  t.like(heart.forwarded[0], {
    id: 'far.1',
    hopsLeft: 14,
    verdict: 'vouched',
    via: [...STAMP.via, BY],
    clientAddress: ['192.0.2.9', 2004],
  });
  t.is(heart.delivered.length, 1);
  t.like(await hand(notify(FORWARDED)), { value: true });
  t.is(heart.delivered.length, 1, 'a duplicate goes nowhere');
});

const FORGED: readonly (readonly [what: string, dict: Sendable, code: number, text: RegExp])[] = [
  [
    'a stamp of another address',
    { ...FORWARDED, co2: { ...STAMP, by: 'p@192.0.2.8:2004' } },
    403,
    /co2\.by 'p@192\.0\.2\.8:2004' does not belong to 192\.0\.2\.9/,
  ],
  ['a loopback origin that nobody attests', { ...FORWARDED, host_id: 'x@127.0.0.1:1' }, 403, /loopback/],
  ['no host_id', { data: 1, co2: STAMP }, 403, /without host_id/],
  ['a damaged stamp', { ...FORWARDED, co2: { ...STAMP, hops: 99 } }, -32602, /co2\.hops/],
  ['no stamp, and the host_id of another', { data: 1, host_id: 'o@198.51.100.1:2004' }, 403, /does not belong to 192\.0\.2\.9/],
  ['no stamp, and our own host_id', { data: 1, host_id: SELF }, 403, /this relay's own/],
  ['no data', { host_id: 'o@198.51.100.1:2004', co2: STAMP }, -32602, /no member 'data'/],
  ['no dict', 'text', -32602, /notify takes one struct/],
  ['what is not finite', { ...FORWARDED, data: 'NaN' }, -32700, /./],
];

for (const [what, dict, code, text] of FORGED) {
  test(`refused: ${what}`, async (t) => {
    const { heart, door, hand } = doorOf();
    door.open();
    const document = notify(dict).toString().replace('<string>NaN</string>', '<double>NaN</double>');
    const answer = await hand(Buffer.from(document));
    if (answer.kind !== 'fault') return t.fail('it was taken');
    if (code === -32700) t.true(answer.code < -32000, answer.text);
    else t.is(answer.code, code);
    t.regex(answer.text, text);
    t.deepEqual([heart.delivered, heart.forwarded], [[], []]);
    t.is(heart.status().originRefused, code === 403 ? 1 : 0);
  });
}

test('non-finite doubles are accepted from a peer that may send them', async (t) => {
  const { heart, door, hand } = doorOf({}, true);
  door.open();
  const document = notify({ ...FORWARDED, data: 'NaN' })
    .toString()
    .replace('<string>NaN</string>', '<double>NaN</double>');
  t.like(await hand(Buffer.from(document)), { kind: 'value' });
  t.is(heart.delivered.length, 1);
});

function batch(methods: readonly string[]): Buffer {
  return serialiseCall('system.multicall', [methods.map((methodName) => ({ methodName, params: [FORWARDED] }))]);
}

test('a document may carry several dicts, each with its own outcome', async (t) => {
  const { heart, door, hand } = doorOf();
  door.open();
  t.like(await hand(batch([])), { kind: 'value', value: [] }, 'so a link asks whether it may send several');
  t.like(await hand(batch(['notify', 'notify'])), { kind: 'value', value: [[true], [true]] }, 'the second is a duplicate');
  t.is(heart.delivered.length, 1);
});

const OTHER: readonly (readonly [what: string, document: Uint8Array, code: number])[] = [
  ['another method', serialiseCall('relay.get_status', []), -32601],
  ['a method that a peer may call over HTTP', serialiseCall('ping', []), -32601],
  ['several calls, not all of notify', batch(['notify', 'ping']), -32601],
  ['nothing', Buffer.alloc(0), -32700],
  ['what is no XML', Buffer.from('{"method":"notify"}'), -32700],
  ['an entity', Buffer.from('<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>notify</methodName></methodCall>'), -32700],
  ['a document that is too large', notify({ ...FORWARDED, data: 'x'.repeat(3000) }), 413],
  ['a text', 'text' as unknown as Uint8Array, -32600],
  ['nothing at all', undefined as unknown as Uint8Array, -32600],
];

for (const [what, document, code] of OTHER) {
  test(`answered with a fault: ${what}`, async (t) => {
    const { heart, door, hand } = doorOf();
    door.open();
    t.like(await hand(document), { kind: 'fault', code });
    t.deepEqual(heart.delivered, []);
    t.like(await hand(notify(FORWARDED)), { kind: 'value' }, 'and the next one comes in');
  });
}

test('rights and limits are those of a peer', async (t) => {
  const narrow = doorOf({ access: { peer: ['read'] } });
  narrow.door.open();
  t.like(await narrow.hand(notify(FORWARDED)), { kind: 'fault', code: 403 });
  t.deepEqual(narrow.heart.delivered, []);
  const rates = { perSecond: 1, burst: 2 };
  const all = { anonymous: rates, local: rates, satellite: rates, token: rates, peer: rates };
  const limited = doorOf({ limits: all });
  limited.door.open();
  const answers = [];
  for (const document of [notify(FORWARDED), Buffer.from('rubbish'), notify(FORWARDED), notify(FORWARDED)])
    answers.push(await limited.hand(document));
  t.deepEqual(
    answers.map((answer) => (answer.kind === 'fault' ? answer.code : 0)),
    [0, -32700, 429, 429],
  );
  t.is(limited.heart.status().rateLimited, 2);
  let looks = 0;
  const look = (): object => {
    looks++;
    return Uint8Array.prototype;
  };
  t.like(await limited.hand(new Proxy(Buffer.alloc(1), { getPrototypeOf: look })), { kind: 'fault', code: 429 });
  t.is(looks, 0, 'who is over the limit has nothing read');
});

test('before it opens and after it has stopped it answers to call again later; a stop waits for documents in progress', async (t) => {
  const { heart, door, hand } = doorOf();
  t.like(await hand(notify(FORWARDED)), { kind: 'fault', code: 503 });
  door.open();
  const underWay = hand(notify(FORWARDED));
  let isAnswered = false;
  void underWay.then(() => {
    isAnswered = true;
  });
  await door.stop();
  t.is(heart.delivered.length, 1);
  t.like(await underWay, { kind: 'value' });
  t.true(isAnswered);
  t.like(await hand(notify({ ...FORWARDED, co2: { ...STAMP, id: 'far.2' } })), { kind: 'fault', code: 503 });
  t.is(heart.delivered.length, 1);
});

test('documents are processed one at a time, in order; those of a flood are rejected until later', async (t) => {
  const { heart, door, hand } = doorOf();
  door.open();
  const answered = new Gate<number>();
  const document = (index: number): Buffer => notify({ ...FORWARDED, data: index, co2: { ...STAMP, id: `far.${index}` } });
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const answer = await hand(document(index));
      if (answer.kind === 'value') answered.push(index);
      return answer.kind === 'fault' ? answer.code : 0;
    }),
  );
  const taken = answers.filter((code) => code === 0).length;
  t.true(taken >= 16 && taken <= 17, `${taken} were taken`);
  t.deepEqual([...new Set(answers)], [0, 503]);
  const order = heart.delivered.map(({ message }) => (message.frozen().dict as { data: number } & Dict).data);
  t.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
  t.deepEqual(answered.all, order);
  t.like(await hand(document(99)), { kind: 'value' });
});
