/** What a module in a child is made of, as the relay sees it from outside: what it imports is known to its own process alone. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FoundModule } from '../find.ts';
import { configFilesOf } from '../plugin-config.ts';
import type { ConfigPlace } from '../plugin-config.ts';

// A plugin's folder has few files; whoever puts a tree of data there reloads the plugin by hand.
const MAX_FILES = 1_000;

/** A text that is another one as soon as a file of the module's folder, or its configuration, is another. */
export async function inputsOf(found: FoundModule, place: ConfigPlace): Promise<string> {
  const { root, path } = found;
  const folder = dirname(join(root, path));
  // Directly in the plugins directory are the folders of others.
  const names = await readdir(folder, { recursive: folder !== root }).catch((): string[] => []);
  const files = names
    .filter((name) => !name.includes('node_modules'))
    .slice(0, MAX_FILES)
    .sort()
    .map((name) => join(folder, name));
  const configs = await configFilesOf(found, place);
  const all = new Set([...files, ...configs.map((file) => join(place.directory ?? '', file))]);
  return (await Promise.all([...all].map(describe))).join('\n');
}

async function describe(file: string): Promise<string> {
  const status = await stat(file).catch(() => undefined);
  return status?.isFile() === true ? `${file} ${status.mtimeMs} ${status.size} ${status.ino}` : '';
}
