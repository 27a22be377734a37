/** The effective options of a start: flag > environment > file > default. */
import { resolve } from 'node:path';
import { completeOptions } from '../config/config.ts';
import type { Completed, ConfigSource } from '../config/config.ts';
import { systemClock } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { findConfigFile, loadConfigFile } from './config-file.ts';
import type { ConfigFile } from './config-file.ts';
import { environmentSource } from './environment.ts';
import { configOf, flagName } from './options.ts';
import type { StartFlags } from './options.ts';

/** One place where options stand, and what it is called in `co2 config show`. */
export interface Place {
  readonly kind: 'file' | 'environment' | 'flag';
  readonly source: ConfigSource;
}

export interface Read {
  readonly completed: Completed;
  /** Those that there are; later ones win. */
  readonly places: readonly Place[];
  /** The file among them. */
  readonly file: ConfigFile | undefined;
  /** Variables whose name begins with CO2_ and that are of somebody else. */
  readonly ignored: readonly string[];
}

export interface ReadParts {
  /** The file to read, instead of the one that is looked for. */
  readonly file?: ConfigFile | undefined;
  /** Measures how long the file takes to load. */
  readonly clock?: Clock | undefined;
}

/** Reads the file anew at each call. Throws a RelayError CONFIG_INVALID. */
export async function readOptions(flags: StartFlags, { file: known, clock = systemClock }: ReadParts = {}): Promise<Read> {
  const directory = process.cwd();
  const environment = environmentSource(process.env, directory);
  const dataDir = flags.data ?? given(process.env.CO2_DATA_DIR) ?? '.co2';
  const found = known ?? findConfigFile(flags.config ?? given(process.env.CO2_CONFIG), directory);
  const file = found && (await loadConfigFile(found, resolve(directory, dataDir, 'cache'), clock));
  // Plugins from npm are installed where the operator's files are, wherever the command is run; anything else that is said wins over that.
  const project: ConfigSource[] = file ? [{ values: { projectDir: '.' }, baseDir: file.baseDir, nameOf: file.nameOf }] : [];
  const line: ConfigSource = { values: configOf(flags), baseDir: directory, nameOf: flagName };
  const places: Place[] = [
    ...(file ? [{ kind: 'file', source: file } as const] : []),
    { kind: 'environment', source: environment },
    { kind: 'flag', source: line },
  ];
  return {
    completed: completeOptions([...project, ...places.map(({ source }) => source)], directory),
    places,
    file: found,
    ignored: environment.ignored,
  };
}

function given(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
