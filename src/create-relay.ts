/** PUBLIC: what a program imports from 'co2-relay/relay' to run a relay inside its own process. */
import { startRelay } from './app.ts';
import type { RelayEnvironment, RunningRelay } from './app.ts';
import { completeOptions } from './config/config.ts';
import type { Completed, Config } from './config/config.ts';

export type { AppStatus, RelayEnvironment, RunningRelay } from './app.ts';
export type { Config } from './config/config.ts';

/**
 * Starts a relay inside this process; relative paths in `config` start from the working directory. Several relays can run at once.
 * Rejects with a RelayError whose text says what to do; nothing is left open then.
 */
export async function createRelay(config: Config = {}, environment: RelayEnvironment = {}): Promise<RunningRelay> {
  const baseDir = process.cwd();
  const complete = (caller: string, values: Config): Completed =>
    completeOptions([{ values, baseDir, nameOf: (key) => `${caller}: ${key}` }], baseDir);
  const { addPeer: _addPeer, ...relay } = await startRelay(complete('createRelay', config), environment);
  return { ...relay, reconfigure: (wanted) => relay.reconfigure(complete('reconfigure', wanted).options) };
}
