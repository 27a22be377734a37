/** What is logged, and where to. */
import { z } from 'zod';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'off'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  readonly log: {
    /** What is written at least. Default `info`; `debug` shows every dict on its way. */
    readonly level: LogLevel;
    /** Other levels for single categories: `relay`, `mesh`, `http`, `plugin-host`, `plugin.ham.spam`, or a prefix as `plugin`. Default none. */
    readonly levels: Readonly<Record<string, LogLevel>>;
    /** A file that gets the same lines as the console, 10 MB at a time, five kept. Default none. */
    readonly file?: string | undefined;
    /** A file with a line per request: who, what, answer, ms. Default none: requests are not logged. */
    readonly accessFile?: string | undefined;
  };
}

export const logDefaults: LogOptions = { log: { level: 'info', levels: {} } };

const level = z.enum(LOG_LEVELS);

export const logShape = {
  log: z.strictObject({
    level,
    levels: z.record(z.string(), level),
    file: z.string().min(1).optional(),
    accessFile: z.string().min(1).optional(),
  }),
};
