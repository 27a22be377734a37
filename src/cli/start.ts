/** `co2 start`: reads the options, runs a relay in this process until a signal, and reloads its configuration on request. */
import { realpathSync } from 'node:fs';
import { startRelay, VERSION } from '../app.ts';
import type { StartedRelay } from '../app.ts';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import { whereThrown } from '../plugin-host/plugin-host.ts';
import { startLogging, stopLogging } from './logging.ts';
import { readOptions } from './read-options.ts';
import type { ReadOptions } from './read-options.ts';
import type { StartFlags } from './start-options.ts';

/** Starts the relay, announces it on stdout, and runs it until a signal; resolves to the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  const read = await readOptions(flags);
  const logs = await startLogging(read.completed.options, process.stderr);
  const log = logs('app');
  const lifecycle = new ProcessLifecycle(log, read.completed.options.pluginsDir);
  try {
    await run({ flags, read, logs, lifecycle });
    log.info('stopped');
  } catch (error) {
    // A signal during the start is not a failure.
    if (!lifecycle.signal.aborted) throw error;
  } finally {
    lifecycle.end();
    await stopLogging();
  }
  return lifecycle.stopRequest;
}

interface Run {
  readonly flags: StartFlags;
  readonly read: ReadOptions;
  readonly logs: LogSource;
  readonly lifecycle: ProcessLifecycle;
}

async function run({ flags, read, logs, lifecycle }: Run): Promise<void> {
  let reload: Reload = () => Promise.reject(new RelayError('UNAVAILABLE', 'the relay is still starting; retry in a moment'));
  // Reload logs its own errors. Without this handler a SIGHUP would kill the relay, also while it starts.
  process.on('SIGHUP', () => void reload().catch(() => undefined));
  const relay = await startRelay(read.completed, {
    ...{ logs, signal: lifecycle.signal, configFile: read.file?.path },
    reload: () => reload(),
  });
  reload = reloadOf(flags, relay, read, logs('app'));
  process.stdout.write(`co2-relay ${VERSION} listening on ${relay.url} as ${relay.hostId}\n`);
  // Scripts parse the line above; everything else is for people.
  if (process.stdout.isTTY) process.stdout.write(greeting(relay));
  logEnvironment(read, logs('app'));
  await lifecycle.stopRequest;
  await relay.stop();
}

/** Suggests next steps to people at a terminal. */
export function greeting({ url, status }: Pick<StartedRelay, 'url' | 'status'>): string {
  const { plugins } = status().plugins;
  const hasExample = plugins.some(({ name, state }) => name === 'example.echo' && state.type === 'ready');
  const steps = [
    ...(hasExample ? [['co2 call example.echo.add 2 3', 'calls a method of plugins/example/echo.ts']] : []),
    ['co2 new plugin ham/spam', 'writes a plugin, which the running relay loads at once'],
    ['co2 watch', 'shows the dicts of the network as they pass'],
    [url, 'shows everything in a browser'],
  ] as const;
  const width = Math.max(...steps.map(([what = '']) => what.length));
  return `\nTry next, in another terminal:\n${steps.map(([what = '', does = '']) => `  ${what.padEnd(width)}  ${does}\n`).join('')}\n`;
}

/** Logs properties of the environment that an operator should know. */
function logEnvironment({ ignored }: Pick<ReadOptions, 'ignored'>, log: Log): void {
  if (ignored.length > 0) {
    const names = ignored.slice(0, 20).map((name) => clean(name, 80));
    const text = `ignored service variables of Kubernetes: ${names.join(', ')}`;
    log.info(`${text}; set enableServiceLinks: false in the pod specification to remove them`);
  }
  if (process.pid === 1)
    log.info(
      'running as process 1: SIGTERM works, but orphaned child processes are not reaped; use an init process (docker run --init, tini)',
    );
  const major = Number(process.versions.node.split('.', 1)[0]);
  if (major < 22) log.debug(`Node ${process.versions.node} has reached its end of life; use Node 22 or newer to get security fixes`);
}

type Report = ReturnType<StartedRelay['reconfigure']>;
type Reload = () => Promise<Report>;

/**
 * Makes the function that reads flags, environment and file again and applies them to the running relay, one reload at a time.
 * If the file is invalid or missing, it logs the error, changes nothing and rejects.
 */
export function reloadOf(
  flags: StartFlags,
  relay: Pick<StartedRelay, 'reconfigure'>,
  started: Pick<ReadOptions, 'completed' | 'file'>,
  log: Log,
  clock?: Clock,
): Reload {
  let last: Promise<unknown> = Promise.resolve();
  const reload = async (): Promise<Report> => {
    try {
      const { options } = (await readOptions(flags, { file: started.file, clock })).completed;
      const report = relay.reconfigure(options);
      // A reload can change log levels, but not the paths of log files.
      const { level, levels } = options.log;
      if (report.tookEffect.some((key) => key.startsWith('log.')))
        await startLogging({ log: { ...started.completed.options.log, level, levels } }, process.stderr);
      log.info(`reload: ${describe(report)}`);
      return report;
    } catch (error) {
      log.error(`reload failed, the configuration is unchanged: ${reasonOf(error).replace(/\s*\n\s*/g, ' ')}`);
      throw error;
    }
  };
  return () => {
    const next = last.then(reload);
    last = next.catch(() => undefined);
    return next;
  };
}

function describe({ tookEffect, needsRestart }: Report): string {
  if (tookEffect.length + needsRestart.length === 0) return 'nothing changed';
  const parts = [
    tookEffect.length > 0 ? `took effect: ${tookEffect.join(', ')}` : '',
    needsRestart.length > 0 ? `needs a restart: ${needsRestart.join(', ')}` : '',
  ];
  return parts.filter((part) => part !== '').join('; ');
}

const FAILED = 1;

/** Signals, uncaught errors and unexpected exits of the process that a relay runs in. */
class ProcessLifecycle {
  readonly #log: Log;
  readonly #pluginsDir: string;
  readonly #stopping = new AbortController();
  /** Resolves to the exit code at the first signal (0) or uncaught error (1). A second signal kills the process at once. */
  readonly stopRequest: Promise<number>;

  /** Installs the handlers. Log lines name the files below `pluginsDir` that caused an error. */
  constructor(log: Log, pluginsDir: string) {
    this.#log = log;
    this.#pluginsDir = pluginsDir;
    this.stopRequest = new Promise((resolve) => {
      this.#listen((code) => {
        resolve(code);
        this.#stopping.abort();
      });
    });
    process.on('exit', this.#onExit);
  }

  /** Aborted when a stop is requested. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Expects the process to exit from now on. */
  end(): void {
    process.off('exit', this.#onExit);
  }

  #listen(stop: (code: number) => void): void {
    const onSignal = (signal: NodeJS.Signals): void => {
      this.#log.info(`${signal}: stopping`);
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
      stop(0);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    // A forgotten promise in a plugin must not stop the relay.
    process.on('unhandledRejection', (reason) => {
      this.#log.error(`unhandled promise rejection${this.#place(reason)}:`, reason);
    });
    // The state is unknown after an uncaught exception: stop in order, and let the service manager restart the relay.
    process.on('uncaughtException', (error) => {
      const place = this.#place(error);
      this.#log.error(`uncaught exception${place}; stopping the relay:`, error);
      if (place !== '') this.#log.error(`a plugin in a process of its own (isolation: 'child') ends without the relay`);
      stop(FAILED);
    });
  }

  readonly #onExit = (code: number): void => {
    // process.exit() calls this, so its caller is on the stack.
    const here = new Error('process.exit() was called here');
    const what = this.signal.aborted ? 'while the relay was stopping' : 'without a request to stop';
    if (code === 0 && !this.signal.aborted) process.exitCode = FAILED;
    this.#log.error(
      `the process exits with code ${code} ${what}${this.#place(here)}; exit() of the plugins and the rest of the shutdown are skipped:`,
      here,
    );
  };

  /** Returns a location such as ` (ham/spam.ts:12:5)`, or an empty string. */
  #place(thrown: unknown): string {
    try {
      return whereThrown(thrown, realpathSync(this.#pluginsDir));
    } catch {
      // There is no plugins directory, or the thrown object throws when it is inspected.
      return '';
    }
  }
}
