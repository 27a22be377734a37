/** Options of logging: what is logged, and where. */
import * as z from 'zod/mini';

/** The levels of the log; each includes those after it. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'off'] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Log categories, besides `plugin.<package>.<module>` for each plugin. */
export const LOG_CATEGORIES = ['app', 'http', 'mesh', 'plugin-host', 'relay', 'relay-plugins', 'satellites'] as const;

/** The options of logging. */
export interface LogOptions {
  readonly log: {
    /** The lowest level that is logged. Default `info`; `debug` logs every dict. */
    readonly level: LogLevel;
    /**
     * Levels for single categories: `app`, `http`, `mesh`, `plugin-host`, `relay`, `relay-plugins`, `satellites`, a plugin
     * (`plugin.ham.spam`), or a prefix (`plugin`). Default none.
     */
    readonly levels: Readonly<Record<string, LogLevel>>;
    /** A file for the same lines as the console. It is rotated at 10 MB, five files are kept, and its mode is 0600. Default none. */
    readonly file?: string | undefined;
    /** A file with one line per request: caller, method, status, milliseconds. Its mode is 0600. Default none: requests are not logged. */
    readonly accessFile?: string | undefined;
  };
}

export const logDefaults: LogOptions = { log: { level: 'info', levels: {} } };

const level = z.enum(LOG_LEVELS);
const category = z.string().check(
  z.refine(isCategory, {
    error: `a category of the log: ${LOG_CATEGORIES.join(', ')}, or plugin.<package>.<module> (requests are logged by log.accessFile)`,
  }),
);

export const logShape = {
  log: z.strictObject({
    level,
    levels: z.record(category, level),
    file: z.optional(z.string().check(z.minLength(1))),
    accessFile: z.optional(z.string().check(z.minLength(1))),
  }),
};

function isCategory(text: string): boolean {
  return /^plugin(\.[A-Za-z_][A-Za-z0-9_]*){0,2}$/.test(text) || LOG_CATEGORIES.some((known) => known === text);
}
