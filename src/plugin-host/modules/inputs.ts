/** What a plugin's module is made of: its file and its configuration, each in its current version. */
import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { clean } from '../../core/core.ts';
import { acceptModule, emptiedBehind, moduleUrl, renewBehind, tornBehind } from '../../loader/loader.mjs';
import { fileAt } from '../hosted/hosted.ts';
import type { PluginProblem } from '../hosted/hosted.ts';
import type { FoundModule } from './find.ts';
import { configFilesOf } from './plugin-config.ts';
import type { ConfigPlace } from './plugin-config.ts';

/** A text that is another one as soon as the module, something that it imports, or its configuration is another. */
export async function inputsOf(found: FoundModule, place: ConfigPlace): Promise<string> {
  if (found.refused !== undefined) return `refused: ${found.refused}`;
  return (await filesOf(found, place)).map(moduleUrl).join(' ');
}

/** Gives a new version to all of them, changed or not. */
export async function renewInputs(found: FoundModule, place: ConfigPlace): Promise<void> {
  for (const file of await filesOf(found, place)) await renewBehind(file);
}

/** A file that keeps a version of a module from running, and why. */
export interface CutShort {
  readonly path: string;
  readonly kind: 'empty' | 'torn';
}

/** The first of them, as they were imported last, that is empty by now and was not, but for the module itself, or that was written while it was imported. */
export function cutShortAmong(files: readonly string[]): CutShort | undefined {
  const empty = files.flatMap(emptiedBehind).find((file) => file !== files[0]);
  if (empty !== undefined) return { path: empty, kind: 'empty' };
  const [torn] = files.flatMap(tornBehind);
  return torn === undefined ? undefined : { path: torn, kind: 'torn' };
}

/** They run as they were imported last. */
export function acceptInputs(files: readonly string[]): void {
  for (const file of files) acceptModule(file);
}

/** The module's file and its configuration's. */
export async function filesOf(found: FoundModule, place: ConfigPlace): Promise<string[]> {
  const configs = await configFilesOf(found, place);
  const paths = [join(found.root, found.path), ...configs.map((file) => join(place.directory ?? '', file))];
  // One that has gone meanwhile is told when it is loaded.
  return Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}

/** The problem of a module that has no satellites and is to replace one that had some. */
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

/** The problem of a module that is made of a file which is not whole. */
export function cutShortProblem(found: FoundModule, { path, kind }: CutShort): PluginProblem {
  return { module: found.module, file: fileAt(found, path), reason: REASONS[kind] };
}
