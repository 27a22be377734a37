/** The output of a program: split into lines for the log, in bounded memory and at a bounded rate. */
import { clean } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';

/** Characters of a line that reach the log. */
const MAX_LINE = 2_000;
// As many bytes as that many characters can have.
const MAX_LINE_BYTES = 4 * MAX_LINE;
const LINES_PER_SECOND = 100;
// What is read of a program costs the relay a hundredth of its time; far more than a log takes, so that a long dump holds no program up.
const BYTES_PER_SECOND = 8 * 1024 * 1024;
const NEWLINE = 10;
// A prompt or a row of dots has no line end: it is shown after so long a silence, or after so long in all if it keeps growing.
const SILENCE_MS = 2_000;
const MAX_HELD_MS = 10_000;

/** Calls `onSilence` when text that has no line end yet was followed by nothing for 2 s, or has kept growing for 10 s. */
export class Silence {
  readonly #clock: Clock;
  readonly #onSilence: () => void;
  #since = 0;
  #lastAt = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, onSilence: () => void) {
    this.#clock = clock;
    this.#onSilence = onSilence;
  }

  /** More of the text came. */
  broken(): void {
    this.#lastAt = this.#clock.now();
    if (this.#cancel) return;
    this.#since = this.#lastAt;
    this.#wait(SILENCE_MS);
  }

  /** The text is complete. */
  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #wait(ms: number): void {
    this.#cancel = this.#clock.after(ms, () => {
      const now = this.#clock.now();
      const left = Math.min(this.#lastAt + SILENCE_MS, this.#since + MAX_HELD_MS) - now;
      if (left > 0) {
        this.#wait(left);
        return;
      }
      this.#cancel = undefined;
      this.#onSilence();
    });
  }
}

/** Cuts bytes into lines, empty ones left out; of a long one only the beginning is kept. */
export class LineCutter {
  readonly #silence: Silence;
  #parts: Buffer[] = [];
  #size = 0;

  /** `lines` gets each line without its end, and what has none after 2 s of silence. */
  constructor(
    private readonly lines: Pick<LineLimit, 'tell' | 'isFull' | 'leaveOut'>,
    clock: Clock,
  ) {
    this.#silence = new Silence(clock, () => {
      this.end();
    });
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (this.lines.isFull()) {
        from = this.#leaveOut(chunk, from);
        break;
      }
      this.#keep(chunk.subarray(from, end));
      this.end();
      from = end + 1;
    }
    // A copy: a slice would hold the whole chunk.
    this.#keep(Buffer.from(chunk.subarray(from, from + MAX_LINE_BYTES)));
    if (this.#parts.length > 0) this.#silence.broken();
  }

  /** The output has ended: what is left is a line as well. */
  end(): void {
    if (this.#parts.length === 0) return;
    this.#silence.end();
    const line = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#size = 0;
    this.lines.tell(line);
  }

  /** Counts the lines that end in the rest of a chunk, of which nobody will read one; answers where the last of them ends. */
  #leaveOut(chunk: Buffer, from: number): number {
    let count = 0;
    let next = from;
    // A plain loop: a program that floods sends lines of a byte or two, and a search for each takes fifty times as long.
    for (let at = from; at < chunk.length; at++) {
      if (chunk[at] !== NEWLINE) continue;
      count++;
      next = at + 1;
    }
    this.#parts = [];
    this.#size = 0;
    this.#silence.end();
    this.lines.leaveOut(count);
    return next;
  }

  #keep(part: Buffer): void {
    const kept = part.subarray(0, MAX_LINE_BYTES - this.#size);
    if (kept.length === 0) return;
    this.#parts.push(kept);
    this.#size += kept.length;
  }
}

/** Lines for a log: some hundred a second, the rest counted. */
export class LineLimit {
  #until = -Infinity;
  #told = 0;
  #leftOut = 0;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly write: (line: string) => void,
  ) {}

  /** `write` takes this line, unless told the one of all. */
  tell(line: string, write = this.write): void {
    const now = this.clock.now();
    if (now >= this.#until) {
      this.flush();
      this.#until = now + 1_000;
      this.#told = 0;
    }
    if (this.#told++ < LINES_PER_SECOND) write(clean(line.replace(/\r$/, '').replaceAll('\t', ' '), MAX_LINE));
    else this.#leftOut++;
  }

  /** True if no more lines are written this second. */
  isFull(): boolean {
    return this.#told >= LINES_PER_SECOND && this.clock.now() < this.#until;
  }

  /** So many lines that nobody made were left out. */
  leaveOut(count: number): void {
    this.#leftOut += count;
  }

  /** Says how many lines were left out, if some were. */
  flush(): void {
    if (this.#leftOut > 0) this.write(`… and ${this.#leftOut} more lines (of ${LINES_PER_SECOND} a second the log takes)`);
    this.#leftOut = 0;
  }
}

/** What a program's outputs are read by: who writes without end waits for the next second, and the relay has time for others. */
export class OutputPace {
  #until = -Infinity;
  #read = 0;
  #callOff: (() => void) | undefined;

  /** `pause` and `resume` the reading of all its outputs. */
  constructor(
    private readonly clock: Clock,
    private readonly outputs: { readonly pause: () => void; readonly resume: () => void },
  ) {}

  /** So many bytes were read. */
  took(bytes: number): void {
    const now = this.clock.now();
    if (now >= this.#until) {
      this.#until = now + 1_000;
      this.#read = 0;
    }
    this.#read += bytes;
    if (this.#read < BYTES_PER_SECOND || this.#callOff) return;
    this.outputs.pause();
    this.#callOff = this.clock.after(this.#until - now, () => {
      this.#callOff = undefined;
      this.outputs.resume();
    });
  }

  /** Nothing more is read. */
  end(): void {
    this.#callOff?.();
  }
}
