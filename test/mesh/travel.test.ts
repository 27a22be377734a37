/** Work, recordings and watchers of other relays, with real relays on sockets that end and start again. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import { createRelay } from '../../src/create-relay.ts';
import type { Dict } from '../../src/values/values.ts';
import { EventRecord } from '../support/event-record.ts';
import { freePorts, pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const WORK: Config['work'] = {
  'shell.sort': { exec: 'sort' },
  'shell.count': { exec: 'sh', args: ['-c', 'for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.15; done; echo over >&2'] },
  'shell.hold': { exec: 'sh', args: ['-c', 'echo first; exec sleep 600'] },
  'shell.wait': { exec: 'sleep', args: ['600'] },
  'shell.greet': { exec: 'sh', args: ['-c', 'echo "hello $CO2_PARAM_SECRET_NAME"; exit 3'], params: ['secret_name'] },
};

/** A relay that can be stopped and started again where it was. */
class Place {
  relay: TestRelay | undefined;

  constructor(
    private readonly t: ExecutionContext,
    private readonly config: Config & { readonly dataDir: string },
  ) {}

  async start(): Promise<TestRelay> {
    this.relay = await startRelay(this.t, this.config);
    return this.relay;
  }

  async stop(): Promise<void> {
    await this.relay?.stop();
    this.relay = undefined;
  }

  get dataDir(): string {
    return this.config.dataDir;
  }

  /** What is left of units. */
  files(): readonly string[] {
    const directory = join(this.dataDir, 'work');
    return existsSync(directory) ? readdirSync(directory) : [];
  }
}

/** Two relays that list each other; the second one has the options `there`. */
async function placesOf(t: ExecutionContext, both: Config, there: Config): Promise<readonly [Place, Place]> {
  const ports = await freePorts(2);
  const [a, b] = ['a', 'b'].map((nick, index) => {
    const peer = `http://127.0.0.1:${ports[1 - index] ?? 0}`;
    const config = { port: ports[index] ?? 0, peers: [peer], nick, dataDir: join(temporaryDir(t), nick), drainMs: 500 };
    return new Place(t, { ...config, retry: { minMs: 5, maxMs: 50 }, ...both, ...(nick === 'b' && { work: WORK, ...there }) });
  });
  if (!a || !b) throw new Error('there are two');
  return [a, b];
}

/** Starts both, and waits for their link. */
async function startPair(
  t: ExecutionContext,
  both: Config = {},
  there: Config = {},
): Promise<readonly [Place, TestRelay, Place, TestRelay]> {
  const [a, b] = await placesOf(t, both, there);
  const [one, other] = [await a.start(), await b.start()];
  await one.seen.event('mesh.link', { state: 'up' });
  return [a, one, b, other];
}

const status = async (relay: TestRelay, unit: string): Promise<Dict> =>
  (await relay.callDirectly('work.status', { unit, waitMs: 60_000 })) as Dict;

/** All results of an output, from an offset on, over any number of calls. */
async function textOf(relay: TestRelay, unit: string, stream: string, from = 0): Promise<string> {
  const parts: Buffer[] = [];
  for (let offset = from; ;) {
    const page = (await relay.callDirectly('work.results', { unit, stream, offset, waitMs: 20_000 })) as Dict;
    for (const item of page.items as readonly (Buffer | string)[]) parts.push(Buffer.from(item as string));
    if (page.ended === true) return Buffer.concat(parts).toString();
    offset = page.next as number;
  }
}

test('a unit runs at another relay, and its outputs and exit code come back', async (t) => {
  const [, a] = await startPair(t);
  const unit = (await a.callDirectly('work.submit', { type: 'shell.sort', id: 'u1', node: 'b', payload: 'pear\napple\n' })) as Dict;
  t.regex(unit.node as string, /^[a-z2-7]{32}$/);
  t.like(await status(a, 'u1'), { state: 'succeeded', exit_code: 0 });
  t.is(await textOf(a, 'u1', 'stdout'), 'apple\npear\n');
  t.is(await textOf(a, 'u1', 'stdout', 6), 'pear\n');
  const http = await fetch(`${a.url}/work/u1/stdout?follow=1`, { headers: { authorization: `Bearer ${a.adminToken}` } });
  t.is(await http.text(), 'apple\npear\n');
  await a.callDirectly('work.submit', { type: 'shell.greet', id: 'u2', node: 'b', params: { secret_name: 'bob' } });
  t.like(await status(a, 'u2'), { state: 'failed', exit_code: 3, reason: 'it ended with code 3' });
  t.is(await textOf(a, 'u2', 'stdout'), 'hello bob\n');
  const all = (await a.callDirectly('work.list', { nodes: 'all' })) as Dict;
  t.deepEqual(
    (all.units as readonly Dict[]).map(({ listed_by: by }) => by),
    [unit.node, unit.node],
  );
  t.deepEqual(all.missing, []);
});

for (const restarted of ['nobody', 'the submitter', 'everybody']) {
  test(`work for a relay that is down runs when it is up, where ${restarted} was restarted in between`, async (t) => {
    const [a, first, b] = await startPair(t);
    await b.stop();
    await first.callDirectly('work.submit', { type: 'shell.sort', id: 'u1', node: 'b', payload: '2\n1\n' });
    if (restarted !== 'nobody') await a.stop();
    if (restarted === 'everybody') {
      // The submitter is down while the other one starts and ends.
      await b.start();
      await b.stop();
    }
    const submitter = restarted === 'nobody' ? first : await a.start();
    t.like(await submitter.callDirectly('work.status', 'u1'), { state: 'pending' });
    await b.start();
    t.like(await status(submitter, 'u1'), { state: 'succeeded' });
    t.is(await textOf(submitter, 'u1', 'stdout'), '1\n2\n');
  });
}

test('ten results are read over a restart of the submitter: all of them, none twice', async (t) => {
  const [a, first] = await startPair(t);
  await first.callDirectly('work.submit', { type: 'shell.count', id: 'u1', node: 'b' });
  await first.seen.event('work.state', { unit: 'u1', state: 'running' });
  let offset = 0;
  let read = '';
  while (offset < 6) {
    const page = (await first.callDirectly('work.results', { unit: 'u1', offset, waitMs: 20_000 })) as Dict;
    read += Buffer.concat(page.items as Buffer[]).toString();
    offset = page.next as number;
  }
  await a.stop();
  const again = await a.start();
  read += await textOf(again, 'u1', 'stdout', offset);
  t.is(read, '1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n');
  t.is(await textOf(again, 'u1', 'stderr'), 'over\n');
  t.like(await status(again, 'u1'), { state: 'succeeded', exit_code: 0 });
});

test('a restart of the relay that runs the unit is a clear failure, and what it had put out is there', async (t) => {
  const [, a, b] = await startPair(t);
  await a.callDirectly('work.submit', { type: 'shell.hold', id: 'u1', node: 'b' });
  let read = '';
  while (read === '') {
    const page = (await a.callDirectly('work.results', { unit: 'u1', waitMs: 20_000 })) as Dict;
    read = Buffer.concat(page.items as Buffer[]).toString();
  }
  await b.stop();
  await b.start();
  t.like(await status(a, 'u1'), { state: 'failed', reason: 'the relay was stopped while it ran' });
  t.is(await textOf(a, 'u1', 'stdout'), 'first\n');
});

test('a unit that is canceled, with a restart of the submitter before its release, leaves no file at either end', async (t) => {
  const [a, first, b, other] = await startPair(t);
  await first.callDirectly('work.submit', { type: 'shell.wait', id: 'u1', node: 'b', payload: Buffer.alloc(3_000_000) });
  await first.seen.event('work.state', { unit: 'u1', state: 'running' });
  t.deepEqual([a.files(), b.files().length], [['u1'], 1]);
  t.like(await first.callDirectly('work.cancel', 'u1'), { state: 'canceled' });
  await a.stop();
  const again = await a.start();
  await again.callDirectly('work.release', 'u1');
  await other.seen.event('work.released');
  t.true(await again.callDirectly('work.release', 'never-was'));
  t.deepEqual([a.files(), b.files()], [[], []]);
  t.deepEqual(await other.callDirectly('work.list'), []);
});

test('a relay that does not let peers submit refuses their units', async (t) => {
  const [, a] = await startPair(t, { access: { peer: ['read', 'message'] } });
  await a.callDirectly('work.submit', { type: 'shell.sort', id: 'u1', node: 'b' });
  const { state, reason } = await status(a, 'u1');
  t.is(state, 'failed');
  t.regex(reason as string, /did not take it: work.submit needs the right 'call', which a peer caller does not have/);
});

const LAB = `import { Controller, Datasource, Plugin, Satellite, Watcher } from 'co2-relay';
@Satellite()
export class Lab extends Plugin {
  /** Yields numbers. */
  @Datasource()
  async *record(signal) {
    for (let n = 0; !signal.aborted; n++) {
      yield { type: 'text/plain', payload: String(n), timestamp: 1_764_500_000_000 + n };
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  /** Repeats words. */
  @Controller()
  async *command({ payload }) {
    for (const word of payload.toString().split(' ')) yield { type: 'text/plain', payload: word };
  }
  /** Reports a node more from time to time. */
  @Watcher()
  nodes({ names, refuse }) {
    if (refuse) throw new Error(refuse);
    return {
      async *watch(signal) {
        yield names.map((name) => ({ name, status: 'up', host: '10.0.0.1', port: 80 }));
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    };
  }
}
`;
const REACT = `import { Plugin, Reactor, Satellite } from 'co2-relay';
@Satellite()
export class React extends Plugin {
  /** Forgets what it gets. */
  @Reactor()
  drop() {
    return { react() {} };
  }
}
`;

test('recordings of another relay are started, subscribed to and stopped, and its controllers commanded', async (t) => {
  const [, a, b] = await startPair(t, {}, { pluginsDir: pluginsDir(t, { 'lab/lab.ts': LAB }) });
  const at = { node: 'b' };
  const [listed] = (await a.callDirectly('recording.list', at)) as readonly Dict[];
  t.like(listed, { name: 'lab.lab:record', state: 'idle' });
  t.deepEqual(await a.callDirectly('recording.list'), [], 'its own are others');
  t.like(await a.callDirectly('recording.start', { name: 'lab.lab', ...at }), { state: 'recording' });
  const seen: string[] = [];
  for (let from = 'first'; seen.length < 10;) {
    const page = (await a.callDirectly('recording.subscribe', { name: 'lab.lab', from, waitMs: 20_000, limit: 3, ...at })) as Dict;
    for (const { payload, timestamp } of page.frames as readonly Dict[])
      seen.push(`${(payload as Buffer).toString()} ${timestamp as number}`);
    from = page.next as string;
  }
  t.deepEqual(
    seen.slice(0, 10),
    Array.from({ length: 10 }, (_, n) => `${n} ${1_764_500_000_000 + n}`),
    'every frame, in order',
  );
  let answer = (await a.callDirectly('recording.command', 'lab.lab', { type: 'text/plain', payload: 'one two' }, at)) as Dict;
  const words = [...(answer.frames as readonly Dict[])];
  while (answer.ended !== true) {
    answer = (await a.callDirectly('recording.frames', {
      command: answer.command ?? '',
      next: answer.next ?? 0,
      waitMs: 20_000,
      ...at,
    })) as Dict;
    words.push(...(answer.frames as readonly Dict[]));
  }
  t.deepEqual(
    words.map(({ payload }) => (payload as Buffer).toString()),
    ['one', 'two'],
  );
  t.is(answer.state, 'succeeded');
  await t.throwsAsync(
    a.call('recording.frames', { command: answer.command ?? '', ...at }),
    { message: /there is no command/ },
    'of another caller',
  );
  t.like(await a.callDirectly('recording.stop', { name: 'lab.lab', ...at }), { state: 'idle' });
  await t.throwsAsync(a.callDirectly('recording.subscribe', { name: 'lab.none', ...at }), { message: /there is no datasource 'lab.none'/ });
  // The last frames are read; a subscriber that waits learns why it ends.
  const { next } = (await a.callDirectly('recording.get', { name: 'lab.lab', ...at })) as Dict;
  const waiting = a.callDirectly('recording.subscribe', { name: 'lab.lab', from: next ?? '', waitMs: 60_000, ...at });
  const failure = t.throwsAsync(waiting, { message: /\bb\b|node/ });
  await b.stop();
  await failure;
});

test('a service runs a watcher of another relay, which has to share it, and goes on when that relay is back', async (t) => {
  const plugins = pluginsDir(t, { 'lab/lab.ts': LAB, 'lab/react.ts': REACT });
  const watcher = (name: string, cfg: Record<string, string | string[]>): Config['services'] => ({
    [name]: { watchers: { there: { type: 'lab.lab', node: 'b', cfg } }, reactors: { drop: { type: 'lab.react' } } },
  });
  const services = { ...watcher('web', { names: ['web1', 'web2'] }), ...watcher('bad', { refuse: 'no such rack' }) };
  const [, a, b] = await startPair(t, { pluginsDir: plugins, services }, { services: {}, sharedWatchers: ['lab.lab'] });
  await a.seen.event('service.state', { service: 'web', state: 'running' });
  const nodesOf = async (): Promise<string> => {
    const { nodes } = (await a.callDirectly('service.status', 'web')) as Dict;
    return JSON.stringify(nodes);
  };
  await a.seen.event('service.changed', { service: 'web' });
  const there = { name: 'web1', status: 'up', host: '10.0.0.1', port: 80 };
  t.like(JSON.parse(await nodesOf()), { web1: there });
  const [bad] = ((await a.callDirectly('service.status', 'bad')) as { watchers: Dict[] }).watchers;
  t.is(bad?.node, 'b');
  const backoff = await a.seen.event('service.endpoint', {
    service: 'bad',
    role: 'watcher',
    state: { type: 'backoff', reason: /no such rack/ },
  });
  t.is(backoff.name, 'there');
  await b.stop();
  await a.seen.event('service.endpoint', { service: 'web', role: 'watcher', state: { type: 'backoff', reason: /^node b: / } });
  t.like(JSON.parse(await nodesOf()), { web1: there }, 'its nodes stay as they were last known');
  const runs = a.seen.matching('service.endpoint', { service: 'web', role: 'watcher', state: { type: 'running' } }).length;
  await b.start();
  await a.seen.event('service.endpoint', { service: 'web', role: 'watcher', state: { type: 'running' } }, runs + 1);
  t.pass();
});

test('a watcher that is not shared is not run for other nodes', async (t) => {
  const plugins = pluginsDir(t, { 'lab/lab.ts': LAB });
  const services = { web: { watchers: { there: { type: 'lab.lab', node: 'b', cfg: { names: [] } } } } };
  const [, a] = await startPair(t, { pluginsDir: plugins, services }, { services: {} });
  await a.seen.event('service.endpoint', {
    service: 'web',
    state: { type: 'backoff', reason: /'lab.lab' is not shared with other nodes; the operator adds it to sharedWatchers/ },
  });
  t.pass();
});

test('an ephemeral relay joins the mesh, submits and commands, and leaves no trace', async (t) => {
  const secret = join(temporaryDir(t), 'secret');
  writeFileSync(secret, randomBytes(32).toString('hex'), { mode: 0o600 });
  const cluster: Config = { trust: 'clusterSecret', clusterSecretFile: secret };
  const [, , , b] = await startPair(t, cluster, { pluginsDir: pluginsDir(t, { 'lab/lab.ts': LAB }) });
  const before = new Set(readdirSync(tmpdir()).filter((name) => name.startsWith('co2-ephemeral-')));
  const relay = await createRelay({ ...cluster, ephemeral: true, nick: 'visitor', peers: [b.url], drainMs: 500 });
  t.teardown(() => relay.stop());
  const visitor = { ...relay, seen: new EventRecord(relay.events, ['message.routed']) };
  await visitor.seen.event('mesh.link', { state: 'up' });
  const [directory = ''] = readdirSync(tmpdir()).filter((name) => name.startsWith('co2-ephemeral-') && !before.has(name));
  t.true(existsSync(join(tmpdir(), directory, 'state/node.key')));
  const { node } = (await relay.call('relay.get_trust')) as Dict;
  t.true(JSON.stringify(await b.callDirectly('relay.get_trust')).includes(node as string), 'its neighbour knows its key');
  t.like(await relay.call('work.submit', [{ type: 'shell.sort', id: 'u1', node: 'b', payload: 'b\na\n' }]), { unit: 'u1' });
  t.like(await relay.call('work.status', [{ unit: 'u1', waitMs: 60_000 }]), { state: 'succeeded' });
  const page = (await relay.call('work.results', [{ unit: 'u1', waitMs: 20_000 }])) as { items: Buffer[] };
  t.is(page.items.join(''), 'a\nb\n');
  const answer = (await relay.call('recording.command', ['lab.lab', { type: 'text/plain', payload: 'one' }, { node: 'b' }])) as Dict;
  t.is((answer.frames as readonly Dict[]).length, 1);
  t.true(await relay.call('work.release', ['u1']));
  await relay.stop();
  t.false(existsSync(join(tmpdir(), directory)), 'its directory is gone');
  await b.seen.event('mesh.link', { node: node as string, state: 'down' });
  t.false(JSON.stringify(await b.callDirectly('relay.get_trust')).includes(node as string), 'its key is forgotten');
  await b.callDirectly('notify', { data: 'hello' });
  const waiting = (await b.callDirectly('outbox.list', {})) as Dict;
  t.false(JSON.stringify(waiting).includes(node as string), 'nothing waits for it');
  await t.throwsAsync(createRelay({ ephemeral: true, dataDir: 'x' }), { message: /an ephemeral relay keeps nothing; leave dataDir out/ });
});
