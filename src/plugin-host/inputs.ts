/** What a plugin's module is made of: its file and its configuration, each in its current version. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { emptiedBehind, moduleUrl, renewBehind } from '../loader/loader.mjs';
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

/** The first of them, but for the module itself, that had content and is empty by now. */
export async function emptiedInput(found: FoundModule, place: ConfigPlace): Promise<string | undefined> {
  const files = await filesOf(found, place);
  return files.flatMap(emptiedBehind).find((file) => file !== files[0]);
}

async function filesOf(found: FoundModule, place: ConfigPlace): Promise<string[]> {
  const configs = await configFilesOf(found, place);
  const paths = [join(found.root, found.path), ...configs.map((file) => join(place.directory ?? '', file))];
  // One that has gone meanwhile is told when it is loaded.
  return Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}
