/**
 * `npm run chaos -- --minutes N [--seed S] [--nodes M]`: runs relays as processes that are killed and suspended at random, and says which
 * seeds fail. Without `--minutes` there is one run, of the seed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildTests } from '../../scripts/test-build.mjs';
import { PROJECT_DIR } from '../support/processes.ts';
import { run } from './run.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '0' },
    seed: { type: 'string' },
    nodes: { type: 'string', default: '5' },
  },
});
const [minutes, nodes] = [Number(values.minutes), Number(values.nodes)];
const first = values.seed === undefined ? Math.floor(Math.random() * 1e6) : Number(values.seed);
if (!(minutes >= 0) || !Number.isSafeInteger(first) || !(Number.isSafeInteger(nodes) && nodes >= 2 && nodes <= 16))
  throw new Error('--minutes is a number, --seed an integer, and --nodes one from 2 to 16');

const CHAOS_MS = 30_000;
const HEAL_MS = 90_000;
const MAX_SHOWN = 20;

const write = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Runs one seed; true if all promises were kept. */
async function passes(seed: number, co2: string): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), `co2-chaos-${seed}-`));
  let violations: readonly string[];
  try {
    const result = await run({ seed, nodes, directory, co2, chaosMs: CHAOS_MS, healMs: HEAL_MS });
    ({ violations } = result);
    const { shape, trust, faults, counts, healedMs } = result;
    write(
      `seed ${seed}: ${nodes} relays (${shape}, ${trust}), killed ${faults.kill} times, ended ${faults.stop}, suspended ${faults.suspend}; ` +
        `${counts.sent} messages, ${counts.acknowledged} acknowledged, ${counts.delivered} deliveries and ${counts.redelivered} marked as ` +
        `repeated; all there ${(healedMs / 1000).toFixed(1)} s after the last fault`,
    );
  } catch (error) {
    violations = [error instanceof Error ? error.message : String(error)];
  }
  if (violations.length === 0) {
    rmSync(directory, { recursive: true, force: true });
    return true;
  }
  write(`seed ${seed} failed:`);
  for (const violation of violations.slice(0, MAX_SHOWN)) write(`  ${violation}`);
  if (violations.length > MAX_SHOWN) write(`  and ${violations.length - MAX_SHOWN} more`);
  write(`  what the relays wrote is in ${directory}\n  repeat it with: npm run chaos -- --nodes ${nodes} --seed ${seed}`);
  return false;
}

const co2 = join(PROJECT_DIR, await buildTests(), 'bin/co2.mjs');
const end = Date.now() + minutes * 60_000;
let [seed, passed] = [first, 0];
do {
  if (await passes(seed++, co2)) passed++;
} while (Date.now() < end);
write(`${passed} of ${seed - first} seeds passed`);
if (passed < seed - first) process.exitCode = 1;
