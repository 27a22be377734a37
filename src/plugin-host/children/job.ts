/**
 * The data that the relay and a child exchange besides calls: the job on the command line and the list of imported files. Neither may
 * contain secrets, because other users can see the command line.
 */
import { memoryUsage, ppid } from 'node:process';
import { fileURLToPath } from 'node:url';
import type { ModuleSnapshot } from '../../loader/loader.mjs';
import { isDict } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { FoundModule } from '../modules/modules.ts';

/** The job of one child. */
export interface ChildJob {
  readonly found: FoundModule;
  /** The relay plugins named in config.ts, which the relay itself loads. */
  readonly relayPlugins: readonly string[];
  /** The directory where compiled modules are cached. Undefined disables the cache. */
  readonly cacheDir?: string | undefined;
  /** Where the configuration comes from, worded for the operator. */
  readonly configSource: string;
  readonly setupTimeoutMs: number;
  readonly exitTimeoutMs: number;
  readonly receiveTimeoutMs: number;
  /** The size limit of the JavaScript heap in MB; the same amount is allowed for memory outside of the heap. */
  readonly maxMemoryMb: number;
  /** True if the child should send log lines of level debug. */
  readonly debug: boolean;
}

const RUNNER = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? 'runner.ts' : 'runner.js', import.meta.url));
const FROM_SOURCE = new URL('../../loader/from-source.mjs', import.meta.url).href;
// Memory that `node` itself needs besides the data of the plugin.
const YOUNG_SPACE = '--max-semi-space-size=2';

/** The arguments for `node` that run the job. */
export function argumentsOf(job: ChildJob): readonly string[] {
  const own = RUNNER.endsWith('.ts') ? ['--import', FROM_SOURCE] : [];
  return [`--max-old-space-size=${job.maxMemoryMb}`, YOUNG_SPACE, ...own, RUNNER, JSON.stringify(job)];
}

/** Parses the job that {@link argumentsOf} wrote. Throws if it is invalid. */
export function jobOf(argv: readonly string[]): ChildJob {
  return JSON.parse(argv[2] ?? '') as ChildJob;
}

/** Ends the process with a reason for the log. */
export type EndProcess = (code: number, reason: string) => void;

/** The exit code of a child that used too much memory outside of its heap. */
export const OUT_OF_MEMORY = 86;
/** The exit code of a child that has lost the pipe to its relay. */
export const PIPE_LOST = 87;

const INTERVAL_MS = 250;
const MB = 1024 * 1024;

/** Checks memory and parent periodically without keeping the process alive. Node itself limits the heap (--max-old-space-size). */
export function watchOver(maxMemoryMb: number, end: EndProcess): void {
  const parent = ppid;
  setInterval(() => {
    // The parent id changes when the parent process exits.
    if (process.ppid !== parent) end(0, 'the relay is gone');
    const { external, heapUsed } = memoryUsage();
    if (external + heapUsed > 2 * maxMemoryMb * MB)
      end(OUT_OF_MEMORY, `out of memory: it holds ${Math.round((external + heapUsed) / MB)} MB (maxMemoryMb: ${maxMemoryMb})`);
  }, INTERVAL_MS).unref();
}

// If a module imports more files, only those nearest to it are watched.
const MAX_FILES = 1_000;
const MAX_IMPORTS = 1_000;
const MAX_TEXT = 5_000;

/** Encodes the files that a child imported as an XML-RPC value for {@link readAccount}. */
export function accountOnWire(account: ModuleSnapshot): Sendable {
  return account.slice(0, MAX_FILES).map(({ file, print: { stamp, hash = '' }, imports }) => ({
    ...{ file, stamp, hash },
    imports: imports.map(([asked, found = '']) => [asked, found]),
  }));
}

/** Returns the valid entries of `answer` and ignores others. */
export function readAccount(answer: Value | undefined): ModuleSnapshot {
  if (!Array.isArray(answer) || answer.length > MAX_FILES) return [];
  return answer.flatMap((entry: Value) => {
    const { file, stamp, hash, imports } = isDict(entry) ? entry : {};
    if (!isText(file) || !isText(stamp) || !isText(hash) || !Array.isArray(imports) || imports.length > MAX_IMPORTS) return [];
    return [{ file, print: { stamp, hash: hash === '' ? undefined : hash }, imports: imports.flatMap(readImport) }];
  });
}

function readImport(pair: Value): [asked: string, found: string | undefined][] {
  const [asked, found] = Array.isArray(pair) ? (pair as readonly Value[]) : [];
  return isText(asked) && isText(found) ? [[asked, found === '' ? undefined : found]] : [];
}

function isText(value: Value | undefined): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT;
}
