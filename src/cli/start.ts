/** `co2 start`: from flags and files to a relay that runs until it is told to stop. */
import { VERSION, startRelay } from '../app.ts';
import { RelayError, clean } from '../core/core.ts';
import type { Log, LogSource } from '../core/core.ts';
import { startLogging, stopLogging } from './logging.ts';
import type { StartFlags } from './options.ts';
import { ProcessLife } from './process-life.ts';
import { readOptions } from './read-options.ts';
import type { Read } from './read-options.ts';
import { reloadOf } from './reload.ts';
import type { Reload } from './reload.ts';

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
