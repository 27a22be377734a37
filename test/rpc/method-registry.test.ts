/** Names are looked up exactly: nothing inherited, private, dotted or alike is ever called. */
import test from 'ava';
import { Dispatcher } from '../../src/rpc/rpc.ts';
import { MethodRegistry } from '../../src/rpc/method-registry.ts';
import type { Method } from '../../src/rpc/method-registry.ts';
import { OwnIds, PeerIds, SeenIds } from '../../src/relay/duplicates.ts';
import { dictOf } from '../../src/values/values.ts';
import { callerOf, makeHeart } from '../relay/heart.ts';
import { rejects } from '../support/relay-error.ts';

const inherited = [Object.prototype, Function.prototype, Map.prototype, Dispatcher.prototype, Array.prototype, Promise.prototype].flatMap(
  (prototype) => Reflect.ownKeys(prototype).filter((key) => typeof key === 'string'),
);
const variants = [
  'Ping',
  'PING',
  ' ping',
  'ping ',
  'ping\n',
  'ping\0',
  'ping.',
  '.ping',
  'web.',
  'web..ping',
  'web/ping',
  'ping()',
  'рing',
  '__proto__.ping',
];
const dotted = [
  'a.b.c',
  'ham.spam',
  'ham.spam.run.call',
  'ham.spam.constructor',
  'ham.spam.__proto__',
  'ham.spam.#run',
  'ham.spam._run',
  'this',
  'relay.registry',
  '#registry',
];
const NAMES = [...new Set([...inherited, ...variants, ...dotted, '', '.', '0', 'x'.repeat(10_000)])];

test(`${NAMES.length} names that nobody registered: no such method, by any way`, async (t) => {
  t.true(NAMES.length > 80);
  const { call } = makeHeart({}, [{}]);
  for (const name of NAMES) {
    const expected = { code: 'NO_SUCH_METHOD' };
    t.like(await t.throwsAsync(call(name, [], callerOf('token')), expected, name), { fault: -32601 });
    await t.throwsAsync(call('method_call', [dictOf([['method_name', name]])]), expected, name);
    for (const about of ['system.methodHelp', 'system.methodSignature', 'co2.get_method_signature']) {
      await t.throwsAsync(call(about, [name]), expected, `${about} ${name}`);
    }
  }
});

test('a name in an error text is clean and cut', async (t) => {
  const error = await rejects(t, makeHeart().call(`\u001b[31m\n${'x'.repeat(10_000)}`), 'NO_SUCH_METHOD');
  t.regex(error.message, /^[\x20-\uffff]{1,250}$/);
});

test('a name that is registered is found under itself and its synonyms, each knowing its own name', (t) => {
  const registry = new MethodRegistry();
  registry.add({ name: 'constructor', access: 'read', help: 'h', signatures: undefined, invoke: () => 1 }, ['__proto__', 'b']);
  t.deepEqual(registry.names(), ['__proto__', 'b', 'constructor']);
  for (const name of registry.names()) t.like(registry.find(name), { name, help: 'h' });
  t.throws(() => registry.find('toString'), { code: 'NO_SUCH_METHOD', message: /^no method is named 'toString'/ });
});

test('a name that is taken is not taken over', (t) => {
  t.throws(() => makeHeart({}, [{}, {}]), { code: 'PLUGIN_REFUSED', message: /ham\.spam\.run twice/ });
  t.throws(() => makeHeart({}, [{ name: 'ping' }]), {
    code: 'PLUGIN_REFUSED',
    message: /exposes ping, which is a method of the relay already/,
  });
});

test('the methods of a plugin replace those that it had, all or none', (t) => {
  const registry = new MethodRegistry();
  const method = (plugin: string, name: string): Method => ({
    name,
    plugin,
    access: 'call',
    help: '',
    signatures: undefined,
    invoke: () => name,
  });
  registry.replace('a', [method('a', 'a.one'), method('a', 'a.two')]);
  registry.replace('b', [method('b', 'b.one')]);
  registry.replace('a', [method('a', 'a.two'), method('a', 'a.three')]);
  t.deepEqual(registry.names(), ['a.three', 'a.two', 'b.one']);
  t.throws(() => registry.replace('a', [method('a', 'a.four'), method('a', 'b.one')]), { code: 'PLUGIN_REFUSED', message: /of b already/ });
  t.deepEqual(registry.names(), ['a.three', 'a.two', 'b.one']);
  registry.replace('a', []);
  t.deepEqual(registry.names(), ['b.one']);
});

test('ids are seen once, and the oldest are forgotten first', (t) => {
  const seen = new SeenIds(3);
  t.deepEqual(
    ['a', 'b', 'a', 'constructor', '__proto__', '__proto__'].map((id) => seen.add(id)),
    [true, true, false, true, true, false],
  );
  // a b constructor | __proto__: what is in the older generation is still known.
  t.false(seen.add('a'));
  for (const id of ['e', 'f', 'g']) t.true(seen.add(id));
  t.true(seen.add('a'), 'forgotten by now');
  t.false(seen.add('f'), 'the last three are always known');
});

test('fifty thousand ids in a row are all known', (t) => {
  const seen = new SeenIds();
  for (let id = 0; id < 50_000; id++) seen.add(String(id));
  for (let id = 0; id < 50_000; id++) if (seen.add(String(id))) t.fail(String(id));
  t.true(seen.add('new'));
  t.false(seen.add('0'));
});

test('ids that this relay made are known by number and host_id, the last ones only', (t) => {
  const own = new OwnIds('abc.', 3);
  const message = (number: number, hostId = 'h') => ({ hostId, id: `abc.${number.toString(36)}` });
  for (let number = 1; number <= 40; number++) own.add(message(number));
  for (const number of [38, 39, 40]) t.true(own.has('h', message(number).id), String(number));
  for (const number of [1, 37, 41, 43]) t.false(own.has('h', message(number).id), String(number));
  t.false(own.has('other', 'abc.14'), 'nobody may claim an id of another host_id');
  for (const id of ['abd.14', '14', 'abc.', 'abc.014', 'abc.14 ', 'abc.+14', 'abc.0', 'abc.-1', 'abc.zzzzzzzzzzzzzzzz'])
    t.false(own.has('h', id), id);
  own.remove({ hostId: 'other', id: 'abc.14' });
  t.true(own.has('h', 'abc.14'));
  own.remove({ hostId: 'h', id: 'abc.14' });
  t.false(own.has('h', 'abc.14'));
  t.true(own.has('h', 'abc.13'));
});

test('ids of other relays are known by host_id, start and number, in any order and spelling', (t) => {
  const seen = new PeerIds();
  const ids = ['abc.1', 'abc.zz', 'abd.2', 'no number', 'abc.01', 'abc.', '.1', 'abc.1.2', 'abc.zzzzzzzzzzzzzzzz', 'abc.Z', '7'];
  const known = (hostId: string, all: readonly string[]): readonly string[] => all.filter((id) => seen.has(hostId, id));
  t.deepEqual(known('h', ids), []);
  for (const [index, id] of ids.entries()) {
    seen.add('h', id);
    t.deepEqual(known('h', ids), ids.slice(0, index + 1));
  }
  t.deepEqual(known('other', ids), [], 'nobody may claim an id of another host_id');
  t.deepEqual(known('h', ['abc.2', 'abc.zy', 'abd.1', 'abe.1', 'abc.0', 'abc.1 ', '1', '8']), []);
  for (const id of ['abc.1', 'no number', '7']) seen.remove('h', id);
  t.deepEqual(
    known('h', ids),
    ids.slice(1).filter((id) => id !== 'no number' && id !== '7'),
  );
});

test('of the ids of other relays, the last fifty thousand are known, however many relays they are of', (t) => {
  for (const relays of [1, 3, 2_000]) {
    const seen = new PeerIds();
    // Twice as many as are kept, and each id after one that is newer.
    const ids = Array.from({ length: 110_000 }, (_, index) => `${index % relays}.${(1 + (Math.floor(index / relays) ^ 1)).toString(36)}`);
    for (const id of ids) {
      if (seen.has('h', id)) t.fail(`${id} is new`);
      seen.add('h', id);
    }
    const forgotten = ids.slice(-50_000).filter((id) => !seen.has('h', id));
    t.deepEqual(forgotten, [], `${relays} relays`);
  }
});

test('a relay whose numbers begin far ahead or come late is known all the same', (t) => {
  const seen = new PeerIds();
  const far = (36 ** 9).toString(36);
  for (const id of ['abc.5', `abc.${far}`, 'abc.6']) {
    t.false(seen.has('h', id));
    seen.add('h', id);
    t.true(seen.has('h', id));
  }
  t.false(seen.has('h', 'abc.7'));
});

test('relays that have been silent for long make room for others', (t) => {
  const seen = new PeerIds();
  for (let relay = 0; relay < 600; relay++) seen.add('h', `${relay}.1`);
  t.true(seen.has('h', '0.1'));
  for (let number = 1; number <= 110_000; number++) seen.add('other', `busy.${number.toString(36)}`);
  t.false(seen.has('h', '0.1'));
  t.true(seen.has('other', `busy.${(110_000).toString(36)}`));
});
