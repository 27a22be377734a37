/** Watchers and reactors in children and in programs: real processes, killed in each state of their endpoints. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { ServiceEvent } from '../../src/plugin/plugin.ts';
import type { Value } from '../../src/values/values.ts';
import { PROJECT_DIR, runCo2 } from '../support/processes.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

type Struct = Readonly<Record<string, Value>>;

// The watcher reports what its exposed method is called with; the reactor returns what it got.
const SPAM = `import { once, EventEmitter } from 'node:events';
import { Exposed, Plugin, Reactor, Satellite, Watcher } from 'co2-relay';
@Satellite({ isolation: 'child' })
export class Spam extends Plugin {
  reports = new EventEmitter();
  queue = [];
  got = [];
  onEvent = 'takes';
  @Exposed({ params: ['any'] }) report(report) { this.queue.push(report); this.reports.emit('report'); return true; }
  @Exposed() changes() { return this.got; }
  @Exposed() pid() { return process.pid; }
  @Exposed({ params: ['string'] }) react(how) { this.onEvent = how; return true; }
  @Watcher() nodes(config) {
    if (config.mode === 'refuse') throw new Error('this mode is not for me');
    if (config.mode === 'hang') return new Promise(() => undefined);
    const { queue, reports } = this;
    return {
      async *watch(signal) {
        if (config.mode === 'burst') for (let n = 0; n < 5000; n++) yield { ['n' + (n % 50)]: { status: 'up', host: '10.0.0.1', port: n } };
        for (;;) {
          while (queue.length > 0) yield queue.shift();
          await once(reports, 'report', { signal });
        }
      },
    };
  }
  @Reactor() keep() {
    return {
      react: (change) => {
        if (this.onEvent === 'throws') throw new Error('it is full');
        if (this.onEvent === 'exits') process.exit(3);
        this.got.push(change);
        return this.onEvent === 'hangs' ? new Promise(() => undefined) : undefined;
      },
    };
  }
}
`;

const SERVICE = { web: { watchers: { one: { type: 'ham.spam' } }, reactors: { left: { type: 'ham.spam:keep' } } } };

async function started(t: ExecutionContext, services: Config['services'] = SERVICE, more: Config = {}): Promise<TestRelay> {
  t.timeout(55_000);
  return startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': SPAM }), watch: false, services, ...more }, { random: () => 0 });
}

/** The changes that the reactor of the child got, once that are this many. */
async function changes(relay: TestRelay, count: number): Promise<readonly Struct[]> {
  for (;;) {
    const got = (await relay.call('ham.spam.changes')) as readonly Struct[];
    if (got.length >= count) return got;
  }
}

function nodesIn(change: Struct | undefined): string {
  return Object.values((change ?? {}) as unknown as ServiceEvent)
    .map(({ name, status, port }) => `${name} ${status} ${port}`)
    .sort()
    .join(', ');
}

test('a watcher and a reactor in a child work as in the process of the relay', async (t) => {
  const relay = await started(t);
  await relay.call('ham.spam.report', { a: { status: 'up', host: '10.0.0.1', port: 80 } });
  await relay.call('ham.spam.report', [{ name: 'b', status: 'up' }]);
  const got = await changes(relay, 2);
  t.deepEqual(got.map(nodesIn), ['a up 80', 'a down 80, b up 0']);
  await relay.call('ham.spam.report', { a: { status: 'sick' } });
  await relay.seen.event('service.endpoint', { name: 'one', state: { type: 'backoff', reason: /the status of a is 'sick'/ } });
  await relay.seen.event('service.endpoint', { name: 'one', state: { type: 'running' } }, 2);
});

test('a child refuses a configuration, and its reason stops the start', async (t) => {
  const services = { web: { watchers: { one: { type: 'ham.spam:nodes', cfg: { mode: 'refuse' } } } } };
  await t.throwsAsync(started(t, services), { message: /web\.watchers\.one: .* refuses its configuration: this mode is not for me/ });
  const hangs = { web: { watchers: { one: { type: 'ham.spam:nodes', cfg: { mode: 'hang' } } } } };
  await t.throwsAsync(started(t, hangs, { serviceLimits: { acceptTimeoutMs: 200 } }), {
    message: /did not accept its configuration in 200 ms/,
  });
});

test('a burst of a child arrives with the last states', async (t) => {
  const services = { web: { watchers: { one: { type: 'ham.spam', cfg: { mode: 'burst' } } }, reactors: { left: { type: 'ham.spam' } } } };
  const relay = await started(t, services);
  for (;;) {
    const last = new Map<string, unknown>();
    for (const change of await changes(relay, 1)) for (const [name, node] of Object.entries(change)) last.set(name, (node as Struct).port);
    if (last.get('n49') !== 4_999) continue;
    t.deepEqual(
      [...last.values()].sort(),
      Array.from({ length: 50 }, (_, n) => 4_950 + n),
    );
    break;
  }
});

for (const [title, react] of [
  ['runs and waits', 'takes'],
  ['processes a change', 'hangs'],
  ['is given a change', 'exits'],
] as const) {
  test(`a child that is killed while its reactor ${title} comes back with all nodes`, async (t) => {
    const relay = await started(t);
    const pid = (await relay.call('ham.spam.pid')) as number;
    await relay.call('ham.spam.report', { a: { status: 'up', port: 1 } });
    await changes(relay, 1);
    await relay.call('ham.spam.react', react);
    await relay.call('ham.spam.report', { b: { status: 'up', port: 2 } });
    if (react === 'takes') await changes(relay, 2);
    if (react === 'hangs') await changes(relay, 2);
    if (react !== 'exits') process.kill(pid, 'SIGKILL');
    await relay.seen.event('plugin.state', { plugin: 'ham.spam', state: { type: 'backoff' } });
    await relay.seen.event('service.endpoint', { name: 'left', state: { type: 'running' } }, 2);
    await relay.seen.event('service.endpoint', { name: 'one', state: { type: 'running' } }, 2);
    t.deepEqual((await changes(relay, 1)).map(nodesIn), ['a up 1, b up 2']);
    await relay.call('ham.spam.report', [{ name: 'c', status: 'up' }]);
    t.is(nodesIn((await changes(relay, 2))[1]), 'a down 1, b down 2, c up 0');
  });
}

test('a reactor in a child that throws is accepted again, and its reason is there', async (t) => {
  const relay = await started(t);
  await relay.call('ham.spam.react', 'throws');
  await relay.call('ham.spam.report', { a: { status: 'up', port: 1 } });
  await relay.seen.event('service.endpoint', { name: 'left', state: { type: 'backoff', reason: /it is full/ } });
  await relay.call('ham.spam.react', 'takes');
  t.deepEqual((await changes(relay, 1)).map(nodesIn), ['a up 1']);
  t.is(relay.seen.matching('plugin.state', { plugin: 'ham.spam', state: { type: 'backoff' } }).length, 0);
});

test('endpoints wait for a child that is down when the relay starts, and run when it is back', async (t) => {
  const directory = pluginsDir(t, { 'ham/spam.ts': SPAM.replace('reports =', 'constructor() { super(); process.exit(1); }\n  reports =') });
  const relay = await startRelay(t, { pluginsDir: directory, services: SERVICE, watch: true }, { random: () => 0 });
  await relay.seen.event('service.endpoint', { name: 'one', state: { type: 'waiting' } });
  await relay.seen.event('plugins.watched');
  writeFileSync(join(directory, 'ham/spam.ts'), SPAM);
  await relay.seen.event('service.state', { service: 'web', state: 'running' });
  t.pass();
});

const EXAMPLES = join(PROJECT_DIR, 'examples', 'services');

test('the watcher and the reactor in Python keep a file in step with another, over deaths of both', async (t) => {
  t.timeout(55_000);
  const directory = temporaryDir(t);
  const [source, target] = [join(directory, 'source'), join(directory, 'target')];
  writeFileSync(source, 'web1 10.0.0.1 80\nweb2 10.0.0.2 80\n');
  const config = {
    programs: ['watcher', 'reactor'].map((name) => ({ name, exec: 'python3', args: [join(EXAMPLES, `${name}.py`)] })),
    services: {
      web: {
        watchers: { file: { type: 'watcher:file', cfg: { file: source } } },
        reactors: { file: { type: 'reactor', cfg: { file: target } } },
      },
    },
  };
  const relay = await startRelay(t, config, { random: () => 0 });
  const written = async (expected: string): Promise<void> => {
    for (;;) {
      const { reactors } = (await relay.call('service.status', 'web')) as { reactors: readonly Struct[] };
      if (reactors[0]?.queued === 0 && existsSync(target) && readFileSync(target, 'utf8') === expected) return;
    }
  };
  await relay.seen.event('service.state', { state: 'running' });
  await written('web1 10.0.0.1 80\nweb2 10.0.0.2 80\n');
  writeFileSync(source, 'web2 10.0.0.2 81\n');
  await written('web2 10.0.0.2 81\n');
  for (const name of ['watcher', 'reactor']) {
    const pid = relay.status().plugins.plugins.find((plugin) => plugin.name === name)?.pid;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }
  writeFileSync(source, 'web3 10.0.0.3 80\n');
  await written('web3 10.0.0.3 80\n');
  await relay.stop();
  t.deepEqual(relay.log.matching(/SIGTERM|SIGKILL to/), []);
});

for (const kind of ['watcher', 'reactor']) {
  test(`co2 check-plugin finds nothing wrong with the ${kind} in Python`, async (t) => {
    t.timeout(55_000);
    const file = join(temporaryDir(t), 'nodes');
    writeFileSync(file, 'web1 10.0.0.1 80\n');
    const args = ['check-plugin', join(EXAMPLES, `${kind}.py`), '--call', '--cfg', JSON.stringify({ file })];
    const { code, stdout } = await runCo2(t, { args, cwd: temporaryDir(t) }).exit;
    t.is(code, 0, stdout.join('\n'));
    t.regex(
      stdout.join('\n'),
      kind === 'watcher' ? /its watchers report nodes: watcher:file: a list of 1/ : /its reactors process changes: reactor:file/,
    );
  });
}

test('a program refuses a configuration', async (t) => {
  const programs = [{ name: 'watcher', exec: 'python3', args: [join(EXAMPLES, 'watcher.py')] }];
  const services = { web: { watchers: { file: { type: 'watcher', cfg: { file: '/nowhere' } } } } };
  await t.throwsAsync(startRelay(t, { programs, services }), {
    message: /services: web\.watchers\.file: watcher refuses its configuration: .*cfg\.file must be the path of a file/,
  });
});
