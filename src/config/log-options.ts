/** Options of logging: what is logged, and where to. */
import { z } from 'zod';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'off'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Log categories, besides `plugin.<package>.<module>` for each plugin. */
export const LOG_CATEGORIES = ['app', 'http', 'mesh', 'plugin-host', 'relay', 'relay-plugins', 'satellites'] as const;

export interface LogOptions {
  readonly log: {
    /** Lowest level that is written. Default `info`; `debug` shows every dict. */
    readonly level: LogLevel;
    /** Levels of single categories: one of {@link LOG_CATEGORIES}, `plugin.ham.spam`, or a prefix such as `plugin`. Default none. */
    readonly levels: Readonly<Record<string, LogLevel>>;
    /** A file that gets the same lines as the console, 10 MB at a time, five kept; made with mode 0600. Default none. */
    readonly file?: string | undefined;
    /** A file with a line per request: who, what, answer, ms; made with mode 0600. Default none: requests are not logged. */
    readonly accessFile?: string | undefined;
  };
}

export const logDefaults: LogOptions = { log: { level: 'info', levels: {} } };

const level = z.enum(LOG_LEVELS);
const category = z.string().refine(isCategory, {
  error: `a category of the log: ${LOG_CATEGORIES.join(', ')}, or plugin.<package>.<module> (requests are logged by log.accessFile)`,
});

export const logShape = {
  log: z.strictObject({
    level,
    levels: z.record(category, level),
    file: z.string().min(1).optional(),
    accessFile: z.string().min(1).optional(),
  }),
};

function isCategory(text: string): boolean {
  return /^plugin(\.[A-Za-z_][A-Za-z0-9_]*){0,2}$/.test(text) || LOG_CATEGORIES.some((known) => known === text);
}
