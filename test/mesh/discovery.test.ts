/** Relays that find each other by mDNS, on loopback: finds, pairing, links that a secret permits, and hostile announcements. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { OwnNode } from '../../src/identity/identity.ts';
import { isNeighbour } from '../../src/mesh/mdns.ts';
import type { Dict } from '../../src/values/values.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const GROUP = '224.0.0.251';
const FAST: Config = { retry: { minMs: 5, maxMs: 50 }, drainMs: 1000, discovery: true };

/** A UDP port of mDNS for one test alone. */
async function lan(): Promise<{ readonly discoveryPort: number }> {
  const [discoveryPort = 0] = await freePorts(1);
  return { discoveryPort };
}

const idOf = async (relay: TestRelay): Promise<string> => ((await relay.callDirectly('relay.get_trust')) as Dict).node as string;
const foundBy = async (relay: TestRelay): Promise<readonly Dict[]> =>
  ((await relay.callDirectly('relay.get_trust')) as Dict).found as readonly Dict[];
const peersOf = async (relay: TestRelay): Promise<readonly Dict[]> => (await relay.callDirectly('relay.get_peers')) as readonly Dict[];
const newId = (): string => new OwnNode({ seed: randomBytes(32).toString('base64url'), options: { trust: 'pin', nick: 'x' } }).id;

test('relays find each other, and are neither called nor trusted until somebody pairs them by nick and code', async (t) => {
  const network = await lan();
  const a = await startRelay(t, { ...FAST, ...network, nick: 'attic', trust: 'pair' });
  // It missed the announcement of the first.
  const b = await startRelay(t, { ...FAST, ...network, nick: 'cellar', trust: 'pair' });
  const { code, peer } = await a.seen.event('peer.found', { nick: 'cellar' });
  const found = await b.seen.event('peer.found', { nick: 'attic', peer: a.url, node: await idOf(a), code });
  t.is(peer, b.url);
  t.regex(found.version, /^\d+\.\d+\.\d+/);
  t.deepEqual(await foundBy(a), [{ node: await idOf(b), nick: 'cellar', code, version: found.version, urls: [b.url] }]);
  t.deepEqual(await peersOf(a), []);
  t.deepEqual(b.seen.matching('peer.pending'), [], 'nobody has called');

  t.like(await a.callDirectly('relay.pair', 'cellar'), { node: await idOf(b), nick: 'cellar', code, answer: 'pending' });
  t.is((await b.seen.event('peer.pending', { nick: 'attic' })).code, code);
  await b.callDirectly('relay.trust', await idOf(a));
  await b.seen.event('peer.pinned', { nick: 'attic' });
  t.deepEqual(await foundBy(a), [], 'it is linked');
  await a.emit({ data: 'hello cellar' });
  t.is((await b.received.first(1))[0]?.dict.data, 'hello cellar');
});

test('a relay that stops says goodbye', async (t) => {
  const network = await lan();
  const a = await startRelay(t, { ...FAST, ...network, nick: 'stays' });
  const b = await startRelay(t, { ...FAST, ...network, nick: 'goes' });
  await a.seen.event('peer.found', { nick: 'goes' });
  await b.stop();
  t.is((await a.seen.event('peer.vanished', { nick: 'goes' })).reason, 'left');
  t.deepEqual(await foundBy(a), []);
});

test('a relay that does not answer three times is not shown any more', async (t) => {
  const network = await lan();
  const announcer = await announcerAt(t, network.discoveryPort);
  const relay = await startRelay(t, { ...FAST, ...network, discoveryIntervalMs: 1000 });
  const node = newId();
  await announcer.until(relay, [{ node, nick: 'silent' }], 'silent');
  t.is((await relay.seen.event('peer.vanished', { node })).reason, 'expired');
});

test('relays with one cluster secret are linked at once, and another relay is not', async (t) => {
  const network = await lan();
  const directory = temporaryDir(t);
  const secretFile = (name: string): Config => {
    const file = join(directory, name);
    writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600 });
    return { trust: 'clusterSecret', clusterSecretFile: file };
  };
  const [ours, theirs] = [secretFile('ours'), secretFile('theirs')];
  const a = await startRelay(t, { ...FAST, ...network, ...ours, nick: 'a' });
  const stranger = await startRelay(t, { ...FAST, ...network, ...theirs, nick: 'stranger' });
  const b = await startRelay(t, { ...FAST, ...network, ...ours, nick: 'b' });
  await a.seen.event('peer.proven', { peer: b.url, nick: 'b', how: 'cluster secret' });
  await b.seen.event('peer.proven', { peer: a.url, nick: 'a', how: 'cluster secret' });
  await a.seen.event('peer.refused', { node: await idOf(stranger), reason: /does not know the cluster secret/ });
  await a.emit({ data: 'for the cluster' });
  t.is((await b.received.first(1))[0]?.dict.data, 'for the cluster');
  t.deepEqual(stranger.received.all, []);
  t.deepEqual(
    (await peersOf(a)).map(({ nick }) => nick),
    ['b'],
  );
  t.like((await foundBy(a))[0], { nick: 'stranger' });
});

test('who answers as another node than the announced one is not linked', async (t) => {
  const network = await lan();
  const a = await startRelay(t, { ...FAST, ...network, nick: 'a', trust: 'pair' });
  const b = await startRelay(t, { ...FAST, port: (await freePorts(1))[0]!, discovery: false, nick: 'b', trust: 'pair' });
  const announcer = await announcerAt(t, network.discoveryPort);
  const node = newId();
  await announcer.until(a, [{ node, nick: 'b', port: Number(new URL(b.url).port) }], 'b');
  const error = await t.throwsAsync(a.callDirectly('relay.pair', 'b'));
  t.regex(error.message, new RegExp(`is node ${await idOf(b)}, but was announced as node ${node}`));
  t.deepEqual(await peersOf(a), []);
  t.like(await a.callDirectly('relay.get_trust'), { known: [] });
});

test('a nick that several relays claim has to be given as a node id, and an unknown one is an error', async (t) => {
  const network = await lan();
  const relay = await startRelay(t, { ...FAST, ...network });
  const announcer = await announcerAt(t, network.discoveryPort);
  const [one, other] = [newId(), newId()];
  await announcer.until(relay, [{ node: one, nick: 'twin' }], 'twin');
  await announcer.until(relay, [{ node: other, nick: 'twin' }], 'twin', 2);
  const twins = await t.throwsAsync(relay.callDirectly('relay.pair', 'twin'));
  t.true(twins.message.startsWith("2 relays call themselves 'twin': name one by its node id:"), twins.message);
  t.true([one, other].every((node) => twins.message.includes(node)));
  const unknown = await t.throwsAsync(relay.callDirectly('relay.pair', 'attic'));
  t.regex(unknown.message, /^no relay 'attic' was found on the network that is not linked already \(found: twin \(\w{32}\), twin/);
  const off = await startRelay(t, {});
  t.regex((await t.throwsAsync(off.callDirectly('relay.pair', 'attic'))).message, /'attic' is not a URL like/);
});

test('hostile announcements are bounded and cleaned, and nobody is called because of them', async (t) => {
  const network = await lan();
  const relay = await startRelay(t, { ...FAST, ...network });
  let calls = 0;
  const trap = createServer(() => calls++);
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  t.teardown(() => trap.close());
  const { port } = trap.address() as AddressInfo;
  const announcer = await announcerAt(t, network.discoveryPort);
  // What it says about addresses is ignored; what it calls itself is cleaned.
  const node = newId();
  const nick = '\u001b[2J\u202eevil\u0007nick' + 'x'.repeat(150);
  await announcer.until(relay, [{ node, nick, port, target: 'metadata.google.internal', a: '169.254.169.254' }], /evil/);
  const [find] = await foundBy(relay);
  t.like(find, { node, nick: `\ufffd[2J\ufffdevil\ufffdnick${'x'.repeat(50)}…`, urls: [`http://127.0.0.1:${port}`] });
  // None of these is a relay.
  for (const wrong of [
    { node: 'x', nick: 'wrong' },
    { node: `${node}a`, nick: 'wrong' },
    { node: newId(), nick: 'wrong', port: 0 },
    { node: newId(), nick: 'wrong', scheme: 'javascript' },
    { node: newId(), nick: 'wrong', service: '_other._tcp.local' },
    { node: await idOf(relay), nick: 'wrong' },
  ])
    await announcer.send([wrong]);
  // Bytes of no meaning, and packets that would cost a lot.
  const label = Buffer.from('\u0004_co2\u0004_tcp\u0005local\u0000', 'latin1');
  for (let count = 0; count < 20; count++) await announcer.raw(Buffer.concat([randomBytes(count * 3), label, randomBytes(20 - count)]));
  await announcer.raw(Buffer.concat([Buffer.from([0, 0, 0x84, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]), label, Buffer.alloc(8000, 0xc0)]));
  await announcer.raw(Buffer.concat([Buffer.from([0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0]), label, Buffer.alloc(8000, 0xc0)]));
  // Thousands of names, from a hundred addresses.
  for (let from = 2; from < 102; from++) {
    const one = await announcerAt(t, network.discoveryPort, `127.0.0.${from}`);
    for (let packet = 0; packet < 5; packet++) await one.send(Array.from({ length: 8 }, () => ({ node: newId(), nick: 'many' })));
    one.close();
  }
  await relay.seen.event('peer.found', { nick: 'many' }, 20);
  const finds = await foundBy(relay);
  t.true(finds.length <= 128, `${finds.length} finds`);
  t.true(
    finds.some((one) => one.node === node),
    'what was found before is kept',
  );
  const perAddress = new Map<string, number>();
  for (const url of finds.flatMap(({ urls }) => urls as readonly string[]))
    perAddress.set(new URL(url).hostname, (perAddress.get(new URL(url).hostname) ?? 0) + 1);
  t.true(Math.max(...perAddress.values()) <= 32, JSON.stringify([...perAddress]));
  t.false(finds.some((one) => one.nick === 'wrong'));
  t.is(calls, 0);
  t.is(await relay.callDirectly('ping'), true);
});

test('only neighbours are heard', (t) => {
  const info = (address: string, prefix: number, internal = false) => ({
    ...{ address, netmask: '', mac: '', internal, family: 'IPv4' as const },
    cidr: `${address}/${prefix}`,
  });
  const interfaces = { lo: [info('127.0.0.1', 8, true)], eth0: [info('192.168.1.5', 24)], eth1: [info('10.0.0.1', 8)] };
  const heard = (address: string, own?: string): boolean => isNeighbour(address, own, interfaces);
  t.true(heard('192.168.1.7'));
  t.true(heard('10.99.0.1'));
  t.true(heard('192.168.1.5'), 'another relay of this machine');
  t.false(heard('192.168.2.7'), 'a foreign network');
  t.false(heard('203.0.113.9'));
  t.false(heard('127.0.0.1'), 'loopback, which no packet of the network comes from');
  t.true(heard('127.0.0.2', '127.0.0.1'), 'a relay that listens on loopback');
  t.true(heard('127.0.0.2', '127.0.0.3'), 'another address of loopback');
  t.false(heard('192.168.1.7', '127.0.0.3'));
  t.false(heard('192.168.1.7', '127.0.0.1'));
  t.false(heard('10.99.0.1', '192.168.1.5'), 'an interface on which it does not listen');
  t.false(heard('169.254.169.254'));
  t.false(isNeighbour('169.254.169.254', undefined, { eth0: [info('169.254.3.4', 16)] }), 'the service for secrets of clouds');
  t.false(heard('fe80::1'));
});

/** What a packet says of a service; the defaults are those of a relay. */
interface Said {
  readonly node: string;
  readonly nick: string;
  readonly port?: number;
  readonly scheme?: string;
  readonly target?: string;
  readonly a?: string;
  readonly service?: string;
}

interface Announcer {
  raw(packet: Buffer): Promise<void>;
  send(said: readonly Said[]): Promise<void>;
  /** Announces, again if packets are ignored at the time, until the relay has found the `count`th one of this nick. */
  until(relay: TestRelay, said: readonly Said[], nick: string | RegExp, count?: number): Promise<void>;
  close(): void;
}

/** Somebody who can announce anything, at an address of this machine. */
async function announcerAt(t: ExecutionContext, port: number, address = '127.0.0.1'): Promise<Announcer> {
  const socket: Socket = createSocket({ type: 'udp4', reuseAddr: true });
  await new Promise<void>((resolve) => {
    socket.bind(0, address, () => {
      socket.setMulticastInterface('127.0.0.1');
      resolve();
    });
  });
  let isClosed = false;
  const close = (): void => {
    if (!isClosed) socket.close();
    isClosed = true;
  };
  t.teardown(close);
  const raw = (packet: Buffer): Promise<void> =>
    new Promise((resolve) => {
      socket.send(packet, port, GROUP, () => {
        resolve();
      });
    });
  const send = (said: readonly Said[]): Promise<void> => raw(packetOf(said));
  const until: Announcer['until'] = async (relay, said, nick, count = 1) => {
    const again = setInterval(() => void send(said), 50);
    try {
      await relay.seen.event('peer.found', { nick }, count);
    } finally {
      clearInterval(again);
    }
  };
  return { raw, send, until, close };
}

const name = (text: string): Buffer =>
  Buffer.concat([...text.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])]);

function record(owner: string, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(120, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([name(owner), head, data]);
}

function packetOf(said: readonly Said[]): Buffer {
  const records = said.flatMap(({ node, nick, port = 2004, scheme = 'http', target = 'x.local', a, service = '_co2._tcp.local' }) => {
    const full = `x${node.slice(0, 30)}.${service}`;
    const texts = [`node=${node}`, `nick=${nick}`, 'version=1.0.0', `scheme=${scheme}`].map((text) => Buffer.from(text));
    const place = Buffer.alloc(6);
    place.writeUInt16BE(port, 4);
    return [
      record(service, 12, name(full)),
      record(full, 33, Buffer.concat([place, name(target)])),
      record(full, 16, Buffer.concat(texts.map((text) => Buffer.concat([Buffer.from([text.length]), text])))),
      ...(a === undefined ? [] : [record(target, 1, Buffer.from(a.split('.').map(Number)))]),
    ];
  });
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0x8400, 2);
  head.writeUInt16BE(records.length, 6);
  return Buffer.concat([head, ...records]);
}
