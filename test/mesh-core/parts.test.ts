/** The parts of the mesh's core: what is signed, how numbers are remembered, and how paths are found. */
import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { ByteReader, ByteWriter } from '../../src/mesh-core/bytes.ts';
import { Dialer } from '../../src/mesh-core/dialer.ts';
import { PackedTexts } from '../../src/mesh-core/packed-texts.ts';
import { RowIndex } from '../../src/mesh-core/row-index.ts';
import { HeldQueue } from '../../src/mesh-core/held-queue.ts';
import { decodeEntry } from '../../src/mesh-core/held-record.ts';
import { HeldTable } from '../../src/mesh-core/held-table.ts';
import type { Held, HeldStream, NewHeld } from '../../src/mesh-core/held-table.ts';
import { MAX_WINDOW_MESSAGES, WINDOW_MESSAGES } from '../../src/mesh-core/limits.ts';
import { Link } from '../../src/mesh-core/link.ts';
import { isSigned, readState, signState } from '../../src/mesh-core/link-state.ts';
import { LowMark } from '../../src/mesh-core/low-mark.ts';
import { Topology, ed25519Crypto, ed25519Signer, idOfKey } from '../../src/mesh-core/mesh-core.ts';
import type { Frame } from '../../src/mesh-core/mesh-core.ts';
import { decodeHead, encodeHead } from '../../src/mesh-core/message.ts';
import type { Head } from '../../src/mesh-core/message.ts';
import { idBytes, idText } from '../../src/mesh-core/node-id.ts';
import { NumberSet } from '../../src/mesh-core/number-set.ts';
import { pathsWithin } from '../../src/mesh-core/paths.ts';
import type { Edges } from '../../src/mesh-core/paths.ts';
import { SendQueue } from '../../src/mesh-core/send-queue.ts';
import { Verifier, sealGroup } from '../../src/mesh-core/seal.ts';
import { Throttle } from '../../src/mesh-core/throttle.ts';
import { fakeCrypto, fakeSigner } from '../simulate/fake-crypto.ts';

const id = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => idText(Buffer.from(bytes)));
const count = fc.maxSafeNat();
const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((one) => Buffer.byteLength(one) <= 255);
const head: fc.Arbitrary<Head> = fc
  .record({
    ...{ origin: id, epoch: count, target: fc.option(id, { nil: undefined }), number: count, low: count, sentAt: count },
    ...{ ttlMs: fc.nat(7 * 86_400_000), isDurable: fc.boolean(), isOrdered: fc.boolean(), hostId: text, generation: fc.nat(16) },
    ...{ ref: text, contentType: text, payloadHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)) },
  })
  .map((one) => ({ ...one, low: Math.min(one.low, one.number) }));

test('a head is read as it was written', (t) => {
  fc.assert(fc.property(head, (one) => t.deepEqual(decodeHead(encodeHead(one)), one)));
  t.pass();
});

test('bytes that are read as a head are the only ones for it', (t) => {
  const changed = fc.tuple(head, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.constantFrom('change', 'cut', 'add'));
  fc.assert(
    fc.property(changed, ([one, at, by, how]) => {
      const bytes = encodeHead(one);
      const index = at % bytes.length;
      if (how === 'change') bytes[index] = bytes[index]! ^ by;
      const damaged = how === 'cut' ? bytes.subarray(0, index) : how === 'add' ? Buffer.concat([bytes, Buffer.from([by])]) : bytes;
      let read: Head;
      try {
        read = decodeHead(damaged);
      } catch (error) {
        return (error as Error).message.startsWith('a message of the mesh is malformed at byte ');
      }
      return how === 'change' && encodeHead(read).equals(damaged);
    }),
  );
  t.pass();
});

test('a head or link state of another version is refused', (t) => {
  const head = encodeHead(plainHead('a'.repeat(32)));
  head[0] = 0;
  t.throws(() => decodeHead(head), { message: /malformed at byte 1/ });
  const state = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0, id: '', epoch: 1, sequence: 1, isLeaving: false };
  const { bytes } = signState({ ...state, neighbours: [] }, fakeSigner(1), fakeCrypto);
  bytes[0] = 0;
  t.throws(() => readState(bytes, fakeCrypto), { message: /malformed at byte 1/ });
});

test('bytes of any kind are refused as heads, link states, records and numbers without other errors', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      const bytes = Buffer.from(array);
      for (const read of [
        () => decodeHead(bytes),
        () => readState(bytes, fakeCrypto),
        () => decodeEntry(bytes),
        () => NumberSet.decode(new ByteReader(bytes, 'numbers')),
      ]) {
        try {
          read();
        } catch (error) {
          if (!(error as Error).message.includes('malformed')) throw error;
        }
      }
    }),
  );
  t.pass();
});

test('an id is read as it was written', (t) => {
  fc.assert(fc.property(id, (one) => idText(idBytes(one)) === one && /^[a-z2-7]{32}$/.test(one)));
  t.pass();
});

test('one signature covers a group, and each message is verified alone', (t) => {
  const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const other = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const origin = idOfKey(ed25519Crypto, signer.publicKey);
  for (const size of [1, 2, 3, 7, 64]) {
    const payloads = Array.from({ length: size }, (_, index) => Buffer.from(`payload ${index}`));
    const heads = payloads.map((payload, index): Head => ({
      ...plainHead(origin),
      number: index + 1,
      payloadHash: ed25519Crypto.hash(payload),
    }));
    const bytes = heads.map(encodeHead);
    const seals = sealGroup(bytes, signer, ed25519Crypto);
    const envelope = (index: number) => ({
      head: bytes[index]!,
      seal: seals[index]!,
      payload: payloads[index]!,
      hops: 15,
      ageMs: 0,
      via: [],
    });
    const verifier = new Verifier(ed25519Crypto);
    for (const index of heads.keys()) t.true(verifier.isGenuine(envelope(index), heads[index]!), `${index} of ${size}`);

    const first = envelope(0);
    t.false(verifier.isGenuine({ ...first, payload: Buffer.from('other') }, heads[0]!));
    const moved = { ...heads[0]!, number: 999 };
    t.false(verifier.isGenuine({ ...first, head: encodeHead(moved) }, moved));
    const foreign = { ...heads[0]!, origin: idOfKey(ed25519Crypto, other.publicKey) };
    t.false(verifier.isGenuine({ ...first, head: encodeHead(foreign) }, foreign), 'the key in the seal is not that of the origin');
    const [stolen] = sealGroup([bytes[0]!], other, ed25519Crypto);
    t.false(verifier.isGenuine({ ...first, seal: stolen! }, heads[0]!), 'signed by somebody else');
    for (const at of [0, 40, 97, seals[0]!.length - 1]) {
      const seal = Buffer.from(seals[0]!);
      seal[at] = seal[at]! ^ 1;
      t.false(verifier.isGenuine({ ...first, seal }, heads[0]!), `seal changed at ${at}`);
    }
    t.false(verifier.isGenuine({ ...first, seal: Buffer.alloc(0) }, heads[0]!));
    // Also where the rest of the way to the root is known.
    const last = envelope(size - 1);
    for (const at of last.seal.keys()) {
      const seal = Buffer.from(last.seal);
      seal[at] = seal[at]! ^ 0x41;
      t.false(verifier.isGenuine({ ...last, seal }, heads.at(-1)!), `seal of the last of ${size} changed at ${at}`);
    }
    const longer = Buffer.concat([last.seal, Buffer.alloc(32)]);
    t.false(verifier.isGenuine({ ...last, seal: longer }, heads.at(-1)!));
    t.true(verifier.isGenuine(last, heads.at(-1)!));
  }
});

test('a forged copy that comes first changes nothing for the genuine message, in whatever order a group comes', (t) => {
  const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
  const origin = idOfKey(ed25519Crypto, signer.publicKey);
  const payload = Buffer.from('payload');
  const group = fc.integer({ min: 1, max: 20 }).chain((size) => {
    const order = fc.shuffledSubarray(Array.from({ length: size }, (_, index) => index));
    return fc.record({ size: fc.constant(size), order, change: fc.nat() });
  });
  fc.assert(
    fc.property(group, ({ size, order, change }) => {
      const heads = Array.from({ length: size }, (_, index): Head => {
        return { ...plainHead(origin), number: index + 1, payloadHash: ed25519Crypto.hash(payload) };
      });
      const seals = sealGroup(heads.map(encodeHead), signer, ed25519Crypto);
      const verifier = new Verifier(ed25519Crypto);
      for (const index of order) {
        const head = heads[index]!;
        const envelope = { head: encodeHead(head), seal: seals[index]!, payload, hops: 15, ageMs: 0, via: [] };
        const seal = Buffer.from(envelope.seal);
        seal[change % seal.length] = seal[change % seal.length]! ^ 1;
        t.false(verifier.isGenuine({ ...envelope, seal }, head));
        const other = { ...head, number: head.number + 1 };
        t.false(verifier.isGenuine({ ...envelope, head: encodeHead(other) }, other));
        t.true(verifier.isGenuine(envelope, head));
      }
    }),
    { numRuns: 60 },
  );
});

test('numbers are remembered as a set would remember them', (t) => {
  const step = fc.oneof(fc.record({ add: fc.integer({ min: 1, max: 60 }) }), fc.record({ advance: fc.integer({ min: 1, max: 60 }) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const numbers = new NumberSet();
      const model = new Set<number>();
      for (const one of steps) {
        if ('add' in one) {
          numbers.add(one.add);
          model.add(one.add);
        } else {
          numbers.advance(one.advance);
          for (let number = 1; number <= one.advance; number++) model.add(number);
        }
      }
      const reader = new ByteReader(numbers.encode(new ByteWriter()).end(), 'numbers');
      const copy = NumberSet.decode(reader);
      reader.end();
      for (const set of [numbers, copy]) {
        for (let number = 1; number <= 62; number++) if (set.has(number) !== model.has(number)) return false;
        if (set.greatest !== Math.max(0, ...model)) return false;
      }
      return true;
    }),
  );
  t.pass();
});

test('a set with too many gaps is full until they are closed', (t) => {
  const numbers = new NumberSet();
  for (let number = 2; !numbers.isFull; number += 2) numbers.add(number);
  t.false(numbers.has(3));
  numbers.advance(500);
  t.false(numbers.isFull);
  t.true(numbers.has(3));
});

test('the low mark passes a number only after its message has expired', (t) => {
  const lives = fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 100_000 })), { maxLength: 300 });
  fc.assert(
    fc.property(lives, (messages) => {
      const mark = new LowMark();
      const expiries: number[] = [];
      let now = 0;
      for (const [pause, ttl] of messages) {
        now += pause;
        mark.note(expiries.push(now + ttl), now + ttl, now);
        const low = mark.at(now);
        if (expiries.slice(0, low - 1).some((at) => at > now)) return false;
      }
      return mark.at(now + 200_000) === expiries.length + 1;
    }),
  );
  t.pass();
});

test('actions that follow one another come later and later, and soon again after a quiet time', (t) => {
  const throttle = new Throttle({ minMs: 100, maxMs: 1000 });
  const times: number[] = [];
  let now = 0;
  for (let count = 0; count < 6; count++) {
    throttle.request(now);
    now = throttle.dueAt;
    t.true(throttle.take(now));
    t.false(throttle.take(now));
    times.push(now);
  }
  t.deepEqual(times, [100, 300, 700, 1500, 2500, 3500]);
  throttle.request(now + 5000);
  t.is(throttle.dueAt, now + 5100);
});

test('a dialer that fails waits longer each time, and starts from the beginning after a stable link', (t) => {
  const dialer = new Dialer('x', () => 0.999, 0);
  const waits: number[] = [];
  for (let [count, now] = [0, 0]; count < 10; count++) {
    t.true(dialer.isDue(now));
    dialer.dialing(1, now);
    t.is(dialer.expired(now + 2999), undefined);
    t.is(dialer.expired(now + 3000)?.reason, 'no connection in 3000 ms');
    dialer.connected(now);
    t.is(dialer.expired(now + 5000)?.reason, 'no proof of identity in 5000 ms');
    dialer.failed(now);
    waits.push(dialer.wakeAt - now);
    now = dialer.wakeAt;
  }
  t.deepEqual(waits, [250, 500, 999, 1998, 3996, 7992, 15_984, 31_968, 59_940, 59_940]);
  dialer.linked('peer', 1_000_000);
  dialer.failed(1_060_000);
  t.is(dialer.wakeAt, 1_060_250);
});

/** The topology of node 0 in a mesh with these links and costs; each link state is signed by its node. */
function topologyOf(edges: readonly (readonly [number, number, number])[], more: Partial<Parameters<typeof signState>[0]>[] = []) {
  const ids = Array.from({ length: 8 }, (_, index) => idOfKey(fakeCrypto, fakeSigner(index).publicKey));
  const description = { nick: '', addresses: [], hostIds: [], capabilities: [], load: 0 };
  const topology = new Topology({ id: ids[0]!, epoch: 1, description, signer: fakeSigner(0), crypto: fakeCrypto }, 0);
  const neighboursOf = (index: number) => edges.flatMap(([from, to, cost]) => (from === index ? [{ id: ids[to]!, cost }] : []));
  const accept = (index: number, change = {}, now = 0) => {
    const state = { ...description, id: ids[index]!, epoch: 1, sequence: 1, isLeaving: false, neighbours: neighboursOf(index), ...change };
    return topology.accept(signState(state, fakeSigner(index), fakeCrypto).bytes, now);
  };
  for (let index = 1; index < 8; index++) accept(index, more[index]);
  for (const { id: to, cost } of neighboursOf(0)) topology.linkUp(to, cost, 0);
  topology.tick(2000);
  return { topology, ids, accept };
}

const both = (...links: readonly (readonly [number, number, number])[]) =>
  links.flatMap(
    ([a, b, cost]) =>
      [
        [a, b, cost],
        [b, a, cost],
      ] as const,
  );

test('paths are the cheapest over links that both ends list', (t) => {
  // 0-1-2-3 is cheap, 0-4-3 dear, and 0-5-3 would be the cheapest if node 3 listed it.
  const { topology, ids } = topologyOf([...both([0, 1, 1], [1, 2, 1], [2, 3, 1], [0, 4, 5], [4, 3, 5], [0, 5, 1]), [5, 3, 1]]);
  t.like(topology.pathTo(ids[3]!), { hop: ids[1]!, cost: 3, links: 3 });
  t.is(topology.pathTo(ids[6]!), undefined);
  t.like(topology.pathTo(ids[3]!, [ids[1]!]), { hop: ids[4]!, cost: 10 });
  t.like(topology.pathTo(ids[3]!, [ids[2]!]), { hop: ids[1]! }, 'only the first step is compared with what is to be avoided');
  t.is(topology.pathTo(ids[3]!, [ids[1]!, ids[4]!]), undefined);
});

test('of paths with too many links a dearer one with fewer is taken; without one, the node is too far', (t) => {
  const edges = (links: readonly (readonly [number, number, number])[]): Edges => {
    const all = both(...links);
    return (id) => all.flatMap(([from, to, cost]) => (String(from) === id ? [[String(to), cost] as const] : []));
  };
  const line = Array.from({ length: 6 }, (_, index) => [index, index + 1, 1] as const);
  const { paths, tooFar } = pathsWithin('0', edges([...line, [0, 3, 50]]), 4);
  t.deepEqual([...paths].sort(), [
    ['1', { hop: '1', cost: 1, links: 1 }],
    ['2', { hop: '1', cost: 2, links: 2 }],
    ['3', { hop: '1', cost: 3, links: 3 }],
    ['4', { hop: '1', cost: 4, links: 4 }],
    ['5', { hop: '3', cost: 52, links: 3 }],
    ['6', { hop: '3', cost: 53, links: 4 }],
  ]);
  t.is(tooFar.size, 0);
  t.deepEqual([...pathsWithin('0', edges(line), 4).tooFar], ['5', '6']);
});

test('of equally cheap paths the one with fewer links is taken, whatever its first hop is', (t) => {
  // By way of node 1 there are four links, by way of node 5 three.
  const links = both([0, 1, 1], [1, 2, 1], [2, 3, 1], [3, 4, 1], [0, 5, 1], [5, 6, 1], [6, 4, 2]);
  const edges: Edges = (id) => links.flatMap(([from, to, cost]) => (String(from) === id ? [[String(to), cost] as const] : []));
  t.like(pathsWithin('0', edges, 16).paths.get('4'), { hop: '5', cost: 4, links: 3 });
});

test('a path with few hops left is one with few links', (t) => {
  const { topology, ids } = topologyOf(both([0, 1, 1], [1, 2, 1], [2, 3, 1], [0, 4, 50], [4, 3, 50], [0, 3, 500]));
  const hop = (maxLinks: number): string | undefined => topology.pathTo(ids[3]!, [], maxLinks)?.hop;
  t.deepEqual([3, 2, 1, 0].map(hop), [ids[1], ids[4], ids[3], undefined]); // prettier-ignore
  t.is(topology.pathTo(ids[3]!, [ids[4]!], 2)?.hop, ids[3]!);
});

test('a capability leads to the nearest node that offers it, then to the least busy one, and with a key always to the same', (t) => {
  const offers = { capabilities: ['work:render'] };
  const { topology, ids } = topologyOf(both([0, 1, 1], [0, 2, 1], [0, 3, 1], [3, 4, 1]), [
    {},
    { ...offers, load: 80 },
    { ...offers, load: 10 },
    {},
    { ...offers, load: 0 },
  ]);
  t.is(topology.nearest('work:render', undefined), ids[2]!);
  t.is(topology.nearest('work:paint', undefined), undefined);
  const byKey = Array.from({ length: 20 }, (_, key) => topology.nearest('work:render', String(key)));
  t.deepEqual([...new Set(byKey)].sort(), [ids[1]!, ids[2]!].sort());
  t.deepEqual(
    Array.from({ length: 20 }, (_, key) => topology.nearest('work:render', String(key))),
    byKey,
  );
});

test('link states: newer ones count, a node that leaves is gone at once, forged and too frequent ones are refused', (t) => {
  const { topology, ids, accept } = topologyOf(both([0, 1, 1], [1, 2, 1]));
  t.is(accept(1), 'known');
  t.is(accept(1, { sequence: 2 }), 'new');
  t.is(accept(1, { sequence: 1 }), 'known');
  t.is(accept(1, { epoch: 2 }), 'new');
  t.is(accept(0, { epoch: 1, sequence: 50 }), 'own');
  t.is(accept(0, { epoch: 2 }), 'alarm');
  const state = {
    nick: '',
    addresses: [],
    hostIds: [],
    capabilities: [],
    load: 0,
    id: ids[1]!,
    epoch: 9,
    sequence: 1,
    isLeaving: false,
    neighbours: [],
  };
  const forged = signState(state, { ...fakeSigner(2), publicKey: fakeSigner(1).publicKey }, fakeCrypto);
  t.is(readState(forged.bytes, fakeCrypto).state.id, ids[1]!);
  t.false(isSigned(forged, fakeCrypto));
  t.is(topology.accept(forged.bytes, 0), 'refused');
  t.is(topology.accept(Buffer.from('nonsense'), 0), 'refused');
  const results = Array.from({ length: 12 }, (_, index) => accept(2, { sequence: 10 + index }, 5000));
  t.deepEqual(results, [...Array.from({ length: 10 }, () => 'new'), 'refused', 'refused']);
  t.is(accept(2, { sequence: 30, isLeaving: true }, 7000), 'new');
  topology.tick(9000);
  t.is(topology.pathTo(ids[2]!), undefined);
});

test('a link state says what a node is called, where it is, and which host_ids are its own', (t) => {
  const addresses = ['http://192.168.1.5:2004'];
  const hostIds = Array.from({ length: 70 }, (_, index) => `1.2.3.4:${index}`);
  const state = { nick: 'attic', addresses, hostIds, capabilities: ['work:render'], load: 7, id: '', epoch: 9, sequence: 1 };
  const { bytes } = signState({ ...state, isLeaving: false, neighbours: [] }, fakeSigner(1), fakeCrypto);
  const id = idOfKey(fakeCrypto, fakeSigner(1).publicKey);
  t.deepEqual(readState(bytes, fakeCrypto).state, { ...state, id, hostIds: hostIds.slice(0, 64), isLeaving: false, neighbours: [] });
});

test('a link state that is not refreshed is forgotten', (t) => {
  const { topology, ids } = topologyOf(both([0, 1, 1], [1, 2, 1]));
  topology.tick(190_000);
  t.truthy(topology.pathTo(ids[2]!));
  topology.tick(260_000);
  topology.tick(262_000);
  t.is(topology.pathTo(ids[2]!), undefined);
});

test('a table keeps each message, and finds, expires and forgets it as a plain map does', (t) => {
  const peers = ['a', 'b', 'c'];
  const step = fc.record({
    what: fc.constantFrom('add', 'add', 'add', 'remove', 'remove', 'change', 'expire'),
    pick: fc.nat(),
    life: fc.nat(50),
    waitingFor: fc.subarray(peers),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const table = new HeldTable();
      const stream = streamIn(table);
      const model = new Map<number, Model>();
      const gone: Held[] = [];
      let number = 0;
      for (const [now, { what, pick, life, waitingFor }] of steps.entries()) {
        const [chosen, one] = [...model][pick % Math.max(1, model.size)] ?? [];
        if (what === 'add') {
          const expiresAt = now + life;
          const held = table.add({ ...plainMessage(stream, ++number), expiresAt, waitingFor, via: waitingFor, ref: `r${number}` });
          // Some are written to the log at once, others when they are changed.
          held.record = life % 2;
          model.set(number, { held, expiresAt, waitingFor, attempts: 0, hasExpired: false });
        } else if (what === 'expire') {
          const due = [...model].filter(([, entry]) => entry.held.record > 0 && !entry.hasExpired && entry.expiresAt <= now);
          const found = table.expired(now, Infinity, () => true).map((held) => held.number);
          t.deepEqual(found.filter((one) => model.get(one)?.hasExpired === false).sort(byNumber), due.map(([one]) => one).sort(byNumber));
          for (const [, entry] of due) entry.hasExpired = true;
        } else if (one && chosen !== undefined && what === 'remove') {
          table.remove(one.held);
          model.delete(chosen);
          gone.push(one.held);
        } else if (one) {
          one.attempts = one.held.attempts = pick;
          one.waitingFor = one.held.waitingFor = waitingFor;
          one.held.record = 1;
          one.held.state = 'custody';
          one.held.lastReason = 'quota';
          one.held.lastHop = 'a';
        }
      }
      t.is(table.size, model.size);
      for (const [of, { held, expiresAt, waitingFor, attempts }] of model) {
        const found = table.find(held.row, held.serial);
        t.true(found?.is(held));
        t.like(found, { number: of, expiresAt, waitingFor, attempts, ref: `r${of}`, isOwn: true, isLocal: false, bytes: 1 });
      }
      for (const peer of peers) {
        const waiting = [...model].filter(([, one]) => one.waitingFor.includes(peer)).map(([one]) => one);
        t.deepEqual(
          table
            .waitingFor(peer)
            .map((held) => held.number)
            .sort(byNumber),
          waiting.sort(byNumber),
        );
      }
      for (const held of gone) {
        held.attempts = 7;
        held.waitingFor = ['d'];
        t.is(table.find(held.row, held.serial), undefined);
        t.like(held, { state: 'gone', attempts: 0, waitingFor: [], ref: '', record: 0, lastHop: undefined, arrival: undefined });
      }
      t.is(table.waitingFor('d').length, 0);
    }),
  );
});

test('packed texts are read as they were set, whatever was cleared and set again before', (t) => {
  const step = fc.record({
    number: fc.nat(7),
    text: fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.constant('x'.repeat(60_000))),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const texts = new PackedTexts(8);
      const model = new Map<number, string>();
      for (const { number, text } of steps) {
        texts.clear(number);
        // Lone surrogates have no bytes of their own.
        const written = Buffer.from(text).toString();
        texts.set(number, written);
        model.set(number, written);
        for (let at = 0; at < 8; at++) t.is(texts.get(at), model.get(at) ?? '');
      }
    }),
  );
});

test('rows are used again, and a message of an earlier one does not see the next', (t) => {
  const table = new HeldTable();
  const stream = streamIn(table);
  const helds = Array.from({ length: 5000 }, (_, number) => table.add(plainMessage(stream, number)));
  for (const held of helds) if (held.number % 10 > 0) table.remove(held);
  const again = Array.from({ length: 4000 }, (_, number) => table.add(plainMessage(stream, 5000 + number)));
  t.true(Math.max(...again.map(({ row }) => row)) < 5120);
  t.is(new Set([...helds.filter(({ state }) => state !== 'gone'), ...again].map(({ row }) => row)).size, table.size);
  t.true(helds.every(({ number, state }) => (state === 'gone') === number % 10 > 0));
});

test('of messages that expire together some are taken at once, and the others the next time', (t) => {
  const table = new HeldTable();
  const stream = streamIn(table);
  for (let number = 1; number <= 5001; number++)
    table.add({ ...plainMessage(stream, number), expiresAt: number > 5000 ? 20 : 10 }).record = number;
  t.is(table.expired(9, 100, () => true).length, 0);
  const first = table.expired(10, 100, () => true);
  t.true(first.length >= 100 && first.length < 5000);
  t.is(table.earliestExpiry, 10);
  t.is(first.length + table.expired(10, Infinity, () => true).length, 5000);
  t.is(table.earliestExpiry, 20);
});

test('an index has the messages in the order of their numbers, however they came', (t) => {
  const step = fc.tuple(fc.boolean(), fc.oneof(fc.nat(300), fc.nat(100_000)));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.nat(300), (steps, from) => {
      const table = new HeldTable();
      const index = streamIn(table).messages;
      const model = new Map<number, Held>();
      for (const [isAdded, number] of steps) {
        if (isAdded) {
          const held = table.add(plainMessage(streamIn(table), number));
          index.set(number, held);
          model.set(number, held);
        } else t.is(index.delete(number), model.delete(number));
        t.is(index.first, model.size === 0 ? undefined : Math.min(...model.keys()));
      }
      const sorted = [...model.keys()].sort(byNumber);
      t.is(index.size, model.size);
      t.deepEqual(
        [...index.values()].map(({ number }) => number),
        sorted,
      );
      t.deepEqual(
        [...index.values(from)].map(({ number }) => number),
        sorted.filter((number) => number >= from),
      );
      for (const [number, held] of model) t.true(index.get(number)?.is(held));
    }),
  );
  t.pass();
});

test('a queue of messages gives them back in order, without those that are gone', (t) => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('push', 'push', 'shift', 'remove'), { maxLength: 2000 }), (steps) => {
      const table = new HeldTable();
      const stream = streamIn(table);
      const queue = new HeldQueue(table);
      const model: Held[] = [];
      for (const [number, what] of steps.entries()) {
        if (what === 'push') {
          const held = table.add(plainMessage(stream, number));
          queue.push(held);
          model.push(held);
        } else if (what === 'remove') {
          const [removed] = model.splice(model.length >> 1, 1);
          if (removed) table.remove(removed);
        } else t.is(queue.shift()?.number, model.shift()?.number);
      }
      for (const { number } of model) t.is(queue.shift()?.number, number);
      t.is(queue.shift(), undefined);
      t.is(queue.length, 0);
    }),
  );
});

test('ordered messages wait in the order in which they came, whether a neighbour could have them at once or not', (t) => {
  const table = new HeldTable();
  const queue = new SendQueue(table);
  const stream = streamIn(table);
  const heldOf = (number: number, isOrdered: boolean): Held => table.add({ ...plainMessage(stream, number), isOrdered });
  queue.push(heldOf(1, true), 'fresh');
  queue.push(heldOf(2, false), 'backlog');
  // The link is down now, so the rest is a backlog, or has to wait behind one.
  queue.push(heldOf(3, true), 'backlog');
  queue.push(heldOf(4, true), 'fresh');
  queue.push(heldOf(5, false), 'fresh');
  const taken = (['retry', 'backlog', 'fresh'] as const).flatMap((part) => {
    const numbers: number[] = [];
    for (let held = queue.shift(part, () => true); held; held = queue.shift(part, () => true)) numbers.push(held.number);
    return numbers;
  });
  t.deepEqual(taken, [2, 1, 3, 4, 5]);
});

/** What a message of the table must look like. */
interface Model {
  readonly held: Held;
  readonly expiresAt: number;
  waitingFor: readonly string[];
  attempts: number;
  hasExpired: boolean;
}

function byNumber(one: number, other: number): number {
  return one - other;
}

function streamIn(table: HeldTable): HeldStream {
  return { key: 'stream', target: undefined, isDurable: true, messages: new RowIndex(table) };
}

function plainMessage(stream: HeldStream, number: number): NewHeld {
  const flags = { isOwn: true, isLocal: false, isOrdered: true, isSystem: false };
  return { ...flags, stream, number, bytes: 1, expiresAt: Infinity, via: [], waitingFor: [], ref: '' };
}

function plainHead(origin: string): Head {
  return {
    ...{ origin, epoch: 1, target: undefined, number: 1, low: 1, sentAt: 0, ttlMs: 1000, isDurable: true, isOrdered: false, hostId: 'h' },
    ...{ generation: 0, ref: '', contentType: 'dict', payloadHash: Buffer.alloc(32) },
  };
}

// Links

/** A link, what it sends, and the numbers of the messages that arrive over it. */
function linkOf(): { readonly link: Link<string>; readonly sent: Frame[]; readonly arrived: number[] } {
  const [sent, arrived]: [Frame[], number[]] = [[], []];
  const nothing = (): void => undefined;
  const link = new Link<string>(
    {
      channel: 1,
      peer: { id: 'a'.repeat(32), epoch: 1, instance: 'x' },
      random: () => 0.5,
      counts: { sent: 0, returned: 0, received: 0 },
      user: {
        ...{ taken: nothing, returned: nothing, syncing: nothing, isUp: nothing, closed: nothing },
        send: (_, frame) => sent.push(frame),
        arrived: (_, number) => arrived.push(number),
      },
    },
    1000,
  );
  link.synced(1000);
  return { link, sent, arrived };
}

const noAck = { through: 0, next: 1, hasGap: false, returned: [], seen: 0, window: 256 };
const windowIn = (frame: Frame | undefined): number | undefined => (frame && 'ack' in frame ? frame.ack.window : undefined);

test('a neighbour may have more messages in flight the longer the way is, and never more than memory has room for', (t) => {
  const windowAt = (rttMs: number): number | undefined => {
    const { link, sent } = linkOf();
    for (const [at, echo] of [
      [2000, 2000 - rttMs],
      // A sample that is longer, since something waited in between, changes nothing.
      [3000, 3000 - rttMs - 500],
    ] as const)
      link.frame({ type: 'beat', at, echo, heldMs: 0, ack: noAck }, at);
    link.settle(1);
    link.flush();
    return windowIn(sent.at(-1));
  };
  t.is(windowAt(0), WINDOW_MESSAGES);
  t.is(windowAt(40), WINDOW_MESSAGES + 40 * 24);
  t.is(windowAt(900), MAX_WINDOW_MESSAGES);
  const { link } = linkOf();
  link.frame({ type: 'ack', ack: { ...noAck, window: 10 ** 6 } }, 1100);
  t.is(link.room(1).messages, MAX_WINDOW_MESSAGES, 'also if it offers more');
  link.frame({ type: 'ack', ack: { ...noAck, window: 0 } }, 1200);
  t.is(link.room(1).messages, 0);
});

test('of a neighbour that ignores its window no more messages are taken than the largest window has, until they are stored', (t) => {
  const { link, sent, arrived } = linkOf();
  const envelope = { head: Buffer.alloc(1), seal: Buffer.alloc(1), payload: Buffer.alloc(1), hops: 1, ageMs: 0, via: [] };
  const pushAll = (first: number, seen: number): void => {
    for (let at = first; at < first + 3000; at++) link.frame({ type: 'push', first: at, items: [envelope], ack: { ...noAck, seen } }, 1100);
  };
  pushAll(1, 0);
  t.is(arrived.length, MAX_WINDOW_MESSAGES);
  link.flush();
  t.like(sent.at(-1), { type: 'ack', ack: { through: 0, next: MAX_WINDOW_MESSAGES + 1, hasGap: true } });
  for (let number = 1; number <= 100; number++) link.settle(number);
  pushAll(MAX_WINDOW_MESSAGES + 1, 100);
  t.is(arrived.length, MAX_WINDOW_MESSAGES + 100);
});
