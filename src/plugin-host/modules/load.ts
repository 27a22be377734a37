/** Imports a module and selects the satellites and relay plugins among its exports. */
import { realpath } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { clean, runStep } from '../../core/core.ts';
import type { Log, StepLimits } from '../../core/core.ts';
import { moduleUrl } from '../../loader/loader.mjs';
import { ATTACH, relayPluginOptionsOf, satelliteOptionsOf } from '../../plugin/internal.ts';
import type { AnyClass, Plugin, SatelliteOptions, Sender } from '../../plugin/internal.ts';
import { compare } from '../hosted/hosted.ts';
import type { PluginProblem } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';

/** The members of a satellite that the host uses. A class that does not extend `Plugin` may lack any of them. */
export type SatelliteInstance = Partial<Pick<Plugin, 'receive' | 'onDelivery' | 'setup' | 'exit' | 'handover' | 'restore'>> & {
  [ATTACH]?: (sender: Sender) => void;
};

/** A class that is to be constructed as a satellite. */
export interface SatelliteClass {
  /** `ham.spam.Spam` */
  readonly name: string;
  readonly target: AnyClass;
  readonly options: SatelliteOptions;
}

/** A module that was imported. */
export interface ImportedModule extends FoundModule {
  /** The URL of the import. Empty for classes. */
  readonly url: string;
  /** The exported classes decorated with `@Satellite`, its own and those of other modules. */
  readonly exported: ReadonlySet<AnyClass>;
  readonly relayPlugins: ExportedRelayPlugins;
}

/** A module with the satellites that belong to it. */
export interface LoadedModule extends ImportedModule {
  readonly satellites: readonly SatelliteClass[];
  /** Why it has no satellite; undefined if it has one, or only relay plugins. */
  readonly emptyReason: string | undefined;
}

export interface ImportParts extends StepLimits {
  /** The files and modules that config.ts names as relay plugins; those are loaded separately. */
  readonly relayPlugins: readonly string[];
}

/** Imports the current version of a module. Rejects with the error of the import, or with a RelayError TIMEOUT. */
export async function importModule(found: FoundModule, parts: ImportParts): Promise<ImportedModule> {
  const url = found.exports ? '' : moduleUrl(await realpath(join(found.root, found.path)));
  const { timeoutMs } = parts;
  const namespace =
    found.exports ?? (await runStep(parts, `loading it took longer than ${timeoutMs} ms`, () => import(url) as Promise<object>));
  const relayPlugins = await relayPluginsIn(found, namespace, parts.relayPlugins);
  return { ...found, url, exported: exportedClasses(namespace), relayPlugins };
}

export interface PickParts {
  /** The other modules that are imported. */
  readonly others: readonly ImportedModule[];
  readonly log: Log;
  readonly report: (problem: PluginProblem) => void;
}

/**
 * The satellites of a module. A class that several modules export belongs to the first of them; an index, which often re-exports, comes
 * last.
 */
export function pickSatellites(imported: ImportedModule, { others, log, report }: PickParts): LoadedModule {
  const before = others.filter((other) => rank(other, imported) < 0);
  const own = [...imported.exported].filter((target) => !before.some(({ exported }) => exported.has(target)));
  const { count, hint } = imported.relayPlugins;
  if (hint !== undefined) log.warn(`${clean(imported.file)}: ${hint}`);
  const emptyReason = own.length === 0 && count === 0 ? whyNone(imported.exported.size) : undefined;
  if (emptyReason !== undefined) log[imported.exported.size === 0 ? 'warn' : 'info'](`${clean(imported.file)}: it ${emptyReason}`);
  return { ...imported, satellites: withoutNamesakes(imported, own, report), emptyReason };
}

/** The problem of a module that runs in this process though its decorator asks for a child, because the host could not read that. */
export function notLiteralProblem({ module, file }: FoundModule, className: string): PluginProblem {
  const reason = `@Satellite on ${clean(className, 100)}: isolation is read without running the file, so it must be the literal 'child' there; or set isolation: { '${module}': 'child' } in config.ts`;
  return { module, file: clean(file), reason };
}

/** Negative if a class that both export belongs to `a`. */
function rank(a: FoundModule, b: FoundModule): number {
  const isIndex = ({ moduleName }: FoundModule): number => Number(moduleName === 'index');
  return isIndex(a) - isIndex(b) || compare(a.module, b.module);
}

function whyNone(exported: number): string {
  return exported === 0
    ? 'does not export a class decorated with @Satellite, so it does nothing; is the decorator missing, or the word export?'
    : 'exports only satellites of other modules, so it does nothing';
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

/** The relay plugins among the exports of a module. */
export interface ExportedRelayPlugins {
  readonly count: number;
  /** True if `relayPlugins` names their module. Then they have been running since the relay started. */
  readonly isInUse: boolean;
  /** How to make them run. Undefined if they do, or if there are none. */
  readonly hint: string | undefined;
}

/** Finds the relay plugins in `namespace`, which was imported from `found`. */
export async function relayPluginsIn(
  found: FoundModule,
  namespace: object,
  relayPlugins: readonly string[],
): Promise<ExportedRelayPlugins> {
  const classes = relayPluginClasses(namespace);
  const count = classes.length;
  if (count === 0) return { count, isInUse: false, hint: undefined };
  const path = join(found.root, found.path);
  for (const use of relayPlugins) {
    const isMeant = isFileName(use) ? (await realpath(use).catch(() => use)) === path : use === found.module;
    if (isMeant) return { count, isInUse: true, hint: undefined };
  }
  const names = classes.map(({ name }) => clean(name, 60)).join(', ');
  const hint = `${names} is a relay plugin and does not run, since it would see every dict; to load it write relayPlugins: ['${found.module}'] in config.ts`;
  return { count, isInUse: false, hint };
}

/** The classes of a module that are relay plugins. */
export function relayPluginClasses(namespace: object): AnyClass[] {
  const values = new Set<unknown>(Object.values(namespace));
  return [...values].filter((value): value is AnyClass => relayPluginOptionsOf(value) !== undefined);
}

/** True if `use` names a file. Otherwise it names a module. */
export function isFileName(use: string): boolean {
  return /^\.\.?[/\\]/.test(use) || isAbsolute(use);
}
