/** What a start would find of plugins, before anything of them runs. */
import { findRelayPlugins } from './hooks/hooks.ts';
import { findModules } from './modules/modules.ts';
import type { FindOptions } from './modules/modules.ts';
import type { PluginHostOptions } from './options.ts';
import type { PluginProblem } from './hosted/hosted.ts';
import { checkPrograms } from './programs/programs.ts';
import type { RelayPluginOptions } from './hooks/hooks.ts';

/**
 * Looks at the plugins directory, the names in `plugins`, `pluginList` and `relayPlugins`, and at what `programs` would execute, in `path`
 * (PATH) or where they
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
