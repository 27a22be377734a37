/** The life of the process that a relay runs in: what tells it to stop, and what is told of an end that nobody asked for. */
import { realpathSync } from 'node:fs';
import type { Log } from '../core/core.ts';
import { whereThrown } from '../plugin-host/plugin-host.ts';

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
