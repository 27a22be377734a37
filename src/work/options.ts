/** The options of work units. */
import * as z from 'zod/mini';

/** A program that is work: stdin is the payload, and stdout, stderr and the exit code are the results. */
export interface WorkProgram {
  /** The executable: a path, or a name on the PATH of the relay. It is started without a shell. It has no default. */
  readonly exec: string;
  /** Its arguments. Default none. */
  readonly args?: readonly string[] | undefined;
  /** Environment variables in addition to the few that it inherits. Default none. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The working directory, an absolute path. Default: a directory of the unit's own, which is deleted with it. */
  readonly cwd?: string | undefined;
  /** Units of this type that run at once. Default: only the limit on all units. */
  readonly maxConcurrent?: number | undefined;
  /** ms that a unit may run. Default: `workLimits.timeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /**
   * Names of parameters that a submission may have. Each is passed as the environment variable `CO2_PARAM_<NAME>`, in capitals. Default
   * none: parameters are refused.
   */
  readonly params?: readonly string[] | undefined;
  /** A sentence for `co2 work types`. Default none. */
  readonly help?: string | undefined;
}

/** Limits on all units of this relay. */
export interface WorkLimits {
  /** Units that run at once. Default 8: enough to keep a few cores busy; more wait in order, and memory stays free for the relay. */
  readonly maxRunning: number;
  /** Units that wait. Default 10,000: one more is refused. Each takes about 1 KB of memory. */
  readonly maxPending: number;
  /** ms that a unit may wait for its start, unless its submission says otherwise. Default 24 hours. */
  readonly ttlMs: number;
  /** ms that a unit may run, unless its type or its submission says otherwise. Default 1 hour. */
  readonly timeoutMs: number;
  /** Bytes of the output of one unit; the rest is dropped, and the unit is marked `truncated`. Default 4 GiB. */
  readonly maxOutputBytes: number;
  /** Bytes of all payloads and results on the disk. Default 16 GiB: submissions are refused until something is released. */
  readonly maxBytes: number;
  /** ms that a finished unit is kept, with its results, unless it is released before. Default 7 days. */
  readonly keepMs: number;
  /** Finished units that are kept; the oldest are removed first. Default 10,000. */
  readonly maxKept: number;
}

export interface WorkOptions {
  /** Programs that can be submitted as work, by type: `{ 'shell.sort': { exec: 'sort' } }`. Default none. */
  readonly work: Readonly<Record<string, WorkProgram>>;
  /** Limits on units of work. */
  readonly workLimits: WorkLimits;
}

const GIB = 1024 ** 3;
const DAY_MS = 24 * 3_600_000;

export const workDefaults: WorkOptions = {
  work: {},
  workLimits: {
    maxRunning: 8,
    maxPending: 10_000,
    ttlMs: DAY_MS,
    timeoutMs: 3_600_000,
    maxOutputBytes: 4 * GIB,
    maxBytes: 16 * GIB,
    keepMs: 7 * DAY_MS,
    maxKept: 10_000,
  },
};

/** `shell.sort` */
const TYPE = /^[A-Za-z]\w{0,99}(\.[A-Za-z]\w{0,99}){1,4}$/;
const PARAM = /^[A-Za-z]\w{0,99}$/;

const count = z.int().check(z.gte(1), z.lte(1_000_000));
const ms = z.int().check(z.gte(1), z.lte(366 * DAY_MS));
const bytes = z.int().check(z.gte(0));

const workProgram = z.strictObject({
  exec: z.string().check(z.minLength(1)),
  args: z.optional(z.array(z.string())),
  env: z.optional(z.record(z.string(), z.string())),
  cwd: z.optional(z.string()),
  maxConcurrent: z.optional(count),
  timeoutMs: z.optional(ms),
  params: z.optional(z.array(z.string().check(z.regex(PARAM, 'expected a name of letters, digits and "_"')))),
  help: z.optional(z.string().check(z.maxLength(1_000))),
});

export const workShape = {
  work: z.record(z.string().check(z.regex(TYPE, "expected a type such as 'shell.sort'")), workProgram),
  workLimits: z.strictObject({
    maxRunning: count,
    maxPending: count,
    ttlMs: ms,
    timeoutMs: ms,
    maxOutputBytes: bytes,
    maxBytes: bytes,
    keepMs: ms,
    maxKept: count,
  }),
};
