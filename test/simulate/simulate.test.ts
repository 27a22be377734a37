/** The simulated mesh keeps its promises under faults, the same seed gives the same run, and the simulator finds what is broken. */
import test from 'ava';
import { SeenMessages, Topology } from '../../src/mesh-core/mesh-core.ts';
import { run } from './chaos.ts';
import { drainBacklog, quantile } from './backlog.ts';
import { converge } from './converge.ts';
import type { Overrides } from './world.ts';

const SEEDS = 200;
const NODES = 12;
const BLOCK = 20;

const counts = { delivered: 0, redelivered: 0, outcomes: 0 };
let cpuSeconds = 0;

// In blocks, each of which ends in time also on a busy machine.
for (let first = 1; first <= SEEDS; first += BLOCK) {
  test.serial(`meshes of ${NODES} nodes lose, repeat and forge nothing, and heal: seeds ${first} to ${first + BLOCK - 1}`, (t) => {
    t.timeout(120_000);
    const start = process.cpuUsage();
    for (let seed = first; seed < first + BLOCK; seed++) {
      const result = run({ seed, nodes: NODES });
      t.is(result.violation, undefined, `repeat it with: npm run simulate -- --nodes ${NODES} --seed ${seed}`);
      for (const name of ['delivered', 'redelivered', 'outcomes'] as const) counts[name] += result.counts[name];
    }
    const { user, system } = process.cpuUsage(start);
    cpuSeconds += (user + system) / 1e6;
  });
}

test.serial(`the faults had consequences, and ${SEEDS} seeds took less than a minute of processor time`, (t) => {
  t.true(counts.delivered > 50_000 && counts.redelivered > 100 && counts.outcomes > 1000, JSON.stringify(counts));
  t.log(`${cpuSeconds.toFixed(1)} s of processor time, ${JSON.stringify(counts)}`);
  t.true(cpuSeconds < 60, `${cpuSeconds} s of processor time`);
});

test('the same seed gives the same run, and another one another', (t) => {
  const [first, again, other] = [run({ seed: 5, nodes: NODES }), run({ seed: 5, nodes: NODES }), run({ seed: 6, nodes: NODES })];
  t.deepEqual(first, again);
  t.not(first.logHash, other.logHash);
});

test('300 relays that start together know each other within two seconds', (t) => {
  t.timeout(120_000);
  const { seconds, frames, cpuSeconds } = converge(300, 1);
  t.log(`${seconds} s, ${frames} frames, ${cpuSeconds.toFixed(1)} s of processor time`);
  t.true(seconds !== undefined && seconds <= 2);
  t.true(frames < 40_000, `${frames} frames`);
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
  [
    'the sync before the acknowledgement',
    { acknowledgesBeforeSync: true },
    /without disturbances: .+ from \d+ at \d+|delivered m\d+ twice/,
  ],
  ['the check that both ends list a link', { topology: (parts, now) => new TrustingTopology(parts, now) }, /no path leads|from \d+ at \d+/],
];

// A loss needs a crash within the two seconds before a late sync: about one seed in twelve has one that matters.
const MAX_SEEDS = 64;

for (const [what, overrides, violation] of BROKEN) {
  test(`the simulator finds it if ${what} is broken`, (t) => {
    t.timeout(120_000);
    let found: string | undefined;
    for (let seed = 1; seed <= MAX_SEEDS && found === undefined; seed++) found = run({ seed, nodes: NODES, overrides }).violation;
    t.regex(found ?? 'nothing', violation);
  });
}

test('a backlog of 20,000 drains in seconds, and fresh messages do not wait behind it', (t) => {
  const { seconds, freshMs, usualMs } = drainBacklog(20_000, 1);
  t.true(seconds < 10, `${seconds} s`);
  t.true(quantile(freshMs, 0.99) < quantile(usualMs, 0.99) + 100, `${quantile(freshMs, 0.99)} ms beside a backlog`);
});
