/** A relay plugin that lies in the plugins directory does nothing by that; the log says what would make it run. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { clean } from '../message/message.ts';
import type { Log } from '../message/message.ts';
import type { FoundModule } from './find.ts';
import { relayPluginClasses } from './relay-plugin-classes.ts';
import { entryOf, isFileName } from './relay-plugin-options.ts';
import type { RelayPluginEntry } from './relay-plugin-options.ts';

/** Says so of the relay plugins in `namespace`, unless `relayPlugins` names their module. True if there is one. */
export async function hintAtRelayPlugins(
  found: FoundModule,
  namespace: object,
  relayPlugins: readonly (string | RelayPluginEntry)[],
  log: Pick<Log, 'warn'>,
): Promise<boolean> {
  const classes = relayPluginClasses(namespace);
  if (classes.length === 0) return false;
  const path = join(found.root, found.path);
  for (const { use } of relayPlugins.map(entryOf)) {
    const isMeant = isFileName(use) ? (await realpath(use).catch(() => use)) === path : use === found.module;
    if (isMeant) return true;
  }
  const names = classes.map(({ name }) => clean(name, 60)).join(', ');
  log.warn(
    `${clean(found.file)}: ${names} is a relay plugin and does not run, since it would see every dict; to load it write relayPlugins: ['${found.module}'] in config.ts`,
  );
  return true;
}
