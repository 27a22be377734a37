/** The simulated mesh keeps its promises under faults, the same seed gives the same run, and the simulator finds what is broken. */
import test from 'ava';
import { SeenMessages, Topology } from '../../src/mesh-core/mesh-core.ts';
import { run } from './chaos.ts';
import type { Overrides } from './world.ts';

const SEEDS = 200;
const NODES = 12;

test('200 meshes of 12 nodes lose, repeat and forge nothing, and heal', (t) => {
  t.timeout(300_000);
  const start = process.cpuUsage();
  const counts = { delivered: 0, redelivered: 0, outcomes: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = run({ seed, nodes: NODES });
    t.is(result.violation, undefined, `repeat it with: npm run simulate -- --nodes ${NODES} --seed ${seed}`);
    for (const name of ['delivered', 'redelivered', 'outcomes'] as const) counts[name] += result.counts[name];
  }
  // The faults had consequences, or the runs would prove nothing.
  t.true(counts.delivered > 100_000 && counts.redelivered > 100 && counts.outcomes > 1000, JSON.stringify(counts));
  const { user, system } = process.cpuUsage(start);
  t.true((user + system) / 1e6 < 60, `${(user + system) / 1e6} s of processor time`);
});

test('the same seed gives the same run, and another one another', (t) => {
  const [first, again, other] = [run({ seed: 5, nodes: NODES }), run({ seed: 5, nodes: NODES }), run({ seed: 6, nodes: NODES })];
  t.deepEqual(first, again);
  t.not(first.logHash, other.logHash);
});

class ForgetfulMessages extends SeenMessages {
  override look(): 'new' {
    return 'new';
  }
}

class TrustingTopology extends Topology {
  protected override isListedBy(): boolean {
    return true;
  }
}

const BROKEN: readonly (readonly [what: string, overrides: Overrides, violation: RegExp])[] = [
  ['deduplication', { seen: () => new ForgetfulMessages() }, /delivered m\d+ twice/],
  ['the sync before the acknowledgement', { acknowledgesBeforeSync: true }, /without disturbances: .+ from \d+ at \d+/],
  ['the check that both ends list a link', { topology: (parts, now) => new TrustingTopology(parts, now) }, /no path leads|from \d+ at \d+/],
];

for (const [what, overrides, violation] of BROKEN) {
  test(`the simulator finds it if ${what} is broken`, (t) => {
    t.timeout(120_000);
    const found = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => run({ seed, nodes: NODES, overrides }).violation).find((one) => one !== undefined);
    t.regex(found ?? 'nothing', violation);
  });
}
