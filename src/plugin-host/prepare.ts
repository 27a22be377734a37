/** From a module's file to a version of it that can be set up. */
import { assemble } from './assemble.ts';
import type { AssemblyParts } from './assemble.ts';
import type { FoundModule } from './find.ts';
import { importModule, pickSatellites } from './load.ts';
import type { ImportParts, ImportedModule, PickParts } from './load.ts';
import { Version } from './version.ts';
import type { VersionParts } from './version.ts';

export interface PrepareParts extends Omit<AssemblyParts, 'options'>, VersionParts, PickParts, Pick<ImportParts, 'relayPlugins'> {}

/** Imports the current version of it. Rejects with whatever it throws. */
export function importFound(
  found: FoundModule,
  { clock, options, relayPlugins }: Pick<PrepareParts, 'clock' | 'options' | 'relayPlugins'>,
  signal?: AbortSignal,
): Promise<ImportedModule> {
  return importModule(found, { clock, timeoutMs: options.setupTimeoutMs, relayPlugins, signal });
}

/** Picks and constructs the satellites of an imported module; what cannot be constructed is reported and left out. */
export function construct(imported: ImportedModule, parts: PrepareParts): Version {
  const module = pickSatellites(imported, parts);
  return new Version(assemble(module, parts), parts);
}
