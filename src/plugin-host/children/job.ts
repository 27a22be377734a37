/**
 * What the relay tells a child on its command line: which module it is, and the limits that it works within. No secret: other users see it.
 */
import { fileURLToPath } from 'node:url';
import type { FoundModule } from '../modules/modules.ts';
import { memoryUsage, ppid } from 'node:process';

/** The work of one child. */
export interface ChildJob {
  readonly found: FoundModule;
  /** What config.ts names as relay plugins, which the relay itself loads. */
  readonly relayPlugins: readonly string[];
  /** Where compiled modules are kept; undefined: nowhere. */
  readonly cacheDir?: string | undefined;
  /** Where its configuration stands, in words for the operator. */
  readonly configSource: string;
  readonly setupTimeoutMs: number;
  readonly exitTimeoutMs: number;
  readonly receiveTimeoutMs: number;
  /** MB for the values of JavaScript, and again as many for bytes outside of its heap. */
  readonly maxMemoryMb: number;
  /** Its lines of level debug are wanted. */
  readonly debug: boolean;
}

const RUNNER = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? 'runner.ts' : 'runner.js', import.meta.url));
const FROM_SOURCE = new URL('../../loader/from-source.mjs', import.meta.url).href;
// What `node` itself needs beside what the author's values take.
const YOUNG_SPACE = '--max-semi-space-size=2';

/** The arguments with which `node` runs it. */
export function argumentsOf(job: ChildJob): readonly string[] {
  const own = RUNNER.endsWith('.ts') ? ['--import', FROM_SOURCE] : [];
  return [`--max-old-space-size=${job.maxMemoryMb}`, YOUNG_SPACE, ...own, RUNNER, JSON.stringify(job)];
}

/** Reads what {@link argumentsOf} wrote. Throws if it is something else. */
export function jobOf(argv: readonly string[]): ChildJob {
  return JSON.parse(argv[2] ?? '') as ChildJob;
}

/** Ends the process, with a reason for the log. */
export type EndProcess = (code: number, reason: string) => void;

/** The exit code of a child that held too much memory outside of its heap. */
export const OUT_OF_MEMORY = 86;

const INTERVAL_MS = 250;
const MB = 1024 * 1024;

/** Looks now and then; keeps nothing alive. The heap itself is bounded by Node (--max-old-space-size). */
export function watchOver(maxMemoryMb: number, end: EndProcess): void {
  const parent = ppid;
  setInterval(() => {
    // Who loses its parent gets another one.
    if (process.ppid !== parent) end(0, 'the relay is gone');
    const { external, heapUsed } = memoryUsage();
    if (external + heapUsed > 2 * maxMemoryMb * MB)
      end(OUT_OF_MEMORY, `out of memory: it holds ${Math.round((external + heapUsed) / MB)} MB (maxMemoryMb: ${maxMemoryMb})`);
  }, INTERVAL_MS).unref();
}
