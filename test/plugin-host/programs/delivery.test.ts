/** Message delivery to programs: once and in order, across restarts. Messages that kill a program become dead letters. */
import test from 'ava';
import type { Message } from '../../../src/message/message.ts';
import { DeadLetters } from '../../../src/plugin-host/programs/dead-letters.ts';
import { KeptLetters } from '../../../src/plugin-host/programs/kept-letters.ts';
import { restoreMessage } from '../../../src/relay/relay.ts';
import { MemoryDisk, openStore } from '../../../src/store/store.ts';
import { LogRecord } from '../../support/log-record.ts';
import { messageOf } from '../kit.ts';
import type { Change } from '../kit.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';
import { programOf } from './kit.ts';
import type { ProgramKit } from './kit.ts';

function textMessage(text: string, more: Change = {}): Message {
  const source = `<struct><member><name>data</name><value><string>${text}</string></value></member></struct>`;
  return messageOf(text, { source, ...more });
}

/** Resolves when this many messages were delivered. */
async function delivered(kit: ProgramKit, count: number): Promise<void> {
  await kit.seen.event('inbox.delivered', { satellite: 'ham' }, count);
}

test('messages that arrive while a program starts are queued', async (t) => {
  const kit = programOf(t, 'good');
  const starting = kit.start();
  for (const word of ['one', 'two', 'three']) t.true(kit.deliver(textMessage(word)));
  t.is(kit.plugin.status.satellites[0]?.waiting, 3);
  await starting;
  await delivered(kit, 3);
  t.deepEqual(await kit.call('heard'), ['one', 'two', 'three']);
  t.like(kit.plugin.status.satellites[0], { name: 'ham', state: { type: 'running' }, waiting: 0, delivered: 3, failed: 0 });
});

test('a program without the receive capability gets no messages, and none are queued for it', async (t) => {
  const kit = programOf(t, 'no-receive');
  const starting = kit.start();
  kit.deliver(textMessage('early'));
  await starting;
  t.false(kit.deliver(textMessage('late')));
  t.is(kit.plugin.status.satellites[0]?.waiting, 0);
  t.deepEqual(await kit.call('heard'), []);
});

test('a program receives the sender, its address and the context that a local satellite gets', async (t) => {
  const kit = programOf(t, 'repeats');
  await kit.start();
  kit.deliver(textMessage('one', { id: 'id.1', hostId: 'a@10.0.0.1:2004', clientAddress: ['10.0.0.1', 4711], hopsLeft: 14, ageMs: 250 }));
  await delivered(kit, 1);
  const [xml = ''] = (await kit.call('heard')) as string[];
  t.regex(xml, /<name>data<\/name><value><string>one<\/string>/);
  t.regex(xml, /<name>host_id<\/name><value><string>a@10\.0\.0\.1:2004<\/string>/);
  t.regex(xml, /<name>client_address<\/name><value><array><data><value><string>10\.0\.0\.1<\/string><\/value><value><int>4711<\/int>/);
  t.regex(
    xml,
    /<name>id<\/name><value><string>id\.1<\/string>.*<name>hops<\/name><value><int>2<\/int>.*<name>age_ms<\/name>.*<name>redelivered<\/name><value><boolean>0</,
  );
});

test('a message that kills a program five times becomes a dead letter; the plugin is not blamed, and other messages arrive', async (t) => {
  const kit = programOf(t, 'poison');
  await kit.start();
  for (const word of ['before', 'poison', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 2);
  t.deepEqual(await kit.call('heard'), ['after']);
  t.like(kit.plugin.status, { restarts: 0, state: { type: 'ready' } });
  t.like(kit.plugin.status.satellites[0], { delivered: 2, failed: 1, waiting: 0 });
  t.deepEqual(kit.seen.matching('plugin.state', { state: { type: 'failed' } }), []);
  const [letter, ...others] = kit.programs.deadLetters.list();
  t.like(letter, { satellite: 'ham', deaths: 5, reason: 'it ended with code 9' });
  t.is(others.length, 0);
});

test('a message that cannot be encoded as `send` requires becomes a dead letter without a restart; other messages arrive', async (t) => {
  const kit = programOf(t, 'good', { record: { send: { astral: false } } });
  await kit.start();
  const { pid } = kit.plugin.status;
  for (const word of ['before', 'satellite 🛰', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 2);
  t.deepEqual(await kit.call('heard'), ['before', 'after']);
  t.like(kit.plugin.status, { restarts: 0, pid });
  t.like(kit.plugin.status.satellites[0], { delivered: 2, failed: 1, waiting: 0 });
  const [letter, ...others] = kit.programs.deadLetters.list();
  t.like(letter, { satellite: 'ham', deaths: 0 });
  t.regex(letter?.reason ?? '', /beyond U\+FFFF.*option astral/);
  t.is(others.length, 0);
  t.is(kit.log.matching(/^ham cannot read the message \S+: it is set aside/).length, 1);
});

test('a program that says what it reads gets no message that holds anything else, and does not end at one', async (t) => {
  const kit = programOf(t, 'reads-no-emoji');
  await kit.start();
  const { pid } = kit.plugin.status;
  for (const word of ['before', 'satellite 🛰', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 2);
  t.deepEqual(await kit.call('heard'), ['before', 'after']);
  t.like(kit.plugin.status, { restarts: 0, pid });
  const [letter, ...others] = kit.programs.deadLetters.list();
  t.like(letter, { satellite: 'ham', deaths: 0 });
  t.regex(letter?.reason ?? '', /beyond U\+FFFF/);
  t.is(others.length, 0);
});

test('the dead letter of a program that says nothing about what it reads names what the message holds', async (t) => {
  const kit = programOf(t, 'hates-emoji');
  await kit.start();
  for (const word of ['before', 'satellite 🛰', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 2);
  t.deepEqual(await kit.call('heard'), ['after']);
  const [letter] = kit.programs.deadLetters.list();
  t.like(letter, { satellite: 'ham', deaths: 5 });
  t.regex(
    letter?.reason ?? '',
    /^it ended with code 7; perhaps it cannot read the message \(.*beyond U\+FFFF.*\): see send in programs, and reads in plugin\.describe$/,
  );
});

test('with `astral: "replace"` a program gets U+FFFD for an emoji, and all other text unchanged', async (t) => {
  const kit = programOf(t, 'repeats', { record: { send: { astral: 'replace', charset: 'ascii' } } });
  await kit.start();
  kit.deliver(textMessage('Grüße 🛰'));
  await delivered(kit, 1);
  const [xml = ''] = (await kit.call('heard')) as string[];
  t.regex(xml, /<name>data<\/name><value><string>Gr&#252;&#223;e &#65533;<\/string>/);
  t.deepEqual(kit.programs.deadLetters.list(), []);
});

test('dead letters can be redelivered or dropped', async (t) => {
  const kit = programOf(t, 'good');
  const { deadLetters } = kit.programs;
  const message = textMessage('again');
  deadLetters.add({ satellite: 'ham', message, deaths: 5, reason: 'it ended' });
  await kit.start();
  deadLetters.replay('ham', message.id);
  await delivered(kit, 1);
  t.deepEqual(await kit.call('heard'), ['again']);
  t.deepEqual(deadLetters.list(), []);
  deadLetters.add({ satellite: 'ham', message, deaths: 5, reason: 'it ended' });
  deadLetters.drop('ham', message.id);
  t.deepEqual(deadLetters.list(), []);
  t.throws(
    () => {
      deadLetters.drop('ham', message.id);
    },
    { code: 'INVALID_PARAMS', message: `no message '${message.id}' of ham was set aside` },
  );
  deadLetters.add({ satellite: 'ham', message, deaths: 5, reason: 'it ended' });
  await kit.plugin.stop();
  t.throws(
    () => {
      deadLetters.replay('ham', message.id);
    },
    { code: 'UNAVAILABLE', message: /ham takes no messages now/ },
  );
  t.is(deadLetters.list().length, 1);
});

test('only the newest dead letters are kept: a thousand, or 16 MiB', (t) => {
  const { deadLetters } = programOf(t, 'good').programs;
  const add = (message: Message): void => {
    deadLetters.add({ satellite: 'ham', message, deaths: 5, reason: 'it ended' });
  };
  for (let count = 0; count < 1_001; count++) add(messageOf(null, { id: `id.${count}` }));
  t.is(deadLetters.list().length, 1_000);
  t.is(deadLetters.list()[0]?.id, 'id.1');
  for (const id of ['large.1', 'large.2', 'large.3']) add(messageOf(null, { id, source: 'x'.repeat(7 * 1024 * 1024) }));
  t.deepEqual(
    deadLetters.list().map(({ id }) => id),
    ['large.2', 'large.3'],
  );
});

test('a message that makes a program hang times out, and the next one is delivered', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'hangs-at-poison', { clock, receiveTimeoutMs: 60_000 });
  await kit.start();
  for (const word of ['poison', 'after']) kit.deliver(textMessage(word));
  clock.advance(60_000);
  await kit.seen.event('inbox.failed', { satellite: 'ham', reason: /^notify was not answered in 60000 ms/ });
  await delivered(kit, 1);
  t.deepEqual(await kit.call('heard'), ['after']);
  t.like(kit.plugin.status.satellites[0], { delivered: 1, failed: 1 });
});

test('a message that makes a program hang until it is killed is redelivered, and becomes a dead letter after five times', async (t) => {
  const clock = new VirtualClock();
  const kit = programOf(t, 'hangs-at-poison', { clock, record: { callTimeoutMs: 1_000, maxTimeouts: 1 } });
  await kit.start();
  kit.deliver(textMessage('poison'));
  for (let deaths = 1; deaths <= 5; deaths++) {
    // The program is not pinged while it works on the message, so it has to miss another call.
    const call = t.throwsAsync(kit.call('hang'), { code: 'TIMEOUT' });
    clock.advance(1_000);
    await call;
    await kit.until('backoff', deaths);
    t.like(kit.plugin.status.satellites[0], deaths < 5 ? { failed: 0, waiting: 1 } : { failed: 1, waiting: 0 });
    clock.advance(1);
    await kit.until('ready', deaths + 1);
  }
  t.like(kit.programs.deadLetters.list(), [{ satellite: 'ham', deaths: 5 }]);
  t.like(kit.seen.matching('inbox.dead-letter'), [{ plugin: 'ham', satellite: 'ham', deaths: 5 }]);
  t.is(kit.log.matching(/^ham ended 5 times at the message .*: it is set aside \(plugin\.dead_letters\)$/).length, 1);
});

test('a message at which a program closes its connections is redelivered, however long the program takes to end', async (t) => {
  const kit = programOf(t, 'ends-late-at-poison');
  await kit.start();
  for (const word of ['before', 'poison', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 3);
  t.deepEqual(await kit.call('heard'), ['poison', 'after']);
  t.like(kit.plugin.status.satellites[0], { delivered: 3, failed: 0, waiting: 0 });
});

test('a message at which a program that goes on resets the connection has failed, and the next one is delivered', async (t) => {
  const kit = programOf(t, 'resets-at-poison');
  await kit.start();
  const { pid } = kit.plugin.status;
  for (const word of ['before', 'poison', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 2);
  t.deepEqual(await kit.call('heard'), ['before', 'after']);
  t.like(kit.plugin.status, { restarts: 0, pid });
  t.like(kit.plugin.status.satellites[0], { delivered: 2, failed: 1, waiting: 0 });
});

test('a fault for one message does not affect the others', async (t) => {
  const kit = programOf(t, 'faults-at-poison');
  await kit.start();
  for (const word of ['poison', 'after']) kit.deliver(textMessage(word));
  await delivered(kit, 1);
  t.deepEqual(await kit.call('heard'), ['after']);
  t.is(kit.seen.matching('inbox.failed', { reason: /not that one/ }).length, 1);
  t.is(kit.log.matching(/^delivery of test\.\d+ to ham failed: .*not that one/).length, 1);
});

test('dead letters survive the end of the relay with their message, age and order, and are forgotten when they are dropped', async (t) => {
  const disk = new MemoryDisk();
  let base = 1_000_000;
  const run = async (startedAt: number) => {
    const clock = new VirtualClock(startedAt);
    const store = await openStore({ disk, options: { minFreeBytes: 0, minFreePercent: 0 }, clock, report: () => undefined });
    const log = new LogRecord();
    const kept = new KeptLetters({ store, restore: restoreMessage, date: () => base + clock.now() }, clock, log.source('plugin-host'));
    const delivered: Message[] = [];
    const letters = new DeadLetters(clock, (_, message) => delivered.push(message) > 0, kept);
    await letters.load();
    return { letters, delivered, clock, store, log };
  };
  const first = await run(500);
  const messages = ['one', 'two', 'drei 🛰'].map((text, index) => ({ ...textMessage(text, { id: `z.${9 - index}` }), arrivedAt: 500 }));
  for (const message of messages) {
    first.letters.add({ satellite: 'ham', message, deaths: 5, reason: 'signal SIGSEGV' });
    first.clock.advance(10);
  }
  first.letters.drop('ham', messages[1]?.id ?? '');
  await first.store.write([]);
  disk.crash();

  base += 60_000;
  const second = await run(7);
  t.deepEqual(
    second.letters.list().map(({ id, satellite, deaths, reason }) => ({ id, satellite, deaths, reason })),
    [0, 2].map((index) => ({ id: messages[index]?.id, satellite: 'ham', deaths: 5, reason: 'signal SIGSEGV' })),
  );
  const [oldest, newest] = second.letters.list();
  t.deepEqual(oldest?.message.payload, messages[0]?.payload);
  t.is(newest?.message.frozen().dict.data, 'drei 🛰');
  t.is(second.clock.now() - (oldest?.at ?? 0), 59_507);
  second.letters.replay('ham', messages[2]?.id ?? '');
  t.deepEqual(second.delivered[0]?.payload, messages[2]?.payload);
  await second.store.write([]);
  disk.crash();
  const third = await run(9);
  t.deepEqual(
    third.letters.list().map(({ id }) => id),
    [messages[0]?.id],
  );
  t.deepEqual(third.log.lines.all, []);
});
