/** Units that other relays run, with real relays on sockets that end and start again. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Config } from '../../src/config/config.ts';
import type { Dict } from '../../src/values/values.ts';
import { freePorts, startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const WORK: Config['work'] = {
  'shell.sort': { exec: 'sort' },
  'shell.count': { exec: 'sh', args: ['-c', 'for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.15; done; echo over >&2'] },
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

/** Two relays that list each other. */
async function placesOf(t: ExecutionContext, both: Config = {}): Promise<readonly [Place, Place]> {
  const ports = await freePorts(2);
  const [a, b] = ['a', 'b'].map((nick, index) => {
    const peer = `http://127.0.0.1:${ports[1 - index] ?? 0}`;
    const config = { port: ports[index] ?? 0, peers: [peer], nick, dataDir: join(temporaryDir(t), nick), drainMs: 500 };
    return new Place(t, { ...config, retry: { minMs: 5, maxMs: 50 }, work: nick === 'b' ? WORK : {}, ...both });
  });
  if (!a || !b) throw new Error('there are two');
  return [a, b];
}

/** Starts both, and waits for their link. */
async function startPair(t: ExecutionContext, both?: Config): Promise<readonly [Place, TestRelay, Place, TestRelay]> {
  const [a, b] = await placesOf(t, both);
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
  await a.callDirectly('work.submit', { type: 'shell.count', id: 'u1', node: 'b' });
  const page = (await a.callDirectly('work.results', { unit: 'u1', waitMs: 20_000 })) as Dict;
  t.true((page.items as readonly unknown[]).length === 0 || page.state === 'running');
  await a.seen.event('work.state', { unit: 'u1', state: 'running' });
  await b.stop();
  await b.start();
  t.like(await status(a, 'u1'), { state: 'failed', reason: 'the relay was stopped while it ran' });
  t.regex(await textOf(a, 'u1', 'stdout'), /^(1\n2?)?/);
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
