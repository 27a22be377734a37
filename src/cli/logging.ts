/** log4js, set up once for the process: console for people (stderr), an optional file, a separate access log. */
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { format } from 'node:util';
import log4js from 'log4js';
import type { Appender, Configuration, Logger, LoggingEvent } from 'log4js';
import type { LogOptions } from '../define-config/define-config.ts';
import { RelayError, clean, reasonOf } from '../message/message.ts';
import type { Log, LogSource } from '../message/message.ts';
import { makeDirectory } from '../store/store.ts';

// How often levels were configured.
let configured = 0;

const FILE_BYTES = 10 * 1024 * 1024;
const FILES_KEPT = 5;
// Dicts, addresses and names of callers are in it.
const MODE = 0o600;

/** Configures log4js and answers the loggers. Throws a RelayError CONFIG_INVALID if a file cannot be written. */
export async function startLogging({ log }: LogOptions, console: { readonly isTTY?: boolean }): Promise<LogSource> {
  const appenders: Record<string, Appender> = { console: { type: 'stderr', layout: layout(console.isTTY === true) } };
  const outputs = ['console'];
  if (log.file !== undefined) {
    appenders.file = await file('log.file', log.file, layout(false));
    outputs.push('file');
  }
  const categories: Configuration['categories'] = { default: { appenders: outputs, level: log.level } };
  for (const [category, level] of Object.entries(log.levels)) categories[category] = { appenders: outputs, level };
  if (log.accessFile !== undefined)
    appenders.access = await file('log.accessFile', log.accessFile, { type: 'pattern', pattern: '%d{yyyy-MM-ddThh:mm:ss.SSS} %m' });
  const toFile = log.accessFile !== undefined;
  categories.access = toFile ? { appenders: ['access'], level: 'info' } : { appenders: outputs, level: 'off' };
  log4js.configure({ appenders, categories });
  configured++;
  return (category) => withKnownLevel(log4js.getLogger(category));
}

/** Levels stay until they are configured anew (`co2 reload`), and log4js takes as long to look one up as a small call takes to be read. */
function withKnownLevel(logger: Logger): Log {
  let known = 0;
  let [isDebug, isInfo] = [false, false];
  const look = (): void => {
    if (known === configured) return;
    known = configured;
    [isDebug, isInfo] = [logger.isDebugEnabled(), logger.isInfoEnabled()];
  };
  const isDebugEnabled = (): boolean => {
    look();
    return isDebug;
  };
  const isInfoEnabled = (): boolean => {
    look();
    return isInfo;
  };
  return {
    debug: (text, ...more) => {
      if (isDebugEnabled()) logger.debug(text, ...more);
    },
    info: (text, ...more) => {
      if (isInfoEnabled()) logger.info(text, ...more);
    },
    warn: logger.warn.bind(logger),
    error: logger.error.bind(logger),
    isDebugEnabled,
    isInfoEnabled,
  };
}

/** Writes what is buffered. */
export function stopLogging(): Promise<void> {
  return new Promise((resolve) => {
    log4js.shutdown(() => {
      resolve();
    });
  });
}

async function file(
  option: string,
  filename: string,
  withLayout: Appender extends infer A ? (A extends { layout?: infer L } ? L : never) : never,
): Promise<Appender> {
  await requireWritable(option, filename);
  return { type: 'file', filename, maxLogSize: FILE_BYTES, backups: FILES_KEPT, mode: MODE, layout: withLayout };
}

/** log4js would fail with a stack, or later, in the middle of things. */
async function requireWritable(option: string, filename: string): Promise<void> {
  try {
    await makeDirectory(dirname(filename));
    // Before it is opened: a FIFO without a reader would hold the start for ever.
    const found = await stat(filename).catch(() => undefined);
    if (found && !found.isFile()) throw new Error('it is no regular file');
    await (await open(filename, 'a', MODE)).close();
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `${option}: ${filename} cannot be written (${reasonOf(error)}); choose another file`, {
      cause: error,
    });
  }
}

interface PatternLayout {
  readonly type: 'pattern';
  readonly pattern: string;
  readonly tokens: { readonly text: (event: LoggingEvent) => string };
}

function layout(colours: boolean): PatternLayout {
  const pattern = colours ? '%d{hh:mm:ss.SSS} %[%5.5p%] %c  %x{text}' : '%d{yyyy-MM-ddThh:mm:ss.SSS} %p %c %x{text}';
  return { type: 'pattern', pattern, tokens: { text: textOf } };
}

// Longer texts are payloads; a stack has some 2,000 characters.
const MAX_TEXT = 8_000;

/** What was logged, made safe in this one place: no control characters, and every further line set in, so that none looks like a line of ours. */
function textOf({ data }: LoggingEvent): string {
  const lines = format(...(data as unknown[]))
    .slice(0, MAX_TEXT)
    .split(/\r?\n/);
  return lines.map((line) => clean(line, MAX_TEXT)).join('\n    | ');
}
