/** The part of a logger that the relay uses. */

/** A logger; those of log4js satisfy it. */
export interface Log {
  debug(text: string, ...more: unknown[]): void;
  info(text: string, ...more: unknown[]): void;
  warn(text: string, ...more: unknown[]): void;
  error(text: string, ...more: unknown[]): void;
  /** True if debug lines are written; checked before building a line on a hot path. */
  isDebugEnabled(): boolean;
  /** True if info lines are written. */
  isInfoEnabled(): boolean;
}

/** Returns the logger of a category: one per directory (`relay`, `mesh`) and one per plugin (`plugin.ham.spam`). */
export type LogSource = (category: string) => Log;

function nothing(): void {
  // SILENT discards everything.
}

/** A logger that discards everything. */
export const SILENT: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  isDebugEnabled: () => false,
  isInfoEnabled: () => false,
};
