/** The plugins that are bundled with the relay and enabled by name in config.ts. */
import { realpath } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { glob } from 'glob';
import { EXTENSIONS, nameModules } from '../hosted/hosted.ts';
import type { Packaged } from './packages.ts';

/** The packages in the directory of bundled plugins. */
export const BUNDLED = ['chat', 'example', 'pd', 'react', 'sense', 'task', 'validate', 'watch'] as const;
export type BundledPackage = (typeof BUNDLED)[number];

// The relative path is the same in a checkout and in the published package.
const DIRECTORY = fileURLToPath(new URL('../../../plugins', import.meta.url));
const ROOT_NAME = 'co2-relay/plugins/';

/**
 * Returns the modules of these bundled packages. Returns none if `directory`, the resolved path of the plugins directory, is the directory
 * of the bundled plugins, because they are found there anyway.
 */
export async function findBundled(packages: readonly BundledPackage[], directory: string | undefined): Promise<Packaged['modules']> {
  if (packages.length === 0) return [];
  const root = await realpath(DIRECTORY);
  if (root === directory) return [];
  const patterns = packages.map((name) => `${name}/*.{${EXTENSIONS.join(',')}}`);
  const files = await glob(patterns, { cwd: root, posix: true });
  return nameModules(files).map((module) => ({
    ...module,
    root,
    rootName: ROOT_NAME,
    path: module.file,
    file: ROOT_NAME + module.file,
    stated: {},
  }));
}
