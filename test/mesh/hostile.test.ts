/** What a node that is trusted, but hostile, can do to a relay and to the others: frames on real sockets that no honest node sends. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Dict, Value } from '../../src/values/values.ts';
import { Double, isDict } from '../../src/values/values.ts';
import { HostileKey, HostileNode, NO_ACK } from '../support/hostile-node.ts';
import { call } from '../http/raw.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';
import { encodeDict } from '../../src/relay/dict-payload.ts';
import { ByteWriter } from '../../src/mesh-core/mesh-core.ts';
import type { Envelope } from '../../src/mesh-core/mesh-core.ts';
import { messageOf } from './messages.ts';
import { writeRequest } from '../../src/nodes/call-messages.ts';

interface Attacked {
  readonly relay: TestRelay;
  readonly id: string;
  readonly hostile: HostileNode;
}

/** A relay that trusts everybody, with a link to a hostile node. */
async function attacked(t: ExecutionContext, config: Parameters<typeof startRelay>[1] = {}): Promise<Attacked> {
  const relay = await startRelay(t, { nick: 'victim', trust: 'insecure', ...config });
  const { node: id } = (await relay.callDirectly('relay.ping')) as Dict;
  const hostile = new HostileNode(relay.url);
  await hostile.join(id as string);
  await relay.seen.event('mesh.link', { node: hostile.id, state: 'up' });
  return { relay, id: id as string, hostile };
}

/** Calls a method over HTTP as an admin. */
async function callAsAdmin({ url, adminToken }: TestRelay, method: string): Promise<Value> {
  const answer = await call(url, method, [], { headers: { authorization: `Bearer ${adminToken}` } });
  if (answer.kind === 'fault') throw new Error(answer.text);
  return answer.value;
}

/** What an acknowledgement gives back. */
function returnedIn(ack: Value | undefined): readonly unknown[] {
  const { returned } = isDict(ack) ? ack : {};
  return Array.isArray(returned) ? (returned as readonly unknown[]) : [];
}

const nodesOf = async (relay: TestRelay): Promise<readonly Dict[]> => (await relay.callDirectly('relay.get_nodes')) as readonly Dict[];

test('frames under numbers that are none are refused, and not kept', async (t) => {
  const { hostile } = await attacked(t);
  for (const number of [1.5, 2.000001, -1, 0, 2 ** 53, 1e308].map((one) => new Double(one)))
    await t.throwsAsync(hostile.pushAs(number, { type: 'summary', summary: 0 }), { message: /fault/ }, String(number.value));
  await hostile.push({ type: 'summary', summary: 0 });
});

test('a neighbour may have a window in flight, and no more, whatever it says about acknowledgements', async (t) => {
  const { relay, id, hostile } = await attacked(t);
  const envelope = { ...hostile.message(id, 1, Buffer.from('x')), payload: Buffer.from('y') };
  let longest = 0;
  const failed = await t.throwsAsync(async () => {
    for (let count = 0; count < 40; count++) {
      const frames = await hostile.push(hostile.batch(Array.from({ length: 64 }, () => envelope)));
      for (const { ack } of frames) longest = Math.max(longest, returnedIn(ack).length);
    }
  });
  t.regex(failed.message, /closed/);
  t.true(longest > 0 && longest <= 2048, String(longest));
  const { reason } = await relay.seen.event('mesh.link', { node: hostile.id, state: 'down' });
  t.regex(reason, /more than .* in flight/);
});

test('times and numbers beyond all measure in heartbeats and acknowledgements disturb nobody', async (t) => {
  const { relay, id, hostile } = await attacked(t);
  const times = [0, -1e308, 1e308, -1, 2 ** 53, 0.5];
  for (const at of times)
    for (const echo of times)
      for (const held of [0, -1e308, 1e308])
        await hostile.push({
          t: 'beat',
          at: new Double(at),
          echo: new Double(echo),
          held: new Double(held),
          ack: { ...NO_ACK, returned: [] },
        });
  for (let count = 0; count < 8; count++)
    await hostile.push({ t: 'beat', at: 0, echo: new Double(-1e308), held: 0, ack: { ...NO_ACK, returned: [] } });
  // The time on the link counts for the age of a message.
  const envelope = hostile.message(id, 1, Buffer.from('x'), { contentType: 'unheard-of' });
  const [pushed] = await hostile.push(hostile.batch([envelope]));
  t.deepEqual(returnedIn(pushed?.ack), [], 'it is not taken for too old');
  const max = new Double(2 ** 53 - 1);
  await hostile.push({
    t: 'ack',
    ack: {
      through: max,
      next: max,
      gap: true,
      seen: max,
      window: max,
      returned: [
        [max, 'forged'],
        [new Double(-1), 'quota'],
      ],
    },
  });
  await hostile.push({ t: 'ack', ack: { through: 0, next: 1, seen: 0, window: 0 } });
  for (const method of ['relay.get_status', 'relay.get_peers', 'relay.get_nodes'])
    await t.notThrowsAsync(callAsAdmin(relay, method), method);
  t.is(relay.seen.matching('mesh.link', { state: 'down' }).length, 0);
});

test('a node cannot use up what its neighbours accept of the link states of another one', async (t) => {
  const { relay, id, hostile } = await attacked(t);
  const other = new HostileKey();
  const genuine = (sequence: number): Buffer => other.state({ sequence, nick: `other ${sequence}` });
  const forged = Array.from({ length: 50 }, (_, index) => {
    const bytes = Buffer.from(genuine(1000 + index));
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    return bytes;
  });
  await hostile.push({ type: 'states', states: forged, isAnswer: false });
  await hostile.push({ type: 'states', states: [genuine(1)], isAnswer: false });
  const nodes = await nodesOf(relay);
  t.deepEqual(
    nodes.filter(({ node }) => node === other.id).map(({ nick }) => nick),
    ['other 1'],
  );
  t.true(nodes.some(({ node }) => node === id));
});

test('names and capabilities with characters of any kind are shown to everybody who asks for the nodes', async (t) => {
  const { relay, id, hostile } = await attacked(t);
  const texts = ['\u0000\u0001\u001b[31m', '\uffff\u202e', ']]></value>', '\ud83d\ude00'];
  const names = texts
    .map((text) => `work:${text}`)
    .concat(
      texts.map((text) => `method:${text}`),
      texts.map((text) => `version:${text}`),
    );
  await hostile.push({
    type: 'states',
    states: [
      hostile.state({
        sequence: 2,
        nick: texts.join(''),
        addresses: texts,
        hostIds: texts,
        capabilities: names,
        neighbours: [{ id, cost: 1 }],
      }),
    ],
    isAnswer: false,
  });
  for (const method of ['relay.get_nodes', 'relay.get_routes', 'relay.get_network_methods', 'relay.get_status', 'relay.get_peers'])
    await t.notThrowsAsync(callAsAdmin(relay, method), method);
  const [{ nick, addresses, work }] = (await nodesOf(relay)).filter(({ node }) => node === hostile.id) as [Dict];
  // eslint-disable-next-line no-control-regex -- these must not be there
  t.notRegex(JSON.stringify([nick, addresses, work]), /[\u0000-\u001f\u202e\uffff]|\\u00[01]/);
});

test('a nick that looks like the id of another node names nobody', async (t) => {
  const { relay, id, hostile } = await attacked(t);
  const absent = new HostileKey().id;
  await hostile.push({
    type: 'states',
    states: [hostile.state({ sequence: 2, nick: absent, neighbours: [{ id, cost: 1 }] })],
    isAnswer: false,
  });
  await t.throwsAsync(relay.callDirectly('relay.ping', absent, 300), { message: /no node is named/ });
});

test('a call that was recorded is not run again after the far end was restarted', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const first = await attacked(t, { dataDir });
  const rest = { params: [], timeoutMs: 30_000, as: '', rights: ['read', 'call'], hasPlainNumbers: false, credit: undefined } as const;
  const payload = writeRequest({ method: 'relay.ping', start: 1, ...rest });
  const recorded = first.hostile.message(first.id, 1, payload, { contentType: 'request', ref: 'a.1' });
  await first.hostile.push(first.hostile.batch([recorded]));
  t.regex(await first.hostile.messages('a.1'), /running/, 'it is run once');
  await first.relay.stop();
  const second = await attacked(t, { dataDir });
  t.is(second.id, first.id);
  // Its neighbours are others now; the message is as its origin signed it.
  const replayed = { ...recorded, via: [first.hostile.id, second.hostile.id] };
  await second.hostile.push({
    type: 'states',
    states: [first.hostile.state({ sequence: 2, neighbours: [{ id: second.hostile.id, cost: 1 }] })],
    isAnswer: false,
  });
  await second.hostile.push({
    type: 'states',
    states: [
      second.hostile.state({
        sequence: 2,
        neighbours: [
          { id: second.id, cost: 1 },
          { id: first.hostile.id, cost: 1 },
        ],
      }),
    ],
    isAnswer: false,
  });
  await second.hostile.push(second.hostile.batch([replayed]));
  const answer = await second.hostile.messages('a.1');
  t.regex(answer, /has not run it/);
  t.notRegex(answer, /running/);
});

test('a node cannot open channels without end', async (t) => {
  const { relay, hostile } = await attacked(t);
  const openMany = async (): Promise<void> => {
    for (let count = 0; count < 200; count++) await hostile.call('relay.push', count.toString(16).padStart(32, '0'), 1, []);
  };
  await t.throwsAsync(openMany, { message: /fault 413: .*at most \d+ channels/ });
  await relay.call('relay.get_nodes');
});

test('no node can send in the name of another one that is known, with its own key or one that it made up', async (t) => {
  const [port = 0] = await freePorts(1);
  const other = await startRelay(t, { nick: 'other', trust: 'insecure', port });
  const { relay, hostile } = await attacked(t, { peers: [other.url] });
  await relay.seen.event('node.up', { nick: 'other' });
  let number = 0;
  const dict = (key: HostileKey, hostId: string, by: string, data: string): Envelope => {
    const message = { ...messageOf(data, { hostId, id: `${hostile.id}.${++number}` }), via: [] };
    const envelope = key.message(undefined, number, encodeDict(message, by, message.arrivedAt), { hostId });
    return { ...envelope, via: key === hostile ? [hostile.id] : [key.id, hostile.id] };
  };
  const [own, made] = ['0123456789abcdef@127.0.0.1:9', new HostileKey()];
  const forged = [hostile, made].flatMap((key) =>
    [other.hostId, relay.hostId].flatMap((hostId) => [own, hostId].map((by) => dict(key, hostId, by, 'forged'))),
  );
  await hostile.push({
    type: 'states',
    states: [hostile.state({ sequence: 2, hostIds: [own, other.hostId, relay.hostId], neighbours: [] })],
    isAnswer: false,
  });
  await hostile.push(hostile.batch([...forged, dict(hostile, own, own, 'genuine')]));
  await relay.received.until(({ dict: { data } }) => data === 'genuine');
  t.deepEqual(
    relay.received.all.map(({ dict: { data, host_id: hostId } }) => [data, hostId]),
    [['genuine', own]],
  );
  const status = (await relay.callDirectly('relay.get_status')) as { readonly dicts: Dict };
  t.is(status.dicts.origin_refused, forged.length);
});

test('a node reports what became of messages that were for it, and of no others', async (t) => {
  const { relay, id, hostile } = await attacked(t);
  const absent = new HostileKey().id;
  const emit = (data: string, to: string): Promise<Value> => relay.callDirectly('test.recorder.emitWith', { data }, { to });
  const [own, foreign] = [(await emit('for the hostile one', hostile.id)) as string, (await emit('for another', absent)) as string];
  const [ref = ''] = /dict:\S+ \S* test\.recorder/.exec(await hostile.messages('test.recorder')) ?? [];
  let number = 0;
  const report = (returned: string): Envelope => {
    const payload = new ByteWriter().byte(2).text('says the hostile one').text(returned).bytes(Buffer.alloc(0)).end();
    const about = `${id}.1.u:${hostile.id}.1`;
    return hostile.message(id, ++number, payload, { contentType: 'co2/outcome', isDurable: true, ref: about });
  };
  const forged = [ref.replace(own, foreign), `dict:${foreign} test.recorder`, `dict:${foreign}  test.recorder`, 'dict:', `dict:${foreign}`];
  await hostile.push(hostile.batch([...forged, ref].map(report)));
  const { reason } = await relay.seen.event('message.outcome', { id: own });
  t.is(reason, 'says the hostile one');
  t.deepEqual(relay.seen.matching('message.outcome', { id: foreign }), []);
});
