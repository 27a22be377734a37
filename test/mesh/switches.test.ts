/**
 * Peers with switches: the bytes that each gets, what cannot be sent to one and reaches the others, and who may send what is not finite.
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { parseResponse } from '../../src/xmlrpc/xmlrpc.ts';
import type { WriteOptions } from '../../src/xmlrpc/xmlrpc.ts';
import { request } from '../http/raw.ts';
import { startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import type { ScriptedPeer } from '../support/scripted-peer.ts';

const MEMBER = '<member><name>data</name>';

/** Posts `notify({data})` with the value as this XML; the fault code, 0 if there is none. */
async function notify({ url }: TestRelay, value: string): Promise<number> {
  const struct = `<struct>${MEMBER}<value>${value}</value></member></struct>`;
  const body = `<methodCall><methodName>notify</methodName><params><param><value>${struct}</value></param></params></methodCall>`;
  const answer = parseResponse((await request(url, { body, headers: { 'content-type': 'text/xml' } })).body);
  return answer.kind === 'fault' ? answer.code : 0;
}

/** The XML of the member `data` as a peer got it. */
function dataIn(body: string): string {
  const from = body.indexOf(MEMBER) + MEMBER.length;
  return body.slice(from, body.indexOf('</member>', from));
}

/** A relay with a peer that has these switches, and with a plain one. */
async function startPair(
  t: ExecutionContext,
  send: WriteOptions,
  config: Config = {},
): Promise<{ relay: TestRelay; peer: ScriptedPeer; plain: ScriptedPeer }> {
  const [peer, plain] = await Promise.all([scriptedPeer(t), scriptedPeer(t)]);
  return { relay: await startRelay(t, { ...config, peers: [{ url: peer.url, send }, plain.url] }), peer, plain };
}

const BYTES: readonly (readonly [what: string, send: WriteOptions, came: string, goes: string])[] = [
  ['no switch: what all read', {}, '<i4>+07</i4>', '<int>7</int>'],
  ['no switch: a double that is whole stays one', {}, '<double>1.50</double>', '<double>1.5</double>'],
  ['no switch: an i8 that fits is an int', {}, '<i8>5</i8>', '<int>5</int>'],
  [
    'i8',
    { i8: true },
    '<array><data><value><i8>5</i8></value><value><int>5</int></value></data></array>',
    '<array><data><value><i8>5</i8></value><value><int>5</int></value></data></array>',
  ],
  ['i8 beyond 2^53', { i8: true }, '<i8>9007199254740993</i8>', '<i8>9007199254740993</i8>'],
  ['nil', { nil: true }, '<nil/>', '<nil/>'],
  ['decimal', {}, '<double>1e3</double>', '<double>1000.0</double>'],
  ['exponent', { doubles: 'exponent' }, '<double>1e300</double>', '<double>1e+300</double>'],
  ['ascii', { charset: 'ascii' }, 'ä😀', '<string>&#228;&#128512;</string>'],
  [
    'structs in structs',
    {},
    '<struct><member><name>b</name><value>x</value></member></struct>',
    '<struct><member><name>b</name><value><string>x</string></value>',
  ],
];

for (const [what, send, came, goes] of BYTES) {
  test(`a peer gets exactly these bytes: ${what}`, async (t) => {
    const { relay, peer } = await startPair(t, send);
    t.is(await notify(relay, came), 0);
    const [body = ''] = await peer.bodies.first(1);
    t.is(dataIn(body).slice(0, '<value>'.length + goes.length), `<value>${goes}`);
    t.regex(body, /<name>host_id<\/name>.*<name>co2<\/name>/);
  });
}

const REFUSED: readonly (readonly [what: string, send: WriteOptions, came: string, reason: RegExp])[] = [
  ['nil', { nil: false }, '<nil/>', /null cannot be written/],
  ['i8', { nil: true }, '<i8>9007199254740993</i8>', /integer of 64 bits cannot be written/],
  ['astral', { astral: false }, '😀', /U\+FFFF|beyond/],
];

for (const [what, send, came, reason] of REFUSED) {
  test(`a dict that a peer cannot read is rejected for that peer only, counted, and logged once: ${what}`, async (t) => {
    const { relay, peer, plain } = await startPair(t, send);
    for (let times = 0; times < 3; times++) t.is(await notify(relay, came), 0);
    t.is(await notify(relay, '<string>after</string>'), 0);
    t.is((await peer.notified.first(1))[0]?.data, 'after');
    t.is((await plain.notified.first(4)).length, 4);
    t.like(relay.status().mesh.peers[0], { refused: 3 });
    t.is(relay.log.lines.all.filter(({ level, text }) => level === 'warn' && reason.test(text)).length, 1);
  });
}

test('a peer without send options gets each scalar unchanged', async (t) => {
  const { relay, plain } = await startPair(t, {});
  await notify(relay, '<double>1.50</double>');
  t.is(dataIn((await plain.bodies.first(1))[0] ?? ''), '<value><double>1.50</double></value>');
});

test('non-finite doubles are accepted only from a peer with permission, and sent only to peers that can read them', async (t) => {
  const [reads, plain] = await Promise.all([scriptedPeer(t), scriptedPeer(t)]);
  const strict = await startRelay(t, { peers: [plain.url] });
  t.is(await notify(strict, '<double>NaN</double>'), -32600);
  const relay = await startRelay(t, { peers: [{ url: reads.url, send: { nonFinite: true }, accept: { nonFinite: true } }, plain.url] });
  t.is(await notify(relay, '<double>-INF</double>'), 0);
  t.is(await notify(relay, '<double>2</double>'), 0);
  t.is(dataIn((await reads.bodies.first(1))[0] ?? ''), '<value><double>-Infinity</double></value>');
  t.is(dataIn((await plain.bodies.first(1))[0] ?? ''), '<value><double>2</double></value>');
  t.is((await relay.received.first(1))[0]?.dict.data, -Infinity);
});
