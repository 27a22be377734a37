/** Runs the contract test over a program of the fixtures. */
import { fileURLToPath } from 'node:url';
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
const AT_ONCE = 6;
const places = Array.from({ length: AT_ONCE }, () => Promise.resolve<unknown>(undefined));
let next = 0;

/** What is found of a program of this mode. */
export function look(mode: string, over: Partial<CheckOptions> = {}): Promise<Looked> {
  const place = next++ % AT_ONCE;
  const looked = places[place]!.then(() => lookNow(mode, over));
  places[place] = looked.catch(() => undefined);
  return looked;
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
