/** What a start would find of plugins, before anything of them runs. */
import { findRelayPlugins } from './find-relay-plugins.ts';
import { findModules } from './find.ts';
import type { FindOptions } from './find.ts';
import type { PluginHostOptions } from './options.ts';
import type { PluginProblem } from './problem.ts';
import { checkPrograms } from './program/check-programs.ts';
import type { RelayPluginOptions } from './relay-plugin-options.ts';

/**
 * Looks at the plugins directory, the names in `plugins`, `pluginList` and `relayPlugins`, and at what `programs` would execute, in `path` (PATH) or where they
 * say. Answers what would be left out. Rejects with a RelayError CONFIG_INVALID if there would be no start.
 */
export async function checkPlugins(
  options: FindOptions & RelayPluginOptions & Pick<PluginHostOptions, 'programs'>,
  path: string | undefined,
): Promise<readonly PluginProblem[]> {
  const { modules, problems } = await findModules(options);
  await findRelayPlugins(options);
  checkPrograms(
    options.programs,
    modules.map(({ module }) => module),
    path,
  );
  return problems;
}
