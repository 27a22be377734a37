/** A log that keeps its lines in memory, so that a test can read them or wait for one. */
import { recordingLogs } from '../../src/testing/logs.ts';
import type { LogLine } from '../../src/testing/logs.ts';
import { Gate } from './gate.ts';

export type { LogLine } from '../../src/testing/logs.ts';

export class LogRecord {
  readonly lines = new Gate<LogLine>();
  readonly source = recordingLogs((line) => {
    this.lines.push(line);
  });

  /** The texts of the recorded lines that match. */
  matching(pattern: RegExp): string[] {
    return this.lines.all.filter(({ text }) => pattern.test(text)).map(({ text }) => text);
  }

  /** Resolves with the first matching line, past or future. */
  async line(pattern: RegExp): Promise<LogLine> {
    const [line] = await this.lines.until(({ text }) => pattern.test(text));
    return line;
  }
}
