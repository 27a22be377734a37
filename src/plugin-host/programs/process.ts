/** One process of a program: made without a shell in a group of its own, listened to, and ended with all that it started. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { clean, reasonOf } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';
import { MAX_HANDSHAKE_BYTES } from './handshake.ts';
import type { OrphanWatch } from './orphan-watch.ts';
import { LineCutter, LineLimit, OutputPace, Silence } from './output.ts';
import type { Identity } from './run-as.ts';

export interface ProcessParts {
  /** Absolute. */
  readonly exec: string;
  readonly args: readonly string[];
  /** Absolute; it is there. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Default: the relay's own user and group. */
  readonly identity?: Pick<Identity, 'uid' | 'gid'> | undefined;
  readonly clock: Clock;
  readonly orphans: Pick<OrphanWatch, 'add' | 'drop'>;
  /** Told of the first line on stdout, without its end; of what is longer than a handshake its beginning. */
  readonly onFirstLine: (line: string) => void;
  /** Told of the beginning of the first line when nothing more of it has come for 2 s. Default: nobody. */
  readonly onUnfinishedFirstLine?: ((text: string) => void) | undefined;
  /** Told of every other line on stdout and of all on stderr, fit for a log. */
  readonly onLine: (line: string) => void;
  /** Told once, in words, when it has ended, or could not be started. */
  readonly onExit: (reason: string, end: ProcessEnd) => void;
  /** Called once, when both outputs have ended and `onLine` got all of them. Default: nothing is called. */
  readonly onOutputEnd?: (() => void) | undefined;
  /** Told 1 s after the end if some other process, outside of its group, still holds its output. Default: nobody. */
  readonly onOutputHeld?: (() => void) | undefined;
}

/** How a process ended. */
export interface ProcessEnd {
  /** Undefined if a signal ended it, or it could not be started. */
  readonly code: number | undefined;
  /** True if something of its group was still there, and was ended now. */
  readonly leftBehind: boolean;
}

// How long the outputs of a process that has ended are read: what left its group may hold them open for ever.
const LAST_WORDS_MS = 1_000;
const NEWLINE = 10;

export class ProgramProcess {
  readonly #parts: ProcessParts;
  readonly #child: ChildProcess;
  readonly #limit: LineLimit;
  #hasEnded = false;

  /** Starts it. */
  constructor(parts: ProcessParts) {
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

  /** Undefined if it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** To the process and to all that it started and that stayed in its group; nothing once its end was seen, for its number may be another's then. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.#hasEnded) this.#signalGroup(signal);
  }

  #end(reason: string, code?: number): void {
    if (this.#hasEnded) return;
    // What it left behind: in this very turn its number is nobody else's yet.
    const leftBehind = this.#signalGroup('SIGKILL');
    this.#hasEnded = true;
    if (this.pid !== undefined) this.#parts.orphans.drop(this.pid);
    const outputs = [this.#child.stdout, this.#child.stderr];
    const callOff = this.#parts.clock.after(LAST_WORDS_MS, () => {
      if (outputs.some((output) => output?.destroyed === false)) this.#parts.onOutputHeld?.();
      for (const output of outputs) output?.destroy();
    });
    this.#child.once('close', callOff);
    this.#parts.onExit(reason, { code, leftBehind });
  }

  /** False if nobody of the group is left. */
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
    const [said, complained] = [new LineCutter(this.#limit, clock), new LineCutter(this.#limit, clock)];
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
      said.push(first.take(chunk));
    });
    stderr?.on('data', (chunk: Buffer) => {
      pace.took(chunk.length);
      complained.push(chunk);
    });
    for (const output of outputs) output?.on('error', () => undefined);
    this.#child.once('close', () => {
      first.end();
      said.end();
      complained.end();
      pace.end();
      this.#limit.flush();
      this.#parts.onOutputEnd?.();
    });
  }
}

/** The beginning of an output. */
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

  /** Answers what comes after the line. */
  take(chunk: Buffer): Buffer {
    if (this.#head === undefined) return chunk;
    const end = chunk.indexOf(NEWLINE);
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, end < 0 ? MAX_HANDSHAKE_BYTES + 1 : end)]);
    if (end >= 0 || this.#head.length > MAX_HANDSHAKE_BYTES) this.end();
    else this.#silence.broken();
    return end < 0 ? Buffer.alloc(0) : chunk.subarray(end + 1);
  }

  /** The output has ended. */
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

/** The file and its folder were looked at before, so what the system does not find is what should run the file. */
function whyNotStarted(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const hint = code === 'ENOENT' ? '; the file is there, but not its interpreter or loader: was it made for another system?' : '';
  return clean(reasonOf(error)) + hint;
}

/** Its files are nobody else's; it reads nothing from our terminal; a signal to our group is none to it. */
function spawnPrivately({ exec, args, cwd, env, identity }: ProcessParts): ChildProcess {
  const before = process.umask(0o077);
  try {
    // Where they are set, the system drops all other groups of ours as well.
    const { uid, gid } = identity ?? {};
    return spawn(exec, args, { cwd, env, uid, gid, detached: true, stdio: ['ignore', 'pipe', 'pipe'], shell: false, windowsHide: true });
  } finally {
    process.umask(before);
  }
}
