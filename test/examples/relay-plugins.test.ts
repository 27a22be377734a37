/** Runs the examples of relay plugins by the commands in their README. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RemoteFault, XmlRpcClient } from '../../src/client/internal.ts';
import { freePorts } from '../support/relays.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';

const README = readFileSync(join(PROJECT_DIR, 'examples/relay-plugins/README.md'), 'utf8');

const EAR = `
import { Exposed, Plugin, Satellite, type Dict } from 'co2-relay';

@Satellite()
export class Ear extends Plugin {
  receive(dict: Dict) { this.log('heard', JSON.stringify(dict)); }
  @Exposed() say(text: string) { return this.send({ data: text }); }
}

@Satellite()
export class Other extends Plugin {
  receive(dict: Dict) { this.log('the other one heard', JSON.stringify(dict)); }
}
`;

test.serial('a network with a key: without it a dict is refused, with it one gets in, and satellites know nothing of it', async (t) => {
  const [, key = '', file = ''] = /`NETWORK_KEY=(\S+) npm start -- --config (\S+)`/.exec(README) ?? [];
  const args = ['--config', join(PROJECT_DIR, file), '--log-level', 'debug', '--plugins', 'plugins'];
  const relay = await startCo2(t, { args, env: { NETWORK_KEY: key }, files: { 'plugins/test/ear.ts': EAR } });
  await relay.stderr.line(/INFO relay-plugins relay plugins, in order: key_filter\.KeyFilter/);
  for (const dict of [
    { data: 'hello' },
    { data: 'hello', key: 'wrong-horses!' },
    { data: 'hello', key: '' },
    { data: 'hello', key: [key] },
  ]) {
    const fault = await t.throwsAsync(relay.call('notify', dict));
    t.true(RemoteFault.is(fault));
    t.like(fault, { code: 403, text: 'relay plugin key_filter.KeyFilter refused the dict: it does not hold the key of this network' });
  }
  t.true(await relay.call('notify', { data: 'hello', key }));
  const [, heard = ''] = /heard (\{.*\})$/.exec(await relay.stderr.line(/plugin\.test\.ear heard/)) ?? [];
  const members = JSON.parse(heard) as Readonly<Record<string, unknown>>;
  t.deepEqual(Object.keys(members).sort(), ['client_address', 'data', 'host_id']);
  t.is(members.data, 'hello');
  await relay.call('test.ear.say', 'from inside');
  t.notRegex(await relay.stderr.line(/the other one heard .*from inside/), new RegExp(key));
  t.is(relay.stderr.all.filter((line) => line.includes(' plugin.test.ear heard')).length, 1, 'rejected dicts were not delivered');

  const keyless = await t.throwsAsync(startCo2(t, { args: args.slice(0, 2) }));
  t.regex(keyless.message, /co2: relay plugin key_filter\.KeyFilter: it refuses to start: key is missing, or shorter than 8 characters/);
});

test.serial('another transport: B receives what is sent to A over the in-memory transport; Ctrl-C stops it', async (t) => {
  const [, line = ''] = /`node (--import \S+ \S+memory-pair\.ts)`/.exec(README) ?? [];
  const [a, b] = await freePorts(2);
  const pair = run(t, process.execPath, [...line.split(' '), String(a), String(b)], { cwd: PROJECT_DIR });
  await pair.stdout.line(/^A is /);
  for (const [port, first, second] of [
    [a!, 'A', 'B'],
    [b!, 'B', 'A'],
  ] as const) {
    const client = new XmlRpcClient(new URL(`http://127.0.0.1:${port}`));
    t.teardown(() => client.close());
    t.true(await client.call('notify', [{ data: `sent to ${first}` }]));
    t.regex(await pair.stdout.line(new RegExp(`^${first} hears "sent to ${first}"`)), /after 0 hops$/);
    t.regex(await pair.stdout.line(new RegExp(`^${second} hears "sent to ${first}"`)), /after 1 hops$/);
  }
  pair.kill('SIGINT');
  t.like(await pair.exit, { code: 0, signal: null });
});
