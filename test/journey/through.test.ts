/** Forwarded messages: a dict crosses relays, reaches each once, never returns, and is not rewritten. */
import test from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { startRelay } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';
import { heard, heardInTheEnd, onAddresses, onOneAddress, startLinked } from './topology.ts';

test('over the chain A - B - C on three addresses, a dict reaches C with the host_id of A', async (t) => {
  const relays = await startLinked(t, await onAddresses('127.0.0.1', '127.0.0.2', '127.0.0.3'), (index) => [[1], [0, 2], [1]][index]!);
  const [a, b, c] = relays;
  const id = await a!.emit({ data: 'from A', co2: { id: 'mine' } });
  const atB = (await b!.received.first(1))[0]!;
  const atC = (await c!.received.first(1))[0]!;
  t.is(atB.dict.host_id, a!.hostId);
  t.is(atC.dict.host_id, a!.hostId);
  t.deepEqual([atB.context.hops, atC.context.hops], [1, 2]);
  t.deepEqual([atB.context.id, atC.context.id], [id, id]);
  t.is((atC.dict.client_address as [string, number])[0], '127.0.0.2', 'the address of the last hop');
  t.is(atC.context.verdict, 'signed');
  await c!.emit({ data: 'from C' });
  t.deepEqual(await heardInTheEnd(relays), [['from C'], ['from A', 'from C'], ['from A']]);
});

test('what a client sends at one end of the chain reaches the other end, attested by the first relay', async (t) => {
  const [a, , c] = await startLinked(t, await onAddresses('127.0.0.1', '127.0.0.2', '127.0.0.3'), (index) => [[1], [0, 2], [1]][index]!);
  await a!.call('notify', { data: 'sent', host_id: 'sensor@127.0.0.1:0' });
  const [received] = await c!.received.first(1);
  t.is(received?.dict.host_id, 'sensor@127.0.0.1:0');
  t.is(received?.context.verdict, 'attested');
  t.is(received?.context.hops, 2);
});

const SHAPES = [
  { title: 'a triangle on one address', addresses: () => onOneAddress(3), neighbours: (i: number) => [(i + 1) % 3, (i + 2) % 3] },
  {
    title: 'a ring of four on four addresses',
    addresses: () => onAddresses('127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4'),
    neighbours: (i: number) => [(i + 1) % 4, (i + 3) % 4],
  },
  {
    title: 'four relays that all know each other',
    addresses: () => onOneAddress(4),
    neighbours: (i: number) => [0, 1, 2, 3].filter((other) => other !== i),
  },
];

for (const { title, addresses, neighbours } of SHAPES) {
  test(`${title}: each dict arrives everywhere exactly once, each sender's in order`, async (t) => {
    const relays = await startLinked(t, await addresses(), neighbours);
    const saidBy = (index: number): string[] => Array.from({ length: 5 }, (_, n) => `${index}: ${n}`);
    await Promise.all(
      relays.map(async (relay, index) => {
        for (const data of saidBy(index)) await relay.emit({ data });
      }),
    );
    await Promise.all(relays.map((relay) => relay.received.first(5 * (relays.length - 1))));
    const all = await heardInTheEnd(relays);
    for (const [index, data] of all.entries()) {
      t.is(data.length, 5 * (relays.length - 1), `at relay ${index}`);
      for (const [other] of relays.entries()) {
        const ofOther = data.filter((text) => String(text).startsWith(`${other}: `));
        t.deepEqual(ofOther, other === index ? [] : saidBy(other), `at relay ${index}, of ${other}`);
      }
    }
    for (const relay of relays) {
      const { node, hopLimited } = relay.status().mesh;
      t.true(node!.counters.duplicates > 0, 'there was a second path');
      t.is(hopLimited, 0);
    }
  });
}

test('a dict is sent neither back to the peer that it came from nor to one that it has passed', async (t) => {
  const [from, passed, fresh] = [await scriptedPeer(t), await scriptedPeer(t), await scriptedPeer(t)];
  const relay = await startRelay(t, { peers: [from.url, passed.url, fresh.url] });
  const co2 = { id: 'x.1', hops: 14, age: 7, by: `from@127.0.0.1:${from.port}`, via: [`passed@127.0.0.1:${passed.port}`] };
  const dict = { data: 'through', host_id: `passed@127.0.0.1:${passed.port}`, co2 };
  t.true(await relay.call('notify', dict));
  t.true(await relay.call('notify', dict), 'the second copy is taken, and goes nowhere');
  await relay.emit({ data: 'the end' });
  await Promise.all([from, passed].map(({ notified }) => notified.first(1)));
  const [first, second] = await fresh.notified.first(2);
  t.deepEqual(
    [from, passed].map(({ notified }) => notified.all.map(({ data }) => data)),
    [['the end'], ['the end']],
  );
  t.deepEqual([first?.data, second?.data], ['through', 'the end']);
  t.like(first?.co2, { id: 'x.1', hops: 13, by: relay.hostId });
  t.deepEqual((first?.co2 as { via: string[] }).via, [`passed@127.0.0.1:${passed.port}`, `from@127.0.0.1:${from.port}`]);
  t.true((first?.co2 as { age: number }).age >= 7);
  t.deepEqual(heard(relay), ['through']);
});

test('a dict whose hop limit is used up is delivered and not forwarded', async (t) => {
  const [from, next] = [await scriptedPeer(t), await scriptedPeer(t)];
  const relay = await startRelay(t, { peers: [from.url, next.url] });
  await relay.call('notify', {
    data: 'tired',
    host_id: 'x@127.0.0.1:1',
    co2: { id: 'x.1', hops: 0, age: 0, by: `from@127.0.0.1:${from.port}` },
  });
  await relay.received.first(1);
  await relay.emit({ data: 'the end' });
  const [first] = await next.notified.first(1);
  t.is(first?.data, 'the end');
  t.is(relay.status().mesh.hopLimited, 1);
});

test('a peer may not send in the name of another address', async (t) => {
  const from = await scriptedPeer(t);
  const relay = await startRelay(t, { peers: [from.url] });
  const co2 = { id: 'x.1', hops: 3, age: 0, by: 'other@127.0.0.77:2004' };
  await t.throwsAsync(relay.call('notify', { data: 1, host_id: 'x@127.0.0.1:1', co2 }), { code: 403 } as never);
  t.deepEqual(heard(relay), []);
});

test('forwarding is lossless: scalars keep their text and members their order', async (t) => {
  const peer = await scriptedPeer(t);
  const relay = await startRelay(t, { peers: [peer.url] });
  const members: readonly (readonly [name: string, came: string, goes: string])[] = [
    ['data', '<double>1.0</double>', '<double>1.0</double>'],
    ['plain', 'no type &amp; &lt;b&gt;', '<string>no type &amp; &lt;b&gt;</string>'],
    ['small', '<i4>007</i4>', '<int>007</int>'],
    ['large', '<i8>9223372036854775807</i8>', '<i8>9223372036854775807</i8>'],
    ['fine', '<double>0.1000000000000000055511151231257827</double>', '<double>0.1000000000000000055511151231257827</double>'],
    ['when', '<dateTime.iso8601>20240102T03:04:05+0200</dateTime.iso8601>', '<dateTime.iso8601>20240102T03:04:05+0200</dateTime.iso8601>'],
    ['lines', '<string>a&#13;\nb\tc ]]&gt;</string>', '<string>a&#13;\nb\tc ]]&gt;</string>'],
    ['zebra', '<boolean>1</boolean>', '<boolean>1</boolean>'],
    ['10', '<string>\u{1f40d} \u00e4\u0308 \u05d0</string>', '<string>\u{1f40d} \u00e4\u0308 \u05d0</string>'],
    ['1', '<nil/>', '<nil/>'],
    ['bytes', '<base64>AAEC\n/w==</base64>', '<base64>AAEC/w==</base64>'],
    [
      'inner',
      '<struct> <member><name>b</name><value><double>2.0</double></value></member>\n<member><name>2</name><value>x</value></member><member><name>1</name><value><array><data/></array></value></member></struct>',
      '<struct><member><name>b</name><value><double>2.0</double></value></member><member><name>2</name><value><string>x</string></value></member><member><name>1</name><value><array><data></data></array></value></member></struct>',
    ],
    ['\u00e9t\u00e9', '<string></string>', '<string></string>'],
  ];
  const struct = members.map(([name, came]) => `<member><name>${name}</name><value>${came}</value></member>`).join('\n');
  const body = `<?xml version="1.0"?><methodCall><methodName>notify</methodName><params><param><value><struct>${struct}</struct></value></param></params></methodCall>`;
  const client = new XmlRpcClient(new URL(relay.url));
  t.teardown(() => client.close());
  t.like(await client.post(Buffer.from(body)), { kind: 'value', value: true });
  const [xml] = await peer.bodies.first(1);
  const found = [...members].map(([name]) => xml!.indexOf(`<name>${name}</name>`));
  t.true(found.every((at) => at > 0));
  for (const [name, , goes] of members)
    t.true(xml!.includes(`<member><name>${name}</name><value>${goes}</value></member>`), `${name} in ${xml!}`);
  t.deepEqual(
    found,
    [...found].sort((one, other) => one - other),
    'the order of the members',
  );
});

test('a message can be followed by its id through the logs of two relays', async (t) => {
  const [a, b] = await startLinked(t, await onAddresses('127.0.0.1', '127.0.0.2'), (index) => [1 - index]);
  await a!.call('notify', { data: 1 });
  const [received] = await b!.received.first(1);
  const { id } = received!.context;
  await b!.seen.event('inbox.delivered', { id });
  const story = ({ log }: typeof a & object): string[] =>
    log.lines.all.filter(({ level, text }) => level === 'debug' && text.includes(id)).map(({ text }) => text);
  t.deepEqual(
    story(a!)
      .map((text) => text.split(' ')[0])
      .sort(),
    ['accepted', 'delivered', 'submitted'],
  );
  t.deepEqual(
    story(b!).map((text) => text.split(' ')[0]),
    ['accepted', 'delivered'],
  );
  t.regex(story(b!)[1]!, /to test\.recorder\.Recorder$/);
  t.true(story(a!).some((text) => text.endsWith('to mesh')));
});
