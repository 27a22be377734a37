/** `co2 start`: from flags and files to a relay that runs until it is told to stop. */
import { realpathSync } from 'node:fs';
import { startRelay, VERSION } from '../app.ts';
import type { StartedRelay } from '../app.ts';
import { clean, reasonOf, RelayError } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../message/message.ts';
import { whereThrown } from '../plugin-host/plugin-host.ts';
import { startLogging, stopLogging } from './logging.ts';
import { readOptions } from './read-options.ts';
import type { Read } from './read-options.ts';
import type { StartFlags } from './start-options.ts';

/** Starts the relay, says so on stdout, and stays until a signal; answers the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  const read = await readOptions(flags);
  const logs = await startLogging(read.completed.options, process.stderr);
  const log = logs('app');
  const life = new ProcessLife(log, read.completed.options.pluginsDir);
  try {
    await run({ flags, read, logs, life });
    log.info('stopped');
  } catch (error) {
    // A start that was given up because it was told to is no failure.
    if (!life.signal.aborted) throw error;
  } finally {
    life.over();
    await stopLogging();
  }
  return life.stopRequest;
}

interface Run {
  readonly flags: StartFlags;
  readonly read: Read;
  readonly logs: LogSource;
  readonly life: ProcessLife;
}

async function run({ flags, read, logs, life }: Run): Promise<void> {
  let reload: Reload = () => Promise.reject(new RelayError('UNAVAILABLE', 'the relay is starting; reload it in a moment'));
  // What goes wrong stands in the log. Without this a SIGHUP would end the relay, also while it starts.
  process.on('SIGHUP', () => void reload().catch(() => undefined));
  const relay = await startRelay(read.completed, { logs, signal: life.signal, reload: () => reload() });
  reload = reloadOf(flags, relay, read, logs('app'));
  process.stdout.write(`co2-relay ${VERSION} listening on ${relay.url} as ${relay.hostId}\n`);
  tellOfSurroundings(read, logs('app'));
  await life.stopRequest;
  await relay.stop();
}

/** What an operator should know of where the relay runs. */
function tellOfSurroundings({ ignored }: Pick<Read, 'ignored'>, log: Log): void {
  if (ignored.length > 0) {
    const names = ignored.slice(0, 20).map((name) => clean(name, 80));
    const text = `ignored what Kubernetes sets for a service: ${names.join(', ')}`;
    log.info(`${text}; enableServiceLinks: false in the pod's specification leaves them out`);
  }
  if (process.pid === 1)
    log.info(
      'this is process 1: it stops at SIGTERM, but does not reap orphans of programs; run it with an init (docker run --init, tini)',
    );
  const major = Number(process.versions.node.split('.', 1)[0]);
  if (major < 22)
    log.warn(`Node ${process.versions.node} is past its end of life; the relay runs, but Node 22 or newer gets security fixes`);
}

type Report = ReturnType<StartedRelay['reconfigure']>;
export type Reload = () => Promise<Report>;

/** Flags, environment and the file are those of the start; a wrong file, or one that is gone, changes nothing, is logged, and rejects. One reload at a time. */
export function reloadOf(
  flags: StartFlags,
  relay: Pick<StartedRelay, 'reconfigure'>,
  started: Pick<Read, 'completed' | 'file'>,
  log: Log,
  clock?: Clock,
): Reload {
  let last: Promise<unknown> = Promise.resolve();
  const reload = async (): Promise<Report> => {
    try {
      const { options } = (await readOptions(flags, { file: started.file, clock })).completed;
      const report = relay.reconfigure(options);
      // Where the log goes to stays; only levels change.
      const { level, levels } = options.log;
      if (report.tookEffect.some((key) => key.startsWith('log.')))
        await startLogging({ log: { ...started.completed.options.log, level, levels } }, process.stderr);
      log.info(`reload: ${describe(report)}`);
      return report;
    } catch (error) {
      log.error(`reload refused, the old configuration stays: ${reasonOf(error).replace(/\s*\n\s*/g, ' ')}`);
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

export class ProcessLife {
  readonly #log: Log;
  readonly #pluginsDir: string;
  readonly #told = new AbortController();
  /** Resolves to the exit code at the first signal (0), or at an error that nobody caught (1). A second signal ends the process at once. */
  readonly stopRequest: Promise<number>;

  /** Listens from now on. `pluginsDir`: whose files are named where they are to blame. */
  constructor(log: Log, pluginsDir: string) {
    this.#log = log;
    this.#pluginsDir = pluginsDir;
    this.stopRequest = new Promise((resolve) => {
      this.#listen((code) => {
        resolve(code);
        this.#told.abort();
      });
    });
    process.on('exit', this.#onExit);
  }

  /** Aborted at a stop request. */
  get signal(): AbortSignal {
    return this.#told.signal;
  }

  /** The relay has ended: an exit of the process is in order from now on. */
  over(): void {
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
    // A promise that a plugin forgot must not take the network down with it.
    process.on('unhandledRejection', (reason) => {
      this.#log.error(`a promise was rejected and nobody caught it${this.#place(reason)}:`, reason);
    });
    // After an exception outside of every call nothing is known to be whole: stop in order, and let the supervisor start anew.
    process.on('uncaughtException', (error) => {
      this.#log.error(`an exception that nobody caught${this.#place(error)}; the relay stops:`, error);
      stop(FAILED);
    });
  }

  readonly #onExit = (code: number): void => {
    // Called by `process.exit` itself, so whoever called that stands on the stack.
    const here = new Error('process.exit was called here');
    const what = this.signal.aborted ? 'while the relay stopped' : 'and nobody had told the relay to stop';
    if (code === 0 && !this.signal.aborted) process.exitCode = FAILED;
    this.#log.error(
      `the process was ended with code ${code} ${what}${this.#place(here)}; plugins were not exited, and nothing else was ended in order:`,
      here,
    );
  };

  /** ` (ham/spam.ts:12:5)` or nothing. */
  #place(thrown: unknown): string {
    try {
      return whereThrown(thrown, realpathSync(this.#pluginsDir));
    } catch {
      // There are no plugins, or what was thrown throws when it is looked at.
      return '';
    }
  }
}
