/** A log that keeps its lines, so that a test can read what an operator would, and await a line. */
import { recordingLogs } from '../../src/testing/logs.ts';
import type { LogLine } from '../../src/testing/logs.ts';
import { Gate } from './gate.ts';

export type { LogLine } from '../../src/testing/logs.ts';

export class LogRecord {
  readonly lines = new Gate<LogLine>();
  readonly source = recordingLogs((line) => {
    this.lines.push(line);
  });

  /** Texts of the lines so far that match. */
  matching(pattern: RegExp): string[] {
    return this.lines.all.filter(({ text }) => pattern.test(text)).map(({ text }) => text);
  }

  /** The first line, past or to come, that matches. */
  async line(pattern: RegExp): Promise<LogLine> {
    const [line] = await this.lines.until(({ text }) => pattern.test(text));
    return line;
  }
}
