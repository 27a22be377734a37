/**
 * `npm run simulate -- --seeds N --nodes M [--seed S]`: runs the mesh on a virtual network with faults, and says which seeds fail.
 * With `--converge N` it says how long N relays take to know each other, and with `--backlog N` how N messages that waited arrive.
 */
import { parseArgs } from 'node:util';
import { drainBacklog, quantile } from './backlog.ts';
import { run } from './chaos.ts';
import { converge } from './converge.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    nodes: { type: 'string', default: '12' },
    seed: { type: 'string' },
    converge: { type: 'string' },
    backlog: { type: 'string' },
  },
});
const write = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
if (values.backlog !== undefined) {
  const { seconds, freshMs, usualMs } = drainBacklog(Number(values.backlog), Number(values.seed ?? 1));
  const text = (sorted: readonly number[]): string =>
    `${quantile(sorted, 0.5).toFixed(0)} ms (median), ${quantile(sorted, 0.99).toFixed(0)} ms (p99)`;
  write(`${values.backlog} messages that waited arrived within ${seconds.toFixed(1)} s`);
  write(`fresh messages took ${text(freshMs)} meanwhile, and ${text(usualMs)} without a backlog`);
} else if (values.converge === undefined) simulate();
else {
  const nodes = Number(values.converge);
  const { seconds, frames, cpuSeconds } = converge(nodes, Number(values.seed ?? 1));
  const what = seconds === undefined ? 'do not know each other after two minutes' : `know each other after ${seconds} s`;
  write(`${nodes} relays ${what}; ${frames} frames, ${cpuSeconds.toFixed(1)} s of processor time`);
  if (seconds === undefined) process.exitCode = 1;
}

function simulate(): void {
  const nodes = Number(values.nodes);
  const first = values.seed === undefined ? 1 : Number(values.seed);
  const count = values.seed === undefined ? Number(values.seeds) : 1;
  if (![nodes, first, count].every(Number.isSafeInteger) || nodes < 3)
    throw new Error('--seeds, --nodes (at least 3) and --seed are integers');
  const start = process.cpuUsage();
  const failed: number[] = [];
  const heals: number[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const { violation, logHash, healedMs, events, counts } = run({ seed, nodes });
    heals.push(healedMs);
    if (count === 1) write(`seed ${seed}: log ${logHash}, ${events} events, healed in ${healedMs} ms, ${JSON.stringify(counts)}`);
    if (violation === undefined) continue;
    failed.push(seed);
    write(`seed ${seed} failed: ${violation}\n  repeat it with: npm run simulate -- --nodes ${nodes} --seed ${seed}`);
  }
  const { user, system } = process.cpuUsage(start);
  heals.sort((one, other) => one - other);
  const healed = `healed in ${heals[heals.length >> 1] ?? 0} ms (median), ${heals.at(-1) ?? 0} ms (longest)`;
  write(
    `${count - failed.length} of ${count} seeds passed with ${nodes} nodes; ${healed}; ${((user + system) / 1e6).toFixed(1)} s of processor time`,
  );
  if (failed.length > 0) process.exitCode = 1;
}
