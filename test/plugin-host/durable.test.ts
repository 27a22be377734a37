/** Durable satellites on real processes: whatever is killed, each acknowledged message is delivered, in order, and said to be repeated. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { systemClock } from '../../src/core/core.ts';
import type { RelayEnvironment } from '../../src/create-relay.ts';
import { EventStream } from '../../src/events/events.ts';
import type { Message } from '../../src/message/message.ts';
import { DurableMessages } from '../../src/plugin-host/durable/durable.ts';
import { pluginHostDefaults } from '../../src/plugin-host/plugin-host.ts';
import type { HostEvent } from '../../src/plugin-host/plugin-host.ts';
import { restoreMessage } from '../../src/relay/relay.ts';
import { MemoryDisk, openStore } from '../../src/store/store.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { Gate } from '../support/gate.ts';
import { LogRecord } from '../support/log-record.ts';
import { startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

/** Writes what it receives to the file that its configuration names: `[data, redelivered, version]`, one a line. */
const ledger = (options: string, version = 1): string => `
  import { appendFileSync } from 'node:fs';
  import { Exposed, Plugin, Satellite } from 'co2-relay';
  @Satellite({ ${options} })
  export class Ledger extends Plugin {
    #file = '';
    #release = () => undefined;
    setup({ file }) { this.#file = file; }
    async receive({ data }, { redelivered }) {
      appendFileSync(this.#file, JSON.stringify([data, redelivered, ${version}]) + '\\n');
      if (data === 'poison') process.kill(process.pid, 'SIGKILL');
      if (data === 'wait' && !redelivered) await new Promise((resolve) => (this.#release = resolve));
    }
    @Exposed() release() { this.#release(); return process.pid; }
  }`;

interface Line {
  readonly data: unknown;
  readonly redelivered: boolean;
  readonly version: number;
}

function linesOf(file: string): readonly Line[] {
  const text = readFileSync(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [data, redelivered, version] = JSON.parse(line) as [unknown, boolean, number];
      return { data, redelivered, version };
    });
}

/** The lines of the file once `is` holds for them; ava's time limit ends the wait. */
async function lines(file: string, is: (lines: readonly Line[]) => boolean): Promise<readonly Line[]> {
  // The process that writes it is another one, which is killed: nothing but the file tells what it received.
  for (;;) {
    const found = linesOf(file);
    if (is(found)) return found;
    await sleep(5);
  }
}

const datas = (found: readonly Line[]): readonly unknown[] => found.map(({ data }) => data);

/** A directory of a relay with the plugin `ham.ledger`. */
function project(t: ExecutionContext, options: string, config: Config = {}): { readonly cwd: string; readonly file: string } {
  const cwd = pluginsDir(t, { 'plugins/ham/ledger.ts': ledger(options), 'received.txt': '' });
  const file = join(cwd, 'received.txt');
  writeFileSync(join(cwd, 'config.ts'), `export default ${JSON.stringify({ ...config, plugins: { 'ham.ledger': { file } } })};`);
  return { cwd, file };
}

/** Calls a method of a relay with its admin token. */
async function asAdmin(t: ExecutionContext, { url, cwd }: RelayProcess, method: string, ...params: Sendable[]): Promise<Value> {
  const token = readFileSync(join(cwd, '.co2/admin.token'), 'utf8').trim();
  const client = new XmlRpcClient(new URL(url), { token });
  t.teardown(() => client.close());
  return client.call(method, params);
}

async function kill(relay: RelayProcess): Promise<void> {
  relay.kill('SIGKILL');
  await relay.exit;
}

for (const isolation of ['inline', 'child']) {
  test.serial(`${isolation}: what was acknowledged is delivered after kill -9 of the relay, in order`, async (t) => {
    const { cwd, file } = project(t, `durable: true, isolation: '${isolation}'`);
    const first = await startCo2(t, { cwd });
    for (const data of ['a', 'wait', 'c', 'd']) t.true(await first.call('notify', { data }));
    await lines(file, (found) => found.some(({ data }) => data === 'wait'));
    await kill(first);
    const second = await startCo2(t, { cwd });
    t.true(await second.call('notify', { data: 'e' }));
    const found = await lines(file, (all) => all.some(({ data }) => data === 'e'));
    t.deepEqual(datas(found), ['a', 'wait', 'wait', 'c', 'd', 'e']);
    t.deepEqual(
      found.map(({ redelivered }) => redelivered),
      [false, false, true, false, false, false],
    );
  });

  test.serial(`${isolation}: no acknowledged message of many is lost when the relay is killed among them`, async (t) => {
    const { cwd, file } = project(t, `durable: true, isolation: '${isolation}'`);
    const first = await startCo2(t, { cwd });
    const acknowledged: number[] = [];
    const send = async (from: number): Promise<void> => {
      for (let data = from; data < from + 1_000; data++) {
        await first.call('notify', { data });
        acknowledged.push(data);
        if (acknowledged.length === 150) first.kill('SIGKILL');
      }
    };
    await Promise.allSettled([0, 1_000, 2_000, 3_000].map(send));
    await first.exit;
    t.true(acknowledged.length >= 150);
    await startCo2(t, { cwd });
    const found = await lines(file, (all) => acknowledged.every((data) => all.some((one) => one.data === data)));
    const again = found.filter(({ data }, index) => found.findIndex((one) => one.data === data) < index);
    t.true(
      again.every(({ redelivered }) => redelivered),
      'what comes twice says so',
    );
    // Each sender waited for its answers, so its messages are in order, if the repeated ones are not counted.
    for (const from of [0, 1_000, 2_000, 3_000]) {
      const own = [...new Set(datas(found) as number[])].filter((data) => data >= from && data < from + 1_000);
      t.deepEqual(
        own,
        [...own].sort((a, b) => a - b),
      );
    }
  });
}

test.serial('what arrives while a plugin is stopped is kept, also over kill -9 of the relay', async (t) => {
  const { cwd, file } = project(t, 'durable: true');
  const first = await startCo2(t, { cwd });
  await asAdmin(t, first, 'plugin.stop', 'ham.ledger');
  for (const data of [1, 2, 3]) await first.call('notify', { data });
  const [listed] = (await asAdmin(t, first, 'plugin.list')) as unknown as readonly { waiting: number }[];
  t.is(listed?.waiting, 3);
  await kill(first);
  await startCo2(t, { cwd });
  const found = await lines(file, ({ length }) => length === 3);
  t.deepEqual(
    found.map(({ data, redelivered }) => [data, redelivered]),
    [
      [1, false],
      [2, false],
      [3, false],
    ],
  );
});

test.serial('a child that is killed gets its message again, marked, and those after it once', async (t) => {
  const { cwd, file } = project(t, "durable: true, isolation: 'child'");
  const relay = await startCo2(t, { cwd });
  const pid = (await relay.call('ham.ledger.release')) as number;
  for (const data of ['wait', 'b']) await relay.call('notify', { data });
  await lines(file, ({ length }) => length === 1);
  process.kill(pid, 'SIGKILL');
  const found = await lines(file, ({ length }) => length === 3);
  t.deepEqual(
    found.map(({ data, redelivered }) => [data, redelivered]),
    [
      ['wait', false],
      ['wait', true],
      ['b', false],
    ],
  );
});

test.serial('a program in any language is durable if it says so', async (t) => {
  const cwd = pluginsDir(t, { 'received.txt': '' });
  const file = join(cwd, 'received.txt');
  writeFileSync(join(cwd, 'ham.mjs'), programSource(file));
  writeFileSync(
    join(cwd, 'config.ts'),
    `export default { programs: [{ name: 'ham', exec: process.execPath, args: [${JSON.stringify(join(cwd, 'ham.mjs'))}] }] };`,
  );
  const first = await startCo2(t, { cwd });
  for (const data of ['a', 'wait', 'c']) await first.call('notify', { data });
  await lines(file, ({ length }) => length === 2);
  await kill(first);
  await startCo2(t, { cwd });
  const found = await lines(file, ({ length }) => length === 4);
  t.deepEqual(
    found.map(({ data, redelivered }) => [data, redelivered]),
    [
      ['a', false],
      ['wait', false],
      ['wait', true],
      ['c', false],
    ],
  );
});

/** A program with a server that says that it is durable, and writes what it receives to a file. */
function programSource(file: string): string {
  return `
    import { appendFileSync } from 'node:fs';
    import { createServer } from 'node:http';
    const { CO2_PLUGIN_TOKEN: token } = process.env;
    const answer = (value) => '<?xml version="1.0"?><methodResponse><params><param><value>' + value + '</value></param></params></methodResponse>';
    const durable = '<struct><member><name>durable</name><value><boolean>1</boolean></value></member><member><name>capabilities</name><value><array><data><value><string>receive</string></value></data></array></value></member></struct>';
    createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        const method = /<methodName>(.*?)</.exec(body)[1];
        if (method === 'notify') {
          const data = /<name>data<.name><value><string>(.*?)</.exec(body)[1];
          const redelivered = /<name>redelivered<.name><value><boolean>1</.test(body);
          appendFileSync(${JSON.stringify(file)}, JSON.stringify([data, redelivered, 1]) + '\\n');
          if (data === 'wait' && !redelivered) return;
        }
        if (method === 'plugin.stop') setTimeout(() => process.exit(), 20);
        const value = method === 'plugin.describe' ? durable : method === 'plugin.get_version' ? '<struct></struct>' : '<boolean>1</boolean>';
        response.setHeader('content-type', 'text/xml').end(answer(value));
      });
    }).listen(0, '127.0.0.1', function () { console.log('co2|1|http|127.0.0.1:' + this.address().port + '|/' + token); });`;
}

test.serial('a message at which the relay ends five times becomes a dead letter', async (t) => {
  const { cwd, file } = project(t, 'durable: true');
  const first = await startCo2(t, { cwd });
  await first.call('notify', { data: 'poison' });
  await first.call('notify', { data: 'after' }).catch(() => undefined);
  await first.exit;
  for (let crash = 2; crash <= 5; crash++) {
    const next = await startCo2(t, { cwd }).catch(() => undefined);
    await next?.exit;
  }
  const last = await startCo2(t, { cwd });
  t.deepEqual(datas(linesOf(file)).filter((data) => data === 'poison').length, 5);
  const letters = (await asAdmin(t, last, 'plugin.dead_letters')) as unknown as readonly {
    plugin: string;
    deaths: number;
    reason: string;
  }[];
  t.like(letters, [{ plugin: 'ham.ledger.Ledger', deaths: 5, reason: 'the relay ended during its delivery' }]);
  await last.call('notify', { data: 'end' });
  const found = await lines(file, (all) => all.some(({ data }) => data === 'end'));
  t.true(found.filter(({ data }) => data === 'poison').length === 5);
});

interface InProcess {
  readonly relay: TestRelay;
  readonly file: string;
  readonly plugins: string;
  readonly config: Config;
}

/** A relay in this process with `ham.ledger`. */
async function relayWith(t: ExecutionContext, options: string, config: Config = {}, env: RelayEnvironment = {}): Promise<InProcess> {
  const plugins = pluginsDir(t, { 'ham/ledger.ts': ledger(options) });
  const file = join(temporaryDir(t), 'received.txt');
  writeFileSync(file, '');
  const all: Config = {
    ...{ pluginsDir: plugins, dataDir: join(temporaryDir(t), 'state'), watch: false, plugins: { 'ham.ledger': { file } } },
    ...config,
  };
  return { relay: await startRelay(t, all, env), file, plugins, config: all };
}

const refusal = (relay: TestRelay, dict: Sendable) =>
  relay.call('notify', dict).then(
    () => undefined,
    (error: unknown) => error as { code: number; message: string },
  );

test('a new version of the plugin file takes over what waits', async (t) => {
  const { relay, file, plugins } = await relayWith(t, 'durable: true');
  for (const data of ['a', 'wait', 'c', 'd']) await relay.call('notify', { data });
  await lines(file, ({ length }) => length === 2);
  writeFileSync(join(plugins, 'ham/ledger.ts'), ledger('durable: true', 2));
  const reloading = relay.callDirectly('plugin.reload', 'ham.ledger');
  await relay.seen.event('inbox.paused');
  await relay.call('notify', { data: 'e' });
  await relay.call('ham.ledger.release');
  await reloading;
  const found = await lines(file, (all) => all.some(({ data }) => data === 'e'));
  t.deepEqual(
    found.map(({ data, version, redelivered }) => [data, version, redelivered]),
    [
      ['a', 1, false],
      ['wait', 1, false],
      ['c', 2, false],
      ['d', 2, false],
      ['e', 2, false],
    ],
  );
});

test('a full quota refuses before it acknowledges, with an event, until the satellite has received some', async (t) => {
  const quota = { maxMessages: 3, maxBytes: 1_000_000, keepMs: 1_000 };
  const { relay, file } = await relayWith(t, 'durable: true', { durableInbox: quota });
  await relay.callDirectly('plugin.stop', 'ham.ledger');
  for (const data of [1, 2, 3]) await relay.call('notify', { data });
  for (const data of [4, 5]) {
    const error = await refusal(relay, { data });
    t.is(error?.code, 503);
    t.regex(error?.message ?? '', /^3 messages \(\d+ bytes\) are stored for ham\.ledger\.Ledger/);
  }
  t.is(relay.seen.matching('inbox.full').length, 1);
  t.true(await relay.call('notify', { data: 'volatile', co2: { durable: false } }), 'what need not be stored is accepted');
  await relay.callDirectly('plugin.start', 'ham.ledger');
  await lines(file, ({ length }) => length === 3);
  while ((await refusal(relay, { data: 6 })) !== undefined);
  t.deepEqual(datas(await lines(file, ({ length }) => length >= 4)).slice(0, 4), [1, 2, 3, 6]);
});

test('while the disk is nearly full, what would have to be stored is refused, and nothing else', async (t) => {
  const store = { minFreeBytes: Number.MAX_SAFE_INTEGER, minFreePercent: 0 };
  const { relay, file } = await relayWith(t, 'durable: true', { store });
  await relay.seen.event('store.state', { state: { type: 'disk-low' } });
  const error = await refusal(relay, { data: 'durable' });
  t.is(error?.code, 522);
  t.true(await relay.call('notify', { data: 'volatile', co2: { durable: false } }));
  t.deepEqual(datas(await lines(file, ({ length }) => length === 1)), ['volatile']);
  const { relay: other } = await relayWith(t, '', { store });
  t.true(await other.call('notify', { data: 'no durable satellite wants it' }));
});

test('what waits for a plugin that was removed is kept for a week, then dropped', async (t) => {
  let now = Date.now();
  const environment = { date: () => now };
  const { relay, file, plugins, config } = await relayWith(t, 'durable: true', {}, environment);
  await relay.callDirectly('plugin.stop', 'ham.ledger');
  await relay.call('notify', { data: 'kept' });
  rmSync(join(plugins, 'ham/ledger.ts'));
  await relay.callDirectly('plugin.load');
  await relay.seen.event('plugin.version', { change: 'unloaded' });
  await relay.call('notify', { data: 'also kept' });
  t.like(relay.status().plugins.keptMessages, [{ satellite: 'ham.ledger.Ledger', waiting: 2, dropInMs: 7 * 86_400_000 }]);
  await relay.stop();

  writeFileSync(join(plugins, 'ham/ledger.ts'), ledger('durable: true'));
  now += 6 * 86_400_000;
  const returned = await startRelay(t, config, environment);
  t.deepEqual(datas(await lines(file, ({ length }) => length === 2)), ['kept', 'also kept']);
  t.deepEqual(returned.status().plugins.keptMessages, []);
  rmSync(join(plugins, 'ham/ledger.ts'));
  await returned.stop();

  const without = await startRelay(t, { ...config, plugins: {} }, environment);
  await without.call('notify', { data: 'dropped' });
  await without.stop();
  now += 8 * 86_400_000;
  const later = await startRelay(t, { ...config, plugins: {} }, environment);
  t.like(await later.seen.event('inbox.dropped'), { satellite: 'ham.ledger.Ledger', count: 1 });
  t.deepEqual(later.status().plugins.keptMessages, []);
});

test('each message is stored once, read from the disk in order, and forgotten when the slowest satellite has it', async (t) => {
  const disk = new MemoryDisk();
  const { store, messages } = await durableOn(t, disk);
  const [fast, slow] = ['fast', 'slow'].map((name) => receiver(messages, name));
  const count = 1_000;
  await Promise.all(
    Array.from(
      { length: count },
      (_one, index) => messages.keep(message(`m${index}`), undefined) ?? Promise.reject(new Error('nobody wants it')),
    ),
  );
  fast?.run();
  await fast?.received.until((id) => id === `m${count - 1}`);
  t.deepEqual(store.range('durable-messages'), { first: 1, next: count + 1 }, 'the slow one still needs them');
  slow?.run();
  await slow?.received.until((id) => id === `m${count - 1}`);
  const all = Array.from({ length: count }, (_one, index) => `m${index}`);
  t.deepEqual(fast?.received.all, all);
  t.deepEqual(slow?.received.all, all);
  while (store.range('durable-messages').first < count - 256) await nextTurn();
  t.is(messages.queue('slow').status(0).bytes, 0);
  await messages.close();
  t.deepEqual(store.range('durable-messages'), { first: count + 1, next: count + 1 });
});

test('a satellite does not get what it sent itself, and that does not wait either', async (t) => {
  const { store, messages } = await durableOn(t, new MemoryDisk());
  const one = receiver(messages, 'one');
  one.run();
  t.is(messages.keep(message('alone'), 'one'), undefined, 'nobody else wants it');
  const other = receiver(messages, 'other');
  other.run();
  await messages.keep(message('mine'), 'one');
  await messages.keep(message('yours'), 'other');
  await other.received.until((id) => id === 'mine');
  await one.received.until((id) => id === 'yours');
  await messages.close();
  t.deepEqual(store.range('durable-messages'), { first: 3, next: 3 });
  t.deepEqual([one.received.all, other.received.all], [['yours'], ['mine']]);
});

test('a failed sync refuses what it would have acknowledged, and what is stored is still delivered', async (t) => {
  const disk = new MemoryDisk();
  const { messages } = await durableOn(t, disk);
  const one = receiver(messages, 'one');
  await messages.keep(message('stored'), undefined);
  disk.faults.onBatch = () => {
    throw new Error('EIO');
  };
  await t.throwsAsync(messages.keep(message('refused'), undefined) ?? Promise.resolve(), { code: 'STATE_DIRECTORY' });
  one.run();
  await one.received.until((id) => id === 'stored');
  t.throws(() => messages.keep(message('too late'), undefined), { code: 'STATE_DIRECTORY' });
  t.deepEqual(one.received.all, ['stored']);
});

test('a message and the beginning of its delivery are one write, and a crash right after it marks the message', async (t) => {
  const disk = new MemoryDisk();
  const { messages } = await durableOn(t, disk, false);
  const one = receiver(messages, 'one');
  one.run();
  await messages.keep(message('first'), undefined);
  await one.received.until((id) => id === 'first');
  // What was recorded before is on the disk.
  for (let turn = 0; turn < 10; turn++) await nextTurn();
  let syncs = 0;
  disk.faults.onBatch = (isSynced) => (syncs += Number(isSynced));
  messages.queue('one').attach(() => undefined, true);
  await messages.keep(message('second'), undefined);
  t.is(syncs, 1);
  t.is(messages.queue('one').length, 1, 'it is delivered without another write');
  disk.crash();
  const { messages: later } = await durableOn(t, disk);
  const queue = later.queue('one');
  await new Promise<void>((resolve) => {
    queue.attach(() => queue.length > 0 && resolve(), true);
  });
  const found: (readonly [string, boolean])[] = [];
  for (let next = queue.shift(); next; next = queue.shift()) {
    found.push([next.id, queue.mayHaveBeenDelivered]);
    queue.settle();
  }
  t.deepEqual(found.at(-1), ['second', true]);
});

/** The messages of durable satellites on a disk in memory. `ends`: false for a process that the test kills. */
async function durableOn(t: ExecutionContext, disk: MemoryDisk, ends = true) {
  const log = new LogRecord().source('test');
  const events = new EventStream<HostEvent>({ clock: systemClock, transient: [] });
  const store = await openStore({ disk, options: { minFreeBytes: 0, minFreePercent: 0 }, clock: systemClock, report: () => undefined });
  const messages = new DurableMessages({
    ...{ store, restore: restoreMessage, date: Date.now, clock: systemClock, options: pluginHostDefaults, events, log },
    present: () => new Map(),
    setAside: () => t.fail('nothing is set aside'),
  });
  await messages.load();
  t.teardown(async () => {
    await messages.close();
    await store.close().catch((error: unknown) => {
      if (ends) throw error;
    });
  });
  return { store, messages };
}

/** A durable satellite that receives from `run` on. */
function receiver(messages: DurableMessages, name: string) {
  const received = new Gate<string>();
  const queue = messages.queue(name);
  const run = (): void => {
    const take = (): void => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        received.push(next.id);
        queue.settle();
      }
    };
    queue.attach(() => setImmediate(take), true);
  };
  return { received, run };
}

function message(id: string): Message {
  const payload = Buffer.from(`<struct><member><name>data</name><value><string>${id}</string></value></member></struct>`);
  const stamp = { destination: 'all', hopsLeft: 16, ageMs: 0, via: [], verdict: 'checked', arrivedAt: systemClock.now() } as const;
  return restoreMessage({ id, hostId: 'ab@192.0.2.1:2004', clientAddress: ['192.0.2.1', 2004], payload, ...stamp });
}
