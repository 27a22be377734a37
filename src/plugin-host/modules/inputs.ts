/** The input files of a module, which are its source and its configuration: whether they have changed, and whether they are complete. */
import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { clean } from '../../core/core.ts';
import { acceptModule, emptiedBehind, moduleUrl, renewBehind, tornBehind } from '../../loader/loader.mjs';
import { fileAt } from '../hosted/hosted.ts';
import type { PluginProblem } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { configFilesOf } from './plugin-config.ts';
import type { ConfigPlace } from './plugin-config.ts';

/** A text that changes with the module, its imports and its configuration. */
export async function inputsOf(found: FoundModule, place: ConfigPlace): Promise<string> {
  if (found.refused !== undefined) return `refused: ${found.refused}`;
  return (await filesOf(found, place)).map(moduleUrl).join(' ');
}

/** Makes a new version of all inputs, changed or not. */
export async function renewInputs(found: FoundModule, place: ConfigPlace): Promise<void> {
  for (const file of await filesOf(found, place)) await renewBehind(file);
}

/** A file that was not complete when it was imported. */
export interface CutShort {
  readonly path: string;
  readonly kind: 'empty' | 'torn';
}

/** The first input that is empty now and was not before (the module itself may be), or that was written during the import. */
export function cutShortAmong(files: readonly string[]): CutShort | undefined {
  const empty = files.flatMap(emptiedBehind).find((file) => file !== files[0]);
  if (empty !== undefined) return { path: empty, kind: 'empty' };
  const [torn] = files.flatMap(tornBehind);
  return torn === undefined ? undefined : { path: torn, kind: 'torn' };
}

/** Marks the imported versions as the ones that run. */
export function acceptInputs(files: readonly string[]): void {
  for (const file of files) acceptModule(file);
}

/** The source of the module and the files of its configuration. */
export async function filesOf(found: FoundModule, place: ConfigPlace): Promise<string[]> {
  const configs = await configFilesOf(found, place);
  const paths = [...(found.exports ? [] : [join(found.root, found.path)]), ...configs.map((file) => join(place.directory ?? '', file))];
  // Loading reports a file that has disappeared.
  return Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}

/** The problem of a module without satellites that would replace one with satellites. */
export async function withoutSatellites({ module, file, root, path }: FoundModule): Promise<PluginProblem> {
  const size = await stat(join(root, path)).then(
    (status) => status.size,
    () => undefined,
  );
  const what = size === 0 ? 'the file is empty' : 'it no longer exports a class decorated with @Satellite';
  return { module, file: clean(file), reason: `${what}; save it again, or delete it to unload ${module}` };
}

const REASONS = {
  empty: 'the file is empty; save it again, or write a comment into it if it is to be empty',
  torn: 'the file changed while it was loaded; it is loaded again once the save is complete, or reload it',
} as const;

/** The problem of a module with an incomplete file. */
export function cutShortProblem(found: FoundModule, { path, kind }: CutShort): PluginProblem {
  return { module: found.module, file: fileAt(found, path), reason: REASONS[kind] };
}
