/** What the operator says of a program: how it is started, and how long it may take. */
import { z } from 'zod';
import { writeOptionsShape } from '../../rpc/rpc.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { isReserved } from '../hosted/hosted.ts';

/** A program that the relay starts, as it stands in `config.ts`. */
export interface ProgramRecord {
  /**
   * The name of the plugin, and the prefix of its methods: `ham` or `ham.spam`. It must differ from the names of all other programs and
   * modules. Required; no default.
   */
  readonly name: string;
  /**
   * The program. It is started without a shell: an absolute path, a path relative to the configuration file if it contains a `/`, or else a
   * name on the PATH. Required; no default.
   */
  readonly exec: string;
  /** Its arguments. Default none. */
  readonly args?: readonly string[] | undefined;
  /** Environment variables in addition to those that the relay sets. Default none. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /**
   * Its working directory. Default: a directory of its own in the state directory, so that programs do not overwrite the files of others.
   */
  readonly cwd?: string | undefined;
  /**
   * The user to run it as: a name in `/etc/passwd` or a number. It keeps the program from reading the files of the relay, and needs a relay
   * that runs as root. Default: the user of the relay.
   */
  readonly user?: string | number | undefined;
  /**
   * The only group to run it with: a name in `/etc/group` or a number. Only with `user`. Default: the group that `/etc/passwd` has for the
   * user.
   */
  readonly group?: string | number | undefined;
  /** The configuration that its `plugin.setup` gets. Default none. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /**
   * How messages and calls are written for it, as for a peer. A message that cannot be written so is set aside (`plugin.dead_letters`).
   * Default: as messages came, with nil and i8, which programs read unless this says otherwise.
   */
  readonly send?: WriteOptions | undefined;
  /** Time from its start to its first line. Default 10,000: interpreters load within a second, and a start that hangs is noticed. */
  readonly startTimeoutMs?: number | undefined;
  /** Time between two pings. Default 5,000. Calls, answers and fetches are signs of life as well. */
  readonly pingIntervalMs?: number | undefined;
  /** Time for the answer to a ping. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Unanswered pings or calls in a row after which it is ended, and started again after a pause. Default 3. Those during a pause of the
   * relay itself do not count.
   */
  readonly maxTimeouts?: number | undefined;
  /** Time for one call of its methods; it is not pinged while it works on one. Default 60,000. */
  readonly callTimeoutMs?: number | undefined;
}

/** Options that have no default of their own. */
type Unset = 'cwd' | 'user' | 'group' | 'send';

/** A record with all its defaults. */
export type ProgramOptions = { readonly [K in Exclude<keyof ProgramRecord, Unset>]-?: Exclude<ProgramRecord[K], undefined> } & {
  readonly [K in Unset]: ProgramRecord[K];
};

/** The record with its defaults. */
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

/** Longer than a day is no limit. */
const ms = z.int().min(1).max(86_400_000).optional();
// A NUL ends an argument of a program early.
const text = z.string().regex(/^[^\0]*$/, 'a text without NUL characters');
const NAME = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){0,3}$/;

const name = z
  .string()
  .max(100)
  .regex(NAME, 'a name of letters, digits and "_", with dots between its parts: ham, ham.spam')
  .refine(
    (text) => !isReserved(text.split('.', 1)[0] ?? ''),
    "a name that begins with none of the relay's own words, such as relay or system",
  );

// The largest number of 32 bits means "nobody in particular" to the system.
const account = z.union([
  z
    .int()
    .min(0)
    .max(2 ** 32 - 2),
  z.string().regex(/^(?:\d{1,9}|[A-Za-z_][\w.@-]{0,63}\$?)$/, 'the name of a user or group, or its number'),
]);

export const programShape = z.strictObject({
  name,
  exec: text.min(1),
  args: z.array(text).max(1_000).optional(),
  env: z.record(z.string().regex(/^[^\0=]+$/, 'the name of an environment variable'), text).optional(),
  cwd: text.min(1).optional(),
  user: account.optional(),
  group: account.optional(),
  config: z.record(z.string(), z.unknown()).optional(),
  send: writeOptionsShape.optional(),
  startTimeoutMs: ms,
  pingIntervalMs: ms,
  timeoutMs: ms,
  maxTimeouts: z.int().min(1).max(1_000).optional(),
  callTimeoutMs: ms,
});

/** Which programs are run. */
export interface ProgramsOptions {
  /**
   * Programs in any language that the relay starts and supervises; `docs/protocol-for-programs.md` describes what they speak.
   * Default none.
   */
  readonly programs: readonly ProgramRecord[];
  /**
   * Allow `plugin.add` to add programs while the relay runs. Default false, because anybody with an admin token could then run anything on
   * this machine as the user of the relay. Added programs are remembered, and run only while this is true.
   */
  readonly allowAddPrograms: boolean;
}

export const programsDefaults: ProgramsOptions = {
  programs: [],
  allowAddPrograms: false,
};

export const programsShape = {
  programs: z.array(programShape).max(1_000),
  allowAddPrograms: z.boolean(),
};
