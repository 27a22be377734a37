/** From a module's file to a version of it that can be set up. */
import { assemble } from './assemble.ts';
import type { AssemblyParts } from './assemble.ts';
import type { FoundModule } from './find.ts';
import { importModule, pickSatellites } from './load.ts';
import type { ImportedModule, PickParts } from './load.ts';
import { Version } from './version.ts';
import type { VersionParts } from './version.ts';

export interface PrepareParts extends AssemblyParts, VersionParts, PickParts {}

/** Imports the current version of it. Rejects with whatever it throws. */
export function importFound(
  found: FoundModule,
  { clock, options }: Pick<VersionParts, 'clock' | 'options'>,
  signal?: AbortSignal,
): Promise<ImportedModule> {
  return importModule(found, { clock, timeoutMs: options.setupTimeoutMs, signal });
}

/** Picks and constructs the satellites of an imported module; what cannot be constructed is reported and left out. */
export function construct(imported: ImportedModule, parts: PrepareParts): Version {
  const module = pickSatellites(imported, parts);
  return new Version(assemble(module, parts), parts);
}
