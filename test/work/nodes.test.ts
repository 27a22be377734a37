/** Units that other nodes run: over a mesh in memory whose nodes end and are cut off, with a virtual clock. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { RelayError } from '../../src/core/core.ts';
import type { Executor } from '../../src/work/work.ts';
import { dictOf } from '../../src/values/values.ts';
import { Gate } from '../support/gate.ts';
import { LOCAL, WorkMesh, nodeId, sessionOf, structsIn } from '../support/work-nodes.ts';
import type { WorkNode } from '../support/work-nodes.ts';

const TYPE = 'ham.spam:work';
const B = nodeId('b');
const done: Executor['run'] = () => Promise.resolve(undefined);

/** Never ends by itself. */
const untilAborted: Executor['run'] = ({ signal }) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('aborted'));
    });
  });

/** Puts out each word of its payload. */
const words: Executor['run'] = async ({ payload }, { put }) => {
  if (!('bytes' in payload)) throw new Error('no bytes');
  for (const word of payload.bytes.toString().split(' ')) await put('results', { kind: 'text', bytes: Buffer.from(word) });
  return undefined;
};

const stateOf = async (node: WorkNode, unit: string): Promise<string> => {
  const { state, reason } = (await node.call('work.status', { unit })) as { state: string; reason: string };
  return reason === '' ? state : `${state}: ${reason}`;
};
/** The state of a unit once that is none of the first two. */
async function ended(node: WorkNode, unit: string): Promise<string> {
  if ((await stateOf(node, unit)) === 'pending') await node.states.until((state) => state === `${unit} failed`);
  return stateOf(node, unit);
}
const idsAt = async (node: WorkNode): Promise<readonly unknown[]> => structsIn(await node.call('work.list')).map(({ unit }) => unit);

test('a unit runs at the node that it names, and its states and results are read at the submitter', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  b.offer(TYPE, words);
  const unit = await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', payload: 'one two three' });
  t.like(unit, { unit: 'u1', state: 'pending', node: B, payload_bytes: 13 });
  await a.states.until((state) => state === 'u1 succeeded');
  t.is(a.states.all[0], 'u1 pending');
  const results = await a.call('work.results', { unit: 'u1', offset: 3 });
  t.like(results, { items: ['two', 'three'], next: 11, ended: true, state: 'succeeded' });
  t.like(await a.call('work.results', { unit: 'u1', offset: 4 }), { items: [Buffer.from('wo'), 'three'] }, 'from the middle of a result');
  t.deepEqual(await idsAt(b), [`u1@${a.id}`]);
  t.like(await b.call('work.status', `u1@${a.id}`), { submitter: `token me at 127.0.0.1 at node ${a.id}`, node: B });
  await a.call('work.release', 'u1');
  t.deepEqual([await idsAt(a), await idsAt(b)], [[], []]);
  t.deepEqual([await readdir(a.directory), await readdir(b.directory)], [[], []], 'no file is left at either end');
});

for (const restarted of ['nobody', 'the submitter', 'everybody']) {
  test(`a unit for a node that is down runs when it is up: ${restarted} restarted in between`, async (t) => {
    const mesh = new WorkMesh(t);
    const [a, b] = [await mesh.node('a'), await mesh.node('b')];
    const payloads: string[] = [];
    b.offer(TYPE, async (order, report) => {
      if ('bytes' in order.payload) payloads.push(order.payload.bytes.toString());
      return words(order, report);
    });
    await b.crash();
    await a.call('work.submit', { type: TYPE, id: 'u1', node: B, payload: 'one two' });
    await mesh.pass(600_000);
    t.is(await stateOf(a, 'u1'), 'pending');
    if (restarted !== 'nobody') await a.restart();
    await mesh.pass(3_000);
    if (restarted === 'everybody') {
      await a.crash();
      await b.start();
      await b.crash();
      await a.start();
    }
    await b.start();
    await mesh.pass(3_000);
    await a.states.until((state) => state === 'u1 succeeded');
    t.deepEqual(payloads, ['one two'], 'once');
    t.like(await a.call('work.results', 'u1'), { items: ['one', 'two'], ended: true });
  });
}

test('a unit whose node is down for too long has expired, and never runs', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  let runs = 0;
  b.offer(TYPE, () => {
    runs++;
    return Promise.resolve(undefined);
  });
  await b.crash();
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', ttl: 5_000 });
  await mesh.pass(6_000);
  t.is(await stateOf(a, 'u1'), `expired: it did not reach node b (${B}) in time (ttl)`);
  await b.start();
  await mesh.pass(3_000);
  t.is(runs, 0);
});

test('a node that vanishes makes its units lost within 35 seconds, and the truth replaces that', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  const goOn = new Gate<string>();
  b.offer(TYPE, (order, report) => Promise.race([goOn.until(() => true).then(() => undefined), untilAborted(order, report)]));
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 running');
  mesh.cuts.add('ab');
  await mesh.pass(19_000);
  t.is(await stateOf(a, 'u1'), 'running');
  await mesh.pass(16_000);
  t.is(await stateOf(a, 'u1'), `lost: node b (${B}) was not heard of for 30 s`);
  mesh.cuts.clear();
  await mesh.pass(8_000);
  t.is(await stateOf(a, 'u1'), 'running', 'it ran all the time');
  mesh.cuts.add('ab');
  await mesh.pass(35_000);
  t.regex(await stateOf(a, 'u1'), /^lost/);
  mesh.cuts.clear();
  await mesh.pass(8_000);
  t.regex(await stateOf(a, 'u1'), /^lost/, 'that it runs is believed once');
  goOn.push('go on');
  await a.states.until((state) => state === 'u1 succeeded');
  t.is(await stateOf(a, 'u1'), 'succeeded');
});

test('a relay that was suspended declares nothing lost', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  b.offer(TYPE, untilAborted);
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 running');
  mesh.clock.advanceHeld(120_000);
  await mesh.pass(1_000);
  t.is(await stateOf(a, 'u1'), 'running');
});

test('a node that crashes while a unit runs says so when it is back', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  b.offer(TYPE, untilAborted);
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 running');
  await b.restart();
  await mesh.pass(5_000);
  t.regex(await stateOf(a, 'u1'), /^failed: orphaned/);
});

test('a node that lost its disk does not have the unit any more', async (t) => {
  const mesh = new WorkMesh(t);
  const a = await mesh.node('a');
  const b = await mesh.node('b');
  b.offer(TYPE, untilAborted);
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 running');
  await b.work.release(b.work.find(`u1@${a.id}`, undefined));
  await mesh.pass(2_000);
  t.regex(await stateOf(a, 'u1'), /^(canceled|lost: .* does not have it any more)/);
});

test('what a node refuses has failed with its reason', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  b.offer(TYPE, done, { params: [] });
  await a.call('work.submit', { type: 'ham.spam:wrok', id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 failed');
  t.regex(await stateOf(a, 'u1'), /failed: node .* did not take it: there is no work 'ham.spam:wrok'; did you mean "ham.spam:work"/);
  await a.call('work.submit', { type: TYPE, id: 'u2', node: 'b', params: { depth: 3 } });
  await a.states.until((state) => state === 'u2 failed');
  t.regex(await stateOf(a, 'u2'), /does not take the parameter 'depth'/);
  b.refuses = "work.submit needs the right 'call', which a peer caller does not have";
  await a.call('work.submit', { type: TYPE, id: 'u3', node: 'b' });
  await a.states.until((state) => state === 'u3 failed');
  t.regex(await stateOf(a, 'u3'), /did not take it: work.submit needs the right 'call'/);
  t.deepEqual(await idsAt(b), []);
});

test('a submission that is brought to another node, or too late, begins nothing', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b, c] = [await mesh.node('a'), await mesh.node('b'), await mesh.node('c')];
  let runs = 0;
  for (const node of [b, c]) {
    node.offer(TYPE, () => {
      runs++;
      return Promise.resolve(undefined);
    });
  }
  mesh.cuts.add('ab');
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', ttl: 5_000 });
  const [submission] = mesh.sent;
  if (!submission) throw new Error('nothing was sent');
  await mesh.deliver(submission, c);
  await mesh.deliver(submission, b, 5_000);
  t.is(runs, 0);
  t.deepEqual([await idsAt(b), await idsAt(c)], [[], []]);
  await mesh.deliver(submission, b, 4_000);
  await b.states.until((state) => state === `u1@${a.id} succeeded`);
  t.is(runs, 1);
});

test('a refusal counts if it comes while the submitter is down, or before it has stored the unit', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  mesh.cuts.add('ab');
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.crash();
  const [submission] = mesh.sent;
  if (!submission) throw new Error('nothing was sent');
  await mesh.deliver(submission, b);
  await a.start();
  t.regex(await ended(a, 'u1'), /^failed: .* did not take it: there is no work 'ham.spam:work'/);
  mesh.refusesAtOnce = 'it may not';
  await a.call('work.submit', { type: TYPE, id: 'u2', node: 'b' });
  t.regex(await ended(a, 'u2'), /^failed: .* did not take it: it may not/);
});

test('a reader that waits goes on after the node could not be reached, also if it came meanwhile', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  const goOn = new Gate<string>();
  b.offer(TYPE, async (order, report) => {
    await goOn.until(() => true);
    return words(order, report);
  });
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', payload: 'one two' });
  await a.states.until((state) => state === 'u1 running');
  mesh.cuts.add('ab');
  await t.throwsAsync(a.call('work.results', { unit: 'u1' }), { message: /the results of unit u1 are at node/ }, 'one that does not wait');
  const waiting = a.call('work.results', { unit: 'u1', waitMs: 20_000 });
  await mesh.pass(2_000);
  t.like(await waiting, { items: [], next: 0, ended: false, state: 'running' });
  mesh.cuts.clear();
  goOn.push('go on');
  await mesh.pass(8_000);
  await a.states.until((state) => state === 'u1 succeeded');
  t.like(await a.call('work.results', { unit: 'u1', waitMs: 20_000 }), { items: ['one', 'two'], ended: true });
});

test('a submission that comes again begins nothing, also after the unit was released', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  let runs = 0;
  b.offer(TYPE, () => {
    runs++;
    return Promise.resolve(undefined);
  });
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 succeeded');
  const [submission] = mesh.sent;
  if (!submission) throw new Error('nothing was sent');
  await mesh.deliver(submission, b);
  await a.call('work.release', 'u1');
  await mesh.deliver(submission, b);
  await b.restart();
  await mesh.deliver(submission, b);
  t.is(runs, 1);
  t.deepEqual(await idsAt(b), []);
});

test('a unit is canceled at its node, or there as soon as that can be reached', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  let runs = 0;
  b.offer(TYPE, (order, report) => {
    runs++;
    return untilAborted(order, report);
  });
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 running');
  t.like(await a.call('work.cancel', 'u1'), { state: 'canceled' });
  await b.states.until((state) => state === `u1@${a.id} canceled`);
  await a.call('work.submit', { type: TYPE, id: 'u2', node: 'b' });
  await a.states.until((state) => state === 'u2 running');
  mesh.cuts.add('ab');
  t.like(await a.call('work.cancel', 'u2'), { state: 'canceled' });
  await a.call('work.submit', { type: TYPE, id: 'u3', node: 'b' });
  t.like(await a.call('work.cancel', 'u3'), { state: 'canceled' }, 'it never arrived');
  await a.call('work.submit', { type: TYPE, id: 'u4', node: 'b' });
  await a.restart();
  await a.call('work.release', 'u4');
  t.deepEqual([...(await idsAt(a))].sort(), ['u1', 'u2', 'u3']);
  mesh.cuts.clear();
  await mesh.pass(2_000);
  await b.states.until((state) => state === `u2@${a.id} canceled`);
  t.is(runs, 2, 'what was canceled before it arrived never ran');
  for (const id of ['u1', 'u2', 'u3']) await a.call('work.release', id);
  await mesh.pass(2_000);
  t.deepEqual([await idsAt(a), await idsAt(b)], [[], []]);
  t.deepEqual([await readdir(a.directory), await readdir(b.directory)], [[], []], 'no file is left at either end');
});

test('a large payload and secret parameters are fetched, from the missing byte on', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  const seen: [number, unknown][] = [];
  b.offer(
    TYPE,
    async ({ payload, params }) => {
      const bytes = 'path' in payload ? await readFile(payload.path) : payload.bytes;
      seen.push([bytes.filter((byte, index) => byte === index % 251).length, Object.fromEntries(Object.entries(params))]);
      return undefined;
    },
    { payload: 'file' },
  );
  const payload = Buffer.alloc(1_500_000, Buffer.from(Array.from({ length: 251 }, (_, index) => index)));
  let pieces = 0;
  mesh.onCall = (_node, method) => {
    if (method === 'work.payload' && ++pieces === 2) throw new RelayError('TRANSPORT', 'the connection broke');
  };
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', payload, params: { secret_key: 'xyzzy', depth: 2 } });
  await mesh.pass(5_000);
  await a.states.until((state) => state === 'u1 succeeded');
  t.deepEqual(seen, [[1_500_000, { secret_key: 'xyzzy', depth: 2 }]]);
  t.is(pieces, 4, 'three pieces, of which one was asked for twice');
  t.false(
    mesh.sent.some((message) => message.payload.includes('xyzzy')),
    'no other disk has the secret',
  );
  t.like(await a.call('work.status', 'u1'), {
    payload_bytes: 1_500_000,
    params: dictOf([
      ['secret_key', '(hidden)'],
      ['depth', 2],
    ]),
  });
  await a.call('work.release', 'u1');
  t.deepEqual([await readdir(a.directory), await readdir(b.directory)], [[], []]);
});

test('a payload that is not the one that was submitted is refused', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b] = [await mesh.node('a'), await mesh.node('b')];
  b.offer(TYPE, done);
  await b.crash();
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', payload: Buffer.alloc(1_200_000, 'a') });
  await writeFile(join(a.directory, 'u1', 'payload'), Buffer.alloc(1_200_000, 'b'));
  await b.start();
  await mesh.pass(3_000);
  await a.states.until((state) => state === 'u1 failed');
  t.regex(await stateOf(a, 'u1'), /it is not the payload that was submitted/);
});

test('nodes see and end their own units only, and give payloads only to the node that runs the unit', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b, c] = [await mesh.node('a'), await mesh.node('b'), await mesh.node('c')];
  b.offer(TYPE, untilAborted);
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b', payload: Buffer.alloc(1_200_000) });
  await a.states.until((state) => state === 'u1 running');
  const unit = `u1@${a.id}`;
  for (const method of ['work.status', 'work.cancel', 'work.results'])
    await t.throwsAsync(c.call(method, { unit, node: 'b' }), { message: /there is no unit 'u1@/ }, method);
  await t.throwsAsync(c.call('work.release', { unit, node: 'b' }), { message: /there is no unit/ });
  await t.throwsAsync(a.call('work.status', { unit, node: 'b' }, LOCAL), { message: /needs the right 'admin'/ });
  t.like(await a.call('work.status', { unit, node: 'b' }), { unit, state: 'running', node: b.id });
  const asNode = { ...LOCAL, role: { kind: 'peer' as const } };
  for (const node of [undefined, c.id]) {
    const caller = { ...asNode, session: node === undefined ? undefined : sessionOf(node) };
    await t.throwsAsync(a.call('work.payload', { unit: 'u1' }, caller), { message: /is for nodes of the mesh|no payload/ });
  }
});

test('any is this relay if it offers the type, and else the nearest node that does; the same id stays where it is', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b, c] = [await mesh.node('a'), await mesh.node('b'), await mesh.node('c')];
  b.offer(TYPE, done);
  c.offer(TYPE, done);
  mesh.cuts.add('ab');
  t.like(await a.call('work.submit', { type: TYPE, id: 'u1', node: 'any' }), { node: c.id });
  mesh.cuts.clear();
  mesh.cuts.add('ac');
  t.like(await a.call('work.submit', { type: TYPE, id: 'u1', node: 'any' }), { unit: 'u1', node: c.id });
  t.like(await a.call('work.submit', { type: TYPE, id: 'u2', node: 'any' }), { node: b.id });
  a.offer(TYPE, done);
  t.like(await a.call('work.submit', { type: TYPE, id: 'u3', node: 'any' }), { node: a.id });
  await t.throwsAsync(a.call('work.submit', { type: 'no.body:does', node: 'any' }), {
    message: /there is no work 'no.body:does'/,
  });
  await t.throwsAsync(a.call('work.submit', { type: TYPE, node: 'nobody' }), { message: /no node is named 'nobody'/ });
});

test('a group gets a unit for each node, all or none', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b, c] = [await mesh.node('a'), await mesh.node('b'), await mesh.node('c')];
  for (const node of [a, b, c]) node.offer(TYPE, words);
  const answer = await a.call('work.submit', { type: TYPE, id: 'g', group: ['a', 'b', 'c'], payload: 'x' });
  t.is(answer.group, 'g');
  t.deepEqual(
    structsIn(answer.units).map(({ unit, node, group }) => [unit, node, group]),
    [a, b, c].map(({ id }, index) => [`g.${index + 1}`, id, 'g']),
  );
  for (const id of ['g.1', 'g.2', 'g.3']) await a.states.until((state) => state === `${id} succeeded`);
  t.is(structsIn(await a.call('work.list', { group: 'g' })).length, 3);
  await t.throwsAsync(a.call('work.submit', { type: TYPE, id: 'h', group: ['b', b.id] }), { message: /names a node twice/ });
  await t.throwsAsync(a.call('work.submit', { type: TYPE, id: 'h', group: ['b', 'nobody'] }), { message: /no node is named/ });
  await t.throwsAsync(a.call('work.submit', { type: TYPE, id: 'h', group: [] }), { message: /1 to 64 nodes/ });
  await t.throwsAsync(a.call('work.submit', { type: TYPE, id: 'h', group: ['b'], node: 'b' }), { message: /either node or group/ });
  t.is(structsIn(await a.call('work.list', { group: 'h' })).length, 0);
});

test('all nodes list their units, each once, and those that do not answer are named', async (t) => {
  const mesh = new WorkMesh(t);
  const [a, b, c] = [await mesh.node('a'), await mesh.node('b'), await mesh.node('c')];
  for (const node of [a, b, c]) node.offer(TYPE, done);
  await a.call('work.submit', { type: TYPE, id: 'u1', node: 'b' });
  await a.states.until((state) => state === 'u1 succeeded');
  mesh.cuts.add('ac');
  await a.call('work.submit', { type: TYPE, id: 'u2', node: 'c' });
  await a.call('work.submit', { type: TYPE, id: 'u3' });
  const { units, missing } = await a.call('work.list', { nodes: 'all' });
  t.deepEqual(
    structsIn(units)
      .map(({ unit, listed_by: by }) => [unit, by])
      .sort(),
    [
      ['u2', a.id],
      ['u3', a.id],
      [`u1@${a.id}`, b.id],
    ].sort(),
  );
  t.deepEqual(
    structsIn(missing).map(({ node }) => node),
    [c.id],
  );
  await t.throwsAsync(a.call('work.list', { nodes: 'all' }, LOCAL), { message: /needs the right 'admin'/ });
});
