/** PUBLIC: what a program imports from 'co2-relay/relay' to run a relay inside its own process. */
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRelay } from './app.ts';
import type { RelayEnvironment, RunningRelay } from './app.ts';
import { completeOptions } from './config/config.ts';
import type { Completed, Config, Options } from './config/config.ts';
import { RelayError, stderrLogs } from './core/core.ts';
import type { SatelliteClasses } from './plugin-host/plugin-host.ts';

export type { AppStatus, RelayEnvironment, RunningRelay } from './app.ts';
export type { Config } from './config/config.ts';
export type { SatelliteClass, SatelliteClasses } from './plugin-host/plugin-host.ts';
export type { RelayEvent } from './relay/relay.ts';

/** What {@link createRelay} takes: options as in config.ts, and plugins of the program itself. */
export interface EmbeddedConfig extends Config {
  /**
   * Classes decorated with `@Satellite` that run as plugins: `{ 'ham.spam': Spam }` by the names of their modules, or `[Spam]`, whose
   * module is `app.spam`. They are configured in `plugins`, are never reloaded, and run in this process. Default none.
   */
  readonly satellites?: SatelliteClasses | undefined;
  /**
   * True for a relay that joins a mesh for a while, to call, command and submit, and leaves nothing behind: it has a new key, keeps what it
   * stores in memory and small files in a temporary directory that is deleted with it, listens on a free port of 127.0.0.1 and loads no
   * `pluginsDir` unless the options say otherwise, and the other nodes let nothing wait for it and do not store its key. They have to trust
   * a key that they do not know: `trust: 'clusterSecret'` or `'ca'` on both sides, or `'pair'` there. `dataDir` cannot be given. Default
   * false.
   */
  readonly ephemeral?: boolean | undefined;
}

/**
 * Starts a relay inside this process. Relative paths in `config` start from the working directory. Several relays can run at once, each
 * with its own `dataDir`. A plugin that does not load is logged and does not run; see `status().plugins.problems`. Rejects with a
 * RelayError whose text says what to do; nothing is left open then.
 */
export async function createRelay(config: EmbeddedConfig = {}, environment: RelayEnvironment = {}): Promise<RunningRelay> {
  const { ephemeral = false, ...own } = config;
  return ephemeral ? startEphemeral(own, environment) : start(own, environment, false);
}

async function start(config: EmbeddedConfig, environment: RelayEnvironment, isEphemeral: boolean): Promise<RunningRelay> {
  const { satellites: classes, ...values } = config;
  const completed = complete('createRelay', values);
  const logs = environment.logs ?? stderrLogs(levelsOf(completed));
  const { addPeer: _addPeer, ...relay } = await startRelay(completed, { ...environment, logs, classes, isEphemeral });
  return { ...relay, reconfigure: (wanted) => relay.reconfigure(complete('reconfigure', wanted).options) };
}

/** Starts a relay in a directory of its own, which goes with it. */
async function startEphemeral(config: EmbeddedConfig, environment: RelayEnvironment): Promise<RunningRelay> {
  if (config.dataDir !== undefined)
    throw new RelayError('CONFIG_INVALID', 'createRelay: dataDir: an ephemeral relay keeps nothing; leave dataDir out, or ephemeral');
  const directory = await mkdtemp(join(tmpdir(), 'co2-ephemeral-'));
  const remove = (): void => {
    process.off('exit', remove);
    rmSync(directory, { recursive: true, force: true });
  };
  process.once('exit', remove);
  const [dataDir, pluginsDir] = [join(directory, 'state'), join(directory, 'plugins')];
  try {
    await mkdir(pluginsDir);
    const relay = await start({ host: '127.0.0.1', port: 0, pluginsDir, ...config, dataDir }, environment, true);
    const stop = (): Promise<void> => relay.stop().finally(remove);
    return { ...relay, stop };
  } catch (error) {
    remove();
    throw error;
  }
}

function complete(caller: string, values: Config): Completed {
  const baseDir = process.cwd();
  return completeOptions([{ values, baseDir, nameOf: (key) => `${caller}: ${key}` }], baseDir);
}

/** A program that says nothing about logs gets warnings and errors. */
function levelsOf({ options, isSet }: Completed): Options['log'] {
  return isSet('log') ? options.log : { ...options.log, level: 'warn' };
}
