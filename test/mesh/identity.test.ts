/** Relays that prove who they are, on real sockets: hello, pins, sessions, and what becomes of forged ones. */
import { randomBytes } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import {
  OwnNode,
  SESSION_HEADER,
  agree,
  isAnswerOf,
  openHello,
  proofOnWire,
  readAnswer,
  readSide,
  requestHeader,
  sideOnWire,
} from '../../src/identity/identity.ts';
import type { Agreed, HelloAnswer } from '../../src/identity/identity.ts';
import { systemClock } from '../../src/core/core.ts';
import type { Clock } from '../../src/core/core.ts';
import { openStateDirectory } from '../../src/state/state.ts';
import { isDict } from '../../src/values/values.ts';
import type { Dict, Sendable } from '../../src/values/values.ts';
import { parseResponse, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { request } from '../http/raw.ts';
import { makeAuthority } from '../support/certificate.ts';
import type { CertificateFiles } from '../support/certificate.ts';
import { Gate } from '../support/gate.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

const FAST: Config = { retry: { minMs: 5, maxMs: 50 }, drainMs: 1000 };
const urlOf = (port: number): string => `http://127.0.0.1:${port}`;

interface Pair {
  readonly a: TestRelay;
  readonly b: TestRelay;
  readonly aUrl: string;
  readonly bUrl: string;
  readonly aDir: string;
  readonly bDir: string;
}

/** Two relays that list each other. */
async function startPair(t: ExecutionContext, both: Config = {}): Promise<Pair> {
  const [aPort = 0, bPort = 0] = await freePorts(2);
  const [aDir, bDir] = [join(temporaryDir(t), 'a'), join(temporaryDir(t), 'b')];
  const a = await startRelay(t, { ...FAST, port: aPort, dataDir: aDir, peers: [urlOf(bPort)], nick: 'a', ...both });
  const b = await startRelay(t, { ...FAST, port: bPort, dataDir: bDir, peers: [urlOf(aPort)], nick: 'b', ...both });
  await a.seen.event('peer.pinned', { nick: 'b' });
  await b.seen.event('peer.pinned', { nick: 'a' });
  return { a, b, aUrl: urlOf(aPort), bUrl: urlOf(bPort), aDir, bDir };
}

/** A relay of our own making, which can say anything. */
class Stranger {
  readonly node = new OwnNode({ seed: randomBytes(32).toString('base64url'), options: { trust: 'pin', nick: 'stranger' } });
  number = 0;

  constructor(hostId = '0123456789abcdef@127.0.0.1:9') {
    this.node.describe({ addrs: [], hostIds: [hostId] });
  }

  /** The first call of a hello, and what follows from its answer. */
  async begin(
    t: ExecutionContext,
    url: string,
  ): Promise<{ readonly answer: Dict; readonly agreed: Agreed; readonly second: Record<string, Sendable> }> {
    const own = openHello(this.node.self);
    const answer = await callOf(t, url, sideOnWire(own.own));
    const side = readSide(answer);
    const agreed = agree(own.own, side, own, Buffer.alloc(0));
    return { answer, agreed, second: { v: 1, hello: side.nonce, ...proofOnWire(this.node.self, 'initiator', agreed.transcript) } };
  }

  async hello(t: ExecutionContext, url: string): Promise<Agreed & { readonly decided: HelloAnswer | undefined }> {
    const { agreed, second } = await this.begin(t, url);
    return { ...agreed, decided: readAnswer(await callOf(t, url, second), agreed.keys) };
  }
}

async function callOf(t: ExecutionContext, url: string, params: Sendable): Promise<Dict> {
  const client = new XmlRpcClient(new URL(url));
  t.teardown(() => client.close());
  const value = await client.call('relay.hello', [params]);
  if (!isDict(value)) throw new Error('no struct');
  return value;
}

const notify = (dict: Record<string, Sendable>): Buffer => serialiseCall('notify', [dict]);

/** Posts a body with this session header; answers the code of the fault, or true. */
async function post(url: string, body: Uint8Array, header: string, more: Record<string, string> = {}): Promise<true | number> {
  const answer = await request(url, { body, headers: { [SESSION_HEADER]: header, ...more } });
  const parsed = parseResponse(answer.body);
  return parsed.kind === 'fault' ? parsed.code : true;
}

test('two relays prove their keys, pin each other, and forward dicts in a proven session', async (t) => {
  const { a, b, bUrl } = await startPair(t);
  // Before there is a dict, although the second relay called the first one before it was reached.
  await a.seen.event('peer.proven', { peer: '127.0.0.1', nick: 'b', how: 'pinned' });
  await b.seen.event('peer.proven', { peer: '127.0.0.1', nick: 'a', how: 'pinned' });
  await a.emit({ data: 'to b' });
  t.is((await b.received.first(1))[0]?.dict.data, 'to b');
  await b.emit({ data: 'to a' });
  t.is((await a.received.first(1))[0]?.dict.data, 'to a');
  const [peer] = a.status().mesh.peers;
  t.like(peer, { trust: 'key', proof: { session: 'proven', nick: 'b', answer: 'trusted', reason: '' } });
  const [shown] = (await a.callDirectly('relay.get_peers')) as readonly Dict[];
  t.like(shown, { peer: bUrl, node: peer?.proof.node, nick: 'b', session: 'proven', trust: 'key', trusts_us: true, reason: '' });
  t.is(b.status().mesh.peers[0]?.proof.answer, 'trusted', 'although it called before it was reached');
});

test('a relay of the last release, which does not know relay.hello, stays a peer by its address', async (t) => {
  const peer = await scriptedPeer(t);
  const relay = await startRelay(t, { ...FAST, peers: [peer.url] });
  await relay.seen.event('peer.classic', { peer: peer.url });
  await relay.emit({ data: 'out' });
  t.is((await peer.notified.first(1))[0]?.data, 'out');
  t.like(relay.status().mesh.peers[0], { trust: 'address', proof: { session: 'classic', node: '' } });
  // Its dicts, with the stamp of 0.1, are those of a peer.
  const host = `0123456789abcdef@127.0.0.1:${peer.port}`;
  await relay.call('notify', { data: 'in', host_id: 'c@192.0.2.9:2004', co2: { id: 'x.1', hops: 15, age: 0, by: host, via: [] } });
  t.is((await relay.received.first(1))[0]?.context.verdict, 'vouched');
});

test('a peer that proved its key once is never trusted by its address again, and never counts as classic', async (t) => {
  const { a, b, aUrl, bUrl } = await startPair(t);
  const stamp = { id: 'x.1', hops: 15, age: 0, by: b.hostId, via: [] };
  const forged = await t.throwsAsync(a.call('notify', { data: 'forged', host_id: 'c@192.0.2.9:2004', co2: stamp }));
  t.regex(forged.message, /does not belong to 127\.0\.0\.1/);
  await b.stop();
  const old = await scriptedPeer(t, { port: Number(new URL(bUrl).port) });
  await a.emit({ data: 'not for it' });
  await a.seen.event('peer.refused', { peer: bUrl, reason: /has proved to be node \w{32} before; .*co2 peers forget/ });
  t.deepEqual(old.notified.all, []);
  t.true(aUrl !== bUrl);
});

test('a peer that restarts continues with a new session, and one with another key is refused with both ids', async (t) => {
  const { a, b, aUrl, bUrl, bDir } = await startPair(t);
  const port = Number(new URL(bUrl).port);
  const { node } = await a.seen.event('peer.pinned', { nick: 'b' });
  await b.stop();
  const second = await startRelay(t, { ...FAST, port, dataDir: bDir, peers: [aUrl] });
  await a.emit({ data: 'after the restart' });
  t.is((await second.received.first(1))[0]?.dict.data, 'after the restart');
  t.deepEqual(a.seen.matching('peer.copied'), []);
  await second.stop();
  const third = await startRelay(t, { ...FAST, port, peers: [aUrl], nick: 'another' });
  const { reason } = await a.seen.event('peer.refused', { peer: bUrl, reason: /another key/ });
  const other = ((await third.callDirectly('relay.get_trust')) as Dict).node as string;
  t.true(reason.includes(node) && reason.includes(other) && reason.includes(`co2 peers forget ${node}`), reason);
  await a.callDirectly('relay.forget', node);
  await a.seen.event('mesh.link', { node: other, state: 'up' });
  await a.emit({ data: 'to the new one' });
  t.is((await third.received.first(1))[0]?.dict.data, 'to the new one', 'once the operator has decided');
  t.is(a.status().mesh.peers[0]?.proof.node, other);
});

test('a forged, changed or repeated request of a session is refused, and so are requests by other means', async (t) => {
  const { a, b, aUrl } = await startPair(t);
  const stranger = new Stranger();
  const { keys, decided } = await stranger.hello(t, aUrl);
  t.like(decided, { answer: 'known', copied: '' });
  t.regex(decided?.reason ?? '', /not among the peers/);
  const body = notify({ data: 'once' });
  const header = requestHeader(keys, 1, body);
  const [session = '', , digest = '', mac = ''] = header.split('.');
  const other = randomBytes(32).toString('base64url');
  t.is(await post(aUrl, notify({ data: 'changed' }), header), 401, 'another body');
  t.is(await post(aUrl, body, `${session}.1.${digest}.${other}`), 401, 'another MAC');
  t.is(await post(aUrl, body, `${session}.2.${digest}.${mac}`), 401, 'another number');
  t.is(await post(aUrl, body, `${'0'.repeat(24)}.1.${digest}.${mac}`), 401, 'another session');
  for (const malformed of ['', 'x', `${session}.0.${digest}.${mac}`, `${header}.`, 'é'])
    t.is(await post(aUrl, body, malformed), 401, malformed);
  t.is(await post(aUrl, body, header), true);
  t.is(await post(aUrl, body, header), 401, 'repeated');
  t.is(await post(aUrl, body, requestHeader(keys, 5, body)), true);
  t.is(await post(aUrl, body, requestHeader(keys, 4, body)), true, 'overtaken on another connection');
  t.is(await post(aUrl, body, requestHeader(keys, 4, body)), 401, 'overtaken and repeated');
  t.is(await post(aUrl, body, requestHeader(keys, 1000, body)), true);
  t.is(await post(aUrl, body, requestHeader(keys, 936, body)), 401, 'far behind');
  const json = JSON.stringify({ jsonrpc: '2.0', method: 'ping', id: 1 });
  const asJson = {
    body: json,
    headers: { [SESSION_HEADER]: requestHeader(keys, 1001, Buffer.from(json)), 'content-type': 'application/json' },
  };
  t.is((await request(aUrl, asJson)).status, 401, 'only XML-RPC proves its body');
  t.is(
    (await request(aUrl, { method: 'GET', path: '/', headers: { [SESSION_HEADER]: requestHeader(keys, 1002, Buffer.alloc(0)) } })).status,
    401,
  );
  // Its session gives it no rights of a peer, wherever it says that it comes from.
  const claim = notify({ data: 'forged', host_id: 'c@192.0.2.9:2004', co2: { id: 'x.9', hops: 15, age: 0, by: b.hostId, via: [] } });
  t.is(await post(aUrl, claim, requestHeader(keys, 1003, claim)), 403);
  t.deepEqual(
    a.received.all.map(({ dict }) => dict.data),
    ['once', 'once', 'once', 'once'],
  );
});

test('an answer of a session is proved too, on the fast path and on the general one', async (t) => {
  const { aUrl } = await startPair(t);
  const { keys } = await new Stranger().hello(t, aUrl);
  const body = serialiseCall('ping', []);
  for (const [number, more] of [
    [1, {}],
    [2, { 'x-unusual': 'the general path' }],
  ] as const) {
    const answer = await request(aUrl, { body, headers: { [SESSION_HEADER]: requestHeader(keys, number, body), ...more } });
    t.true(isAnswerOf(keys, number, answer.body, answer.headers[SESSION_HEADER]), String(number));
    t.false(isAnswerOf(keys, number + 1, answer.body, answer.headers[SESSION_HEADER]));
    t.false(isAnswerOf(keys, number, Buffer.concat([answer.body, Buffer.from(' ')]), answer.headers[SESSION_HEADER]));
  }
});

test('a hello takes one proof: wrong, foreign, repeated and late ones are refused', async (t) => {
  const { a, aUrl } = await startPair(t);
  const [one, two] = [new Stranger(), new Stranger()];
  const fault = async (params: Sendable): Promise<string> => (await t.throwsAsync(callOf(t, aUrl, params))).message;
  const first = await one.begin(t, aUrl);
  t.regex(await fault({ ...first.second, proof: randomBytes(64) }), /the proof is not that of node/);
  await a.seen.event('peer.refused', { node: one.node.id });
  t.regex(await fault(first.second), /no hello with this nonce/, 'the right proof after a wrong one');
  const second = await one.begin(t, aUrl);
  t.regex(await fault({ ...second.second, proof: second.answer.proof as Buffer }), /the proof is not/, 'our own proof, sent back');
  const third = await one.begin(t, aUrl);
  const other = await two.begin(t, aUrl);
  t.regex(await fault({ ...third.second, proof: other.second.proof as Buffer }), /the proof is not/, 'the proof of another node');
  const fourth = await one.begin(t, aUrl);
  await callOf(t, aUrl, fourth.second);
  t.regex(await fault(fourth.second), /no hello with this nonce/, 'repeated');
  t.regex(await fault({ v: 1, hello: randomBytes(32), proof: randomBytes(64) }), /no hello with this nonce/);
  t.regex(await fault({ v: 1, hello: 'text', proof: randomBytes(64) }), /hello is not the nonce/);
  t.regex(await fault({}), /v is not 1/);
});

test('a relay does not talk to itself, nor to somebody who returns what it says', async (t) => {
  const [port = 0] = await freePorts(1);
  const relay = await startRelay(t, { ...FAST, port, peers: [urlOf(port)] });
  await relay.seen.event('peer.refused', { reason: /this relay has called itself/ });
  await relay.emit({ data: 1 });
  t.is(relay.status().mesh.peers[0]?.proof.session, 'none');
});

/** Passes connections to `port`; `change` may replace what the server answers. */
async function proxy(t: ExecutionContext, port: number, change: (answer: Buffer) => Buffer | undefined): Promise<string> {
  const { connect } = await import('node:net');
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    client.on('error', () => upstream.destroy()).on('data', (chunk) => upstream.write(chunk));
    upstream.on('error', () => client.destroy()).on('data', (chunk: Buffer) => client.write(change(chunk) ?? chunk));
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return urlOf((server.address() as AddressInfo).port);
}

const httpAnswer = (status: string, type: string, body: string): Buffer =>
  Buffer.from(`HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
const ACCEPTED =
  '<?xml version="1.0"?><methodResponse><params><param><value><boolean>1</boolean></value></param></params></methodResponse>';
const UNKNOWN_SESSION =
  '<?xml version="1.0"?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>401</int></value></member>' +
  '<member><name>faultString</name><value><string>say hello</string></value></member></struct></value></fault></methodResponse>';

// The answers one after the other, the last one again and again; and why the dict waits.
const LIES: readonly (readonly [name: string, answers: readonly Buffer[], reason: RegExp])[] = [
  ['a result', [httpAnswer('200 OK', 'text/xml', ACCEPTED)], /does not prove that it comes from node/],
  ['a page', [httpAnswer('200 OK', 'text/html', '<p>Welcome to the hotel')], /does not prove that it comes from node/],
  ['what is no XML', [httpAnswer('200 OK', 'text/xml', 'Welcome')], /does not prove that it comes from node/],
  ['an unusual success', [httpAnswer('202 Accepted', 'text/html', '<p>Later')], /does not prove that it comes from node/],
  [
    'an unusual success of a hello',
    [httpAnswer('200 OK', 'text/xml', UNKNOWN_SESSION), httpAnswer('202 Accepted', 'text/html', '<p>Later')],
    /does not answer relay\.hello/,
  ],
];

for (const [name, answers, reason] of LIES)
  test(`somebody on the way who answers in the name of a peer makes no dict lost: ${name}`, async (t) => {
    const b = await startRelay(t, { ...FAST, nick: 'b' });
    let lies: Buffer[] | undefined;
    const url = await proxy(t, Number(new URL(b.url).port), (answer) => {
      if (!lies || !answer.includes('methodResponse')) return undefined;
      return lies.length > 1 ? lies.shift() : lies[0];
    });
    const a = await startRelay(t, { ...FAST, peers: [url] });
    await a.seen.event('peer.proven', { nick: 'b' });
    lies = [...answers];
    await a.emit({ data: 'kept' });
    // A hello of the mesh may come before the dict.
    const said = new RegExp(`${reason.source}|does not answer relay\\.hello`);
    await a.seen.event('link.state', { state: { reason: said } });
    t.like(a.status().mesh.peers[0], { waiting: 1, forwarded: 0 });
    lies = undefined;
    await a.events.next((event) => event.type === 'link.state' && event.state.type === 'up' && event.state.attempts > 0, { since: 0 });
    t.like(a.status().mesh.peers[0], { forwarded: 1 });
  });

test('somebody on the way cannot change how a request of a session is read, nor who answers it', async (t) => {
  const { a, aUrl } = await startPair(t);
  const { keys } = await new Stranger().hello(t, aUrl);
  const ways: readonly Record<string, string>[] = [{}, { 'x-unusual': 'the general path' }];
  for (const [index, more] of ways.entries()) {
    const body = notify({ data: 'für alle' });
    const number = 2 * index + 1;
    t.is(await post(aUrl, body, requestHeader(keys, number, body), { ...more, 'content-type': 'text/xml; charset=iso-8859-1' }), true);
    const header = requestHeader(keys, number + 1, body);
    const answer = await request(aUrl, { path: '/robot', body, headers: { ...more, [SESSION_HEADER]: header } });
    t.like(parseResponse(answer.body), { kind: 'fault', code: 401 });
    t.is(answer.headers[SESSION_HEADER], undefined, 'its answer would settle the dict');
    t.is(await post(aUrl, body, header, more), true, 'where it was meant to go');
  }
  t.deepEqual(
    a.received.all.map(({ dict }) => dict.data),
    ['für alle', 'für alle', 'für alle', 'für alle'],
  );
});

test('a copied state directory raises an alarm on both copies, and the newer start stays', async (t) => {
  const { a, b, aUrl, bDir } = await startPair(t);
  await b.stop();
  const copyDir = join(temporaryDir(t), 'copy');
  cpSync(bDir, copyDir, { recursive: true });
  rmSync(join(copyDir, 'relay.lock'), { force: true });
  const port = Number(new URL(b.url).port);
  const original = await startRelay(t, { ...FAST, port, dataDir: bDir, peers: [aUrl], nick: 'original' });
  await a.seen.event('peer.proven', { peer: '127.0.0.1', nick: 'original' });
  // Its counter has the value that the original had before its second start.
  const copy = await startRelay(t, { ...FAST, dataDir: copyDir, peers: [aUrl], peerPingIntervalMs: 50 });
  const { reason } = await copy.seen.event('peer.copied');
  t.regex(reason, /two relays have the identity \w{32}.*deleting node\.key and epoch/);
  await a.seen.event('peer.copied');
  await original.emit({ data: 'of the original' });
  await original.seen.event('peer.copied');
  await a.received.until(({ dict }) => dict.data === 'of the original');
  t.is(copy.status().mesh.peers[0]?.proof.session, 'none');
  t.is(await copy.call('ping'), true, 'no packet stops a relay');
});

test('an unknown relay is paired once: both sides show the same code, and dicts flow both ways', async (t) => {
  const b = await startRelay(t, { ...FAST, trust: 'pair', nick: 'b' });
  const a = await startRelay(t, { ...FAST, nick: 'a', trust: 'pair' });
  const answer = (await a.callDirectly('relay.pair', b.url)) as Dict;
  t.like(answer, { nick: 'b', answer: 'pending' });
  const { node, code } = await b.seen.event('peer.pending', { nick: 'a' });
  t.is(answer.code, code);
  t.like(((await b.callDirectly('relay.get_trust')) as { pending: unknown }).pending, [{ node, nick: 'a', code }]);
  t.like(await b.callDirectly('relay.trust', node), { node, nick: 'a', peer: a.url });
  await b.seen.event('peer.pinned', { nick: 'a', peer: a.url });
  await a.emit({ data: 'to b' });
  t.is((await b.received.first(1))[0]?.context.verdict, 'vouched');
  await b.emit({ data: 'to a' });
  t.is((await a.received.first(1))[0]?.dict.data, 'to a');
  await b.callDirectly('relay.forget', node);
  t.deepEqual(b.status().mesh.peers, [], 'the link that the approval made');
});

test('relays with one cluster secret are peers, and others are refused', async (t) => {
  const file = join(temporaryDir(t), 'secret');
  writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600 });
  const { a, b, aUrl } = await startPair(t, { trust: 'clusterSecret', clusterSecretFile: file });
  await a.emit({ data: 'to b' });
  t.is((await b.received.first(1))[0]?.dict.data, 'to b');
  const { decided } = await new Stranger().hello(t, aUrl);
  t.like(decided, { answer: 'refused' });
  t.regex(decided?.reason ?? '', /does not know the cluster secret/);
  const outsider = await startRelay(t, { ...FAST, peers: [aUrl] });
  await outsider.seen.event('peer.refused', { reason: /does not know the cluster secret/ });
  // Where a proof is required, an address is none.
  const classic = await scriptedPeer(t);
  const strict = await startRelay(t, { ...FAST, peers: [classic.url], trust: 'clusterSecret', clusterSecretFile: file });
  await strict.seen.event('peer.refused', { reason: /classic: true/ });
  await strict.emit({ data: 'secret' });
  t.deepEqual(classic.notified.all, []);
});

test('hellos of one address are limited, since each costs a signature', async (t) => {
  const relay = await startRelay(t, { limits: { local: { perSecond: 1e6, burst: 1e6 } } });
  const client = new XmlRpcClient(new URL(relay.url), { maxConnections: 8 });
  t.teardown(() => client.close());
  const stranger = sideOnWire(openHello(new Stranger().node.self).own);
  const answers = await Promise.allSettled(Array.from({ length: 300 }, () => client.call('relay.hello', [stranger])));
  const refused = answers.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  t.true(refused.length >= 20, String(refused.length));
  t.regex(String(refused[0]?.reason), /too many calls/);
});

/** A directory that holds the state and the certificate of a relay, whose node is known before it starts. */
async function prepared(t: ExecutionContext): Promise<{ readonly dir: string; readonly dataDir: string; readonly node: string }> {
  const dir = temporaryDir(t);
  const dataDir = join(dir, 'state');
  const { nodeSeed } = await openStateDirectory(dataDir);
  return { dir, dataDir, node: new OwnNode({ seed: nodeSeed, options: { trust: 'pin' } }).id };
}

test('relays with certificates of one authority that name their nodes are peers over mutual TLS, and no others', async (t) => {
  const ca = makeAuthority(temporaryDir(t));
  const [one, two, three] = [await prepared(t), await prepared(t), await prepared(t)];
  const [aPort = 0, bPort = 0] = await freePorts(2);
  const tls = (of: typeof one, node: string) => ({ ...ca.issue(of.dir, node), caFile: ca.caFile });
  const [aUrl, bUrl] = [`https://127.0.0.1:${aPort}`, `https://127.0.0.1:${bPort}`];
  const config = { ...FAST, trust: 'ca', pluginsDir: temporaryDir(t) } as const;
  const a = await startRelay(t, { ...config, port: aPort, dataDir: one.dataDir, peers: [bUrl], tls: tls(one, one.node) });
  const b = await startRelay(t, { ...config, port: bPort, dataDir: two.dataDir, peers: [aUrl], tls: tls(two, two.node) });
  await a.seen.event('peer.proven', { peer: bUrl, node: two.node, how: 'certificate' });
  await b.seen.event('peer.proven', { peer: '127.0.0.1', node: one.node, how: 'certificate' });
  await a.notify({ data: 'by TLS' });
  await a.events.next((event) => event.type === 'link.state' && event.state.type === 'up', { since: 0 });
  // The certificate of this authority names another node.
  const other = await startRelay(t, { ...config, dataDir: three.dataDir, peers: [aUrl], tls: tls(three, two.node) });
  await other.seen.event('peer.refused', { peer: aUrl, reason: /shows no certificate of tls\.caFile with the name URI:co2:/ });
  await t.throwsAsync(startRelay(t, { ...config }), { message: /trust: 'ca' requires tls\.certFile/ });
});

test('a link uses a certificate that was renewed for its next connections, without a restart', async (t) => {
  const ca = makeAuthority(temporaryDir(t));
  const [one, two] = [await prepared(t), await prepared(t)];
  const seen = new Gate<string>();
  const server = createTlsServer(
    { ...pemsOf(ca.issue(two.dir, two.node)), ca: readFileSync(ca.caFile), requestCert: true },
    (request, response) => {
      seen.push((request.socket as TLSSocket).getPeerCertificate().serialNumber);
      request.resume();
      response.writeHead(503, { connection: 'close' }).end();
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tls = { ...ca.issue(one.dir, one.node), caFile: ca.caFile };
  await startRelay(t, { ...FAST, trust: 'ca', pluginsDir: temporaryDir(t), dataDir: one.dataDir, peers: [url], tls }, { clock: IMPATIENT });
  const [before] = await seen.first(1);
  ca.issue(one.dir, one.node);
  const [after] = await seen.until((serial) => serial !== before);
  t.truthy(after);
});

/** The real clock, on which the five seconds between two looks at the files are short. */
const IMPATIENT: Clock = { now: () => systemClock.now(), after: (ms, due) => systemClock.after(ms === 5_000 ? 20 : ms, due) };

function pemsOf({ certFile, keyFile }: CertificateFiles): { readonly cert: Buffer; readonly key: Buffer } {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}
