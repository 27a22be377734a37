/** Relays as processes that are killed and suspended under load keep their promises, and the oracle notices those that do not. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PACKAGE_DIR, PROJECT_DIR } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';
import { Oracle } from './oracle.ts';
import { run } from './run.ts';
import type { RunOptions, RunResult } from './run.ts';

function runOf(t: ExecutionContext, options: Partial<RunOptions>): Promise<RunResult> {
  t.timeout(150_000);
  const common = { seed: 1, nodes: 2, chaosMs: 5000, healMs: 60_000, directory: temporaryDir(t), co2: join(PACKAGE_DIR, 'bin/co2.mjs') };
  return run({ ...common, ...options });
}

// In README and docs/mesh.md, in these words, without the links.
const PROMISE =
  'Relay to relay, each message is stored once, before it is acknowledged. A durable satellite receives it at least once, and a repeat is ' +
  'marked `redelivered`. A message that was sent with `durable: false` is in memory only.';

test('what is promised is what these runs check', (t) => {
  for (const page of ['README.md', 'docs/mesh.md']) {
    const text = readFileSync(join(PROJECT_DIR, page), 'utf8').replace(/\[([^\]]+)\]\([^)]*\)/g, '$1');
    t.true(text.includes(PROMISE), page);
  }
});

test('three relays in a line that are killed, stopped and suspended lose nothing, and repeat nothing without saying so', async (t) => {
  const { violations, counts, faults } = await runOf(t, { nodes: 3, shape: 'line', chaosMs: 10_000 });
  t.deepEqual(violations, []);
  t.true(counts.acknowledged > 20 && counts.delivered > 50 && faults.kill > 2, JSON.stringify({ counts, faults }));
});

// While its neighbour does not answer, a relay has what it acknowledged on its own disk only.
const KILLED_MEANWHILE = [
  { at: 500, type: 'suspend', node: 1, forMs: 4000 },
  { at: 3000, type: 'kill', node: 0, forMs: 0 },
] as const;
const BROKEN: Readonly<Record<string, Partial<RunOptions>>> = {
  'acknowledges before it has written': { sabotage: 'late-writes.mjs' },
  'loses its store': { losesStores: true },
};
for (const [what, options] of Object.entries(BROKEN)) {
  test(`the oracle finds a relay that ${what}`, async (t) => {
    const { violations } = await runOf(t, { ...options, faults: KILLED_MEANWHILE, healMs: 3000 });
    t.true(
      violations.some((violation) => /^n1 has not received [cp]0\S+, which was acknowledged$/.test(violation)),
      violations.join('\n'),
    );
  });
}

test('a relay that breaks nothing passes the same', async (t) => {
  t.deepEqual((await runOf(t, { faults: KILLED_MEANWHILE })).violations, []);
});

/** What the oracle says of relays that wrote this: lines of each of their files. */
function judged(t: ExecutionContext, relays: readonly Readonly<Record<string, readonly unknown[][]>>[]): readonly string[] {
  const directory = temporaryDir(t);
  const records = relays.map((files, index) => {
    const own = join(directory, `n${index}`);
    mkdirSync(own);
    for (const file of ['durable', 'ordinary', 'sent'])
      writeFileSync(join(own, `${file}.jsonl`), (files[file] ?? []).map((line) => `${JSON.stringify(line)}\n`).join(''));
    return { directory: own };
  });
  return new Oracle(records).violations({ inOrder: true });
}

const sent = (...names: string[]): unknown[][] =>
  names.flatMap((name) => [
    ['sent', name, 'ordered', ''],
    ['acked', name, `id-${name}`],
  ]);
const got = (name: string, isRedelivered = false, life = '1'): unknown[] => [name, `id-${name}`, isRedelivered, life];

test('the oracle finds messages that are missing, repeated, out of order, or where they do not belong', (t) => {
  const complete = [got('a.1'), got('a.2')];
  t.deepEqual(judged(t, [{ sent: sent('a.1', 'a.2'), durable: complete }, { durable: complete }]), []);
  t.deepEqual(judged(t, [{ sent: sent('a.1'), durable: [got('a.1')] }, {}]), ['n1 has not received a.1, which was acknowledged']);
  t.deepEqual(judged(t, [{ sent: sent('a.1'), durable: [got('a.1'), got('a.1', true, '2')] }]), []);
  t.deepEqual(judged(t, [{ sent: sent('a.1'), durable: [got('a.1'), got('a.1', false, '2')] }]), [
    'n0 (durable) received a.1 twice, and it was not marked',
  ]);
  t.deepEqual(judged(t, [{ sent: sent('a.1', 'a.2'), durable: [got('a.2'), got('a.1')] }]), ['n0 (durable) received a.1 after a.2']);
  t.deepEqual(judged(t, [{ sent: [['sent', 'a.1', 'one', 'n1']], ordinary: [got('a.1')] }, {}]), [
    'n0 (ordinary) received a.1, which is for n1',
  ]);
  const one = [
    ['sent', 'a.1', 'one', 'n0'],
    ['acked', 'a.1', 'id-a.1'],
  ];
  const outcome = (status: string): unknown[] => ['outcome', 'id-a.1', status, 'node', '1'];
  t.deepEqual(judged(t, [{ sent: [...one, outcome('delivered')], durable: [got('a.1')] }]), []);
  t.deepEqual(judged(t, [{ sent: one, durable: [got('a.1')] }]), ['the sender of a.1 got no report']);
  t.deepEqual(judged(t, [{ sent: [...one, outcome('delivered'), outcome('delivered')], durable: [got('a.1')] }]), [
    'the sender of a.1 got a report twice: delivered',
  ]);
  t.deepEqual(judged(t, [{ sent: [...one, outcome('expired')], durable: [got('a.1')] }]), ['the sender of a.1 got the report expired']);
  t.deepEqual(judged(t, [{ ordinary: [got('b.1')] }]), ['n0 (ordinary) received b.1, which nobody sent']);
  t.deepEqual(judged(t, [{ sent: sent('a.1'), durable: [got('a.1', true)] }]), [
    'n0 (durable) received a.1 as redelivered in its first life',
  ]);
});
