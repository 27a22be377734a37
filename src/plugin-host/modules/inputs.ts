/** What a plugin's module is made of: its file and its configuration, each in its current version. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { acceptModule, emptiedBehind, moduleUrl, renewBehind, tornBehind } from '../../loader/loader.mjs';
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

/**
 * The first of them, as they were imported last, that is empty by now and was not, but for the module itself, or that was written while it
 * was imported.
 */
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
