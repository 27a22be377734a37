/** A logger that keeps its lines, so that a test can read what an operator would, and await a line. */
import { format } from 'node:util';
import type { Log, LogSource } from '../../src/message/message.ts';
import { Gate } from './gate.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly category: string;
  readonly text: string;
}

export class LogRecord {
  readonly lines = new Gate<LogLine>();
  readonly #watchers = new Set<(line: LogLine) => void>();

  readonly source: LogSource = (category) => this.#logger(category);

  /** Texts of the lines so far that match. */
  matching(pattern: RegExp): string[] {
    return this.lines.all.filter(({ text }) => pattern.test(text)).map(({ text }) => text);
  }

  /** The first line, past or to come, that matches. */
  line(pattern: RegExp): Promise<LogLine> {
    const past = this.lines.all.find(({ text }) => pattern.test(text));
    if (past) return Promise.resolve(past);
    return new Promise((resolve) => {
      const watcher = (line: LogLine): void => {
        if (!pattern.test(line.text)) return;
        this.#watchers.delete(watcher);
        resolve(line);
      };
      this.#watchers.add(watcher);
    });
  }

  #logger(category: string): Log {
    const write =
      (level: LogLine['level']) =>
      (...parts: unknown[]): void => {
        const line = { level, category, text: format(...parts) };
        this.lines.push(line);
        for (const watcher of [...this.#watchers]) watcher(line);
      };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      isDebugEnabled: () => true,
      isInfoEnabled: () => true,
    };
  }
}
