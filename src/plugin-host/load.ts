/** Imports the modules and picks the satellites among what they export. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { realpath } from 'node:fs/promises';
import { clean, withinLimit } from '../message/message.ts';
import type { Clock, Log } from '../message/message.ts';
import { ATTACH, satelliteOptionsOf } from '../plugin/for-host.ts';
import type { AnyClass, Plugin, SatelliteOptions, Sender } from '../plugin/for-host.ts';
import type { FoundModule } from './find.ts';
import { problemAt } from './problem.ts';
import type { PluginProblem } from './problem.ts';
import { hintAtRelayPlugins } from './relay-plugin-hint.ts';
import type { RelayPluginOptions } from './relay-plugin-options.ts';

/** What we rely on in a satellite: nothing. One that does not extend Plugin may lack any of these. */
export type SatelliteInstance = Partial<Pick<Plugin, 'receive' | 'setup' | 'exit'>> & { [ATTACH]?: (sender: Sender) => void };

/** A class to make a satellite of. */
export interface SatelliteClass {
  /** `ham.spam.Spam` */
  readonly name: string;
  readonly target: AnyClass;
  readonly options: SatelliteOptions;
}

export interface LoadedModule extends FoundModule {
  /** As it was imported. */
  readonly url: string;
  readonly satellites: readonly SatelliteClass[];
}

export interface LoadParts {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly log: Log;
  /** What config.ts names as relay plugins, which are loaded elsewhere. */
  readonly relayPlugins: RelayPluginOptions['relayPlugins'];
  readonly report: (problem: PluginProblem) => void;
}

/** Imports all modules, one after the other, in order; those that fail are reported and left out. */
export async function loadModules(modules: readonly FoundModule[], parts: LoadParts): Promise<readonly LoadedModule[]> {
  const imported: { found: FoundModule; url: string; exported: ReadonlySet<AnyClass>; isRelayPlugin: boolean }[] = [];
  for (const found of modules) {
    try {
      const url = pathToFileURL(await realpath(join(found.root, found.path))).href;
      const namespace = await withinLimit(
        parts.clock,
        parts.timeoutMs,
        `loading it took longer than ${parts.timeoutMs} ms`,
        () => import(url) as Promise<object>,
      );
      const isRelayPlugin = await hintAtRelayPlugins(found, namespace, parts.relayPlugins, parts.log);
      imported.push({ found, url, exported: exportedClasses(namespace), isRelayPlugin });
    } catch (error) {
      parts.report({ module: found.module, ...problemAt(error, found) });
    }
  }
  const owners = ownersOf(imported);
  return imported.map(({ found, url, exported, isRelayPlugin }) => {
    const own = [...exported].filter((target) => owners.get(target) === found);
    if (own.length === 0 && !isRelayPlugin) parts.log.info(`${clean(found.file)}: ${whyNone(exported.size)}`);
    return { ...found, url, satellites: withoutNamesakes(found, own, parts.report) };
  });
}

function whyNone(exported: number): string {
  return exported === 0 ? 'exports no class decorated with @Satellite, so nothing of it runs' : 'exports only satellites of other modules';
}

function exportedClasses(namespace: object): Set<AnyClass> {
  const values: unknown[] = Object.values(namespace);
  return new Set(values.filter((value): value is AnyClass => satelliteOptionsOf(value) !== undefined));
}

/** A class that several modules export is one satellite, of the first of them; an index, which re-exports by habit, comes last. */
function ownersOf(imported: readonly { found: FoundModule; exported: ReadonlySet<AnyClass> }[]): Map<AnyClass, FoundModule> {
  const owners = new Map<AnyClass, FoundModule>();
  const isIndex = ({ found }: { found: FoundModule }): boolean => found.moduleName === 'index';
  for (const { found, exported } of [...imported.filter((one) => !isIndex(one)), ...imported.filter(isIndex)]) {
    for (const target of exported) if (!owners.has(target)) owners.set(target, found);
  }
  return owners;
}

function withoutNamesakes(found: FoundModule, targets: readonly AnyClass[], report: LoadParts['report']): SatelliteClass[] {
  const { module, file } = found;
  const classes = targets.map((target) => ({ target, className: /^[\p{L}_$][\p{L}\d_$]*$/u.test(target.name) ? target.name : 'default' }));
  return classes.flatMap(({ target, className }) => {
    if (classes.some((other) => other.target !== target && other.className === className)) {
      report({ module, file, reason: `exports two satellites named ${className}; rename one` });
      return [];
    }
    return { name: `${module}.${className}`, target, options: satelliteOptionsOf(target) ?? {} };
  });
}
