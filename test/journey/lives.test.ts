/** The lifecycle of a relay within a process: it stops in order, plugins may send until the end, and two relays share nothing. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import test from 'ava';
import { Gate } from '../support/gate.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

const PARTING = `import { Exposed, Plugin, Satellite } from 'co2-relay';
interface Config { readonly name: string; readonly note: (text: string) => void }
@Satellite()
export class Parting extends Plugin<Config> {
  private config!: Config;
  setup(config: Config) { this.config = config; config.note('setup ' + config.name); }
  receive(dict: { data: unknown }) { this.config.note(this.config.name + ' hears ' + String(dict.data)); }
  async exit() { await this.send({ data: 'goodbye of ' + this.config.name }); this.config.note('exit ' + this.config.name); }
  @Exposed({ params: [], returns: 'string' })
  who() { return this.config.name; }
}
`;

test('a stop runs the exits of plugins in reverse order; dicts that they send in exit reach the peer', async (t) => {
  const peer = await scriptedPeer(t);
  const noted: string[] = [];
  const note = (text: string): void => void noted.push(text);
  const names = ['one', 'two', 'three'];
  const relay = await startRelay(t, {
    pluginsDir: pluginsDir(t, { 'a/one.ts': PARTING, 'b/two.ts': PARTING, 'c/three.ts': PARTING }),
    plugins: Object.fromEntries(names.map((name, index) => [`${'abc'[index]!}.${name}`, { name, note }])),
    peers: [peer.url],
    drainMs: 10_000,
  });
  await relay.stop();
  t.deepEqual(
    noted.filter((text) => !text.includes('hears')),
    ['setup one', 'setup two', 'setup three', 'exit three', 'exit two', 'exit one'],
  );
  t.deepEqual(
    peer.notified.all.map(({ data }) => data),
    ['goodbye of three', 'goodbye of two', 'goodbye of one'],
  );
  const port = Number(new URL(relay.url).port);
  const again = createServer().listen(port, '127.0.0.1');
  await once(again, 'listening');
  await new Promise((resolve) => again.close(resolve));
});

test('a stop does not wait for an unreachable peer, and logs what is lost', async (t) => {
  const gone = await scriptedPeer(t, { host: '127.0.0.9' });
  await gone.close();
  const relay = await startRelay(t, { peers: [gone.url], drainMs: 60_000, retry: { minMs: 3_600_000, maxMs: 3_600_000 } });
  await relay.emit({ data: 1 });
  await relay.emit({ data: 2 });
  await relay.events.next((event) => event.type === 'link.state' && event.state.type === 'never reached', { since: 0 });
  await relay.stop();
  t.like(relay.seen.matching('link.dropped')[0], { role: 'peer', name: gone.url, count: 2 });
  const lost = relay.log.lines.all.filter(
    ({ level, text }) => level === 'warn' && text.endsWith('lost 2 dicts still waiting when the relay stopped'),
  );
  t.is(lost.length, 1);
});

test('two relays in one process, with the same plugin, share nothing', async (t) => {
  const directory = pluginsDir(t, { 'ham/parting.ts': PARTING });
  const notes = { one: new Gate<string>(), two: new Gate<string>() };
  const start = (name: keyof typeof notes): ReturnType<typeof startRelay> => {
    const note = (text: string): void => {
      notes[name].push(text);
    };
    return startRelay(t, { pluginsDir: directory, plugins: { 'ham.parting': { name, note } } });
  };
  const [one, two] = await Promise.all([start('one'), start('two')]);
  t.not(one.hostId, two.hostId);
  t.not(one.adminToken, two.adminToken);
  t.deepEqual([await one.call('ham.parting.who'), await two.call('ham.parting.who')], ['one', 'two']);
  await one.call('notify', { data: 'only one' });
  await two.call('notify', { data: 'only two' });
  await notes.one.until((text) => text.includes('hears'));
  await notes.two.until((text) => text.includes('hears'));
  await one.stop();
  t.is(await two.call('ham.parting.who'), 'two');
  t.deepEqual(notes.one.all, ['setup one', 'one hears only one', 'exit one']);
  t.deepEqual(notes.two.all, ['setup two', 'two hears only two']);
  t.like(two.status().relay, { accepted: 1, sent: 0 });
});

test('a failed start releases the port and the state directory', async (t) => {
  const first = await startRelay(t);
  const port = Number(new URL(first.url).port);
  const dataDir = temporaryDir(t);
  await t.throwsAsync(startRelay(t, { port, dataDir }), { code: 'LISTEN_FAILED' } as never);
  await first.stop();
  const second = await startRelay(t, { port, dataDir });
  t.true(await second.call('ping'));
});
