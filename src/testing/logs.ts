/** Records the log of a relay, so that a test can read what an operator would. */
import { format } from 'node:util';
import type { Log, LogSource } from '../core/core.ts';

/** One line of the log. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** `relay`, `plugin.ham.spam`. */
  readonly category: string;
  readonly text: string;
}

/** Passes every line that is logged to `onLine`. */
export function recordingLogs(onLine: (line: LogLine) => void): LogSource {
  return (category): Log => {
    const write =
      (level: LogLine['level']) =>
      (...parts: readonly unknown[]): void => {
        onLine({ level, category, text: format(...parts) });
      };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      isDebugEnabled: () => true,
      isInfoEnabled: () => true,
    };
  };
}
