/** The log of a program that has none of its own: lines on stderr. */
import { format } from 'node:util';
import type { Log, LogSource } from './log.ts';
import { clean } from './text.ts';

const RANKS = { debug: 0, info: 1, warn: 2, error: 3, off: 4 } as const;
type Level = keyof typeof RANKS;

/** Protects the heap when nobody reads stderr: beyond so many bytes that wait, lines are dropped. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** The lowest level of each category; that of a prefix, `plugin`, applies to `plugin.ham.spam`. */
export interface LogLevels {
  readonly level: Level;
  readonly levels: Readonly<Record<string, Level>>;
}

/** Loggers that write to stderr from these levels on: `2026-11-30T09:00:00.000Z WARN plugin-host text`. */
export function stderrLogs(levels: LogLevels, stderr: NodeJS.WriteStream = process.stderr): LogSource {
  let dropped = 0;
  const write = (level: string, category: string, text: string): void => {
    if (stderr.writableLength > MAX_WAITING_BYTES) {
      dropped++;
      return;
    }
    const gap = dropped === 0 ? '' : `(${dropped} lines before this one were dropped, because nobody reads stderr) `;
    dropped = 0;
    stderr.write(`${new Date().toISOString()} ${level} ${category} ${gap}${text}\n`);
  };
  return (category) =>
    loggerOf(RANKS[levelOf(category, levels)], (level, text, more) => {
      // Rows of a source after the first line belong to it.
      const rows = format(text, ...more)
        .split('\n')
        .map((row) => clean(row, Infinity));
      write(level, category, rows.join('\n  '));
    });
}

function levelOf(category: string, { level, levels }: LogLevels): Level {
  for (let prefix = category; prefix !== ''; prefix = prefix.slice(0, Math.max(prefix.lastIndexOf('.'), 0))) {
    const own = Object.hasOwn(levels, prefix) ? levels[prefix] : undefined;
    if (own !== undefined) return own;
  }
  return level;
}

function loggerOf(rank: number, write: (level: string, text: string, more: readonly unknown[]) => void): Log {
  const at =
    (level: Exclude<Level, 'off'>): Log['info'] =>
    (text, ...more) => {
      if (RANKS[level] >= rank) write(level.toUpperCase(), text, more);
    };
  return {
    ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    isDebugEnabled: () => rank <= RANKS.debug,
    isInfoEnabled: () => rank <= RANKS.info,
  };
}
