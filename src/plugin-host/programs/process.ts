/** Runs one operating system process: starts it without a shell in its own process group, reads its output and ends the whole group. */
import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { clean, reasonOf } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import { PIPE_FD } from '../pipe/pipe.ts';
import { MAX_HANDSHAKE_BYTES } from './handshake.ts';
import type { OrphanWatch } from './orphan-watch.ts';
import { LineCutter, LineLimit, OutputPace, Silence } from './output.ts';
import type { Identity } from './run-as.ts';

interface ProcessOptions {
  /** Absolute path. */
  readonly exec: string;
  readonly args: readonly string[];
  /** Absolute path of an existing directory. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Default: the relay's own user and group. */
  readonly identity?: Pick<Identity, 'uid' | 'gid'> | undefined;
  /** True if it inherits a {@link ProgramProcess.pipe}. Default false. */
  readonly hasPipe?: boolean | undefined;
  readonly clock: Clock;
  readonly orphans: Pick<OrphanWatch, 'add' | 'drop'>;
}

export interface ProcessEvents {
  /** Called with the first line on stdout, without its line end; it is truncated if it is longer than a handshake. */
  readonly onFirstLine: (line: string) => void;
  /** Called with an incomplete first line when nothing more has arrived for 2 s. Default: ignored. */
  readonly onUnfinishedFirstLine?: ((text: string) => void) | undefined;
  /** Called with every other line on stdout and every line on stderr, safe to log. */
  readonly onLine: (line: string) => void;
  /** Called once, with a readable reason, when the process has ended or could not be started. */
  readonly onExit: (reason: string, end: ProcessEnd) => void;
  /** Called once, when both outputs have ended and every line was passed to `onLine`. Default: ignored. */
  readonly onOutputEnd?: (() => void) | undefined;
  /** Called 1 s after the process ended if a process outside of its group still holds the output open. Default: ignored. */
  readonly onOutputHeld?: (() => void) | undefined;
}

/** How a process ended. */
export interface ProcessEnd {
  /** Exit code. Undefined if a signal ended the process or it could not be started. */
  readonly code: number | undefined;
  /** True if other processes of its group were still running and have been killed. */
  readonly leftBehind: boolean;
}

// The outputs are read for this long after the exit: a process that left the group may hold them open forever.
const OUTPUT_GRACE_MS = 1_000;
const NEWLINE = 10;

export class ProgramProcess {
  readonly #parts: ProcessOptions & ProcessEvents;
  readonly #child: ChildProcess;
  readonly #limit: LineLimit;
  #hasEnded = false;

  /** Starts the process. */
  constructor(parts: ProcessOptions & ProcessEvents) {
    this.#parts = parts;
    this.#limit = new LineLimit(parts.clock, parts.onLine);
    this.#child = spawnPrivately(parts);
    this.#child.once('error', (error) => {
      if (this.pid === undefined) this.#end(`it cannot be started: ${whyNotStarted(error)}`);
    });
    this.#child.once('exit', (code, signal) => {
      this.#end(signal === null ? `it ended with code ${code ?? 0}` : `it was ended by ${signal}`, code ?? undefined);
    });
    if (this.pid !== undefined) parts.orphans.add(this.pid);
    this.#listen();
  }

  /** Undefined if the process could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Our end of the pipe to the process, a pair of sockets that nobody else can open. Undefined unless it was asked for. */
  get pipe(): Duplex | undefined {
    // There are no streams at all if the system had no file descriptors for them.
    const stdio = this.#child.stdio as readonly unknown[] | undefined;
    return (stdio?.[PIPE_FD] as Duplex | null | undefined) ?? undefined;
  }

  /** Signals the process group. Does nothing after the exit was seen, since the process id may have been reused by then. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.#hasEnded) this.#signalGroup(signal);
  }

  #end(reason: string, code?: number): void {
    if (this.#hasEnded) return;
    // Kills what the process left behind. The group id cannot have been reused within this turn of the event loop.
    const leftBehind = this.#signalGroup('SIGKILL');
    this.#hasEnded = true;
    if (this.pid !== undefined) this.#parts.orphans.drop(this.pid);
    const outputs = [this.#child.stdout, this.#child.stderr];
    const cancel = this.#parts.clock.after(OUTPUT_GRACE_MS, () => {
      if (outputs.some((output) => output?.destroyed === false)) this.#parts.onOutputHeld?.();
      for (const output of outputs) output?.destroy();
    });
    this.#child.once('close', cancel);
    this.#parts.onExit(reason, { code, leftBehind });
    this.pipe?.destroy();
  }

  /** Returns false if no process of the group is left. */
  #signalGroup(signal: 'SIGTERM' | 'SIGKILL'): boolean {
    if (this.pid === undefined) return false;
    try {
      return process.kill(-this.pid, signal);
    } catch {
      return false;
    }
  }

  #listen(): void {
    const { stdout, stderr } = this.#child;
    const outputs = [stdout, stderr];
    const { clock, onFirstLine, onUnfinishedFirstLine } = this.#parts;
    const [stdoutLines, stderrLines] = [new LineCutter(this.#limit, clock), new LineCutter(this.#limit, clock)];
    const first = new FirstLine(clock, onFirstLine, onUnfinishedFirstLine);
    const pace = new OutputPace(clock, {
      pause: () => {
        for (const output of outputs) output?.pause();
      },
      resume: () => {
        for (const output of outputs) output?.resume();
      },
    });
    stdout?.on('data', (chunk: Buffer) => {
      pace.took(chunk.length);
      stdoutLines.push(first.take(chunk));
    });
    stderr?.on('data', (chunk: Buffer) => {
      pace.took(chunk.length);
      stderrLines.push(chunk);
    });
    for (const output of [...outputs, this.pipe]) output?.on('error', () => undefined);
    this.#child.once('close', () => {
      first.end();
      stdoutLines.end();
      stderrLines.end();
      pace.end();
      this.#limit.flush();
      this.#parts.onOutputEnd?.();
    });
  }
}

/** Collects the first line of an output. */
class FirstLine {
  readonly #onLine: (line: string) => void;
  readonly #silence: Silence;
  #head: Buffer | undefined = Buffer.alloc(0);

  constructor(clock: Clock, onLine: (line: string) => void, onUnfinished: (text: string) => void = () => undefined) {
    this.#onLine = onLine;
    this.#silence = new Silence(clock, () => {
      onUnfinished(textOf(this.#head));
    });
  }

  /** Returns the bytes that follow the first line. */
  take(chunk: Buffer): Buffer {
    if (this.#head === undefined) return chunk;
    const end = chunk.indexOf(NEWLINE);
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, end < 0 ? MAX_HANDSHAKE_BYTES + 1 : end)]);
    if (end >= 0 || this.#head.length > MAX_HANDSHAKE_BYTES) this.end();
    else this.#silence.broken();
    return end < 0 ? Buffer.alloc(0) : chunk.subarray(end + 1);
  }

  /** Reports what has arrived of the first line: it is complete, or the output has ended. */
  end(): void {
    const head = this.#head;
    this.#head = undefined;
    this.#silence.end();
    if (head !== undefined && head.length > 0) this.#onLine(textOf(head));
  }
}

function textOf(head: Buffer | undefined): string {
  return head?.toString('utf8', 0, MAX_HANDSHAKE_BYTES + 1) ?? '';
}

/** Explains a failed start. The file and its directory were checked before, so ENOENT means that the interpreter or loader is missing. */
function whyNotStarted(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const hint = code === 'ENOENT' ? '; the file is there, but not its interpreter or loader: was it made for another system?' : '';
  return clean(reasonOf(error)) + hint;
}

/** Spawns a process that creates files only its user can read, has no stdin and does not receive signals sent to the relay's group. */
function spawnPrivately({ exec, args, cwd, env, identity, hasPipe = false }: ProcessOptions): ChildProcess {
  const before = process.umask(0o077);
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...(hasPipe ? (['pipe'] as const) : [])];
  try {
    // When these are set, the system drops the relay's supplementary groups as well.
    const { uid, gid } = identity ?? {};
    return spawn(exec, args, { cwd, env, uid, gid, detached: true, stdio, shell: false, windowsHide: true });
  } finally {
    process.umask(before);
  }
}
