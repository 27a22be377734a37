/** Where log lines go: written in order, held in bounded memory while the reader or the disk is not ready, and counted when they do not fit. */
import { systemClock, withTimeout } from '../core/core.ts';

/** Takes the bytes of whole lines. */
export interface LogSink {
  /** Answers true if the bytes are already written, so that the next ones may follow at once. `done` is called later in either case, with an error if they are lost. */
  write(bytes: Buffer, done: (error?: unknown) => void): boolean;
  /** Frees what the sink holds, and gives up what it has not written. */
  close(): Promise<void>;
}

interface Entry {
  readonly bytes: Buffer;
  /** How many lines are missing if this is lost: 1, or as many as a note about missing lines counts. */
  readonly lines: number;
}

// Protects the memory of the relay from a reader that stalls and from a full disk; several thousand lines, so that a burst passes whole.
const MAX_HELD_BYTES = 1024 * 1024;
// What an entry costs besides its bytes.
const ENTRY_BYTES = 200;
// Lines that waited are written in pieces of this size, so that there is room again before a slow reader has read them all.
const BATCH_BYTES = 64 * 1024;
// What a stop waits for a reader that does not read.
const CLOSE_MS = 1_000;

export class LogOutput {
  readonly #sink: LogSink;
  readonly #note: (missing: number) => string;
  readonly #waiting: Entry[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  // Lines that were lost and that no note has counted yet.
  #missing = 0;
  readonly #onIdle: (() => void)[] = [];

  /** `note` makes the line that says how many lines are missing where it stands. */
  constructor(sink: LogSink, note: (missing: number) => string) {
    this.#sink = sink;
    this.#note = note;
  }

  /** Writes the line that `make` formats, now if the sink is ready. Never waits. */
  write(make: () => string): void {
    // While the sink is busy nothing is taken behind a gap, so that the note will stand where the lines are missing; nothing is formatted in vain.
    if (this.#isBusy && this.#missing > 0) {
      this.#missing++;
      return;
    }
    const entry: Entry = { bytes: Buffer.from(`${make()}\n`), lines: 1 };
    if (this.#isBusy && this.#heldBytes + costOf(entry) > MAX_HELD_BYTES) {
      this.#missing++;
      return;
    }
    this.#addNote();
    this.#add(entry);
    this.#flush();
  }

  /** Waits until all lines are written, at most a second, and closes the sink. */
  async close(): Promise<void> {
    await this.#within(this.#idle());
    await this.#within(this.#sink.close());
  }

  async #within(work: Promise<void>): Promise<void> {
    await withTimeout(systemClock, CLOSE_MS, 'the log was closed', () => work).catch(() => undefined);
  }

  #idle(): Promise<void> {
    if (!this.#isBusy) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  get #isBusy(): boolean {
    return this.#inFlightBytes > 0;
  }

  get #heldBytes(): number {
    return this.#waitingBytes + this.#inFlightBytes;
  }

  #add(entry: Entry): void {
    this.#waiting.push(entry);
    this.#waitingBytes += costOf(entry);
  }

  #addNote(): void {
    if (this.#missing === 0) return;
    const lines = this.#missing;
    this.#missing = 0;
    this.#add({ bytes: Buffer.from(`${this.#note(lines)}\n`), lines });
  }

  #flush(): void {
    while (!this.#isBusy && this.#waiting.length > 0) this.#send(this.#take());
    if (this.#isBusy) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #take(): Entry {
    let [count, bytes, lines] = [0, 0, 0];
    for (const entry of this.#waiting) {
      if (count > 0 && bytes + entry.bytes.length > BATCH_BYTES) break;
      count++;
      bytes += entry.bytes.length;
      lines += entry.lines;
    }
    const taken = this.#waiting.splice(0, count);
    this.#waitingBytes -= taken.reduce((sum, entry) => sum + costOf(entry), 0);
    return { bytes: Buffer.concat(taken.map((entry) => entry.bytes)), lines };
  }

  #send(batch: Entry): void {
    let isWritten = false;
    this.#inFlightBytes = batch.bytes.length;
    isWritten = this.#sink.write(batch.bytes, (error) => {
      if (error !== undefined) this.#missing += batch.lines;
      if (isWritten) return;
      this.#inFlightBytes = 0;
      // Only what was written says that a note would be, too.
      if (error === undefined) this.#addNote();
      this.#flush();
    });
    if (isWritten) this.#inFlightBytes = 0;
  }
}

function costOf({ bytes }: Entry): number {
  return bytes.length + ENTRY_BYTES;
}
