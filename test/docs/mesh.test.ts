/** docs/mesh.md: its configurations and commands do what the page says, on relays of this machine. */
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Dict } from '../../src/values/values.ts';
import { PROJECT_DIR, run, runCo2, startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { freePorts } from '../support/relays.ts';
import { project } from './page.ts';
import { snippetsOf } from './snippets.ts';

const snippets = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/mesh.md'), 'utf8'));

/** A snippet with the addresses of this machine instead of those on the page. */
function sourceOf(wanted: string, [five, seven]: readonly number[] = []): string {
  const snippet = snippets.find(({ name }) => name === wanted);
  if (!snippet) throw new Error(`docs/mesh.md has no snippet ${wanted}`);
  return snippet.source
    .replaceAll('192.168.1.5:2004', `127.0.0.1:${five}`)
    .replaceAll('192.168.1.7:2004', `127.0.0.1:${seven}`)
    .replaceAll(/192\.168\.1\.[57]/g, '127.0.0.1');
}

async function co2(t: ExecutionContext, { url, cwd }: RelayProcess, line: string): Promise<string> {
  const { code, stdout, stderr } = await runCo2(t, { args: [...line.trim().split(' ').slice(1), '--url', url], cwd }).exit;
  t.is(code, 0, [line, ...stderr].join('\n'));
  return stdout.join('\n');
}

const start = (t: ExecutionContext, port: number, files: Record<string, string>): Promise<RelayProcess> =>
  startCo2(t, { cwd: project(t, { 'plugins/.keep': '', ...files }), args: ['--port', String(port)] });

/** Waits until the first peer of the relay has what is asked for. */
async function peerOf(t: ExecutionContext, relay: RelayProcess, is: (peer: Dict) => boolean): Promise<void> {
  for (;;) {
    const [peer] = JSON.parse(await co2(t, relay, 'co2 peers --json')) as readonly Dict[];
    if (peer && is(peer)) return;
  }
}

const SECRET = randomBytes(32).toString('hex');

const isProven = ({ session, trusts_us: trusts }: Dict): boolean => session === 'proven' && trusts === true;

test('every snippet is run by a test', (t) => {
  t.deepEqual(
    snippets.map(({ name }) => name),
    [
      // examples/mesh, which test/examples runs.
      'picture',
      ...['first', 'second', 'list', 'forget', 'pair-config', 'pair', 'trust', 'discovery-config', 'discovery'],
      ...['secret', 'secret-config', 'nat-config', 'trust-no-link', 'certificates', 'ca-config', 'outbox', 'nodes', 'call-node'],
    ],
  );
});

test('two relays that list each other prove their keys, and show it; a pin can be forgotten', async (t) => {
  const ports = await freePorts(2);
  const attic = await start(t, ports[0]!, { 'config.ts': sourceOf('first', ports) });
  const cellar = await start(t, ports[1]!, { 'config.ts': sourceOf('second', ports) });
  await peerOf(t, attic, isProven);
  const [peers = '', nodes = ''] = sourceOf('list').trim().split('\n');
  t.regex(await co2(t, attic, peers), /proven +key +cellar/);
  t.regex(await co2(t, attic, nodes), /^this relay is node [a-z2-7]{32} \(attic\), start 1, trust: 'pin'\n\nknown:\n.*cellar/s);
  t.regex(await co2(t, attic, 'co2 status'), /proven cellar \([a-z2-7]{8}…\)/);
  t.regex(await co2(t, attic, sourceOf('forget', ports)), /^forgot node [a-z2-7]{32} of http:/);
  await peerOf(t, cellar, isProven);
});

test('an unlisted relay is paired by a code that both sides show', async (t) => {
  const ports = await freePorts(2);
  const old = await start(t, ports[1]!, { 'config.ts': sourceOf('pair-config') });
  const added = await start(t, ports[0]!, {});
  const shown = await co2(t, added, sourceOf('pair', ports));
  const code = /compare the code ([a-z2-7]{4}(?:-[a-z2-7]{4}){3}) with/.exec(shown)?.[1] ?? shown;
  const waiting = await co2(t, old, 'co2 peers list --nodes');
  t.true(waiting.includes(code), waiting);
  const node = /this relay is node (\S+)/.exec(await co2(t, added, 'co2 peers list --nodes'))?.[1] ?? '';
  t.regex(await co2(t, old, sourceOf('trust').replace('NODE', node)), /is trusted, and linked at http:/);
  t.regex(await co2(t, old, `co2 peers trust ${node}`), /is trusted, and linked at http:/);
  await peerOf(t, old, isProven);
  t.regex(await co2(t, old, `co2 peers forget ${node}`), /^forgot node/);
  t.is(await co2(t, old, 'co2 peers --json'), '[]');
  old.kill('SIGTERM');
  await old.exit;
  const again = await startCo2(t, { cwd: old.cwd, args: ['--port', String(ports[1])] });
  t.is(await co2(t, again, 'co2 peers --json'), '[]');
});

test('relays find each other, and one is paired by its nick', async (t) => {
  const ports = await freePorts(3);
  const env = { CO2_DISCOVERY_PORT: String(ports[2]) };
  const config = sourceOf('discovery-config', ports);
  const begin = (port: number, source: string): Promise<RelayProcess> =>
    startCo2(t, { cwd: project(t, { 'plugins/.keep': '', 'config.ts': source }), args: ['--port', String(port)], env });
  const attic = await begin(ports[0]!, config);
  const cellar = await begin(ports[1]!, config.replace('attic', 'cellar'));
  const [list = '', pair = ''] = sourceOf('discovery').trim().split('\n');
  let shown = '';
  while (!shown.includes('attic')) shown = await co2(t, cellar, list);
  const found = /found on the network.*\n.*node.*\n[a-z2-7]{32} +attic +(?<code>[a-z2-7]{4}(?:-[a-z2-7]{4}){3}) /.exec(shown);
  t.truthy(found, shown);
  const paired = await co2(t, cellar, pair);
  t.true(paired.includes(`has not approved this relay yet: compare the code ${found?.groups?.code ?? '?'} with the one`), paired);
  t.true((await co2(t, attic, 'co2 peers list --nodes')).includes(found?.groups?.code ?? '?'));
  t.false((await co2(t, cellar, list)).includes('found on the network'));
});

test('relays with one cluster secret are peers', async (t) => {
  const ports = await freePorts(2);
  const secrets = project(t, {});
  t.is((await run(t, 'sh', ['-c', sourceOf('secret')], { cwd: secrets }).exit).code, 0);
  const secret = readFileSync(join(secrets, 'cluster.secret'), 'utf8');
  const relay = async (own: number, other: number): Promise<RelayProcess> => {
    const cwd = project(t, { 'plugins/.keep': '', 'config.ts': sourceOf('secret-config', [own, other]) });
    writeFileSync(join(cwd, 'cluster.secret'), secret, { mode: 0o600 });
    return startCo2(t, { cwd, args: ['--port', String(own)] });
  };
  const [one] = [await relay(ports[0]!, ports[1]!), await relay(ports[1]!, ports[0]!)];
  await peerOf(t, one, isProven);
});

const EAR = `import { Plugin, Satellite, type Dict } from 'co2-relay';
@Satellite() export class Ear extends Plugin { receive({ data }: Dict): void { this.log('heard', data); } }`;

/** Waits until the relay knows a way to the node with this nick. */
async function reaches(relay: RelayProcess, nick: string): Promise<void> {
  for (;;) {
    const nodes = (await relay.call('relay.get_nodes')) as readonly Dict[];
    if (nodes.some((node) => node.nick === nick && node.state === 'reachable')) return;
    await sleep(50);
  }
}

/** What is sent to one of them is heard by all others. */
async function hearEachOther(t: ExecutionContext, relays: Readonly<Record<string, RelayProcess>>): Promise<void> {
  for (const [name, relay] of Object.entries(relays)) {
    await co2(t, relay, `co2 notify from-${name}`);
    for (const other of Object.values(relays)) await other.stderr.line(new RegExp(` heard from-${name}$`));
  }
}

test('a relay behind a NAT dials the others, which neither list nor reach it, and dicts go both ways', async (t) => {
  const ports = await freePorts(2);
  const files = (config: string): Record<string, string> => ({ 'plugins/ham/ear.ts': EAR, 'cluster.secret': SECRET, 'config.ts': config });
  const start = (nick: string, port: number, config: string): Promise<RelayProcess> => {
    const cwd = project(t, files(config));
    chmodSync(join(cwd, 'cluster.secret'), 0o600);
    return startCo2(t, { cwd, args: ['--port', String(port)], env: { CO2_NICK: nick } });
  };
  const attic = await start('attic', ports[0]!, sourceOf('secret-config', ports));
  const cellar = await start('cellar', ports[1]!, sourceOf('secret-config', [...ports].reverse()));
  const cabin = await start('cabin', 0, sourceOf('nat-config', ports));
  for (const relay of [attic, cellar]) await reaches(relay, 'cabin');
  await reaches(cabin, 'attic');
  await hearEachOther(t, { attic, cellar, cabin });
  const listed = JSON.parse(await co2(t, attic, 'co2 peers --json')) as readonly Dict[];
  t.deepEqual(
    listed.map(({ peer }) => peer),
    [cellar.url],
  );
});

test('a relay behind a NAT is paired without a link back, and dicts go both ways', async (t) => {
  const [port = 0] = await freePorts(1);
  const attic = await start(t, port, { 'plugins/ham/ear.ts': EAR, 'config.ts': sourceOf('pair-config') });
  const cabin = await startCo2(t, { cwd: project(t, { 'plugins/ham/ear.ts': EAR }), env: { CO2_NICK: 'cabin' } });
  await co2(t, cabin, `co2 peers pair ${attic.url}`);
  const node = /this relay is node (\S+)/.exec(await co2(t, cabin, 'co2 peers list --nodes'))?.[1] ?? '';
  await co2(t, attic, sourceOf('trust-no-link').replace('NODE', node));
  await reaches(attic, 'cabin');
  await hearEachOther(t, { attic, cabin });
  t.is(await co2(t, attic, 'co2 peers --json'), '[]');
});

test('the commands make certificates with which a relay starts and answers', async (t) => {
  const ports = await freePorts(2);
  const cwd = project(t, { 'plugins/.keep': '', 'config.ts': 'export default {};' });
  const first = await startCo2(t, { cwd });
  const node = /this relay is node (\S+)/.exec(await co2(t, first, 'co2 peers list --nodes'))?.[1] ?? '';
  first.kill('SIGTERM');
  await first.exit;
  const { code, stderr } = await run(t, 'sh', ['-e', '-c', sourceOf('certificates')], { cwd, env: { NODE: node } }).exit;
  t.is(code, 0, stderr.join('\n'));
  const shown = await run(t, 'openssl', ['x509', '-in', 'relay.pem', '-noout', '-ext', 'subjectAltName'], { cwd }).exit;
  t.true(shown.stdout.join('\n').includes(`IP Address:127.0.0.1, URI:co2:${node}`), shown.stdout.join('\n'));
  writeFileSync(join(cwd, 'config.ts'), sourceOf('ca-config', ports));
  const relay = await startCo2(t, { cwd, args: ['--port', String(ports[0])] });
  const curl = ['-s', '--cacert', 'ca.pem', '--cert', 'relay.pem', '--key', 'relay.key', `${relay.url}/healthz`];
  t.is((await run(t, 'curl', curl, { cwd }).exit).code, 0);
  const { stdout } = await runCo2(t, { args: ['peers', 'list', '--nodes'], cwd }).exit;
  t.true(stdout.join('\n').startsWith(`this relay is node ${node} `), 'co2 goes by the socket');
});

test('the commands show the nodes of the mesh, and both they and a plugin call a method of the other node', async (t) => {
  const ports = await freePorts(2);
  const spam = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin { @Exposed() add(a: number, b: number): number { return a + b; } }
`;
  const attic = await start(t, ports[0]!, { 'config.ts': sourceOf('first', ports), 'plugins/ham/eggs.ts': sourceOf('call-node') });
  const cellar = await start(t, ports[1]!, { 'config.ts': sourceOf('second', ports), 'plugins/ham/spam.ts': spam });
  while (!(await co2(t, attic, 'co2 nodes --json')).includes('"reachable"'));
  while (!JSON.stringify(await attic.call('relay.get_network_methods')).includes('ham.spam.add'));
  const says = [
    /^nick +node .*\nattic +\w{32} +self .*\ncellar +\w{32} +reachable/,
    /^nick +node .*\ncellar +\w{32} +cellar/,
    /^cellar answered in \d+(\.\d)? ms/,
    /^ 1 {2}cellar {2}\w{32} {2}http:\S+ {2}\d+\.\d ms$/,
    /^method +nodes\nham\.eggs\.sum +attic\nham\.spam\.add +cellar$/,
    /^5$/,
  ];
  const commands = sourceOf('nodes').trim().split('\n');
  t.is(commands.length, says.length);
  for (const [index, command] of commands.entries()) t.regex(await co2(t, attic, command), says[index]!, command);
  t.is(await co2(t, attic, 'co2 call ham.eggs.sum 2 3'), '5');

  cellar.kill('SIGTERM');
  await cellar.exit;
  await co2(t, attic, 'co2 notify data=later co2.to.node=cellar');
  const outbox = sourceOf('outbox').trim().split('\n');
  const listed = await co2(t, attic, outbox[0]!);
  t.regex(listed, /^id +state +waiting for +kind .*\n\w{32}\.\d+\.\S+ +waiting +cellar +dict +\d+ +true +\d s ago +in 23 h 59 min +0 +-$/);
  const [, id = ''] = /\n(\S+)/.exec(listed) ?? [];
  const answers = [/ waiting +cellar /, /\n +data +later/, `tried again: ${id}`, `dropped: ${id}`];
  for (const [index, command] of outbox.slice(1).entries()) {
    const answer = await co2(t, attic, command.replace('ID', id));
    if (typeof answers[index] === 'string') t.is(answer, answers[index]);
    else t.regex(answer, answers[index]!);
  }
  t.is(await co2(t, attic, outbox[0]!), 'nothing waits for other nodes');
});
