/** What a room needs of a logger; log4js's loggers fit it, and so does a test's. */

export interface Log {
  debug(text: string, ...more: unknown[]): void;
  info(text: string, ...more: unknown[]): void;
  warn(text: string, ...more: unknown[]): void;
  error(text: string, ...more: unknown[]): void;
  /** True if debug lines are written; asked before a line is built on a hot path. */
  isDebugEnabled(): boolean;
  /** As above, for info lines. */
  isInfoEnabled(): boolean;
}

/** Gives the logger of a category: one per room (`relay`, `mesh`) and one per plugin (`plugin.ham.spam`). */
export type LogSource = (category: string) => Log;

function nothing(): void {
  // Nobody listens.
}

/** Writes nothing. */
export const SILENT: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  isDebugEnabled: () => false,
  isInfoEnabled: () => false,
};
