/** The plugin.* methods as a caller meets them: what they take, whom they refuse, and dead letters. */
import test from 'ava';
import { addPluginMethods } from '../../src/relay/relay.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import type { PluginStatus } from '../../src/plugin-host/plugin-host.ts';
import { DeadLetters } from '../../src/plugin-host/programs/dead-letters.ts';
import { messageOf } from '../plugin-host/kit.ts';
import { callerOf, makeHeart, received } from './heart.ts';

const PLUGIN = {
  name: 'ham.spam',
  kind: 'program',
  state: { type: 'failed', reason: 'no bread' },
  file: 'ham',
  restarts: 3,
  satellites: [],
} as PluginStatus;

function kit() {
  const heart = makeHeart();
  const did: unknown[] = [];
  const delivered: string[] = [];
  const does = (what: string) => (of: unknown) => {
    did.push([what, of]);
    return Promise.resolve();
  };
  const deadLetters = new DeadLetters({ now: () => 400 }, (satellite, { id }) => {
    delivered.push(`${satellite} ${id}`);
    return satellite !== 'deaf';
  });
  addPluginMethods(heart.dispatcher.registry, {
    host: {
      status: () => ({ plugins: [PLUGIN], satellites: [], problems: [], keptMessages: [], kept: { versions: 0, bytes: 0 } }),
      work: () => new Map(),
      rescan: () => Promise.resolve(),
      ...{ startPlugin: does('start'), stopPlugin: does('stop'), restartPlugin: does('restart'), reloadPlugin: does('reload') },
      addProgram: async (record) => {
        await does('add')(record);
        return 'ham.spam';
      },
      removeProgram: does('remove'),
      deadLetters,
    },
    events: { after: () => Promise.resolve({ events: [], next: 0, missed: false }) },
    logs: { lines: () => [], recent: async () => [] },
    clock: { now: () => 1_000 },
  });
  const admin = callerOf('token');
  const call = (name: string, ...params: Value[]): Promise<Sendable> => heart.call(name, params, admin);
  const refused = async (name: string, ...params: Value[]): Promise<string> => {
    const error = await call(name, ...params).then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    return error?.message ?? 'it was taken';
  };
  return { ...heart, did, delivered, deadLetters, call, refused };
}

test('each does its work and answers how the plugin is then', async (t) => {
  const { call, did } = kit();
  for (const word of ['start', 'stop', 'restart', 'reload', 'unload'])
    t.like(await call(`plugin.${word}`, 'ham.spam'), { name: 'ham.spam', state: 'failed', reason: 'no bread', restarts: 3, file: 'ham' });
  t.deepEqual(did, [
    ['start', 'ham.spam'],
    ['stop', 'ham.spam'],
    ['restart', 'ham.spam'],
    ['reload', 'ham.spam'],
    ['stop', 'ham.spam'],
  ]);
  t.true(await call('plugin.remove', 'ham.spam'));
  t.is(((await call('plugin.list')) as unknown[]).length, 1);
  t.is(((await call('plugin.load')) as unknown[]).length, 1);
});

test('all of them need the right admin', async (t) => {
  const { dispatcher, call } = kit();
  const names = dispatcher.registry.names().filter((name) => name.startsWith('plugin.'));
  t.is(names.length, 15);
  for (const kind of ['anonymous', 'local', 'peer', 'satellite', 'plugin'] as const)
    for (const name of names)
      await t.throwsAsync(dispatcher.call(name, ['ham.spam'], callerOf(kind)), { code: 'FORBIDDEN' }, `${name} by ${kind}`);
  t.truthy(await call('plugin.list'));
});

test('invalid parameters are explained', async (t) => {
  const { refused } = kit();
  t.is(await refused('plugin.info', 'ham.spam', 1), 'plugin.info takes the name of a plugin; plugin.list lists them');
  t.is(await refused('plugin.stop'), 'plugin.stop takes the name of a plugin; plugin.list lists them');
  t.is(await refused('plugin.info', 'ham.spam\u0000'), 'there is no plugin \'ham.spam�\'; did you mean "ham.spam"?');
  t.is(
    await refused('plugin.subscribe_state', -1),
    'plugin.subscribe_state: since: found -1, expected a whole number from 0 to 2147483647',
  );
  t.is(
    await refused('plugin.subscribe_state', 0, 60_001),
    'plugin.subscribe_state: timeout_ms: found 60001, expected a whole number from 0 to 60000',
  );
  t.is(await refused('plugin.subscribe_state', 0, 1, 2), 'plugin.subscribe_state takes at most 2 parameters');
  t.is(await refused('plugin.log', 'ham.spam', 501), 'plugin.log: lines: found 501, expected a whole number from 0 to 500');
  t.is(await refused('plugin.log', 'no.one'), "there is no plugin 'no.one'; known: ham.spam");
  t.is(await refused('plugin.add', 'ham'), 'plugin.add takes one struct');
});

test('a record is passed on as plain data, and values that JSON cannot represent are rejected with their path', async (t) => {
  const { call, did, refused } = kit();
  await call('plugin.add', received({ name: 'ham', args: ['a'], config: received({ deep: [1, 2.5, null, true] }) }));
  t.deepEqual(did, [['add', { name: 'ham', args: ['a'], config: { deep: [1, 2.5, null, true] } }]]);
  t.is(
    await refused('plugin.add', received({ config: received({ list: [1, Buffer.from('x')] }) })),
    'plugin.add: the record.config.list[1]: found bytes, expected a value that JSON can represent',
  );
});

test('dead letters are listed without their contents, delivered again, and dropped', async (t) => {
  const { call, refused, deadLetters, delivered } = kit();
  const [one, two] = [messageOf('secret', { id: 'one' }), messageOf('secret', { id: 'two' })];
  deadLetters.add({ satellite: 'ham', message: one, deaths: 5, reason: 'signal SIGSEGV' });
  deadLetters.add({ satellite: 'eggs', message: two, deaths: 5, reason: 'exit 1' });
  deadLetters.add({ satellite: 'deaf', message: two, deaths: 5, reason: 'exit 1' });
  const letter = { id: 'one', plugin: 'ham', host_id: 'x@127.0.0.1:1', deaths: 5, reason: 'signal SIGSEGV', age_ms: 600, bytes: 23 };
  t.deepEqual(await call('plugin.dead_letters', 'ham'), [letter]);
  t.is(((await call('plugin.dead_letters')) as unknown[]).length, 3);
  t.is(await refused('plugin.replay', 'two'), 'plugin.replay: several plugins have a dead letter with this id (eggs, deaf): name one');
  t.is(await refused('plugin.replay', 'two', 'deaf'), 'deaf takes no messages now; start it first');
  t.true(await call('plugin.replay', 'two', 'eggs'));
  t.true(await call('plugin.drop_letter', 'two'));
  t.true(await call('plugin.replay', 'one'));
  t.deepEqual(delivered, ['deaf two', 'eggs two', 'ham one']);
  t.is(await refused('plugin.drop_letter', 'one'), "there is no dead letter 'one'; plugin.dead_letters lists them");
  t.deepEqual(await call('plugin.dead_letters'), []);
});
