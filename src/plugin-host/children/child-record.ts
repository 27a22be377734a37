/** A module that runs in a process of its own, as the record of a program. */
import type { ModuleOptions, FoundModule, ConfigPlace } from '../modules/modules.ts';
import type { HostedOptions } from '../hosted/hosted.ts';
import type { ChildOptions } from './options.ts';
import { clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { Clock } from '../../core/core.ts';
import { serialiseResponse } from '../../xmlrpc/xmlrpc.ts';
import { readConfig } from '../modules/modules.ts';
import { refusal } from '../hosted/hosted.ts';
import type { ProgramRecord } from '../programs/programs.ts';
import { argumentsOf, OUT_OF_MEMORY } from './job.ts';

export interface ChildRecordParts extends Pick<ConfigPlace, 'directory'> {
  readonly clock: Clock;
  readonly options: Pick<ModuleOptions, 'plugins'> & HostedOptions & ChildOptions;
  readonly cacheDir: string | undefined;
  /** What config.ts names as relay plugins. */
  readonly relayPlugins: readonly string[];
  /** Its lines of level debug are wanted. */
  readonly debug: boolean;
}

/** Rejects with a RelayError PLUGIN_REFUSED if the configuration cannot be read, or cannot cross to another process. */
export async function childRecord(found: FoundModule, parts: ChildRecordParts): Promise<ProgramRecord> {
  const { options, directory, clock, cacheDir, relayPlugins, debug } = parts;
  const { plugins, setupTimeoutMs, exitTimeoutMs, receiveTimeoutMs, maxMemoryMb } = options;
  const { value, source: configSource } = await readConfig(found, { directory, plugins }, { clock, timeoutMs: setupTimeoutMs });
  const limits = { setupTimeoutMs, exitTimeoutMs, receiveTimeoutMs, maxMemoryMb };
  return {
    name: found.module,
    exec: process.execPath,
    args: argumentsOf({ found, cacheDir, relayPlugins, configSource, debug, ...limits }),
    config: portable(found.module, value, configSource),
  };
}

/** The end of a child as people are told of it: Node aborts where the heap is full, our own watch ends it where bytes outside of that are too many. */
export function endInWords(reason: string, maxMemoryMb: number): string {
  const isMemory = reason === `it ended with code ${OUT_OF_MEMORY}` || reason === 'it was ended by SIGABRT';
  return isMemory ? `${reason}: out of memory (maxMemoryMb: ${maxMemoryMb})` : reason;
}

function portable(module: string, config: unknown, source: string): Readonly<Record<string, unknown>> {
  if (!isDict(config)) throw refusal(module, `the configuration of a plugin in a child is an object (${source})`);
  try {
    serialiseResponse(config, { nil: true, i8: true });
  } catch (error) {
    const reason = error instanceof Error ? clean(error.message) : 'it cannot be written';
    throw refusal(module, `its configuration cannot cross to a child (isolation): ${reason} (${source})`, error);
  }
  return config;
}
