/** Configures log4js for the process: a console for people (stderr), an optional file and a separate access log. */
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { format } from 'node:util';
import log4js from 'log4js';
import type { AppenderModule, Configuration, CustomAppender, Logger, LoggingEvent, PatternToken } from 'log4js';
import type { LogOptions } from '../config/config.ts';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { Log, LogSource } from '../core/core.ts';
import { makeDirectory } from '../state/state.ts';
import { FileSink, LogOutput, StreamSink } from './log-output.ts';
import type { LogSink } from './log-output.ts';

// Incremented with each configuration, so that cached levels expire.
let configured = 0;

const FILE_BYTES = 10 * 1024 * 1024;
const FILES_KEPT = 5;
// The log contains dicts, addresses and names of callers.
const MODE = 0o600;

// ISO 8601 with the offset, so that logs of several machines can be compared.
const TIME = '%d{yyyy-MM-ddThh:mm:ss.SSSO}';

// Keyed by appender name. Outputs and their queued lines survive a change of levels.
const outputs = new Map<string, LogOutput>();

/** Configures log4js and returns the source of loggers. Throws a RelayError CONFIG_INVALID if a file is not writable. */
export async function startLogging({ log }: LogOptions, console: Writable & { readonly isTTY?: boolean }): Promise<LogSource> {
  const toConsole = appender('console', () => new StreamSink(console), layout(console.isTTY === true));
  const appenders: Record<string, CustomAppender> = { console: toConsole };
  const used = ['console'];
  if (log.file !== undefined) {
    appenders.file = await file('log.file', log.file, layout(false));
    used.push('file');
  }
  const categories: Configuration['categories'] = { default: { appenders: used, level: log.level } };
  for (const [category, level] of Object.entries(log.levels)) categories[category] = { appenders: used, level };
  if (log.accessFile !== undefined)
    appenders.access = await file('log.accessFile', log.accessFile, { type: 'pattern', pattern: `${TIME} %m` });
  const toFile = log.accessFile !== undefined;
  categories.access = toFile ? { appenders: ['access'], level: 'info' } : { appenders: used, level: 'off' };
  log4js.configure({ appenders, categories });
  configured++;
  return (category) => withCachedLevel(log4js.getLogger(category));
}

/** Caches the levels until the next configuration (`co2 reload`): log4js takes as long to look one up as parsing a small call takes. */
function withCachedLevel(logger: Logger): Log {
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

/** Flushes the queued lines for up to a second, then closes all outputs. */
export async function stopLogging(): Promise<void> {
  await new Promise<void>((resolve) => {
    log4js.shutdown(() => {
      resolve();
    });
  });
  const closing = [...outputs.values()].map((output) => output.close());
  outputs.clear();
  await Promise.all(closing);
}

type Layout = PatternLayout | { readonly type: 'pattern'; readonly pattern: string };

/** An appender over {@link LogOutput}: those of log4js buffer without a limit, and its file appender never recovers from an error. */
function appender(name: string, sink: () => LogSink, withLayout: Layout): CustomAppender {
  const type: AppenderModule = {
    configure: (_config, layouts) => {
      // The types of log4js omit the event that a token function receives.
      const lineOf = layouts?.layout(withLayout.type, withLayout as unknown as PatternToken) ?? String;
      const output = outputs.get(name) ?? new LogOutput(sink(), (missing) => lineOf(missingLines(missing)));
      outputs.set(name, output);
      return (event) => {
        output.write(() => lineOf(event));
      };
    },
  };
  return { type };
}

function missingLines(missing: number): LoggingEvent {
  const lines = missing === 1 ? '1 log line is' : `${missing} log lines are`;
  const data = [`${lines} missing here: dropped because the log output was blocked or not writable`];
  return {
    categoryName: 'app',
    level: log4js.levels.WARN,
    data,
    startTime: new Date(),
    context: {},
    pid: process.pid,
    serialise: () => '',
  };
}

async function file(option: string, filename: string, withLayout: Layout): Promise<CustomAppender> {
  await requireWritable(option, filename);
  const sink = (): FileSink =>
    new FileSink({
      ...{ path: filename, maxBytes: FILE_BYTES, kept: FILES_KEPT, mode: MODE },
      onFailure: (reason) => {
        log4js
          .getLogger('app')
          .error(
            `${option}: cannot write ${filename} (${clean(reason)}); up to 1 MiB of lines is buffered, free space or change its permissions`,
          );
      },
      onRecovery: () => {
        log4js.getLogger('app').info(`${option}: ${filename} is written again`);
      },
    });
  return appender(filename, sink, withLayout);
}

/** Checks the file first, because log4js would fail with a stack trace, or only later at run time. */
async function requireWritable(option: string, filename: string): Promise<void> {
  try {
    await makeDirectory(dirname(filename));
    // Check before opening: opening a FIFO without a reader would block the start forever.
    const found = await stat(filename).catch(() => undefined);
    if (found && !found.isFile()) throw new Error('not a regular file');
    await (await open(filename, 'a', MODE)).close();
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `${option}: cannot write ${filename} (${reasonOf(error)}); choose another file`, {
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
  const pattern = colours ? '%d{hh:mm:ss.SSS} %[%5.5p%] %c  %x{text}' : `${TIME} %p %c %x{text}`;
  return { type: 'pattern', pattern, tokens: { text: textOf } };
}

// Longer texts are payloads; a stack trace has about 2,000 characters.
const MAX_TEXT = 8_000;

/** Sanitizes all log text: control characters are removed, and further lines indented so that they cannot imitate a log line. */
function textOf({ data }: LoggingEvent): string {
  const lines = format(...(data as unknown[]))
    .slice(0, MAX_TEXT)
    .split(/\r?\n/);
  return lines.map((line) => clean(line, MAX_TEXT)).join('\n    | ');
}
