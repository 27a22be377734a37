/** A relay plugin that lies in the plugins directory does nothing by that; what would make it run. */
import { realpath } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { clean } from '../../core/core.ts';
import { relayPluginOptionsOf } from '../../plugin/for-host.ts';
import type { AnyClass } from '../../plugin/for-host.ts';
import type { FoundModule } from './find.ts';

/** The relay plugins among what a module exports. */
export interface ExportedRelayPlugins {
  readonly count: number;
  /** `relayPlugins` names their module: they run since the relay started. */
  readonly isInUse: boolean;
  /** How they are made to run; undefined if they do, or there are none. */
  readonly hint: string | undefined;
}

/** Those in `namespace`, which was imported from `found`. */
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

/** The classes of a module that are relay plugins, each once. */
export function relayPluginClasses(namespace: object): AnyClass[] {
  const values = new Set<unknown>(Object.values(namespace));
  return [...values].filter((value): value is AnyClass => relayPluginOptionsOf(value) !== undefined);
}

/** True if `use` names a file; else it names a module. */
export function isFileName(use: string): boolean {
  return /^\.\.?[/\\]/.test(use) || isAbsolute(use);
}
