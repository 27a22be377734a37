/**
 * What passes between the relay and a child besides calls: the job on its command line, which other users see, and the list of its files.
 * No secrets.
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
  /** The relay plugins that config.ts names, which the relay itself loads. */
  readonly relayPlugins: readonly string[];
  /** Where compiled modules are cached. Undefined: nowhere. */
  readonly cacheDir?: string | undefined;
  /** The source of its configuration, in words for the operator. */
  readonly configSource: string;
  readonly setupTimeoutMs: number;
  readonly exitTimeoutMs: number;
  readonly receiveTimeoutMs: number;
  /** MB for the JavaScript heap, and as many again for bytes outside of it. */
  readonly maxMemoryMb: number;
  /** Lines of level debug are wanted. */
  readonly debug: boolean;
}

const RUNNER = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? 'runner.ts' : 'runner.js', import.meta.url));
const FROM_SOURCE = new URL('../../loader/from-source.mjs', import.meta.url).href;
// What `node` itself needs besides the values of the plugin.
const YOUNG_SPACE = '--max-semi-space-size=2';

/** The arguments of `node` that run it. */
export function argumentsOf(job: ChildJob): readonly string[] {
  const own = RUNNER.endsWith('.ts') ? ['--import', FROM_SOURCE] : [];
  return [`--max-old-space-size=${job.maxMemoryMb}`, YOUNG_SPACE, ...own, RUNNER, JSON.stringify(job)];
}

/** Reads what {@link argumentsOf} wrote. Throws if it is invalid. */
export function jobOf(argv: readonly string[]): ChildJob {
  return JSON.parse(argv[2] ?? '') as ChildJob;
}

/** Ends the process, with a reason for the log. */
export type EndProcess = (code: number, reason: string) => void;

/** The exit code of a child that used too much memory outside of its heap. */
export const OUT_OF_MEMORY = 86;

const INTERVAL_MS = 250;
const MB = 1024 * 1024;

/** Checks from time to time, without keeping the process alive. Node itself limits the heap (--max-old-space-size). */
export function watchOver(maxMemoryMb: number, end: EndProcess): void {
  const parent = ppid;
  setInterval(() => {
    // A process that loses its parent gets another one.
    if (process.ppid !== parent) end(0, 'the relay is gone');
    const { external, heapUsed } = memoryUsage();
    if (external + heapUsed > 2 * maxMemoryMb * MB)
      end(OUT_OF_MEMORY, `out of memory: it holds ${Math.round((external + heapUsed) / MB)} MB (maxMemoryMb: ${maxMemoryMb})`);
  }, INTERVAL_MS).unref();
}

// Of a module with more helpers only the nearest ones are watched.
const MAX_FILES = 1_000;
const MAX_IMPORTS = 1_000;
const MAX_TEXT = 5_000;

/** The files that a child imported, as XML-RPC for {@link readAccount}. */
export function accountOnWire(account: ModuleSnapshot): Sendable {
  return account.slice(0, MAX_FILES).map(({ file, print: { stamp, hash = '' }, imports }) => ({
    ...{ file, stamp, hash },
    imports: imports.map(([asked, found = '']) => [asked, found]),
  }));
}

/** The valid entries of `answer`; others are ignored. */
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
