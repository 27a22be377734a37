/** The configuration of a program: how it is started, and its timeouts. */
import * as z from 'zod/mini';
import english from 'zod/v4/locales/en.js';
import { writeOptionsShape } from '../../rpc/rpc.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { isReserved } from '../hosted/hosted.ts';

/** A program that the relay starts, as written in `config.ts`. */
export interface ProgramRecord {
  /**
   * The name of the plugin, and the prefix of its methods: `ham` or `ham.spam`. It must differ from the names of all other programs and
   * modules. Required; no default.
   */
  readonly name: string;
  /**
   * The executable, which is started without a shell: an absolute path, a path relative to the configuration file (if it contains a `/`),
   * or a name on the PATH. Required; no default.
   */
  readonly exec: string;
  /** Its arguments. Default none. */
  readonly args?: readonly string[] | undefined;
  /** Environment variables in addition to those that the relay sets. Default none. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /**
   * Its working directory. Default: a separate directory in the state directory, so that programs do not overwrite each other's files.
   */
  readonly cwd?: string | undefined;
  /**
   * The user to run it as: a name in `/etc/passwd` or a number. Another user keeps the program from reading the relay's files. This
   * requires a relay that runs as root. Default: the user of the relay.
   */
  readonly user?: string | number | undefined;
  /**
   * The only group to run it with: a name in `/etc/group` or a number. Allowed only with `user`. Default: the user's group in
   * `/etc/passwd`.
   */
  readonly group?: string | number | undefined;
  /** The configuration that is passed to its `plugin.setup`. Default none. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /**
   * How messages and calls to it are encoded, as for a peer. A message that cannot be encoded this way becomes a dead letter
   * (`plugin.dead_letters`). Default: as messages arrived, with nil and i8, which programs are assumed to read unless this says otherwise.
   */
  readonly send?: WriteOptions | undefined;
  /** Time from its start to its first line. Default 10,000: interpreters load within a second, and a hanging start is still detected. */
  readonly startTimeoutMs?: number | undefined;
  /** Time between two pings. Default 5,000. Calls, answers and fetches also show that the program is alive. */
  readonly pingIntervalMs?: number | undefined;
  /** Timeout for the answer to a ping. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Number of consecutive unanswered pings or calls after which it is stopped and restarted with a back-off. Default 3. Those during a
   * pause of the relay itself do not count.
   */
  readonly maxTimeouts?: number | undefined;
  /** Timeout for a call of one of its methods. It is not pinged during a call. Default 60,000. */
  readonly callTimeoutMs?: number | undefined;
}

/** Options without a default value. */
type Unset = 'cwd' | 'user' | 'group' | 'send';

/** A record with all defaults filled in. */
export type ProgramOptions = { readonly [K in Exclude<keyof ProgramRecord, Unset>]-?: Exclude<ProgramRecord[K], undefined> } & {
  readonly [K in Unset]: ProgramRecord[K];
};

/** Fills in the defaults of a record. */
export function completeRecord(record: ProgramRecord): ProgramOptions {
  return {
    name: record.name,
    exec: record.exec,
    args: record.args ?? [],
    env: record.env ?? {},
    cwd: record.cwd,
    user: record.user,
    group: record.group,
    config: record.config ?? {},
    send: record.send && { nil: true, i8: true, ...record.send },
    startTimeoutMs: record.startTimeoutMs ?? 10_000,
    pingIntervalMs: record.pingIntervalMs ?? 5_000,
    timeoutMs: record.timeoutMs ?? 5_000,
    maxTimeouts: record.maxTimeouts ?? 3,
    callTimeoutMs: record.callTimeoutMs ?? 60_000,
  };
}

// Errors have no text otherwise.
z.config(english());

// A timeout of more than a day would not limit anything.
const ms = z.optional(z.int().check(z.gte(1), z.lte(86_400_000)));
// A NUL would truncate a command-line argument.
const text = z.string().check(z.regex(/^[^\0]*$/, 'a text without NUL characters'));
const NAME = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){0,3}$/;

const name = z.string().check(
  z.maxLength(100),
  z.regex(NAME, 'a name of letters, digits and "_", with dots between its parts: ham, ham.spam'),
  z.refine(
    (text) => !isReserved(text.split('.', 1)[0] ?? ''),
    "a name that begins with none of the relay's own words, such as relay or system",
  ),
);

// The largest 32-bit number (-1) means "do not change" to the system.
const account = z.union([
  z.int().check(z.gte(0), z.lte(2 ** 32 - 2)),
  z.string().check(z.regex(/^(?:\d{1,9}|[A-Za-z_][\w.@-]{0,63}\$?)$/, 'the name of a user or group, or its number')),
]);

export const programShape = z.strictObject({
  name,
  exec: text.check(z.minLength(1)),
  args: z.optional(z.array(text).check(z.maxLength(1_000))),
  env: z.optional(z.record(z.string().check(z.regex(/^[^\0=]+$/, 'the name of an environment variable')), text)),
  cwd: z.optional(text.check(z.minLength(1))),
  user: z.optional(account),
  group: z.optional(account),
  config: z.optional(z.record(z.string(), z.unknown())),
  send: z.optional(writeOptionsShape),
  startTimeoutMs: ms,
  pingIntervalMs: ms,
  timeoutMs: ms,
  maxTimeouts: z.optional(z.int().check(z.gte(1), z.lte(1_000))),
  callTimeoutMs: ms,
});

/** The programs that the relay runs. */
export interface ProgramsOptions {
  /**
   * Programs in any language that the relay starts and supervises. `docs/protocol-for-programs.md` describes their protocol.
   * Default none.
   */
  readonly programs: readonly ProgramRecord[];
  /**
   * Allow `plugin.add` to add programs while the relay runs. Default false, because anyone with an admin token could then run anything on
   * this machine as the user of the relay. Added programs are kept across restarts, and run only while this is true.
   */
  readonly allowAddPrograms: boolean;
}

export const programsDefaults: ProgramsOptions = {
  programs: [],
  allowAddPrograms: false,
};

export const programsShape = {
  programs: z.array(programShape).check(z.maxLength(1_000)),
  allowAddPrograms: z.boolean(),
};
