/** The satellites of examples/satellites/ in three languages, each run by the command in its README against a real relay. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { scriptedPeer } from '../support/scripted-peer.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

const README = readFileSync(join(PROJECT_DIR, 'examples/satellites/README.md'), 'utf8');

for (const [language, command, file] of [
  ['Python', 'python3', 'python/satellite.py'],
  ['Perl', 'perl', 'perl/satellite.pl'],
  ['Ruby', 'ruby', 'ruby/satellite.rb'],
] as const) {
  test.serial(`${language}: registers, sends a dict, is notified in order, answers pings, unregisters on Ctrl-C`, async (t) => {
    const script = `examples/satellites/${file}`;
    t.true(README.includes(`- ${language}: \`${command} ${script} http://127.0.0.1:2004 hello\``));
    const files = { 'config.ts': 'export default { pingIntervalMs: 20 };' };
    const relay = await startCo2(t, { files });
    const other = await scriptedPeer(t);
    await relay.call('relay.register', { port: other.port, nick: 'other' });

    const satellite = run(t, command, [script, relay.url, 'hello'], { cwd: PROJECT_DIR });
    const [, hostId = ''] = /^registered as (\S+)$/.exec(await satellite.stdout.line(/^registered/)) ?? [];
    t.regex(hostId, /^[0-9a-f]{16}@127\.0\.0\.1:\d+$/);
    const [heard] = await other.notified.first(1);
    t.like(heard, { data: 'hello', host_id: hostId }, 'its dict reached the other one, under its name');

    for (let n = 0; n < 20; n++) await relay.call('notify', { data: `line ${n}` });
    const lines = await satellite.stdout.lines(/^notified/, 20);
    t.deepEqual(
      lines.map((line) => line.replace(/^notified by [0-9a-f]+@127\.0\.0\.1:0: /, '')),
      Array.from({ length: 20 }, (_, n) => `line ${n}`),
      'and its own never came back',
    );
    for (;;) {
      const records = (await relay.call('relay.get_satellites')) as { nick: string; ping_count: number; ping_fails: number }[];
      const { ping_count: count, ping_fails: fails } = records.find(({ nick }) => nick === language.toLowerCase())!;
      t.is(fails, 0);
      if (count > 0) break;
    }
    satellite.kill('SIGINT');
    await satellite.stdout.line(/^unregistered$/);
    t.is((await satellite.exit).code, 0);
    t.is(await relay.call('relay.get_num_satellites'), 1);
  });
}

const LITE = `use strict; use warnings; use XMLRPC::Transport::HTTP;
$| = 1;
sub notify { my ($self, $dict) = @_; print "notified $dict->{data}\n"; return 1 }
my $daemon = XMLRPC::Transport::HTTP::Daemon->new(LocalAddr => '127.0.0.1', LocalPort => 0)->dispatch_to('notify');
print "listening ", $daemon->url, "\n";
$daemon->handle;
`;

test.serial('Perl XMLRPC::Lite with nothing but notify: every dict once and in order, and it stays a satellite', async (t) => {
  const relay = await startCo2(t, { files: { 'config.ts': 'export default { pingIntervalMs: 20, maxPingFails: 2 };' } });
  const satellite = run(t, 'perl', ['-e', LITE]);
  const line = await satellite.stdout.line(/^listening/);
  await relay.call('relay.register', { port: Number(/:(\d+)/.exec(line)?.[1]) });
  for (let n = 0; n < 20; n++) await relay.call('notify', { data: n });
  for (;;) {
    const [record] = (await relay.call('relay.get_satellites')) as { ping_count: number; ping_fails: number }[];
    if (!record) return t.fail('it was dropped');
    t.is(record.ping_fails, 0);
    if (record.ping_count > 5) break;
  }
  await satellite.stdout.lines(/^notified/, 20);
  t.deepEqual(
    satellite.stdout.all.filter((one) => one.startsWith('notified')),
    Array.from({ length: 20 }, (_, n) => `notified ${n}`),
  );
});
