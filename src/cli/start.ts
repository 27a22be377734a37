/** `co2 start`: from flags and files to a relay that runs until it is told to stop. */
import { resolve } from 'node:path';
import { VERSION, startRelay } from '../app.ts';
import { completeOptions } from '../define-config/define-config.ts';
import type { Completed } from '../define-config/define-config.ts';
import type { Log } from '../message/message.ts';
import { loadConfigFile } from './config-file.ts';
import { startLogging, stopLogging } from './logging.ts';
import { configOf, flagName } from './options.ts';
import type { StartFlags } from './options.ts';

/** Starts the relay, says so on stdout, and stays until a signal; answers the exit code. */
export async function start(flags: StartFlags): Promise<number> {
  const completed = await readOptions(flags);
  const logs = startLogging(completed.options, process.stderr);
  const log = logs('app');
  const stopRequest = awaitStopRequest(log);
  let code = 0;
  try {
    const relay = await startRelay(completed, { logs });
    process.stdout.write(`co2-relay ${VERSION} listening on ${relay.url} as ${relay.hostId}\n`);
    warnOfOldNode(log);
    code = await stopRequest;
    await relay.stop();
    log.info('stopped');
  } finally {
    await stopLogging();
  }
  return code;
}

/** The options that a relay started with these flags here would have. */
export async function readOptions(flags: StartFlags): Promise<Completed> {
  const directory = process.cwd();
  const file = await loadConfigFile(flags.config, directory, resolve(directory, flags.data ?? '.co2', 'cache'));
  const line = { values: configOf(flags), baseDir: directory, nameOf: flagName };
  return completeOptions(file ? [file, line] : [line], directory);
}

/** Resolves at the first signal to 0, at an error that nobody caught to 1; a second signal ends the process at once. */
function awaitStopRequest(log: Log): Promise<number> {
  return new Promise((resolveCode) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      log.info(`${signal}: stopping`);
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
      resolveCode(0);
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
      resolveCode(1);
    });
  });
}

function warnOfOldNode(log: Log): void {
  const major = Number(process.versions.node.split('.', 1)[0]);
  if (major < 22)
    log.warn(`Node ${process.versions.node} is past its end of life; the relay runs, but Node 22 or newer gets security fixes`);
}
