/** The input files of a module, which are its source and its configuration: detects whether they have changed and are complete. */
import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { clean } from '../../core/core.ts';
import { acceptModule, emptiedFiles, moduleUrl, renewModule, tornFiles } from '../../loader/loader.mjs';
import { fileAt } from '../hosted/hosted.ts';
import type { PluginProblem } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { configFilesOf } from './plugin-config.ts';
import type { ConfigSources } from './plugin-config.ts';

/** A text that changes whenever the module, its imports or its configuration change. */
export async function inputsOf(found: FoundModule, place: ConfigSources): Promise<string> {
  if (found.refused !== undefined) return `refused: ${found.refused}`;
  return (await filesOf(found, place)).map(moduleUrl).join(' ');
}

/** Gives all inputs a new version, changed or not. */
export async function renewInputs(found: FoundModule, place: ConfigSources): Promise<void> {
  for (const file of await filesOf(found, place)) await renewModule(file);
}

/** A file that was not complete when it was imported. */
export interface IncompleteFile {
  readonly path: string;
  readonly kind: 'empty' | 'torn';
}

/** The first input that has become empty (other than the module itself), or that was written during the import. */
export function incompleteFile(files: readonly string[]): IncompleteFile | undefined {
  const empty = files.flatMap(emptiedFiles).find((file) => file !== files[0]);
  if (empty !== undefined) return { path: empty, kind: 'empty' };
  const [torn] = files.flatMap(tornFiles);
  return torn === undefined ? undefined : { path: torn, kind: 'torn' };
}

/** Marks the imported versions as running. */
export function acceptInputs(files: readonly string[]): void {
  for (const file of files) acceptModule(file);
}

/** The source of the module and the files of its configuration. */
export async function filesOf(found: FoundModule, place: ConfigSources): Promise<string[]> {
  const configs = await configFilesOf(found, place);
  const paths = [...(found.exports ? [] : [join(found.root, found.path)]), ...configs.map((file) => join(place.directory ?? '', file))];
  // Loading reports a file that has disappeared.
  return Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}

/** The problem of a module without satellites that would replace a version with satellites. */
export async function noSatellitesProblem({ module, file, root, path }: FoundModule): Promise<PluginProblem> {
  const size = await stat(join(root, path)).then(
    (status) => status.size,
    () => undefined,
  );
  const what = size === 0 ? 'the file is empty' : 'it no longer exports a class decorated with @Satellite';
  return { module, file: clean(file), reason: `${what}; save it again, or delete it to unload ${module}` };
}

const REASONS = {
  empty: 'the file is empty; save it again, or put a comment in it if it is meant to be empty',
  torn: 'the file changed while it was loaded; it is loaded again once the save is complete, or reload it',
} as const;

/** The problem of a module with an incomplete file. */
export function incompleteFileProblem(found: FoundModule, { path, kind }: IncompleteFile): PluginProblem {
  return { module: found.module, file: fileAt(found, path), reason: REASONS[kind] };
}
