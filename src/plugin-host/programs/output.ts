/** The output of a program: split into lines for the log, in bounded memory and at a bounded rate. */
import { clean } from '../../core/core.ts';
import type { Clock } from '../../core/core.ts';

/** Maximum number of characters of a line that are logged. */
const MAX_LINE = 2_000;
// The largest UTF-8 size of that many characters.
const MAX_LINE_BYTES = 4 * MAX_LINE;
const LINES_PER_SECOND = 100;
// Reading at this rate costs the relay about 1 % of its time. It is far more than is logged, so that a long dump does not block a program.
const BYTES_PER_SECOND = 8 * 1024 * 1024;
const NEWLINE = 10;
// A prompt or a row of dots has no line end. It is logged after SILENCE_MS without more text, or after MAX_HELD_MS.
const SILENCE_MS = 2_000;
const MAX_HELD_MS = 10_000;

/** Calls `onSilence` when text without a line end was followed by nothing for 2 s, or has kept growing for 10 s. */
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

  /** More of the text has arrived. */
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

/** Splits bytes into lines. Empty lines are skipped, and long lines are truncated. */
export class LineCutter {
  readonly #silence: Silence;
  #parts: Buffer[] = [];
  #size = 0;

  /** `lines` receives each line without its line end, and an unfinished line after 2 s of silence. */
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
        from = this.#skipLines(chunk, from);
        break;
      }
      this.#keep(chunk.subarray(from, end));
      this.end();
      from = end + 1;
    }
    // This is a copy, because a slice would keep the whole chunk in memory.
    this.#keep(Buffer.from(chunk.subarray(from, from + MAX_LINE_BYTES)));
    if (this.#parts.length > 0) this.#silence.broken();
  }

  /** Logs the buffered text as a line; called at the end of the output, too. */
  end(): void {
    if (this.#parts.length === 0) return;
    this.#silence.end();
    const line = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#size = 0;
    this.lines.tell(line);
  }

  /** Counts the lines that end in the rest of a chunk without decoding them. Returns the offset after the last of them. */
  #skipLines(chunk: Buffer, from: number): number {
    let count = 0;
    let next = from;
    // A plain loop is fifty times as fast as a search per line for a program that floods the log with lines of a byte or two.
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

/** Limits the lines that are logged to 100 per second, and counts the rest. */
export class LineLimit {
  #until = -Infinity;
  #written = 0;
  #omitted = 0;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly write: (line: string) => void,
  ) {}

  /** Logs a line by `write`, by default that of the constructor, or counts it if the limit is reached. */
  tell(line: string, write = this.write): void {
    const now = this.clock.now();
    if (now >= this.#until) {
      this.flush();
      this.#until = now + 1_000;
      this.#written = 0;
    }
    if (this.#written++ < LINES_PER_SECOND) write(clean(line.replace(/\r$/, '').replaceAll('\t', ' '), MAX_LINE));
    else this.#omitted++;
  }

  /** True if no more lines are logged in this second. */
  isFull(): boolean {
    return this.#written >= LINES_PER_SECOND && this.clock.now() < this.#until;
  }

  /** Counts lines that were skipped without being decoded. */
  leaveOut(count: number): void {
    this.#omitted += count;
  }

  /** Logs how many lines were omitted, if any. */
  flush(): void {
    if (this.#omitted > 0) this.write(`… and ${this.#omitted} more lines (of ${LINES_PER_SECOND} a second the log takes)`);
    this.#omitted = 0;
  }
}

/** Limits how fast the outputs of a program are read, so that the relay stays responsive: above the limit, reading pauses for a while. */
export class OutputPace {
  #until = -Infinity;
  #read = 0;
  #cancelTimer: (() => void) | undefined;

  /** `pause` and `resume` control the reading of all outputs of the program. */
  constructor(
    private readonly clock: Clock,
    private readonly outputs: { readonly pause: () => void; readonly resume: () => void },
  ) {}

  /** Records that this many bytes were read. */
  took(bytes: number): void {
    const now = this.clock.now();
    if (now >= this.#until) {
      this.#until = now + 1_000;
      this.#read = 0;
    }
    this.#read += bytes;
    if (this.#read < BYTES_PER_SECOND || this.#cancelTimer) return;
    this.outputs.pause();
    this.#cancelTimer = this.clock.after(this.#until - now, () => {
      this.#cancelTimer = undefined;
      this.outputs.resume();
    });
  }

  /** Stops the timer: all outputs have ended. */
  end(): void {
    this.#cancelTimer?.();
  }
}
