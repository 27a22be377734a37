/** Managing plugins of a running relay over RPC: stop and start, watch, add and remove, and what persists. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Dict, Sendable, Value } from '../../src/values/values.ts';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { FIXTURE } from '../plugin-host/programs/kit.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const EAR = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite()
export class Ear extends Plugin {
  #heard: unknown[] = [];
  receive(dict: { data: unknown }) { this.#heard.push(dict.data); this.log('heard ' + String(dict.data)); }
  @Exposed() heard() { return this.#heard; }
}
`;

interface Admin extends TestRelay {
  /** Calls with the admin token. */
  readonly admin: (method: string, ...params: Sendable[]) => Promise<Value>;
}

async function start(t: ExecutionContext, config: Config = {}): Promise<Admin> {
  const relay = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/ear.ts': EAR }), watch: false, ...config });
  const client = new XmlRpcClient(new URL(relay.url), { token: relay.adminToken, maxConnections: 2 });
  t.teardown(() => client.close());
  return { ...relay, admin: (method, ...params) => client.call(method, params) };
}

const names = (value: Value): unknown[] => (value as Dict[]).map(({ name }) => name);

test('a stopped plugin has no methods and receives no messages; after a start it is like new', async (t) => {
  const relay = await start(t);
  const { admin, url } = relay;
  const heard = (): Promise<Value> => relay.call('ham.ear.heard');
  await admin('notify', { data: 'one' });
  t.deepEqual(await heard(), ['one']);
  const since = ((await admin('plugin.subscribe_state')) as Dict).next as number;
  const news = admin('plugin.subscribe_state', since, 30_000);
  t.like(await admin('plugin.stop', 'ham.ear'), { name: 'ham.ear', state: 'stopped', methods: [] as never });
  const first = (await news) as Dict;
  t.is((first.events as Dict[])[0]?.plugin, 'ham.ear');
  await t.throwsAsync(heard(), { code: -32601 } as never);
  await admin('notify', { data: 'two' });
  t.like(await admin('plugin.start', 'ham.ear'), { state: 'ready', methods: ['ham.ear.heard'] as never });
  await admin('notify', { data: 'three' });
  t.deepEqual(await heard(), ['three']);
  const { events, missed } = (await admin('plugin.subscribe_state', since)) as Dict;
  t.deepEqual([...new Set((events as Dict[]).map(({ state }) => state))], ['stopping', 'stopped', 'starting', 'ready']);
  t.false(missed);
  t.like(await admin('plugin.reload', 'ham.ear'), { state: 'ready', restarts: 1 });
  t.like(await admin('plugin.restart', 'ham.ear'), { state: 'ready' });
  await t.throwsAsync(admin('plugin.stop', 'ham.eer'), { code: -32602, message: /did you mean "ham.ear"\?/ } as never);

  const texts = ((await admin('plugin.log', 'ham.ear')) as Dict[]).map(({ text }) => text as string);
  t.true(texts.includes('heard one') && texts.includes('heard three'), texts.join('; '));
  const status = (await admin('relay.get_status')) as unknown as { plugins: Dict[]; satellites: Dict[] };
  t.like(status.plugins[0], { name: 'ham.ear', kind: 'inline', state: 'ready', held: 0, last_error: '' });
  t.like(status.satellites[0], { name: 'ham.ear.Ear', waiting: 0, bytes: 0, oldest_ms: 0, merged: 0 });
  const page = (await (await fetch(url, { headers: { accept: 'application/json' } })).json()) as object;
  t.false('plugins' in page, 'an anonymous client does not see plugins');
  const headers = { accept: 'application/json', authorization: `Bearer ${relay.adminToken}` };
  const all = (await (await fetch(url, { headers })).json()) as { plugins: object[] };
  t.like(all.plugins[0], { name: 'ham.ear', state: 'ready' });
});

test('a client that polls for events does not delay the stop of the relay', async (t) => {
  const relay = await start(t);
  const { admin } = relay;
  const { next } = (await admin('plugin.subscribe_state')) as Dict;
  const waits = admin('plugin.subscribe_state', next!, 60_000);
  await admin('ping');
  const stopped = relay.stop();
  await t.notThrowsAsync(Promise.race([waits.catch(() => undefined), stopped]));
  await stopped;
});

const program = { name: 'frier', exec: process.execPath, args: [FIXTURE, 'good'] };

test('an added program runs, is restored after a restart, and is gone for good once it is removed', async (t) => {
  t.timeout(60_000);
  const dataDir = join(temporaryDir(t), 'state');
  const config = { dataDir, allowAddPrograms: true };
  const first = await start(t, config);
  t.like(await first.admin('plugin.add', program), { name: 'frier', kind: 'program', state: 'ready', version: '1.2.3' });
  t.is(await first.call('frier.echo', 'hello'), 'hello');
  await t.throwsAsync(first.admin('plugin.add', program), { code: -32602, message: /frier already/ } as never);
  await t.throwsAsync(first.admin('plugin.add', { ...program, name: 'x', exec: 'bin/x' }), {
    code: -32602,
    message: /exec: .*'bin\/x'/,
  } as never);
  await t.throwsAsync(first.admin('plugin.add', { ...program, name: 'x', arg: [] }), { code: -32602, message: /'?arg/ } as never);
  await t.throwsAsync(first.admin('plugin.remove', 'ham.ear'), { code: -32602, message: /ham\.ear/ } as never);
  await first.stop();

  const second = await start(t, config);
  await second.events.next((event) => event.type === 'plugin.state' && event.plugin === 'frier' && event.state.type === 'ready', {
    since: 0,
  });
  t.is(await second.call('frier.echo', 'again'), 'again');
  t.true(await second.admin('plugin.remove', 'frier'));
  t.deepEqual(names(await second.admin('plugin.list')), ['ham.ear']);
  await second.stop();
  t.deepEqual(JSON.parse(readFileSync(join(dataDir, 'plugins.json'), 'utf8')), { version: 1, programs: [] });
});

test('the directory of a program is deleted with it unless it contains files that the program wrote', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const { admin, log } = await start(t, { dataDir, allowAddPrograms: true });
  const record = (name: string, mode = 'good') => ({ name, exec: process.execPath, args: [FIXTURE, mode] });
  await t.throwsAsync(admin('plugin.add', record('refused', 'refuses')));
  t.false(existsSync(join(dataDir, 'programs/refused')));
  await admin('plugin.add', record('empty'));
  t.true(existsSync(join(dataDir, 'programs/empty')));
  await admin('plugin.remove', 'empty');
  t.false(existsSync(join(dataDir, 'programs/empty')));
  await admin('plugin.add', record('full'));
  writeFileSync(join(dataDir, 'programs/full/notes'), 'mine');
  await admin('plugin.remove', 'full');
  t.deepEqual(log.matching(/^full removed/), [`full removed; what it wrote stays in ${join(dataDir, 'programs/full')}`]);
  await t.throwsAsync(admin('plugin.add', record('full', 'refuses')));
  t.is(readFileSync(join(dataDir, 'programs/full/notes'), 'utf8'), 'mine');
});

test("a symbolic link in place of a program's directory is not followed", async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const { admin } = await start(t, { dataDir, allowAddPrograms: true });
  const outside = temporaryDir(t);
  mkdirSync(join(outside, 'ham'));
  symlinkSync(outside, join(dataDir, 'programs'));
  await admin('plugin.add', { name: 'ham', exec: process.execPath, args: [FIXTURE, 'good'] });
  await admin('plugin.remove', 'ham');
  t.true(existsSync(join(outside, 'ham')));
});

test('without allowAddPrograms no program can be added, and those added before are not started', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const first = await start(t, { dataDir });
  await t.throwsAsync(first.admin('plugin.add', program), { code: 403, message: /allowAddPrograms/ } as never);
  await first.stop();
  writeFileSync(join(dataDir, 'plugins.json'), JSON.stringify({ version: 1, programs: [program] }));
  const second = await start(t, { dataDir });
  t.deepEqual(names(await second.admin('plugin.list')), ['ham.ear']);
  t.is(second.log.matching(/^not started, since allowAddPrograms is false: frier/).length, 1);
});

test('a damaged plugins.json is reported and set aside, and the relay starts', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  await (await start(t, { dataDir })).stop();
  const texts = {
    '{"version":1,"programs":[{"name":"x"': '',
    '{"version":1,"programs":[{"name":"x","exec":"y","colour":1}]}': 'programs.0: Unrecognized key: "colour"',
    '{"version":1,"programs":[{"name":"x","exec":"y/z"}]}': "programs.0: exec: found 'y/z', expected an absolute path",
    '{"version":1,"programs":[{"name":"x","exec":"y","cwd":"z"}]}': "programs.0: cwd: found 'z', expected an absolute path",
    [JSON.stringify({ version: 1, programs: [program, program] })]: 'programs: two programs have one name',
  };
  for (const [text, reason] of Object.entries(texts)) {
    writeFileSync(join(dataDir, 'plugins.json'), text);
    const relay = await start(t, { dataDir, allowAddPrograms: true });
    const [logged] = relay.log.matching(/plugins\.json is damaged \(.*plugins\.json\.damaged: add its programs again/);
    t.true(logged?.includes(`plugins.json is damaged (${reason}`), logged);
    t.is(readFileSync(join(dataDir, 'plugins.json.damaged'), 'utf8'), text);
    await relay.stop();
  }
});
