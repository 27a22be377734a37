/** Incoming messages: a dict sent by notify reaches every satellite, even if others fail, hang or forge. */
import test from 'ava';
import { RemoteFault } from '../../src/client/client.ts';
import { Gate } from '../support/gate.ts';
import { pluginsDir, startRelay } from '../support/relays.ts';

/** A satellite that pushes what it receives into the gate of its configuration. */
const ear = (more = ''): string => `import { Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Ear extends Plugin {
  private gate: any;
  setup(config: any) { this.gate = config.gate; }
  receive(dict: any): any { ${more} this.gate.push(dict); }
}
`;

test('notify reaches every satellite: host_id and client_address are set, other members are unchanged', async (t) => {
  const directory = pluginsDir(t, { 'ham/one.ts': ear(), 'ham/two.ts': ear(), 'eggs/three.ts': ear() });
  const names = ['eggs.three', 'ham.one', 'ham.two'];
  const gates = Object.fromEntries(names.map((name) => [name, new Gate<Record<string, unknown>>()]));
  const plugins = Object.fromEntries(names.map((name) => [name, { gate: gates[name] }]));
  const relay = await startRelay(t, { pluginsDir: directory, plugins });
  t.true(await relay.call('notify', { data: [1, 'two'], mood: 'fine', nested: { list: [true] } }));
  for (const name of names) {
    const [dict] = await gates[name]!.first(1);
    t.regex(String(dict?.host_id), /^[0-9a-f]+@127\.0\.0\.1:0$/);
    const [address, port] = dict?.client_address as [string, number];
    t.is(address, '127.0.0.1');
    t.true(Number.isInteger(port) && port > 0);
    t.deepEqual(Object.keys(dict ?? {}).sort(), ['client_address', 'data', 'host_id', 'mood', 'nested']);
    t.deepEqual(JSON.parse(JSON.stringify([dict?.data, dict?.mood, dict?.nested])), [[1, 'two'], 'fine', { list: [true] }]);
  }
});

test('the host_id of a client is kept, and only its address is verified', async (t) => {
  const relay = await startRelay(t);
  await relay.call('notify', { data: 1, host_id: 'sensor7@127.0.0.1:9' });
  const [received] = await relay.received.first(1);
  t.is(received?.dict.host_id, 'sensor7@127.0.0.1:9');
  t.is(received?.context.verdict, 'checked');
  t.is(received?.context.hops, 0);
});

test('the caller gets true even if a recipient never returns, one throws and one tries to modify the dict', async (t) => {
  const sources = {
    'bad/hangs.ts': ear('return new Promise(() => {});'),
    'bad/throws.ts': ear(`throw new Error('never mind');`),
    'bad/writes.ts': ear(`try { dict.data.list.push(1); } catch (error) { this.log('refused', error.name); } dict.host_id = 'me';`),
    'good/ear.ts': ear(),
  };
  const gate = new Gate<{ data: unknown }>();
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, sources), plugins: { 'good.ear': { gate } } });
  for (let n = 0; n < 5; n++) t.true(await relay.call('notify', { data: { n, list: [] } }));
  const dicts = await gate.first(5);
  t.deepEqual(
    JSON.parse(JSON.stringify(dicts.map(({ data }) => data))),
    [0, 1, 2, 3, 4].map((n) => ({ n, list: [] })),
  );
  await relay.seen.event('inbox.failed', { plugin: 'bad.throws', reason: /never mind \(bad\/throws\.ts:6:\d+\)/ }, 5);
  // Without a gate of its own it fails after that.
  await relay.seen.event('inbox.failed', { plugin: 'bad.writes' }, 5);
  t.is(relay.log.matching(/^refused TypeError$/).length, 5);
});

test('a forged host_id is rejected with fault 403, counted, logged and not delivered', async (t) => {
  const relay = await startRelay(t);
  for (const host_id of ['x@10.1.2.3:2004', 'x@[::1]:2004', 'x@0.0.0.0:1', 'nobody', 7]) {
    const error = await t.throwsAsync(relay.call('notify', { data: 'forged', host_id }), { instanceOf: RemoteFault });
    t.is(error.code, 403, String(host_id));
  }
  await relay.call('notify', { data: 'honest' });
  const [first] = await relay.received.first(1);
  t.is(first?.dict.data, 'honest');
  t.is(relay.status().relay.originRefused, 5);
  const logged = relay.log.lines.all.filter(({ text }) => text.startsWith('refused a dict from '));
  t.is(logged.filter(({ level }) => level === 'debug').length, 5);
  t.true(logged.some(({ level }) => level === 'warn'));
});

test('a dict without data is rejected, and an inherited name does not count as a member', async (t) => {
  const relay = await startRelay(t);
  for (const dict of [{}, { dat: 1 }, new Map([['__proto__', { data: 1 }]])]) {
    const error = await t.throwsAsync(relay.call('notify', dict), { instanceOf: RemoteFault });
    t.is(error.code, -32602);
    t.regex(error.message, /'data'/);
  }
});

test('a stamp from a client that is not a peer is removed, so it cannot suppress another dict', async (t) => {
  const relay = await startRelay(t);
  const co2 = { id: 'same', hops: 3, age: 0, by: 'x@127.0.0.1:1' };
  await relay.call('notify', { data: 'one', co2 });
  await relay.call('notify', { data: 'two', co2 });
  const received = await relay.received.first(2);
  t.deepEqual(
    received.map(({ dict }) => [dict.data, 'co2' in dict]),
    [
      ['one', false],
      ['two', false],
    ],
  );
  t.true(received.every(({ context }) => context.id !== 'same' && context.hops === 0));
});
