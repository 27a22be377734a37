/** Imports a module and picks the satellites among what it exports. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { moduleUrl } from '../../loader/loader.mjs';
import { clean } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { ATTACH, satelliteOptionsOf } from '../../plugin/for-host.ts';
import type { AnyClass, Plugin, SatelliteOptions, Sender } from '../../plugin/for-host.ts';
import type { FoundModule } from './find.ts';
import { compare, inStep } from '../hosted/hosted.ts';
import type { PluginProblem, StepParts } from '../hosted/hosted.ts';
import { relayPluginsIn } from './relay-plugin-hint.ts';
import type { ExportedRelayPlugins } from './relay-plugin-hint.ts';

/** What we rely on in a satellite: nothing. One that does not extend Plugin may lack any of these. */
export type SatelliteInstance = Partial<Pick<Plugin, 'receive' | 'setup' | 'exit' | 'handover' | 'restore'>> & {
  [ATTACH]?: (sender: Sender) => void;
};

/** A class to make a satellite of. */
export interface SatelliteClass {
  /** `ham.spam.Spam` */
  readonly name: string;
  readonly target: AnyClass;
  readonly options: SatelliteOptions;
}

export interface ImportedModule extends FoundModule {
  /** As it was imported. */
  readonly url: string;
  /** Classes that are decorated with `@Satellite`, its own and those of others. */
  readonly exported: ReadonlySet<AnyClass>;
  readonly relayPlugins: ExportedRelayPlugins;
}

export interface LoadedModule extends ImportedModule {
  readonly satellites: readonly SatelliteClass[];
}

export interface ImportParts extends StepParts {
  /** What config.ts names as relay plugins, which are loaded elsewhere. */
  readonly relayPlugins: readonly string[];
}

/** Imports the current version of a module. Rejects with whatever it throws, or a RelayError TIMEOUT. */
export async function importModule(found: FoundModule, parts: ImportParts): Promise<ImportedModule> {
  const url = moduleUrl(await realpath(join(found.root, found.path)));
  const { timeoutMs } = parts;
  const namespace = await inStep(parts, `loading it took longer than ${timeoutMs} ms`, () => import(url) as Promise<object>);
  const relayPlugins = await relayPluginsIn(found, namespace, parts.relayPlugins);
  return { ...found, url, exported: exportedClasses(namespace), relayPlugins };
}

export interface PickParts {
  /** The other modules that are loaded. */
  readonly others: readonly ImportedModule[];
  readonly log: Log;
  readonly report: (problem: PluginProblem) => void;
}

/**
 * The satellites of a module. A class that several modules export is one satellite, of the first of them; an index, which re-exports by
 * habit, comes last.
 */
export function pickSatellites(imported: ImportedModule, { others, log, report }: PickParts): LoadedModule {
  const before = others.filter((other) => rank(other, imported) < 0);
  const own = [...imported.exported].filter((target) => !before.some(({ exported }) => exported.has(target)));
  const { count, hint } = imported.relayPlugins;
  if (hint !== undefined) log.warn(`${clean(imported.file)}: ${hint}`);
  if (own.length === 0 && count === 0) log.info(`${clean(imported.file)}: ${whyNone(imported.exported.size)}`);
  return { ...imported, satellites: withoutNamesakes(imported, own, report) };
}

/** Negative if what both export belongs to `a`. */
function rank(a: FoundModule, b: FoundModule): number {
  const isIndex = ({ moduleName }: FoundModule): number => Number(moduleName === 'index');
  return isIndex(a) - isIndex(b) || compare(a.module, b.module);
}

function whyNone(exported: number): string {
  return exported === 0
    ? 'exports no class decorated with @Satellite, so nothing of it runs; is the decorator missing, or the word export?'
    : 'exports only satellites of other modules';
}

function exportedClasses(namespace: object): Set<AnyClass> {
  const values: unknown[] = Object.values(namespace);
  return new Set(values.filter((value): value is AnyClass => satelliteOptionsOf(value) !== undefined));
}

function withoutNamesakes(found: FoundModule, targets: readonly AnyClass[], report: PickParts['report']): SatelliteClass[] {
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
