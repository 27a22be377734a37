/** What a program writes: cut into lines that are fit for a log, in bounded memory, and not more of them than a log should hold. */
import { clean } from '../../message/message.ts';
import type { Clock } from '../../message/message.ts';

/** Characters of a line that reach the log. */
const MAX_LINE = 2_000;
// As many bytes as that many characters can have.
const MAX_LINE_BYTES = 4 * MAX_LINE;
const LINES_PER_SECOND = 100;
const NEWLINE = 10;

/** Cuts bytes into lines, empty ones left out; of a long one only the beginning is kept. */
export class LineCutter {
  #parts: Buffer[] = [];
  #size = 0;

  /** `onLine` gets each line without its end. */
  constructor(
    private readonly onLine: (line: string) => void,
    private readonly maxBytes = MAX_LINE_BYTES,
  ) {}

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, end));
      this.end();
      from = end + 1;
    }
    // A copy: a slice would hold the whole chunk.
    this.#keep(Buffer.from(chunk.subarray(from, from + this.maxBytes)));
  }

  /** The output has ended: what is left is a line as well. */
  end(): void {
    if (this.#parts.length === 0) return;
    const line = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#size = 0;
    this.onLine(line);
  }

  #keep(part: Buffer): void {
    const kept = part.subarray(0, this.maxBytes - this.#size);
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

  /** Says how many lines were left out, if some were. */
  flush(): void {
    if (this.#leftOut > 0) this.write(`… and ${this.#leftOut} more lines (of ${LINES_PER_SECOND} a second the log takes)`);
    this.#leftOut = 0;
  }
}
