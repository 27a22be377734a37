/** Work that is a plain program: the payload is its stdin, and stdout, stderr and the exit code are its results. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { reasonOf, RelayError } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { findExecutable } from '../plugin-host/plugin-host.ts';
import type { OrphanWatch, WorkOrder } from '../plugin-host/plugin-host.ts';
import type { Dict, Value } from '../values/values.ts';
import type { Executor, PutOut, RunReport } from './executor.ts';
import type { WorkProgram } from './options.ts';
import { markOf } from './process-mark.ts';

export interface ProgramWorkParts {
  /** The environment of the relay, of which a program inherits a few variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly orphans: Pick<OrphanWatch, 'add' | 'drop'>;
  readonly clock: Clock;
  /** The working directory of a unit, which is created. */
  readonly directoryOf: (unit: string) => Promise<string>;
}

const INHERITED = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR'];
// As for plugins that are programs: a canceled one may clean up.
const TERM_MS = 5_000;
// Output that arrives after the end: a process that left the group may hold it open forever.
const OUTPUT_GRACE_MS = 1_000;

/** The executors of the programs of the `work` option. Throws a RelayError CONFIG_INVALID if one cannot be executed. */
export function programExecutors(programs: Readonly<Record<string, WorkProgram>>, parts: ProgramWorkParts): ReadonlyMap<string, Executor> {
  checkWorkPrograms(programs, parts.env.PATH);
  return new Map(Object.entries(programs).map(([type, program]) => [type, programExecutor(type, program, parts)]));
}

/** Looks up the programs in `path` (PATH). Throws a RelayError CONFIG_INVALID if one cannot be executed. */
export function checkWorkPrograms(programs: Readonly<Record<string, WorkProgram>>, path: string | undefined): void {
  for (const [type, { exec, env }] of Object.entries(programs)) {
    try {
      findExecutable(exec, path, env?.PATH);
    } catch (error) {
      throw new RelayError('CONFIG_INVALID', `work: '${type}': ${reasonOf(error)}`, { cause: error });
    }
  }
}

function programExecutor(type: string, program: WorkProgram, parts: ProgramWorkParts): Executor {
  const { help = '', maxConcurrent, timeoutMs, params = [] } = program;
  return {
    ...{ type, help, payload: 'stream', maxConcurrent, timeoutMs, params, isReady: true },
    outputs: ['stdout', 'stderr'],
    run: (order, report) => runProgram(program, order, report, parts),
  };
}

async function runProgram(
  program: WorkProgram,
  order: WorkOrder,
  { put, onProcess }: RunReport,
  parts: ProgramWorkParts,
): Promise<number | string | undefined> {
  const { signal } = order;
  const child = await start(program, order, parts);
  const group = new ProcessGroup(child, parts);
  const end = (): void => {
    group.end();
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    // At once: at the exit, Node drops what nobody reads.
    const reading = Promise.all([drain(child.stdout, 'stdout', put), drain(child.stderr, 'stderr', put)]);
    const feeding = feed(child, order);
    // A payload that cannot be read and an output that cannot be stored end the work.
    reading.catch(end);
    feeding.catch(end);
    if (child.pid !== undefined) await onProcess(markOf(child.pid));
    const exit = await group.ended;
    await group.outputsEnded(reading);
    await feeding;
    return exit;
  } finally {
    signal.removeEventListener('abort', end);
  }
}

async function start({ exec, args = [], env, cwd }: WorkProgram, order: WorkOrder, parts: ProgramWorkParts): Promise<ChildProcess> {
  const inherited = INHERITED.flatMap((name) => (parts.env[name] === undefined ? [] : [[name, parts.env[name]] as const]));
  const variables = {
    ...{ ...Object.fromEntries(inherited), ...env, ...paramVariables(order.params) },
    CO2_WORK_UNIT: order.unit,
  };
  const directory = cwd ?? (await parts.directoryOf(order.unit));
  const before = process.umask(0o077);
  try {
    const path = findExecutable(exec, parts.env.PATH, env?.PATH);
    return spawn(path, args, { cwd: directory, env: variables, detached: true, stdio: 'pipe', shell: false, windowsHide: true });
  } finally {
    process.umask(before);
  }
}

/** `CO2_PARAM_<NAME>`: texts as they are, other values as JSON. */
function paramVariables(params: Dict): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [`CO2_PARAM_${name.toUpperCase()}`, variable(name, value)]));
}

function variable(name: string, value: Value): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (text.includes('\0')) throw new RelayError('INVALID_PARAMS', `the parameter ${name} has a NUL, which no variable can hold`);
  return text;
}

/** Writes the payload to stdin. A program need not read it. */
async function feed({ stdin }: ChildProcess, { payload }: WorkOrder): Promise<void> {
  if (!stdin) return;
  const source = 'bytes' in payload ? Readable.from(payload.bytes.length === 0 ? [] : [payload.bytes]) : createReadStream(payload.path);
  await pipeline(source, stdin).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPIPE' && code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

async function drain(output: Readable | null, name: string, put: PutOut): Promise<void> {
  for await (const bytes of (output ?? []) as AsyncIterable<Buffer>) {
    const waiting = put(name, { kind: 'bytes', bytes });
    if (waiting) await waiting;
  }
}

/** A process with everything that it starts. */
class ProcessGroup {
  readonly #child: ChildProcess;
  readonly #parts: Pick<ProgramWorkParts, 'orphans' | 'clock'>;
  /** Resolves to its exit code, or to the name of the signal that ended it. Rejects if it could not be started. */
  readonly ended: Promise<number | string>;
  #hasEnded = false;
  #cancelKill = (): void => undefined;

  constructor(child: ChildProcess, parts: Pick<ProgramWorkParts, 'orphans' | 'clock'>) {
    this.#child = child;
    this.#parts = parts;
    if (child.pid !== undefined) parts.orphans.add(child.pid);
    this.ended = once(child, 'exit').then(([code, signal]: unknown[]) => {
      // What it left behind in its group ends with it; the number cannot have been used again within this turn.
      this.#signal('SIGKILL');
      this.#hasEnded = true;
      this.#cancelKill();
      if (child.pid !== undefined) parts.orphans.drop(child.pid);
      return typeof code === 'number' ? code : String(signal);
    });
    this.ended.catch(() => undefined);
  }

  /** Asks it to end, and kills it if it does not. */
  end(): void {
    this.#signal('SIGTERM');
    this.#cancelKill = this.#parts.clock.after(TERM_MS, () => {
      this.#signal('SIGKILL');
    });
  }

  /** Waits until both outputs are read, but not for long after its end. */
  async outputsEnded(reading: Promise<unknown>): Promise<void> {
    const { stdout, stderr } = this.#child;
    const cancel = this.#parts.clock.after(OUTPUT_GRACE_MS, () => {
      stdout?.destroy();
      stderr?.destroy();
    });
    try {
      await reading;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    } finally {
      cancel();
    }
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#hasEnded) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // No process of the group is left.
    }
  }
}
