/** Runs the contract test over a program of the fixtures. */
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { checkPlugin } from '../../src/check-plugin/check-plugin.ts';
import type { CheckOptions, CheckReport, Finding } from '../../src/check-plugin/check-plugin.ts';

/** The program whose one mistake the first of its arguments names. */
export const FIXTURE = fileURLToPath(new URL('../fixtures/checked/program.mjs', import.meta.url));

export interface Looked extends CheckReport {
  readonly wire: readonly string[];
  /** What is not well, in order. */
  readonly wrong: readonly Finding[];
}

// More at once would measure the machine, not the programs.
const AT_ONCE = 4;
// One look takes some three seconds; what does not end at all is to be seen before AVA ends the whole file.
const LIMIT_MS = 55_000;
const waiting: (() => void)[] = [];
let free = AT_ONCE;

/** What is found of a program of this mode. The time limit of the test begins when the look does, however long others kept it waiting. */
export async function look(t: ExecutionContext, mode: string, over: Partial<CheckOptions> = {}): Promise<Looked> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  t.timeout(LIMIT_MS);
  try {
    return await lookNow(mode, over);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free++;
  }
}

async function lookNow(mode: string, over: Partial<CheckOptions>): Promise<Looked> {
  const wire: string[] = [];
  const report = await checkPlugin({
    record: { name: 'ham', exec: process.execPath, args: [FIXTURE, mode] },
    timeoutMs: 10_000,
    callsMethods: false,
    version: '0.9.0',
    env: process.env,
    signal: new AbortController().signal,
    onFinding: () => {},
    onWire: (text) => {
      wire.push(text);
    },
    ...over,
  });
  return { ...report, wire, wrong: report.findings.filter(({ verdict }) => verdict !== 'ok') };
}
