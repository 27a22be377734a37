/** `co2 start`: from flags and files to a relay that runs until it is told to stop. */
import { VERSION, startRelay } from '../app.ts';
import { RelayError } from '../message/message.ts';
import type { Log, LogSource } from '../message/message.ts';
import { startLogging, stopLogging } from './logging.ts';
import type { StartFlags } from './options.ts';
import { readOptions } from './read-options.ts';
import type { Read } from './read-options.ts';
import { reloadOf } from './reload.ts';
import type { Reload } from './reload.ts';

/** Starts the relay, says so on stdout, and stays until a signal; answers the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  const read = await readOptions(flags);
  const logs = await startLogging(read.completed.options, process.stderr);
  const log = logs('app');
  const told = new AbortController();
  const stopRequest = awaitStopRequest(log, told);
  try {
    await run({ flags, read, logs, signal: told.signal, stopRequest });
    log.info('stopped');
  } catch (error) {
    // A start that was given up because it was told to is no failure.
    if (!told.signal.aborted) throw error;
  } finally {
    await stopLogging();
  }
  return stopRequest;
}

interface Run {
  readonly flags: StartFlags;
  readonly read: Read;
  readonly logs: LogSource;
  readonly signal: AbortSignal;
  readonly stopRequest: Promise<unknown>;
}

async function run({ flags, read, logs, signal, stopRequest }: Run): Promise<void> {
  let reload: Reload = () => Promise.reject(new RelayError('UNAVAILABLE', 'the relay is starting; reload it in a moment'));
  // What goes wrong stands in the log. Without this a SIGHUP would end the relay, also while it starts.
  process.on('SIGHUP', () => void reload().catch(() => undefined));
  const relay = await startRelay(read.completed, { logs, signal, reload: () => reload() });
  reload = reloadOf(flags, relay, read, logs('app'));
  process.stdout.write(`co2-relay ${VERSION} listening on ${relay.url} as ${relay.hostId}\n`);
  warnOfOldNode(logs('app'));
  await stopRequest;
  await relay.stop();
}

/** Resolves at the first signal to 0, at an error that nobody caught to 1, and aborts `told`; a second signal ends the process at once. */
function awaitStopRequest(log: Log, told: AbortController): Promise<number> {
  return new Promise((resolveCode) => {
    const stop = (code: number): void => {
      resolveCode(code);
      told.abort();
    };
    const onSignal = (signal: NodeJS.Signals): void => {
      log.info(`${signal}: stopping`);
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
      stop(0);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    // A promise that a plugin forgot must not take the network down with it.
    process.on('unhandledRejection', (reason) => {
      log.error('a promise was rejected and nobody caught it:', reason);
    });
    // After an exception outside of every call nothing is known to be whole: stop in order, and let the supervisor start anew.
    process.on('uncaughtException', (error) => {
      log.error('an exception that nobody caught; the relay stops:', error);
      stop(1);
    });
  });
}

function warnOfOldNode(log: Log): void {
  const major = Number(process.versions.node.split('.', 1)[0]);
  if (major < 22)
    log.warn(`Node ${process.versions.node} is past its end of life; the relay runs, but Node 22 or newer gets security fixes`);
}
