/** PUBLIC: what a program imports from 'co2-relay/relay' to run a relay inside its own process. */
import { startRelay } from './app.ts';
import type { RelayEnvironment, RunningRelay } from './app.ts';
import { completeOptions } from './config/config.ts';
import type { Completed, Config, Options } from './config/config.ts';
import { stderrLogs } from './core/core.ts';
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
}

/**
 * Starts a relay inside this process. Relative paths in `config` start from the working directory. Several relays can run at once, each
 * with its own `dataDir`. A plugin that does not load is logged and does not run; see `status().plugins.problems`. Rejects with a
 * RelayError whose text says what to do; nothing is left open then.
 */
export async function createRelay(config: EmbeddedConfig = {}, environment: RelayEnvironment = {}): Promise<RunningRelay> {
  const { satellites: classes, ...values } = config;
  const completed = complete('createRelay', values);
  const logs = environment.logs ?? stderrLogs(levelsOf(completed));
  const { addPeer: _addPeer, ...relay } = await startRelay(completed, { ...environment, logs, classes });
  return { ...relay, reconfigure: (wanted) => relay.reconfigure(complete('reconfigure', wanted).options) };
}

function complete(caller: string, values: Config): Completed {
  const baseDir = process.cwd();
  return completeOptions([{ values, baseDir, nameOf: (key) => `${caller}: ${key}` }], baseDir);
}

/** A program that says nothing about logs gets warnings and errors. */
function levelsOf({ options, isSet }: Completed): Options['log'] {
  return isSet('log') ? options.log : { ...options.log, level: 'warn' };
}
