/** Node keys, the handshake and its keys, the store of trusted nodes, and the secret of a cluster. */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  MAX_TRUST_BYTES,
  OwnNode,
  Trust,
  agree,
  answerOnWire,
  isNodeId,
  isProven,
  knowsSecret,
  nodesIn,
  openHello,
  pairingCode,
  proofOnWire,
  readAnswer,
  readClusterSecret,
  readSide,
  sideOnWire,
} from '../../src/identity/identity.ts';
import type { IdentityOptions, Proven, TrustMode } from '../../src/identity/identity.ts';
import { StateFile, countStart, openStateDirectory } from '../../src/state/state.ts';
import { temporaryDir } from '../support/relays.ts';
import { dictOf, isDict } from '../../src/values/values.ts';
import type { Dict, Sendable } from '../../src/values/values.ts';
import { parseCall, serialiseCall } from '../../src/xmlrpc/xmlrpc.ts';

const NONE = Buffer.alloc(0);
const HOST_ID = '0123456789abcdef@192.0.2.1:2004';

function nodeOf(nick: string, options: Partial<IdentityOptions> = {}, seed = randomBytes(32).toString('base64url')): OwnNode {
  const node = new OwnNode({ seed, options: { trust: 'pin', nick, ...options } });
  node.describe({ addrs: ['http://192.0.2.1:2004'], hostIds: [HOST_ID] });
  return node;
}

/** The struct as it arrives. */
function sent(members: Record<string, Sendable>): Dict {
  const [dict] = parseCall(serialiseCall('relay.hello', [members])).params;
  return isDict(dict) ? dict : dictOf();
}

/** A hello between two nodes, up to what both have agreed on. */
function helloOf(one: OwnNode, two: OwnNode, exporters: readonly [Buffer, Buffer] = [NONE, NONE]) {
  const [initiator, responder] = [openHello(one.self), openHello(two.self)];
  const [a, b] = [readSide(sent(sideOnWire(initiator.own))), readSide(sent(sideOnWire(responder.own)))];
  return {
    ...{ initiator, responder, a, b },
    atInitiator: agree(initiator.own, b, initiator, exporters[0]),
    atResponder: agree(a, responder.own, responder, exporters[1]),
  };
}

test('the key of a node is private, and the same at every start; starts are counted', async (t) => {
  const directory = join(temporaryDir(t), 'state');
  const first = await openStateDirectory(directory);
  const second = await openStateDirectory(directory);
  t.is(second.nodeSeed, first.nodeSeed);
  t.is(statSync(join(directory, 'node.key')).mode & 0o777, 0o600);
  const [one, two] = [first, second].map(({ nodeSeed: seed }) => new OwnNode({ seed, options: { trust: 'pin' } }));
  t.true(isNodeId(one?.id));
  t.is(one?.id, two?.id);
  t.not(one?.instance, two?.instance);
  t.is(await countStart(directory), 1);
  t.is(await countStart(directory), 2);
  t.is(readFileSync(join(directory, 'epoch'), 'utf8'), '2\n');
  for (const damaged of ['', 'x', '-1', '2147483647', '1e3']) {
    writeFileSync(join(directory, 'epoch'), damaged);
    const error = await t.throwsAsync(countStart(directory), { message: /epoch is damaged/ }, damaged);
    t.regex(error.message, /delete it and node\.key/);
  }
});

test('the id of a node follows from its key as it is written down: the first 160 bits of SHA-256, base32', (t) => {
  // RFC 8032, section 7.1, test 1.
  const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
  const node = new OwnNode({ seed: seed.toString('base64url'), options: { trust: 'pin' } });
  t.is(node.key.pub.toString('hex'), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  // base32 of sha256(pub)[:20], made with Python.
  t.is(node.id, 'eh7ddx5bksrgcytl7bkai36se4nxx3kl');
  t.throws(() => new OwnNode({ seed: 'short', options: { trust: 'pin' } }), { message: /node\.key in the state directory is damaged/ });
});

test('both sides of a hello agree on transcript and keys, and accept the proof of the other side only', (t) => {
  const [one, two] = [nodeOf('one'), nodeOf('two')];
  const { atInitiator, atResponder, a, b } = helloOf(one, two);
  t.deepEqual(atInitiator, atResponder);
  const { transcript, keys } = atInitiator;
  const proofs = {
    initiator: sent(proofOnWire(one.self, 'initiator', transcript)),
    responder: sent(proofOnWire(two.self, 'responder', transcript)),
  };
  t.true(isProven(proofs.initiator, 'initiator', a.node, transcript));
  t.true(isProven(proofs.responder, 'responder', b.node, transcript));
  t.false(isProven(proofs.responder, 'initiator', a.node, transcript), 'a proof that is sent back');
  t.false(isProven(proofs.initiator, 'responder', a.node, transcript), 'the proof of the other role');
  t.false(isProven(proofs.initiator, 'initiator', b.node, transcript), 'swapped ids');
  t.false(isProven(proofs.initiator, 'initiator', a.node, helloOf(one, two).atInitiator.transcript), 'of another hello');
  t.false(isProven(dictOf([['proof', Buffer.alloc(64)]]), 'initiator', a.node, transcript));
  const answer = { answer: 'trusted', reason: '', copied: '' } as const;
  t.deepEqual(readAnswer(sent(answerOnWire(answer, keys)), keys), answer);
  t.is(
    readAnswer(sent({ ...answerOnWire({ ...answer, answer: 'refused' }, keys), answer: 'trusted' }), keys),
    undefined,
    'a changed answer',
  );
  t.is(readAnswer(sent(answerOnWire(answer, helloOf(one, two).atInitiator.keys)), keys), undefined, 'the answer of another session');
});

test('a changed member of a hello, or a proxy that ends its TLS connection, makes the proofs wrong', (t) => {
  const [one, two] = [nodeOf('one'), nodeOf('two')];
  const { a, b, initiator, responder } = helloOf(one, two);
  const { transcript } = agree(initiator.own, b, initiator, NONE);
  for (const changed of [
    { ...a, nonce: randomBytes(32) },
    { ...a, instance: '0'.repeat(16) },
    { ...a, features: [] },
    { ...a, node: nodeOf('three').self.descriptor },
  ])
    t.notDeepEqual(agree(changed, responder.own, responder, NONE).transcript, transcript);
  t.notDeepEqual(helloOf(one, two, [randomBytes(32), randomBytes(32)]).atResponder.transcript, transcript);
  const { atInitiator, atResponder } = helloOf(one, two, [randomBytes(32), randomBytes(32)]);
  t.notDeepEqual(atInitiator.keys, atResponder.keys, 'a proxy that ends TLS in between');
});

test('a malformed hello is refused with the name of the member', (t) => {
  const { own } = openHello(nodeOf('one').self);
  const good = sideOnWire(own);
  const { node } = good as { node: Record<string, Sendable> };
  const wrong: readonly (readonly [Record<string, Sendable>, RegExp])[] = [
    [{ ...good, v: 2 }, /v is not 1/],
    [{ ...good, nonce: Buffer.alloc(31) }, /nonce/],
    [{ ...good, nonce: 'text' }, /nonce/],
    [{ ...good, key: Buffer.alloc(33) }, /key/],
    [{ ...good, instance: 'x' }, /instance/],
    [{ ...good, features: ['x'.repeat(100)] }, /features/],
    [{ ...good, node: 1 }, /node is not a struct/],
    [{ ...good, node: { ...node, id: 'a'.repeat(32) } }, /node\.id/],
    [{ ...good, node: { ...node, nick: 'another' } }, /node\.sig/],
    [{ ...good, node: { ...node, epoch: 7 } }, /node\.sig/],
    [{ ...good, node: { ...node, epoch: 0 } }, /node\.epoch/],
    [{ ...good, node: { ...node, host_ids: ['nobody'] } }, /node\.host_ids/],
    [{ ...good, node: { ...node, addrs: Array.from({ length: 17 }, () => 'x') } }, /node\.addrs/],
    [{ ...good, node: { ...node, pub: Buffer.alloc(32) } }, /node\.id/],
  ];
  for (const [members, message] of wrong) t.throws(() => readSide(sent(members)), { message }, String(message));
  const { responder } = helloOf(nodeOf('one'), nodeOf('two'));
  const weak = { ...readSide(sent(good)), key: Buffer.alloc(32) };
  t.throws(() => agree(weak, responder.own, responder, NONE), { message: /key is not a usable X25519 key/ });
});

test('the cluster secret is proved without being sent, by each side in its role', (t) => {
  const file = join(temporaryDir(t), 'secret');
  writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600 });
  const options = { trust: 'clusterSecret', clusterSecretFile: file } as const;
  const [one, two] = [nodeOf('one', options), nodeOf('two', options)];
  const { secret } = one.self;
  const { transcript } = helloOf(one, two).atInitiator;
  const proof = sent(proofOnWire(one.self, 'initiator', transcript));
  t.true(knowsSecret(proof, 'initiator', secret, transcript));
  t.false(knowsSecret(proof, 'responder', secret, transcript), 'a proof that is sent back');
  t.false(knowsSecret(proof, 'initiator', 'another secret of the cluster', transcript));
  t.false(knowsSecret(proof, 'initiator', undefined, transcript));
  t.false(JSON.stringify(proof).includes(secret!));
});

test('a cluster secret of fewer than 128 bits, or that others can read, is refused with what to do', (t) => {
  const file = join(temporaryDir(t), 'secret');
  const options = { trust: 'clusterSecret', clusterSecretFile: file } as const;
  const refused = (text: string, message: RegExp, mode = 0o600): void => {
    writeFileSync(file, text, { mode });
    const error = t.throws(() => readClusterSecret(options), { message }, text);
    if (text !== '') t.false(error.message.includes(text));
  };
  t.throws(() => readClusterSecret(options), { message: /cannot be read/ });
  refused('', /openssl rand -hex 32/);
  refused('0123456789abcdef0123456789abcde', /at least 128 random bits/);
  refused('short+secret+of+21+ch', /at least 128 random bits/);
  refused('a'.repeat(64), /at least 128 random bits/);
  refused('two words of the cluster secret', /at least 128 random bits/);
  writeFileSync(file, '0123456789abcdef0123456789abcdef\n');
  t.is(readClusterSecret(options), '0123456789abcdef0123456789abcdef');
  t.throws(() => readClusterSecret({ trust: 'clusterSecret' }), { message: /is required/ });
  t.throws(() => readClusterSecret({ trust: 'pin', clusterSecretFile: file }), { message: /has no effect/ });
});

test('the code of a pairing is the same on both sides, and another one for any other pair', (t) => {
  const [one, two, three] = [nodeOf('one').id, nodeOf('two').id, nodeOf('three').id];
  t.is(pairingCode(one, two), pairingCode(two, one));
  t.not(pairingCode(one, two), pairingCode(one, three));
  t.regex(pairingCode(one, two), /^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/);
});

test('only whole names of a certificate name a node', (t) => {
  const id = nodeOf('one').id;
  t.deepEqual(nodesIn(`DNS:relay.example, URI:co2:${id}, IP Address:192.0.2.1`), [id]);
  for (const names of [undefined, '', `DNS:co2:${id}`, `URI:co2:${id}x`, `URI:http://x/URI:co2:${id}`, `DNS:"x, URI:co2:${id}, y"`])
    t.deepEqual(nodesIn(names), [], names);
});

function provenOf(node: OwnNode, more: Partial<Proven> = {}): Proven {
  return { node: node.self.descriptor, instance: node.instance, knowsSecret: false, certified: [], ...more };
}

function trustOf(mode: TrustMode, file?: StateFile, date = (): number => 0): Trust {
  return new Trust({ mode, self: nodeOf('self').id, file, date });
}

/** A relay whose key ends with its process, or one that says so. */
function ephemeralNode(nick: string, seed = randomBytes(32).toString('base64url')): OwnNode {
  const node = new OwnNode({ seed, options: { trust: 'pin', nick }, isEphemeral: true });
  node.describe({ addrs: ['http://192.0.2.1:2004'], hostIds: [HOST_ID] });
  return node;
}

const URL_ONE = 'http://192.0.2.1:2004';

test('a key is pinned at the first contact and after a restart, and another one is refused with both', async (t) => {
  const file = new StateFile(join(temporaryDir(t), 'trust.json'), MAX_TRUST_BYTES);
  const [one, two] = [nodeOf('one'), nodeOf('two')];
  const trust = trustOf('pin', file);
  t.like(trust.meet(provenOf(one), '192.0.2.1'), { kind: 'known' });
  t.like(trust.reach(URL_ONE, provenOf(one)), { how: 'pinned', isNew: true });
  t.like(trust.reach(URL_ONE, provenOf(one)), { isNew: false });
  await trust.save();
  const again = trustOf('pin', file);
  t.is(await again.load(), undefined);
  t.like(again.meet(provenOf(one), '198.51.100.1'), { kind: 'trusted', how: 'pinned' });
  const { message } = t.throws(() => again.reach(URL_ONE, provenOf(two)));
  for (const part of [one.id, two.id, URL_ONE, `co2 peers forget ${one.id}`]) t.true(message.includes(part), part);
  again.forget(one.id);
  t.like(again.reach(URL_ONE, provenOf(two)), { isNew: true });
  again.keepPins(() => false);
  t.like(again.meet(provenOf(two), '192.0.2.1'), { kind: 'known' }, 'a peer that was removed from the configuration');
});

test('a damaged store of trusted nodes is set aside and reported', async (t) => {
  const path = join(temporaryDir(t), 'trust.json');
  for (const text of ['{', '[]', '{"nodes":[{"id":"x"}],"pins":{},"links":[]}', '{"nodes":[],"pins":{"u":"x"},"links":[]}']) {
    writeFileSync(path, text);
    t.regex((await trustOf('pin', new StateFile(path, MAX_TRUST_BYTES)).load()) ?? '', /it is kept as .*trust\.json\.damaged/, text);
  }
});

test('an unknown node waits for approval, and the list of those that wait is bounded', (t) => {
  const trust = trustOf('pair');
  const one = nodeOf('one');
  t.like(trust.meet(provenOf(one), '192.0.2.1'), { kind: 'pending' });
  t.is(trust.list().pending.length, 1);
  t.throws(() => trust.approve('one'), { message: /anybody may take this nick, so name the node by its id/ });
  trust.approve(one.id);
  t.like(trust.meet(provenOf(one), '192.0.2.9'), { kind: 'trusted', how: 'approved' });
  t.throws(() => trust.approve('nobody'), { message: /does not wait for approval/ });
  for (let count = 0; count < 100; count++) trust.meet(provenOf(nodeOf(`stranger ${count}`)), '192.0.2.1');
  t.is(trust.list().pending.length, 64);
  trust.forget(one.id);
  t.like(trust.meet(provenOf(one), '192.0.2.1'), { kind: 'pending' });
  t.throws(() => trust.forget('nobody'), { message: /co2 peers list/ });
  // Terminals and pages show it.
  const evil = nodeOf('\u009b2J\u202e' + 'x'.repeat(200));
  trust.meet(provenOf(evil), '192.0.2.1');
  const shown = trust.list().pending.at(-1)?.nick ?? '';
  t.notRegex(shown, /[\u0080-\u009f\u202e]/);
  t.true(shown.length <= 65);
  t.is(trust.approve(evil.id).nick, shown);
});

// Spellings of this machine, of the metadata services of clouds, and of names and forms that mean another address to somebody.
const OTHER_PLACES = [
  ...['127.0.0.1', '127.1', '127.0.1', '127.0.0.2', '127.255.255.254', '2130706433', '0x7f000001', '0x7f.1', '0177.0.0.1', '017700000001'],
  ...[
    '0x7f.0x0.0x0.0x1',
    '127.0.0.1.',
    '0',
    '0.0.0.0',
    '0x0',
    '00',
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'localhost.localdomain',
  ],
  ...[
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[fe80::1]',
    '[::0001]',
  ],
  ...['169.254.169.254', '2852039166', '0xa9fea9fe', '0xa9.0xfe.0xa9.0xfe', '0251.0376.0251.0376', '169.254.43518', '169.16689662'],
  ...[
    '[::ffff:169.254.169.254]',
    '[::ffff:a9fe:a9fe]',
    '[64:ff9b::a9fe:a9fe]',
    '[fd00:ec2::254]',
    '169.254.170.2',
    '100.100.100.200',
    '192.0.0.192',
  ],
  ...[
    'metadata',
    'metadata.google.internal',
    'instance-data',
    'relay.example',
    '192.0.2.2',
    '10.0.0.1',
    '192.168.1.1',
    '172.16.0.1',
    '224.0.0.1',
  ],
  ...[
    '255.255.255.255',
    '192.0.2.1.nip.io',
    '192.0.2.1@127.0.0.1',
    'a:b@192.0.2.1',
    '[::ffff:192.0.2.2]',
    '１２７.0.0.1',
    '127。0。0。1',
    '①②⑦.0.0.1',
  ],
];

test('a node is only linked at the address that it called from, however it spells another one', (t) => {
  t.true(OTHER_PLACES.length >= 60);
  for (const host of OTHER_PLACES) {
    const trust = trustOf('pair');
    const node = nodeOf('stranger');
    node.describe({ addrs: [`http://${host}:2004`], hostIds: [HOST_ID] });
    t.is(trust.meet(provenOf(node), '192.0.2.1').kind, 'pending');
    t.deepEqual(trust.approve(node.id).addrs, [], host);
  }
  for (const text of ['ftp://192.0.2.1', 'unix:/tmp/x', 'memory://192.0.2.1', 'nonsense', '']) {
    const trust = trustOf('pair');
    const node = nodeOf('stranger');
    node.describe({ addrs: [text, 'http://192.0.2.1:2004'], hostIds: [HOST_ID] });
    trust.meet(provenOf(node), '192.0.2.1');
    t.deepEqual(trust.approve(node.id).addrs, ['http://192.0.2.1:2004'], text);
  }
});

test('a forgotten peer is not linked any more, also one that never answered', (t) => {
  const trust = trustOf('pair');
  trust.link(`${URL_ONE}/`);
  const one = nodeOf('one');
  trust.reach(URL_ONE, provenOf(one));
  t.deepEqual(trust.forget(`${URL_ONE}/`), { id: one.id, urls: [URL_ONE] });
  t.deepEqual(trust.links, []);
  trust.link('http://token:secret@192.0.2.7:2004/');
  t.deepEqual(trust.forget('http://192.0.2.7:2004'), { id: '', urls: ['http://192.0.2.7:2004'] });
  t.deepEqual(trust.links, []);
});

test('an older start, or a second instance of the same one, is refused as a copy', (t) => {
  const trust = trustOf('pin');
  const one = nodeOf('one');
  one.begin(3);
  one.describe({ addrs: [], hostIds: [] });
  trust.reach(URL_ONE, provenOf(one));
  t.like(trust.meet(provenOf(one, { instance: '0'.repeat(16) }), '192.0.2.7'), { kind: 'refused', copy: true });
  one.begin(2);
  one.describe({ addrs: [], hostIds: [] });
  t.like(trust.meet(provenOf(one), '192.0.2.7'), { kind: 'refused', copy: true });
  t.throws(() => trust.reach(URL_ONE, provenOf(one)), { message: /says start 2, but start 3 was seen/ });
  one.begin(4);
  one.describe({ addrs: [], hostIds: [] });
  t.like(trust.meet(provenOf(one, { instance: '1'.repeat(16) }), '192.0.2.7'), { kind: 'trusted' });
});

test('where a credential is asked for, it alone counts', (t) => {
  const one = nodeOf('one');
  const secret = trustOf('clusterSecret');
  t.like(secret.meet(provenOf(one), '192.0.2.1'), { kind: 'refused' });
  t.throws(() => secret.reach(URL_ONE, provenOf(one)), { message: /does not know the cluster secret/ });
  t.like(secret.meet(provenOf(one, { knowsSecret: true }), '192.0.2.1'), { kind: 'trusted', how: 'cluster secret' });
  t.like(secret.reach(URL_ONE, provenOf(nodeOf('two'), { knowsSecret: true })), { how: 'cluster secret' });
  const ca = trustOf('ca');
  t.like(ca.meet(provenOf(one, { certified: [nodeOf('two').id] }), '192.0.2.1'), { kind: 'refused' });
  t.like(ca.meet(provenOf(one, { certified: [one.id] }), '192.0.2.1'), { kind: 'trusted', how: 'certificate' });
  t.like(trustOf('insecure').meet(provenOf(one), '192.0.2.1'), { kind: 'trusted', how: 'insecure' });
});

test('nodes that come once, with a credential, do not use up the store of trusted nodes', (t) => {
  const trust = trustOf('clusterSecret');
  const template = provenOf(nodeOf('many'), { knowsSecret: true });
  const numbered = (number: number): Proven => ({ ...template, node: { ...template.node, id: `node${number}` } });
  const pinned = nodeOf('pinned');
  trust.reach(URL_ONE, provenOf(pinned, { knowsSecret: true }));
  for (let number = 0; number < 5000; number++) t.like(trust.meet(numbered(number), '192.0.2.1'), { kind: 'trusted' }, String(number));
  const { known } = trust.list();
  t.is(known.length, 4096);
  t.true(known.some(({ id }) => id === pinned.id));
  t.is(known.at(-1)?.id, 'node4999');
});

test('the key of an ephemeral node is never stored, and forgotten when it leaves or five minutes after it was lost', async (t) => {
  const path = join(temporaryDir(t), 'trust.json');
  let now = 0;
  const trust = trustOf('clusterSecret', new StateFile(path, MAX_TRUST_BYTES), () => now);
  const [stays, lost, left] = [nodeOf('stays'), ephemeralNode('lost'), ephemeralNode('left')];
  const isKnown = ({ id }: OwnNode): boolean => trust.list().known.some((node) => node.id === id);
  for (const node of [stays, lost, left]) {
    t.like(trust.meet(provenOf(node, { knowsSecret: true }), '192.0.2.1'), { kind: 'trusted' });
    trust.visitorLinked(node.id, 'up');
  }
  now += 3_600_000;
  t.deepEqual([stays, lost, left].map(isKnown), [true, true, true], 'while its link is up');
  await trust.save();
  const stored = readFileSync(path, 'utf8');
  t.deepEqual(
    [stays, lost, left].map(({ id }) => stored.includes(id)),
    [true, false, false],
  );
  trust.visitorLinked(left.id, 'left');
  trust.visitorLinked(stays.id, 'left');
  trust.visitorLinked(lost.id, 'lost');
  now += 299_999;
  t.deepEqual([stays, lost, left].map(isKnown), [true, true, false]);
  trust.meet(provenOf(lost, { knowsSecret: true }), '192.0.2.1');
  trust.visitorLinked(lost.id, 'up');
  now += 300_000;
  t.true(isKnown(lost), 'it came back');
  trust.visitorLinked(lost.id, 'lost');
  now += 300_000;
  t.deepEqual([stays, lost, left].map(isKnown), [true, false, false]);
});

test('an ephemeral node is approved until it leaves, and one that is stored cannot call itself ephemeral', async (t) => {
  const path = join(temporaryDir(t), 'trust.json');
  const trust = trustOf('pair', new StateFile(path, MAX_TRUST_BYTES));
  const visitor = ephemeralNode('visitor');
  t.like(trust.meet(provenOf(visitor), '192.0.2.1'), { kind: 'pending' });
  t.deepEqual(trust.approve(visitor.id).addrs, [], 'it is not called');
  t.like(trust.meet(provenOf(visitor), '192.0.2.1'), { kind: 'trusted', how: 'approved' });
  t.like(trust.meet(provenOf(visitor, { instance: '0'.repeat(16) }), '192.0.2.1'), { kind: 'refused', copy: true });
  trust.visitorLinked(visitor.id, 'left');
  t.like(trust.meet(provenOf(visitor), '192.0.2.1'), { kind: 'pending' }, 'it has to be approved again');

  const seed = randomBytes(32).toString('base64url');
  const stored = nodeOf('stored', {}, seed);
  trust.meet(provenOf(stored), '192.0.2.1');
  trust.approve(stored.id);
  const again = ephemeralNode('stored', seed);
  again.begin(2);
  again.describe({ addrs: [], hostIds: [] });
  t.is(again.id, stored.id);
  t.like(trust.meet(provenOf(again), '192.0.2.1'), { kind: 'trusted', how: 'approved' });
  trust.approve(again.id);
  trust.visitorLinked(again.id, 'left');
  t.like(trust.meet(provenOf(again), '192.0.2.1'), { kind: 'trusted', how: 'approved' });
  await trust.save();
  t.deepEqual(
    [visitor, stored].map(({ id }) => readFileSync(path, 'utf8').includes(id)),
    [false, true],
  );
});

test('of ephemeral nodes that come once, those without a link for the longest time give way', (t) => {
  const trust = trustOf('clusterSecret');
  const template = provenOf(ephemeralNode('many'), { knowsSecret: true });
  const numbered = (number: number): Proven => ({ ...template, node: { ...template.node, id: `node${number}` } });
  trust.meet(numbered(0), '192.0.2.1');
  trust.visitorLinked('node0', 'up');
  for (let number = 1; number <= 3000; number++) trust.meet(numbered(number), '192.0.2.1');
  const { known } = trust.list();
  t.is(known.length, 1024);
  t.true(known.some(({ id }) => id === 'node0'));
  t.is(known.at(-1)?.id, 'node3000');
});
